# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a node's disks: the ports both disk modules use, and the order in which things are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional, Protocol

from .._disks import commands, parsers, survey
from .._disks.findings import Region, Sample, from_samples, label_regions, probe_regions
from .._disks.identity import SysBlock
from .._disks.model import Device, Finding, LogicalVolume, Node

Places = Sequence[tuple[int, int]]


class Commands(Protocol):
    """The storage commands of a node. Raises BackendFailed when one fails, is missing or does not come back."""

    def report(self, name: str) -> str:
        """The JSON report of ``lsblk``, ``pvs``, ``vgs`` or ``lvs``."""

    def signatures(self, paths: Sequence[str]) -> str:
        """wipefs' JSON report over devices, changing nothing."""

    def write(self, argv: Sequence[str]) -> None:
        """Runs a command that changes something."""


class Blocks(Protocol):
    """Block devices as the kernel gives them. Raises BackendFailed."""

    def tables(self) -> survey.Tables:
        """The node's name, mounts and swap areas."""

    def inventory(self, knames: Sequence[str]) -> Mapping[str, SysBlock]:
        """What sysfs says about these devices."""

    def resolve(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Kernel names of device paths; empty where there is no block device."""

    def probe(self, path: str, regions: Sequence[Region]) -> survey.Probe:
        """Reads regions of a device."""

    def zero(self, path: str, regions: Sequence[Region]) -> None:
        """Writes zeros, holding the device exclusively; fails when somebody else does."""


class DiskReader:
    """Reads a node with one report per command, and single disks again later."""

    def __init__(self, commands_: Commands, blocks: Blocks) -> None:
        self._commands = commands_
        self._blocks = blocks

    def node(self, paths: Sequence[str]) -> Node:
        """Everything but what lies on the disks; ``paths`` are resolved to kernel names."""
        physical = parsers.pvs(self._commands.report("pvs"))
        groups = parsers.vgs(self._commands.report("vgs"))
        volumes = parsers.lvs(self._commands.report("lvs"))
        hostname, devices = self._devices()
        resolved = self._blocks.resolve([*paths, *(pv.path for pv in physical)])
        return Node(hostname, devices, physical, groups, volumes, resolved=resolved)

    def with_findings(self, node: Node, targets: Mapping[str, Places], fresh: Sequence[LogicalVolume] = ()) -> Node:
        """The node with what lies on the target disks (kernel name to planned places) and in fresh volumes."""
        wanted = [node.devices[kname] for kname in targets]
        paths = survey.signature_paths(wanted, fresh)
        signatures = parsers.wipefs(self._commands.signatures(paths)) if paths else {}
        inside = {volume.full_name: self._inside(volume.group, volume.name, volume.size, signatures) for volume in fresh}
        devices, findings = dict(node.devices), {}
        for device in wanted:
            places = targets[device.kname]
            probe = self._blocks.probe(device.path, probe_regions(device.identity.size, places))
            devices[device.kname] = replace(device, busy=probe.busy)
            on_it = survey.volumes_on(device.kname, node, inside)
            findings[device.kname] = survey.disk_findings(device, signatures, probe.samples, on_it, places)
        return replace(node, devices=devices, findings=findings)

    def again(self, device: Device, places: Places) -> Optional[Node]:
        """A fresh look at one disk alone, without LVM's view; None when it is gone."""
        hostname, devices = self._devices()
        node = Node(hostname, devices)
        return self.with_findings(node, {device.kname: places}) if device.kname in devices else None

    def inside(self, group: str, volume: str, size: int) -> tuple[Finding, ...]:
        """What lies in a volume."""
        signatures = parsers.wipefs(self._commands.signatures([commands.mapper_path(group, volume)]))
        return self._inside(group, volume, size, signatures)

    def group_uuid(self, group: str) -> str:
        """The UUID of a volume group, read anew."""
        return parsers.vgs(self._commands.report("vgs"))[group].uuid

    def _inside(self, group: str, volume: str, size: int, signatures: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
        path = commands.mapper_path(group, volume)
        samples: tuple[Sample, ...] = self._blocks.probe(path, label_regions(0, size)).samples
        return from_samples(signatures.get(survey.last_part(path), ()), samples, unknown=False)

    def _devices(self) -> tuple[str, dict[str, Device]]:
        rows = parsers.lsblk(self._commands.report("lsblk"))
        tables = self._blocks.tables()
        return tables.hostname, survey.devices(rows, self._blocks.inventory(survey.disk_names(rows)), tables)
