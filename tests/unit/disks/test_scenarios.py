# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios of the disk modules on a node in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk import LvmCephDiskFlow
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow

from contracts.disk_scenarios import GIB, DiskScenarios, Outcome
from fakes.disk_node import FakeDisk, FakeNode

EXT4 = (1080, "ext4", "3f0c0c3e-9d0d-4c07-8a5f-6d1f2f1f0c11", "filesystem")


class FakeBench:
    """A bench over the fake node."""

    node_name = "node1"
    serials = ("SPARE-DISK1", "SPARE-DISK2")
    root_serial = "ROOT0"

    def __init__(self) -> None:
        root = FakeDisk(3 * GIB, serial=self.root_serial, mounts=("/",), signatures=[EXT4])
        self.node = FakeNode({"ubda": root, **{f"ubd{n}": FakeDisk(serial=s) for n, s in zip("de", self.serials)}})

    def run(self, params: Mapping[str, Any], *, check: bool = False) -> Outcome:
        flow = LvmCephDiskFlow.from_params(params, self.node, self.node)
        plan = flow.decide(flow.observe())
        done = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        verdicts = settle(done)
        actions = {verdict.name: str(entry_dict(verdict)["action"]) for verdict in verdicts}
        errors = {verdict.name: verdict.error.sentence() for verdict in verdicts if verdict.error}
        node: Any = flow.report(done)["storage_node"]
        return Outcome(bool(done.done), actions, errors, node)

    def info(self) -> Mapping[str, Mapping[str, Any]]:
        flow = LvmCephDiskInfoFlow.from_params({}, self.node, self.node)
        return {str(verdict.facts["serial"]): verdict.facts for verdict in flow.decide(flow.observe()).verdicts}

    def _disk(self, number: int) -> FakeDisk:
        return self.node.disks["ubd" + "de"[number - 1]]

    def fingerprint(self, number: int) -> str:
        path, disk = "/dev/ubd" + "de"[number - 1], self._disk(number)
        volumes = [(name, runs) for name, runs in self.node.state()["volumes"].items() if runs[0][0][0] == path]
        return repr((disk.signatures, disk.data, self.node.physical.get(path), volumes))

    def volumes(self) -> Mapping[str, int]:
        return {
            name: sum(count for _p, _s, count in runs) << 22 for name, (runs, _tags) in self.node.state()["volumes"].items()
        }

    def put_ext4(self, number: int) -> None:
        self._disk(number).signatures = [EXT4]

    def mount(self, number: int) -> None:
        self._disk(number).mounts = ("/mnt",)

    def put_label(self, volume: str) -> None:
        group, _slash, name = volume.partition("/")
        path, start, _count = self.node.groups[group].volumes[name][0][0]
        at = (1 << 20) + (start << 22) + GIB
        self.node.disks[path[5:]].data[at] = b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"

    def remove_volume(self, volume: str) -> None:
        group, _slash, name = volume.partition("/")
        del self.node.groups[group].volumes[name]


class TestOnANodeInMemory(DiskScenarios):
    @pytest.fixture
    def bench(self) -> FakeBench:
        return FakeBench()
