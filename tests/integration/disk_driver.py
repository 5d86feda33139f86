# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: the disk modules' own code, many times in one process. One request in JSON per line, one answer per line."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._adapters.block_device import BlockDevices
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.lvm_cli import LvmCli, run_command
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk import LvmCephDiskFlow
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow

FLUSH, REREAD = 0x1261, 0x125F


class Traced(LvmCli, BlockDevices):
    """Both ports on the real node. Every command and write is noted; the process ends itself after write number ``kill``."""

    def __init__(self, kill: int = 0) -> None:
        LvmCli.__init__(self, self._run_noted)
        BlockDevices.__init__(self)
        self.commands: list[list[str]] = []
        self.writes: list[list[str]] = []
        self._kill = kill

    def _run_noted(self, argv: Sequence[str], timeout: float, text: str) -> tuple[int, str, str]:
        self.commands.append(list(argv))
        return run_command(argv, timeout, text)

    def write(self, argv: Sequence[str], script: str = "") -> None:
        super().write(argv, script)
        self._wrote(list(argv))

    def write_all(self, lines: Sequence[Sequence[str]]) -> None:
        """Each line is a write. To be ended after one of them, LVM gets the lines as far as that one."""
        left = self._kill - len(self.writes)
        lines = lines[:left] if left > 0 else lines
        super().write_all(lines)
        for words in lines:
            self._wrote(list(words))

    def zero(self, path: str, regions: Any) -> None:
        super().zero(path, regions)
        self._wrote(["zero", path])

    def mark(self, path: str, text: bytes) -> None:
        super().mark(path, text)
        self._wrote(["mark", path])

    def _wrote(self, words: list[str]) -> None:
        self.writes.append(words)
        if len(self.writes) == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)


def run(params: dict[str, Any], check: bool = False, kill: int = 0, pause: str = "") -> dict[str, Any]:
    """The module that writes; ``pause`` is a script that runs between the plan and the first write."""
    node = Traced(kill)
    flow = LvmCephDiskFlow.from_params({"on_error": "stop", **params}, node, node)
    plan = flow.decide(flow.observe())
    if pause:
        shell(pause)
    done = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
    told = {"entries": [entry_dict(verdict) for verdict in settle(done)], "changed": bool(done.done)}
    return {**told, **flow.report(done), "commands": node.commands, "writes": node.writes}


def info(params: dict[str, Any]) -> dict[str, Any]:
    """The module that looks."""
    node = Traced()
    flow = LvmCephDiskInfoFlow.from_params(params, node, node)
    plan = flow.decide(flow.observe())
    entries = [entry_dict(verdict) for verdict in plan.verdicts]
    return {"entries": entries, **flow.report(Run(plan)), "commands": node.commands, "writes": node.writes}


def killed(params: dict[str, Any], kill: int) -> dict[str, Any]:
    """The module that writes, in a process of its own that is ended after its write number ``kill``."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run(params, kill=kill)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    return {"killed": os.WIFSIGNALED(status)}


def reread(paths: Sequence[str]) -> dict[str, Any]:
    """Forgets what the kernel knows of disks whose content was changed from outside."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FLUSH)
            with contextlib.suppress(OSError):
                fcntl.ioctl(descriptor, REREAD)
        finally:
            os.close(descriptor)
    subprocess.run(["udevadm", "settle", "--timeout=20"], check=False)
    Path("/run/lvm/hints").unlink(missing_ok=True)  # LVM's own memory of which disks are physical volumes
    return {}


def shell(script: str) -> dict[str, Any]:
    """Any commands."""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "out": done.stdout + done.stderr}


def main() -> None:
    """Answers until the input ends."""
    actions = {"run": run, "info": info, "killed": killed, "reread": reread, "shell": shell}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        except CollError as exc:
            answer = {"error": exc.sentence()}
        except Exception as exc:  # noqa: BLE001 - the test shows it
            answer = {"error": repr(exc)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
