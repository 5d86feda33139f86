# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Own rules, windows, selectors, replacement, adoption, the caller's rights and the review, on the in-memory API."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.window import ALWAYS, Window, moment, window_from
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.places import selected, selector_from
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.kube_api import FakeKubeApi, forbid
from rbac_world import NOW, Result, bindings, cluster, users
from scale import scaled

READ = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
RULES = {"cluster_role": None, "rules": READ}
SOON, PAST = "2027-01-16T00:00:00Z", "2027-01-14T00:00:00Z"


@pytest.fixture
def api() -> FakeKubeApi:
    return cluster()


@pytest.mark.parametrize(
    ("text", "whole_day", "seconds"),
    [
        ("2027-01-15", False, 1_799_971_200),
        ("2027-01-15", True, 1_800_057_600),
        ("2027-01-15T08:00:00Z", True, NOW),
        ("2027-01-15 08:00:00+00:00", True, NOW),
        ("2027-01-15T10:30:00+02:30", False, NOW),
    ],
)
def test_moments(text: str, whole_day: bool, seconds: int) -> None:
    assert moment(text, "x", whole_day=whole_day) == seconds


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2027-13-01", "2027-01-15T08:00:00", "2027-1-5", "9999-12-31T23:59:59-23:59", "30d"]
)
def test_other_texts_are_no_moments(text: str) -> None:
    with pytest.raises(BadInput, match="not a date or a moment"):
        window_from(None, text if text != "9999-12-31T23:59:59-23:59" else "0000-12-31", "grants[0]")
    assert (
        ALWAYS.stands(NOW) == "open" and Window(NOW, NOW + 1).stands(NOW) == "open" and Window(None, NOW).stands(NOW) == "over"
    )


def test_a_grant_outside_its_window_is_absent(api: FakeKubeApi) -> None:
    done = Result(api, users("anna", expires=SOON), users("bert", expires=PAST), users("carla", not_before=SOON))
    assert list(done.actions.values()) == ["created", "unchanged", "unchanged"]
    assert done.told["next_end"]["name"] == "anna: edit in red" and done.told["next_end"]["at"] == SOON
    assert done.told["next_start"]["name"] == "carla: edit in red" and done.told["overdue"] == []
    late = Result(api, users("anna", expires=SOON), now=NOW + 10 * 86400)
    assert late.actions == {"anna: edit in red": "removed"} and late.told["overdue"][0]["still_active"] is False
    assert bindings(api) == []


def test_an_end_that_passed_without_a_run_is_told_even_if_nobody_names_the_grant(api: FakeKubeApi) -> None:
    Result(api, users("anna", expires=SOON))
    late = Result(api, users("bert"), now=NOW + 10 * 86400)
    assert late.told["overdue"] == [{"name": "anna: edit in red", "ended": SOON, "still_active": True}]
    longer = Result(api, users("anna", expires="2028-01-01"), now=NOW + 10 * 86400)
    assert longer.verdicts["anna: edit in red"].reason == "end had been changed"


@pytest.mark.parametrize(
    "entry", [{"expires": "soon"}, {"not_before": SOON, "expires": PAST}, {"expires": PAST, "not_before": PAST}]
)
def test_windows_that_cannot_be_are_named(api: FakeKubeApi, entry: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"grants\[1\]"):
        Result(api, users("anna"), users("bert", **entry))


def test_one_role_per_place_serves_all_subjects_and_goes_with_the_last(api: FakeKubeApi) -> None:
    both = users("anna", "bert", **RULES)
    done = Result(api, both)
    assert [one.kind for one in done.verdicts.values()] == ["role", "grant", "grant"] and done.writes == ["POST"] * 3
    assert Result(api, both).writes == []
    assert Result(api, users("anna", **RULES), prune=True).writes == ["DELETE"]
    assert Result(api, prune=True).writes == ["DELETE", "DELETE"]
    assert Result(api, users("anna", **RULES, scope="cluster", namespaces=None)).writes == ["POST", "POST"]


def test_a_role_of_somebody_else_in_our_place_and_an_aggregated_one_are_never_written(api: FakeKubeApi) -> None:
    Result(api, users("anna", **RULES))
    (path,) = [path for path in api.objects if "/roles/rules" in path]
    api.objects[path]["aggregationRule"] = {}
    assert "not ours to write" in Result(api, users("bert", **RULES)).error("bert: " + path.rsplit("/", 1)[1] + " in red")
    del api.objects[path]["aggregationRule"]
    api.objects[path]["metadata"]["labels"] = {}
    assert Result(api, users("bert", **RULES)).writes == [] and Result(api, prune=True).writes == ["DELETE"]
    assert path in api.objects


def test_what_fails_below_a_grant_fails_the_grant(api: FakeKubeApi) -> None:
    api.on_write.append(forbid("POST", "/roles/"))
    done = Result(api, users("anna", **RULES), users("bert"), on_error="continue")
    assert list(done.actions.values()) == ["failed", "failed", "created"] and len(bindings(api)) == 1


def test_the_old_role_stays_when_the_new_one_cannot_be_given(api: FakeKubeApi) -> None:
    Result(api, users("anna", cluster_role="view"))
    api.on_write.append(forbid("POST", "rolebindings"))
    done = Result(api, users("anna"), prune=True, on_error="continue")
    assert set(done.actions.values()) == {"failed"} and len(bindings(api)) == 1


def test_names_of_foreign_identity_providers(api: FakeKubeApi) -> None:
    done = Result(
        api,
        {
            "subjects": {"users": ["Anna Müller", "anna müller"], "groups": ["oidc:Devs"]},
            "cluster_role": "view",
            "scope": "cluster",
        },
    )
    assert set(done.actions.values()) == {"created"} and len(bindings(api)) == 3
    for name in ("", " a", "a\n", "x" * 257, "SYSTEM:masters", "ｓystem:x", "a\u200bb"):
        with pytest.raises(BadInput):
            Result(api, users(name))


def test_every_second_denied_grant_leaves_the_others(api: FakeKubeApi) -> None:
    api.on_write.append(forbid("POST", "/namespaces/blue/"))
    done = Result(api, users(*(f"u{n}" for n in range(40)), namespaces=["red", "blue"]), on_error="continue")
    assert sorted(done.actions.values()) == ["created"] * 40 + ["failed"] * 40 and len(bindings(api)) == 40


def test_a_missing_right_is_told_before_any_write(api: FakeKubeApi) -> None:
    api.missing = {"bind clusterroles", "create pods"}
    api.held = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    for check in (True, False):
        done = Result(api, users("anna"), users("bert", cluster_role="view"), check=check, on_error="continue")
        assert done.actions == {"anna: edit in red": "failed", "bert: view in red": "created"}
        assert "neither bind clusterroles.rbac.authorization.k8s.io 'edit' nor 'create pods'" in done.error("anna: edit in red")
    api.missing = {"create rolebindings", "delete rolebindings"}
    assert Result(api, users("carla")).writes == []
    assert "may not delete rolebindings" in Result(api, prune=True).error("bert: view in red")


def test_the_review_tells_expected_and_real_answers(api: FakeKubeApi) -> None:
    entry = {"subjects": {"groups": ["Devs"], "service_accounts": ["ci/bot"]}, "cluster_role": "edit", "namespaces": ["red"]}
    done = Result(api, entry, verify="access_review")
    assert [one.facts["access"][0]["allowed"] for one in done.verdicts.values()] == [True, True]
    again = Result(api, entry, verify="access_review")
    assert again.writes == [] and set(again.actions.values()) == {"unchanged"}
    foreign = copy.deepcopy(api.objects[bindings(api)[0]])
    foreign["metadata"]["labels"] = {}
    api.put(f"{objects.RBAC}/namespaces/red/rolebindings/foreign", foreign)
    gone = Result(api, entry, state="absent", verify="access_review", on_error="continue")
    assert sorted(gone.actions.values()) == ["failed", "removed"]
    narrower = Result(api, users("anna", cluster_role="view"), users("anna", state="absent"), verify="access_review")
    assert [row["what"] for row in narrower.verdicts["anna: edit in red"].facts["access"]] == ["create pods"]


def test_who_hands_on_rights_may_need_an_end(api: FakeKubeApi) -> None:
    lead = users("anna", cluster_role=None, rules=[{"apiGroups": ["*"], "resources": ["rolebindings"], "verbs": ["create"]}])
    assert len(Result(api, lead, check=True).told["admin_without_end"]) == 1
    assert "only granted to people with an end" in next(
        one.error.sentence() for one in Result(api, lead, allow_admin="with_end").verdicts.values() if one.error
    )
    assert Result(api, {**lead, "expires": SOON}, allow_admin="with_end").writes == ["POST", "POST"]
    robot = {**lead, "subjects": {"service_accounts": ["ci/bot"]}}
    assert "created" in Result(api, robot, allow_admin="never").actions.values()


LABELS = st.dictionaries(st.sampled_from(["team", "stage"]), st.sampled_from(["a", "b"]))
TERMS = st.lists(
    st.one_of(
        st.builds(
            lambda key, how, values: {"key": key, "operator": how, "values": values},
            st.sampled_from(["team", "stage"]),
            st.sampled_from(["In", "NotIn"]),
            st.lists(st.sampled_from(["a", "b"]), min_size=1),
        ),
        st.builds(
            lambda key, how: {"key": key, "operator": how},
            st.sampled_from(["team"]),
            st.sampled_from(["Exists", "DoesNotExist"]),
        ),
    ),
    min_size=1,
    max_size=3,
)


@given(LABELS, TERMS, st.sampled_from(["red", "kube-system", "rook-ceph", "rook-2", "mine"]))
def test_selectors_never_reach_protected_namespaces(labels: dict[str, str], terms: list[Any], name: str) -> None:
    found = selected(selector_from({"matchExpressions": terms}, "x"), {name: {"metadata": {"labels": labels}}}, ["mine"])
    assert found in ([], ["red"])
    if found:
        assert all(
            {
                "In": labels.get(term["key"]) in term.get("values", ()),
                "NotIn": labels.get(term["key"]) not in term.get("values", ()),
                "Exists": term["key"] in labels,
                "DoesNotExist": term["key"] not in labels,
            }[term["operator"]]
            for term in terms
        )


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchLabels": {}},
        {"match_labels": {"a": "b"}},
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        {"matchLabels": {"a b": "c"}},
    ],
)
def test_selectors_that_would_surprise_are_refused(selector: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        selector_from(selector, "grants[0]")


def test_what_is_named_counts_more_than_what_is_selected(api: FakeKubeApi) -> None:
    every = users("anna", namespaces=None, namespace_selector={"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]})
    done = Result(api, users("anna", state="absent"), every)
    assert done.actions == {"anna: edit in red": "unchanged", "anna: edit in blue": "created"}


def anything() -> st.SearchStrategy[dict[str, Any]]:
    role = st.sampled_from(
        [
            {"cluster_role": "view"},
            {"cluster_role": "edit"},
            {"cluster_role": "admin2"},
            {"rules": READ},
            {"preset": "pod-debugger"},
        ]
    )
    place = st.sampled_from(
        [
            {"namespaces": ["red"]},
            {"namespaces": ["blue"]},
            {"namespace_selector": {"matchLabels": {"team": "t"}}},
            {"namespaces": ["new"]},
        ]
    )
    when = st.sampled_from([{}, {"expires": SOON}, {"expires": PAST}, {"not_before": SOON}, {"state": "absent"}])
    name = st.sampled_from([{}, {}, {"name": "mine"}, {"name": "theirs"}])
    who = st.sampled_from(["anna", "Bert", "oidc:Carla"]).map(lambda user: {"subjects": {"users": [user]}})
    return st.builds(lambda *parts: {key: text for part in parts for key, text in part.items()}, who, role, place, when, name)


@settings(max_examples=scaled(300), deadline=None)
@given(
    st.lists(st.lists(anything(), max_size=6), min_size=1, max_size=3),
    st.fixed_dictionaries(
        {key: st.booleans() for key in ("prune", "adopt", "allow_recreate", "create_namespaces")},
    ),
)
def test_second_runs_change_nothing_and_foreign_objects_are_never_touched(
    lists: list[list[Any]], options: dict[str, bool]
) -> None:
    api = cluster()
    api.objects[f"{objects.NAMESPACES}/blue"]["metadata"]["labels"] = {"team": "t"}
    foreign = {
        f"{objects.RBAC}/namespaces/red/rolebindings/other": {"labels": {objects.OWNER: "others"}},
        f"{objects.RBAC}/namespaces/red/rolebindings/theirs": {"labels": {objects.OWNER: "others"}},
        f"{objects.RBAC}/namespaces/blue/rolebindings/theirs": {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        f"{objects.RBAC}/namespaces/red/roles/plain": {},
    }
    before = {
        path: copy.deepcopy(api.put(path, {"metadata": meta, "roleRef": {}, "subjects": []})) for path, meta in foreign.items()
    }
    told: dict[str, Any] = {**options, "on_error": "continue", "max_deletes": 99}
    for grants in lists:
        try:
            predicted = Result(api, *grants, check=True, **told)
        except BadInput:  # said twice
            continue
        done = Result(api, *grants, **told)
        assert predicted.actions == done.actions and predicted.diff == done.diff
        again = Result(api, *grants, **told)
        assert again.writes == [] and again.run.done == ()
    assert {path: api.objects[path] for path in before} == before
