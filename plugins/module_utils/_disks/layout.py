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
from .extents import EXTENT, REST, SMALLEST_VOLUME, Run, SizeRule, byte_places, disk_extents, extents_of, place, resolve_sizes
from .model import Device, LogicalVolume, Node
from .wanted import WantedGroup


@dataclass(frozen=True)
class Layout:
    """A group as it will be. ``problem`` concerns the whole group, ``problems`` single volumes."""

    extent: int = EXTENT
    extents: int = 0
    joining: tuple[Device, ...] = ()
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
    total = (known.extents if known else 0) + sum(run.count for run in new)
    existing = {volume.name: volume for volume in node.volumes_of(group.name)} if known else {}
    problems = {
        name: found
        for name, rule in group.volumes.items()
        if name in existing
        for found in [_difference(existing[name], rule, total, extent, node_name)]
        if found
    }
    placed, problem = _place_new(group, existing, (*free, *new), total, extent)
    return Layout(extent, total, joining, existing, placed, problems, problem)


def places_on(layout: Layout, path: str) -> tuple[tuple[int, int], ...]:
    """First byte and length of the volumes that will be made on a disk."""
    return tuple(
        (at, size) for runs in layout.placed.values() for on, at, size in byte_places(runs, layout.extent) if on == path
    )


def _place_new(
    group: WantedGroup, existing: Mapping[str, LogicalVolume], free: tuple[Run, ...], total: int, extent: int
) -> tuple[dict[str, tuple[Run, ...]], Optional[CollError]]:
    missing = {name: rule for name, rule in group.volumes.items() if name not in existing}
    room = sum(run.count for run in free)
    sizes = resolve_sizes(missing, total, room, extent)
    needed = sum(sizes.values())
    if needed > room:
        return {}, Refused(
            f"volume group {group.name}: its new volumes need {human_bytes(needed * extent)}, "
            f"but only {human_bytes(room * extent)} are free.",
            hint="Make the volumes smaller or add a disk.",
        )
    placed: dict[str, tuple[Run, ...]] = {}
    for name in sorted(missing, key=lambda name: missing[name].kind == REST):
        if sizes[name] * extent < SMALLEST_VOLUME:
            return {}, Refused(
                f"volume {group.name}/{name} would be {human_bytes(sizes[name] * extent)}, "
                f"less than {human_bytes(SMALLEST_VOLUME)}, the least that Ceph takes.",
                hint="Give it more room, or make fewer volumes.",
            )
        placed[name], free = place(free, sizes[name])
    return {name: placed[name] for name in missing}, None


def _difference(volume: LogicalVolume, rule: SizeRule, total: int, extent: int, node_name: str) -> Optional[CollError]:
    """Why an existing volume is not the wanted one; None when it is. Sizes made by a remembered rule are not recomputed."""
    if not tags.volume_is_ours(volume, node_name):
        return Refused(f"volume {volume.full_name} exists and was not made by this module.", hint="Choose another name.")
    made_by = tags.size_rule(volume)
    if made_by == tags.encode(rule.text):
        return None
    have = volume.size // extent
    want = have if rule.kind == REST else extents_of(rule, total, extent)
    if want == have and rule.kind != REST:
        return None
    return Refused(
        f"volume {volume.full_name} is {human_bytes(volume.size)} (made as {made_by or 'unknown'}), not what is wanted.",
        hint="A volume is never shrunk and not grown by this module. Write its size as it was made.",
    )
