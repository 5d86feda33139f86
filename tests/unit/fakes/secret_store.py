# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SecretStore in memory, and locks that count. The store's contract suite runs on it and on real folders."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import dirname
from typing import Callable, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import StoredFile


class FakeSecretStore:
    """``files`` by path. ``writes`` lists the paths written or removed, ``reads`` those read as sources."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.writes: list[str] = []
        self.reads: list[str] = []
        self._lock = threading.Lock()

    def put(self, path: str, content: bytes, mode: int = 0o600, owner: str = "root") -> None:
        """Place a file as somebody else would."""
        self.files[path] = StoredFile(content, mode, owner, owner, True)

    def read(self, path: str) -> Optional[bytes]:
        """See the port."""
        self.reads.append(path)
        found = self.files.get(path)
        return found.content if found else None

    def find(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Optional[StoredFile]:
        """See the port."""
        self._check(path)
        found = self.files.get(path)
        if found is None:
            return None
        as_asked = owner in (None, found.owner) and group in (None, found.group)
        return StoredFile(found.content, found.mode, found.owner, found.group, as_asked)

    def write(
        self,
        path: str,
        content: bytes,
        *,
        owner: Optional[str] = None,
        group: Optional[str] = None,
        mode: Optional[int] = None,
    ) -> None:
        """See the port."""
        with self._lock:
            self._check(path)
            old = self.files.get(path)
            bits = mode if mode is not None else old.mode if old else 0o600
            kept = (old.owner, old.group) if old else ("root", "root")
            self.files[path] = StoredFile(content, bits, owner or kept[0], group or kept[1], True)
            self.writes.append(path)

    def remove(self, path: str, *, owner: Optional[str] = None) -> bool:
        """See the port."""
        with self._lock:
            self.writes.append(path)
            return self.files.pop(path, None) is not None

    def _check(self, path: str) -> None:
        if any(other.startswith(f"{path}/") for other in self.files):
            raise Refused(f"{path} is not a regular file.")
        above = dirname(path)
        while above not in ("/", ""):
            if above in self.files:
                raise BackendFailed(f"{path} could not be written: Not a directory.")
            above = dirname(above)


class FakeLocks:
    """Locks that remember what was locked; ``meanwhile`` runs once when a lock is taken, as a parallel writer would have."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.meanwhile: Optional[Callable[[], None]] = None

    @contextmanager
    def hold(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Iterator[None]:
        """See the port."""
        self.taken.append(path)
        if self.meanwhile is not None:
            self.meanwhile, call = None, self.meanwhile
            call()
        yield
