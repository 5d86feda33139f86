# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing files to disk for several threads at once.

A file system's journal takes everything written so far into one commit. So each thread brings its own files, side by side,
which the file system does in few commits; the folders come afterwards, when there is little left to do for them, and those
that several threads share only once for all who wait.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import Optional


class GroupSync:
    """Whoever comes while the folders of others are on their way to disk waits, and shares the next turn."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Wish] = []

    def bring(self, files: Sequence[int], folders: Iterable[int]) -> None:
        """Return once all of these, which are open, are on disk; raises OSError when one of them is not."""
        if len(files) > 1 and hasattr(os, "posix_fadvise"):
            # Linux begins to write a file that is said to be needed no more. With their places on disk chosen together, one
            # commit of the journal is enough for all of them.
            for descriptor in files:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in files:
            os.fsync(descriptor)
        mine = _Wish(tuple(folders))
        if not mine.folders:
            return
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                with self._guard:
                    group, self._waiting = self._waiting, []
                _bring(group)
        if mine.error is not None:
            raise mine.error


class _Wish:
    def __init__(self, folders: tuple[int, ...]) -> None:
        self.folders = folders
        self.done = False
        self.error: Optional[OSError] = None


def _bring(group: list[_Wish]) -> None:
    """A folder that several name is brought once. An error is told to everybody who named what it is about."""
    results: dict[int, Optional[OSError]] = {}
    for wish in group:
        for descriptor in wish.folders:
            if descriptor not in results:
                results[descriptor] = _sync(descriptor)
            wish.error = wish.error or results[descriptor]
        wish.done = True


def _sync(descriptor: int) -> Optional[OSError]:
    try:
        os.fsync(descriptor)
    except OSError as exc:
        return exc
    return None
