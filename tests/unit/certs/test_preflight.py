# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is requested: rights in one answer, clocks, a signer that is off, names that hold rights already."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Denied, Refused

from .conftest import World

BINDINGS = "/apis/rbac.authorization.k8s.io/v1"
RIGHTS = [
    "list certificatesigningrequests",
    "get certificatesigningrequests",
    "delete certificatesigningrequests",
    "create certificatesigningrequests",
    "watch certificatesigningrequests",
    "update certificatesigningrequests/approval",
    "approve signers",
    "list clusterrolebindings",
    "list rolebindings",
]


@pytest.mark.parametrize("right", RIGHTS)
def test_a_missing_right_ends_the_run_before_any_write(world: World, right: str) -> None:
    world.api.missing = {right}
    with pytest.raises(Denied) as caught:
        world.run("anna")
    verb, resource = right.split()
    (rule,) = caught.value.facts["missing"]
    assert (rule["verbs"], rule["resources"]) == ([verb], [resource])
    assert f'"verbs": ["{verb}"]' in caught.value.hint and "'admin' may not" in str(caught.value)
    assert world.api.writes == [] and not world.folder.exists()


def test_all_missing_rights_come_in_one_answer_as_few_rules(world: World) -> None:
    world.keep_in_secrets()
    world.api.missing = {*RIGHTS, "create secrets", "update secrets"}
    with pytest.raises(Denied) as caught:
        world.run("anna")
    rules: Any = caught.value.facts["missing"]
    assert {rule["resources"][0]: rule["verbs"] for rule in rules} == {
        "certificatesigningrequests": ["list", "get", "delete", "create", "watch"],
        "certificatesigningrequests/approval": ["update"],
        "signers": ["approve"],
        "clusterrolebindings": ["list"],
        "rolebindings": ["list"],
        "secrets": ["create", "update"],
    }
    assert "Role of namespace 'people'" in caught.value.hint
    assert next(rule for rule in rules if rule["resources"] == ["signers"])["resourceNames"] == [
        "kubernetes.io/kube-apiserver-client"
    ]


def test_only_the_rights_of_this_run_are_asked_for(world: World) -> None:
    world.run("anna")
    world.api.missing = {"update certificatesigningrequests/approval", "approve signers", "create certificatesigningrequests"}
    assert world.run({"name": "anna", "state": "absent"}).action("anna") == ("removed", "state is absent")
    world.api.missing = {"update certificatesigningrequests/approval", "approve signers"}
    assert world.run("bert", approve="skip")["bert"].error is None


def test_a_renewal_reads_no_bindings(world: World) -> None:
    world.run("anna")
    world.pass_time(days=25)
    world.api.missing = {"list rolebindings", "list clusterrolebindings"}
    assert world.run("anna").action("anna") == ("updated", "expiring")


@pytest.mark.parametrize("ahead", [301, -4000])
def test_clocks_far_apart_end_the_run(world: World, ahead: float) -> None:
    world.api.clock_offset = ahead
    with pytest.raises(BackendFailed, match="behind this host's" if ahead < 0 else "ahead of this host's"):
        world.run("anna")
    assert world.api.writes == []


def test_clocks_a_little_apart_are_a_warning_and_unknown_ones_none(world: World) -> None:
    world.api.clock_offset = 45.0
    assert "45 s ahead" in world.run("anna").plan.warnings[0]
    world.api.clock_offset = None
    assert world.run("bert").plan.warnings == ()


def test_a_signer_that_leaves_requests_unsigned_is_a_warning(world: World) -> None:
    world.run("anna", approve="skip")
    ((path, obj),) = world.requests().items()
    stamp = "2026-11-24T12:00:00Z"
    approved = {"type": "Approved", "status": "True", "lastUpdateTime": stamp}
    world.api.change(path, {**obj, "status": {"conditions": [approved]}})
    assert world.run("bert", approve="skip").plan.warnings == ()
    world.pass_time(minutes=5)
    (warning,) = world.run("cleo", approve="skip").plan.warnings
    assert "seems to be off" in warning and "300 s ago" in warning


def bind(world: World, kind: str, name: str, *, ours: bool = False, namespace: str = "") -> None:
    collection = f"{BINDINGS}/namespaces/{namespace}/rolebindings" if namespace else f"{BINDINGS}/clusterrolebindings"
    labels = {"kubestead.platform/owner": "people"} if ours else {}
    world.api.put(
        f"{collection}/powerful",
        {
            "metadata": {"labels": labels},
            "roleRef": {"name": "cluster-admin"},
            "subjects": [{"kind": kind, "name": name}, {"kind": "ServiceAccount", "name": "anna", "namespace": "x"}],
        },
    )


@pytest.mark.parametrize("namespace", ["", "team"])
@pytest.mark.parametrize(("kind", "name", "option"), [("User", "anna", "allow_users"), ("Group", "red", "allow_groups")])
def test_names_that_hold_rights_are_refused_unless_allowed(
    world: World, kind: str, name: str, option: str, namespace: str
) -> None:
    bind(world, kind, name, namespace=namespace)
    anna = {"name": "anna", "groups": ["red"]}
    for check in (True, False):
        done = world.run(anna, "bert", check=check)
        assert isinstance(done["anna"].error, Refused)
        assert "'powerful'" in done.error("anna") and "'cluster-admin'" in done.error("anna") and option in done.error("anna")
        assert done["bert"].error is None
    assert not (world.folder / "anna.key").exists()
    assert world.run(anna, **{option: [name]}).action("anna") == ("created", "missing")


def test_names_bound_by_our_own_module_are_good(world: World) -> None:
    bind(world, "Group", "red", ours=True)
    assert world.run({"name": "anna", "groups": ["red"]})["anna"].error is None


def test_a_service_account_of_the_same_name_is_nobody(world: World) -> None:
    bind(world, "Group", "other")
    assert world.run("anna")["anna"].error is None


def test_a_binding_made_later_does_not_end_renewals_but_stops_new_groups(world: World) -> None:
    world.run({"name": "anna", "groups": ["red"]})
    bind(world, "Group", "red")
    world.pass_time(days=25)
    assert world.run({"name": "anna", "groups": ["red"]}).action("anna") == ("updated", "expiring")
    assert isinstance(world.run({"name": "bert", "groups": ["red"]})["bert"].error, Refused)
    world.pass_time(days=40)
    assert isinstance(world.run({"name": "anna", "groups": ["red"]})["anna"].error, Refused)


def test_verify_login_tries_what_is_in_place_also_in_check_mode(world: World) -> None:
    world.run("anna", "bert")
    for check in (True, False):
        world.login.tried.clear()
        done = world.run("anna", "bert", verify_login=True, check=check)
        assert sorted(world.login.tried) == ["anna", "bert"] and not done.run.plan.steps
        assert done["anna"].facts["login"] == {"user": "anna", "groups": ["system:authenticated"]}
    world.login.answer = ("anna", ("system:authenticated", "more"))
    done = world.run("anna", verify_login=True)
    assert "takes the certificate for 'anna' of more" in done.error("anna") and not done.changed


def test_a_signer_that_grants_less_is_told_once_and_renewal_follows_what_it_granted(world: World) -> None:
    world.signer.longest = 7 * 86400
    done = world.run("anna", "bert", "cleo")
    (warning,) = done.told["warnings"]
    assert "3 of 3 certificates" in warning and "604800 s instead of 2592000 s" in warning
    assert done["anna"].facts["granted_seconds"] == 604800
    assert not world.run("anna", "bert", "cleo").changed
    world.pass_time(days=4)
    assert not world.run("anna", "bert", "cleo").changed
    world.pass_time(days=1)
    assert world.run("anna", "bert", "cleo").action("bert") == ("updated", "expiring")


def test_ten_minutes_are_renewed_after_two_thirds(world: World) -> None:
    world.run("anna", lifetime="10m")
    world.pass_time(seconds=401)
    assert not world.run("anna", lifetime="10m").changed
    world.pass_time(seconds=1)
    assert world.run("anna", lifetime="10m").action("anna") == ("updated", "expiring")
    assert not world.run("anna", lifetime="10m").changed


def test_another_signer_is_a_reason(world: World) -> None:
    world.run("anna")
    done = world.run("anna", signer="example.com/people", wait_timeout="1s")
    assert done["anna"].reason.startswith("signer changed") and "not signed" in done.error("anna")
    assert len(world.requests()) == 1
    assert world.run("anna").action("anna") == ("updated", "an earlier run had not finished cleaning up")
    assert world.requests() == {} and not world.run("anna").changed
