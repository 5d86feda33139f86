# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timing of whole commands and the table they end in."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
LOGS = ROOT / ".cache" / "bench"


@dataclass(frozen=True)
class Row:
    """One line of a table: what was done, by whom, for how many, and how long it took (seconds of wall clock)."""

    what: str
    by: str
    number: int
    seconds: float
    note: str = ""


def timed(
    title: str, command: Sequence[str], *, env: Optional[Mapping[str, str]] = None, timeout: float = 3600
) -> tuple[float, str]:
    """Run a command in the lab; its wall seconds and what it printed. A failure ends the benchmark, naming the log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / (title.replace(" ", "-").replace(",", "") + ".log")
    print(f"  {title} …", end="", flush=True, file=sys.stderr)
    begin = time.monotonic()
    done = subprocess.run(
        [str(LAB), "exec", "--", *command],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
    )
    seconds = time.monotonic() - begin
    log.write_text(done.stdout, encoding="utf-8")
    print(f" {seconds:.1f} s", flush=True, file=sys.stderr)
    if done.returncode != 0:
        raise SystemExit(f"{title}: ended with {done.returncode}; see {log}")
    return seconds, done.stdout


@contextmanager
def fresh_disk(gibibytes: int = 4) -> Iterator[Path]:
    """The top of a new ext4 file system with a journal. What a machine has may have none, and then every file that was removed
    in the last minutes makes the next one slower: the rounds of a benchmark would measure those before them.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOGS) as place:
        image, top = Path(place) / "disk.img", Path(place) / "disk"
        top.mkdir()
        with image.open("wb") as file:
            file.truncate(gibibytes << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(top)], check=True)
        try:
            yield top
        finally:
            subprocess.run(["umount", "--lazy", str(top)], check=True)


def table(title: str, rows: Sequence[Row]) -> str:
    """The rows as a table a person reads, with seconds per person."""
    lines = [title, "", f"{'what':<28} {'by':<22} {'number':>6} {'seconds':>9} {'per one':>9}  note"]
    for row in rows:
        each = f"{row.seconds / row.number * 1000:.0f} ms"
        lines.append(f"{row.what:<28} {row.by:<22} {row.number:>6} {row.seconds:>9.2f} {each:>9}  {row.note}".rstrip())
    return "\n".join(lines)
