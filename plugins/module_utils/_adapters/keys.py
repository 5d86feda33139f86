# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys and signatures, by the ``cryptography`` library; and the randomness that names are made of."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any, Callable, Optional

from .._certs.certificate import public_key_hash
from .._certs.pair import KeyFacts
from .._certs.request import subject_name
from .._certs.wanted import Person
from .._core.errors import BadInput

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

_MAKERS: dict[str, Callable[[], Any]] = {
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    # looked up late, because the library may be missing: pylint: disable-next=unnecessary-lambda
    "ed25519": lambda: ed25519.Ed25519PrivateKey.generate(),
    "rsa-2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "rsa-3072": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
    "rsa-4096": lambda: rsa.generate_private_key(public_exponent=65537, key_size=4096),
}
_LONGEST_PASSPHRASE = 1023  # bytes; OpenSSL takes no more
_CURVES = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}


class Keys:
    """Makes keys, signs requests with them, and tells what a stored key is. Safe to call from several threads.

    With a passphrase, new keys are encrypted with it, and stored ones are read with it if they are encrypted.
    """

    def __init__(self, passphrase: Optional[str] = None) -> None:
        self._passphrase = None if passphrase is None else passphrase.encode("utf-8")
        self._made: dict[bytes, Any] = {}
        if self._passphrase is not None and not 1 <= len(self._passphrase) <= _LONGEST_PASSPHRASE:
            raise BadInput(f"key_passphrase has to have 1 to {_LONGEST_PASSPHRASE} bytes.")

    def make(self, key_type: str) -> tuple[bytes, KeyFacts]:
        """A new private key as PKCS#8 PEM, and what may be known of it. ``sign`` then need not read it again, once."""
        key, sealed = _MAKERS[key_type](), self._passphrase is not None
        key_pem = self._encoded(key, sealed=sealed)
        self._made[key_pem] = key
        return key_pem, KeyFacts(key_type, public_key_hash(key.public_key()), sealed)

    def seal(self, key_pem: bytes) -> bytes:
        """A stored key as this run stores keys: the same, or encrypted."""
        key, encrypted = self._load(key_pem)
        return key_pem if encrypted or self._passphrase is None else self._encoded(key, sealed=True)

    def plain(self, key_pem: bytes) -> bytes:
        """A stored key without encryption, for a login."""
        key, encrypted = self._load(key_pem)
        return self._encoded(key, sealed=False) if encrypted else key_pem

    def sign(self, key_pem: bytes, person: Person) -> str:
        """A signing request for a person, as PEM."""
        key = self._made.pop(key_pem, None) or self._load(key_pem)[0]
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(person))
        signed: Any = builder.sign(key, _digest(key))  # type: ignore[arg-type]
        return str(signed.public_bytes(serialization.Encoding.PEM).decode("ascii"))

    def inspect(self, key_pem: bytes) -> Optional[KeyFacts]:
        """What may be known of a key; None when it cannot be read."""
        try:
            key, encrypted = self._load(key_pem)
            return KeyFacts(_key_type(key), public_key_hash(key.public_key()), encrypted)
        except Exception:  # noqa: BLE001 - a damaged key may break the library in ways it does not document
            return None

    def token(self) -> str:
        """Twelve random characters for a name that nobody can know beforehand."""
        return secrets.token_hex(6)

    def _load(self, key_pem: bytes) -> tuple[Any, bool]:
        """The key, and whether it is encrypted; the library tells that only by refusing a passphrase that is not needed."""
        with contextlib.suppress(TypeError):
            return serialization.load_pem_private_key(key_pem, password=None), False
        return serialization.load_pem_private_key(key_pem, password=self._passphrase), True

    def _encoded(self, key: Any, *, sealed: bool) -> bytes:
        encryption: Any = serialization.NoEncryption()
        if sealed and self._passphrase is not None:
            encryption = serialization.BestAvailableEncryption(self._passphrase)
        return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))


def _digest(key: Any) -> Optional[hashes.HashAlgorithm]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None  # the algorithm brings its own
    return hashes.SHA384() if _key_type(key) == "ecdsa-p384" else hashes.SHA256()


def _key_type(key: Any) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _CURVES.get(key.curve.name, key.curve.name)
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa-{key.key_size}"
    return "ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else type(key).__name__
