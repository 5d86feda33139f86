# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One role at a time as a user would run it, and what became of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from integration.conftest import Lab, ansible_env


@dataclass(frozen=True)
class Roles:
    """Roles on a lab: ``home`` is a folder for their files, ``options`` are variables of every run."""

    lab: Lab
    home: Path
    options: dict[str, Any]

    def play(
        self, role: str, *options: str, disks: Any = ("/dev/osds/osd1",), nodes: Any = ("node1", "node2"), **values: Any
    ) -> tuple[int, int, str, list[str]]:
        """One run: exit status, changed tasks, what failed, what was shown.

        The nodes' disks are those an earlier play of the same run would have told.
        """
        names = [self._inventory(disks, nodes), self._file("vars.json", json.dumps({**self.options, **values}))]
        task = {"ansible.builtin.include_role": {"name": f"kubestead.platform.{role}"}}
        book = self._file("book.yml", yaml.safe_dump([{"hosts": "kubestead_control", "gather_facts": False, "tasks": [task]}]))
        command = ["ansible-playbook", "-i", names[0], "-e", f"@{names[1]}", book, *options]
        done = self.lab.exec(*command, check=False, env=ansible_env(), timeout=600)
        document, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.find("{\n") :])
        told = [one for play in document["plays"] for task in play["tasks"] for one in task["hosts"].values()]
        failed = [str(one["msg"]) for one in told if one.get("failed")]
        shown = [str(one["msg"]) for one in told if str(one.get("action")).endswith("debug") and "msg" in one]
        return done.returncode, document["stats"]["localhost"]["changed"], "\n".join(failed), shown

    def _inventory(self, disks: Any, nodes: Any) -> str:
        hosts = {
            name: {"rook_cluster_storage_node": {"name": name, "devices": [{"name": disk} for disk in disks]}} for name in nodes
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {"kubestead_control": {"hosts": {"localhost": local}}, "kubestead_nodes": {"hosts": hosts}}
        return self._file("inventory.yml", yaml.safe_dump({"all": {"children": groups}}))

    def _file(self, name: str, text: str) -> str:
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return str(path)
