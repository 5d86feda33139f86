# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed run left beside a kubeconfig: temporary files, and the lock. Found without a lock, removed under it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from posixpath import basename, dirname
from typing import Optional

from .._core.errors import CollError
from .kube_lock import is_stale
from .safe_folder import READ, Folders, Rules, explained, lstat, opened_folder, resolved

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)
# What stands beside a kubeconfig under its name: its lock and its backups.
_BESIDE = re.compile(r"\.(?:lock|[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?\.backup)\Z")
_LONGEST = 200
_OLD = 60.0
_RECORD_BYTES = 4096


class Leftovers:
    """Finds and removes them. A write takes milliseconds, so what is older than a minute belongs to nobody alive."""

    def __init__(self) -> None:
        self._folders = Folders()

    def find(self, paths: Iterable[tuple[str, Optional[str]]]) -> Mapping[str, bool]:
        """Those of the paths (each with the owner its file is to have) that have leftovers, and whether old ones."""
        folders: dict[str, dict[str, tuple[str, Optional[str]]]] = {}
        for path, owner in paths:
            with contextlib.suppress(CollError, OSError):
                for place in _places(path):
                    folders.setdefault(dirname(place), {})[basename(place)[:_LONGEST]] = (path, owner)
        found: dict[str, bool] = {}
        for folder, names in folders.items():
            _path, owner = next(iter(names.values()))
            rules = Rules.of(owner, None)
            with contextlib.suppress(CollError, OSError), opened_folder(folder, rules) as opened:
                for owned_by, old in _litter(opened, names, rules):
                    path = names[owned_by][0]
                    found[path] = found.get(path, False) or old
        return found

    def sweep(self, path: str, *, owner: Optional[str] = None) -> None:
        """Remove the leftovers of a kubeconfig whose lock the caller holds."""
        rules = Rules.of(owner, None)
        with explained(path, "tidied up"):
            for place in _places(path):
                with self._folders.destination(place, rules) as (folder, name):
                    _sweep(folder, name, rules)


def _places(path: str) -> tuple[str, ...]:
    """Where temporary files of a kubeconfig can be: beside it, and beside what it leads to if it is a link."""
    return (path, resolved(path)) if os.path.islink(path) else (path,)


def _litter(folder: int, names: Container[str], rules: Rules) -> Iterator[tuple[str, bool]]:
    """Which of the kubeconfigs have litter that ``sweep`` or the taking of the lock will remove, and whether it is old."""
    for _temporary, made_for, entry in _temporaries(folder):
        name = _kubeconfig(made_for, names)
        if name is not None and entry.st_uid in rules.trusted:
            yield name, time.time() - entry.st_mtime > _OLD
    for lock in os.listdir(folder):
        if lock.endswith(".lock") and lock[:-5] in names:
            found = lstat(folder, lock)
            if found is not None and found.st_uid == os.geteuid() and _is_dead(folder, lock):
                yield lock[:-5], True


def _kubeconfig(made_for: str, names: Container[str]) -> Optional[str]:
    """The kubeconfig that a temporary file was made for, or for the lock or a backup of."""
    if made_for in names:
        return made_for
    match = _BESIDE.search(made_for)
    return made_for[: match.start()] if match and made_for[: match.start()] in names else None


def _sweep(folder: int, name: str, rules: Rules) -> None:
    """Temporary files of the content can be of nobody alive, because we hold the lock; those of a lock may be."""
    for temporary, made_for, entry in _temporaries(folder):
        ours = _kubeconfig(made_for, (name[:_LONGEST],)) is not None and entry.st_uid in rules.trusted
        waits = made_for == f"{name}.lock"[:_LONGEST] and time.time() - entry.st_mtime < _OLD
        if ours and not (waits and not _is_dead(folder, temporary)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)


def _temporaries(folder: int) -> Iterator[tuple[str, str, os.stat_result]]:
    """Temporary files in a folder: name, name of what they were made for, and what they are."""
    for name in os.listdir(folder):
        match = _TEMPORARY.fullmatch(name) if name.endswith(".tmp") else None
        entry = lstat(folder, name) if match else None
        if match and entry is not None and stat.S_ISREG(entry.st_mode):
            yield name, match["name"], entry


def _is_dead(folder: int, name: str) -> bool:
    """Whether a lock, or what was to become one, has a record of a run that is gone."""
    try:
        with os.fdopen(os.open(name, READ, dir_fd=folder), "rb") as stream:
            return is_stale(stream.read(_RECORD_BYTES))
    except OSError:
        return False
