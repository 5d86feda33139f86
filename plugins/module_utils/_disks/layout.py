# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the volumes of a group are and will be. Nothing here looks at what the disks carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from .._core.errors import CollError, Refused
from .._core.units import human_bytes
from . import tags
from .extents import (
    EXTENT,
    REST,
    SMALLEST_DATABASE,
    SMALLEST_VOLUME,
    Run,
    SizeRule,
    byte_places,
    disk_extents,
    extents_of,
    place,
    resolve_sizes,
)
from .model import Device, LogicalVolume, Node, PhysicalVolume
from .wanted import WantedGroup


@dataclass(frozen=True)
class Layout:
    """A group as it will be. ``problem`` concerns the whole group, ``problems`` single volumes.

    ``resized`` are disks that grew and whose physical volumes follow, ``grown`` what existing volumes get.
    """

    extent: int = EXTENT
    extents: int = 0
    joining: tuple[Device, ...] = ()
    grown: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    resized: tuple[Device, ...] = ()
    existing: Mapping[str, LogicalVolume] = field(default_factory=dict)
    placed: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    problems: Mapping[str, CollError] = field(default_factory=dict)
    problem: Optional[CollError] = None


def lay_out(group: WantedGroup, devices: Mapping[str, Device], node: Node, node_name: str) -> Layout:
    """The layout of a group over its ``devices`` (by disk id), as they are now and as they will be."""
    known = node.groups.get(group.name)
    if known is not None:
        foreign = tags.group_problem(known, node_name)
        if foreign:
            return Layout(problem=Refused(f"volume group {group.name} exists and {foreign}.", hint="Choose another name."))
        if known.missing_disks:
            return Layout(
                problem=Refused(
                    f"volume group {group.name} misses {known.missing_disks} of its disks.",
                    hint="Bring the disks back or repair the group with vgreduce first.",
                )
            )
    extent = known.extent_size if known else EXTENT
    members = {pv.path: pv for pv in node.physical if pv.group == group.name and known}
    inside = {node.resolved.get(path, "") or path for path in members}
    joining = tuple(devices[disk] for disk in group.disks if not inside & {devices[disk].kname, devices[disk].path})
    free = [Run(pv.path, s.start, s.count) for pv in members.values() for s in pv.segments if not s.volume]
    new = [Run(device.path, 0, disk_extents(device.identity.size, extent)) for device in joining]
    more = _room_of_grown_disks(group, devices, members, node, extent) if group.grow else {}
    free += [Run(path, members[path].extents, count) for path, (_device, count) in more.items()]
    total = (known.extents if known else 0) + sum(run.count for run in (*new, *free[len(free) - len(more) :]))
    existing = {volume.name: volume for volume in node.volumes_of(group.name)} if known else {}
    problems = {
        name: found
        for name, rule in group.volumes.items()
        if name in existing
        for found in [_difference(existing[name], rule, total, extent, node_name, group.grow)]
        if found
    }
    room: tuple[Run, ...] = (*free, *new)
    wanted = {name: rule for name, rule in group.volumes.items() if group.grow and name in existing and name not in problems}
    grown, room = _grow({n: r for n, r in wanted.items() if r.kind != REST}, existing, room, total, extent)
    placed, room, problem = _place_new(group, existing, room, total, extent)
    rest, room = _grow({n: r for n, r in wanted.items() if r.kind == REST}, existing, room, total, extent)
    lacking = [name for name in wanted if name not in grown and name not in rest]
    if lacking and problem is None:
        told = ", ".join(f"{group.name}/{name}" for name in lacking)
        problem = Refused(f"There is not enough room for {told} to grow.", hint="Make them smaller or add a disk.")
    grown = {name: runs for name, runs in {**grown, **rest}.items() if runs}
    resized = tuple(device for device, _count in more.values())
    return Layout(extent, total, joining, grown, resized, existing, placed, problems, problem)


def places_on(layout: Layout, path: str) -> tuple[tuple[int, int], ...]:
    """First byte and length of the volumes that will be made on a disk."""
    return tuple(
        (at, size) for runs in layout.placed.values() for on, at, size in byte_places(runs, layout.extent) if on == path
    )


def _room_of_grown_disks(
    group: WantedGroup, devices: Mapping[str, Device], members: Mapping[str, PhysicalVolume], node: Node, extent: int
) -> dict[str, tuple[Device, int]]:
    """Disks that became larger than their physical volumes, by the path LVM uses, with the number of extents gained."""
    found: dict[str, tuple[Device, int]] = {}
    for path, pv in members.items():
        kname = node.resolved.get(path, "") or path
        for device in (devices[disk] for disk in group.disks):
            gained = disk_extents(device.identity.size, extent) - pv.extents
            if kname in (device.kname, device.path) and gained > 0:
                found[path] = (device, gained)
    return found


def _grow(
    rules: Mapping[str, SizeRule], existing: Mapping[str, LogicalVolume], free: tuple[Run, ...], total: int, extent: int
) -> tuple[dict[str, tuple[Run, ...]], tuple[Run, ...]]:
    """What existing volumes get; a volume that there is no room for is left out."""
    grown: dict[str, tuple[Run, ...]] = {}
    for name, rule in rules.items():
        have = existing[name].size // extent
        lacks = sum(run.count for run in free) if rule.kind == REST else max(0, extents_of(rule, total, extent) - have)
        taken, free = place(free, lacks)
        if taken or not lacks:
            grown[name] = taken
    return grown, free


def _place_new(
    group: WantedGroup, existing: Mapping[str, LogicalVolume], free: tuple[Run, ...], total: int, extent: int
) -> tuple[dict[str, tuple[Run, ...]], tuple[Run, ...], Optional[CollError]]:
    missing = {name: rule for name, rule in group.volumes.items() if name not in existing}
    room = sum(run.count for run in free)
    sizes = resolve_sizes(missing, total, room, extent)
    needed = sum(sizes.values())
    if needed > room:
        return (
            {},
            free,
            Refused(
                f"volume group {group.name}: its new volumes need {human_bytes(needed * extent)}, "
                f"but only {human_bytes(room * extent)} are free.",
                hint="Make the volumes smaller or add a disk.",
            ),
        )
    placed: dict[str, tuple[Run, ...]] = {}
    least = SMALLEST_DATABASE if group.metadata_for else SMALLEST_VOLUME
    for name in sorted(missing, key=lambda name: missing[name].kind == REST):
        if sizes[name] * extent < least:
            return (
                {},
                free,
                Refused(
                    f"volume {group.name}/{name} would be {human_bytes(sizes[name] * extent)}, "
                    f"less than {human_bytes(least)}, the least that Ceph takes.",
                    hint="Give it more room, or make fewer volumes.",
                ),
            )
        placed[name], free = place(free, sizes[name])
    return {name: placed[name] for name in missing}, free, None


def _difference(
    volume: LogicalVolume, rule: SizeRule, total: int, extent: int, node_name: str, grow: bool
) -> Optional[CollError]:
    """Why an existing volume is not the wanted one; None when it is. Sizes made by a remembered rule are not recomputed."""
    if not tags.volume_is_ours(volume, node_name):
        return Refused(f"volume {volume.full_name} exists and was not made by this module.", hint="Choose another name.")
    made_by = tags.size_rule(volume)
    if made_by == tags.encode(rule.text):
        return None
    have = volume.size // extent
    want = have if rule.kind == REST else extents_of(rule, total, extent)
    if (want == have and rule.kind != REST) or (grow and want >= have):
        return None
    return Refused(
        f"volume {volume.full_name} is {human_bytes(volume.size)} (made as {made_by or 'unknown'}), not what is wanted.",
        hint="A volume is never shrunk, and grown only with grow: true. Write its size as it was made.",
    )
