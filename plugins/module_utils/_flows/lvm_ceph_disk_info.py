# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's disks are and carry, without a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._core.errors import Refused
from .._core.plan import Plan, Stage, Verdict
from .._core.run import Outcome, Run
from .._disks import planner, report
from .._disks.assess import Assessed, assess, disk_facts, effective_node_name
from .._disks.identity import resolve, weak_identity
from .._disks.model import Device, Node
from .._disks.survey import own_volumes
from .._disks.verdicts import judge
from .._disks.wanted import Wanted, WantedDisk, read_named_disks
from .disk_reader import Blocks, Commands, DiskReader


class LvmCephDiskInfoFlow:
    """Reads like the module that writes; its plan has no steps."""

    stop_on_error = False

    def __init__(self, wanted: Wanted, commands_: Commands, blocks: Blocks) -> None:
        self._wanted = wanted
        self._reader = DiskReader(commands_, blocks)
        self._node_name = ""
        self._devices: Sequence[report.Offered] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any], commands_: Commands, blocks: Blocks) -> LvmCephDiskInfoFlow:
        """The flow of a task; raises BadInput before anything is looked at."""
        return cls(read_named_disks(params), commands_, blocks)

    def observe(self) -> Node:
        """The named disks, or all of them, are looked into."""
        node = self._reader.node([disk.path for disk in self._wanted.disks if disk.path])
        self._node_name = effective_node_name(self._wanted, node)
        named = planner.resolved(self._wanted, node) if self._wanted.disks else node.devices
        node = self._reader.with_tables(node, named.values())
        targets = planner.targets(self._wanted, node) if self._wanted.disks else dict.fromkeys(node.devices, ())
        node = replace(node, deep=True)
        return self._reader.with_findings(node, targets, own_volumes(node, self._node_name))

    def decide(self, seen: Node) -> Plan:
        """A verdict per disk."""
        named = report.named_devices(assess(self._wanted, seen).values(), seen, self._node_name)
        self._devices = [*report.devices_of_node(seen, self._node_name), *named]
        disks = self._wanted.disks or tuple(WantedDisk(device.kname, device.path) for device in seen.devices.values())
        return Plan(tuple(self._verdict(disk, seen) for disk in disks))

    def execute(self, stage: Stage) -> Iterable[Outcome]:  # noqa: ARG002 - the shape of every flow
        """There is nothing to execute."""
        return ()

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the shape of every flow
        """The node's entry for Rook, from the volumes that are there and the disks named as raw."""
        return {"storage_node": report.storage_node(self._node_name, self._devices)}

    def _verdict(self, disk: WantedDisk, node: Node) -> Verdict:
        try:
            device = self._find(disk, node)
        except Refused as exc:
            return Verdict("disk", disk.id, "failed", "", {}, exc)
        judgement = judge(device, node, self._node_name)
        facts = disk_facts(Assessed(disk, device, judgement))
        problem = weak_identity(device, node.devices.values())
        return Verdict("disk", disk.id, "unchanged", judgement.reason, {**facts, "identity_problem": problem})

    def _find(self, disk: WantedDisk, node: Node) -> Device:
        if not self._wanted.disks:
            return node.devices[disk.id]
        return resolve(disk.id, disk.path, disk.match, node)
