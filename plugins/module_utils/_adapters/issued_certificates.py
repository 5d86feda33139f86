# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of issued certificates: the ledger of k8s_user_cert, and requests on the server that hold one."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Optional

from .._certs import ledger
from .._certs.certificate import Unreadable, common_names, read_certificate
from .._certs.request import standing
from .pair_store import LedgerFile

with contextlib.suppress(ImportError):  # said in words by deps.need
    from cryptography import x509


class IssuedCertificates:
    """The ledger in a store's folder; without a folder nothing is known and nothing is written down."""

    def __init__(self, directory: Optional[str]) -> None:
        self._ledger = LedgerFile(directory) if directory else None

    def lines(self) -> tuple[Mapping[str, Any], ...]:
        """All of the ledger."""
        return ledger.parse(self._ledger.read()) if self._ledger is not None else ()

    def asked_name(self, request: Mapping[str, Any]) -> str:
        """The user name that a request asks for; empty when it cannot be read."""
        try:
            pem = base64.b64decode(str((request.get("spec") or {}).get("request")), validate=True)
            return (common_names(x509.load_pem_x509_csr(pem).subject) or [""])[0]
        except Exception:  # noqa: BLE001 - a hostile request may break the codec in ways it does not document
            return ""

    def issued(self, name: str, request: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
        """The line of the ledger for the certificate that a request led to, if it did."""
        pem = standing(request).certificate_pem
        if pem is None:
            return None
        try:
            signer = str((request.get("spec") or {}).get("signerName"))
            return ledger.line_of(name, read_certificate(pem), signer, int(time.time()))
        except Unreadable:
            return None

    def note(self, line: Mapping[str, Any]) -> None:
        """Write a line down, unless it is there."""
        if self._ledger is not None and ledger.missing_from([line], self.lines()):
            self._ledger.append(ledger.render([line]))
