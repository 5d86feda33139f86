# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: with a log, in the namespace, and never outliving the lab command that waits for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubestead_lab.errors import LabError

_LOG_TAIL_LINES = 15
# With the first process of a process namespace everything in it ends, and mounts made in a mount namespace end with it too.
_LEASH = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]


def need_commands(part: str, *names: str) -> None:
    """Say which program a part lacks before it fails half-way."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise LabError(
            f"The {part} cannot run: {', '.join(missing)} is not installed.", hint="See tests/lab/README.md for the packages."
        )


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def build(
    argv: Sequence[str],
    *,
    log: Path,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    outlives_us: bool = False,
) -> None:
    """A long command: output to a log, and unless it may outlive us the kernel ends it and its children when we die."""
    log.parent.mkdir(parents=True, exist_ok=True)
    leash = [] if outlives_us else _LEASH
    with log.open("ab") as sink:
        done = subprocess.run(
            [*leash, *argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise LabError(f"Could not {what} (exit code {done.returncode}). The end of {log}:\n{_tail(log)}")


def output(argv: Sequence[str], *, what: str, stdin: str | None = None, timeout: float = 60.0) -> str:
    """A short command whose answer is wanted."""
    try:
        done = subprocess.run(
            argv, input=stdin if stdin is not None else "", capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"Could not {what}: no answer in {timeout:.0f} s.") from late
    if done.returncode:
        raise LabError(f"Could not {what}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def succeeds(argv: Sequence[str], *, timeout: float = 10.0) -> bool:
    """Whether a command says yes; a timeout is a no."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """A small file, whole or not at all, with its mode from the first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    os.replace(fresh, path)
