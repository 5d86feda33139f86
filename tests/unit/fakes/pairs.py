# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real certificates and keys, self-signed, for tests that look into them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def new_pair(name: str, not_after: datetime) -> tuple[bytes, bytes]:
    """A certificate and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=timezone.utc)).not_valid_after(not_after)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pair_for(name: str, now: float, **left: float) -> tuple[bytes, bytes]:
    """A pair that ends so long after ``now``, in the words of timedelta."""
    return new_pair(name, datetime.fromtimestamp(now, timezone.utc) + timedelta(**left))
