# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issued certificates: what is read from them, and what makes one be refused."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import (
    Certificate,
    Unreadable,
    objections,
    read_certificate,
)
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from ansible_collections.kubestead.platform.plugins.module_utils._core.window import rfc3339
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.csr_signer import CsrSigner
from fakes.kube_api import FakeKubeApi

from .conftest import NOW

ANNA = Person("anna", ("team-blue", "team-red"), 600)
START = int(NOW.timestamp())
KEYS = Keys()
KEY = KEYS.make("ecdsa-p256")[0]
FACTS = KEYS.inspect(KEY)
assert FACTS is not None


def issued(person: Person = ANNA, **spec: Any) -> bytes:
    signer = CsrSigner(FakeKubeApi())
    signer.now = NOW
    request = base64.b64encode(KEYS.sign(KEY, person).encode()).decode()
    return signer.issue({"request": request, "expirationSeconds": person.lifetime, **spec})


PEM = issued()


def judge(certificate: Certificate, person: Person = ANNA, at: int = START) -> tuple[str, ...]:
    assert FACTS is not None
    return objections(certificate, person, FACTS.public_key_hash, at)


def test_what_is_read() -> None:
    certificate = read_certificate(PEM)
    assert (certificate.name, certificate.groups) == ("anna", ("team-blue", "team-red"))
    assert rfc3339(certificate.not_after) == "2026-11-24T12:10:00Z"
    assert certificate.life == 600
    assert certificate.credential_id.startswith("X509SHA256=") and len(certificate.credential_id) == 11 + 64
    assert judge(certificate) == ()


def test_ten_minutes_span_fifteen_and_are_not_longer_than_asked() -> None:
    certificate = read_certificate(PEM)
    assert certificate.not_after - certificate.not_before == 900
    assert judge(certificate) == ()


def test_a_day_more_than_asked_is_seen_from_the_moment_of_the_request() -> None:
    certificate = read_certificate(issued(expirationSeconds=600 + 86400))
    assert judge(certificate) == ("it is valid 86400 s longer than asked",)


def test_an_issue_long_after_the_request_is_no_reason_to_refuse_but_the_span_still_counts() -> None:
    assert judge(read_certificate(PEM), at=START + 50000) == ()
    longer = read_certificate(issued(expirationSeconds=1200))
    assert judge(longer, at=START + 50000) == ("it is valid 600 s longer than asked",)


def test_another_key_name_or_groups_are_refused() -> None:
    assert FACTS is not None
    certificate = read_certificate(PEM)
    assert objections(certificate, ANNA, "0" * 64, START) == ("it belongs to another key",)
    assert judge(certificate, Person("bert", ANNA.groups, 600)) == ("it names 'anna'",)
    assert judge(certificate, Person("anna", ("team-red",), 600)) == ("its groups are team-blue, team-red",)


def self_made(subject: x509.Name, *extensions: x509.ExtensionType) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(minutes=10))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return read_certificate(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
CN = x509.NameAttribute(NameOID.COMMON_NAME, "anna")


@pytest.mark.parametrize(
    ("subject", "extensions", "said"),
    [
        (x509.Name([CN]), [], "client authentication"),
        (x509.Name([CN]), [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])], "client authentication"),
        (x509.Name([CN]), [CLIENT, x509.BasicConstraints(ca=True, path_length=None)], "is a CA"),
        (x509.Name([CN]), [CLIENT, x509.SubjectAlternativeName([x509.DNSName("a.b")])], "alternative names"),
        (x509.Name([CN, CN]), [CLIENT], "common name"),
        (x509.Name([]), [CLIENT], "common name"),
        (x509.Name([CN, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")]), [CLIENT], "2.5.4.11"),
        (
            x509.Name([x509.RelativeDistinguishedName([CN, x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")])]),
            [CLIENT],
            "joins different",
        ),
    ],
)
def test_what_we_would_not_make_is_odd(subject: x509.Name, extensions: list[Any], said: str) -> None:
    assert any(said in oddity for oddity in self_made(subject, *extensions).oddities)


@given(st.binary(max_size=600))
@example(b"-----BEGIN CERTIFICATE-----")
@example(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")
def test_no_bytes_break_the_reader(content: bytes) -> None:
    framed = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(content) + b"\n-----END CERTIFICATE-----\n"
    for pem in (content, framed, content.decode("latin-1")):
        with pytest.raises(Unreadable):
            read_certificate(pem)


@given(st.integers(0, len(PEM) - 1), st.integers(0, 255))
def test_one_changed_byte_is_unreadable_or_still_a_certificate(position: int, byte: int) -> None:
    changed = PEM[:position] + bytes([byte]) + PEM[position + 1 :]
    try:
        assert isinstance(read_certificate(changed), Certificate)
    except Unreadable:
        pass


@given(st.data())
def test_damage_inside_is_unreadable_or_still_a_certificate(data: st.DataObject) -> None:
    der = bytearray(x509.load_pem_x509_certificate(PEM).public_bytes(serialization.Encoding.DER))
    for _time in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    framed = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(bytes(der)) + b"\n-----END CERTIFICATE-----\n"
    try:
        assert isinstance(read_certificate(framed), Certificate)
    except Unreadable:
        pass
