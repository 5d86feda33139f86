# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of ``disk_driver.py``: copies the modules' code to a node, and talks to one process there."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
FOLDER = "/run/kubestead-tests"
ROOMS = ("_core", "_disks", "_flows", "_adapters")
FILES = ("_flows/disk_reader.py", "_flows/lvm_*.py", "_adapters/block_device.py", "_adapters/lvm_cli.py")


class NodeDriver:
    """A node's disk modules, called without Ansible."""

    def __init__(self, ssh_config: Path, node: str) -> None:
        self.ssh = [str(LAB), "exec", "--", "ssh", "-F", str(ssh_config), node]
        copy = f"rm -rf {FOLDER} && mkdir {FOLDER} && tar -x -C {FOLDER}"
        subprocess.run([*self.ssh, copy], input=_archive(), check=True, timeout=60)
        program = f"PYTHONPATH={FOLDER} exec python3 -u {FOLDER}/disk_driver.py"
        self._process = subprocess.Popen([*self.ssh, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process on the node ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def shell(self, script: str, *, check: bool = True) -> str:
        """Commands on the node."""
        answer = self.ask("shell", script=script)
        assert not check or answer["status"] == 0, answer["out"]
        return str(answer["out"])

    def close(self) -> None:
        """Ends the process on the node."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def _archive() -> bytes:
    source = ROOT / "plugins" / "module_utils"
    inside = "ansible_collections/kubestead/platform/plugins/module_utils"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(Path(__file__).with_name("disk_driver.py"), "disk_driver.py")
        wanted = [path for room in ROOMS for path in source.glob(f"{room}/*.py") if room in ("_core", "_disks")]
        wanted += [path for pattern in FILES for path in source.glob(pattern)]
        for path in (*wanted, *(source / room / "__init__.py" for room in ("_flows", "_adapters"))):
            if path.exists():
                archive.add(path, f"{inside}/{path.relative_to(source)}")
    return stream.getvalue()
