# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the partitions of a disk are and will be. Nothing here looks at what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from .._core.errors import CollError, Refused
from .._core.units import human_bytes
from . import gpt
from .extents import REST, SMALLEST_VOLUME, Run, SizeRule, extents_of, resolve_sizes
from .model import MIB, Device, Entry, Table
from .wanted import WantedDisk


@dataclass(frozen=True)
class Slices:
    """A disk's partitions. ``table`` is the one of ours that is there, ``problem`` speaks against all that is missing."""

    table: Optional[Table] = None
    existing: Mapping[str, Entry] = field(default_factory=dict)
    new: Mapping[str, gpt.Slot] = field(default_factory=dict)
    problems: Mapping[str, CollError] = field(default_factory=dict)
    problem: Optional[CollError] = None

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """First byte and length of the partitions that will be made."""
        return tuple((slot.start, slot.size) for slot in self.new.values())


def slice_up(disk: WantedDisk, device: Device, table: Optional[Table], node_name: str) -> Slices:
    """The partitions of a disk as they are and as they will be. A table of somebody else counts as erased."""
    if table is not None and not gpt.is_ours(table, device, node_name):
        table = None
    existing = gpt.by_name(table, device, node_name)
    total = gpt.room(device.identity.size, table)
    problems = {
        name: found
        for name, rule in disk.partitions.items()
        if name in existing
        for found in [_difference(disk, existing[name], rule, total)]
        if found
    }
    free = list(gpt.free_runs(total, table.entries if table else (), device.path))
    missing = {name: rule for name, rule in disk.partitions.items() if name not in existing}
    runs, problem = _place(disk, missing, free, total)
    slots = {
        name: gpt.Slot(name, (run.start + 1) * MIB, run.count * MIB, gpt.partition_guid(node_name, device, name, missing[name]))
        for name, run in runs.items()
    }
    return Slices(table, existing, slots, problems, problem)


def _place(
    disk: WantedDisk, missing: Mapping[str, SizeRule], free: list[Run], total: int
) -> tuple[dict[str, Run], Optional[CollError]]:
    """A partition lies in one piece. ``rest`` takes the largest stretch that the others leave."""
    sizes = resolve_sizes(missing, total, 0, MIB)
    placed: dict[str, Run] = {}
    for name in sorted(missing, key=lambda name: missing[name].kind == REST):
        largest = max((run.count for run in free), default=0)
        count = largest if missing[name].kind == REST else sizes[name]
        told = f"partition {disk.id}/{name}"
        if count * MIB < SMALLEST_VOLUME:
            less = f"less than {human_bytes(SMALLEST_VOLUME)}, the least that Ceph takes"
            return {}, Refused(f"{told} would be {human_bytes(count * MIB)}, {less}.", hint="Give it more room.")
        number = next((number for number, run in enumerate(free) if run.count >= count), None)
        if number is None:
            room = f"but the largest free stretch of the disk has {human_bytes(largest * MIB)}"
            return {}, Refused(f"{told} needs {human_bytes(count * MIB)}, {room}.", hint="Make the partitions smaller.")
        run = free[number]
        placed[name] = Run(run.path, run.start, count)
        free[number] = Run(run.path, run.start + count, run.count - count)
    return {name: placed[name] for name in missing}, None


def _difference(disk: WantedDisk, entry: Entry, rule: SizeRule, total: int) -> Optional[CollError]:
    """Why an existing partition is not the wanted one; None when it is. What was made by the same rule is not recomputed."""
    made_by = gpt.size_rule(entry)
    if made_by == gpt.rule_text(rule) or (rule.kind != REST and extents_of(rule, total, MIB) * MIB == entry.size):
        return None
    told = f"partition {disk.id}/{entry.name} has {human_bytes(entry.size)} (made as {made_by}), not what is wanted."
    return Refused(told, hint="A partition is never resized. Write its size as it was made.")
