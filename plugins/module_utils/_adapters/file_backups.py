# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier versions of a secret file, kept beside it as ``<name>.<time>.backup`` with mode 0600."""

from __future__ import annotations

import os
import re
from posixpath import dirname, join
from typing import Optional

from .._core.ports import StoredFile
from .safe_folder import Folders, Rules, explained
from .secret_file import SecretFiles

_STAMP = r"\.(\d{8}T\d{6}Z)(?:-(\d{1,6}))?\.backup"


class FileBackups:
    """Keeps and drops backups. The caller holds the lock of the file."""

    def __init__(self, store: SecretFiles) -> None:
        self._store = store
        self._folders = Folders()

    def keep(self, path: str, old: StoredFile, stamp: str, *, count: int, owner: Optional[str] = None) -> str:
        """Keep an old content under the time ``stamp``, and at most ``count`` in all; the path of the new one."""
        taken = self._names(path, owner)
        place = f"{path}.{stamp}.backup"
        number = 1
        while place in taken:
            place, number = f"{path}.{stamp}-{number}.backup", number + 1
        self._store.write(place, old.content, owner=old.owner, group=old.group, mode=0o600)
        self._remove(self._names(path, owner)[:-count], owner)
        return place

    def drop(self, path: str, *, owner: Optional[str] = None) -> None:
        """Remove all backups of a file."""
        self._remove(self._names(path, owner), owner)

    def _remove(self, paths: list[str], owner: Optional[str]) -> None:
        for path in paths:
            self._store.remove(path, owner=owner)

    def _names(self, path: str, owner: Optional[str]) -> list[str]:
        """The backups of a file, oldest first."""
        found: list[tuple[str, int, str]] = []
        with explained(path, "backed up"), self._folders.destination(path, Rules.of(owner, None)) as (folder, name):
            rule = re.compile(re.escape(name) + _STAMP, re.ASCII)
            for each in os.listdir(folder):
                match = rule.fullmatch(each)
                if match:
                    found.append((match[1], int(match[2] or 0), join(dirname(path), each)))
        return [place for _stamp, _number, place in sorted(found)]
