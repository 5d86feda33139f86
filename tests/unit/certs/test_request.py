# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: whether an object on the server is ours in whole, how it stands, what is stored of it."""

from __future__ import annotations

import base64
import copy
import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs import request as requests
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import Unreadable
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from .conftest import wanted

ANNA = Person("anna", ("team-blue", "team-red"), 3600)
KEYS = Keys()
KEY = KEYS.make("ecdsa-p256")[0]
FACTS = KEYS.inspect(KEY)
assert FACTS is not None
ATTEMPT = requests.Attempt(
    version="20261124T120000Z-0123456789ab",
    object_name="kubestead-anna-0123456789ab",
    user="anna",
    groups=ANNA.groups,
    signer="kubernetes.io/kube-apiserver-client",
    usages=requests.usages_for("ecdsa-p256"),
    expiration_seconds=3600,
    request_pem=KEYS.sign(KEY, ANNA),
    key_hash=FACTS.public_key_hash,
)


def on_server(**spec: Any) -> dict[str, Any]:
    obj = copy.deepcopy(requests.object_of(ATTEMPT))
    obj["metadata"].update(uid="u1", resourceVersion="7", managedFields=[{}], labels={"seen-by": "a-policy"})
    obj["spec"].update({"username": "admin", "groups": ["system:masters"], **spec})
    return obj


def test_the_same_request_is_ours() -> None:
    assert requests.differences(on_server(), ATTEMPT, "admin") == ()
    assert requests.differences(on_server(usages=["digital signature", "client auth"]), ATTEMPT, "admin") == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"request": base64.b64encode(b"other").decode()}, "signing request"),
        ({"signerName": "example.com/other"}, "signer"),
        ({"usages": ["client auth", "server auth"]}, "usages"),
        ({"usages": None}, "usages"),
        ({"expirationSeconds": 300 * 86400}, "25920000 s"),
        ({"expirationSeconds": None}, "no limit"),
        ({"username": "mallory"}, "mallory"),
        ({"username": None}, "made by"),
    ],
)
def test_every_part_of_a_request_counts(change: dict[str, Any], said: str) -> None:
    (found,) = requests.differences(on_server(**change), ATTEMPT, "admin")
    assert said in found


def test_an_approval_names_the_object_that_was_compared_and_keeps_its_labels() -> None:
    obj = on_server()
    body = requests.approval_of(obj)
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("u1", "7")
    assert body["metadata"]["labels"] == {"seen-by": "a-policy"}
    assert [condition["type"] for condition in body["status"]["conditions"]] == ["Approved"]


def condition(kind: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": "Because", "message": "of  this\nand that", **more}


@pytest.mark.parametrize(
    ("status", "word", "message"),
    [
        (None, "pending", ""),
        ({}, "pending", ""),
        ({"conditions": [condition("Approved")]}, "approved", "Because: of this and that"),
        ({"conditions": [condition("Denied")]}, "denied", "Because: of this and that"),
        ({"conditions": [condition("Approved"), condition("Failed")]}, "failed", "Because: of this and that"),
        ({"conditions": [condition("Approved")], "certificate": "YWJj"}, "issued", ""),
        ({"certificate": "?"}, "failed", "the server returned a certificate that is not base64 of a PEM text"),
    ],
)
def test_how_a_request_stands(status: Any, word: str, message: str) -> None:
    stands = requests.standing({"status": status})
    assert (stands.word, stands.message) == (word, message)


def test_when_it_was_approved() -> None:
    dated = {"status": {"conditions": [condition("Approved", lastUpdateTime="2026-11-24T12:00:00Z")]}}
    assert requests.approved_at(dated) == 1795521600
    assert requests.approved_at({"status": {"conditions": [condition("Approved", lastUpdateTime="?")]}}) == 0
    assert requests.approved_at({}) == 0


def test_our_own_request_is_as_we_would_make_it() -> None:
    assert requests.request_objections(ATTEMPT.request_pem, ANNA, ATTEMPT.key_hash) == ()
    assert ATTEMPT.fits(ANNA, wanted("anna"))


@pytest.mark.parametrize(
    "change",
    [
        {"user": "bert"},
        {"groups": ("team-red",)},
        {"signer": "example.com/other"},
        {"expiration_seconds": 7200},
        {"key_hash": ""},
        {"key_hash": "0" * 64},
        {"request_pem": "no request"},
    ],
)
def test_an_attempt_for_something_else_does_not_fit(change: dict[str, Any]) -> None:
    assert not replace(ATTEMPT, **change).fits(ANNA, wanted("anna"))


def test_a_request_with_more_than_a_name_and_groups_is_not_ours() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    facts = KEYS.inspect(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert facts is not None
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anna"), x509.NameAttribute(NameOID.USER_ID, "7")])
    alternative = x509.SubjectAlternativeName([x509.DNSName("kubernetes.default")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternative, critical=False)
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    found = requests.request_objections(pem, Person("anna"), facts.public_key_hash)
    assert any("extensions" in one for one in found) and any("0.9.2342.19200300.100.1.1" in one for one in found)


@given(st.text(max_size=400))
def test_no_text_breaks_the_judgement_of_a_request(text: str) -> None:
    assert requests.request_objections(text, ANNA, ATTEMPT.key_hash)
    framed = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"
    assert requests.request_objections(framed, ANNA, ATTEMPT.key_hash)


def test_a_record_comes_back_as_it_was() -> None:
    stored = requests.record_of(ATTEMPT)
    assert requests.read_record(stored, ATTEMPT.version) == ATTEMPT
    assert b"PRIVATE" not in stored
    with pytest.raises(Unreadable):
        requests.read_record(stored, "20261124T120000Z-ba9876543210")


@given(st.one_of(st.binary(max_size=300), st.builds(lambda cut: requests.record_of(ATTEMPT)[:cut], st.integers(0, 400))))
def test_a_damaged_record_is_said_to_be_one(stored: bytes) -> None:
    with pytest.raises(Unreadable):
        requests.read_record(stored, ATTEMPT.version)


@given(st.from_regex(r"[a-z0-9_][a-z0-9._@-]{0,63}", fullmatch=True))
def test_every_user_gives_a_valid_name_that_leads_back(name: str) -> None:
    made = requests.object_name(name, "0123456789ab")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made)
    assert requests.words_of({"metadata": {"name": made}}) == requests.words_for(name)


def test_names_that_look_alike_stay_apart() -> None:
    assert requests.words_for("a.b") != requests.words_for("a-b")


@pytest.mark.parametrize("name", ["csr-x7k2p", "kubestead", "node-csr-0123456789ab"])
def test_a_request_with_another_name_is_nobodys(name: str) -> None:
    assert requests.words_of({"metadata": {"name": name}}) == ""


def test_rsa_keys_ask_for_key_encipherment_too() -> None:
    assert "key encipherment" in requests.usages_for("rsa-2048")
    assert "key encipherment" not in requests.usages_for("ed25519")
