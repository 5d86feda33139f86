# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk is: blank, ours, or one of the many things that must not be overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .._core.units import human_bytes
from . import gpt, model, tags
from .extents import SMALLEST_VOLUME
from .findings import BLUESTORE, MARK, STALE, UNKNOWN, continues, list_in_words, seen_digest
from .model import SWAP, Device, Finding, LogicalVolume, Node, PhysicalVolume, Table
from .wanted import PARTITIONS, VOLUMES


@dataclass(frozen=True)
class Judgement:
    """A disk's verdict. ``reason`` completes the sentence "disk data1 …".

    Of a disk of ours, ``group`` is the volume group it belongs to and ``layout`` what it was made for. ``osds`` are the fsids
    of the OSDs on a disk; ``deactivate`` a group of unused volumes that hold it until they are inactive.
    """

    verdict: str
    reason: str
    findings: tuple[Finding, ...] = ()
    seen: str = ""
    group: str = ""
    osds: tuple[str, ...] = ()
    deactivate: str = ""
    layout: str = ""

    @property
    def is_marked(self) -> bool:
        """Whether an erase has begun already."""
        return any(finding.type == MARK for finding in self.findings)


def judge(device: Device, node: Node, node_name: str) -> Judgement:
    """The verdict over a disk from all that was found; the first rule that applies decides."""
    everything = tuple(node.findings.get(device.kname, ()))
    findings = tuple(finding for finding in everything if finding.on != model.PLANNED)
    findings += tuple(Finding(0, STALE, entry.name, "other") for entry in device.stale)
    unsuitable = _unsuitable(device)
    if unsuitable:
        return _judgement(model.UNSUITABLE, unsuitable, device, findings)
    for physical in node.physical_on(device.kname):
        judgement = _judge_physical(physical, device, node, node_name, everything)
        return replace(judgement, layout=VOLUMES) if judgement.verdict in (model.OURS, model.INCOMPLETE) else judgement
    table = node.tables.get(device.kname)
    if table is not None and gpt.is_ours(table, device, node_name):
        return replace(_judge_table(table, device, node, node_name, everything), layout=PARTITIONS)
    used = in_use(device)
    if used:
        return _judgement(model.IN_USE, used, device, findings)
    mark = node.marks.get(device.kname)
    if mark is not None and continues(mark, device.identity, findings):
        return Judgement(model.FOREIGN, "is half erased by a run that was ended", findings, mark.seen)
    findings = findings or everything
    if findings:
        unknown = all(finding.type == UNKNOWN for finding in findings)
        return _judgement(
            model.UNKNOWN_DATA if unknown else model.FOREIGN, f"carries {list_in_words(findings)}", device, findings
        )
    if device.partitions:
        return _judgement(model.IN_USE, "still has partitions in the kernel's view", device, findings)
    return Judgement(model.BLANK, "is blank")


def _judgement(verdict: str, reason: str, device: Device, findings: Sequence[Finding], group: str = "") -> Judgement:
    seen = seen_digest(device.identity, findings)
    return Judgement(verdict, reason, tuple(findings), seen, group, labelled_osds(findings))


def labelled_osds(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The OSDs whose BlueStore label lies where an OSD begins. A copy alone, farther in, belongs to no OSD that can run."""
    here = (f for f in findings if f.type == BLUESTORE and f.offset == 0 and f.uuid and f.on != model.PLANNED)
    return tuple(dict.fromkeys(finding.uuid for finding in here))


def _unsuitable(device: Device) -> str:
    if device.is_root:
        return "is the disk this node runs from"
    if device.read_only:
        return "is read-only"
    if device.removable:
        return "is removable"
    if device.identity.size < SMALLEST_VOLUME:
        return f"is too small: {human_bytes(device.identity.size)}, and Ceph takes no less than {human_bytes(SMALLEST_VOLUME)}"
    return ""


def in_use(device: Device) -> str:
    """Who uses a disk, in words; empty when nobody does."""
    places = [where for where in device.mounts if where != SWAP]
    uses = ["is used as swap"] if SWAP in device.mounts else []
    uses += [f"is mounted at {', '.join(places)}"] if places else []
    if uses:
        return " and ".join(uses)
    if device.holders:
        return f"is held by {', '.join(device.holders)}"
    # A stale mapping holds its disk too; if that is not all, removing it fails and nothing is erased.
    return "is in use (a program holds or has locked it)" if device.busy and not device.stale else ""


def _judge_table(table: Table, device: Device, node: Node, node_name: str, findings: Sequence[Finding]) -> Judgement:
    """A disk with our own partition table. What OSDs have in the partitions is told on request only."""
    leftovers = [finding for finding in findings if finding.on == model.PLANNED]
    if leftovers and not node.removing:
        return _judgement(
            model.INCOMPLETE, f"carries, in the place of a new partition, {list_in_words(leftovers)}", device, leftovers
        )
    shown = [finding for finding in findings if finding.on != model.PLANNED] if node.deep else ()
    number = sum(gpt.entry_is_ours(entry, device, node_name) for entry in table.entries)
    verdict = model.OURS if number else model.INCOMPLETE
    return _judgement(verdict, f"has {number} partitions of this module", device, shown)


def _judge_physical(
    physical: PhysicalVolume, device: Device, node: Node, node_name: str, findings: Sequence[Finding]
) -> Judgement:
    problem = _foreign_lvm(physical, device, node, node_name)
    if problem:
        return _judge_foreign(problem, physical, device, node, findings)
    fresh = {volume.full_name for volume in node.volumes_of(physical.group) if tags.is_new(volume)}
    leftovers = [finding for finding in findings if finding.on == model.PLANNED or finding.on in fresh]
    if leftovers and not node.removing:
        reason = f"carries, in the place of a new volume, {list_in_words(leftovers)}"
        return _judgement(model.INCOMPLETE, reason, device, leftovers, physical.group)
    shown = [finding for finding in findings if finding.on != model.PLANNED] if node.deep else ()
    if not physical.group:
        return _judgement(model.INCOMPLETE, "was prepared by an earlier run and is in no volume group yet", device, shown)
    volumes = [volume for volume in node.volumes_of(physical.group) if tags.volume_is_ours(volume, node_name)]
    if not volumes or any(tags.is_new(volume) for volume in _volumes_on(physical, volumes)):
        return _judgement(model.INCOMPLETE, "was prepared by a run that did not finish", device, shown, physical.group)
    return _judgement(model.OURS, f"belongs to volume group {physical.group}", device, shown, physical.group)


def _judge_foreign(
    problem: str, physical: PhysicalVolume, device: Device, node: Node, findings: Sequence[Finding]
) -> Judgement:
    """LVM of somebody else. Volumes of an OSD that nobody has open hold the disk only until they are deactivated."""
    findings = [finding for finding in findings if finding.on != model.PLANNED]
    used, osds = in_use(device), []
    for volume in node.volumes_of(physical.group):
        number, fsid, cluster = tags.ceph_osd(volume)
        if fsid:
            osds.append(fsid)
            problem += f", holds OSD {number} (fsid {fsid}) of the Ceph cluster {cluster or '(unknown)'} in {volume.full_name}"
    idle = bool(osds) and not device.mounts and _held_by_group_alone(device, physical, node)
    verdict = model.IN_USE if used and not idle else model.FOREIGN
    shown = _judgement(verdict, f"{problem}{f' and {used}' if used and not idle else ''}", device, findings, physical.group)
    fsids = tuple(dict.fromkeys((*osds, *shown.osds)))
    return replace(shown, osds=fsids, deactivate=physical.group if idle and device.holders else "")


def _held_by_group_alone(device: Device, physical: PhysicalVolume, node: Node) -> bool:
    """Whether nothing but the volumes of its group is on a disk, and all of the group is on this disk."""
    elsewhere = [pv for pv in node.physical if pv.group == physical.group and pv.path != physical.path]
    prefix = "LVM-" + physical.group_uuid.replace("-", "")
    own = {entry.kname for entry in device.mappings if entry.uuid.startswith(prefix)}
    return bool(physical.group_uuid) and not elsewhere and set(device.holders) <= own


def _foreign_lvm(physical: PhysicalVolume, device: Device, node: Node, node_name: str) -> str:
    """Why an LVM disk is somebody else's, in words; empty when it is ours."""
    if not physical.group:
        mine = tags.physical_is_ours(physical, device, node_name)
        return "" if mine else "is an LVM physical volume of another owner"
    group = node.groups.get(physical.group)
    problem = tags.group_problem(group, node_name) if group else "is not known to LVM"
    if problem:
        return f"belongs to LVM volume group {physical.group}, which {problem}"
    if not tags.physical_is_ours(physical, device, node_name):
        return f"carries a copy of, or was moved with, volume group {physical.group}: its LVM UUID does not fit this disk"
    return ""


def _volumes_on(physical: PhysicalVolume, volumes: Sequence[LogicalVolume]) -> list[LogicalVolume]:
    here = {segment.volume for segment in physical.segments}
    return [volume for volume in volumes if volume.name in here]
