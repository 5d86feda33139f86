# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant on the lab's API server, run by ansible-playbook as a user would."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

OWNER_LABEL = "kubestead.platform/owner"


class World:
    """A namespace and an owner of one test, and what the cluster says about them."""

    def __init__(self, lab: Any, run_module: Callable[..., Any]) -> None:
        self.lab = lab
        self.mark = uuid.uuid4().hex[:8]
        self.owner = f"test-{self.mark}"
        self.namespace = f"grant-{self.mark}"
        self._run = run_module

    def grant(self, user: str, **entry: Any) -> dict[str, Any]:
        return {"subjects": {"users": [user]}, "cluster_role": "edit", "namespaces": [self.namespace], **entry}

    def run(self, *grants: dict[str, Any], check: bool = False, diff: bool = False, **options: Any) -> Any:
        return self._run("rbac_grant", {"owner": self.owner, "grants": list(grants), **options}, check=check, diff=diff)

    def may(self, verb: str, what: str, user: str, *more: str) -> bool:
        asked = self.lab.kubectl("auth", "can-i", verb, what, "--as", user, *more, check=False)
        return asked.stdout.strip() == "yes"

    def ours(self) -> list[str]:
        found = []
        for kind in ("rolebindings", "clusterrolebindings"):
            printed = self.lab.kubectl("get", kind, "-A", "-l", f"{OWNER_LABEL}={self.owner}", "-o", "json").stdout
            found += [one["metadata"]["name"] for one in json.loads(printed)["items"]]
        return sorted(found)

    def clean(self) -> None:
        self.lab.kubectl("delete", "clusterrolebindings", "-l", f"{OWNER_LABEL}={self.owner}", "--ignore-not-found")
        self.lab.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture
def world(lab: Any, run_module: Callable[..., Any]) -> Iterator[World]:
    one = World(lab, run_module)
    lab.kubectl("create", "namespace", one.namespace)
    yield one
    one.clean()


def test_a_grant_is_predicted_made_kept_and_taken_back(world: World) -> None:
    grants = [
        world.grant("anna", scope=None, state=None, role=None),
        {"subjects": {"groups": ["auditors"]}, "cluster_role": "view", "scope": "cluster", "namespaces": None, "role": None},
    ]
    names = {f"anna: edit in {world.namespace}": "created", "group auditors: view in the whole cluster": "created"}
    predicted = world.run(*grants, check=True, diff=True)
    assert predicted.status == 0 and predicted["changed"] and predicted.actions() == names
    assert predicted["diff"][0]["after"] == {"who": "anna", "role": "edit", "where": world.namespace}
    assert world.ours() == [] and not world.may("create", "pods", "anna", "-n", world.namespace)

    made = world.run(*grants)
    assert made.actions() == names and made["counts"]["created"] == 2
    assert world.may("create", "pods", "anna", "-n", world.namespace)
    assert not world.may("create", "pods", "anna", "-n", "default")
    assert world.may("list", "pods", "x", "--as-group", "auditors", "-A")

    again = world.run(*grants)
    assert not again["changed"] and set(again.actions().values()) == {"unchanged"}
    assert not world.run(*grants, check=True)["changed"]

    gone = world.run(*grants, state="absent")
    assert set(gone.actions().values()) == {"removed"} and world.ours() == []
    assert not world.may("create", "pods", "anna", "-n", world.namespace)
    assert not world.run(*grants, state="absent")["changed"]


def test_one_persons_change_touches_nobody_elses_binding(world: World) -> None:
    people = [world.grant(name) for name in ("anna", "bert", "carla")]
    world.run(*people, prune=True)
    before = world.ours()
    changed = world.run(world.grant("anna", cluster_role="view"), *people[1:], prune=True)
    assert changed["counts"] == {"created": 1, "updated": 0, "unchanged": 2, "removed": 1, "failed": 0, "skipped": 0}
    assert len(set(before) & set(world.ours())) == 2


def test_missing_namespaces_are_made_safe_for_people(world: World) -> None:
    name = f"{world.namespace}-new"
    wanted = world.grant("anna", namespaces=[name])
    refused = world.run(wanted)
    assert refused.status != 0 and not refused["changed"] and f"Namespace '{name}' does not exist" in refused["msg"]
    predicted = world.run(wanted, create_namespaces=True, check=True)
    made = world.run(wanted, create_namespaces=True)
    assert predicted.actions() == made.actions() == {name: "created", f"anna: edit in {name}": "created"}
    labels = json.loads(world.lab.kubectl("get", "namespace", name, "-o", "json").stdout)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline" and labels[OWNER_LABEL] == world.owner
    assert not world.run(wanted, create_namespaces=True)["changed"]
    world.lab.kubectl("delete", "namespace", name, "--wait=false")


def test_a_refusal_stops_everything_or_only_itself(world: World) -> None:
    grants = [
        world.grant("anna"),
        world.grant("bert", cluster_role="no-such-role"),
        world.grant("root", cluster_role="cluster-admin"),
    ]
    stopped = world.run(*grants)
    assert stopped.status != 0 and not stopped["changed"] and world.ours() == []
    going_on = world.run(*grants, on_error="continue")
    assert going_on.status != 0 and going_on["changed"] and len(world.ours()) == 1
    assert going_on["counts"]["failed"] == 2
    assert f"bert: no-such-role in {world.namespace}" in going_on["msg"] and "'no-such-role' does not exist" in going_on["msg"]
    assert "allow_cluster_admin" in going_on["msg"]
    allowed = world.run(grants[2], allow_cluster_admin=True)
    assert allowed.status == 0 and world.may("delete", "rolebindings", "root", "-n", world.namespace)


def test_a_namespaces_own_role_is_checked_where_it_lives(world: World) -> None:
    wanted = {"subjects": {"service_accounts": ["ci/deployer"]}, "role": "deployer", "namespaces": [world.namespace]}
    assert "'deployer' does not exist" in world.run(wanted)["msg"]
    world.lab.kubectl("create", "role", "deployer", "--verb=get", "--resource=pods", "-n", world.namespace)
    assert world.run(wanted)["changed"]
    assert world.may("get", "pods", "system:serviceaccount:ci:deployer", "-n", world.namespace)


def test_prune_removes_only_ours_and_not_more_than_allowed(world: World) -> None:
    world.run(*(world.grant(name) for name in ("anna", "bert", "carla")))
    world.lab.kubectl("create", "rolebinding", "foreign", "--clusterrole=view", "--user=dora", "-n", world.namespace)
    guarded = world.run(world.grant("anna"), prune=True, max_deletes=1)
    assert guarded.status != 0 and not guarded["changed"] and len(world.ours()) == 3
    assert "2 grants" in guarded["msg"] and "max_deletes (1)" in guarded["msg"]
    assert guarded["error"]["would_remove"] == [f"bert: edit in {world.namespace}", f"carla: edit in {world.namespace}"]
    pruned = world.run(world.grant("anna"), prune=True, diff=True)
    assert pruned["counts"]["removed"] == 2 and len(world.ours()) == 1
    assert pruned["diff"][0]["after"] == {} and pruned["diff"][0]["before"]["who"] in ("bert", "carla")
    assert world.may("list", "pods", "dora", "-n", world.namespace)


def test_an_object_of_our_name_without_our_label_is_left_alone(world: World) -> None:
    world.run(world.grant("anna"))
    name = world.ours()[0]
    world.lab.kubectl("label", "rolebinding", name, f"{OWNER_LABEL}-", "-n", world.namespace)
    for check in (True, False):
        refused = world.run(world.grant("anna"), check=check)
        assert refused.status != 0 and not refused["changed"] and name in refused["msg"]


def test_a_binding_that_was_tampered_with_is_put_right(world: World) -> None:
    world.run(world.grant("anna"))
    patch = json.dumps({"subjects": [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}]})
    world.lab.kubectl("patch", "rolebinding", world.ours()[0], "-n", world.namespace, "--type=merge", "-p", patch)
    mended = world.run(world.grant("anna"), diff=True)
    assert set(mended.actions().values()) == {"updated"} and mended["diff"][0]["before"]["who"] == "mallory"
    assert not world.may("create", "pods", "mallory", "-n", world.namespace)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"subjects": {"users": ["system:admin"]}}, "grants[1]: user 'system:admin'"),
        ({"subjects": {"users": ["anna"]}}, "already said by grants[0]"),
        ({"namespaces": None}, "grants[1] does not say where"),
        ({"subjects": {"users": []}}, "grants[1] names nobody"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mistakes_end_the_task_before_any_write(world: World, entry: dict[str, Any], said: str) -> None:
    run = world.run(world.grant("anna"), world.grant("bert", **entry), on_error="continue")
    assert run.status != 0 and not run.result.get("changed") and said in run["msg"] and world.ours() == []


def test_rights_in_the_systems_namespaces_are_refused(world: World) -> None:
    run = world.run(world.grant("anna", namespaces=["kube-system"]))
    assert run.status != 0 and "kube-system" in run["msg"] and not run["changed"]


def test_who_may_not_grant_is_told_which_right_is_missing(world: World) -> None:
    run = world.run(world.grant("anna"), impersonate_user="nobody-special")
    assert run.status != 0 and "'list' on" in run["msg"] and run["error"]["code"] == "denied"


def test_an_unreachable_server_is_one_sentence(world: World) -> None:
    run = world.run(world.grant("anna"), host="https://127.0.0.1:1", api_key="s3cr3t-value")
    assert run.status != 0 and "refuses the connection" in run["msg"]
    assert "Traceback" not in run.output and "s3cr3t" not in run.output
