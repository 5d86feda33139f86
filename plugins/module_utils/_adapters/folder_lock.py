# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writing run per folder: a lock that is taken once and held until the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from typing import Any, Callable

from .._core.errors import Conflict
from .safe_folder import explained

_PAUSE = 0.2


class FolderLock:
    """The lock of ``folder``, in the file ``path``. ``make`` makes what it lies in; ``patience``: seconds to wait for others."""

    def __init__(self, folder: str, path: str, make: Callable[[], None], *, patience: float) -> None:
        self._folder = folder
        self._path = path
        self._make = make
        self._patience = patience
        self._guard = threading.Lock()
        self._held: Any = None
        self._in_vain = False

    def take(self) -> None:
        """Take it, unless this run has it already; raises Conflict when another run does not let go of it in time.

        It is waited for once in a run: a thousand people are not a thousand times as patient.
        """
        with self._guard:
            if self._held is None and not self._in_vain:
                self._held = self._taken()
                self._in_vain = self._held is None
            if self._held is None:
                raise Conflict(f"Another run is writing to {self._folder}.", hint="Wait until it has ended, then run again.")

    def _taken(self) -> Any:
        """The open file that holds the lock; None when another run keeps it."""
        self._make()
        with explained(self._path, "opened"):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        stream = os.fdopen(descriptor, "rb+", buffering=0)
        deadline = time.monotonic() + self._patience
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return stream
            if time.monotonic() >= deadline:
                stream.close()
                return None
            time.sleep(_PAUSE)
