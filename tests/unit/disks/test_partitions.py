# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout partitions, on a node in memory: the arithmetic, the proof of ownership, and the whole way of a disk."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._disks import gpt
from ansible_collections.kubestead.platform.plugins.module_utils._disks.extents import (
    ABSOLUTE,
    PERCENT,
    REST,
    SizeRule,
    extents_of,
)
from ansible_collections.kubestead.platform.plugins.module_utils._disks.model import Device, Entry, Identity
from ansible_collections.kubestead.platform.plugins.module_utils._disks.slices import slice_up
from ansible_collections.kubestead.platform.plugins.module_utils._disks.wanted import read_wanted
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk import LvmCephDiskFlow
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow
from hypothesis import given
from hypothesis import strategies as st

from fakes.disk_node import GIB, MIB, FakeDisk, FakeNode
from fakes.disk_races import formatted, grown, mounted, renumbered, replaced
from fakes.gpt_bytes import gpt_bytes

from .test_flow import EXT4, Result, a_node, run
from .test_lifecycle import FSID, LABEL, killed_at

GUID = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"


def task(*partitions: tuple[str, str], **changes: Any) -> dict[str, Any]:
    rows = [{"name": name, "size": size} for name, size in partitions or (("osd1", "6GiB"), ("osd2", "40%"), ("osd3", "rest"))]
    disk = {"id": "data1", "match": {"serial": "NODE1-DISK1"}, "device_class": "nvme", "layout": "partitions"}
    return {"disks": [{**disk, "partitions": rows}], "volume_groups": [], "on_error": "stop", **changes}


def told(node: FakeNode, params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """What the info module says of the task's disks."""
    info = LvmCephDiskInfoFlow.from_params({"disks": params["disks"]}, node, node)
    plan = info.decide(info.observe())
    facts = {verdict.name: {**verdict.facts, "reason": verdict.reason} for verdict in plan.verdicts}
    return facts, info.report(Run(plan))["storage_node"]


def consent(node: FakeNode, params: dict[str, Any]) -> dict[str, Any]:
    facts = told(node, params)[0]["data1"]
    return {"wipe": [{"id": "data1", "seen": facts["seen"], "osd_fsids": facts["osd_fsids"]}]}


def carved(*partitions: tuple[str, str]) -> tuple[FakeNode, dict[str, Any]]:
    node, params = a_node(), task(*partitions)
    run(node, params)
    node.written.clear()
    return node, params


def test_a_blank_disk_gets_exact_partitions_and_a_second_run_changes_nothing() -> None:
    node = a_node()
    foretold = run(node, task(), check=True)
    assert node.written == []
    first = run(node, task())
    assert first.actions() == foretold.actions()
    assert set(first.actions().values()) == {"created"}
    total = 20478
    sizes = [6 * 1024, total * 40 // 100]
    parts = node.disks["ubdb"].parts
    assert [(start, size, name) for start, size, _guid, name in parts] == [
        (MIB, sizes[0] * MIB, "osd1"),
        ((1 + sizes[0]) * MIB, sizes[1] * MIB, "osd2"),
        ((1 + sum(sizes)) * MIB, (total - sum(sizes)) * MIB, "osd3"),
    ]
    paths = sorted(f"/dev/disk/by-partuuid/{guid}" for _s, _l, guid, _n in parts)
    assert first.storage_node["devices"] == [{"name": path, "config": {"deviceClass": "nvme"}} for path in paths]
    assert foretold.storage_node == first.storage_node
    node.written.clear()
    second = run(node, task())
    assert (second.changed, node.written, set(second.actions().values())) == (False, [], {"unchanged"})
    assert second.storage_node == first.storage_node
    facts, storage_node = told(node, task())
    assert (facts["data1"]["verdict"], facts["data1"]["reason"]) == ("ours", "has 3 partitions of this module")
    assert storage_node == first.storage_node


def test_partitions_are_added_and_the_others_stay() -> None:
    node, _params = carved(("osd1", "6GiB"))
    before = list(node.disks["ubdb"].parts)
    result = run(node, task(("osd1", "6GiB"), ("osd2", "5GiB"), ("osd3", "rest")))
    assert result.actions() == {"data1": "updated", "data1/osd1": "unchanged", "data1/osd2": "created", "data1/osd3": "created"}
    assert node.disks["ubdb"].parts[:1] == before
    assert "--append" in node.written[0]
    assert run(node, task(("osd1", "6GiB"))).actions() == {"data1": "unchanged", "data1/osd1": "unchanged"}


def test_a_share_is_remembered_when_the_disk_grows_and_another_size_is_refused() -> None:
    node, params = carved(("osd1", "30%"), ("osd2", "6000MiB"))
    node.disks["ubdb"].size *= 2
    assert not run(node, params).changed
    assert "(made as 30%), not what is wanted" in run(node, task(("osd1", "31%"), ("osd2", "6000MiB"))).error("data1/osd1")
    assert "(made as 6000MiB), not" in run(node, task(("osd1", "30%"), ("osd2", "7GiB"))).error("data1/osd2")
    assert node.written == []


def test_too_little_room_is_refused_before_any_write() -> None:
    node = a_node()
    refused = run(node, task(("osd1", "15GiB"), ("osd2", "6GiB")))
    assert "partition data1/osd2 needs 6.0 GiB, but the largest free stretch of the disk has 5.0 GiB" in refused.error("data1")
    assert refused.actions() == {"data1": "failed", "data1/osd1": "skipped", "data1/osd2": "skipped"}
    assert "would be 3.0 GiB, less than 5.0 GiB" in run(node, task(("osd1", "17GiB"), ("osd2", "rest"))).error("data1")
    assert node.written == []


def test_a_used_disk_is_refused_and_consent_erases_it() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    assert "carries an ext4 file system" in run(node, task()).error("data1")
    assert node.written == []
    result = run(node, task(consent=consent(node, task())))
    assert set(result.actions().values()) == {"created"}
    assert not run(node, task()).changed


@pytest.mark.parametrize("used", [True, False], ids=["used", "blank"])
def test_a_run_ended_after_any_write_is_continued(used: bool) -> None:
    def fresh() -> FakeNode:
        return a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4] if used else []))

    whole = fresh()
    params = task(consent=consent(whole, task())) if used else task()
    run(whole, params)
    for point in range(1, len(whole.written) + 1):
        node = fresh()
        killed_at(node, params, point)
        foretold = run(node, params, check=True)
        result = run(node, params)
        assert "failed" not in result.actions().values(), (point, result.error("data1"))
        assert result.actions() == foretold.actions()
        assert node.disks["ubdb"].parts == whole.disks["ubdb"].parts
        assert not run(node, params).changed


def test_a_removal_wants_consent_and_is_continued_after_any_write() -> None:
    node, params = carved()
    refused = run(node, {**params, "state": "absent"})
    assert "add `consent" in refused.error("data1")
    assert set(refused.actions().values()) == {"failed", "skipped"}
    assert node.written == []
    absent = {**params, "state": "absent", "consent": consent(node, params)}
    foretold = run(node, absent, check=True)
    result = run(node, absent)
    assert result.actions() == foretold.actions()
    assert set(result.actions().values()) == {"removed"}
    assert (node.disks["ubdb"].parts, node.disks["ubdb"].data, node.disks["ubdb"].signatures) == ([], {}, [])
    for point in range(1, len(node.written) + 1):
        one, _params = carved()
        killed_at(one, absent, point)
        assert "failed" not in run(one, absent).actions().values(), point
        assert (one.disks["ubdb"].parts, one.disks["ubdb"].data) == ([], {})
        assert not run(one, absent).changed


def test_an_osd_on_a_partition_counts_as_live_until_its_fsid_is_named() -> None:
    node, params = carved()
    start = node.disks["ubdb"].parts[1][0]
    node.disks["ubdb"].data[start] = LABEL
    assert not run(node, params).changed
    given_now = consent(node, params)
    assert given_now["wipe"][0]["osd_fsids"] == [FSID]
    del given_now["wipe"][0]["osd_fsids"]
    absent = {**params, "state": "absent", "consent": given_now}
    assert f"counts as live until the consent names its OSD fsid {FSID}" in run(node, absent).error("data1")
    node.disks["ubdb"].held = True
    held = {**absent, "consent": consent(node, params)}
    assert "It is held by dm-9: end that first" in run(node, held).error("data1")
    assert node.written == []
    node.disks["ubdb"].held = False
    assert run(node, held).actions()["data1"] == "removed"
    assert node.disks["ubdb"].data == {}


def _foreign_partition(node: FakeNode) -> None:
    node.disks["ubdb"].parts.append((18 * GIB, GIB, OTHER, "alien"))
    node.disks["ubdb"].lay_table()


def test_a_partition_of_somebody_else_stays_and_is_in_the_way_of_a_removal() -> None:
    node, params = carved(("osd1", "6GiB"))
    _foreign_partition(node)
    assert not run(node, params).changed
    added = run(node, task(("osd1", "6GiB"), ("osd2", "rest")))
    assert added.actions()["data1/osd2"] == "created"
    assert node.disks["ubdb"].parts[-1][0] + node.disks["ubdb"].parts[-1][1] == 18 * GIB
    node.written.clear()
    absent = {**params, "state": "absent", "consent": consent(node, params)}
    assert "Its partition 2 was not made by this module" in run(node, absent).error("data1")
    assert node.written == []


@pytest.mark.parametrize("change", ["node", "clone", "table", "partition"])
def test_ownership_needs_this_node_this_disk_and_our_guids(change: str) -> None:
    node, params = carved(("osd1", "6GiB"))
    disk = node.disks["ubdb"]
    if change == "node":
        node.hostname = "node2"
    elif change == "clone":
        disk.serial = node.disks["ubdc"].serial = "X-1"
        node.disks["ubdc"].serial, disk.serial = "NODE1-DISK1", "MOVED"
        node.disks["ubdc"].guid, node.disks["ubdc"].parts = disk.guid, disk.parts
        node.disks["ubdc"].lay_table()
        params["disks"][0]["match"] = {"serial": "MOVED"}
    elif change == "table":
        disk.guid = OTHER
        disk.lay_table()
    else:
        disk.parts = [(start, size, OTHER, name) for start, size, _guid, name in disk.parts]
        disk.lay_table()
    result = run(node, {**params, "state": "absent", "consent": {"wipe": [{"id": "data1", "seen": "0123456789abcdef"}]}})
    assert not result.changed
    present = run(node, params)
    assert present.actions()["data1"] in ("failed", "updated")
    assert node.disks["ubdb"].parts[:1] == disk.parts[:1]


def test_what_lies_in_the_place_of_a_new_partition_is_seen_and_erased_with_consent() -> None:
    node, _params = carved(("osd1", "6GiB"))
    second = MIB + 6 * GIB
    node.disks["ubdb"].data[second + GIB] = LABEL
    node.disks["ubdb"].data[MIB] = b"live data of osd1"
    wanted = task(("osd1", "6GiB"), ("osd2", "8GiB"))
    refused = run(node, wanted)
    assert "carries, in the place of a new partition, a BlueStore label at offset" in refused.error("data1")
    assert node.written == []
    seen = str(refused.verdicts["data1"].facts["seen"])
    given_now = {"wipe": [{"id": "data1", "seen": seen}]}
    done = run(node, {**wanted, "consent": given_now})
    assert done.actions() == {"data1": "updated", "data1/osd1": "unchanged", "data1/osd2": "created"}
    assert second + GIB not in node.disks["ubdb"].data
    assert node.disks["ubdb"].data[MIB] == b"live data of osd1"
    assert [words[0] for words in node.written] == ["zero", "sfdisk"]


def test_partitions_that_the_kernel_does_not_show_are_shown() -> None:
    node, params = carved()
    node.disks["ubdb"].shown = False
    result = run(node, params)
    assert result.verdicts["data1/osd1"].reason == "was not known to the kernel"
    assert node.written[0] == ("partx", "--update", "/dev/ubdb")
    assert not run(node, params).changed


def test_partitions_that_the_kernel_goes_on_showing_after_an_erase_are_forgotten() -> None:
    node, params = carved()
    node.disks["ubdb"].clings = True
    absent = {**params, "state": "absent", "consent": consent(node, params)}
    assert run(node, absent).actions()["data1"] == "removed"
    assert node.written[-1] == ("partx", "--delete", "/dev/ubdb")


def _partition(node: FakeNode) -> None:
    node.disks["ubdb"].guid = node.disks["ubdb"].guid or OTHER
    _foreign_partition(node)


@pytest.mark.parametrize("race", [replaced, grown, formatted, mounted, renumbered, _partition])
@pytest.mark.parametrize("how", ["new table", "erase", "add"])
def test_a_disk_that_changes_between_look_and_write_is_not_written_to(race: Callable[[FakeNode], None], how: str) -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4] if how == "erase" else []))
    if how == "add":
        run(node, task(("osd1", "6GiB")))
        node.written.clear()
        if race in (formatted, mounted):
            return _in_use_while_adding(node, race)
    params = task(consent=consent(node, task())) if how == "erase" else task()
    flow = LvmCephDiskFlow.from_params(params, node, node)
    plan = flow.decide(flow.observe())
    race(node)
    done = carry_out(plan, flow.execute, stop_on_error=True)
    assert node.written == []
    assert any(verdict.error for verdict in settle(done))
    return None


def _in_use_while_adding(node: FakeNode, race: Callable[[FakeNode], None]) -> None:
    """Partitions are added beside others that are in use by now."""
    before = list(node.disks["ubdb"].parts)
    race(node)
    run(node, task())
    assert node.disks["ubdb"].parts[:1] == before


def test_a_table_that_the_kernel_does_not_follow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    node = a_node()
    monkeypatch.setattr(node, "after_write", lambda _n, _w: setattr(node.disks["ubdb"], "shown", False))
    result = run(node, task(("osd1", "6GiB")))
    assert node.written[-1] == ("partx", "--update", "/dev/ubdb")
    assert "partition data1/osd1 is not where it was written to" in result.error("data1/osd1")


def test_a_disk_of_one_layout_is_not_taken_for_another() -> None:
    node, _params = carved()
    volumes = {"id": "data1", "match": {"serial": "NODE1-DISK1"}}
    groups = [{"name": "osds", "disks": ["data1"], "split": 1}]
    other = {"disks": [volumes], "volume_groups": groups, "on_error": "stop"}
    assert "Its layout is partitions" in run(node, other).error("data1")
    assert "handed over as it is" in run(node, {**other, "disks": [{**volumes, "layout": "raw"}], "volume_groups": []}).error(
        "data1"
    )
    assert node.written == []
    carved_volumes = a_node()
    run(carved_volumes, other)
    carved_volumes.written.clear()
    assert "Its layout is volumes" in run(carved_volumes, task()).error("data1")
    assert carved_volumes.written == []


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "ceph": (task(("my-Ceph-osd", "6GiB")), "has 'ceph' in it"),
    "long": (task(("x" * 37, "6GiB")), "is not allowed"),
    "quote": (task(('a"b', "6GiB")), "is not allowed"),
    "twice": (task(("a", "6GiB"), ("a", "6GiB")), "'a' is named twice"),
    "small": (task(("a", "1GiB")), "partition data1/a: size: 1GiB is less than 5.0 GiB"),
    "rests": (task(("a", "rest"), ("b", "rest")), "more than one partition takes the rest"),
    "shares": (task(("a", "60%"), ("b", "60%")), "more than 100%"),
    "none": ({**task(), "disks": [{**task()["disks"][0], "partitions": []}]}, "belong together"),
    "group": ({**task(), "volume_groups": [{"name": "g", "disks": ["data1"], "split": 1}]}, "whose layout is partitions"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_end_the_task_before_anything_is_looked_at(name: str) -> None:
    node = a_node()
    with pytest.raises(BadInput) as caught:
        run(node, BAD[name][0])
    assert BAD[name][1] in caught.value.sentence()
    assert node.reports == 0


# the table itself

DEVICE = Device("sdx", Identity("SERIAL-1", "naa.5", "", 20 * GIB))
RULES = st.one_of(
    st.builds(SizeRule, st.just(ABSOLUTE), st.integers(1, 1 << 59)),
    st.builds(SizeRule, st.just(PERCENT), st.integers(1, 100)),
    st.just(SizeRule(REST)),
)


@given(rule=RULES, name=st.text("abcXYZ0.-_", min_size=1, max_size=36))
def test_a_partitions_guid_proves_its_owner_and_keeps_the_rule(rule: SizeRule, name: str) -> None:
    guid = gpt.partition_guid("node1", DEVICE, name, rule)
    entry = Entry(1, MIB, GIB, guid, name)
    assert gpt.entry_is_ours(entry, DEVICE, "node1")
    assert gpt.size_rule(entry) == gpt.rule_text(rule)
    assert (guid[14], guid[19]) in {("8", one) for one in "89ab"}
    assert not gpt.entry_is_ours(entry, DEVICE, "node2")
    assert not gpt.entry_is_ours(Entry(1, MIB, GIB, guid, name + "x"), DEVICE, "node1")
    assert not gpt.entry_is_ours(entry, Device("sdx", Identity("SERIAL-2", "naa.5", "", 20 * GIB)), "node1")


@given(st.binary(max_size=200), st.integers(0, 17407))
def test_no_damage_to_a_table_is_an_error_and_none_is_overlooked(noise: bytes, at: int) -> None:
    whole = gpt_bytes(20 * GIB, GUID, [(MIB, GIB, OTHER, "a"), (0, 0, "", ""), (2 * GIB, GIB, GUID, "b")])
    table = gpt.read_table(whole)
    assert table is not None
    assert [(entry.number, entry.start, entry.name) for entry in table.entries] == [(1, MIB, "a"), (3, 2 * GIB, "b")]
    damaged = (whole[:at] + noise + whole[at + len(noise) :])[: len(whole)]
    found = gpt.read_table(damaged)
    assert found in (None, table)
    gpt.read_table(noise)
    gpt.read_table(bytes(512) + b"EFI PART" + noise)


def test_a_table_of_large_sectors_is_read_in_bytes() -> None:
    table = gpt.read_table(gpt_bytes(20 * GIB, GUID, [(MIB, GIB, OTHER, "a")], 4096))
    assert table is not None
    assert (table.sector, table.entries[0].start, table.entries[0].size) == (4096, MIB, GIB)
    assert "start=256, size=262144," in gpt.script([gpt.Slot("a", MIB, GIB, OTHER)], 4096)


@given(
    size=st.integers(6 * GIB, 400 * GIB),
    wanted=st.lists(st.sampled_from(["5GiB", "5368709121", "7GiB", "10%", "20%", "rest"]), min_size=1, max_size=5),
    taken=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 100)), max_size=3),
)
def test_partitions_lie_on_whole_mib_inside_the_disk_and_never_on_each_other(
    size: int, wanted: list[str], taken: list[tuple[int, int]]
) -> None:
    sizes = [one for number, one in enumerate(wanted) if one != "rest" or "rest" not in wanted[:number]]
    disk = read_wanted(task(*((f"p{number}", one) for number, one in enumerate(sizes)))).disks[0]
    device = Device("sdx", Identity("SERIAL-1", "", "", size))
    free: list[tuple[int, int, str, str]] = []
    for start, length in sorted(taken):
        at = start * GIB + 12345 * 512
        if (not free or at >= free[-1][0] + free[-1][1]) and at + length * GIB < size - MIB:
            free.append((at, length * GIB, OTHER, "other"))
    table = gpt.read_table(gpt_bytes(size, gpt.table_guid("node1", device), free))
    assert table is not None
    slices = slice_up(disk, device, table, "node1")
    if slices.problem is not None:
        assert not slices.new
        return
    spans = sorted([*slices.places, *((start, length) for start, length, _g, _n in free)])
    assert all(start + length <= behind for (start, length), (behind, _size) in zip(spans, spans[1:]))
    for name, slot in slices.new.items():
        assert slot.start % MIB == slot.size % MIB == 0
        assert slot.start >= MIB
        assert slot.start + slot.size <= table.end
        rule = disk.partitions[name]
        assert rule.kind == REST or slot.size == extents_of(rule, gpt.room(size, table), MIB) * MIB


def test_errors_of_the_disk_reach_its_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    node = a_node()
    result: Result = run(node, task(consent=None, disks=[{**task()["disks"][0], "match": {"serial": "NOPE"}}]))
    assert result.actions() == {"data1": "failed", "data1/osd1": "skipped", "data1/osd2": "skipped", "data1/osd3": "skipped"}
