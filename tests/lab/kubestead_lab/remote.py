# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that stays on a node and runs what it is asked, one JSON line each way: one login instead of one a command."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Sequence
from typing import Any

RUNNER = """
import json, subprocess, sys
for line in sys.stdin:
    asked = json.loads(line)
    try:
        done = subprocess.run(asked["run"], input=asked["input"], capture_output=True, text=True, timeout=asked["timeout"])
        told = [done.returncode, done.stdout, done.stderr]
    except Exception as problem:
        told = [255, "", f"{type(problem).__name__}: {problem}"]
    print(json.dumps(told), flush=True)
"""
# Runs among Ceph's programs: one connection to the monitor for all questions.
MONITOR = """
import json, rados, sys
cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", name="client.admin", conf={"client_mount_timeout": "10"})
cluster.connect(timeout=10)
for line in sys.stdin:
    asked = json.loads(line)
    try:
        code, out, err = cluster.mon_command(json.dumps(asked["run"]), asked["input"].encode(), timeout=int(asked["timeout"]))
        told = [-code, out.decode(), err]
    except Exception as problem:
        told = [255, "", f"{type(problem).__name__}: {problem}"]
    print(json.dumps(told), flush=True)
"""


class Away(Exception):
    """The other side does not answer."""


class Remote:
    """The other end of one such program. Started when it is first asked, and again after it went away."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connected(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.poll() is None

    def ask(self, what: Any, *, stdin: str = "", timeout: float = 60.0) -> tuple[int, str, str]:
        """Exit code, output and errors; raises Away."""
        if not self.connected:
            self.close()
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"run": what, "input": stdin, "timeout": timeout}).encode() + b"\n")
            self._process.stdin.flush()
            ready = select.select([self._process.stdout], [], [], timeout + 15)[0]
            code, out, err = json.loads(self._process.stdout.readline() if ready else b"")
        except (OSError, ValueError) as problem:
            self.close()
            raise Away(str(problem)) from problem
        return int(code), str(out), str(err)

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
