# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions as sets; what the API server says about the same rules is asked on the lab."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import presets
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import (
    EVERYTHING,
    Atom,
    Permissions,
    rules_from,
    rules_of,
    same,
)
from hypothesis import given
from hypothesis import strategies as st


def some(*words: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3)


RULES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "apiGroups": some("", "apps", "*"),
                "resources": some("pods", "pods/log", "deployments", "deployments/scale", "*", "*/scale"),
                "verbs": some("get", "list", "delete", "*"),
            },
            optional={"resourceNames": some("a", "b", "*")},
        ),
        st.fixed_dictionaries({"nonResourceURLs": some("/a", "/a/b", "/a*", "/a/**", "*"), "verbs": some("get", "post", "*")}),
    ),
    max_size=4,
)
REQUESTS = st.one_of(
    st.builds(
        Atom,
        st.sampled_from(["get", "list", "delete", "watch", "*"]),
        st.sampled_from(["", "apps", "batch", "*"]),
        st.sampled_from(["pods", "pods/log", "deployments", "deployments/scale", "jobs", "*"]),
        st.sampled_from(["", "a", "c", "*"]),
    ),
    st.builds(
        lambda verb, path: Atom(verb, path=path), st.sampled_from(["get", "*"]), st.sampled_from(["/a", "/ab", "/a/b/c", "/"])
    ),
)


@given(RULES, REQUESTS)
def test_the_shortest_way_to_write_rules_allows_the_same(rules: list[dict[str, Any]], request: Atom) -> None:
    whole = Permissions.of(rules)
    short = rules_of(whole.canonical())
    assert same(rules, short) and same(rules, [*reversed(rules), *rules])
    assert Permissions.of(short).allows(request) == whole.allows(request)
    assert Permissions.of(short).canonical() == whole.canonical()


@given(RULES, RULES, REQUESTS)
def test_whatever_holds_more_allows_more(one: list[dict[str, Any]], other: list[dict[str, Any]], request: Atom) -> None:
    mine, theirs = Permissions.of(one), Permissions.of(other)
    both = mine | theirs
    assert not both.lacking(mine) and not both.lacking(theirs)
    if not mine.lacking(theirs) and theirs.allows(request):
        assert mine.allows(request)
    assert (not mine.lacking(theirs) and not theirs.lacking(mine)) == same(one, other)


def test_words_and_everything() -> None:
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    assert Permissions.of([rule]).allows(EVERYTHING)
    assert not Permissions.of([{**rule, "resourceNames": ["a"]}]).allows(EVERYTHING)
    assert Atom("get", "apps", "deployments", "web").words() == "get deployments.apps 'web'"
    assert Atom("get", path="/healthz").words() == "get /healthz"


def test_no_preset_of_ours_reaches_secrets_or_roles() -> None:
    for name in set(presets.NAMES) - set(presets.BUILT_IN):
        held = Permissions(presets.permissions(name))
        for kind in ("secrets", "configmaps", "serviceaccounts/token"):
            assert not held.allows(Atom("get", "", kind)) and not held.allows(Atom("create", "", kind))
        assert not any(atom.group == "rbac.authorization.k8s.io" or "*" in "".join(atom[:3]) for atom in held.atoms)


GOOD = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "not a list of rules"),
        (["x"], r"rules\[0\] is not a mapping"),
        ([{**GOOD, "api_groups": [""]}], "unknown key 'api_groups'"),
        ([{**GOOD, "verbs": []}], "has no verbs"),
        ([{**GOOD, "verbs": "get"}], "verbs is not a list"),
        ([{**GOOD, "verbs": [""]}], "cannot be meant"),
        ([{**GOOD, "resourceNames": [""]}], "cannot be meant"),
        ([{**GOOD, "nonResourceURLs": ["/a"]}], "needs either"),
        ([{"verbs": ["get"], "resources": ["pods"]}], "needs either"),
        ([GOOD, {"verbs": ["get"], "nonResourceURLs": ["/a"], "apiGroups": [""]}], r"rules\[1\] needs either"),
    ],
)
def test_mistakes_in_rules_are_named(rules: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rules_from(rules, "grants[0]")
