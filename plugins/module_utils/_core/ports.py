# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that more than one domain uses. A port that one domain uses stands in its flow's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol

from .errors import BackendFailed


@dataclass(frozen=True)
class Listing:
    """All objects of one LIST (pages joined) and the resource version a watch may start from."""

    objects: tuple[Mapping[str, Any], ...]
    resource_version: str


class KubeApi(Protocol):
    """The Kubernetes API as JSON over paths. Safe to call from several threads.

    Raises BackendFailed (Denied for 401 and 403, Conflict for 409); ``facts`` then hold ``status`` (the HTTP code,
    0 when the server was not reached) and ``reason`` (the API's word, such as ``AlreadyExists``).
    """

    server: str

    def call(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        query: Optional[Mapping[str, str]] = None,
    ) -> dict[str, Any]:
        """One request; the decoded answer. Retries 429 and 5xx as the server asks (Retry-After), within the timeout.

        PATCH is a JSON merge patch. APPLY is a server-side apply, whose query names the ``fieldManager``.
        """

    def list_all(self, path: str, query: Optional[Mapping[str, str]] = None) -> Listing:
        """A paged LIST of a whole collection."""

    def watch(
        self, path: str, resource_version: str, *, seconds: float, query: Optional[Mapping[str, str]] = None
    ) -> Iterator[dict[str, Any]]:
        """Events (``{"type", "object"}``) from ``resource_version`` on, resumed when broken, until ``seconds`` are over.

        An expired version (410) is answered by one LIST, whose objects come as ``ADDED`` events.
        """


def get_or_none(kube: KubeApi, path: str) -> Optional[dict[str, Any]]:
    """One object; None when the server knows none under that path, or not even its kind."""
    try:
        return kube.call("GET", path)
    except BackendFailed as exc:
        if exc.facts.get("status") == 404:
            return None
        raise


def list_or_nothing(kube: KubeApi, path: str, query: Optional[Mapping[str, str]] = None) -> tuple[Mapping[str, Any], ...]:
    """A collection; empty where the server does not know the kind."""
    try:
        return kube.list_all(path, query).objects
    except BackendFailed as exc:
        if exc.facts.get("status") == 404:
            return ()
        raise


@dataclass(frozen=True)
class Clock:
    """Time, as the module hands it in."""

    seconds: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class StoredFile:
    """A secret file as it stands on a host; ``as_asked``: its owner and group are those the caller wants."""

    content: bytes = field(repr=False)
    mode: int
    owner: str
    group: str
    as_asked: bool


class SecretStore(Protocol):
    """Secret files on one host, each replaced in a single step. Safe to call from several threads.

    ``owner`` and ``group`` are names or numeric ids. Raises Refused where a link, a folder or a file of somebody else is
    in the way, and BackendFailed when the host says no.
    """

    def read(self, path: str) -> Optional[bytes]:
        """The content of a source; None when there is none."""

    def find(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Optional[StoredFile]:
        """What stands at a destination; None when nothing does."""

    def write(
        self,
        path: str,
        content: bytes,
        *,
        owner: Optional[str] = None,
        group: Optional[str] = None,
        mode: Optional[int] = None,
    ) -> None:
        """Put a file in place. Without ``mode`` an old one stays, and a new file is 0600."""

    def remove(self, path: str, *, owner: Optional[str] = None) -> bool:
        """Remove a file; whether there was one."""
