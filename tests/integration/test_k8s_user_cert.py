# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s_user_cert on the lab's API server and its real signer, with the rights that the guide documents and no more."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from cryptography.hazmat.primitives import serialization

from contracts.certificate_requests import CertificateRequestContract

from .certificate_operator import Operator, documented

DRIVER = Path(__file__).with_name("user_cert_driver.py")
ROOT = DRIVER.parents[2]


class TestRealCertificateRequests(CertificateRequestContract):
    @pytest.fixture
    def api(self, lab: Any) -> KubeApiClient:
        return KubeApiClient.from_params({"kubeconfig": lab.env["KUBECONFIG"]})


class World:
    """Names and a folder of one test, and what the cluster knows about them."""

    def __init__(
        self, lab: Any, operator: Operator, run_module: Callable[..., Any], call_module: Callable[..., Any], folder: Path
    ) -> None:
        self.lab, self.operator = lab, operator
        self.mark = uuid.uuid4().hex[:8]
        self.anna, self.bert = f"anna-{self.mark}", f"bert-{self.mark}"
        self.store = folder / "people"
        self._play, self._call = run_module, call_module

    def options(self, *users: Any, **changes: Any) -> dict[str, Any]:
        entries = [{"name": user} if isinstance(user, str) else user for user in users]
        store = {"directory": str(self.store)}
        return {"users": entries, "store": store, "lifetime": "1h", "impersonate_user": self.operator.user, **changes}

    def run(self, *users: Any, check: bool = False, diff: bool = False, **changes: Any) -> Any:
        return self._call("k8s_user_cert", self.options(*users, **changes), check=check, diff=diff)

    def play(self, *users: Any, check: bool = False, diff: bool = False, flags: tuple[str, ...] = (), **changes: Any) -> Any:
        """The same by ansible-playbook."""
        return self._play("k8s_user_cert", self.options(*users, **changes), check=check, diff=diff, options=flags)

    def drive(self, *users: Any, die_after: str = "", swap: Optional[dict[str, Any]] = None, **changes: Any) -> Any:
        """A run in a process that ends, or is interfered with, at a chosen point; its entries, or None when it was killed."""
        defaults = {
            "key_type": "ecdsa-p256",
            "key_policy": "rotate_on_renew",
            "renew_before": "33%",
            "signer": "kubernetes.io/kube-apiserver-client",
            "approve": "auto",
            "wait_timeout": "10s",
            "verify_login": False,
            "state": "present",
            "concurrency": 8,
            "on_error": "continue",
            "kubeconfig": self.lab.env["KUBECONFIG"],
        }
        task = {"params": {**defaults, **self.options(*users, **changes)}, "die_after": die_after, "swap": swap}
        path = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}
        done = self.lab.exec(sys.executable, str(DRIVER), stdin=json.dumps(task), check=False, env=path)
        assert (done.returncode != 0) == bool(die_after), done.stderr
        return json.loads(done.stdout) if not die_after else None

    def requests(self) -> list[dict[str, Any]]:
        printed = self.lab.kubectl("get", "csr", "-o", "json").stdout
        return [one for one in json.loads(printed)["items"] if self.mark in one["metadata"]["name"]]

    def whoami(self, name: str) -> dict[str, Any]:
        pair = (f"--client-certificate={self.store / name}.crt", f"--client-key={self.store / name}.key")
        printed = self.lab.kubectl("auth", "whoami", "-o", "json", *pair).stdout
        return dict(json.loads(printed)["status"]["userInfo"])

    def belongs_together(self, name: str) -> bool:
        facts = Keys().inspect((self.store / f"{name}.key").read_bytes())
        certificate = read_certificate((self.store / f"{name}.crt").read_bytes())
        return facts is not None and facts.public_key_hash == certificate.public_key_hash

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.store / "ledger.jsonl").read_text().splitlines()]

    def clean(self) -> None:
        for one in self.requests():
            self.lab.kubectl("delete", "csr", one["metadata"]["name"], "--ignore-not-found")


@pytest.fixture(scope="module")
def operator(lab: Any) -> Iterator[Operator]:
    with Operator(lab.env["KUBECONFIG"], documented("ClusterRole")["rules"]) as one:
        yield one


@pytest.fixture
def world(
    lab: Any, operator: Operator, run_module: Callable[..., Any], call_module: Callable[..., Any], tmp_path: Path
) -> Iterator[World]:
    one = World(lab, operator, run_module, call_module, tmp_path)
    yield one
    one.clean()
    shutil.rmtree(one.store, ignore_errors=True)


def test_a_person_gets_a_certificate_that_works_and_keeps_it(world: World) -> None:
    people = [{"name": world.anna, "groups": ["team-red", "team-blue"]}, world.bert]
    foretold = world.play(*people, check=True)
    assert world.requests() == [] and not world.store.exists()
    done = world.play(*people, verify_login=True)
    assert done["changed"] and foretold["changed"], done.result
    assert done.actions() == foretold.actions() == {world.anna: "created", world.bert: "created"}
    assert done.entry(world.anna)["login"]["user"] == world.anna

    user = world.whoami(world.anna)
    assert (user["username"], sorted(user["groups"])) == (world.anna, ["system:authenticated", "team-blue", "team-red"])
    assert user["extra"]["authentication.kubernetes.io/credential-id"] == [done.entry(world.anna)["credential_id"]]
    assert [line["credential_id"] for line in world.ledger()] == [entry["credential_id"] for entry in done["entries"]]
    assert world.requests() == []

    again = world.play(*people)
    assert not again["changed"] and again.actions() == {world.anna: "unchanged", world.bert: "unchanged"}
    assert again.entry(world.anna)["credential_id"] == done.entry(world.anna)["credential_id"]


def test_an_unchanged_run_needs_no_server(world: World) -> None:
    world.run(world.anna)
    again = world.run(world.anna, host="https://127.0.0.1:1", api_key="none")
    assert again.actions() == {world.anna: "unchanged"}


def test_changes_renew_and_are_named(world: World) -> None:
    first = world.run({"name": world.anna, "groups": ["team-red"]})
    groups = world.run({"name": world.anna, "groups": ["team-blue"]}, diff=True)
    entry = groups.entry(world.anna)
    assert (entry["action"], entry["reason"]) == ("updated", "groups changed")
    assert groups["diff"][-1]["before"]["groups"] == ["team-red"] and groups["diff"][-1]["after"]["groups"] == ["team-blue"]
    assert entry["credential_id"] != first.entry(world.anna)["credential_id"]
    person = {"name": world.anna, "groups": ["team-blue"]}
    key = world.run(person, key_type="ed25519").entry(world.anna)
    assert (key["action"], key["reason"]) == ("updated", "key type changed")
    short = world.run(person, key_type="ed25519", lifetime="10m").entry(world.anna)
    assert (short["action"], short["reason"]) == ("updated", "lifetime shortened")
    assert 500 < short["seconds_left"] <= 600
    assert len(world.ledger()) == 4 and world.belongs_together(world.anna)
    assert world.whoami(world.anna)["groups"] == ["team-blue", "system:authenticated"]


@pytest.mark.parametrize("key_type", ["ecdsa-p384", "ed25519", "rsa-2048"])
def test_every_kind_of_key_is_signed_and_logs_in(world: World, key_type: str) -> None:
    done = world.run(world.anna, key_type=key_type, verify_login=True)
    assert done.entry(world.anna)["login"]["user"] == world.anna


@pytest.mark.parametrize("stage", ["keys", "request", "approve", "collect", "install"])
def test_a_killed_run_is_continued(world: World, stage: str) -> None:
    world.drive(world.anna, world.bert, die_after=stage)
    left = {one["metadata"]["name"] for one in world.requests()}
    assert len(left) == (0 if stage == "install" else 2)
    done = world.run(world.anna, world.bert)
    assert done["counts"]["failed"] == 0
    assert world.belongs_together(world.anna) and world.belongs_together(world.bert)
    assert world.whoami(world.anna)["username"] == world.anna
    assert world.requests() == []
    assert len({line["credential_id"] for line in world.ledger()}) == len(world.ledger()) == 2
    assert not world.run(world.anna, world.bert)["changed"]


def test_a_killed_renewal_leaves_the_old_pair_working(world: World) -> None:
    world.run(world.anna)
    world.drive({"name": world.anna, "groups": ["team-red"]}, die_after="approve")
    assert world.belongs_together(world.anna)
    assert world.whoami(world.anna)["groups"] == ["system:authenticated"]
    assert world.run({"name": world.anna, "groups": ["team-red"]}).actions() == {world.anna: "updated"}


@pytest.mark.parametrize(
    ("swap", "said"),
    [
        ({"expirationSeconds": 300 * 86400}, "asks for 25920000 s"),
        ({"signerName": "kubernetes.io/kubelet-serving", "usages": ["server auth"]}, "kubelet-serving"),
        ({}, "made again by somebody"),
    ],
)
def test_a_request_that_was_swapped_is_never_approved(world: World, swap: dict[str, Any], said: str) -> None:
    (entry,) = world.drive(world.anna, swap=swap)
    assert entry["error"]["code"] == "refused" and said in entry["error"]["msg"]
    (left,) = world.requests()
    assert left["status"] == {}
    assert not (world.store / f"{world.anna}.crt").exists()


def test_a_request_for_cluster_admins_in_our_name_is_never_approved(world: World) -> None:
    keys = Keys()
    from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person

    theirs = keys.sign(keys.make("ecdsa-p256")[0], Person(world.anna, ("kubeadm:cluster-admins",)))
    (entry,) = world.drive(world.anna, swap={"request": base64.b64encode(theirs.encode()).decode()})
    assert "the signing request is another one" in entry["error"]["msg"]
    assert world.requests()[0]["status"] == {}


def test_a_request_that_somebody_else_made_for_a_person_is_refused_and_named(world: World) -> None:
    world.run(world.anna, approve="skip")
    (ours,) = world.requests()
    world.run(world.anna, state="absent")
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": ours["metadata"]["name"]},
        "spec": {key: ours["spec"][key] for key in ("request", "signerName", "usages", "expirationSeconds")},
    }
    world.lab.exec("kubectl", "create", "--as=mallory", "--as-group=system:masters", "-f", "-", stdin=json.dumps(body))
    for check in (True, False):
        done = world.run(world.anna, check=check)
        assert done.status != 0 and not done["changed"]
        assert "mallory" in done["msg"] and ours["metadata"]["name"] in done["msg"]
    assert world.requests()[0]["status"] == {}


def test_denied_not_approved_and_collected_later(world: World) -> None:
    assert "was not approved within 1 s" in world.run(world.anna, approve="wait", wait_timeout="1s")["msg"]
    (pending,) = world.requests()
    world.lab.kubectl("certificate", "approve", pending["metadata"]["name"])
    done = world.run(world.anna, approve="wait")
    assert done.actions() == {world.anna: "created"} and world.belongs_together(world.anna)

    waiting = world.run(world.bert, approve="skip")
    assert "waits for approval" in waiting.entry(world.bert)["reason"]
    (pending,) = world.requests()
    world.lab.kubectl("certificate", "deny", pending["metadata"]["name"])
    denied = world.run(world.bert, approve="skip")
    assert denied.status != 0 and "was denied (KubectlDeny: This CSR was denied by kubectl" in denied["msg"]
    assert denied.entry(world.bert)["error"]["outcome"] == "denied"


def test_approved_but_never_signed_and_failed_by_the_signer(world: World) -> None:
    options = {"signer": "example.com/nobody", "wait_timeout": "1s", "impersonate_user": None}
    done = world.run(world.anna, **options)
    assert "was approved but not signed within 1 s" in done["msg"] and done["changed"]
    (request,) = world.requests()
    failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": "the key is too short"}
    request["status"]["conditions"].append(failed)
    path = f"/apis/certificates.k8s.io/v1/certificatesigningrequests/{request['metadata']['name']}/status"
    world.lab.exec("kubectl", "replace", "--raw", path, "-f", "-", stdin=json.dumps(request))
    again = world.run(world.anna, **options)
    assert "the signer failed the certificate request (SignerValidationFailure: the key is too short)" in again["msg"]
    assert not again["changed"]


def test_somebody_without_rights_is_told_so(world: World) -> None:
    world.run(world.anna)
    pair = {"client_cert": str(world.store / f"{world.anna}.crt"), "client_key": str(world.store / f"{world.anna}.key")}
    done = world.run(world.bert, kubeconfig=world.lab.env["KUBECONFIG"], impersonate_user=None, **pair)
    assert done.status != 0 and not done["changed"]
    assert "certificatesigningrequests" in done["msg"] and "Traceback" not in done.output


def test_an_unreachable_server_is_one_sentence(world: World) -> None:
    done = world.run(world.anna, host="https://127.0.0.1:1", api_key="none")
    assert done.status != 0 and "127.0.0.1:1" in done["msg"] and "Traceback" not in done.output
    assert not world.store.exists()


@pytest.mark.parametrize(
    ("users", "changes", "said"),
    [
        (["anna", "anna"], {}, "named twice"),
        (["system:node:a"], {}, "system:"),
        ([{"name": "anna", "groups": ["system:masters"]}], {}, "system:masters"),
        ([{"name": "anna", "grups": ["a"]}], {}, "grups"),
        ([{"name": "anna", "lifetime": "5m"}], {}, "lifetime"),
        ([], {"concurrency": 0}, "concurrency"),
    ],
)
def test_bad_input_ends_before_any_write(world: World, users: list[Any], changes: dict[str, Any], said: str) -> None:
    done = world.run(world.bert, *users, **changes)
    assert done.status != 0 and said in done["msg"] and "Traceback" not in done.output
    assert world.requests() == [] and not world.store.exists()


def test_absent_removes_and_says_what_stays_valid(world: World) -> None:
    issued = world.run(world.anna, world.bert).entry(world.anna)
    world.drive({"name": world.anna, "groups": ["team-red"]}, die_after="approve")
    time.sleep(1)  # the signer's second; what it issued is never collected
    done = world.run({"name": world.anna, "state": "absent"}, world.bert)
    assert done.actions() == {world.anna: "removed", world.bert: "unchanged"}
    entry = done.entry(world.anna)
    assert (entry["not_after"], entry["credential_id"]) == (issued["not_after"], issued["credential_id"])
    assert len(entry["still_valid"]) == 2
    assert world.requests() == []
    assert sorted(path.name for path in world.store.iterdir()) == [
        ".pairs",
        f"{world.bert}.crt",
        f"{world.bert}.key",
        "ledger.jsonl",
    ]
    again = world.run(world.anna, state="absent")
    assert not again["changed"] and len(again.entry(world.anna)["still_valid"]) == 2


def test_two_hundred_people_in_one_task(world: World) -> None:
    people = [{"name": f"p{number}-{world.mark}", "groups": ["team-red"]} for number in range(200)]
    done = world.play(*people)
    assert done["counts"]["created"] == 200
    assert world.requests() == []
    assert len(world.ledger()) == 200
    again = world.play(*people)
    assert again["counts"]["unchanged"] == 200 and not again["changed"]


def secrets_of(pem: bytes) -> list[str]:
    """A key in the forms that a leak would have."""
    lines = pem.decode().splitlines()
    key = serialization.load_pem_private_key(pem, None)
    number = key.private_numbers().private_value  # type: ignore[union-attr]
    shifted = [base64.b64encode(b"x" * shift + pem)[8:200].decode() for shift in range(3)]
    return [*lines[1:-1], str(number), f"{number:x}", *shifted]


def test_no_output_holds_a_key(world: World) -> None:
    first = world.play(world.anna, diff=True, verify_login=True, flags=("-vvvv",))
    old = (world.store / f"{world.anna}.key").read_bytes()
    second = world.play({"name": world.anna, "groups": ["a"]}, diff=True, flags=("-vvvv",))
    new = (world.store / f"{world.anna}.key").read_bytes()
    foretold = world.play({"name": world.anna, "groups": ["b"]}, check=True, diff=True, flags=("-vvvv",))
    shown = first.output + second.output + foretold.output
    assert second.actions() == {world.anna: "updated"} and old != new
    for secret in (*secrets_of(old), *secrets_of(new)):
        assert secret not in shown
    assert "PRIVATE KEY" not in shown
