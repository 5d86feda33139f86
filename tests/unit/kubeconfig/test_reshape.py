# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole documents changed: several joined, entries renamed, one context kept, entries of a manager pruned, keys unset."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.wanted import MARK
from ansible_collections.kubestead.platform.plugins.modules import kubeconfig_render

from fakes.kubeconfig_world import World, person

FIRST = b"""
clusters:
- {name: red, cluster: {server: "https://red:1", certificate-authority: pki/ca.crt, x-unknown: [1, no]}}
users:
- {name: me, user: {client-certificate: me.crt, client-key: ../me.key, tokenFile: /abs/token}}
- {name: cmd, user: {exec: {command: ./bin/login, apiVersion: v1}}}
contexts:
- {name: red, context: {cluster: red, user: me}}
"""
SECOND = b"""
clusters:
- {name: red, cluster: {server: "https://other:1", tls-server-name: x}}
- {name: blue, cluster: {server: "https://blue:1"}}
users:
- {name: me, user: {token: other}}
contexts:
- {name: blue, context: {cluster: blue, user: me}}
current-context: blue
"""


@pytest.fixture
def world() -> World:
    world = World()
    world.store.put("/src/one/first", FIRST)
    world.store.put("/src/two/second", SECOND)
    return world


def entry(document: dict[str, Any], section: str, name: str) -> Any:
    return next(each for each in document[section] if each["name"] == name)[section[:-1]]


def names(document: dict[str, Any], section: str) -> list[str]:
    return [each["name"] for each in document[section]]


def test_the_first_file_that_has_an_entry_counts_and_paths_are_written_out(world: World) -> None:
    wanted = {"path": "/k/all", "merge_from": ["/src/one/first", "/src/none", "/src/two/second"]}
    _run, entries = world.run([wanted])
    made = world.document("/k/all")
    assert entry(made, "clusters", "red") == {
        "server": "https://red:1",
        "certificate-authority": "/src/one/pki/ca.crt",
        "x-unknown": [1, codec.Plain("no")],
    }
    expected = {"client-certificate": "/src/one/me.crt", "client-key": "/src/me.key", "tokenFile": "/abs/token"}
    assert entry(made, "users", "me") == expected
    assert entry(made, "users", "cmd")["exec"]["command"] == "/src/one/bin/login"
    assert (names(made, "clusters"), made["current-context"]) == (["red", "blue"], "blue")
    assert entries["/k/all"]["warnings"] == ["merge_from /src/none is not there"]
    assert world.run([wanted])[1]["/k/all"]["action"] == "unchanged"


def test_what_a_source_changes_is_taken_over_and_the_tasks_own_words_come_on_top(world: World) -> None:
    own = {"name": "red", "behavior": "merge", "cluster": {"tls-server-name": "ours"}}
    wanted = {"path": "/k/all", "merge_from": ["/src/one/first"], "clusters": [own]}
    world.run([wanted])
    world.store.put("/src/one/first", FIRST.replace(b"https://red:1", b"https://red:2"))
    _run, entries = world.run([wanted])
    assert entries["/k/all"]["action"] == "updated"
    red = entry(world.document("/k/all"), "clusters", "red")
    assert (red["server"], red["tls-server-name"]) == ("https://red:2", "ours")


def test_a_broken_source_is_named_and_nothing_is_written(world: World) -> None:
    world.store.put("/src/two/second", b"clusters: {no: list}")
    _run, entries = world.run([{"path": "/k/all", "merge_from": ["/src/one/first", "/src/two/second"]}])
    assert "merge_from /src/two/second" in entries["/k/all"]["error"]["msg"]
    assert world.store.writes == []


def test_no_source_of_somebody_else_is_read_for_embedding(world: World) -> None:
    world.run([{"path": "/k/all", "merge_from": ["/src/one/first"]}], embed=True)
    assert world.store.reads == ["/src/one/first"]


def test_references_follow_a_new_name_and_a_second_run_does_nothing(world: World) -> None:
    world.store.put("/k/all", FIRST + b"current-context: red\n")
    renames = [
        {"kind": "context", "from": "red", "to": "prod"},
        {"kind": "cluster", "from": "red", "to": "no"},
        {"kind": "user", "from": "me", "to": "anna"},
    ]
    wanted = {"path": "/k/all", "rename": renames, "merge_from": ["/src/two/second"]}
    _run, entries = world.run([wanted])
    assert entries["/k/all"]["action"] == "updated"
    made = world.document("/k/all")
    assert entry(made, "contexts", "prod") == {"cluster": "no", "user": "anna"}
    assert entry(made, "contexts", "blue") == {"cluster": "blue", "user": "anna"}
    assert made["current-context"] == "prod"
    assert names(made, "clusters") == ["no", "blue"]
    assert world.run([wanted])[1]["/k/all"]["action"] == "unchanged"


def test_a_new_name_that_is_taken_is_a_conflict(world: World) -> None:
    world.store.put("/k/all", SECOND)
    _run, entries = world.run([{"path": "/k/all", "rename": [{"kind": "cluster", "from": "red", "to": "blue"}]}])
    assert "'red' cannot become 'blue'" in entries["/k/all"]["error"]["msg"]


def test_only_what_one_context_needs_is_kept(world: World) -> None:
    wanted = {"path": "/k/all", "merge_from": ["/src/one/first", "/src/two/second"], "minify": "red"}
    world.run([wanted])
    made = world.document("/k/all")
    assert [names(made, section) for section in ("clusters", "users", "contexts")] == [["red"], ["me"], ["red"]]
    assert made["current-context"] == "red"
    assert world.run([wanted])[1]["/k/all"]["action"] == "unchanged"
    _run, entries = world.run([{**wanted, "minify": "green"}])
    assert "It has: blue, red." in entries["/k/all"]["error"]["hint"]


def test_only_entries_that_carry_the_managers_mark_are_pruned(world: World) -> None:
    world.store.put("/k/all", SECOND)
    both = [person("anna", path="/k/all")["users"][0], person("bert", path="/k/all")["users"][0]]
    world.run([{"path": "/k/all", "users": both, "prune": True}], manager="people")
    world.run([{"path": "/k/all", "users": [person("carl")["users"][0]]}], manager="others")
    mark = entry(world.document("/k/all"), "users", "anna")["extensions"]
    assert mark == [{"name": MARK, "extension": {"manager": "people"}}]
    _run, entries = world.run([{"path": "/k/all", "users": both[:1], "prune": True}], manager="people")
    assert entries["/k/all"]["reason"] == "users bert"
    assert names(world.document("/k/all"), "users") == ["me", "anna", "carl"]
    assert world.run([{"path": "/k/all", "users": both[:1], "prune": True}], manager="people")[0].done == ()


def test_what_leaves_a_source_is_pruned_with_its_context(world: World) -> None:
    wanted = {"path": "/k/all", "merge_from": ["/src/one/first", "/src/two/second"], "prune": True}
    world.run([wanted], manager="files")
    world.run([{**wanted, "merge_from": ["/src/one/first"]}], manager="files")
    made = world.document("/k/all")
    assert (names(made, "contexts"), names(made, "clusters"), made["current-context"]) == (["red"], ["red"], "")


def test_pruning_never_breaks_a_context_of_somebody_else(world: World) -> None:
    world.run([person("anna", path="/k/all", prune=True)], manager="people")
    document = world.document("/k/all")
    document["contexts"].append({"name": "theirs", "context": {"cluster": "prod", "user": "anna"}})
    world.store.put("/k/all", codec.dump(document))
    _run, entries = world.run([{"path": "/k/all", "prune": True}], manager="people")
    assert "Context 'theirs' would point to" in entries["/k/all"]["error"]["msg"]


def test_null_is_the_same_as_left_out(world: World) -> None:
    """Ansible itself makes no difference, which is why there is ``unset``."""
    validator = ArgumentSpecValidator({"files": kubeconfig_render.SPEC["files"]})
    written, left_out = (
        validator.validate({"files": [{"path": "/k/anna", "users": [{"name": "anna", "user": user}]}]}).validated_parameters
        for user in ({"token": "t", "username": None, "client-key": None}, {"token": "t"})
    )
    assert written == left_out
    world.run([person("anna", {"token": "t", "as": "bert"})])
    run, _entries = world.run([person("anna", {"token": "t", "as": None, "exec": None})])
    assert run.done == ()


def test_keys_are_unset_and_a_missing_entry_is_not_made(world: World) -> None:
    world.store.put("/k/all", SECOND)
    gone = {"name": "red", "behavior": "merge", "unset": ["tls-server-name", "nothing"]}
    absent = {"name": "green", "behavior": "merge", "unset": ["tls-server-name"]}
    world.run([{"path": "/k/all", "clusters": [gone, absent]}])
    assert entry(world.document("/k/all"), "clusters", "red") == {"server": "https://other:1"}
    assert names(world.document("/k/all"), "clusters") == ["red", "blue"]
    _run, entries = world.run([{"path": "/k/all", "clusters": [{**gone, "unset": ["server"]}]}])
    assert "would have no server" in entries["/k/all"]["error"]["msg"]
    assert world.run([{"path": "/k/none", "clusters": [absent]}])[1]["/k/none"]["action"] == "unchanged"


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"prune": True}, {}, "Set manager"),
        ({"minify": "a", "current_context": "b"}, {}, "name two contexts"),
        ({"rename": [{"kind": "user", "from": "a", "to": "a"}]}, {}, "not another name"),
        ({"rename": [{"kind": "user", "from": "a", "to": "b"}] * 2}, {}, "named twice"),
        ({"merge_from": ["x"]}, {}, "absolute path"),
        ({}, {"manager": "a\nb"}, "printable"),
        ({}, {"backup": True, "backup_count": 0}, "backup_count is 0"),
        ({"users": [{"name": "a", "behavior": "replace", "unset": ["token"], "user": {"token": "x"}}]}, {}, "belongs to"),
        ({"users": [{"name": "a", "behavior": "merge", "unset": ["token"], "user": {"token": "x"}}]}, {}, "set and unset"),
    ],
)
def test_options_that_contradict_each_other_end_the_task(
    world: World, change: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        world.run([{"path": "/k/all", **change}], **options)
    assert said in caught.value.sentence()


def test_an_identity_provider_becomes_a_login_command(world: World) -> None:
    oidc = {"issuer_url": "https://sso.example", "client_id": "k8s", "client_secret": "hush", "extra_scopes": ["groups"]}
    run, entries = world.run([person("anna", {"oidc": oidc})], verify="login")
    made = entry(world.document("/k/anna.config"), "users", "anna")["exec"]
    assert made["args"] == [
        "oidc-login",
        "get-token",
        "--oidc-issuer-url=https://sso.example",
        "--oidc-client-id=k8s",
        "--oidc-client-secret=hush",
        "--oidc-extra-scope=groups",
    ]
    assert (made["command"], made["apiVersion"]) == ("kubectl", "client.authentication.k8s.io/v1")
    assert "hush" not in json.dumps([entries, [dict(step.after or {}) for step in run.done]])
    assert world.asked == []
    assert "logs in by a command, which is not run" in entries["/k/anna.config"]["warnings"][0]
    for wrong in ("http://sso.example", "https://a@sso.example", "sso", "https://[x"):
        with pytest.raises(BadInput, match="issuer_url"):
            world.run([person("anna", {"oidc": {**oidc, "issuer_url": wrong}})])
