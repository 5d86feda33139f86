# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only processes whose pid file the lab wrote are ever ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestead_lab.procs import Daemon, Identity, _stat_identity, end_session, recorded, running


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else, in a session of its own."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def daemon_with(tmp_path: Path, text: str) -> Daemon:
    pid_file = tmp_path / "some.pid"
    pid_file.write_text(text)
    return Daemon("some", pid_file, tmp_path / "some.log")


def pid_file_text(pid: int, *, start_offset: int = 0, boot: str = "") -> str:
    """What the launcher would have written for this process, or for one with its number that started at another time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
    rest = fields[1].split()
    rest[19] = str(int(rest[19]) + start_offset)
    boot = boot or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}\n{fields[0]}) {' '.join(rest)}\n"


def test_our_own_process_is_ended(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    ours = daemon_with(tmp_path, pid_file_text(bystander.pid))
    assert ours.pid() == bystander.pid
    age = ours.age()
    assert age is not None
    assert 0 <= age < 60
    ours.stop(grace=5)
    assert bystander.wait(timeout=5) == -signal.SIGTERM
    assert not ours.pid_file.exists()


@pytest.mark.parametrize("difference", [{"start_offset": -1}, {"start_offset": 12345}, {"boot": "another-boot"}])
def test_a_number_that_somebody_else_got_is_left_alone(
    tmp_path: Path, bystander: subprocess.Popen[bytes], difference: dict[str, int | str]
) -> None:
    stale = daemon_with(tmp_path, pid_file_text(bystander.pid, **difference))  # type: ignore[arg-type]
    assert stale.pid() is None
    assert stale.age() is None
    stale.stop(grace=0)
    time.sleep(0.05)
    assert bystander.poll() is None
    assert not stale.pid_file.exists()


def test_what_a_dead_daemon_forked_is_ended_too(tmp_path: Path) -> None:
    leader = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; exec sleep 61"], start_new_session=True, stdout=subprocess.PIPE)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    known = running(leader.pid)
    assert known is not None
    leader.kill()
    leader.wait()
    assert running(child) is not None
    end_session(known)
    time.sleep(0.05)
    assert running(child) is None


def test_a_session_of_another_boot_is_not_touched(bystander: subprocess.Popen[bytes]) -> None:
    end_session(Identity(boot="another-boot", pid=bystander.pid, start=1))
    time.sleep(0.05)
    assert bystander.poll() is None


@given(st.text())
def test_a_damaged_pid_file_names_nobody(text: str) -> None:
    path = Path("/dev/shm") / f"kubestead-pid-test-{os.getpid()}"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        recorded(path)
    finally:
        path.unlink()


def test_the_name_of_a_program_may_hold_brackets_and_spaces() -> None:
    line = "42 (a) b (c)) S " + " ".join(str(number) for number in range(4, 53))
    assert _stat_identity("boot", line) == Identity("boot", 42, 22)
