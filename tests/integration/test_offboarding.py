# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way of cutting somebody off on a real API server, with the old credential in hand: before allowed, after refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed

from .certificate_operator import Operator, documented, wait_until
from .leaving_runs import COMMON, LOG_IN, READ, WRITE, Leaving, may

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "docsite" / "rst" / "offboarding.rst"
YES, ADMISSION, AUTHORIZER = "allowed", "refused by admission", "refused by the authorizer"
ONE_MAP = {"metadata": {"generateName": "x-"}}


@pytest.fixture
def leaving(lab: Any, tmp_path: Path) -> Iterator[Leaving]:
    """A namespace and people of one test."""
    one = Leaving(lab.env["KUBECONFIG"], tmp_path)
    yield one
    one.clean()


def test_short_life_alone_ends_nothing_before_the_certificate_does(leaving: Leaving) -> None:
    anna = leaving.person("anna", lifetime="10m")
    done = leaving.cut(anna, strategies=[])
    assert done.failures() == []
    assert done.matrix(anna) == {LOG_IN: (YES, YES), READ: (YES, YES), WRITE: (YES, YES), COMMON: (YES, YES)}
    remaining = done.entries["proof", anna]["remaining"]
    (certificate,) = leaving.record(anna)["certificates"]
    assert any(certificate["credential_id"] in line and certificate["not_after"] in line for line in remaining)
    assert sum(line.startswith("The old credential still may") for line in remaining) == 2


def test_grants_gone_end_reads_and_writes_and_leave_the_login(leaving: Leaving) -> None:
    anna, bert = leaving.person("anna"), leaving.person("bert")
    old = leaving.client(anna)
    done = leaving.cut(anna, strategies=["grants"])
    assert done.failures() == []
    assert done.matrix(anna) == {LOG_IN: (YES, YES), READ: (YES, AUTHORIZER), WRITE: (YES, AUTHORIZER), COMMON: (YES, YES)}
    assert not may(old, "GET", leaving.maps) and may(leaving.client(bert), "GET", leaving.maps)
    leaving.path(anna).unlink()
    assert not leaving.cut(anna, strategies=["grants"]).changed


def test_a_group_of_theirs_that_others_bind_is_told_as_remaining(leaving: Leaving) -> None:
    anna = leaving.person("anna", groups=(f"crew-{leaving.mark}",))
    leaving.bind(("Group", f"crew-{leaving.mark}"), role="view", owner="")
    done = leaving.cut(anna, strategies=["grants"], settle=2)
    assert done.matrix(anna)[READ] == (YES, YES) and done.matrix(anna)[WRITE] == (YES, AUTHORIZER)
    remaining = " ".join(done.entries["proof", anna]["remaining"])
    assert f"The old credential still may: list configmaps in {leaving.namespace}." in remaining
    assert f"(view) by the group crew-{leaving.mark}" in remaining


def test_a_group_of_one_issue_ends_that_credential_and_not_the_next(leaving: Leaving) -> None:
    group = f"anna-{leaving.mark}.{'0' * 24}{leaving.mark}"
    anna = leaving.person("anna", groups=(group,), bound=("Group", group))
    old = leaving.client(anna)
    assert leaving.cut(anna, strategies=["grants"]).matrix(anna)[WRITE] == (YES, AUTHORIZER)
    new = group[:-1] + ("0" if group[-1] != "0" else "1")
    leaving.certificates.run({"name": anna, "groups": [new]})
    leaving.bind(("Group", new))
    fresh = leaving.client(anna)
    wait_until(lambda: may(fresh, "POST", leaving.maps, ONE_MAP))
    assert not may(old, "GET", leaving.maps)


def test_the_policy_refuses_writes_and_no_reads(leaving: Leaving) -> None:
    anna, bert = leaving.person("anna"), leaving.person("bert")
    done = leaving.cut(anna, strategies=["policy"])
    assert done.failures() == []
    assert done.matrix(anna) == {LOG_IN: (YES, YES), READ: (YES, YES), WRITE: (YES, ADMISSION), COMMON: (YES, YES)}
    assert f"The old credential still may: list configmaps in {leaving.namespace}." in done.entries["proof", anna]["remaining"]
    # A leaver is refused by name: a certificate from before, or from another signer, is no way around it.
    leaving.certificates.run({"name": anna, "groups": ["other"]})
    assert not may(leaving.client(anna), "POST", leaving.maps, ONE_MAP)
    assert may(leaving.client(bert), "POST", leaving.maps, ONE_MAP) and may(leaving.admin, "POST", leaving.maps, ONE_MAP)


def test_the_policy_refuses_one_lost_device_and_not_the_next_certificate(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    old = leaving.client(anna)
    identity = leaving.certificates.run(anna)[anna]["credential_id"]
    lost = {"credential_id": identity, "name": anna}
    assert leaving.cut(strategies=["policy"], credentials=[lost]).failures() == []
    wait_until(lambda: not may(old, "POST", leaving.maps, ONE_MAP))
    leaving.certificates.run({"name": anna, "groups": ["again"]})
    assert may(leaving.client(anna), "POST", leaving.maps, ONE_MAP)


def test_the_policy_whose_last_entry_went_refuses_nobody(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    leaving.cut(anna, strategies=["policy"])
    old = leaving.client(anna)
    assert not may(old, "POST", leaving.maps, ONE_MAP)
    assert leaving.cut(people=[{"name": anna, "state": "absent"}], bound_to="issue", certificates=None).failures() == []
    wait_until(lambda: may(old, "POST", leaving.maps, ONE_MAP))
    assert may(leaving.admin, "POST", leaving.maps, ONE_MAP)
    leaving.clean_policy()
    bert = leaving.person("bert")
    assert leaving.cut(bert, strategies=["policy"]).matrix(bert)[WRITE] == (YES, ADMISSION)


def test_who_comes_back_waits_or_is_bound_to_the_issue(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    old = leaving.client(anna)
    leaving.cut(anna, strategies=["grants", "policy"])
    back = [{"name": anna, "state": "absent"}]
    (error,) = leaving.cut(people=back).failures()
    assert "is valid until" in error["msg"]
    assert leaving.cut(people=back, bound_to="issue").failures() == []
    leaving.certificates.run({"name": anna, "groups": ["back"]})
    leaving.bind(("Group", "back"))
    leaving.bind(("User", anna))
    fresh = leaving.client(anna)
    wait_until(lambda: may(fresh, "POST", leaving.maps, ONE_MAP) and not may(old, "POST", leaving.maps, ONE_MAP))


def test_a_token_made_before_outlives_the_person_until_the_account_is_made_anew(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    accounts = f"/api/v1/namespaces/{leaving.namespace}/serviceaccounts"
    leaving.admin.call("POST", accounts, {"metadata": {"name": "robot"}})
    request = {"spec": {"expirationSeconds": 86400}, "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    token = leaving.client(anna).call("POST", f"{accounts}/robot/token", request)["status"]["token"]
    cluster = json.loads(Path(leaving.kubeconfig).read_text())["clusters"]
    robot = KubeApiClient.from_kubeconfig(
        {
            "clusters": cluster,
            "users": [{"name": "robot", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": cluster[0]["name"], "user": "robot"}}],
            "current-context": "x",
        }
    )
    done = leaving.cut(anna, strategies=["grants"])
    assert may(robot, "GET", "/version")
    told = [line for line in done.entries["proof", anna]["remaining"] if "service accounts" in line]
    assert f"{leaving.namespace}/robot" in told[0]
    leaving.cut(anna, strategies=["grants"], beats=["tokens", "prove"])
    wait_until(lambda: not may(robot, "GET", "/version"))
    assert not leaving.cut(anna, strategies=["grants"], beats=["tokens"]).changed


def test_a_watch_that_was_open_goes_on_and_the_evidence_says_so(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    old, seen, opened = leaving.client(anna), [], threading.Event()
    version = leaving.admin.list_all(leaving.maps).resource_version

    def watch() -> None:
        for event in old.watch(leaving.maps, version, seconds=20):
            seen.append(event["object"]["metadata"]["name"])
            opened.set()
            if "after" in seen:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    leaving.admin.call("POST", leaving.maps, {"metadata": {"name": "before"}})
    assert opened.wait(10)
    done = leaving.cut(anna, strategies=["grants", "policy"])
    assert not may(leaving.client(anna), "GET", leaving.maps)
    leaving.admin.call("POST", leaving.maps, {"metadata": {"name": "after"}})
    wait_until(lambda: "after" in seen)
    assert any(line.startswith("Watches, exec sessions") for line in done.entries["proof", anna]["remaining"])


def test_without_the_key_the_authorizers_are_asked_about_every_certificate(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    leaving.certificates.run({"name": anna, "groups": ["second"]})
    leaving.path(anna).unlink()
    done = leaving.cut(anna, strategies=["grants"])
    record = leaving.record(anna)
    assert record["before"]["via"] == record["after"]["via"] == "asked of the API server's authorizers, the key is not at hand"
    reads = [one["answer"] for one in record["before"]["probes"] if one["what"].startswith(READ)]
    assert reads == [YES, YES]
    assert {one["answer"] for one in record["after"]["probes"] if one["what"].startswith((READ, WRITE))} == {AUTHORIZER}
    assert len(record["certificates"]) == 2 and done.failures() == []


def test_pending_approved_and_issued_requests_go_and_what_they_led_to_is_known(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    group = {"name": anna, "groups": ["pending"]}
    leaving.certificates.run(group, approve="skip")
    done = leaving.cut(anna)
    assert done.entries["requests", anna]["action"] == "removed" and done.failures() == []
    csrs = leaving.admin.list_all("/apis/certificates.k8s.io/v1/certificatesigningrequests").objects
    assert not any(anna in one["metadata"]["name"] for one in csrs)


def test_a_kill_between_any_two_writes_is_made_good_by_the_next_run(leaving: Leaving) -> None:
    """The policy, its binding, the right, the request."""
    for number in range(1, 5):
        anna = leaving.person(f"kill{number}")
        leaving.certificates.run({"name": anna, "groups": ["pending"]}, approve="skip")
        old = leaving.client(anna)
        leaving.clean_policy()
        assert leaving.killed(number, anna)
        assert leaving.cut(anna).failures() == []
        assert not may(old, "GET", leaving.maps) and not may(old, "POST", leaving.maps, ONE_MAP)
        leaving.path(anna).unlink()
        leaving.cut(anna)
        assert not leaving.cut(anna).changed
        record = leaving.record(anna)
        assert record["before"]["probes"] and record["after"]["probes"]


def test_a_cluster_that_says_no_is_told_and_the_other_beats_are_done(leaving: Leaving) -> None:
    anna = leaving.person("anna")
    done = leaving.cut(anna, list_name="not a name")
    assert {entry["kind"] for entry in done.entries.values() if entry["action"] == "failed"} == {"denial", "denial_list"}
    assert done.matrix(anna)[READ] == (YES, AUTHORIZER)


def test_the_documented_rights_are_enough(leaving: Leaving) -> None:
    anna, bert = leaving.person("anna"), leaving.person("bert")
    path = leaving.bind(("User", anna))
    shared = leaving.admin.call("GET", path)
    other = {"kind": "User", "name": bert, "apiGroup": "rbac.authorization.k8s.io"}
    leaving.admin.call("PUT", path, {**shared, "subjects": [*shared["subjects"], other]})
    with Operator(leaving.kubeconfig, documented("ClusterRole", GUIDE)["rules"]) as operator:
        done = leaving.cut(anna, **operator.login)
    assert done.failures() == [] and done.matrix(anna)[WRITE][1] in (ADMISSION, AUTHORIZER)
    assert [one["name"] for one in leaving.admin.call("GET", path)["subjects"]] == [bert]
    assert leaving.record(anna)["left_behind"]["problems"] == []


def test_an_unreachable_cluster_ends_the_task_before_anything_is_written(leaving: Leaving) -> None:
    with pytest.raises(BackendFailed):
        leaving.cut("nobody", kubeconfig=None, host="https://127.0.0.1:1", api_key="x")
    assert not leaving.records.exists()
