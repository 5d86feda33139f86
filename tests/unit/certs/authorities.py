# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate authorities and signing requests for tests, as other tools make them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A CA with its key, below ``parent`` or a root."""

    def __init__(self, title: str = "people", *, parent: Optional[Authority] = None, days: int = 3650, ca: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name(title)
        upper = parent or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(upper.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(START + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(upper.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(PEM).decode()

    def files(self, folder: Path, *, chain: str = "", passphrase: str = "") -> tuple[str, str]:
        """The paths of its certificate (and ``chain``) and key."""
        sealed: Any = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
        key = self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, sealed)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "ca.crt").write_text(self.pem + chain)
        (folder / "ca.key").write_bytes(key)
        return str(folder / "ca.crt"), str(folder / "ca.key")


def own_request(subject: str, *, key: Any = None, extension: Any = None, attribute: Any = None) -> str:
    """A signing request for ``CN=anna,O=a,…``, the parts in the order given."""
    oids = {
        "CN": NameOID.COMMON_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "UID": NameOID.USER_ID,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    parts = [x509.NameAttribute(oids[part.split("=")[0]], part.split("=")[1]) for part in subject.split(",")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    if attribute is not None:
        builder = builder.add_attribute(*attribute)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    return signed.public_bytes(PEM).decode()


def rsa_key(bits: int) -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
