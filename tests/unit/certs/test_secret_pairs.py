# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs in Secrets: one LIST, whole pairs at every moment, nothing of others touched, the ledger beside them."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_pairs import SecretLedger, SecretPairs
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Conflict, Refused

from fakes.kube_api import FakeKubeApi, forbid

from .conftest import SECRETS, World


@pytest.fixture
def cluster(world: World) -> World:
    world.keep_in_secrets()
    return world


def belongs_together(world: World, name: str) -> bool:
    secret = world.secret(name)
    facts = Keys().inspect(secret["tls.key"])
    return facts is not None and facts.public_key_hash == read_certificate(secret["tls.crt"]).public_key_hash


def test_a_run_leaves_one_secret_for_each_person_and_nothing_on_disk(cluster: World) -> None:
    done = cluster.run("anna", "bert")
    assert done.action("anna") == ("created", "missing")
    assert done["anna"].facts["key_path"] == "people/anna-certificate:tls.key"
    assert set(cluster.secret("anna")) == {"tls.key", "tls.crt"}
    assert belongs_together(cluster, "anna") and belongs_together(cluster, "bert")
    assert [line["name"] for line in cluster.ledger()] == ["anna", "bert"]
    assert cluster.requests() == {} and not cluster.folder.exists()


def test_an_unchanged_run_is_one_list(cluster: World) -> None:
    cluster.run("anna", "bert")
    cluster.api.calls.clear()
    assert not cluster.run("anna", "bert").changed
    assert cluster.api.calls == [("LIST", SECRETS)]


def test_the_key_is_stored_before_its_request_leaves(cluster: World) -> None:
    order: list[str] = []
    cluster.api.after_write.append(lambda method, path, _obj: order.append(f"{method} {path.rsplit('/', 2)[1]}"))
    cluster.run("anna")
    assert order[:2] == ["POST secrets", "POST certificatesigningrequests"]


@pytest.mark.parametrize("stage", ["keys", "request", "approve", "collect", "install"])
@pytest.mark.parametrize("renewing", [False, True])
def test_a_killed_run_is_continued(cluster: World, stage: str, renewing: bool) -> None:
    if renewing:
        cluster.run("anna", "bert")
        cluster.pass_time(days=25)
    cluster.killed_run(stage, "anna", "bert")
    if renewing:
        assert belongs_together(cluster, "anna")
    cluster.run("anna", "bert")
    assert belongs_together(cluster, "anna") and belongs_together(cluster, "bert")
    assert cluster.requests() == {} and set(cluster.secret("anna")) == {"tls.key", "tls.crt"}
    assert len({line["credential_id"] for line in cluster.ledger()}) == len(cluster.ledger()) == (4 if renewing else 2)
    assert not cluster.run("anna", "bert").changed


def test_a_second_run_at_the_same_time_loses_and_says_so(cluster: World) -> None:
    cluster.run("anna")
    cluster.pass_time(days=25)
    first, second = (SecretPairs(cluster.api, "people", "{name}-certificate") for _run in range(2))
    for pairs in (first, second):
        pairs.read("anna")
    first.prepare("anna", "20261124T120000Z-0123456789ab", b"k", b"{}")
    with pytest.raises(Conflict, match="another run changed"):
        second.prepare("anna", "20261124T120001Z-0123456789ab", b"k", b"{}")


def test_a_secret_of_somebody_else_is_left_alone(cluster: World) -> None:
    cluster.api.put(f"{SECRETS}/anna-certificate", {"kind": "Secret", "data": {"password": "cGFzcw=="}})
    done = cluster.run("anna")
    assert isinstance(done["anna"].error, Refused) and "is there already" in done.error("anna")
    assert cluster.secret("anna") == {"password": b"pass"}


def test_labels_and_annotations_of_others_stay(cluster: World) -> None:
    cluster.run("anna")
    path = f"{SECRETS}/anna-certificate"
    obj = cluster.api.objects[path]
    meta = {**obj["metadata"], "labels": {**obj["metadata"]["labels"], "team": "red"}}
    cluster.api.change(path, {**obj, "metadata": {**meta, "annotations": {**meta["annotations"], "note": "mine"}}})
    cluster.pass_time(days=25)
    assert cluster.run("anna").action("anna") == ("updated", "expiring")
    after = cluster.api.objects[path]["metadata"]
    assert after["labels"]["team"] == "red" and after["annotations"]["note"] == "mine"


def test_absent_removes_the_secret_and_keeps_the_ledger(cluster: World) -> None:
    cluster.run("anna", "bert")
    done = cluster.run({"name": "anna", "state": "absent"}, "bert")
    assert done.action("anna") == ("removed", "state is absent")
    assert len(done["anna"].facts["still_valid"]) == 1
    assert f"{SECRETS}/anna-certificate" not in cluster.api.objects
    assert len(cluster.ledger()) == 2


def test_names_that_are_no_labels_are_kept_apart(cluster: World) -> None:
    cluster.run("a.b", "a_b", "a@b", "ab")
    names = [path for path in cluster.api.objects if path.startswith(SECRETS) and "ledger" not in path]
    assert len(names) == 4 and f"{SECRETS}/ab-certificate" in names
    assert not cluster.run("a.b", "a_b", "a@b", "ab").changed


@pytest.mark.parametrize(
    ("namespace", "template", "said"),
    [("people", "certificate", "name_template"), ("people", "{name}_X", "name_template"), ("../x", "{name}", "namespace")],
)
def test_names_that_the_server_would_refuse_are_told_first(namespace: str, template: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        SecretPairs(FakeKubeApi(), namespace, template)


def test_a_full_ledger_goes_on_in_another_secret(cluster: World) -> None:
    ledger = SecretLedger(cluster.api, "people")
    lines = b"".join(b'{"credential_id": "%06d", "pad": "%s"}\n' % (number, b"x" * 300) for number in range(6000))
    ledger.append(lines)
    ledger.append(b'{"credential_id": "last"}\n')
    assert ledger.read() == lines + b'{"credential_id": "last"}\n'
    sizes = [len(obj["data"]["ledger.jsonl"]) for path, obj in cluster.api.objects.items() if "kubestead-ledger-" in path]
    assert len(sizes) == 3 and max(sizes) < 1_000_000


def test_two_runs_lose_no_line(cluster: World) -> None:
    ledger = SecretLedger(cluster.api, "people")
    ledger.append(b"one\n")

    def meanwhile(method: str, path: str, _obj: object) -> None:
        if method == "PUT" and "ledger" in path:
            cluster.api.on_write.remove(meanwhile)
            SecretLedger(cluster.api, "people").append(b"two\n")
            raise Conflict("changed", status=409, reason="Conflict")

    cluster.api.on_write.append(meanwhile)
    ledger.append(b"three\n")
    assert ledger.read() == b"one\ntwo\nthree\n"


def test_a_key_that_cannot_be_stored_is_never_used(cluster: World) -> None:
    cluster.api.on_write.append(forbid("POST", "/secrets/"))
    assert "forbidden" in cluster.run("anna").error("anna")
    assert cluster.requests() == {}
