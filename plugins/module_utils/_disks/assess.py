# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of looking for each wanted disk: found, judged, and refused or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .._core.errors import CollError, Refused
from . import consent, model
from .identity import describe, identity_problem, resolve
from .jobs import DiskJob, expected_digest
from .model import Device, Node
from .verdicts import Judgement, judge
from .wanted import PARTITIONS, RAW, Wanted, WantedDisk


@dataclass(frozen=True)
class Assessed:
    """A wanted disk and what became of looking for it."""

    disk: WantedDisk
    device: Optional[Device] = None
    judgement: Optional[Judgement] = None
    error: Optional[CollError] = None
    consented: bool = False

    @property
    def must_erase(self) -> bool:
        """Whether the disk itself is to be erased first."""
        return self.consented and self.judgement is not None and self.judgement.verdict in (model.FOREIGN, model.UNKNOWN_DATA)


def effective_node_name(wanted: Wanted, node: Node) -> str:
    """The node's name in Kubernetes: as the caller says, else its host name."""
    return wanted.node_name or node.hostname


def assess(wanted: Wanted, node: Node) -> dict[str, Assessed]:
    """Every wanted disk: found, judged, and refused or not."""
    found: dict[str, Assessed] = {}
    taken: dict[str, str] = {}
    groups = {disk: group.name for group in wanted.groups for disk in group.disks}
    for disk in wanted.disks:
        one = _assess_one(disk, wanted, node, groups.get(disk.id, ""))
        if one.device is not None:
            other = taken.setdefault(one.device.kname, disk.id)
            if other != disk.id:
                told = f"disk {disk.id} ({describe(one.device)}) is the same device as disk {other}."
                one = Assessed(disk, one.device, one.judgement, Refused(told, hint="Name each device once."))
        found[disk.id] = one
    return found


def disk_facts(one: Assessed) -> dict[str, object]:
    """What a result says about a disk besides its action."""
    if one.device is None or one.judgement is None:
        return {}
    identity, judgement = one.device.identity, one.judgement
    return {
        "device": one.device.path,
        "serial": identity.serial,
        "wwn": identity.wwn,
        "model": identity.model,
        "size": identity.size,
        "verdict": judgement.verdict,
        "findings": [finding.as_dict() for finding in judgement.findings],
        "seen": judgement.seen,
        "osd_fsids": list(judgement.osds),
        "layout": one.disk.layout,
        "device_class": one.disk.device_class,
    }


def _assess_one(disk: WantedDisk, wanted: Wanted, node: Node, group: str) -> Assessed:
    try:
        device = resolve(disk.id, disk.path, disk.match, node)
    except Refused as exc:
        return Assessed(disk, error=exc)
    judgement = judge(device, node, effective_node_name(wanted, node))
    given = wanted.consent.get(disk.id)
    error = consent.never(disk, device, judgement) or identity_problem(disk.id, device, disk.path, disk.expect, node)
    if not wanted.absent:
        error = (
            error
            or _array_problem(disk, device, judgement)
            or consent.content_problem(disk, device, judgement, group, given, node)
        )
    return Assessed(disk, device, judgement, error, consented=consent.is_given(judgement, given, node))


def _array_problem(disk: WantedDisk, device: Device, judgement: Judgement) -> Optional[CollError]:
    if disk.layout == PARTITIONS and device.legs:
        return consent.refused(disk, device, judgement, f"It is a {device.kind} device, on which no partitions are made.")
    if disk.layout != RAW or not device.is_array:
        return None
    return consent.refused(disk, device, judgement, f"It is a {device.kind} array, which Rook does not take as it is.")


def disk_job(
    group: str,
    one: Assessed,
    device: Device,
    judgement: Judgement,
    places: tuple[tuple[int, int], ...],
    node_name: str,
    node: Node,
) -> DiskJob:
    """The job of erasing or preparing a disk."""
    mark = node.marks.get(device.kname)
    partitions = tuple((part.start, part.size) for part in device.partitions) or (mark.partitions if mark else ())
    pvids = {finding.uuid.replace("-", "") for finding in judgement.findings if finding.type == "LVM2_member"}
    expect = expected_digest(device, judgement)
    listed = tuple(sorted(pvids & node.listed))
    return DiskJob(group, device, judgement.seen, places, node_name, expect, partitions, one.disk.discard, listed)
