# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Erasing, growing, database volumes and taking everything away again, on a node in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run
from ansible_collections.kubestead.platform.plugins.module_utils._disks import findings
from ansible_collections.kubestead.platform.plugins.module_utils._disks.model import Finding, Identity
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow
from hypothesis import assume, given
from hypothesis import strategies as st

from fakes.disk_node import EXTENT, GIB, MIB, FakeDisk, FakeNode, Killed

from .test_flow import EXT4, Result, a_node, run, task

FSID = "11111111-2222-3333-4444-555555555555"
LABEL = f"bluestore block device\n{FSID}\n".encode()
USED = {
    "ext4": {"signatures": [EXT4]},
    "data": {"data": {700_000: b"\x01", 9 * GIB: b"\x02"}},
    "gpt": {"signatures": [(512, "gpt", "", "partition-table"), (20 * GIB - 512, "gpt", "", "partition-table")]},
    "copy": {"data": {10 * GIB: LABEL}},
}


def consent(node: FakeNode, *ids: str) -> dict[str, Any]:
    info = LvmCephDiskInfoFlow.from_params({"disks": task()["disks"]}, node, node)
    facts = {verdict.name: verdict.facts for verdict in info.decide(info.observe()).verdicts}
    return {"wipe": [{"id": i, "seen": facts[i]["seen"], "osd_fsids": facts[i]["osd_fsids"]} for i in ids]}


def killed_at(node: FakeNode, params: dict[str, Any], point: int) -> None:
    def kill(number: int, _words: tuple[str, ...]) -> None:
        if number == point:
            raise Killed

    node.after_write = kill
    with pytest.raises(Killed):
        run(node, params)
    node.after_write = None


@pytest.mark.parametrize("kind", USED)
def test_an_erase_ended_after_any_write_is_continued_with_the_same_consent(kind: str) -> None:
    def fresh() -> FakeNode:
        used = USED[kind]
        return a_node(
            ubdb=FakeDisk(serial="NODE1-DISK1", signatures=list(used.get("signatures", ())), data=dict(used.get("data", {})))
        )

    whole = fresh()
    params = task(consent=consent(whole, "data1"))
    run(whole, params)
    assert ("mark", "/dev/ubdb") in whole.written
    for point in range(1, len(whole.written) + 1):
        node = fresh()
        killed_at(node, params, point)
        foretold = run(node, params, check=True)
        result = run(node, params)
        assert "failed" not in result.actions().values(), (point, result.error("data1"))
        assert result.actions() == foretold.actions()
        assert node.state() == whole.state()
        assert node.disks["ubdb"].data.keys() <= {9 * GIB}
        assert not run(node, params).changed


def test_what_came_onto_a_half_erased_disk_is_not_covered_by_the_old_consent() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    params = task(consent=consent(node, "data1"))
    killed_at(node, params, 1)
    node.disks["ubdb"].signatures.append((65536, "btrfs", "new", "filesystem"))
    node.written.clear()
    assert "The consent was given for other findings" in run(node, params).error("data1")
    assert node.written == []


def test_without_the_consent_a_half_erased_disk_is_refused() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    given_then = consent(node, "data1")
    killed_at(node, task(consent=given_then), 1)
    told = run(node, task()).error("data1")
    assert "is half erased by a run that was ended" in told
    assert f"seen: {given_then['wipe'][0]['seen']}" in told


def test_the_mark_of_another_disk_is_no_licence() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    params = task(consent=consent(node, "data1"))
    killed_at(node, params, 1)
    node.disks["ubdb"].serial, node.disks["ubdc"].serial = "NODE1-DISK2", "NODE1-DISK1"
    wrong = task(consent={"wipe": [{**params["consent"]["wipe"][0], "id": "data2"}]})
    assert "for other findings" in run(node, wrong).error("data2")


@given(
    found=st.lists(
        st.builds(Finding, st.integers(0, 1 << 45), st.sampled_from(["ext4", "gpt"]), st.text(max_size=40)), max_size=90
    ),
    parts=st.lists(st.tuples(st.integers(0, 1 << 45), st.integers(1, 1 << 45)), max_size=130),
    serial=st.text(max_size=40),
)
def test_a_mark_is_read_back_or_not_at_all(found: list[Finding], parts: list[tuple[int, int]], serial: str) -> None:
    identity = Identity(serial.encode("utf-8", "ignore").decode(), "naa.5", "", 7)
    text = findings.mark_text(identity, "0123456789abcdef", found, parts)
    assert len(text) == findings.MARK_SIZE
    mark = findings.read_mark([findings.Sample(findings.Region(0, 4096), text + b"rest", 0, "")])
    if mark is not None:
        assert mark.seen == "0123456789abcdef"
        assert not findings.continues(mark, identity, [Finding(3, "xfs", "other")])
        if len(found) <= 60:
            assert findings.continues(mark, identity, found)


@given(text=st.binary(max_size=3000))
def test_no_bytes_are_an_error(text: bytes) -> None:
    findings.read_mark([findings.Sample(findings.Region(0, 4096), b"kubestead erase\n" + text, 0, "")])


def test_a_disk_with_an_osd_counts_as_live_until_its_fsid_is_named() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", data={0: LABEL, GIB: LABEL}))
    given_now = consent(node, "data1")
    assert given_now["wipe"][0]["osd_fsids"] == [FSID]
    del given_now["wipe"][0]["osd_fsids"]
    assert f"counts as live until the consent names its OSD fsid {FSID}" in run(node, task(consent=given_now)).error("data1")
    assert node.written == []
    assert set(run(node, task(consent=consent(node, "data1"))).actions().values()) == {"created"}


def test_a_mapping_of_a_group_that_is_gone_is_removed_with_consent() -> None:
    disk = FakeDisk(serial="NODE1-DISK1", mappings={"dm-5": ("ceph--a-osd", "LVM-" + "z" * 64)})
    node = a_node(ubdb=disk)
    assert "the device-mapper entry ceph--a-osd of a volume group that is gone" in run(node, task()).error("data1")
    assert node.written == []
    assert set(run(node, task(consent=consent(node, "data1"))).actions().values()) == {"created"}
    assert disk.mappings == {}


def test_discard_comes_after_the_zeros_and_before_the_fresh_look() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    params = task(consent=consent(node, "data1"))
    params["disks"] = [{**params["disks"][0], "discard": True}, params["disks"][1]]
    run(node, params)
    verbs = [words[0] for words in node.written]
    assert verbs[:6] == ["mark", "wipefs", "zero", "blkdiscard", "zero", "pvcreate"]


def test_an_erased_physical_volume_leaves_the_devices_file() -> None:
    node = a_node()
    node.physical["/dev/ubdb"] = "Qf1cRZ-a9cW-0cCD-PqXg-U6yO-oQ2N-9XzTvV"
    node.listed = {"Qf1cRZa9cW0cCDPqXgU6yOoQ2N9XzTvV", "other"}
    run(node, task(consent=consent(node, "data1")))
    assert node.listed == {"other"}


# taking away


def carved(**changes: Any) -> tuple[FakeNode, dict[str, Any]]:
    node, params = a_node(), task(**changes)
    run(node, params)
    node.written.clear()
    return node, params


def test_everything_of_ours_is_removed_with_consent_and_the_disks_are_blank() -> None:
    node, params = carved()
    absent = {**params, "state": "absent"}
    refused = run(node, absent)
    assert "add `consent" in refused.error("data1")
    assert node.written == []
    absent["consent"] = consent(node, "data1", "data2")
    foretold = run(node, absent, check=True)
    done = run(node, absent)
    assert done.actions() == foretold.actions()
    assert set(done.actions().values()) == {"removed"}
    assert done.storage_node == {"name": "node1", "devices": []}
    assert (node.groups, node.physical) == ({}, {})
    assert not any("force" in word or word == "-f" for words in node.written for word in words)
    again = run(node, absent)
    assert (again.changed, set(again.actions().values())) == (False, {"unchanged"})
    assert set(run(node, params).actions().values()) == {"created"}


def test_a_removal_ended_after_any_write_is_continued() -> None:
    node, params = carved()
    absent = {**params, "state": "absent", "consent": consent(node, "data1", "data2")}
    run(node, absent)
    for point in range(1, len(node.written) + 1):
        one, _params = carved()
        killed_at(one, absent, point)
        result = run(one, absent)
        assert "failed" not in result.actions().values(), (point, result.verdicts)
        assert (one.groups, one.physical) == ({}, {})
        assert not run(one, absent).changed


def written_to(node: FakeNode, volume: str, at: int, text: bytes) -> None:
    """Bytes written through a volume, by the segments it has."""
    for path, start, count in node.groups["osds"].volumes[volume][0]:
        if at < count * EXTENT:
            node.disks[path[5:]].data[MIB + start * EXTENT + at] = text
            return
        at -= count * EXTENT
    raise AssertionError(at)


def test_labels_in_volumes_are_erased_before_the_volumes_are_removed() -> None:
    node, params = carved()
    for volume in node.groups["osds"].volumes:
        for at in (0, GIB):
            written_to(node, volume, at, LABEL)
    absent = {**params, "state": "absent", "consent": consent(node, "data1", "data2")}
    run(node, absent)
    assert not any(disk.data for disk in node.disks.values())
    assert set(run(node, params).actions().values()) == {"created"}


@pytest.mark.parametrize("at", [0, GIB, 10 * GIB])
def test_a_label_is_found_in_every_segment_of_a_volume(at: int) -> None:
    """The volume grew around another one, and onto the second disk."""
    node = a_node()
    both = ("data1", "data2")
    run(node, groups(("a", "6GiB"), ("b", "5GiB"), disks=both))
    run(node, groups(("a", "14GiB"), ("b", "5GiB"), disks=both))
    assert len(node.groups["osds"].volumes["a"][0]) > 1
    written_to(node, "a", at, LABEL)
    absent = {**groups(("a", "14GiB"), ("b", "5GiB"), disks=both), "state": "absent", "consent": consent(node, *both)}
    assert set(run(node, absent).actions().values()) == {"removed"}
    assert not any(disk.data for disk in node.disks.values())


def test_a_removal_ended_after_any_write_leaves_no_label() -> None:
    def used() -> tuple[FakeNode, dict[str, Any]]:
        node, params = carved()
        for volume in node.groups["osds"].volumes:
            written_to(node, volume, GIB, LABEL)
        return node, {**params, "state": "absent", "consent": consent(node, "data1", "data2")}

    whole, absent = used()
    run(whole, absent)
    for point in range(1, len(whole.written) + 1):
        node, _absent = used()
        killed_at(node, absent, point)
        result = run(node, absent)
        assert "failed" not in result.actions().values(), (point, result.verdicts)
        assert not any(disk.data for disk in node.disks.values()), point


def test_volumes_that_somebody_opened_meanwhile_are_not_erased() -> None:
    node, params = carved()
    written_to(node, "osd1", 0, LABEL)
    absent = {**params, "state": "absent", "consent": consent(node, "data1", "data2")}

    def open_it(_number: int, words: tuple[str, ...]) -> None:
        if words[:3] == ("vgchange", "--activate", "n"):
            node.groups["osds"].inactive.clear()

    node.after_write = open_it
    assert "is in use; nothing was written to it" in run(node, absent).error("data1")
    assert LABEL in node.disks["ubdb"].data.values()
    assert len(node.groups["osds"].volumes) == 4


@pytest.mark.parametrize("change", ["foreign volume", "other disk", "mounted", "other group", "inactive"])
def test_what_is_not_surely_ours_and_unused_is_not_removed(change: str) -> None:
    node, params = carved()
    absent = {**params, "state": "absent", "consent": consent(node, "data1", "data2")}
    if change == "foreign volume":
        node.groups["osds"].volumes["alien"] = ([("/dev/ubdb", 5000, 1)], set())
    elif change == "other disk":
        absent["disks"] = absent["disks"][:1]
        absent["volume_groups"] = [{"name": "osds", "disks": ["data1"], "split": 4}]
        absent["consent"] = {"wipe": absent["consent"]["wipe"][:1]}
    elif change == "mounted":
        node.disks["ubdb"].mounts = ("/srv",)
    elif change == "other group":
        node.groups["osds"].tags.clear()
    else:
        node.groups["osds"].inactive.add("osd1")
    result = run(node, absent)
    assert node.written == []
    assert not result.changed
    assert "removed" not in result.actions().values()


# growing


def groups(*volumes: tuple[str, str], grow: bool = True, disks: Any = ("data1",)) -> dict[str, Any]:
    rows = [{"name": name, "size": size} for name, size in volumes]
    return task(
        disks=[disk for disk in task()["disks"] if disk["id"] in disks],
        volume_groups=[{"name": "osds", "disks": list(disks), "volumes": rows, "grow": grow}],
    )


def test_a_larger_size_is_given_on_request_only() -> None:
    node = a_node()
    run(node, groups(("a", "6GiB"), ("b", "5GiB"), grow=False))
    assert "grow: true" in run(node, groups(("a", "8GiB"), ("b", "5GiB"), grow=False)).error("osds/a")
    grown = run(node, groups(("a", "8GiB"), ("b", "5GiB")))
    assert grown.actions() == {"data1": "unchanged", "osds": "unchanged", "osds/a": "updated", "osds/b": "unchanged"}
    assert sum(count for _p, _s, count in node.groups["osds"].volumes["a"][0]) == 2048
    assert not run(node, groups(("a", "8GiB"), ("b", "5GiB"))).changed
    assert not run(node, groups(("a", "8GiB"), ("b", "5GiB"), grow=False)).changed
    assert "never shrunk" in run(node, groups(("a", "7GiB"), ("b", "5GiB"))).error("osds/a")
    assert "not enough room" in run(node, groups(("a", "18GiB"), ("b", "5GiB"))).error("osds")


def test_a_disk_that_grew_is_filled_on_request_only() -> None:
    node = a_node()
    wanted = (("a", "5GiB"), ("b", "50%"), ("c", "rest"))
    run(node, groups(*wanted))
    node.disks["ubdb"].size = 40 * GIB
    assert not run(node, groups(*wanted, grow=False)).changed
    result = run(node, groups(*wanted))
    assert result.actions() == {
        "data1": "unchanged",
        "osds": "updated",
        "osds/a": "unchanged",
        "osds/b": "updated",
        "osds/c": "updated",
    }
    sizes = {name: sum(c for _p, _s, c in runs) for name, (runs, _tags) in node.groups["osds"].volumes.items()}
    assert sizes["b"] == 10239 // 2
    assert sum(sizes.values()) == 10239
    assert not run(node, groups(*wanted)).changed


@given(
    first=st.lists(st.sampled_from(["5GiB", "6GiB", "20%", "30%"]), min_size=1, max_size=3),
    second=st.lists(st.sampled_from(["5GiB", "7GiB", "20%", "40%", "rest"]), min_size=1, max_size=3),
    bigger=st.integers(0, 20),
)
def test_growing_never_shrinks_and_its_second_plan_is_empty(first: list[str], second: list[str], bigger: int) -> None:
    node = a_node()
    run(node, groups(*((f"v{n}", size) for n, size in enumerate(first))))
    if "osds" not in node.groups:
        return
    before = {name: list(runs) for name, (runs, _tags) in node.groups["osds"].volumes.items()}
    node.disks["ubdb"].size += bigger * GIB
    second = [size for number, size in enumerate(second) if size != "rest" or "rest" not in second[:number]]
    assume(sum(int(size[:-1]) for size in second if size.endswith("%")) <= 100)
    wanted = groups(*((f"v{n}", size) for n, size in enumerate(second)))
    result = run(node, wanted)
    after = {name: runs for name, (runs, _tags) in node.groups["osds"].volumes.items()}
    assert all(after[name][: len(runs)] == runs for name, runs in before.items())
    assert not any("/dev/ubdc" in word for words in node.written for word in words)
    if "failed" not in result.actions().values():
        assert not run(node, wanted).changed


# databases


def with_databases(**changes: Any) -> dict[str, Any]:
    disks = [{**task()["disks"][0], "device_class": "hdd"}, {**task()["disks"][1], "device_class": "nvme"}]
    data = {"name": "bulk", "disks": ["data1"], "split": 2}
    return task(
        disks=disks, volume_groups=[data, {"name": "fast", "disks": ["data2"], "split": 2, "metadata_for": "bulk", **changes}]
    )


def test_database_volumes_are_named_with_the_data_they_serve() -> None:
    node = a_node()
    foretold = run(node, with_databases(), check=True)
    result: Result = run(node, with_databases())
    assert result.storage_node == foretold.storage_node
    assert result.storage_node["devices"] == [
        {"name": f"/dev/bulk/osd{n}", "config": {"deviceClass": "hdd", "metadataDevice": f"/dev/fast/db{n}"}} for n in (1, 2)
    ]
    assert not run(node, with_databases()).changed
    info = LvmCephDiskInfoFlow.from_params({}, node, node)
    plan = info.decide(info.observe())
    assert json.dumps(info.report(Run(plan))["storage_node"]) == json.dumps(result.storage_node)
    plain = with_databases()
    del plain["volume_groups"][1]["metadata_for"]
    plain["volume_groups"][1] = {"name": "fast", "disks": ["data2"], "volumes": [{"name": "db1", "size": "50%"}]}
    assert "holds the database of bulk/osd1, not data" in run(node, plain).error("fast/db1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": 3}, "3 volumes for the 2 volumes of bulk"),
        ({"metadata_for": "nope"}, "no other group of the task that holds data"),
        ({"metadata_for": "fast"}, "no other group of the task that holds data"),
    ],
)
def test_what_rook_would_not_take_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        run(a_node(), with_databases(**changes))


def test_a_volume_that_is_not_active_is_activated() -> None:
    node, params = carved()
    node.groups["osds"].inactive.add("osd2")
    result = run(node, params)
    assert result.verdicts["osds/osd2"].reason == "was inactive"
    assert node.groups["osds"].inactive == set()
    assert not run(node, params).changed
