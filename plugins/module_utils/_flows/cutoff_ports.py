# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What access_cutoff needs of the world outside of its process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

from .._core.ports import KubeApi
from .._rbac.leavers import Obj


class LeaverFiles(Protocol):
    """The records of those who left, and the list of who is refused."""

    def read(self, name: str) -> Optional[bytes]:
        """A person's record."""

    def write(self, name: str, record: bytes, text: bytes) -> None:
        """Put the record and its readable form in place."""

    def archive(self, name: str, stamp: str) -> None:
        """Set a record aside: the person is back."""

    def path(self, name: str) -> str:
        """Where the readable form is."""

    def denials(self) -> Optional[bytes]:
        """The list."""

    def write_denials(self, content: bytes) -> None:
        """Put the list in place; Conflict when it was changed since it was read."""


class Certificates(Protocol):
    """What is known of certificates that were issued."""

    def lines(self) -> tuple[Mapping[str, Any], ...]:
        """The ledger."""

    def asked_name(self, request: Obj) -> str:
        """The user name that a request on the server asks for; empty when it cannot be read."""

    def issued(self, name: str, request: Obj) -> Optional[Mapping[str, Any]]:
        """The line of the ledger for the certificate that a request led to, if it did."""

    def note(self, line: Mapping[str, Any]) -> None:
        """Write a line down, unless it is there."""


class OldLogins(Protocol):
    """Old credentials, as kubeconfig files."""

    def exists(self, path: str) -> bool:
        """Whether there is one."""

    def open(self, path: str) -> Sequence[KubeApi]:
        """A client for each API server that is to be tried."""


@dataclass(frozen=True)
class Outside:
    """Everything outside of the process that the flow works with."""

    api: KubeApi
    files: LeaverFiles
    certificates: Certificates
    logins: OldLogins
    clock: Callable[[], float]
    pause: Callable[[float], None]
