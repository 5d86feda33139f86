# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What remains, against rules of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rook.room import room_problems

TAKE = ["take", "default", ""]


def place(
    host: str, *, rack: str = "", zone: str = "", kind: str = "ssd", osds: int = 2, kb: int = 1000, used: int = 10
) -> Any:
    chain = {"host": host, "rack": rack, "zone": zone, "root": "default"}
    return [{name: value for name, value in chain.items() if value}, kind, osds, kb, used]


def told(rule: list[Any], size: int, *rest: Any, used: int = 10) -> dict[str, Any]:
    gone = {"fsid": "x", "up": 1, "in": 1, "class": "ssd", "chain": {"host": "gone", "root": "default"}, "pgs": 1, "kb": 1000}
    return {
        "osds": {"9": {**gone, "used": used}},
        "rest": list(rest),
        "pools": [["p", size, 0]],
        "rules": {"0": rule},
        "nearfull": 0.85,
    }


BY_HOST = [TAKE, ["chooseleaf", 0, "host"]]
BY_OSD = [TAKE, ["choose", 0, "osd"]]
BY_RACK = [TAKE, ["chooseleaf", 0, "rack"]]
OVER_ZONES = [TAKE, ["choose", 0, "zone"], ["chooseleaf", 2, "host"]]
ON_DISKS = [["take", "default~hdd", ""], ["chooseleaf", 0, "host"]]
FIRST_FAST = [["take", "default~ssd", ""], ["chooseleaf", 1, "host"], ["take", "default~hdd", ""], ["chooseleaf", -1, "host"]]


@pytest.mark.parametrize(
    ("rule", "size", "rest", "room"),
    [
        (BY_HOST, 2, [place("a"), place("b")], 2),
        (BY_HOST, 3, [place("a"), place("b")], 2),
        (BY_OSD, 3, [place("a"), place("b")], 3),
        (BY_OSD, 5, [place("a"), place("b")], 4),
        (BY_RACK, 2, [place("a", rack="r1"), place("b", rack="r1")], 1),
        (BY_RACK, 2, [place("a", rack="r1"), place("b", rack="r2")], 2),
        (BY_RACK, 2, [place("a"), place("b")], 0),
        (OVER_ZONES, 4, [place("a", zone="1"), place("b", zone="1"), place("c", zone="2")], 3),
        (OVER_ZONES, 4, [place("a", zone="1"), place("b", zone="1"), place("c", zone="2"), place("d", zone="2")], 4),
        (ON_DISKS, 2, [place("a", kind="hdd"), place("b")], 1),
        (FIRST_FAST, 3, [place("a"), place("b", kind="hdd"), place("c", kind="hdd")], 3),
        (FIRST_FAST, 3, [place("a"), place("b", kind="hdd")], 2),
        ([["take", "other", ""], ["chooseleaf", 0, "host"]], 1, [place("a")], 0),
    ],
)
def test_copies_are_counted_by_the_rule(rule: list[Any], size: int, rest: list[Any], room: int) -> None:
    problems = room_problems(told(rule, size, *rest), [9])
    assert (
        problems == [] if room >= size else f"keeps {size} copies" in problems[0] and problems[0].endswith(f"room for {room}")
    )


def test_bytes_are_counted_by_the_class() -> None:
    assert room_problems(told(BY_OSD, 1, place("a", kb=1000, used=800), used=50), [9]) == []
    full = room_problems(told(BY_OSD, 1, place("a", kb=1000, used=800), used=51), [9])
    assert full == ["the OSDs of the class ssd would hold 851.0 KiB of 1000.0 KiB, more than the 85% at which Ceph warns"]
    other = room_problems(told(BY_OSD, 1, place("a", kind="hdd", kb=9000), place("b", used=980), used=1), [9])
    assert len(other) == 1


def test_an_osd_that_was_asked_about_and_stays_counts() -> None:
    asked = told(BY_HOST, 2, place("a"))
    asked["osds"]["8"] = {**asked["osds"]["9"], "chain": {"host": "b", "root": "default"}}
    assert room_problems(asked, [9]) == []
    asked["osds"]["8"]["in"] = 0
    assert room_problems(asked, [9]) != []
