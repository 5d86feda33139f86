# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing files to disk for several threads at once.

A file system's journal takes everything written so far into one commit, so the first file of a group pays for all of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Optional


class GroupSync:
    """Whoever comes while the files of others are on their way to disk waits, and shares the next turn."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Wish] = []

    def bring(self, descriptors: Iterable[int]) -> None:
        """Return once all of these open files and folders are on disk; raises OSError when one of them is not."""
        mine = _Wish(tuple(descriptors))
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
    def __init__(self, descriptors: tuple[int, ...]) -> None:
        self.descriptors = descriptors
        self.done = False
        self.error: Optional[OSError] = None


def _bring(group: list[_Wish]) -> None:
    """A folder that several name is brought once. An error is told to everybody who named what it is about."""
    results: dict[int, Optional[OSError]] = {}
    for wish in group:
        for descriptor in wish.descriptors:
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
