# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs in Secrets and ConfigMaps, what may stand in plain text, backups, leftovers, certificates and warnings."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import render_diff
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.private import private_values

from fakes.kube_api import forbid
from fakes.kubeconfig_world import NOW, World, person
from fakes.pairs import pair_for

SPACE = "/api/v1/namespaces/people"


@pytest.fixture
def world() -> World:
    world = World()
    world.kube.put(SPACE, {"metadata": {}})
    return world


def in_secret(name: str, user: Any = None, key: str = "kubeconfig", **more: Any) -> dict[str, Any]:
    wanted = person(name, user, **more)
    del wanted["path"]
    return {**wanted, "secret": {"namespace": "people", "name": name, "key": key}}


def in_configmap(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    wanted = person("anna", user)
    del wanted["path"]
    wanted["clusters"][0]["cluster"].update(cluster)
    return {**wanted, "configmap": {"namespace": "people", "name": "anna", "key": "kubeconfig"}}


def held(world: World, name: str, key: str = "kubeconfig") -> dict[str, Any]:
    return codec.load(base64.b64decode(world.kube.objects[f"{SPACE}/secrets/{name}"]["data"][key]))


def test_secrets_are_read_by_one_list_and_only_those_that_differ_are_written(world: World) -> None:
    files = [in_secret("anna"), in_secret("bert")]
    planned, foretold = world.run(files, check=True)
    assert world.kube.writes == []
    run, entries = world.run(files)
    assert entries == foretold
    assert render_diff(run.done) == render_diff(planned.done)
    assert "secret-anna" not in json.dumps([entries, render_diff(run.done)]) + repr(run)
    assert held(world, "anna")["users"] == [{"name": "anna", "user": {"token": "secret-anna"}}]
    world.kube.calls.clear()
    assert world.run([*files, in_secret("carl")])[1]["secret people/carl kubeconfig"]["action"] == "created"
    assert world.kube.calls[0] == ("LIST", f"{SPACE}/secrets")
    assert world.kube.writes == [("POST", f"{SPACE}/secrets")]


def test_other_keys_of_a_secret_stay_and_our_own_secret_goes_with_its_last_key(world: World) -> None:
    world.kube.put(f"{SPACE}/secrets/anna", {"metadata": {}, "data": {"theirs": "eA=="}})
    world.run([in_secret("anna"), in_secret("bert")])
    assert world.kube.objects[f"{SPACE}/secrets/anna"]["data"]["theirs"] == "eA=="
    for action in ("removed", "unchanged"):
        _run, entries = world.run([in_secret("anna"), in_secret("bert")], state="absent")
        assert {each["action"] for each in entries.values()} == {action}
    assert world.kube.objects[f"{SPACE}/secrets/anna"]["data"] == {"theirs": "eA=="}
    assert f"{SPACE}/secrets/bert" not in world.kube.objects


def test_what_another_controller_writes_meanwhile_stays(world: World) -> None:
    world.run([in_secret("anna")])
    place = {"namespace": "people", "name": "anna", "key": "kubeconfig"}
    others = [{**in_secret(name), "secret": place} for name in ("bert", "carl", "dora")]
    call = world.kube.call

    def slow(method: str, path: str, *more: Any, **named: Any) -> dict[str, Any]:
        found = call(method, path, *more, **named)
        if method == "GET" and others:  # between the reading of one and its writing, another one does all its work
            world.run([others.pop()])
        return found

    world.kube.call = slow  # type: ignore[method-assign]
    _run, entries = world.run([{**in_secret("emil"), "secret": place}])
    assert entries["secret people/anna kubeconfig"]["action"] == "updated"
    assert sorted(each["name"] for each in held(world, "anna")["users"]) == ["anna", "bert", "carl", "dora", "emil"]


def test_without_the_right_to_list_single_objects_are_read(world: World) -> None:
    def denied(path: str, query: Any = None) -> Any:
        forbid("LIST", "")("LIST", path, {})

    world.kube.list_all = denied  # type: ignore[method-assign]
    _run, entries = world.run([in_secret("anna"), in_secret("bert")])
    assert {each["action"] for each in entries.values()} == {"created"}


def test_a_missing_namespace_fails_its_entries_only(world: World) -> None:
    lost = {**in_secret("anna"), "secret": {"namespace": "nowhere", "name": "anna", "key": "kubeconfig"}}
    _run, entries = world.run([lost, in_secret("bert"), person("carl")])
    assert [each["action"] for each in entries.values()] == ["failed", "created", "created"]


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({"token": "canary"}, {}, "user 'anna': token"),
        ({"username": "a", "password": "canary"}, {}, "password"),
        ({"client-certificate-data": "eA==", "client-key-data": "Y2FuYXJ5"}, {}, "client-key-data"),
        ({"exec": {"apiVersion": "v1", "command": "x", "env": [{"name": "A", "value": "canary"}]}}, {}, "exec env"),
        ({"exec": {"apiVersion": "v1", "command": "x", "args": ["--client-secret=canary"]}}, {}, "exec args"),
        ({"exec": {"apiVersion": "v1", "command": "x", "args": ["--password", "canary"]}}, {}, "exec args"),
        ({"auth-provider": {"name": "oidc", "config": {"refresh-token": "canary"}}}, {}, "auth-provider"),
        ({"x-unknown": "canary", "username": "a"}, {}, "x-unknown"),
        ({"tokenFile": "/t"}, {"proxy-url": "http://u:canary@p:1"}, "the login in proxy-url"),
        ({"tokenFile": "/t"}, {"server": "https://u:canary@p:1"}, "the login in server"),
        (
            {"tokenFile": "/t"},
            {"certificate-authority-data": base64.b64encode(b"x" * 60 + b"-----BEGIN RSA PRIVATE KEY-----").decode()},
            "a private key in certificate-authority-data",
        ),
    ],
)
def test_nothing_private_gets_into_a_configmap(world: World, user: dict[str, Any], cluster: dict[str, Any], said: str) -> None:
    run, entries = world.run([in_configmap(user, **cluster)])
    error = entries["configmap people/anna kubeconfig"]["error"]
    assert error["code"] == "refused"
    assert said in error["msg"]
    assert "canary" not in json.dumps(entries) + repr(run)
    assert world.kube.writes == []
    world.run([in_configmap(user, **cluster)], allow_plain=True)
    assert world.kube.writes == [("POST", f"{SPACE}/configmaps")]


def test_a_configmap_without_secrets_is_written_as_text(world: World) -> None:
    oidc = {"issuer_url": "https://sso.example", "client_id": "k8s", "extra_scopes": ["groups"]}
    _run, entries = world.run([in_configmap({"oidc": oidc})])
    assert entries["configmap people/anna kubeconfig"]["action"] == "created"
    text = world.kube.objects[f"{SPACE}/configmaps/anna"]["data"]["kubeconfig"]
    assert codec.load(text.encode())["current-context"] == "anna@prod"


def test_what_others_put_into_a_configmap_is_judged_as_well() -> None:
    document = {"clusters": [], "users": [{"name": "x", "user": {"extensions": [{"a": "-----BEGIN PRIVATE KEY-----"}]}}]}
    assert private_values({**document, "x-top": ["-----BEGIN PRIVATE KEY-----"]}) == [
        "user 'x': a private key in extensions",
        "x-top: a private key in text",
    ]


@pytest.mark.parametrize(
    "place",
    [
        {"namespace": "UPPER", "name": "a", "key": "k"},
        {"namespace": "a", "name": "../b", "key": "k"},
        {"namespace": "a", "name": "b", "key": "k/x"},
        {"namespace": "a/b", "name": "b", "key": "k"},
    ],
)
def test_names_the_api_would_refuse_end_the_task(world: World, place: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="not a name that Kubernetes allows"):
        world.run([{"secret": place}])


def test_the_old_version_is_kept_when_asked_for_and_removed_with_the_file_when_not(world: World) -> None:
    world.run([person("anna")], backup=True)
    assert world.backups.kept == []
    _run, entries = world.run([person("anna", {"token": "new"})], backup=True)
    assert entries["/k/anna.config"]["backup_file"] == "/k/anna.config.20300317T174640Z.backup"
    assert b"secret-anna" in world.backups.kept[0][1]
    world.run([person("anna", state="absent")])
    assert (world.backups.kept, world.store.files) == ([], {})


def test_litter_of_a_killed_run_is_removed(world: World) -> None:
    world.run([person("anna"), person("bert")])
    world.leftovers.littered = {"/k/anna.config": True, "/k/bert.config": False}
    _run, foretold = world.run([person("anna"), person("bert")], check=True)
    run, entries = world.run([person("anna"), person("bert")])
    assert entries == foretold
    assert entries["/k/anna.config"]["reason"] == "left behind by a killed run"
    assert (world.leftovers.swept, len(run.done)) == (["/k/anna.config"], 1)
    world.run([person("bert", {"token": "new"})])
    assert world.leftovers.swept == ["/k/anna.config", "/k/bert.config"]


def with_pair(world: World, cert: bytes, key: bytes) -> dict[str, Any]:
    world.store.put("/p/anna.crt", cert)
    world.store.put("/p/anna.key", key)
    return person("anna", {"client-certificate": "/p/anna.crt", "client-key": "/p/anna.key"})


def test_a_certificate_of_another_key_is_refused(world: World) -> None:
    world.judge_pairs = True
    first, second = (pair_for(name, NOW, days=90) for name in ("anna", "bert"))
    _run, entries = world.run([with_pair(world, first[0], second[1])], embed=True)
    assert "do not belong together" in entries["/k/anna.config"]["error"]["msg"]
    assert world.store.writes == []
    damaged = first[1].replace(b"\nM", b"\nX", 1)
    _run, entries = world.run([with_pair(world, first[0], damaged)], embed=True)
    assert "holds no private key" in entries["/k/anna.config"]["error"]["msg"]
    _run, entries = world.run([with_pair(world, *first)], embed=True)
    assert (entries["/k/anna.config"]["action"], "warnings" in entries["/k/anna.config"]) == ("created", False)


def test_of_a_file_with_both_only_what_is_asked_for_is_embedded(world: World) -> None:
    world.judge_pairs = True
    cert, key = pair_for("anna", NOW, days=90)
    wanted = with_pair(world, cert + key, key + cert)
    wanted["clusters"][0]["cluster"]["certificate-authority"] = "../p/anna.crt"  # from the folder of the kubeconfig
    world.run([wanted], embed=True)
    made = world.document("/k/anna.config")
    for value in (
        made["users"][0]["user"]["client-certificate-data"],
        made["clusters"][0]["cluster"]["certificate-authority-data"],
    ):
        assert b"PRIVATE" not in base64.b64decode(value)
        assert base64.b64decode(value).strip() == cert.strip()


@pytest.mark.parametrize(
    ("left", "said"),
    [({"days": 3, "hours": 1}, "expires in 3 days"), ({"hours": 5}, "expires in 5 hours"), ({"days": -1}, "has expired")],
)
def test_a_certificate_near_its_end_becomes_a_warning(world: World, left: dict[str, float], said: str) -> None:
    world.judge_pairs = True
    wanted = with_pair(world, *pair_for("anna", NOW, **left))
    for action in ("created", "unchanged"):
        run, entries = world.run([wanted], embed=True)
        assert entries["/k/anna.config"]["action"] == action
        assert entries["/k/anna.config"]["warnings"] == [f"user 'anna' holds a certificate that {said}"]
        assert run.plan.warnings == (f"/k/anna.config: user 'anna' holds a certificate that {said}.",)


def test_what_does_not_work_any_more_becomes_a_warning(world: World) -> None:
    world.judge_pairs = True
    old = b"""
users: [{name: old, user: {auth-provider: {name: gcp}}}, {name: odd, user: {client-certificate-data: eA==}}]
contexts: [{name: lost, context: {cluster: gone, user: old}}]
current-context: nowhere
"""
    world.store.put("/k/anna.config", old)
    _run, entries = world.run([person("anna", current_context=None)])
    assert entries["/k/anna.config"]["warnings"] == [
        "context 'lost' points to cluster 'gone', which is not there",
        "current-context 'nowhere' is not there",
        "user 'old' logs in by auth-provider, which kubectl no longer knows; use exec",
        "user 'odd' holds a certificate that cannot be read",
    ]


def test_every_context_of_the_task_is_logged_in_to(world: World) -> None:
    wanted = person("anna")
    wanted["users"].append({"name": "bert", "behavior": "merge", "user": {"token": "b"}})
    wanted["contexts"].append({"name": "second", "behavior": "merge", "context": {"cluster": "prod", "user": "bert"}})
    world.store.put("/k/anna.config", b"users: [{name: foreign, user: {token: x}}]")
    wanted["contexts"].append({"name": "third", "behavior": "merge", "context": {"cluster": "prod", "user": "foreign"}})
    for _round in range(2):
        _run, entries = world.run([wanted], verify="login")
        entry = entries["/k/anna.config"]
        assert [(each["context"], each["user"]) for each in entry["logins"]] == [("anna@prod", "anna"), ("second", "bert")]
        assert entry["login"]["user"] == "anna"
        assert entry["warnings"] == ["context 'third' was not logged in to: the task does not give user 'foreign'."]
    world.denied = {"bert"}
    _run, entries = world.run([wanted], verify="login")
    assert "Context 'second'" in entries["/k/anna.config"]["error"]["msg"]


def test_many_warnings_are_cut_short_on_the_screen_only(world: World) -> None:
    lost = [{"name": f"c{number}", "context": {"cluster": "x", "user": "y"}} for number in range(10)]
    world.store.put("/k/anna.config", codec.dump({"contexts": lost}))
    run, entries = world.run([person("anna")])
    assert len(entries["/k/anna.config"]["warnings"]) == 20
    assert run.plan.warnings[10:] == ("There are 10 more warnings in the entries.",)


def test_a_file_with_comments_in_which_nothing_changes_is_not_touched(world: World) -> None:
    world.run([person("anna")])
    commented = b"# mine, by hand\n" + world.store.files["/k/anna.config"].content.replace(b"users:", b"users:  # people\n", 1)
    world.store.put("/k/anna.config", commented)
    writes = len(world.store.writes)
    assert world.run([person("anna")])[1]["/k/anna.config"]["action"] == "unchanged"
    assert (len(world.store.writes), world.store.files["/k/anna.config"].content) == (writes, commented)


def pair_secret(world: World, name: str, cert: bytes, key: bytes, **more: str) -> None:
    data = {"tls.crt": base64.b64encode(cert).decode(), "tls.key": base64.b64encode(key).decode(), **more}
    world.kube.put(f"{SPACE}/secrets/{name}", {"metadata": {}, "data": data})


def from_secret(name: str, **more: Any) -> dict[str, Any]:
    return person(name, {"tls_secret": {"namespace": "people", "name": f"{name}-certificate"}}, **more)


@pytest.mark.parametrize("embed", [False, True])
def test_pairs_in_secrets_are_read_by_one_list_and_embedded(world: World, embed: bool) -> None:
    world.judge_pairs = True
    pairs = {name: pair_for(name, NOW, days=30) for name in ("anna", "bert")}
    for name, pair in pairs.items():
        pair_secret(world, f"{name}-certificate", *pair)
    files = [from_secret("anna"), from_secret("bert")]
    run, entries = world.run(files, embed=embed, verify="login")
    assert {entry["action"] for entry in entries.values()} == {"created"}
    assert world.kube.calls == [("LIST", f"{SPACE}/secrets")]
    for name, pair in pairs.items():
        data = {f"client-{part}-data": base64.b64encode(text).decode() for part, text in zip(("certificate", "key"), pair)}
        assert world.document(f"/k/{name}.config")["users"] == [{"name": name, "user": data}]
        assert base64.b64encode(pair[1]).decode()[:60] not in json.dumps([entries, render_diff(run.done)]) + repr(run)
    assert [config["users"][0]["user"]["client-key-data"] for config, _context in world.asked]
    again, _entries = world.run(files, embed=embed)
    assert again.done == ()
    pair_secret(world, "anna-certificate", *pair_for("anna", NOW, days=60))
    assert world.run(files)[1]["/k/anna.config"]["reason"] == "users anna"


def test_a_pair_in_a_secret_that_is_missing_damaged_or_expected(world: World) -> None:
    (entry,) = world.run([from_secret("anna")])[1].values()
    assert "there is no secret people/anna-certificate tls.crt" in entry["error"]["msg"]
    for check, told in ((True, "created"), (False, "failed")):
        (entry,) = world.run([from_secret("anna")], check=check, expected_secrets=["people/anna-certificate"])[1].values()
        assert entry["action"] == told
    pair_secret(world, "anna-certificate", b"no certificate", b"no key")
    (entry,) = world.run([from_secret("anna")])[1].values()
    assert "is not PEM text" in entry["error"]["msg"]
    first, second = pair_for("anna", NOW, days=30), pair_for("anna", NOW, days=30)
    world.judge_pairs = True
    pair_secret(world, "anna-certificate", first[0], second[1])
    (entry,) = world.run([from_secret("anna")])[1].values()
    assert "do not belong together" in entry["error"]["msg"]
    assert world.store.files == {}


@pytest.mark.parametrize(
    "other", [{"token": "t"}, {"client-key": "/k"}, {"oidc": {"issuer_url": "https://x", "client_id": "y"}}]
)
def test_a_pair_in_a_secret_is_the_only_way_to_log_in(world: World, other: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="only one way to log in"):
        world.run([person("anna", {"tls_secret": {"namespace": "people", "name": "x"}, **other})])
