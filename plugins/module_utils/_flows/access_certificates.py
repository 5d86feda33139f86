# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info: the certificates in folders, Secrets and requests, and the ledgers. Private keys in folders are not read."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol, Union

from .._certs import ledger
from .._certs.certificate import Unreadable
from .._certs.holdings import credential_of, credential_of_line, joined, of_request
from .._core.access import Credential, OpenRequest
from .._core.ports import KubeApi

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_STORE = "kubestead.platform/store"


class CertificateFolder(Protocol):
    """A folder with certificates and the ledger of those that were issued into it."""

    path: str

    def certificates(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of each certificate."""

    def ledger(self) -> bytes:
        """All of the ledger; empty when there is none."""


@dataclass
class CertificatesSeen:
    """What was found; ``unreadable`` names what holds no certificate although it should."""

    credentials: tuple[Credential, ...] = ()
    requests: tuple[OpenRequest, ...] = ()
    unreadable: list[str] = field(default_factory=list)


class CertificateReader:
    """Reads all places of a task."""

    def __init__(
        self, api: KubeApi, folders: Sequence[CertificateFolder], namespaces: Sequence[str], *, requests: bool
    ) -> None:
        self._api = api
        self._folders = folders
        self._namespaces = namespaces
        self._requests = requests
        self._unreadable: list[str] = []

    @property
    def asked(self) -> bool:
        """Whether there is a place to look at."""
        return self.has_stores or self._requests

    @property
    def has_stores(self) -> bool:
        """Whether there is a place where certificates lie; requests are gone an hour after they were made."""
        return bool(self._folders or self._namespaces)

    def read(self, now: int) -> CertificatesSeen:
        """One pass over every place, one LIST for each namespace and one for the requests."""
        found: list[Credential] = []
        found += self._of_folders()
        for namespace in self._namespaces:
            found += self._of_secrets(namespace)
        waiting: list[OpenRequest] = []
        for obj in self._api.list_all(REQUESTS).objects if self._requests else ():
            one = self._of_request(obj)
            if isinstance(one, Credential):
                found.append(one)
            elif one is not None:
                waiting.append(one)
        return CertificatesSeen(joined(found, now), tuple(waiting), self._unreadable)

    def _of_folders(self) -> Iterator[Credential]:
        for folder in self._folders:
            for path, content in folder.certificates():
                yield from self._of_pem(content, "file", path)
        for folder in self._folders:
            yield from _of_ledger(folder.ledger(), folder.path)

    def _of_pem(self, content: bytes, found_in: str, place: str) -> Iterator[Credential]:
        try:
            yield credential_of(content, found_in, place)
        except Unreadable:
            self._unreadable.append(place)

    def _of_secrets(self, namespace: str) -> Iterator[Credential]:
        secrets = self._api.list_all(f"/api/v1/namespaces/{namespace}/secrets", {"labelSelector": _STORE}).objects
        for secret in secrets:
            place = f"secret {namespace}/{secret['metadata']['name']}"
            pem = _data(secret, "tls.crt")
            if pem is not None:
                yield from self._of_pem(pem, "secret", place)
        for secret in secrets:
            yield from _of_ledger(_data(secret, "ledger.jsonl") or b"", f"secret {namespace}/{secret['metadata']['name']}")

    def _of_request(self, obj: Mapping[str, Any]) -> Union[Credential, OpenRequest, None]:
        try:
            return of_request(obj)
        except Unreadable:
            self._unreadable.append(f"request {obj['metadata']['name']}")
            return None


def _of_ledger(content: bytes, place: str) -> Iterator[Credential]:
    for line in ledger.parse(content):
        one = credential_of_line(line, place)
        if one is not None:
            yield one


def _data(secret: Mapping[str, Any], key: str) -> Optional[bytes]:
    try:
        return base64.b64decode(secret["data"][key], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
