# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging our entries into a kubeconfig of somebody else."""

from __future__ import annotations

import copy
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.login import Logins, logins_of, own_values
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.merge import merged
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.wanted import WantedFile, files_from_params
from hypothesis import given
from hypothesis import strategies as st

OLD: dict[str, Any] = codec.load(b"""
apiVersion: v1
kind: Config
x-future: {keep: [1, no]}
preferences: {colors: true}
extensions: [{name: top, extension: 1}]
clusters:
- name: prod
  cluster: {server: "https://old:6443", certificate-authority: /ca.crt, x-new: 1}
  x-entry: kept
- name: foreign
  cluster: {server: "https://foreign:6443"}
users:
- name: anna
  user: {token: old, as: root, extensions: [{name: theirs, extension: {a: 1}}]}
- name: bert
  user: {exec: {command: aws}}
contexts:
- name: anna@prod
  context: {cluster: prod, user: anna, namespace: old}
- name: bert@foreign
  context: {cluster: foreign, user: bert}
current-context: bert@foreign
""")


def file(current: Optional[str] = None, path: str = "/k/config", **sections: list[tuple[Any, ...]]) -> WantedFile:
    """A wanted file; an entry is (name, value) or (name, value, behavior)."""
    raw: dict[str, Any] = {"path": path, "current_context": current}
    for section, entries in sections.items():
        raw[section] = [
            {"name": name, "behavior": behavior[0] if behavior else "merge", section[:-1]: value}
            for name, value, *behavior in entries
        ]
    return files_from_params({"files": [raw], "state": "present"})[0]


def value(document: dict[str, Any], section: str, name: str) -> Any:
    return next(entry for entry in document[section] if entry["name"] == name)[section[:-1]]


def test_keys_are_merged_and_everything_else_stays() -> None:
    new = merged(OLD, file(clusters=[("prod", {"server": "https://new:6443"})]))
    expected = copy.deepcopy(OLD)
    expected["clusters"][0]["cluster"]["server"] = "https://new:6443"
    assert new == expected
    assert list(new) == list(OLD)


def test_the_same_again_changes_nothing() -> None:
    wanted = file(
        "anna@prod", users=[("anna", {"token": "new"})], contexts=[("anna@prod", {"cluster": "prod", "user": "anna"})]
    )
    once = merged(OLD, wanted)
    assert merged(once, wanted) == once
    assert codec.load(codec.dump(once)) == once


@pytest.mark.parametrize(
    ("new", "left"),
    [
        ({"token": "t"}, {"token"}),
        ({"username": "u", "password": "p"}, {"username", "password"}),
        ({"client-certificate-data": "Yw==", "client-key-data": "aw=="}, {"client-certificate-data", "client-key-data"}),
        ({"exec": {"command": "x", "apiVersion": "v1"}}, {"exec"}),
        ({"as": "other"}, {"token"}),
    ],
)
def test_another_way_to_log_in_drops_the_old_one(new: dict[str, Any], left: set[str]) -> None:
    made = value(merged(OLD, file(users=[("anna", new)])), "users", "anna")
    assert made.keys() == left | {"as", "extensions"}


def test_data_drops_the_path_and_verification_off_drops_the_authority() -> None:
    made = merged(OLD, file(clusters=[("prod", {"certificate-authority-data": "Y2E="})]))
    assert value(made, "clusters", "prod").keys() == {"server", "certificate-authority-data", "x-new"}
    off = merged(made, file(clusters=[("prod", {"insecure-skip-tls-verify": True})]))
    assert value(off, "clusters", "prod").keys() == {"server", "insecure-skip-tls-verify", "x-new"}
    on = merged(off, file(clusters=[("prod", {"certificate-authority": "/new.crt"})]))
    assert value(on, "clusters", "prod").keys() == {"server", "certificate-authority", "x-new"}


def test_removing_from_an_empty_file_leaves_it_empty() -> None:
    assert merged({}, file(users=[("anna", None, "remove")])) == {}
    assert merged({}, file(users=[("anna", {"token": "t"})])).keys() >= {"apiVersion", "kind"}


def test_replace_keep_and_remove() -> None:
    new = merged(
        OLD,
        file(
            clusters=[("prod", {"server": "https://r:1"}, "replace"), ("foreign", {"server": "https://no:1"}, "keep")],
            users=[("bert", None, "remove"), ("new", {"token": "t"}, "keep")],
            contexts=[("bert@foreign", None, "remove")],
        ),
    )
    assert new["clusters"][0] == {"name": "prod", "cluster": {"server": "https://r:1"}, "x-entry": "kept"}
    assert value(new, "clusters", "foreign") == {"server": "https://foreign:6443"}
    assert [entry["name"] for entry in new["users"]] == ["anna", "new"]
    assert new["current-context"] == ""


def test_extensions_are_merged_by_name() -> None:
    ours = [{"name": "ours", "extension": {"b": 2}}]
    made = value(merged(OLD, file(users=[("anna", {"extensions": ours})])), "users", "anna")
    assert made["extensions"] == [{"name": "theirs", "extension": {"a": 1}}, *ours]


def test_a_context_of_ours_must_point_to_something() -> None:
    with pytest.raises(BadInput, match="Context 'c' would point to cluster 'nowhere'"):
        merged(OLD, file(contexts=[("c", {"cluster": "nowhere", "user": "anna"})]))
    with pytest.raises(BadInput, match="Context 'c' would point to user ''"):
        merged(OLD, file(contexts=[("c", {"cluster": "prod"})]))


def test_a_context_of_somebody_else_is_not_left_dangling_but_one_that_was_is_left_alone() -> None:
    with pytest.raises(BadInput, match="Context 'bert@foreign' would point to user 'bert'"):
        merged(OLD, file(users=[("bert", None, "remove")]))
    broken = {**OLD, "contexts": [{"name": "broken", "context": {"cluster": "gone", "user": "gone"}}]}
    assert merged(broken, file(users=[("bert", None, "remove")]))["contexts"] == broken["contexts"]


def test_the_current_context_must_exist_and_can_be_cleared() -> None:
    with pytest.raises(BadInput, match="current_context 'x' is not a context of the file"):
        merged(OLD, file("x"))
    assert merged(OLD, file(""))["current-context"] == ""
    assert merged(OLD, file("anna@prod"))["current-context"] == "anna@prod"
    assert merged(OLD, file()) == OLD


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"clusters": [("new", {"tls-server-name": "x"})]}, "cluster 'new' would have no server"),
        ({"users": [("new", {"client-certificate": "/c"})]}, "user 'new' would have a certificate only"),
        ({"users": [("new", {"client-key": "/k"})]}, "user 'new' would have a key only"),
    ],
)
def test_half_an_entry_is_bad_input(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        merged(OLD, file(**sections))


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"users": [("u", {"token": "t"}), ("u", {"token": "t"})]}, "the user 'u' is named twice"),
        ({"users": [("u", {"token": "t", "password": "p"})]}, "in 2 ways"),
        ({"users": [("u", {"password": "p"})]}, "a password needs a username"),
        ({"users": [("u", {"token": "t", "tokenFile": "/t"})]}, "token and tokenFile exclude each other"),
        ({"users": [("u", {})]}, "user 'u' has no content"),
        ({"users": [("u", {"token": "t"}, "remove")]}, "behavior remove takes no user"),
        ({"users": [("", {"token": "t"})]}, "not empty"),
        ({"users": [("a\nb", {"token": "t"})]}, "one printable line"),
        ({"clusters": [("c", {"certificate-authority": "/a", "certificate-authority-data": "x"})]}, "exclude each other"),
        ({"clusters": [("c", {"certificate-authority": "/a", "insecure-skip-tls-verify": True})]}, "exclude each other"),
        ({"path": "relative"}, "not the absolute path"),
        ({"path": "/k/"}, "not the absolute path"),
    ],
)
def test_values_that_cannot_be_meant_end_the_task_early(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        file(**sections)
    assert "/k" in str(refused.value) or "relative" in str(refused.value)


def test_a_path_is_named_once_however_it_is_written() -> None:
    raw = [{"path": "/k/config"}, {"path": "/k/./x/../config"}]
    with pytest.raises(BadInput, match="named twice"):
        files_from_params({"files": raw, "state": "present"})


@pytest.mark.parametrize("mode", ["384", "0644", "0700", "600", "0602", "u=rw", "06000"])
def test_modes_that_open_the_file_or_lost_their_quotes_are_refused(mode: str) -> None:
    with pytest.raises(BadInput, match=f"mode '{mode}'"):
        files_from_params({"files": [{"path": "/k", "mode": mode}], "state": "present"})


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ({"users": {"anna": {}}}, "users is not a list"),
        ({"users": ["anna"]}, "users is not a list"),
        ({"users": [{"name": "anna", "user": {}}, {"name": "anna", "user": {}}]}, "two entries for user 'anna'"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_a_conflict(old: dict[str, Any], said: str) -> None:
    with pytest.raises(Conflict, match=said):
        merged(old, file(users=[("anna", {"token": "t"})]))


def test_an_unquoted_number_is_the_same_name_and_an_unquoted_word_is_another() -> None:
    old = codec.load(b"users:\n- {name: 123, user: {token: a}}\n- {name: no, user: {token: b}}\n")
    new = merged(old, file(users=[("123", {"token": "c"}), ("no", {"token": "d"})]))
    assert codec.load(codec.dump(new))["users"] == [
        {"name": "123", "user": {"token": "c"}},
        {"name": codec.Plain("no"), "user": {"token": "b"}},
        {"name": "no", "user": {"token": "d"}},
    ]


def test_a_login_uses_the_values_of_the_task_only() -> None:
    wanted = file(
        clusters=[("prod", {"server": "https://new:6443"})],
        users=[("anna", {"token": "new"})],
        contexts=[("anna@prod", {"cluster": "prod", "user": "anna"})],
    )
    own = own_values(wanted, merged(OLD, wanted))
    assert own["clusters"] == [{"name": "prod", "cluster": {"server": "https://new:6443"}}]
    assert own["users"] == [{"name": "anna", "user": {"token": "new"}}]
    assert logins_of(wanted) == Logins(("anna@prod",))


def test_a_kept_entry_of_somebody_else_is_not_used_to_log_in() -> None:
    wanted = file(clusters=[("foreign", {"server": "https://ours:1"}, "keep")])
    with pytest.raises(BadInput, match="kept as it was found"):
        own_values(wanted, merged(OLD, wanted))
    with pytest.raises(BadInput, match="names no context"):
        logins_of(wanted)


scalars = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3)))
foreign = st.dictionaries(st.text(max_size=5), scalars)
names = st.text(min_size=1, max_size=6)


@given(foreign, st.lists(st.tuples(names, foreign), max_size=4, unique_by=lambda pair: pair[0]))
def test_nothing_foreign_is_ever_lost(top: dict[str, Any], users: list[tuple[str, Any]]) -> None:
    old = {**{f"x-{key}": child for key, child in top.items()}, "users": [{"name": n, "user": v} for n, v in users]}
    kept = copy.deepcopy(old)
    new = merged(old, file(users=[("ours-anna", {"token": "t"})]))
    assert old == kept
    assert new == {**old, "users": [*old["users"], {"name": "ours-anna", "user": {"token": "t"}}]}
