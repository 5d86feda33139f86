# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant on the in-memory API: what is decided, what is written, and that a second run writes nothing."""

from __future__ import annotations

import string
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.rbac_grant import RbacGrantFlow
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.grants import Grant, Role, Subject
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.wanted import request_from_params
from hypothesis import given
from hypothesis import strategies as st

from fakes.kube_api import FakeKubeApi, forbid
from rbac_world import DEFAULTS, Result, bindings, cluster, outside, users


@pytest.fixture
def api() -> FakeKubeApi:
    return cluster()


def test_a_grant_becomes_one_binding_per_subject_and_place(api: FakeKubeApi) -> None:
    entry = {
        "subjects": {"users": ["anna"], "groups": ["devs"], "service_accounts": ["ci/bot"]},
        "cluster_role": "edit",
        "namespaces": ["red", "blue"],
    }
    done = Result(api, entry, {"subjects": {"users": ["carla"]}, "cluster_role": "view", "scope": "cluster"})
    assert done.actions == dict.fromkeys(
        [
            "anna: edit in red",
            "anna: edit in blue",
            "group devs: edit in red",
            "group devs: edit in blue",
            "service account ci/bot: edit in red",
            "service account ci/bot: edit in blue",
            "carla: view in the whole cluster",
        ],
        "created",
    )
    made = [api.objects[path] for path in bindings(api)]
    assert len(made) == 7
    assert all(one["metadata"]["labels"] == objects.our_labels("teams") for one in made)
    assert {tuple(sorted(subject.items())) for one in made for subject in one["subjects"]} == {
        (("apiGroup", "rbac.authorization.k8s.io"), ("kind", "User"), ("name", "anna")),
        (("apiGroup", "rbac.authorization.k8s.io"), ("kind", "User"), ("name", "carla")),
        (("apiGroup", "rbac.authorization.k8s.io"), ("kind", "Group"), ("name", "devs")),
        (("kind", "ServiceAccount"), ("name", "bot"), ("namespace", "ci")),
    }


def test_a_second_run_only_lists_and_each_kind_once(api: FakeKubeApi) -> None:
    grants = [users(f"user{number}") for number in range(50)]
    Result(api, *grants)
    again = Result(api, *grants)
    assert set(again.actions.values()) == {"unchanged"}
    assert sorted(again.calls) == [
        ("LIST", path) for path in sorted((objects.NAMESPACES, objects.CLUSTER_ROLES, objects.ROLE_BINDINGS))
    ]


def test_null_is_the_same_as_left_out() -> None:
    entry = {"subjects": {"users": ["anna"], "groups": None}, "cluster_role": "view", "role": None, "scope": "cluster"}
    full = {**entry, "namespaces": None, "state": None}
    assert request_from_params({**DEFAULTS, "grants": [entry]}) == request_from_params({**DEFAULTS, "grants": [full]})


@pytest.mark.parametrize(
    ("grants", "said"),
    [
        ([users("anna"), users("bert", "anna")], "grants[1]: 'anna: edit in red' is already said by grants[0]"),
        ([users("anna"), users("anna", state="absent")], "already said by grants[0]"),
        ([users("anna", namespaces=["red", "red"])], "already said by grants[0]"),
        ([users("System:admin")], "grants[0]: user 'System:admin'"),
        ([users("anna", subjects={"groups": ["system:masters"]})], "grants[0]: group 'system:masters'"),
        ([users("anna", subjects={"service_accounts": ["bot"]})], "service account 'bot' has no namespace"),
        ([users("anna", subjects={"service_accounts": ["a/b/c"]})], "service account 'b/c' is not an allowed name"),
        ([users("anna", subjects=None)], "grants[0] names nobody"),
        ([users("anna", role="deployer")], "must name one role"),
        ([users("anna", cluster_role=None)], "must name one role"),
        ([users("anna", cluster_role="a/b")], "cannot be the name of a role"),
        ([users("anna", namespaces=None)], "does not say where it is valid"),
        ([users("anna", namespaces=[], scope="namespaces")], "names none"),
        ([users("anna", scope="cluster")], "has scope: cluster and namespaces"),
        (
            [users("anna", role="r", cluster_role=None, namespaces=None, scope="cluster")],
            "cannot be granted in the whole cluster",
        ),
        ([users("anna", scope="world")], "grants[0]: scope 'world' is neither cluster nor namespaces"),
        ([users("anna", state="gone")], "grants[0]: state 'gone' is neither present nor absent"),
        ([users("anna", namespaces=["Red"])], "namespace 'Red' is not an allowed name"),
    ],
)
def test_mistakes_name_the_entry_and_nothing_is_asked(api: FakeKubeApi, grants: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Result(api, *grants)
    assert said in str(caught.value)
    assert api.calls == []


@pytest.mark.parametrize("owner", ["", "a b", "-a", "a" * 64, "ä"])
def test_an_owner_must_be_a_label_value(api: FakeKubeApi, owner: str) -> None:
    with pytest.raises(BadInput, match="owner"):
        Result(api, users("anna"), owner=owner)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"namespaces": ["kube-system"]}, "Rights in kube-system are not granted"),
        ({"cluster_role": "system:node"}, "Kubernetes' own parts"),
        ({"cluster_role": "cluster-admin"}, "allow_cluster_admin"),
        ({"cluster_role": "own-admin"}, "allows everything"),
        ({"cluster_role": "nope"}, "Cluster role 'nope' does not exist"),
        ({"cluster_role": None, "role": "nope"}, "In namespace 'red', role 'nope' does not exist"),
        ({"cluster_role": None, "role": "deployer", "namespaces": ["blue"]}, "In namespace 'blue', role 'deployer'"),
        ({"namespaces": ["green"]}, "create_namespaces"),
    ],
)
def test_a_refusal_is_the_same_in_check_mode_and_leaves_the_rest_to_on_error(
    api: FakeKubeApi, entry: dict[str, Any], said: str
) -> None:
    refused = users("anna", **entry)
    for check in (True, False):
        done = Result(api, refused, users("bert"), check=check)
        assert said in done.error(next(iter(done.verdicts)))
        assert done.run.done == () or check
        assert bindings(api) == []
    going_on = Result(api, refused, users("bert"), on_error="continue")
    assert list(going_on.actions.values()) == ["failed", "created"] and len(bindings(api)) == 1


def test_everything_may_be_granted_if_the_task_says_so(api: FakeKubeApi) -> None:
    done = Result(api, users("root", cluster_role="cluster-admin"), allow_cluster_admin=True)
    assert set(done.actions.values()) == {"created"}


def test_a_namespace_on_its_way_out_is_a_conflict(api: FakeKubeApi) -> None:
    api.put(f"{objects.NAMESPACES}/red", {"metadata": {}, "status": {"phase": "Terminating"}})
    assert "is being deleted" in Result(api, users("anna"), create_namespaces=True).error("anna: edit in red")


def test_namespaces_are_made_first_and_only_for_grants_that_are_made(api: FakeKubeApi) -> None:
    grants = [users("anna", namespaces=["green"]), users("bert", namespaces=["grey"], cluster_role="nope")]
    options = {"create_namespaces": True, "on_error": "continue"}
    assert Result(api, *grants, check=True, **options).actions == Result(api, *grants, **options).actions
    assert f"{objects.NAMESPACES}/grey" not in api.objects
    labels = api.objects[f"{objects.NAMESPACES}/green"]["metadata"]["labels"]
    assert labels == {**objects.our_labels("teams"), "pod-security.kubernetes.io/enforce": "baseline"}


def test_changing_one_persons_role_touches_nobody_else(api: FakeKubeApi) -> None:
    Result(api, users("anna"), users("bert"), prune=True)
    kept = objects.binding_path(Grant((Subject("User", "bert"),), Role("ClusterRole", "edit"), "red"), "teams")
    before = dict(api.objects[kept])
    done = Result(api, users("anna", cluster_role="view"), users("bert"), prune=True)
    assert done.actions == {"anna: view in red": "created", "bert: edit in red": "unchanged", "anna: edit in red": "removed"}
    assert api.objects[kept] == before
    assert done.writes == ["DELETE", "POST"]  # a narrower role: taken before given
    done = Result(api, users("anna"), users("bert"), prune=True)
    assert done.writes == ["POST", "DELETE"]  # a wider one: given before taken
    assert done.verdicts["anna: edit in red"].facts["replaces"] == "view"


def test_prune_takes_what_left_the_list_and_only_what_is_ours(api: FakeKubeApi) -> None:
    Result(api, users("anna", "bert"))
    Result(api, users("carla"), owner="others")
    api.put(f"{objects.RBAC}/namespaces/red/rolebindings/foreign", {"metadata": {"labels": {"a": "b"}}})
    done = Result(api, users("anna"), prune=True)
    assert done.actions == {"anna: edit in red": "unchanged", "bert: edit in red": "removed"}
    assert len(bindings(api)) == 3
    assert done.diff[0]["before"] == {"who": "bert", "role": "edit", "where": "red"} and done.diff[0]["after"] == {}


def test_an_empty_list_prunes_everything_of_the_owner_if_allowed(api: FakeKubeApi) -> None:
    Result(api, users("anna"), {"subjects": {"users": ["carla"]}, "cluster_role": "view", "scope": "cluster"})
    with pytest.raises(Refused, match="prune would remove 2 grants") as caught:
        Result(api, prune=True, max_deletes=1)
    assert caught.value.facts["would_remove"] == ["anna: edit in red", "carla: view in the whole cluster"]
    assert len(bindings(api)) == 2
    assert set(Result(api, prune=True).actions.values()) == {"removed"} and bindings(api) == []


def test_absent_removes_by_name_without_the_guard(api: FakeKubeApi) -> None:
    Result(api, users("anna", "bert"))
    done = Result(api, users("anna", state="absent"), users("bert"), max_deletes=0)
    assert done.actions == {"anna: edit in red": "removed", "bert: edit in red": "unchanged"}
    assert set(Result(api, users("anna", "zoe"), state="absent").actions.values()) == {"unchanged"}


def test_an_object_in_our_place_without_our_label_is_refused(api: FakeKubeApi) -> None:
    path = objects.binding_path(Grant((Subject("User", "anna"),), Role("ClusterRole", "edit"), "red"), "teams")
    api.put(path, {"metadata": {}, "roleRef": {}, "subjects": []})
    for check in (True, False):
        assert "belongs to somebody else" in Result(api, users("anna"), check=check).error("anna: edit in red")


def test_a_binding_that_was_changed_is_put_right_and_others_labels_stay(api: FakeKubeApi) -> None:
    Result(api, users("anna"))
    path = bindings(api)[0]
    live = api.objects[path]
    live["subjects"] = [{"kind": "User", "name": "mallory"}]
    live["metadata"]["labels"]["theirs"] = "x"
    done = Result(api, users("anna"))
    assert done.verdicts["anna: edit in red"].reason == "subjects had been changed"
    assert [one["name"] for one in api.objects[path]["subjects"]] == ["anna"]
    assert api.objects[path]["metadata"]["labels"]["theirs"] == "x"
    assert set(Result(api, users("anna")).actions.values()) == {"unchanged"}


def test_a_binding_replaced_by_one_to_another_role_is_a_conflict(api: FakeKubeApi) -> None:
    Result(api, users("anna"))
    api.objects[bindings(api)[0]]["roleRef"]["name"] = "cluster-admin"
    assert "refers to 'cluster-admin'" in Result(api, users("anna")).error("anna: edit in red")


def test_a_denied_write_fails_its_entry_only(api: FakeKubeApi) -> None:
    api.on_write.append(forbid("POST", "/namespaces/blue/rolebindings"))
    done = Result(api, users("anna", namespaces=["blue", "red"]), on_error="continue")
    assert done.actions == {"anna: edit in blue": "failed", "anna: edit in red": "created"}


def test_what_is_already_gone_counts_as_removed(api: FakeKubeApi) -> None:
    Result(api, users("anna"))
    flow = RbacGrantFlow.from_params({**DEFAULTS, "grants": [], "prune": True}, outside(api))
    plan = flow.decide(flow.observe())
    api.drop(bindings(api)[0])
    run = carry_out(plan, flow.execute, stop_on_error=True)
    assert [verdict.action for verdict in settle(run)] == ["removed"]


def entries() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda user, role, place, state: {
            "subjects": {"users": [user]},
            "cluster_role": role,
            "namespaces": [place] if place else None,
            "scope": None if place else "cluster",
            "state": state,
        },
        st.sampled_from(["anna", "bert", "carla"]),
        st.sampled_from(["view", "edit", "cluster-admin", "nope"]),
        st.sampled_from([None, "red", "blue", "green", "kube-system"]),
        st.sampled_from([None, "present", "absent"]),
    )


def same(one: dict[str, Any]) -> tuple[Any, ...]:
    return (one["subjects"]["users"][0], one["cluster_role"], tuple(one["namespaces"] or ()))


@given(
    st.lists(entries(), unique_by=same, max_size=8),
    st.lists(entries(), unique_by=same, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_check_mode_tells_the_truth_and_the_second_run_changes_nothing(
    first: list[dict[str, Any]], second: list[dict[str, Any]], prune: bool, make: bool
) -> None:
    api = cluster()
    options = {"on_error": "continue", "prune": prune, "create_namespaces": make}
    Result(api, *first, **options)
    written = len(api.writes)
    predicted = Result(api, *second, check=True, **options)
    assert len(api.writes) == written
    done = Result(api, *second, **options)
    assert predicted.actions == done.actions and predicted.diff == done.diff
    assert len(done.run.done) == len(api.writes) - written
    again = Result(api, *second, **options)
    assert again.run.done == () and {name: a for name, a in again.actions.items() if a == "failed"} == {
        name: a for name, a in done.actions.items() if a == "failed"
    }


words = st.text(string.ascii_lowercase + string.digits + "._@-", min_size=1, max_size=64)


@given(words, words, st.sampled_from(["User", "Group"]), st.sampled_from(["Role", "ClusterRole"]), words, words)
def test_names_are_valid_and_differ_when_the_grants_differ(
    who: str, role: str, kind: str, role_kind: str, owner: str, other: str
) -> None:
    name = objects.binding_name(Grant((Subject(kind, who),), Role(role_kind, role), "red"), owner)
    assert len(name) <= 63 and set(name) <= set(string.ascii_lowercase + string.digits + "-") and name.strip("-") == name
    others: list[Optional[str]] = [
        objects.binding_name(
            Grant((Subject("Group" if kind == "User" else "User", who),), Role(role_kind, role), "red"), owner
        ),
        objects.binding_name(Grant((Subject(kind, who),), Role(role_kind, role), "red"), owner + other),
        objects.binding_name(Grant((Subject(kind, who + other),), Role(role_kind, role), "red"), owner),
    ]
    assert name not in others
