# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certificates in a kubeconfig say, by the library cryptography; without it nothing is known, and nothing refused."""

from __future__ import annotations

import base64
import warnings
from datetime import timezone
from functools import lru_cache
from typing import Any, Optional

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    AVAILABLE = True
except ImportError:
    AVAILABLE = False


@lru_cache(maxsize=256)
def end_of(data: str) -> Optional[float]:
    """Seconds since 1970 at which the first certificate of base64 PEM data ends; None when there is none."""
    certificate = _certificate(data)
    if certificate is None:
        return None
    end = getattr(certificate, "not_valid_after_utc", None)
    return float((end or certificate.not_valid_after.replace(tzinfo=timezone.utc)).timestamp())


def pair_problem(cert_data: str, key_data: str) -> Optional[str]:
    """Why a certificate and a key, both PEM in base64, do not belong together; None when they do."""
    certificate = _certificate(cert_data)
    if certificate is None:
        return "client-certificate-data holds no certificate"
    try:
        key = load_pem_private_key(base64.b64decode(key_data), password=None)
    except TypeError:
        return "the key is encrypted, and kubectl cannot ask for its passphrase"
    except Exception:  # noqa: BLE001 - the library has many words for what is damaged
        return "client-key-data holds no private key that can be read"
    try:
        same = _public(key.public_key()) == _public(certificate.public_key())
    except Exception:  # noqa: BLE001 - as above
        return "client-certificate-data holds a certificate with a damaged key"
    return None if same else "the certificate and the key do not belong together"


def _certificate(data: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd serial numbers are not our business
            return x509.load_pem_x509_certificate(base64.b64decode(data))
    except Exception:  # noqa: BLE001 - as above
        return None


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
