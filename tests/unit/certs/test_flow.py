# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole flow over a cluster in memory: keys first, one LIST, whole comparison, four failures, continued runs."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.request import object_name
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Denied, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import render_diff
from cryptography.hazmat.primitives import serialization

from fakes.csr_signer import REQUESTS
from fakes.kube_api import forbid

from .conftest import World

ANNA = {"name": "anna", "groups": ["team-red", "team-blue"]}


def belongs_together(world: World, name: str, passphrase: Optional[str] = None) -> bool:
    facts = Keys(passphrase).inspect(world.key(name))
    return facts is not None and facts.public_key_hash == read_certificate(world.certificate(name)).public_key_hash


def test_a_first_run_makes_a_pair_and_leaves_no_request(world: World) -> None:
    done = world.run(ANNA, "bert", verify_login=True)
    assert done.action("anna") == ("created", "missing")
    assert done["anna"].facts["login"] == {"user": "anna", "groups": ["team-blue", "team-red", "system:authenticated"]}
    assert read_certificate(world.certificate("anna")).groups == ("team-blue", "team-red")
    assert belongs_together(world, "anna") and belongs_together(world, "bert")
    assert world.requests() == {}
    assert [line["name"] for line in world.ledger()] == ["anna", "bert"]
    assert done["anna"].facts["credential_id"] == world.ledger()[0]["credential_id"]


def test_a_second_run_does_not_ask_the_server_at_all(world: World) -> None:
    world.run(ANNA, "bert")
    world.api.calls.clear()
    done = world.run(ANNA, "bert")
    assert done.action("anna") == ("unchanged", "")
    assert not done.changed and world.api.calls == []
    assert done["anna"].facts["seconds_left"] == 30 * 86400


def test_a_batch_is_listed_before_and_after_and_watched_once(world: World) -> None:
    world.run(*(f"p{number}" for number in range(30)))
    listed = Counter(path.rsplit("/", 1)[1] for method, path in world.api.calls if method == "LIST")
    assert listed.pop("certificatesigningrequests") <= 3  # before the first, after the last, and if the watch lost something
    assert listed == {"clusterrolebindings": 1, "rolebindings": 1}
    assert [method for method, _path in world.api.calls].count("WATCH") <= 1
    assert [path for method, path in world.api.calls if method == "GET"] == [REQUESTS]  # does the signer sign?


def test_the_key_is_on_disk_before_its_request_leaves(world: World) -> None:
    def look(method: str, path: str, _obj: dict[str, Any]) -> None:
        if method == "POST" and path.startswith(REQUESTS):
            (key,) = world.folder.glob(".pairs/anna/*/tls.key")
            assert b"PRIVATE KEY" in key.read_bytes()
            assert key.stat().st_mode & 0o777 == 0o600

    world.api.on_write.append(look)
    assert world.run("anna").action("anna") == ("created", "missing")


def test_check_mode_writes_nothing_and_says_the_same(world: World) -> None:
    foretold = world.run(ANNA, check=True)
    assert world.api.writes == [] and not world.folder.exists()
    done = world.run(ANNA)
    assert foretold.action("anna") == done.action("anna")
    assert foretold.changed and done.changed


def test_renewal_makes_a_new_key_and_says_why(world: World) -> None:
    world.run("anna")
    before = world.key("anna")
    world.pass_time(days=21)
    done = world.run("anna")
    assert done.action("anna") == ("updated", "expiring")
    assert world.key("anna") != before and belongs_together(world, "anna")
    assert len(list(world.folder.glob(".pairs/anna/2*"))) == 1
    assert len(world.ledger()) == 2


def test_no_certificate_outlives_the_persons_end_and_none_is_made_at_it(world: World) -> None:
    anna = {**ANNA, "expires": "2026-11-25T12:00:00Z"}
    done = world.run(anna, verify_login=True)
    assert done.action("anna") == ("created", "missing") and done["anna"].facts["not_after"] == "2026-11-25T11:59:00Z"
    world.pass_time(hours=23, minutes=48)
    assert not world.run(anna).changed
    assert world.run({**anna, "expires": "2026-11-25"}).action("anna") == ("updated", "expiring")
    assert world.run(anna, check=True).action("anna") == ("updated", "valid beyond the person's end")
    world.pass_time(minutes=2)
    done = world.run(anna, {"name": "bert", "expires": "2026-11-25T12:00:00Z"}, verify_login=True)
    assert done.action("anna") == done.action("bert") == ("unchanged", "the end is 2026-11-25T12:00:00Z") and not done.changed


def test_a_request_that_waited_until_its_certificate_would_outlive_the_end_is_asked_anew(world: World) -> None:
    anna = {**ANNA, "expires": "2026-11-25T12:00:00Z"}
    world.run(anna, approve="skip")
    world.pass_time(seconds=30)
    assert "continuing" in world.run(anna, approve="skip", check=True).action("anna")[1]
    world.pass_time(hours=1)
    assert world.run(anna)["anna"].facts["not_after"] == "2026-11-25T11:59:00Z" and world.requests() == {}


def test_keep_renews_with_the_same_key(world: World) -> None:
    world.run("anna")
    before = world.key("anna")
    world.pass_time(days=40)
    assert world.run("anna", key_policy="keep").action("anna") == ("updated", "expired")
    assert world.key("anna") == before and belongs_together(world, "anna")


@pytest.mark.parametrize("policy", ["keep", "rotate_on_renew"])
def test_a_key_that_cannot_be_read_is_never_overwritten(world: World, policy: str) -> None:
    world.run("anna")
    (world.folder / "anna.key").resolve().write_bytes(b"encrypted")
    done = world.run("anna", key_policy=policy)
    assert "damaged, or encrypted, and is not overwritten" in done.error("anna")
    assert (world.folder / "anna.key").read_bytes() == b"encrypted"
    assert world.run("anna", key_policy="always").action("anna") == ("updated", "key unreadable")
    assert belongs_together(world, "anna")


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "PKCS8"])
@pytest.mark.parametrize("key_type", ["ecdsa-p256", "rsa-2048"])
def test_a_key_in_another_form_is_read_and_kept(world: World, form: str, key_type: str) -> None:
    world.run("anna", key_type=key_type)
    key = serialization.load_pem_private_key(world.key("anna"), None)
    other = key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), serialization.NoEncryption()
    )
    (world.folder / "anna.key").resolve().write_bytes(other)
    assert world.run("anna", key_type=key_type).action("anna") == ("unchanged", "")
    world.pass_time(days=25)
    assert world.run("anna", key_type=key_type, key_policy="keep").action("anna") == ("updated", "expiring")
    assert world.key("anna") == other and belongs_together(world, "anna")


def test_an_encrypted_key_is_not_overwritten(world: World) -> None:
    world.run("anna", key_passphrase="right")
    sealed = world.key("anna")
    for passphrase, said in ((None, "or encrypted, and"), ("wrong", "encrypted with another passphrase than key_passphrase")):
        for policy in ("rotate_on_renew", "keep"):
            assert said in world.run("anna", key_passphrase=passphrase, key_policy=policy).error("anna")
            assert world.key("anna") == sealed
    assert world.run("anna", key_passphrase="wrong", key_policy="always").action("anna") == ("updated", "key unreadable")
    assert world.run("anna", key_passphrase="right").error("anna") and belongs_together(world, "anna", "wrong")


@pytest.mark.parametrize("policy", ["keep", "rotate_on_renew"])
def test_keys_are_encrypted_on_request_and_stay_so(world: World, policy: str) -> None:
    world.run("anna", key_policy=policy)
    before = Keys().inspect(world.key("anna"))
    options = {"key_policy": policy, "key_passphrase": "räksmörgås"}
    done = world.run("anna", verify_login=True, **options)
    assert done.action("anna") == ("updated", "key not encrypted")
    assert world.key("anna").startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert not any(b"BEGIN PRIVATE" in path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
    assert belongs_together(world, "anna", "räksmörgås")
    after = Keys("räksmörgås").inspect(world.key("anna"))
    assert before is not None and after is not None
    assert (before.public_key_hash == after.public_key_hash) == (policy == "keep")
    again = world.run("anna", verify_login=True, **options)
    assert again.action("anna") == ("unchanged", "") and again["anna"].facts["login"]


@pytest.mark.parametrize("stage", ["keys", "approve", "install"])
def test_a_killed_run_with_encrypted_keys_is_continued(world: World, stage: str) -> None:
    world.killed_run(stage, "anna", key_passphrase="right")
    made = [path.read_bytes() for path in world.folder.glob(".pairs/anna/2*/tls.key")]
    assert world.run("anna", key_passphrase="right")["anna"].error is None
    assert [world.key("anna")] == made and world.requests() == {}


@pytest.mark.parametrize("passphrase", ["", "ä" * 512])
def test_a_passphrase_that_cannot_be_used_ends_the_run_before_it_begins(world: World, passphrase: str) -> None:
    with pytest.raises(BadInput, match="1 to 1023 bytes"):
        world.run("anna", key_passphrase=passphrase)
    assert not world.folder.exists()


@pytest.mark.parametrize("key_type", ["ecdsa-p384", "ed25519", "rsa-2048"])
def test_another_key_type_is_a_reason_and_is_used(world: World, key_type: str) -> None:
    world.run("anna")
    assert world.run("anna", key_type=key_type).action("anna") == ("updated", "key type changed")
    facts = Keys().inspect(world.key("anna"))
    assert facts is not None and facts.key_type == key_type
    assert world.run("anna", key_type=key_type).action("anna") == ("unchanged", "")


def test_changed_groups_lead_to_a_new_certificate(world: World) -> None:
    world.run(ANNA)
    done = world.run({"name": "anna", "groups": ["team-red"]})
    assert done.action("anna") == ("updated", "groups changed")
    assert read_certificate(world.certificate("anna")).groups == ("team-red",)


def swap(world: World, **spec: Any) -> None:
    """Between our create and our approval somebody replaces the object by one with another spec."""

    def replace(method: str, path: str, obj: dict[str, Any]) -> None:
        if method == "POST" and path.startswith(REQUESTS):
            world.api.after_write.remove(replace)
            world.api.drop(path)
            world.api.put(path, {**obj, "metadata": {}, "spec": {**obj["spec"], **spec}})

    world.api.after_write.append(replace)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"expirationSeconds": 300 * 86400}, "asks for 25920000 s"),
        ({"username": "mallory"}, "mallory"),
        ({"request": base64.b64encode(b"other").decode()}, "signing request is another"),
        ({}, "made again by somebody"),
    ],
)
def test_a_swapped_request_is_never_approved(world: World, spec: dict[str, Any], said: str) -> None:
    swap(world, **spec)
    done = world.run("anna", "bert", concurrency=1)
    assert isinstance(done["anna"].error, Refused)
    assert said in done.error("anna")
    assert done.action("bert") == ("created", "missing")
    (left,) = world.requests().values()
    assert "certificate" not in left.get("status", {})


def test_an_approval_survives_a_harmless_change(world: World) -> None:
    def touch(method: str, path: str, obj: dict[str, Any]) -> None:
        if method == "POST" and path.startswith(REQUESTS):
            world.api.after_write.remove(touch)
            world.api.change(path, {**obj, "metadata": {**obj["metadata"], "annotations": {"seen": "yes"}}})

    world.api.after_write.append(touch)
    assert world.run("anna").action("anna") == ("created", "missing")


def foreign(world: World, **spec: Any) -> str:
    """A request that has a name like anna's, made by somebody else."""
    world.run("zoe", approve="skip")
    (ours,) = world.requests().values()
    world.run({"name": "zoe", "state": "absent"})
    path = f"{REQUESTS}/{object_name('anna', '0' * 12)}"
    world.api.put(path, {**ours, "metadata": {}, "spec": {**ours["spec"], "username": "mallory", **spec}})
    return path


def test_a_request_of_somebody_else_for_the_same_person_is_refused_and_named(world: World) -> None:
    path = foreign(world)
    for check in (True, False):
        done = world.run("anna", check=check)
        assert isinstance(done["anna"].error, Refused)
        assert path.rpartition("/")[2] in done.error("anna") and "mallory" in done.error("anna")
    assert path in world.requests()
    assert not (world.folder / "anna.key").exists()


def test_denied_quotes_the_approver(world: World) -> None:
    world.run("anna", approve="skip")
    ((path, obj),) = world.requests().items()
    denied = {"type": "Denied", "status": "True", "reason": "No", "message": "not on a Friday"}
    world.api.change(path, {**obj, "status": {"conditions": [denied]}})
    done = world.run("anna")
    assert isinstance(done["anna"].error, Denied)
    assert "denied (No: not on a Friday)" in done.error("anna")
    world.run({"name": "anna", "state": "absent"})
    assert world.run("anna").action("anna") == ("created", "missing")


def test_a_failing_signer_is_quoted(world: World) -> None:
    world.signer.behave = "fail"
    done = world.run("anna")
    assert "the signer failed" in done.error("anna") and "usages do not fit" in done.error("anna")


def test_approved_but_never_signed_is_its_own_error_and_is_continued(world: World) -> None:
    world.signer.behave = "ignore"
    done = world.run("anna", wait_timeout="1s")
    assert "approved but not signed within 1 s" in done.error("anna")
    assert done["anna"].error is not None and done["anna"].error.facts["outcome"] == "not_signed"
    world.signer.behave = "sign"
    (path,) = world.requests()
    world.signer.handle(path)
    world.api.calls.clear()
    assert world.run("anna").action("anna") == ("created", "missing (continuing an earlier run)")
    assert [method for method, _path in world.api.writes] == ["DELETE"]


def test_nobody_approves(world: World) -> None:
    done = world.run("anna", approve="wait", wait_timeout="1s")
    assert "not approved within 1 s" in done.error("anna")
    assert not world.run("anna", approve="wait", wait_timeout="1s").changed


def test_skip_leaves_the_request_and_collects_it_later(world: World) -> None:
    assert world.run("anna", approve="skip").action("anna") == ("created", "missing; the request waits for approval")
    again = world.run("anna", approve="skip")
    assert again["anna"].action == "unchanged" and not again.changed
    ((path, obj),) = world.requests().items()
    approved = {"type": "Approved", "status": "True"}
    world.api.call("PUT", f"{path}/approval", {**obj, "status": {"conditions": [approved]}})
    done = world.run("anna", approve="skip")
    assert done.action("anna") == ("created", "missing (continuing an earlier run)")
    assert belongs_together(world, "anna")


def test_a_certificate_longer_than_asked_is_refused_written_down_and_not_installed(world: World) -> None:
    world.run("anna")
    before = world.certificate("anna")
    world.pass_time(days=29)
    world.signer.behave = "longer"
    done = world.run("anna", lifetime="1d")
    assert isinstance(done["anna"].error, Refused) and "longer than asked" in done.error("anna")
    assert world.certificate("anna") == before
    assert len(world.ledger()) == 2


@pytest.mark.parametrize("stage", ["keys", "request", "approve", "collect", "install"])
@pytest.mark.parametrize("renewing", [False, True])
def test_a_killed_run_is_continued_and_not_repeated(world: World, stage: str, renewing: bool) -> None:
    if renewing:
        world.run("anna", "bert")
        world.pass_time(days=25)
    world.killed_run(stage, "anna", "bert")
    if renewing:
        assert belongs_together(world, "anna")
    world.api.calls.clear()
    done = world.run("anna", "bert")
    assert {verdict.action for verdict in done.verdicts} <= {"created", "updated"}
    assert belongs_together(world, "anna") and belongs_together(world, "bert")
    assert world.requests() == {}
    created = [path for method, path in world.api.writes if method == "POST"]
    assert created == []
    assert len({line["credential_id"] for line in world.ledger()}) == len(world.ledger()) == (4 if renewing else 2)
    world.api.calls.clear()
    assert not world.run("anna", "bert").changed and world.api.calls == []


def test_what_a_killed_run_prepared_is_on_disk_before_its_request_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    no_request = forbid("POST", REQUESTS)
    world.api.on_write.append(no_request)
    world.killed_run("keys", "anna")
    world.api.on_write.remove(no_request)
    brought, fsync, sent = set(), os.fsync, []

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        brought.add(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    def looking(method: str, path: str, _obj: dict[str, Any]) -> None:
        if method == "POST" and path.startswith(REQUESTS):
            sent.append(set(brought))

    monkeypatch.setattr(os, "fsync", noting)
    world.api.on_write.append(looking)
    assert world.run("anna")["anna"].error is None
    assert len(sent) == 1 and {"tls.key", "request.json", "anna", ".pairs"} <= sent[0]


def test_a_renewal_that_comes_before_the_clean_up_withdraws_the_request_of_the_present_pair(world: World) -> None:
    no_deletion = forbid("DELETE", "kubestead-anna")
    world.api.on_write.append(no_deletion)
    world.killed_run("install", "anna")
    world.api.on_write.remove(no_deletion)
    assert len(world.requests()) == 1
    done = world.run({"name": "anna", "groups": ["team-red"]})
    assert done.action("anna") == ("updated", "groups changed")
    assert world.requests() == {} and belongs_together(world, "anna")
    assert not world.run({"name": "anna", "groups": ["team-red"]}).changed


def test_an_attempt_for_other_groups_is_withdrawn_and_what_it_issued_is_written_down(world: World) -> None:
    world.killed_run("approve", ANNA)
    done = world.run({"name": "anna", "groups": ["team-red"]})
    assert done.action("anna") == ("created", "missing")
    assert sorted(line["groups"] for line in world.ledger()) == [["team-blue", "team-red"], ["team-red"]]
    assert world.requests() == {}
    assert len(list(world.folder.glob(".pairs/anna/2*"))) == 1


def test_absent_removes_files_and_own_requests_and_says_what_stays_valid(world: World) -> None:
    world.run(ANNA, "bert")
    world.pass_time(days=25)
    world.killed_run("approve", ANNA)
    foretold = world.run({"name": "anna", "state": "absent"}, check=True)
    done = world.run({"name": "anna", "state": "absent"})
    assert done.action("anna") == foretold.action("anna") == ("removed", "state is absent")
    assert done["anna"].facts["still_valid"] == foretold["anna"].facts["still_valid"]
    assert len(done["anna"].facts["still_valid"]) == 2  # the present one and the one that was never collected
    assert world.requests() == {}
    assert sorted(path.name for path in world.folder.iterdir()) == [".pairs", "bert.crt", "bert.key", "ledger.jsonl"]
    again = world.run({"name": "anna", "state": "absent"})
    assert again["anna"].action == "unchanged" and not again.changed
    assert len(again["anna"].facts["still_valid"]) == 2


def test_absent_leaves_requests_of_others(world: World) -> None:
    path = foreign(world)
    done = world.run({"name": "anna", "state": "absent"})
    assert done.plan.warnings and path.rpartition("/")[2] in done.plan.warnings[0]
    assert path in world.requests()


def test_a_denied_right_is_said_and_the_others_go_on(world: World) -> None:
    world.api.on_write.append(forbid("PUT", "kubestead-anna"))
    done = world.run("anna", "bert")
    assert isinstance(done["anna"].error, Denied)
    assert done.action("bert") == ("created", "missing")


def test_a_login_as_somebody_else_is_an_error(world: World) -> None:
    world.login.answer = ("anna", ("team-red", "system:authenticated", "surprise"))
    assert "surprise" in world.run(ANNA, verify_login=True).error("anna")


def test_a_wrong_mode_is_put_right_and_reported(world: World) -> None:
    world.run("anna")
    (world.folder / "anna.key").resolve().chmod(0o644)
    done = world.run("anna")
    assert done.action("anna") == ("updated", "the mode of tls.key was 0644")
    assert (world.folder / "anna.key").stat().st_mode & 0o777 == 0o600
    assert not world.run("anna").changed


def test_no_key_is_in_anything_that_is_shown(world: World) -> None:
    shown = []
    for days in (0, 25):
        world.pass_time(days=days)
        done = world.run("anna", verify_login=True)
        shown.append(repr((done.plan, done.run, done.verdicts)) + json.dumps(render_diff(done.run.done)))
        key = serialization.load_pem_private_key(world.key("anna"), None)
        number = key.private_numbers().private_value  # type: ignore[union-attr]
        body = "".join(world.key("anna").decode().splitlines()[1:-1])
        for text in shown:
            assert "PRIVATE" not in text and body not in text
            assert str(number) not in text and f"{number:x}" not in text
