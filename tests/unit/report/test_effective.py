# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights out of all bindings, against a cluster in memory that answers access reviews; the lab's API server is asked elsewhere."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects, review
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.draft import Question
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.effective import MASTERS, Access
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.grants import Subject
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import Atom
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.kube_api import FakeKubeApi
from scale import scaled

USERS, GROUPS, PLACES = ["anna", "bert", "system:serviceaccount:red:default"], ["team", "ops"], ["", "red", "blue"]
VERBS, RESOURCES = ["get", "create", "*"], ["pods", "pods/log", "*", "*/log"]

rules = st.lists(
    st.builds(
        lambda verb, group, resource, names: {
            "verbs": [verb], "apiGroups": [group], "resources": [resource], **({"resourceNames": names} if names else {})
        },
        st.sampled_from(VERBS), st.sampled_from(["", "apps", "*"]), st.sampled_from(RESOURCES), st.lists(st.just("web"), max_size=1),
    ),
    max_size=3,
)  # fmt: skip
subjects = st.one_of(
    st.builds(lambda name: {"kind": "User", "name": name}, st.sampled_from(USERS)),
    st.builds(lambda name: {"kind": "Group", "name": name}, st.sampled_from(GROUPS)),
    st.just({"kind": "ServiceAccount", "name": "default", "namespace": "red"}),
)
bindings = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.sampled_from(["ClusterRole", "Role"]),
        st.sampled_from(["a", "b", "gone"]),
        st.lists(subjects, max_size=2),
    ),
    max_size=6,
)
requests = st.builds(
    Atom,
    st.sampled_from(["get", "create"]),
    st.sampled_from(["", "apps"]),
    st.sampled_from(["pods", "pods/log"]),
    st.sampled_from(["", "web"]),
)


def cluster_of(roles: dict[tuple[str, str], Any], given_: list[Any]) -> FakeKubeApi:
    api = FakeKubeApi()
    for (place, name), content in roles.items():
        api.put(f"{objects.role_collection(place)}/{name}", {"metadata": {}, "rules": content})
    for number, (place, kind, name, who) in enumerate(given_):
        ref = {"kind": kind if place else "ClusterRole", "name": name}
        api.put(f"{objects.collection(place)}/b{number}", {"metadata": {}, "roleRef": ref, "subjects": who})
    return api


def access_of(api: FakeKubeApi) -> Access:
    kinds = [[objects.CLUSTER_ROLE_BINDINGS, objects.ROLE_BINDINGS], [objects.CLUSTER_ROLES, objects.ROLES]]
    return Access(*([one for kind in some for one in api.list_all(kind).objects] for some in kinds))


@given(
    roles=st.fixed_dictionaries({(place, name): rules for place in PLACES for name in ("a", "b")}),
    given_=bindings,
    user=st.sampled_from(USERS),
    groups=st.lists(st.sampled_from(GROUPS), unique=True),
    atom=requests,
    place=st.sampled_from(PLACES),
)
@settings(max_examples=scaled(300))
def test_answers_are_those_of_the_cluster(
    roles: dict[tuple[str, str], Any], given_: list[Any], user: str, groups: list[str], atom: Atom, place: str
) -> None:
    api = cluster_of(roles, given_)
    body = review.subject_review(Question(Subject("User", user), atom, place))
    body["spec"]["groups"] = groups
    assert (
        access_of(api).allows(user, groups, atom, place) == api.call("POST", review.SUBJECT_REVIEWS, body)["status"]["allowed"]
    )


def test_masters_may_everything_whatever_the_bindings_say() -> None:
    assert Access((), ()).allows("anna", [MASTERS], Atom("delete", "", "nodes", "n1"), "")
    assert not Access((), ()).allows("anna", ["ops"], Atom("delete", "", "nodes", "n1"), "")


def test_a_service_account_without_a_namespace_is_nobody() -> None:
    api = cluster_of({("", "a"): [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}, [])
    nameless = {"kind": "ServiceAccount", "name": "default"}
    api.put(f"{objects.CLUSTER_ROLE_BINDINGS}/b", {"roleRef": {"kind": "ClusterRole", "name": "a"}, "subjects": [nameless]})
    assert not access_of(api).allows("system:serviceaccount::default", [], Atom("get", "", "pods", ""), "")
