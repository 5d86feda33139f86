# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines: what is running, how long it usually takes, how long it has taken so far."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PRINT_LOCK = threading.Lock()
_TICK_SECONDS = 20.0


def say(text: str) -> None:
    """One line to stderr, whole even when several parts start at once."""
    with _PRINT_LOCK:
        print(f"lab: {text}", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """130 -> 2:10."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def running_line(what: str, usual: str, seconds: float) -> str:
    """The line printed while a step is under way."""
    expected = f", usually {usual}" if usual else ""
    return f"{what}{expected}, {clock(seconds)} so far"


@contextmanager
def step(what: str, usual: str = "") -> Iterator[None]:
    """Announce a long step, repeat its state while it lasts, and say how long it took."""
    began = time.monotonic()
    over = threading.Event()

    def tick() -> None:
        while not over.wait(_TICK_SECONDS):
            say(running_line(what, usual, time.monotonic() - began))

    say(f"{what}{', usually ' + usual if usual else ''} …")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()
    say(f"{what}: done in {time.monotonic() - began:.1f} s")
