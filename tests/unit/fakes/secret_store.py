# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SecretStore in memory, locks that count, backups, leftovers. The store's contract suite runs on it and on real folders."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
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
    """Locks that remember what was locked; ``meanwhile`` runs once when a lock is taken, as a parallel writer would have.

    ``awaited`` are the paths whose writer was waited for, and ``written`` is what that writer did, once.
    """

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.awaited: list[str] = []
        self.meanwhile: Optional[Callable[[], None]] = None
        self.written: Optional[Callable[[], None]] = None

    @contextmanager
    def hold(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Iterator[None]:
        """See the port."""
        self.taken.append(path)
        if self.meanwhile is not None:
            self.meanwhile, call = None, self.meanwhile
            call()
        yield

    def wait(self, path: str) -> None:
        """See the port."""
        self.awaited.append(path)
        if self.written is not None:
            self.written, call = None, self.written
            call()


class FakeLeftovers:
    """``littered``: paths with temporary files of killed runs, and whether they are old; ``swept``: paths tidied up."""

    def __init__(self) -> None:
        self.littered: dict[str, bool] = {}
        self.swept: list[str] = []

    def find(self, paths: Iterable[tuple[str, Optional[str]]]) -> Mapping[str, bool]:
        """See the port."""
        return {path: self.littered[path] for path, _owner in paths if path in self.littered}

    def sweep(self, path: str, *, owner: Optional[str] = None) -> None:
        """See the port."""
        self.swept.append(path)
        self.littered.pop(path, None)


class FakeBackups:
    """``kept``: path and old content of each backup, oldest first."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes]] = []

    def keep(self, path: str, old: StoredFile, stamp: str, *, count: int, owner: Optional[str] = None) -> str:
        """See the port."""
        others = [each for each in self.kept if not each[0].startswith(f"{path}.")]
        mine = [each for each in self.kept if each[0].startswith(f"{path}.")]
        self.kept = [*others, *mine, (f"{path}.{stamp}.backup", old.content)][-count:]
        return f"{path}.{stamp}.backup"

    def drop(self, path: str, *, owner: Optional[str] = None) -> None:
        """See the port."""
        self.kept = [each for each in self.kept if not each[0].startswith(f"{path}.")]
