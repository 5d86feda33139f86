# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole work of kubeconfig_render on a store, locks and an API server in memory."""

from __future__ import annotations

import base64
import json
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import render_diff
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import count
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec

from fakes.kubeconfig_world import World, person

CERT = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN EC PRIVATE KEY-----\nBBBB\n-----END EC PRIVATE KEY-----\n"


@pytest.fixture
def world() -> World:
    return World()


def test_check_mode_says_what_the_real_run_does_and_a_second_run_does_nothing(world: World) -> None:
    files = [person("anna"), person("bert")]
    planned, foretold = world.run(files, check=True)
    assert world.store.writes == []
    run, entries = world.run(files)
    assert entries == foretold
    assert render_diff(run.done) == render_diff(planned.done)
    assert count(list(entries.values()))["created"] == 2
    again, entries = world.run(files)
    assert not again.done
    assert {entry["action"] for entry in entries.values()} == {"unchanged"}
    assert len(world.store.writes) == len(world.locks.taken) == 2


def test_no_secret_leaves_through_plan_diff_or_entries(world: World) -> None:
    run, entries = world.run([person("anna")])
    told = json.dumps([render_diff(run.done), entries]) + repr(run)
    assert "secret-anna" not in told
    assert "secret-anna" in world.store.files["/k/anna.config"].content.decode()


def test_what_a_parallel_run_wrote_meanwhile_stays(world: World) -> None:
    world.run([person("anna")])
    other = person("bert", path="/k/anna.config")
    world.locks.meanwhile = lambda: world.run([other]) and None
    world.run([person("carl", path="/k/anna.config")])
    assert [entry["name"] for entry in world.document("/k/anna.config")["users"]] == ["anna", "bert", "carl"]


def test_a_loose_mode_and_a_wrong_owner_are_mended_and_told(world: World) -> None:
    world.run([person("anna")])
    world.store.put("/k/anna.config", world.store.files["/k/anna.config"].content, mode=0o644, owner="bert")
    run, entries = world.run([person("anna", owner="anna")])
    assert entries["/k/anna.config"]["reason"] == "mode was 0644, owner was bert:bert"
    assert world.store.files["/k/anna.config"].mode == 0o600
    assert render_diff(run.done)[0]["after"] == {"mode": "0600", "owner": "anna:bert"}


def test_embedding_reads_each_source_once(world: World) -> None:
    for path, content in (("/pki/ca.crt", CERT), ("/p/anna.crt", CERT), ("/p/anna.key", KEY)):
        world.store.put(path, content)
    files = []
    for name in ("anna", "bert"):
        files.append(person(name, {"client-certificate": "/p/anna.crt", "client-key": "/p/anna.key"}))
        files[-1]["clusters"][0]["cluster"]["certificate-authority"] = "/pki/ca.crt"
    world.run(files, embed=True)
    assert sorted(world.store.reads) == ["/p/anna.crt", "/p/anna.key", "/pki/ca.crt"]
    user = world.document("/k/anna.config")["users"][0]["user"]
    assert user == {
        "client-certificate-data": base64.b64encode(CERT).decode(),
        "client-key-data": base64.b64encode(KEY).decode(),
    }


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "client-key: there is no file /p/anna.key"), (CERT, "holds no private key"), (b"x", "is not PEM text")],
)
def test_a_source_that_is_missing_or_wrong_fails_its_file_only(world: World, key: Optional[bytes], said: str) -> None:
    world.store.put("/p/anna.crt", CERT)
    if key is not None:
        world.store.put("/p/anna.key", key)
    paths = {"client-certificate": "/p/anna.crt", "client-key": "/p/anna.key"}
    run, entries = world.run([person("anna", paths), person("bert")], embed=True)
    assert said in entries["/k/anna.config"]["error"]["msg"]
    assert "user 'anna'" in entries["/k/anna.config"]["error"]["msg"]
    assert entries["/k/bert.config"]["action"] == "created"
    assert [step.target for step in run.done] == ["/k/bert.config"]


def test_in_check_mode_expected_files_count_as_new(world: World) -> None:
    world.store.put("/p/anna.crt", CERT)
    world.store.put("/p/anna.key", KEY)
    paths = {"client-certificate": "/p/anna.crt", "client-key": "/p/anna.key"}
    options = {"embed": True, "expected_files": ["/p/anna.crt", "/p/anna.key", "/p/new.key"]}
    world.run([person("anna", paths)], **options)
    _run, entries = world.run([person("anna", paths)], check=True, **options)
    assert entries["/k/anna.config"]["action"] == "updated"
    _run, entries = world.run([person("anna", paths)], **options)
    assert entries["/k/anna.config"]["action"] == "unchanged"
    new = {"client-certificate": "/p/anna.crt", "client-key": "/p/new.key"}
    run, entries = world.run([person("new", new)], check=True, **options)
    assert entries["/k/new.config"]["action"] == "created"
    assert "made earlier in this run" in json.dumps(render_diff(run.done))


def test_a_login_is_checked_after_the_write_and_when_nothing_changes(world: World) -> None:
    for check, expected in ((True, None), (False, "anna"), (False, "anna"), (True, "anna")):
        _run, entries = world.run([person("anna")], verify="login", check=check)
        login = entries["/k/anna.config"].get("login")
        assert (login and login["user"]) == expected
    assert {context for _config, context in world.asked} == {"anna@prod"}


def test_a_refused_login_fails_the_entry_and_tells_that_the_file_was_written(world: World) -> None:
    world.denied = {"anna"}
    run, entries = world.run([person("anna"), person("bert")], verify="login")
    assert entries["/k/anna.config"]["action"] == "failed"
    assert entries["/k/anna.config"]["applied"] == ["create /k/anna.config"]
    assert entries["/k/bert.config"]["login"]["user"] == "bert"
    assert "/k/anna.config" in [step.target for step in run.done]
    run, entries = world.run([person("anna")], verify="login")
    assert (entries["/k/anna.config"]["action"], run.done) == ("failed", ())


def test_a_login_never_uses_what_somebody_else_put_into_the_file(world: World) -> None:
    world.run([person("anna")])
    document = world.document("/k/anna.config")
    document["clusters"][0]["cluster"]["proxy-url"] = "http://evil:1"
    document["users"][0]["user"]["as"] = "system:admin"
    document["users"].append({"name": "x", "user": {"exec": {"command": "evil"}}})
    world.store.put("/k/anna.config", codec.dump(document))
    world.run([person("anna")], verify="login")
    assert "evil" not in json.dumps(world.asked)
    assert "system:admin" not in json.dumps(world.asked)


def test_reading_back_notices_what_somebody_else_did_right_after(world: World) -> None:
    write = world.store.write

    def spoiled(path: str, content: bytes, **options: Any) -> None:
        write(path, content.replace(b"secret-anna", b"other"), **options)

    world.store.write = spoiled  # type: ignore[method-assign]
    _run, entries = world.run([person("anna")], verify="parse")
    assert "changed by somebody else" in entries["/k/anna.config"]["error"]["msg"]


def test_a_broken_file_is_left_alone_and_the_others_are_written(world: World) -> None:
    world.store.put("/k/anna.config", b"users: [\n")
    _run, entries = world.run([person("anna"), person("bert")])
    assert "line 2" in entries["/k/anna.config"]["error"]["msg"]
    assert world.store.files["/k/anna.config"].content == b"users: [\n"
    assert entries["/k/bert.config"]["action"] == "created"


@pytest.mark.parametrize("part", [b"users: [", b"contexts:\n- {name: x, context: {cluster: x, user: anna}}\n"])
def test_a_file_that_somebody_is_just_writing_is_read_again(world: World, part: bytes) -> None:
    world.run([person("bert", path="/k/anna.config")])
    whole = world.store.files["/k/anna.config"].content
    world.store.put("/k/anna.config", part)
    world.locks.written = lambda: world.store.put("/k/anna.config", whole)
    wanted = person(
        "anna", contexts=[{"name": "anna@prod", "behavior": "merge", "context": {"cluster": "prod", "user": "bert"}}]
    )
    _run, entries = world.run([wanted])
    assert entries["/k/anna.config"]["action"] == "updated" and world.locks.awaited == ["/k/anna.config"]
    assert [entry["name"] for entry in world.document("/k/anna.config")["users"]] == ["bert", "anna"]


def test_a_file_that_is_written_again_and_again_is_given_up(world: World) -> None:
    def write() -> None:
        world.store.put("/k/anna.config", world.store.files["/k/anna.config"].content + b"[")
        world.locks.written = write

    world.store.put("/k/anna.config", b"users: [")
    world.locks.written = write
    _run, entries = world.run([person("anna")])
    assert entries["/k/anna.config"]["error"]["code"] == "conflict"


def test_a_removed_file_is_gone_once(world: World) -> None:
    world.run([person("anna"), person("bert")])
    for action in ("removed", "unchanged"):
        _run, entries = world.run([person("anna", state="absent")])
        assert entries["/k/anna.config"]["action"] == action
    assert list(world.store.files) == ["/k/bert.config"]


def test_removing_entries_makes_no_file(world: World) -> None:
    files = [{"path": "/k/none", "users": [{"name": "anna", "behavior": "remove"}]}]
    _run, entries = world.run(files)
    assert entries["/k/none"]["action"] == "unchanged"
    assert world.store.writes == []


def test_bad_values_end_the_task_before_anything_is_read(world: World) -> None:
    with pytest.raises(BadInput, match=r"'/k/anna\.config' is named twice"):
        world.run([person("anna"), person("anna")])
    assert world.locks.taken == []


def test_with_stop_nothing_is_written_when_one_file_is_refused(world: World) -> None:
    world.store.put("/k/anna.config", b"- broken")
    run, entries = world.run([person("anna"), person("bert")], on_error="stop")
    assert run.done == ()
    assert entries["/k/bert.config"]["action"] == "skipped"
