# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons of the lab. A pid file holds the boot and the start time too, so only our own process is ever ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab.errors import LabError

# The new process writes its own pid file and then becomes the daemon: no moment at which a killed `lab up` could lose it.
_LAUNCHER = """
read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < /proc/$$/stat
printf '%s\\n%s\\n' "$boot" "$stat" > "$0.new" && mv "$0.new" "$0" && exec "$@"
"""


@dataclass(frozen=True)
class Identity:
    """What tells one process from another that got the same number later."""

    boot: str
    pid: int
    start: int


def _stat_identity(boot: str, line: str) -> Identity:
    # The program's name stands in brackets and may hold anything, so count from the last bracket: start time is field 22.
    pid, rest = line.split(" ", 1)
    return Identity(boot=boot, pid=int(pid), start=int(rest.rsplit(")", 1)[1].split()[19]))


def recorded(pid_file: Path) -> Identity | None:
    """Who the pid file names, or None."""
    try:
        boot, line = pid_file.read_text().splitlines()[:2]
        return _stat_identity(boot, line)
    except (OSError, ValueError, IndexError):
        return None


def running(pid: int) -> Identity | None:
    """Who has this number now; a zombie counts as nobody."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if line.rsplit(")", 1)[1].split()[0] in "ZX" else _stat_identity(boot, line)


@dataclass(frozen=True)
class Daemon:
    """One long-running process with its pid file and its log."""

    name: str
    pid_file: Path
    log: Path

    def pid(self) -> int | None:
        """Its process number while it is alive and ours."""
        known = recorded(self.pid_file)
        return known.pid if known and running(known.pid) == known else None

    def age(self) -> float | None:
        """Seconds since it started."""
        known = recorded(self.pid_file)
        if known is None or self.pid() is None:
            return None
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - known.start / os.sysconf("SC_CLK_TCK")

    def start(self, argv: Sequence[str], *, namespace: str, cwd: Path) -> None:
        """Start it in the namespace unless it runs already."""
        if self.pid() is not None:
            return
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._end_remains()
        with self.log.open("wb") as log:
            launcher = ["nsenter", f"--net=/run/netns/{namespace}", "--", "sh", "-c", _LAUNCHER, str(self.pid_file), *argv]
            subprocess.Popen(launcher, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._await_pid_file()

    def _await_pid_file(self) -> None:
        deadline = time.monotonic() + 5
        while recorded(self.pid_file) is None:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not start.", hint=f"See {self.log}.")
            time.sleep(0.01)

    def must_live(self) -> None:
        """Fail with the end of its log when it has gone."""
        if self.pid() is None:
            lines = self.log.read_text(errors="replace").splitlines()[-10:] if self.log.exists() else []
            raise LabError(
                f"{self.name} ended by itself. The end of {self.log}:\n" + "\n".join(f"    {line}" for line in lines)
            )

    def stop(self, *, grace: float = 10.0) -> None:
        """End it and what it forked: asked first, then forced."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not self.ended_within(grace):
                os.kill(pid, signal.SIGKILL)
                self.ended_within(5.0)
        self._end_remains()

    def _end_remains(self) -> None:
        # A daemon that was killed may leave what it forked, and that holds its disks and ports.
        known = recorded(self.pid_file)
        if known is not None:
            end_session(known)
        self.pid_file.unlink(missing_ok=True)

    def ended_within(self, seconds: float) -> bool:
        """Wait for its end."""
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def end_session(leader: Identity) -> None:
    """Force the end of what a daemon left in its own session.

    While a session has members the kernel does not give its number away, so with the leader gone (or still ours) they are ours.
    """
    holder = running(leader.pid)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if boot != leader.boot or (holder is not None and holder != leader):
        return
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            session = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3])
            if session == leader.pid:
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue
