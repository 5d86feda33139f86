# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file of kubectl: exclusive, freed, and removed only when it is ours and its process is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Conflict

KILLED = """
import sys, time
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
with KubeconfigLocks().hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def stale_lock(path: Path) -> None:
    """The lock of a process that was killed while it held it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
    assert Path(f"{path}.lock").exists()


def test_the_lock_file_is_there_meanwhile_and_gone_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "config.lock"
    with KubeconfigLocks().hold(str(tmp_path / "config")):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_it_is_freed_when_the_work_fails(tmp_path: Path) -> None:
    def work() -> None:
        with KubeconfigLocks().hold(str(tmp_path / "config")):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_a_living_process_is_waited_for(tmp_path: Path) -> None:
    path, order = str(tmp_path / "config"), []

    def second() -> None:
        with KubeconfigLocks().hold(path):
            order.append("second")

    with KubeconfigLocks().hold(path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("content", ["", "kubectl", "[]", '{"pid": "x"}', '{"pid": 999999999, "host": "elsewhere"}'])
def test_a_lock_of_somebody_else_is_not_removed(tmp_path: Path, content: str) -> None:
    lock = tmp_path / "config.lock"
    lock.write_text(content)
    lock.chmod(0)
    with (
        pytest.raises(Conflict, match=r"config\.lock is there") as conflict,
        KubeconfigLocks(patience=0.1).hold(str(tmp_path / "config")),
    ):
        raise AssertionError("held twice")
    assert "remove this lock file" in conflict.value.hint
    assert lock.exists()


def test_the_lock_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    stale_lock(tmp_path / "config")
    with KubeconfigLocks(patience=0.1).hold(str(tmp_path / "config")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_process_number_that_was_given_out_again_does_not_keep_a_lock_alive(tmp_path: Path) -> None:
    lock = tmp_path / "config.lock"
    with KubeconfigLocks().hold(str(tmp_path / "config")):
        record = json.loads(lock.read_text())
    lock.write_text(json.dumps({**record, "start": "1"}))
    with KubeconfigLocks(patience=0.1).hold(str(tmp_path / "config")):
        pass


def test_many_that_find_the_same_stale_lock_still_take_turns(tmp_path: Path) -> None:
    stale_lock(tmp_path / "config")
    inside, most = [0], [0]

    def work() -> None:
        with KubeconfigLocks(patience=30).hold(str(tmp_path / "config")):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_writer_is_waited_for_as_long_as_a_file_takes_to_be_written(tmp_path: Path) -> None:
    path, locks = tmp_path / "config", KubeconfigLocks(patience=0.3)
    begun = time.monotonic()
    locks.wait(str(path))
    assert time.monotonic() - begun < 0.05
    lock = Path(f"{path}.lock")
    lock.touch()
    threading.Timer(0.1, lock.unlink).start()
    locks.wait(str(path))
    assert not lock.exists()
    lock.touch()
    locks.wait(str(path))
    assert lock.exists()
