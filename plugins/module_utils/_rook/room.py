# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what remains can hold what is there when OSDs leave: all copies of each pool, and the bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core.units import human_bytes

Steps = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Place:
    """OSDs that stay: the buckets they are in (host, rack, …, root) by type, their device class, their number and size."""

    chain: Mapping[str, str]
    device_class: str
    osds: int
    kb: int
    used: int


def room_problems(told: Mapping[str, Any], leaving: Sequence[int]) -> list[str]:
    """Why the rest cannot take over; empty when it can. ``told`` is what Ceph's Job said."""
    places = [Place(dict(chain), kind, osds, kb, used) for chain, kind, osds, kb, used in told["rest"]]
    # Those that were asked about and stay.
    for number, one in told["osds"].items():
        if int(number) not in leaving and one["in"]:
            places.append(Place(dict(one["chain"]), one["class"], 1, one["kb"], one["used"]))
    return [*_copies(told, places), *_bytes(told, places, leaving)]


def _copies(told: Mapping[str, Any], places: Sequence[Place]) -> list[str]:
    problems = []
    for name, size, rule in told["pools"]:
        steps = told["rules"].get(str(rule)) or []
        found = _holds(steps, int(size), places)
        if found < size:
            kind = next((str(step[2]) for step in reversed(steps) if step[0] != "take"), "osd")
            problems.append(f"the pool {name} keeps {size} copies on different {kind}s, and the rest has room for {found}")
    return problems


def _holds(steps: Steps, size: int, places: Sequence[Place]) -> int:
    """How many copies a rule can place. A rule may begin anew at another root or class of device."""
    total, here = 0, places
    chosen: list[tuple[int, str]] = []
    for step in [*steps, ["take", ""]]:
        if step[0] == "take":
            total += _slots(here, chosen, size) if chosen else 0
            root, _tilde, kind = str(step[1]).partition("~")
            here = [one for one in places if kind in ("", one.device_class) and _is_in(root, one)]
            chosen = []
        else:
            chosen.append((int(step[1]), str(step[2])))
    return total


def _is_in(root: str, place: Place) -> bool:
    return root in place.chain.values()


def _slots(places: Sequence[Place], steps: Sequence[tuple[int, str]], size: int) -> int:
    (number, kind), below = steps[0], steps[1:]
    most = number if number > 0 else size + number
    if kind == "osd":
        return min(most, sum(place.osds for place in places))
    buckets: dict[str, list[Place]] = {}
    for place in places:
        if kind in place.chain:
            buckets.setdefault(place.chain[kind], []).append(place)
    counts = [_slots(inside, below, size) if below else 1 for inside in buckets.values()]
    return sum(sorted(counts, reverse=True)[:most])


def _bytes(told: Mapping[str, Any], places: Sequence[Place], leaving: Sequence[int]) -> list[str]:
    """By class of device, since data of a pool that asks for one cannot go to another."""
    problems, limit = [], float(told["nearfull"])
    gone = [one for number, one in told["osds"].items() if int(number) in leaving]
    for kind in sorted({str(one["class"]) for one in gone}):
        moving = sum(int(one["used"]) for one in gone if one["class"] == kind)
        size = sum(place.kb for place in places if place.device_class == kind)
        used = sum(place.used for place in places if place.device_class == kind) + moving
        if used > size * limit:
            what = f"of the class {kind}" if kind else "that remain"
            problems.append(
                f"the OSDs {what} would hold {human_bytes(used << 10)} of {human_bytes(size << 10)}, more than the "
                f"{limit:.0%} at which Ceph warns"
            )
    return problems
