# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes in whole extents, and where volumes will lie. Integers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .model import GIB, MIB

EXTENT = 4 * MIB
DATA_START = MIB
SMALLEST_VOLUME = 5 * GIB
SMALLEST_DATABASE = GIB

ABSOLUTE = "absolute"
PERCENT = "percent"
REST = "rest"
SPLIT = "split"


@dataclass(frozen=True)
class SizeRule:
    """How large a volume is to be: bytes, percent of the group, everything left, or one of N equal parts."""

    kind: str
    number: int = 0

    @property
    def text(self) -> str:
        """As it is remembered with the volume."""
        words = {ABSOLUTE: f"{self.number}B", PERCENT: f"{self.number}%VG", SPLIT: f"split{self.number}"}
        return words.get(self.kind, REST)


@dataclass(frozen=True)
class Run:
    """A run of extents on one physical volume, named by its device path."""

    path: str
    start: int
    count: int


def disk_extents(size: int, extent: int = EXTENT) -> int:
    """How many extents LVM gets out of a disk of ``size`` bytes."""
    return max(0, size - DATA_START) // extent


def extents_of(rule: SizeRule, total: int, extent: int = EXTENT) -> int:
    """Extents of a rule other than ``rest``: bytes are rounded up, shares of the group down."""
    if rule.kind == PERCENT:
        return total * rule.number // 100
    if rule.kind == SPLIT:
        return total // rule.number
    return -(-rule.number // extent)


def resolve_sizes(rules: Mapping[str, SizeRule], total: int, free: int, extent: int = EXTENT) -> dict[str, int]:
    """Extents for volumes that do not exist yet; ``rest`` takes what the others leave of ``free`` (never below zero)."""
    sizes = {name: extents_of(rule, total, extent) for name, rule in rules.items() if rule.kind != REST}
    left = max(0, free - sum(sizes.values()))
    return {name: sizes.get(name, left) for name in rules}


def place(free: Sequence[Run], count: int) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Takes ``count`` extents out of ``free``; what was taken, and what is left.

    One disk that can hold the whole volume is preferred, so that a dead disk costs as few volumes as possible. Nothing
    is taken when there is not enough.
    """
    if sum(run.count for run in free) < count or count <= 0:
        return (), tuple(free)
    whole = next((run for run in free if run.count >= count), None)
    taken: list[Run] = []
    left: list[Run] = []
    wanted = count
    for run in free:
        here = 0 if whole is not None and run is not whole else min(run.count, wanted)
        if here:
            taken.append(Run(run.path, run.start, here))
            wanted -= here
        if run.count > here:
            left.append(Run(run.path, run.start + here, run.count - here))
    return tuple(taken), tuple(left)


def byte_places(runs: Sequence[Run], extent: int = EXTENT) -> tuple[tuple[str, int, int], ...]:
    """Where runs lie on their disks: path, first byte, number of bytes."""
    return tuple((run.path, DATA_START + run.start * extent, run.count * extent) for run in runs)
