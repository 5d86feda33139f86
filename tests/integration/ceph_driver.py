# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph in the lab, asked by its own programs, and the health gate of the roles, asked by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, TypeVar

from integration.conftest import LAB, MODULE_MAIN, ROOT, Lab

# What stands for good while kernels before 7.0 mount volumes.
WARNINGS = ("AUTH_INSECURE_CLIENT_KEY_TYPE", "AUTH_INSECURE_KEYS_ALLOWED", "AUTH_INSECURE_KEYS_CREATABLE")
_PATIENCE_SECONDS = 300.0
_PYTHON = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}
Told = TypeVar("Told")


@dataclass(frozen=True)
class Place:
    """Where an OSD lives, by the tags on its volume."""

    node: str
    volume: str
    fsid: str


class Ceph:
    """The Ceph of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def command(self, *command: str, stdin: str = "") -> str:
        """The output of one of Ceph's programs."""
        return self.lab.exec(*command, stdin=stdin).stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("ceph", "status", "--format", "json")))

    def is_clean(self) -> bool:
        """Whether all placement groups are active and clean."""
        groups = self.status()["pgmap"]
        return [one["state_name"] for one in groups["pgs_by_state"]] == ["active+clean"]

    def places(self) -> dict[str, Place]:
        """Where each OSD is, by its number."""
        found = {}
        for node in ("node1", "node2"):
            told = json.loads(self.lab.exec("ssh", node, "lvs --reportformat json -o lv_path,lv_tags").stdout)
            for volume in told["report"][0]["lv"]:
                tags = dict(tag.split("=", 1) for tag in volume["lv_tags"].split(",") if "=" in tag)
                if "ceph.osd_id" in tags:
                    found[tags["ceph.osd_id"]] = Place(node, volume["lv_path"], tags["ceph.osd_fsid"])
        return found

    def gate(self, **options: Any) -> dict[str, Any]:
        """What rook_info thinks of it now."""
        arguments = {"kubeconfig": self.lab.env["KUBECONFIG"], "allowed_warnings": list(WARNINGS), **options}
        task = json.dumps({"module": "rook_info", "arguments": arguments})
        done = self.lab.exec(sys.executable, str(MODULE_MAIN), stdin=task, env=_PYTHON)
        return dict(json.loads(done.stdout)["ceph"])

    def recovers(self) -> bool:
        """Whether the gate is content after daemons have come back. Until then Ceph is given the help that it needs now and then.

        An answer of one OSD to another may be lost while a placement group peers, seen with 20.2.4 after a node had lost its
        power: the group then waits for it without end, with all OSDs up, and goes on as soon as it is told to peer again.
        """
        if self.gate()["healthy"]:
            return True
        stuck = json.loads(self.command("ceph", "pg", "dump_stuck", "inactive", "60", "--format", "json"))["stuck_pg_stats"]
        for group in stuck:
            if group["state"] == "peering":
                self.lab.exec("ceph", "pg", "repeer", group["pgid"], check=False)  # it refuses while OSDs are missing
        return False

    def problems(self, *words: str) -> dict[str, Any]:
        """The gate's answer if its problems hold all these words, else nothing."""
        told = self.gate()
        return told if all(any(word in problem for problem in told["problems"]) for word in words) else {}

    def give_nodes(self, nodes: list[dict[str, Any]]) -> None:
        """Another list of nodes and devices for the CephCluster."""
        change = json.dumps({"spec": {"storage": {"nodes": nodes}}})
        self.lab.kubectl("patch", "cephcluster", "rook-ceph", "-n", "rook-ceph", "--type=merge", "-p", change)

    def daemon(self, name: str) -> str:
        """The process number of one of the lab's daemons."""
        rows = subprocess.run([str(LAB), "status"], text=True, capture_output=True, check=False).stdout.splitlines()
        return next(row.split()[3] for row in rows if row.split()[1] == name)

    @contextmanager
    def operator_asleep(self) -> Iterator[None]:
        """Nothing is done in Rook's place meanwhile."""
        operator = int(self.daemon("rook-stand-in"))
        os.kill(operator, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(operator, signal.SIGCONT)

    def log(self, name: str) -> str:
        """The log of one of the lab's daemons."""
        return (Path(self.lab.env["KUBESTEAD_LAB_DIR"]) / "logs" / f"{name}.log").read_text(encoding="utf-8")

    def wait_for(self, what: str, question: Callable[[], Told]) -> Told:
        """The first answer that is true."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            answer = question()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.gate()}"
            time.sleep(2)
