# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k8s_user_cert needs of the world outside of its process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Protocol

from .._certs.pair import KeyFacts, StoredPair
from .._certs.wanted import Person
from .._core.ports import KubeApi


class CertApi(KubeApi, Protocol):
    """The API, and how many seconds its clock is ahead of ours, by its first answer; None when it did not say."""

    clock_offset: Optional[float]


class KeyMaker(Protocol):
    """Private keys, signing requests, randomness."""

    def make(self, key_type: str) -> tuple[bytes, KeyFacts]:
        """A new private key as PEM, as this run stores keys, and what may be known of it."""

    def seal(self, key_pem: bytes) -> bytes:
        """A stored key as this run stores keys."""

    def plain(self, key_pem: bytes) -> bytes:
        """A stored key without encryption."""

    def sign(self, key_pem: bytes, person: Person) -> str:
        """A signing request for a person, as PEM."""

    def inspect(self, key_pem: bytes) -> Optional[KeyFacts]:
        """What may be known of a key; None when it cannot be read."""

    def token(self) -> str:
        """A few random characters."""


class Pairs(Protocol):
    """Where keys and certificates are kept, whole pairs at a time.

    ``secrets_in`` is the namespace when they are Secrets.
    """

    secrets_in: str

    def read(self, name: str) -> StoredPair:
        """Everything stored for a person."""

    def prepare(self, name: str, version: str, key_pem: Optional[bytes], record: bytes) -> None:
        """Bring a key and the request made with it to disk. There is no key where the person made the request."""

    def keep(self, name: str, version: str) -> None:
        """Bring to disk what an earlier run prepared and may not have brought there."""

    def install(self, name: str, version: str, certificate_pem: str) -> None:
        """Complete a prepared version and make it the present pair, in one step."""

    def settle(self, name: str) -> None:
        """Put the present pair in order and forget its request."""

    def drop(self, name: str, version: str = "") -> None:
        """Remove one unfinished version, or everything of the person."""


class Ledger(Protocol):
    """The record of every issue."""

    path: str

    def read(self) -> bytes:
        """All of it."""

    def append(self, lines: bytes) -> None:
        """Add lines and bring them to disk."""


class Login(Protocol):
    """A login with a pair."""

    def who(self, cert_pem: str, key_pem: bytes) -> tuple[str, tuple[str, ...]]:
        """The user and the groups that the server sees."""


class Authority(Protocol):
    """A certificate authority whose key is at hand."""

    pem: str

    def issue(self, request_pem: str, person: Person, now: int) -> str:
        """A certificate for a signing request, and the authorities between it and the root, as PEM."""


@dataclass(frozen=True)
class Outside:
    """Everything outside of the process that the flow works with."""

    kube: CertApi
    pairs: Pairs
    ledger: Ledger
    keys: KeyMaker
    login: Login
    clock: Callable[[], float]
    authority: Optional[Authority] = None
