# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of kubectl and client-go: a file ``<path>.lock`` that only one can create, and that is removed afterwards.

They never ask whether the owner still lives, so a killed writer would block kubectl for ever. Our lock therefore says
who holds it (host, process, start of the process), and a lock of ours whose process is gone is removed. A lock without
such a record belongs to somebody else and is waited for, never removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Optional

from .._core.errors import Conflict
from .safe_folder import READ, Folders, Rules, explained

_BIRTH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RECORD_BYTES = 4096
_PAUSE = 0.05
_WRITING = 2.0
_ENDED = ("Z", "X")


class KubeconfigLocks:
    """Takes and frees locks. May be used from several threads."""

    def __init__(self, *, patience: float = 10.0) -> None:
        self._patience = patience
        self._folders = Folders()

    @contextlib.contextmanager
    def hold(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Iterator[None]:
        """Keep others from rewriting ``path`` meanwhile; raises Conflict when the lock is not freed in time."""
        lock = f"{path}.lock"
        with contextlib.ExitStack() as stack:
            with explained(lock, "made"):
                folder, name = stack.enter_context(self._folders.destination(lock, Rules.of(owner, group, create=True)))
                self._take(folder, name, lock)
            try:
                yield
            finally:
                with explained(lock, "removed"), contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def wait(self, path: str) -> None:
        """Wait until nobody holds the lock of ``path``, or it has been held longer than a file takes to be written."""
        deadline = time.monotonic() + min(self._patience, _WRITING)
        while os.path.lexists(f"{path}.lock") and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _take(self, folder: int, name: str, shown: str) -> None:
        deadline = time.monotonic() + self._patience
        while not _create(folder, name):
            if _remove_stale(folder, name):
                continue
            if time.monotonic() > deadline:
                raise Conflict(
                    f"{shown} is there: somebody else is changing the kubeconfig, or was killed while doing so.",
                    hint="If no kubectl is running, remove this lock file.",
                )
            time.sleep(_PAUSE)


def _create(folder: int, name: str) -> bool:
    """Create the lock with its record already in it, so that no kill leaves one that nobody can judge."""
    temporary = f".{name[:200]}.{secrets.token_hex(6)}.tmp"
    descriptor = os.open(temporary, _BIRTH, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_own_record(os.getpid()))
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary, dir_fd=folder)
    return True


def _remove_stale(folder: int, name: str) -> bool:
    """Remove a lock of ours whose process is gone; whether the lock may be free now.

    Whoever removes one keeps its inode flocked and looks again whether it is still the one under that name, so that two
    runs that find the same stale lock cannot remove each other's new one.
    """
    try:
        descriptor = os.open(name, READ, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError as exc:
        if exc.errno in (errno.EACCES, errno.ELOOP, errno.ENXIO):
            return False
        raise
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or not is_stale(stream.read(_RECORD_BYTES)):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
                os.unlink(name, dir_fd=folder)
        return True


def is_stale(content: bytes) -> bool:
    try:
        record = json.loads(content)
    except ValueError:
        return False
    if not isinstance(record, Mapping) or not isinstance(record.get("pid"), int):
        return False
    now = _record(record["pid"])
    if record.get("host") != now["host"]:
        return False
    if record.get("boot") != now["boot"]:
        return True
    return bool(record.get("pids") == now["pids"] and record.get("start") != now["start"])


@cache
def _own_record(pid: int) -> bytes:
    """Our own record, as it is stored; a process keeps it for life."""
    return json.dumps(_record(pid)).encode("ascii")


def _record(pid: int) -> dict[str, Any]:
    """Who holds a lock. ``start`` is None when there is no such process; ``pids`` tells containers apart."""
    return {
        "host": os.uname().nodename,
        "boot": _first_line("/proc/sys/kernel/random/boot_id"),
        "pids": os.readlink("/proc/self/ns/pid"),
        "pid": pid,
        "start": _start_of(pid),
    }


def _start_of(pid: int) -> Optional[str]:
    line = _first_line(f"/proc/{pid}/stat")
    # The name of the program stands in parentheses and may hold anything, so count behind the last one.
    fields = line.rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in _ENDED else None


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
