# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing requests that people made themselves, judged before anything is sent: what they hold ends up in the certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._core.errors import BadInput
from .certificate import public_key_hash
from .request import request_objections
from .wanted import Person, Wanted

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

_LONGEST = 16384
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_SHORTEST_RSA = 2048


def judged(wanted: Wanted) -> Wanted:
    """The task with every supplied request read; raises BadInput for the first that is not what we would make."""
    return replace(wanted, people=tuple(_judged(person) if person.csr else person for person in wanted.people))


def _judged(person: Person) -> Person:
    what = f"user {person.name!r}: csr"
    pem, key, attributes = _read(person.csr, what)
    key_hash = public_key_hash(key)
    found = list(request_objections(pem, person, key_hash))
    if not _strong(key):
        found.append("its key is none of RSA from 2048 bits, ECDSA P-256, P-384, P-521 and Ed25519")
    if attributes:
        found.append("it carries attributes, which everybody who may read requests would see")
    if found:
        raise BadInput(
            f"{what} is not acceptable: {'; '.join(found)}.",
            hint=f"Make it with the subject CN={person.name}"
            + "".join(f", O={group}" for group in person.groups)
            + " and nothing else: no alternative names, no extensions.",
        )
    return replace(person, csr=pem, csr_key_hash=key_hash)


def _read(text: str, what: str) -> tuple[str, Any, bool]:
    """The request as the library writes it, its public key, and whether it carries attributes."""
    if "PRIVATE KEY" in text:
        raise BadInput(
            f"{what} holds a private key.", hint="Give the signing request only, and make a new key: this one was shown."
        )
    if len(text) > _LONGEST:
        raise BadInput(f"{what} is longer than {_LONGEST} characters.")
    try:
        request = x509.load_pem_x509_csr(text.encode("ascii"))
        pem = str(request.public_bytes(serialization.Encoding.PEM).decode("ascii"))
        return pem, request.public_key(), bool(list(getattr(request, "attributes", ())))
    except Exception as exc:  # noqa: BLE001 - what is no request may break the codec in ways it does not document
        raise BadInput(
            f"{what} cannot be read ({type(exc).__name__}).", hint="Give one PEM block CERTIFICATE REQUEST."
        ) from None


def _strong(key: Any) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return bool(key.key_size >= _SHORTEST_RSA)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey)


def usage_type(person: Person) -> str:
    """The type of the key behind a supplied request, as far as the usages depend on it."""
    return "rsa" if isinstance(_read(person.csr, "csr")[1], rsa.RSAPublicKey) else "other"
