# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary files that a killed run left beside a kubeconfig: found, and removed by whoever holds the kubeconfig's lock."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from posixpath import basename, dirname
from typing import Optional

from .._core.errors import CollError
from .kube_lock import is_stale
from .safe_folder import READ, Rules, destination, explained, lstat, opened_folder, resolved

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)
_LONGEST = 200
_OLD = 60.0
_RECORD_BYTES = 4096


class Leftovers:
    """Finds and removes them. A write takes milliseconds, so what is older than a minute belongs to nobody alive."""

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
            with contextlib.suppress(CollError, OSError), opened_folder(folder, Rules.of(owner, None)) as opened:
                for _name, kubeconfig, entry in _temporaries(opened):
                    path, _owner = names.get(kubeconfig) or names.get(kubeconfig.removesuffix(".lock"), ("", None))
                    if path:
                        found[path] = found.get(path, False) or time.time() - entry.st_mtime > _OLD
        return found

    def sweep(self, path: str, *, owner: Optional[str] = None) -> None:
        """Remove the leftovers of a kubeconfig whose lock the caller holds."""
        rules = Rules.of(owner, None)
        with explained(path, "tidied up"):
            for place in _places(path):
                with destination(place, rules) as (folder, name):
                    _sweep(folder, name, rules)


def _places(path: str) -> tuple[str, ...]:
    """Where temporary files of a kubeconfig can be: beside it, and beside what it leads to if it is a link."""
    return (path, resolved(path)) if os.path.islink(path) else (path,)


def _sweep(folder: int, name: str, rules: Rules) -> None:
    for temporary, kubeconfig, entry in _temporaries(folder):
        of_lock = kubeconfig == f"{name}.lock"[:_LONGEST]
        ours = kubeconfig == name[:_LONGEST] or (of_lock and _is_dead(folder, temporary, entry))
        if ours and entry.st_uid in rules.trusted:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)


def _temporaries(folder: int) -> Iterator[tuple[str, str, os.stat_result]]:
    """Temporary files in a folder: name, name of what they were made for, and what they are."""
    for name in os.listdir(folder):
        match = _TEMPORARY.fullmatch(name) if name.endswith(".tmp") else None
        entry = lstat(folder, name) if match else None
        if match and entry is not None and stat.S_ISREG(entry.st_mode):
            yield name, match["name"], entry


def _is_dead(folder: int, name: str, entry: os.stat_result) -> bool:
    """Whether the run that was about to take a lock is gone."""
    if time.time() - entry.st_mtime > _OLD:
        return True
    try:
        with os.fdopen(os.open(name, READ, dir_fd=folder), "rb") as stream:
            return is_stale(stream.read(_RECORD_BYTES))
    except OSError:
        return False
