# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing to disk together: nobody returns before their own is there, and whoever waits shares the next turn."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.group_sync import GroupSync


class Disk:
    """Counts what was brought to disk, and holds the first turn up until it is told to go on."""

    def __init__(self, broken: int = -1) -> None:
        self.brought: list[int] = []
        self.broken = broken
        self.may_go_on = threading.Event()
        self.began = threading.Event()

    def fsync(self, descriptor: int) -> None:
        self.began.set()
        assert self.may_go_on.wait(10)
        if descriptor == self.broken:
            raise OSError(errno.EIO, "broken")
        self.brought.append(descriptor)


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_whoever_waits_shares_one_turn_and_each_folder_is_brought_once(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, sync, errors = Disk(broken=13), GroupSync(), []
    monkeypatch.setattr(os, "fsync", disk.fsync)

    def bring(*descriptors: int) -> None:
        try:
            sync.bring((), descriptors)
        except OSError as exc:
            errors.append((descriptors, exc.errno))
        else:
            assert set(descriptors) <= set(disk.brought)

    first = started(lambda: bring(1, 99))
    assert disk.began.wait(10)
    others = [started(lambda number=number: bring(number, 99)) for number in range(11, 16)]  # type: ignore[misc]
    while len(sync._waiting) < len(others):
        assert first.is_alive()
    disk.may_go_on.set()
    for thread in (first, *others):
        thread.join(10)
    assert disk.brought.count(99) == 2
    assert sorted(disk.brought) == [1, 11, 12, 14, 15, 99, 99]
    assert errors == [((13, 99), errno.EIO)]


def test_it_is_real(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    GroupSync().bring([], [folder])
    os.close(folder)
    with pytest.raises(OSError, match="Bad file descriptor"):
        GroupSync().bring([folder], [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        GroupSync().bring([], [folder])
