# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes in extents, places on disks, tags, digests."""

from __future__ import annotations

import re

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._disks import extents, findings, tags
from ansible_collections.kubestead.platform.plugins.module_utils._disks.extents import Run, SizeRule
from ansible_collections.kubestead.platform.plugins.module_utils._disks.model import GIB, MIB, Device, Finding, Identity
from hypothesis import given
from hypothesis import strategies as st

GROUPS = st.lists(st.integers(1, 4000), min_size=1, max_size=5).map(
    lambda counts: tuple(Run(f"/dev/d{number}", 0, count) for number, count in enumerate(counts))
)
RULES = st.one_of(
    st.integers(1, 1 << 44).map(lambda size: SizeRule(extents.ABSOLUTE, size)),
    st.integers(1, 100).map(lambda share: SizeRule(extents.PERCENT, share)),
    st.integers(1, 100).map(lambda parts: SizeRule(extents.SPLIT, parts)),
)


def test_extents_as_lvm_counts_them() -> None:
    assert extents.disk_extents(20 * GIB) == 5119
    assert extents.disk_extents(0) == 0
    assert extents.extents_of(SizeRule(extents.ABSOLUTE, 6 * GIB), 1) == 1536
    assert extents.extents_of(SizeRule(extents.ABSOLUTE, 6 * GIB + 1), 1) == 1537
    assert extents.extents_of(SizeRule(extents.PERCENT, 25), 10238) == 2559


@given(rule=RULES, total=st.integers(0, 10**7))
def test_a_size_is_never_less_than_asked_and_a_share_never_more(rule: SizeRule, total: int) -> None:
    count = extents.extents_of(rule, total)
    if rule.kind == extents.ABSOLUTE:
        assert rule.number <= count * extents.EXTENT < rule.number + extents.EXTENT
    elif rule.kind == extents.PERCENT:
        assert count * 100 <= total * rule.number < (count + 1) * 100
    else:
        assert count * rule.number <= total < (count + 1) * rule.number


@given(shares=st.lists(st.integers(1, 100), min_size=1, max_size=8), total=st.integers(0, 10**6))
def test_shares_and_the_rest_fill_the_group_and_no_more(shares: list[int], total: int) -> None:
    rules = {f"v{number}": SizeRule(extents.PERCENT, share) for number, share in enumerate(shares) if sum(shares) <= 100}
    sizes = extents.resolve_sizes({**rules, "rest": SizeRule(extents.REST)}, total, total)
    assert sum(sizes.values()) == total


@given(free=GROUPS, counts=st.lists(st.integers(1, 5000), max_size=6))
def test_placed_extents_are_free_ones_and_never_used_twice(free: tuple[Run, ...], counts: list[int]) -> None:
    everything = {(run.path, extent) for run in free for extent in range(run.start, run.start + run.count)}
    used: set[tuple[str, int]] = set()
    for count in counts:
        room = sum(run.count for run in free)
        taken, free = extents.place(free, count)
        here = {(run.path, extent) for run in taken for extent in range(run.start, run.start + run.count)}
        assert len(here) == (count if count <= room else 0)
        assert here <= everything - used
        used |= here
        assert sum(run.count for run in free) == room - len(here)


@given(free=GROUPS, count=st.integers(1, 4000))
def test_a_volume_stays_on_one_disk_if_one_can_hold_it(free: tuple[Run, ...], count: int) -> None:
    taken, _left = extents.place(free, count)
    if any(run.count >= count for run in free):
        assert len(taken) == 1


@given(value=st.text(max_size=40))
def test_every_value_becomes_a_tag_that_lvm_takes(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    assert re.fullmatch(r"[A-Za-z0-9_+.\-/=!:#&]*", tags.encode(value))


def test_a_percentage_is_spelled_out() -> None:
    assert tags.encode("25%VG") == "25pctVG"


@given(serial=st.text(max_size=30), node=st.text(max_size=30))
def test_the_uuid_of_a_disk_is_one_lvm_takes_and_is_its_own(serial: str, node: str) -> None:
    device = Device("sda", Identity(serial=serial, size=1))
    uuid = tags.physical_uuid(node, device)
    assert re.fullmatch(r"[A-Za-z0-9]{6}(-[A-Za-z0-9]{4}){5}-[A-Za-z0-9]{6}", uuid)
    assert uuid != tags.physical_uuid(node + "x", device)
    assert uuid != tags.physical_uuid(node, Device("sda", Identity(serial=serial + "x", size=1)))


@pytest.mark.parametrize("size", [1, MIB, 5 * GIB, 20 * GIB, 2000 * GIB])
def test_nothing_is_read_or_erased_outside_the_disk(size: int) -> None:
    for region in findings.probe_regions(size):
        assert region.offset >= 0
        assert region.offset + region.size <= size


@given(size=st.integers(5 * GIB, 3000 * GIB).map(lambda size: size // 512 * 512))
def test_all_label_copies_and_both_ends_are_erased(size: int) -> None:
    starts = {region.offset for region in findings.probe_regions(size)}
    assert {at for at in findings.LABEL_OFFSETS if at + 4096 <= size} | {size - 2 * MIB} <= starts


def test_the_digest_stands_for_disk_and_findings() -> None:
    identity, ext4 = Identity(serial="A", size=5), Finding(1080, "ext4", "u1", "filesystem")
    seen = findings.seen_digest(identity, [ext4])
    assert re.fullmatch(r"[0-9a-f]{16}", seen)
    others = [
        (Identity(serial="B", size=5), [ext4]),
        (Identity(serial="A", size=6), [ext4]),
        (identity, [Finding(1080, "ext4", "u2", "filesystem")]),
        (identity, [ext4, Finding(0, "gpt")]),
        (identity, [Finding(1080, "ext4", "u1", "filesystem", on="sda1")]),
    ]
    assert len({seen, *(findings.seen_digest(*other) for other in others)}) == 6
    assert findings.seen_digest(identity, []) == ""
