# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a node's disks: the ports both disk modules use, and the order in which things are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Optional, Protocol

from .._disks import commands, parsers, survey
from .._disks.findings import HEAD_SIZE, Region, Sample, far_regions, from_samples, label_regions, probe_regions, read_mark
from .._disks.gpt import read_table
from .._disks.identity import SysBlock
from .._disks.model import Device, Finding, LogicalVolume, Node, Table, device_path

Places = Sequence[tuple[int, int]]


class Commands(Protocol):
    """The storage commands of a node. Raises BackendFailed when one fails, is missing or does not come back."""

    def report(self, name: str) -> str:
        """The JSON report of ``lsblk``, of ``vgs`` or ``lvs``, or of all of LVM at once (``fullreport``)."""

    def signatures(self, paths: Sequence[str]) -> str:
        """wipefs' report over devices, as JSON or as tables, changing nothing."""

    def write(self, argv: Sequence[str], script: str = "") -> None:
        """Runs a command that changes something, ``script`` on its standard input."""

    def write_all(self, lines: Sequence[Sequence[str]]) -> None:
        """Runs commands of LVM one after another in one process. One that fails keeps none from running and is not told:
        what came of them is to be looked at."""

    def settle(self) -> None:
        """Waits, for ten seconds at most, until udev is done with all that has happened to devices so far."""


class Blocks(Protocol):
    """Block devices as the kernel gives them. Raises BackendFailed."""

    def tables(self) -> survey.Tables:
        """The node's name, mounts and swap areas."""

    def inventory(self, knames: Sequence[str]) -> Mapping[str, SysBlock]:
        """What sysfs says about these devices."""

    def resolve(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Kernel names of device paths; empty where there is no block device."""

    def pause(self) -> None:
        """Lets a moment pass before the next look."""

    def appear(self, path: str) -> bool:
        """Waits until udev has made a link to a block device; whether it did."""

    def probe(self, path: str, regions: Sequence[Region]) -> survey.Probe:
        """Reads regions of a device."""

    def zero(self, path: str, regions: Sequence[Region]) -> None:
        """Writes zeros, holding the device exclusively; fails when somebody else does."""

    def mark(self, path: str, text: bytes) -> None:
        """Writes text to the begin of a device, holding it exclusively."""


class DiskReader:
    """Reads a node with one report of LVM and one of lsblk, and single disks again later."""

    def __init__(self, commands_: Commands, blocks: Blocks) -> None:
        self._commands = commands_
        self._blocks = blocks

    def node(self, paths: Sequence[str]) -> Node:
        """Everything but what lies on the disks; ``paths`` are resolved to kernel names."""
        everything = self._commands.report("fullreport")
        physical, groups, volumes = parsers.pvs(everything), parsers.vgs(everything), parsers.lvs(everything)
        tables, devices = self._devices()
        devices = {kname: survey.with_stale(device, groups) for kname, device in devices.items()}
        resolved = self._blocks.resolve([*paths, *(pv.path for pv in physical)])
        return Node(tables.hostname, devices, physical, groups, volumes, resolved=resolved, listed=tables.listed)

    def with_findings(self, node: Node, targets: Mapping[str, Places], fresh: Sequence[LogicalVolume] = ()) -> Node:
        """The node with what lies on the target disks (kernel name to planned places) and in the volumes given."""
        wanted = [node.devices[kname] for kname in targets]
        paths = survey.signature_paths(wanted, fresh)
        signatures = parsers.wipefs(self._commands.signatures(paths)) if paths else {}
        inside = {volume.full_name: self._inside(volume.group, volume.name, volume.size, signatures) for volume in fresh}
        devices, findings, marks = dict(node.devices), {}, {}
        for device in wanted:
            places = targets[device.kname]
            probe = self._blocks.probe(device.path, probe_regions(device.identity.size, places))
            devices[device.kname] = replace(device, busy=probe.busy)
            on_it = survey.volumes_on(device.kname, node, inside)
            parts = self._in_partitions(device, signatures)
            findings[device.kname] = survey.disk_findings(device, signatures, probe.samples, {**parts, **on_it}, places)
            mark = read_mark(probe.samples)
            if mark is not None:
                marks[device.kname] = mark
        return replace(node, devices=devices, findings=findings, marks=marks)

    def with_tables(self, node: Node, devices: Iterable[Device]) -> Node:
        """The node with the GUID partition tables of these disks."""
        found: dict[str, Table] = {}
        for device in devices:
            for sample in self._blocks.probe(device.path, [Region(0, HEAD_SIZE)]).samples:
                table = read_table(sample.head)
                if table is not None:
                    found[device.kname] = table
        return replace(node, tables=found)

    def again(self, device: Device, places: Places) -> Optional[Node]:
        """A fresh look at one disk alone, without LVM's view; None when it is gone."""
        now = self.device(device)
        if now is None:
            return None
        node = self.with_tables(Node("", {device.kname: now}), [now])
        return self.with_findings(node, {device.kname: places})

    def is_zeroed(self, device: Device, places: Places) -> bool:
        """Whether a disk is still the same, nobody holds it, and all is zero where a signature, label or sample could be."""
        now = self.device(device)
        if now is None or now.identity != device.identity or now.partitions or now.holders or now.mounts or now.read_only:
            return False
        regions = (*probe_regions(now.identity.size, places), *far_regions(places))
        probe = self._blocks.probe(now.path, regions)
        return not probe.busy and all(sample.first_nonzero < 0 for sample in probe.samples)

    def device(self, device: Device) -> Optional[Device]:
        """A fresh look at which disk this is, not at what it carries; None when it is gone."""
        blocks = self._blocks.inventory([device.kname, *(leg.kname for leg in device.legs)])
        return survey.renewed(device, blocks, self._blocks.tables())

    def inside(self, volumes: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], tuple[Finding, ...]]:
        """What lies in volumes, given as group, name and size."""
        paths = [commands.mapper_path(group, name) for group, name, _size in volumes]
        signatures = parsers.wipefs(self._commands.signatures(paths)) if paths else {}
        return {(group, name): self._inside(group, name, size, signatures) for group, name, size in volumes}

    def group_uuids(self) -> dict[str, str]:
        """The UUIDs of all volume groups, read anew."""
        return {name: group.uuid for name, group in parsers.vgs(self._commands.report("vgs")).items()}

    def _inside(self, group: str, volume: str, size: int, signatures: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
        path = commands.mapper_path(group, volume)
        samples: tuple[Sample, ...] = self._blocks.probe(path, label_regions(0, size)).samples
        return from_samples(signatures.get(survey.last_part(path), ()), samples, unknown=False)

    def _in_partitions(self, device: Device, signatures: Mapping[str, Sequence[Finding]]) -> dict[str, Sequence[Finding]]:
        """What lies on the partitions of a disk, the labels of OSDs included."""
        found: dict[str, Sequence[Finding]] = {}
        for part in device.partitions:
            path = device_path(part.kname)
            samples = self._blocks.probe(path, label_regions(0, part.size)).samples
            found[part.kname] = from_samples(signatures.get(survey.last_part(path), ()), samples, unknown=False)
        return found

    def _devices(self) -> tuple[survey.Tables, dict[str, Device]]:
        rows = parsers.lsblk(self._commands.report("lsblk"))
        tables = self._blocks.tables()
        return tables, survey.devices(rows, self._blocks.inventory(survey.disk_names(rows)), tables)
