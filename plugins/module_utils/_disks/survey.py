# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the pieces of one look at a node together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from . import commands, tags
from .findings import Sample, from_samples, merge, place_regions, probe_regions
from .identity import SysBlock, identity_above, identity_of
from .model import (
    MULTIPATH,
    PLANNED,
    SWAP,
    Device,
    Finding,
    Leg,
    LogicalVolume,
    Mapper,
    Node,
    Partition,
    VolumeGroup,
    device_path,
    kernel_name,
)
from .parsers import BlockRow


@dataclass(frozen=True)
class Tables:
    """What the node says in words: its name, the mount and swap tables, and the PVIDs in LVM's devices file."""

    hostname: str
    mounts: Mapping[str, tuple[str, ...]]
    swaps: tuple[str, ...]
    listed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Probe:
    """What reading a device gave; ``busy``: somebody holds it exclusively."""

    busy: bool
    samples: tuple[Sample, ...]


def disk_names(rows: Mapping[str, BlockRow]) -> tuple[str, ...]:
    """The kernel names of whole disks with a medium, and of the multipath devices and md arrays made of whole disks."""
    disks = tuple(row.kname for row in rows.values() if row.kind == "disk" and row.size)
    above = (rows[top].kname for kname in disks for top in rows[kname].children if _is_above(rows.get(top)))
    return tuple(dict.fromkeys((*disks, *above)))


def devices(rows: Mapping[str, BlockRow], blocks: Mapping[str, SysBlock], tables: Tables) -> dict[str, Device]:
    """The whole disks of a node. The legs of a multipath device or array are part of it, not disks of their own."""
    names = disk_names(rows)
    legs: dict[str, list[Leg]] = {}
    for kname in names:
        children = rows[kname].children
        if rows[kname].kind == "disk" and len(children) == 1 and _is_above(rows.get(children[0])):
            identity = identity_of(blocks.get(kname, SysBlock()), rows[kname].size)
            legs.setdefault(children[0], []).append(Leg(kname, identity))
    below = {leg.kname for several in legs.values() for leg in several}
    return {
        kname: _device(rows[kname], rows, blocks.get(kname, SysBlock()), tables, tuple(legs.get(kname, ())))
        for kname in names
        if kname not in below and (rows[kname].kind == "disk" or kname in legs)
    }


def renewed(device: Device, blocks: Mapping[str, SysBlock], tables: Tables) -> Optional[Device]:
    """The disk as sysfs and the mount table have it now; None when it, or a path that leads to it, is gone."""
    block = blocks.get(device.kname, SysBlock())
    legs = tuple(
        Leg(leg.kname, identity_of(blocks.get(leg.kname, SysBlock()), _size(blocks, leg.kname))) for leg in device.legs
    )
    lost = [leg.kname for leg in legs if device.kname not in blocks.get(leg.kname, SysBlock()).holders]
    if not block.size or lost:
        return None
    paths = (device.path, *(device_path(name) for name in block.partitions))
    mounts = [where for key in (*block.numbers, *paths) for where in tables.mounts.get(key, ())]
    swaps = {kernel_name(swap) for swap in tables.swaps} & {device.kname, *block.partitions}
    return replace(
        device,
        identity=identity_above(block, block.size, [leg.identity for leg in legs]) if legs else identity_of(block, block.size),
        read_only=block.read_only,
        partitions=_partitions(block),
        holders=tuple(sorted(set(block.holders))),
        mounts=tuple(dict.fromkeys([*mounts, *([SWAP] if swaps else [])])),
        legs=legs,
        mappings=_mappings(block),
        stale=(),
        busy=False,
    )


def _size(blocks: Mapping[str, SysBlock], kname: str) -> int:
    return blocks[kname].size if kname in blocks else 0


def _partitions(block: SysBlock) -> tuple[Partition, ...]:
    return tuple(Partition(name, start, size) for name, (start, size) in sorted(block.partitions.items()))


def _mappings(block: SysBlock) -> tuple[Mapper, ...]:
    return tuple(Mapper(kname, name, uuid) for kname, (name, uuid) in sorted(block.mappings.items()))


def with_stale(device: Device, groups: Mapping[str, VolumeGroup]) -> Device:
    """Mappings of volume groups that LVM no longer knows hold nothing; they are told apart."""
    known = {group.uuid.replace("-", "") for group in groups.values()}
    stale = tuple(entry for entry in device.mappings if entry.uuid.startswith("LVM-") and entry.uuid[4:36] not in known)
    gone = {entry.kname for entry in stale}
    return replace(device, stale=stale, holders=tuple(name for name in device.holders if name not in gone))


def _is_above(row: Optional[BlockRow]) -> bool:
    return row is not None and (row.kind in (MULTIPATH, "linear") or row.kind.startswith("raid"))


def _device(row: BlockRow, rows: Mapping[str, BlockRow], block: SysBlock, tables: Tables, legs: tuple[Leg, ...]) -> Device:
    below = [rows[name] for name in row.below if name in rows]
    mounts = [where for part in (row, *below) for where in _mounts_of(part, tables)]
    holders = [name for name in (*block.holders, *row.below) if name not in block.partitions and not _is_part(rows.get(name))]
    return Device(
        kname=row.kname,
        identity=identity_above(block, row.size, [leg.identity for leg in legs]) if legs else identity_of(block, row.size),
        read_only=row.read_only,
        removable=row.removable,
        rotational=row.rotational,
        partitions=_partitions(block),
        holders=tuple(sorted(set(holders))),
        mounts=tuple(dict.fromkeys(mounts)),
        kind=row.kind,
        name=row.name,
        legs=legs,
        mappings=_mappings(block),
        sector=block.sector,
    )


def _is_part(row: Optional[BlockRow]) -> bool:
    return row is not None and row.kind == "part"


def _mounts_of(row: BlockRow, tables: Tables) -> list[str]:
    path = device_path(row.kname)
    found = [row.mountpoint] if row.mountpoint else []
    found += [*tables.mounts.get(row.number, ()), *tables.mounts.get(path, ())]
    return [*found, SWAP] if row.kname in {kernel_name(swap) for swap in tables.swaps} else found


def new_volumes(node: Node, node_name: str, groups: Iterable[str]) -> tuple[LogicalVolume, ...]:
    """Volumes of ours that were made but not yet looked into."""
    names = set(groups)
    return tuple(
        volume
        for volume in node.volumes.values()
        if volume.group in names and volume.active and tags.is_new(volume) and tags.volume_is_ours(volume, node_name)
    )


def own_volumes(node: Node, node_name: str) -> tuple[LogicalVolume, ...]:
    """All active volumes of ours."""
    return tuple(volume for volume in node.volumes.values() if volume.active and tags.volume_is_ours(volume, node_name))


def signature_paths(found: Sequence[Device], volumes: Sequence[LogicalVolume]) -> tuple[str, ...]:
    """Everything on which signatures are looked for."""
    paths = [path for device in found for path in (device.path, *(device_path(part.kname) for part in device.partitions))]
    return (*paths, *(commands.mapper_path(volume.group, volume.name) for volume in volumes))


def disk_findings(
    device: Device,
    signatures: Mapping[str, Sequence[Finding]],
    samples: Sequence[Sample],
    inside: Mapping[str, Sequence[Finding]],
    places: Sequence[tuple[int, int]],
) -> tuple[Finding, ...]:
    """All that lies on a disk: on itself, inside its partitions and new volumes, and in the places of planned ones.

    What depends on the plan is kept apart, so that a digest of the rest is the same whatever is planned.
    """
    everywhere, telling = set(probe_regions(device.identity.size)), set(place_regions(places))
    here = [sample for sample in samples if sample.region in everywhere]
    there = [sample for sample in samples if sample.region in telling - everywhere]
    own = from_samples(signatures.get(last_part(device.path), ()), here)
    return merge({"": own, **inside, PLANNED: from_samples((), there)})


def volumes_on(kname: str, node: Node, found: Mapping[str, Sequence[Finding]]) -> dict[str, Sequence[Finding]]:
    """Of findings by ``group/volume``, those whose volume has extents on this disk."""
    here = {f"{pv.group}/{segment.volume}" for pv in node.physical_on(kname) for segment in pv.segments if segment.volume}
    return {name: findings for name, findings in found.items() if name in here and findings}


def last_part(path: str) -> str:
    """The name under which wipefs reports a device."""
    return path.rsplit("/", 1)[-1]
