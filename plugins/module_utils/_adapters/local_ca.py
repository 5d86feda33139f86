# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority whose certificate and key are files on this host, by the ``cryptography`` library."""

from __future__ import annotations

import datetime
from typing import Any, Optional

from .._certs.authority import authorities
from .._certs.certificate import BACKDATE, public_key_hash
from .._certs.wanted import SHORTEST, Person
from .._core.errors import BadInput, Refused
from .secret_file import SecretFiles

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass


class LocalCa:
    """Signs as the Kubernetes signer does: back-dated a little, for client authentication only, never beyond the CA's end.

    The first certificate of the file is the CA's; those after it lead to the root and follow each certificate that is
    issued, unless they are roots themselves. Everything wrong with the files is said before anything is written.
    """

    def __init__(self, cert_path: str, key_path: str, passphrase: Optional[str] = None) -> None:
        self.pem = _content(cert_path, "local_ca.cert").decode("ascii", "replace")
        found = authorities(self.pem, "local_ca.cert")
        self._certificate = found[0]
        self._chain = "".join(_pem(one) for one in found if one.issuer != one.subject)
        self.pem = _pem(self._certificate)
        self._key = _load_key(_content(key_path, "local_ca.key"), passphrase)
        if public_key_hash(self._key.public_key()) != public_key_hash(self._certificate.public_key()):
            raise BadInput("local_ca: the key is not the one of the certificate.", hint="Check local_ca.cert and local_ca.key.")

    def issue(self, request_pem: str, person: Person, now: int) -> str:
        """A certificate for a signing request, leaf first."""
        request = x509.load_pem_x509_csr(request_pem.encode("ascii"))
        begin = _moment(now - BACKDATE)
        end = min(_moment(now + person.lifetime), self._end())
        if (end - _moment(now)).total_seconds() < SHORTEST:
            raise Refused(
                f"user {person.name!r}: the CA in local_ca.cert ends at {self._end():%Y-%m-%dT%H:%M:%SZ}, too soon for a"
                " certificate of ten minutes.",
                hint="Renew the CA.",
            )
        public: Any = request.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(public), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()), critical=False)
        )
        signed = builder.sign(self._key, _digest(self._key))  # type: ignore[arg-type]
        return _pem(signed) + self._chain

    def _end(self) -> datetime.datetime:
        aware: Optional[datetime.datetime] = getattr(self._certificate, "not_valid_after_utc", None)  # cryptography >= 42
        if aware is not None:
            return aware
        naive: datetime.datetime = self._certificate.not_valid_after
        return naive.replace(tzinfo=datetime.timezone.utc)


def _content(path: str, option: str) -> bytes:
    content = SecretFiles().read(path)
    if content is None:
        raise BadInput(f"{option}: there is no file {path}.")
    return content


def _load_key(pem: bytes, passphrase: Optional[str]) -> Any:
    try:
        return serialization.load_pem_private_key(pem, password=passphrase.encode() if passphrase else None)
    except TypeError:
        told = "is encrypted; set local_ca.passphrase" if not passphrase else "is not encrypted; leave local_ca.passphrase out"
        raise BadInput(f"local_ca.key {told}.") from None
    except Exception as exc:  # noqa: BLE001 - a damaged key may break the library in ways it does not document
        raise BadInput(
            f"local_ca.key cannot be read ({type(exc).__name__}).", hint="The passphrase is wrong, or the file is damaged."
        ) from None


def _usage(public: Any) -> Any:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=isinstance(public, rsa.RSAPublicKey),
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _digest(key: Any) -> Optional[hashes.HashAlgorithm]:
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _pem(certificate: Any) -> str:
    return str(certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"))
