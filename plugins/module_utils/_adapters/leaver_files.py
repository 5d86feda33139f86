# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of those who left, in a folder: ``<name>.json``, the same in words as ``<name>.txt``, and ``denials.json``.

All are 0600 and replaced in one step. The first write locks the folder for the rest of the run.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Optional

from .._core.errors import Conflict
from .folder_lock import FolderLock
from .safe_folder import explained
from .secret_file import SecretFiles


class LeaverFiles:
    """One folder. ``patience`` is how many seconds to wait for another run's lock."""

    def __init__(self, directory: str, *, patience: float = 60.0) -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self._files = SecretFiles()
        self._denials: Optional[bytes] = None
        self._there: Optional[frozenset[str]] = None
        make = functools.partial(self._files.make_folder, self._root)
        self._lock = FolderLock(self._root, self._path(".lock"), make, patience=patience)

    def read(self, name: str) -> Optional[bytes]:
        """A person's record; most names have none, so the folder is listed once."""
        if self._there is None:
            with explained(self._root, "read"), contextlib.suppress(FileNotFoundError):
                self._there = frozenset(os.listdir(self._root))
        return self._content(f"{name}.json") if self._there and f"{name}.json" in self._there else None

    def write(self, name: str, record: bytes, text: bytes) -> None:
        """Put the record, then its readable form, in place."""
        self._lock.take()
        self._files.write(self._path(f"{name}.json"), record, mode=0o600)
        self._files.write(self._path(f"{name}.txt"), text, mode=0o600)

    def archive(self, name: str, stamp: str) -> None:
        """Set a record aside. No name holds capitals, so this can be nobody else's; the record goes last."""
        self._lock.take()
        moment = stamp.replace("-", "").replace(":", "")
        for suffix in ("txt", "json"):
            content = self._content(f"{name}.{suffix}")
            if content is not None:
                self._files.write(self._path(f"{name}.{moment}.{suffix}"), content, mode=0o600)
                self._files.remove(self._path(f"{name}.{suffix}"))

    def path(self, name: str) -> str:
        """Where the readable form is."""
        return self._path(f"{name}.txt")

    def denials(self) -> Optional[bytes]:
        """The list of who is refused, as remembered for ``write_denials``."""
        self._denials = self._content("denials.json")
        return self._denials

    def write_denials(self, content: bytes) -> None:
        """Put the list in place; Conflict when it was changed since it was read."""
        self._lock.take()
        if self._content("denials.json") != self._denials:
            raise Conflict("Another run changed the list of who is refused meanwhile.", hint="Run again.")
        self._files.write(self._path("denials.json"), content, mode=0o600)
        self._denials = content

    def _content(self, file: str) -> Optional[bytes]:
        found = self._files.find(self._path(file))
        return found.content if found is not None else None

    def _path(self, file: str) -> str:
        return os.path.join(self._root, file)
