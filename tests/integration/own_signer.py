# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signer of one's own beside those of Kubernetes, which may be told to sign something else than was asked."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .certificate_place import REQUESTS

Sign = Callable[[Mapping[str, Any]], str]


class OwnSigner:
    """An intermediate CA below a root. Each argument of ``sign`` puts something else in the place of what was asked."""

    def __init__(self) -> None:
        self._root, self._key = (ec.generate_private_key(ec.SECP256R1()) for _each in range(2))
        self._name = _name("people")
        self.above = _pem(_certificate(self._name, _name("root"), self._key.public_key(), self._root, 86400, ca=True))

    def sign(self, spec: Mapping[str, Any], *, key: Any = None, user: str = "", group: str = "", longer: int = 0) -> str:
        """A certificate for a request's spec, and the CA above it."""
        asked = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        subject = _name(user) if user else asked.subject
        if group:
            subject = x509.Name([*subject, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)])
        life = spec["expirationSeconds"] + longer
        return _pem(_certificate(subject, self._name, key or asked.public_key(), self._key, life)) + self.above


@contextmanager
def serving(admin: Any, signer_name: str, sign: Sign) -> Iterator[None]:
    """Sign every approved request for that signer meanwhile."""
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.05):
            for obj in admin.list_all(REQUESTS, {"fieldSelector": f"spec.signerName={signer_name}"}).objects:
                status = dict(obj.get("status") or {})
                if status.get("conditions") and not status.get("certificate"):
                    status["certificate"] = base64.b64encode(sign(obj["spec"]).encode()).decode()
                    admin.call("PUT", f"{REQUESTS}/{obj['metadata']['name']}/status", {**obj, "status": status})

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: x509.Name, issuer: x509.Name, public: Any, key: Any, life: int, *, ca: bool = False) -> Any:
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
    builder = builder.not_valid_after(now + timedelta(seconds=life))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _pem(certificate: Any) -> str:
    return str(certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"))
