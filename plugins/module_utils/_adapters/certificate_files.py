# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of certificates, read for a report: the certificates and the ledger, and never a private key."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .._core.errors import BackendFailed
from .safe_folder import explained
from .secret_file import SecretFiles


class CertificateFiles:
    """The files ``*.crt`` of one folder; what k8s_user_cert keeps there are links to the present pairs."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(directory))
        self._files = SecretFiles()

    def certificates(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of each certificate, by name."""
        if not os.path.isdir(self.path):
            raise BackendFailed(
                f"{self.path} is no folder, so its certificates cannot be reported.", hint="Leave it out, or name another."
            )
        with explained(self.path, "read"):
            names = sorted(name for name in os.listdir(self.path) if name.endswith(".crt"))
        for name in names:
            path = os.path.join(self.path, name)
            content = self._files.read(path)
            if content is not None:
                yield path, content

    def ledger(self) -> bytes:
        """All of the ledger; empty when there is none."""
        return self._files.read(os.path.join(self.path, "ledger.jsonl")) or b""
