# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate authorities as values: whether one of them signed a certificate."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .._core.errors import BadInput

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

_END = "-----END CERTIFICATE-----"


@lru_cache(maxsize=8)
def authorities(pem: str, option: str = "signer_ca") -> tuple[Any, ...]:
    """The certificates of a PEM bundle; raises BadInput when there is none, or one that is no CA's."""
    blocks = [block[block.find("-----BEGIN") :] + _END + "\n" for block in pem.split(_END)[:-1]]
    try:
        found = tuple(x509.load_pem_x509_certificate(block.encode("ascii")) for block in blocks)
        good = bool(found) and all(_is_authority(one) for one in found)
    except Exception as exc:  # noqa: BLE001 - a damaged certificate may break the codec in ways it does not document
        raise BadInput(f"{option} holds what is no certificate ({type(exc).__name__}).") from None
    if not good:
        raise BadInput(f"{option} does not hold certificates of CAs.", hint="Give one or more PEM blocks CERTIFICATE.")
    return found


def issued_by(der: bytes, pem: str) -> bool:
    """Whether one of the authorities in ``pem`` signed a certificate."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return False
    return any(_signed(certificate, one) for one in authorities(pem))


def _is_authority(certificate: Any) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _signed(certificate: Any, authority: Any) -> bool:
    try:
        algorithm, key = certificate.signature_hash_algorithm, authority.public_key()
        signature, body = certificate.signature, certificate.tbs_certificate_bytes
        if authority.subject != certificate.issuer:
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, body, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, body, ec.ECDSA(algorithm))
        else:
            key.verify(signature, body)
    except Exception:  # noqa: BLE001 - a damaged issuer, or a key of another type than the signature's, answers in many ways
        return False
    return True
