# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster in memory: OSDs that fill and empty, as the monitors' commands tell, and Jobs whose program runs against them.

The program is the one that is shipped; only Ceph's library and the place of the message are others.
"""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rook.pod_program import PROGRAM

from fakes.kube_api import FakeKubeApi

NAMESPACE = "/api/v1/namespaces/rook-ceph"
APPS = "/apis/apps/v1/namespaces/rook-ceph/deployments"
CLUSTER = "/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephclusters/rook-ceph"
OPERATOR = f"{APPS}/rook-ceph-operator"
GIB = 1 << 20  # in KiB


def fsid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


@dataclass
class FakeOsd:
    """One OSD; ``empties_after`` are the looks it takes until it is empty once it is out."""

    number: int
    host: str
    uuid: str = ""
    kind: str = "ssd"
    up: int = 1
    in_: int = 1
    pgs: int = 8
    used: int = GIB
    size: int = 20 * GIB
    empties_after: int = 1
    runs: bool = True

    def __post_init__(self) -> None:
        self.uuid = self.uuid or fsid(self.number)


@dataclass
class FakeCeph:
    """What the monitors and the manager answer."""

    osds: dict[int, FakeOsd]
    pools: list[tuple[str, int, int]] = field(default_factory=lambda: [("ceph-block", 2, 0)])
    domain: str = "host"
    crashes: list[dict[str, str]] = field(default_factory=list)
    racks: dict[str, str] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hosts = self.hosts or sorted({osd.host for osd in self.osds.values()})

    def answer(self, text: str, _input: bytes) -> tuple[int, bytes, str]:
        asked = json.loads(text)
        prefix = asked["prefix"]
        self.commands.append(prefix)
        if prefix in self.refuses:
            code, told = self.refuses[prefix]
            return code, b"", told
        code, told = getattr(self, f"_{prefix.replace(' ', '_').replace('-', '_')}")(asked)
        return code, json.dumps(told).encode() if told is not None else b"", ""

    def _osd_dump(self, _asked: Any) -> Any:
        rows = [{"osd": one.number, "uuid": one.uuid, "up": one.up, "in": one.in_} for one in self.osds.values()]
        pools = [{"pool_name": name, "size": size, "crush_rule": rule} for name, size, rule in self.pools]
        return 0, {"osds": rows, "pools": pools, "nearfull_ratio": 0.85}

    def _osd_tree(self, _asked: Any) -> Any:
        nodes: list[dict[str, Any]] = []
        tops: list[int] = []
        for index, host in enumerate(self.hosts):
            inside = [one.number for one in self.osds.values() if one.host == host]
            nodes.append({"id": -10 - index, "name": host, "type": "host", "children": inside})
            if host in self.racks:
                nodes.append({"id": -50 - index, "name": self.racks[host], "type": "rack", "children": [-10 - index]})
            tops.append(-50 - index if host in self.racks else -10 - index)
        nodes.insert(0, {"id": -1, "name": "default", "type": "root", "children": tops})
        nodes += [
            {"id": one.number, "name": f"osd.{one.number}", "type": "osd", "device_class": one.kind}
            for one in self.osds.values()
        ]
        return 0, {"nodes": nodes}

    def _osd_df(self, _asked: Any) -> Any:
        return 0, {
            "nodes": [{"id": one.number, "kb": one.size, "kb_used": one.used, "pgs": one.pgs} for one in self.osds.values()]
        }

    def _osd_crush_rule_dump(self, _asked: Any) -> Any:
        leaf = {"op": "chooseleaf_firstn" if self.domain != "osd" else "choose_firstn", "num": 0, "type": self.domain}
        return 0, [{"rule_id": 0, "steps": [{"op": "take", "item": -1, "item_name": "default"}, leaf, {"op": "emit"}]}]

    def _status(self, _asked: Any) -> Any:
        moving = sum(one.pgs for one in self.osds.values() if not one.in_)
        states = [{"state_name": "active+clean", "count": 8}]
        states += [{"state_name": "active+remapped+backfilling", "count": moving}] if moving else []
        return 0, {"pgmap": {"num_pgs": 8 + moving, "pgs_by_state": states, "misplaced_ratio": 0.123 if moving else 0}}

    def _osd_safe_to_destroy(self, asked: Any) -> Any:
        safe, active = [], []
        for one in (self.osds[int(number)] for number in asked["ids"] if int(number) in self.osds):
            if not one.in_ and one.empties_after <= 0:
                one.pgs = 0
            one.empties_after -= not one.in_
            (active if one.pgs else safe).append(one.number)
        return (-16 if active else 0), {"safe_to_destroy": safe, "active": active}

    def _osd_ok_to_stop(self, asked: Any) -> Any:
        good = all(not self.osds[int(number)].pgs for number in asked["ids"])
        return (0 if good else -16), {"ok_to_stop": {"ok_to_stop": good}}

    def _osd_out(self, asked: Any) -> Any:
        for number in asked["ids"]:
            self.osds[int(number)].in_ = 0
        return 0, None

    def _osd_down(self, asked: Any) -> Any:
        for one in (self.osds[int(number)] for number in asked["ids"]):
            one.up = int(one.runs)
        return 0, None

    def _osd_purge(self, asked: Any) -> Any:
        one = self.osds[asked["id"]]
        if one.up or one.pgs or "force" in asked or not asked["yes_i_really_mean_it"]:
            return -16, None
        del self.osds[asked["id"]]
        return 0, None

    def _osd_crush_rm(self, asked: Any) -> Any:
        self.hosts.remove(asked["name"])
        return 0, None

    def _crash_ls_new(self, _asked: Any) -> Any:
        return 0, self.crashes

    def _crash_archive(self, asked: Any) -> Any:
        self.crashes = [one for one in self.crashes if one["crash_id"] != asked["id"]]
        return 0, None


def deployment(number: int, node: str, path: str, uuid: str = "") -> dict[str, Any]:
    """The Deployment of an OSD, as far as it is read."""
    env = [("ROOK_OSD_UUID", uuid or fsid(number)), ("ROOK_BLOCK_PATH", path), ("ROOK_NODE_NAME", node)]
    container = {"name": "osd", "env": [{"name": name, "value": value} for name, value in env]}
    pod = {"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container]}
    labels = {"app": "rook-ceph-osd", "ceph-osd-id": str(number)}
    return {
        "metadata": {"name": f"rook-ceph-osd-{number}", "labels": labels},
        "spec": {"replicas": 1, "template": {"spec": pod}},
    }


class World:
    """The API server, the Ceph behind its Jobs, and a clock that only moves when somebody sleeps."""

    def __init__(self, ceph: FakeCeph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.ceph, self.seconds = FakeKubeApi(), ceph, 0.0
        self.jobs: list[dict[str, Any]] = []
        self._message, self._monkeypatch = folder / "message", monkeypatch
        self.api.put(NAMESPACE, {})
        self.api.put(
            CLUSTER, {"spec": {"cephVersion": {"image": "quay.io/ceph/ceph:v20.2.4"}, "network": {"provider": "host"}}}
        )
        self.api.put(OPERATOR, {"spec": {"replicas": 1}, "status": {}})
        for osd in ceph.osds.values():
            self.give(osd.number, osd.host)
        self.api.after_write.append(self._run_job)
        self.api.on_write.append(self._stop_osd)
        monkeypatch.setattr("time.sleep", self.sleep)
        monkeypatch.setattr("time.monotonic", lambda: self.seconds)

    def give(self, number: int, node: str, path: str = "", uuid: str = "") -> None:
        """A Deployment as the operator makes it."""
        name = f"{APPS}/rook-ceph-osd-{number}"
        self.api.put(name, deployment(number, node, path or f"/dev/osds/osd{number}", uuid))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def _stop_osd(self, method: str, path: str, thing: dict[str, Any]) -> None:
        if method == "PATCH" and "/rook-ceph-osd-" in path and thing["spec"]["replicas"] == 0:
            osd = self.ceph.osds.get(int(path.rpartition("-")[2]))
            if osd:
                osd.runs = False

    def _run_job(self, method: str, path: str, job: dict[str, Any]) -> None:
        if method != "POST" or "/jobs" not in path:
            return
        self.jobs.append(job)
        name, container = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"][0]
        code = self._program(container)
        state = {"terminated": {"exitCode": code, "message": self._message.read_text()}}
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"name": "ceph", "state": state}]}
        self.api.put(f"{NAMESPACE}/pods/{name}-x", {"metadata": {"labels": {"job-name": name}}, "status": status})

    def _program(self, container: dict[str, Any]) -> int:
        asked = {one["name"]: one.get("value", "") for one in container["env"]}["KUBESTEAD_ASKED"]
        ceph = types.SimpleNamespace(
            conf_parse_env=lambda _name: None,
            connect=lambda timeout: None,
            mon_command=self.ceph.answer,
            mgr_command=self.ceph.answer,
        )
        text = container["command"][2].replace("/dev/termination-log", str(self._message))
        assert text != PROGRAM
        with self._monkeypatch.context() as patch:
            patch.setenv("KUBESTEAD_ASKED", asked)
            patch.setitem(sys.modules, "rados", types.SimpleNamespace(Rados=lambda name: ceph))  # type: ignore[arg-type]
            try:
                exec(compile(text, "program", "exec"), {})
            except SystemExit as end:
                return int(end.code or 0)
        raise AssertionError("the program did not end")
