# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as values: reading them, and judging an issued one against what was asked."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from dataclasses import dataclass, field
from typing import Any, Union

from .._core.errors import BackendFailed
from .wanted import Person

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

BACKDATE = 300  # the signer sets notBefore five minutes back; it is not part of the life that was asked for
LONGEST_CHAIN = 10
TOLERANCE = 60  # clocks of two machines, and rounding


@dataclass(frozen=True)
class Certificate:
    """What matters of a person's certificate; times are seconds since 1970."""

    name: str
    groups: tuple[str, ...]
    not_before: int
    not_after: int
    serial: str
    credential_id: str
    public_key_hash: str
    oddities: tuple[str, ...] = ()
    der: bytes = field(default=b"", repr=False)

    @property
    def life(self) -> int:
        """From the signer's issue (its back-dating left out) to the end."""
        return max(1, self.not_after - self.not_before - BACKDATE)


class Unreadable(BackendFailed):
    """Bytes that are no certificate, or no request, of the kind we handle."""

    code = "unreadable"


def read_certificate(pem: Union[str, bytes]) -> Certificate:
    """The certificate in a PEM text (the first one, as servers read it); raises Unreadable."""
    der = _pem_block(pem, "CERTIFICATE")
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(
            name=(common_names(certificate.subject) or [""])[0],
            groups=groups_of(certificate.subject),
            not_before=_moment(certificate, "not_valid_before"),
            not_after=_moment(certificate, "not_valid_after"),
            serial=f"{certificate.serial_number:x}",
            credential_id="X509SHA256=" + hashlib.sha256(der).hexdigest(),
            public_key_hash=public_key_hash(certificate.public_key()),
            oddities=(*subject_oddities(certificate.subject), *_extension_oddities(certificate)),
            der=der,
        )
    except Exception as exc:  # a hostile certificate may break the codec in ways it does not document
        raise Unreadable(f"not a certificate: {type(exc).__name__}") from exc


def chain_of(pem: str) -> str:
    """A signer's answer as it is stored: the certificate, then what follows it, and nothing but certificates.

    Raises Unreadable for blocks of another kind and for a chain that does not lead upwards from the first certificate.
    """
    blocks = pem.split("-----BEGIN ")[1:]
    if any(not block.startswith("CERTIFICATE-----") for block in blocks) or len(blocks) > LONGEST_CHAIN:
        raise Unreadable("more than a chain of certificates")
    ders = [_pem_block("-----BEGIN " + block, "CERTIFICATE") for block in blocks]
    try:
        chain = [x509.load_der_x509_certificate(der) for der in ders]
        disordered = any(lower.issuer != upper.subject for lower, upper in zip(chain, chain[1:]))
    except Exception as exc:  # as above
        raise Unreadable(f"a chain with {type(exc).__name__}") from exc
    if disordered:
        raise Unreadable("a chain that is not in order")
    return "".join(str(one.public_bytes(serialization.Encoding.PEM).decode("ascii")) for one in chain)


def public_key_hash(public_key: Any) -> str:
    """SHA-256, in hexadecimal, of a public key's SubjectPublicKeyInfo."""
    encoded = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def objections(certificate: Certificate, person: Person, key_hash: str, latest_start: int) -> tuple[str, ...]:
    """Why an issued certificate must not be used; empty when it is what was asked.

    ``latest_start`` is a moment at or after the issue: notBefore is back-dated, so "longer than asked" is judged from there.
    """
    found = list(certificate.oddities)
    if certificate.public_key_hash != key_hash:
        found.append("it belongs to another key")
    if certificate.name != person.name:
        found.append(f"it names {certificate.name[:80]!r}")
    if certificate.groups != person.groups:
        found.append(f"its groups are {', '.join(certificate.groups)[:200] or 'none'}")
    beyond = max(
        certificate.not_after - (latest_start + person.lifetime),
        certificate.not_after - certificate.not_before - BACKDATE - person.lifetime,
    )
    if beyond > TOLERANCE:
        found.append(f"it is valid {beyond} s longer than asked")
    return tuple(found)


def subject_oddities(subject: Any) -> tuple[str, ...]:
    """What a subject holds beside one common name and the groups. Signers join all groups in one part."""
    allowed = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    parts = list(subject.rdns)
    found = sorted({attribute.oid.dotted_string for part in parts for attribute in part if attribute.oid not in allowed})
    oddities = [f"its subject has the attribute {oid}" for oid in found]
    if any(len({attribute.oid for attribute in part}) != 1 for part in parts):
        oddities.append("its subject joins different attributes in one part")
    if len(common_names(subject)) != 1:
        oddities.append("its subject has not exactly one common name")
    return tuple(oddities)


def _extension_oddities(certificate: Any) -> tuple[str, ...]:
    extensions = {extension.oid: extension.value for extension in certificate.extensions}
    usages = set(extensions.get(ExtensionOID.EXTENDED_KEY_USAGE, ()))
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    found = []
    if usages != {ExtendedKeyUsageOID.CLIENT_AUTH}:
        found.append("it is not for client authentication only")
    if constraints is not None and constraints.ca:
        found.append("it is a CA")
    if ExtensionOID.SUBJECT_ALTERNATIVE_NAME in extensions:
        found.append("it holds alternative names")
    return tuple(found)


def _pem_block(pem: Union[str, bytes], kind: str) -> bytes:
    text = pem.decode("ascii", "replace") if isinstance(pem, bytes) else pem
    begin, end = f"-----BEGIN {kind}-----", f"-----END {kind}-----"
    _before, found, rest = text.partition(begin)
    body, closed, _after = rest.partition(end)
    if not found or not closed:
        raise Unreadable(f"no PEM block {kind}")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Unreadable("the PEM block is not base64") from exc


def common_names(subject: Any) -> list[str]:
    """All common names of a subject; there should be one."""
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def groups_of(subject: Any) -> tuple[str, ...]:
    """The organizations of a subject, sorted, repeated ones too."""
    return tuple(sorted(str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)))


def _moment(certificate: Any, attribute: str) -> int:
    aware = getattr(certificate, f"{attribute}_utc", None)  # cryptography >= 42; the naive one is deprecated there
    moment = aware if aware is not None else getattr(certificate, attribute).replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp())
