# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way from a task's parameters to a node's disks, on a node in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Plan, Verdict
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk import LvmCephDiskFlow
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow
from hypothesis import given
from hypothesis import strategies as st

from fakes.disk_node import GIB, FakeDisk, FakeNode, Killed
from fakes.disk_races import formatted, grown, mounted, renumbered, replaced

EXT4 = (1080, "ext4", "3f0c0c3e-9d0d-4c07-8a5f-6d1f2f1f0c11", "filesystem")


@dataclass
class Result:
    plan: Plan
    verdicts: dict[str, Verdict]
    changed: bool
    storage_node: Any

    def actions(self) -> dict[str, str]:
        return {name: "failed" if verdict.error else verdict.action for name, verdict in self.verdicts.items()}

    def error(self, name: str) -> str:
        error = self.verdicts[name].error
        return error.sentence() if error else ""


def a_node(**changes: Any) -> FakeNode:
    disks = {
        "ubda": FakeDisk(3 * GIB, serial="ROOT0", mounts=("/",), signatures=[EXT4]),
        "ubdb": FakeDisk(serial="NODE1-DISK1"),
        "ubdc": FakeDisk(serial="NODE1-DISK2"),
    }
    return FakeNode({**disks, **changes})


def task(**changes: Any) -> dict[str, Any]:
    params = {
        "disks": [
            {"id": "data1", "match": {"serial": "NODE1-DISK1"}, "device_class": "ssd"},
            {"id": "data2", "match": {"serial": "NODE1-DISK2"}, "device_class": "ssd"},
        ],
        "volume_groups": [{"name": "osds", "disks": ["data1", "data2"], "split": 4}],
        "on_error": "stop",
    }
    return {**params, **changes}


def apart(**changes: Any) -> dict[str, Any]:
    groups = [{"name": "one", "disks": ["data1"], "split": 1}, {"name": "two", "disks": ["data2"], "split": 1}]
    return task(volume_groups=groups, **changes)


def run(node: FakeNode, params: dict[str, Any], *, check: bool = False) -> Result:
    flow = LvmCephDiskFlow.from_params(params, node, node)
    plan = flow.decide(flow.observe())
    done = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
    verdicts = {verdict.name: verdict for verdict in settle(done)}
    return Result(plan, verdicts, bool(done.done), flow.report(done)["storage_node"])


def consent(node: FakeNode, *ids: str) -> dict[str, Any]:
    info = LvmCephDiskInfoFlow.from_params({"disks": task()["disks"]}, node, node)
    seen = {verdict.name: verdict.facts["seen"] for verdict in info.decide(info.observe()).verdicts}
    return {"wipe": [{"id": disk, "seen": seen[disk]} for disk in ids]}


def test_blank_disks_become_volumes_and_a_second_run_changes_nothing() -> None:
    node = a_node()
    foretold = run(node, task(), check=True)
    assert node.written == []
    first = run(node, task())
    assert first.actions() == foretold.actions()
    assert first.storage_node == foretold.storage_node
    assert first.storage_node == {
        "name": "node1",
        "devices": [{"name": f"/dev/osds/osd{n}", "config": {"deviceClass": "ssd"}} for n in (1, 2, 3, 4)],
    }
    assert set(first.actions().values()) == {"created"}
    node.written.clear()
    reports = node.reports
    second = run(node, task())
    assert node.reports - reports == 2
    assert (second.changed, node.written, set(second.actions().values())) == (False, [], {"unchanged"})
    assert second.storage_node == first.storage_node


def test_volumes_keep_to_one_disk_each() -> None:
    node = a_node()
    run(node, task())
    assert [len({path for path, _s, _c in runs}) for runs, _tags in node.groups["osds"].volumes.values()] == [1, 1, 1, 1]


def test_a_share_is_resolved_once() -> None:
    node = a_node()
    volumes = [{"name": "a", "size": "30%"}, {"name": "rest", "size": "rest"}]
    one = [{"name": "osds", "disks": ["data1"], "volumes": volumes}]
    disks = task()["disks"]
    run(node, task(disks=disks[:1], volume_groups=one))
    assert not run(node, task(disks=disks[:1], volume_groups=one)).changed
    more = [{"name": "osds", "disks": ["data1", "data2"], "volumes": [*volumes, {"name": "b", "size": "6GiB"}]}]
    grown = run(node, task(volume_groups=more))
    assert grown.actions() == {
        "data1": "unchanged",
        "data2": "created",
        "osds": "updated",
        "osds/a": "unchanged",
        "osds/rest": "unchanged",
        "osds/b": "created",
    }
    assert not run(node, task(volume_groups=more)).changed


@pytest.mark.parametrize("size", ["5GiB", "8GiB", "30%"])
def test_no_volume_is_resized(size: str) -> None:
    node = a_node()

    def groups(text: str) -> list[dict[str, Any]]:
        return [{"name": "osds", "disks": ["data1", "data2"], "volumes": [{"name": "a", "size": text}]}]

    run(node, task(volume_groups=groups("6GiB")))
    before = node.state()
    result = run(node, task(volume_groups=groups(size)))
    assert result.actions()["osds/a"] == "failed"
    assert "never shrunk" in result.error("osds/a")
    assert node.state() == before


REFUSED: dict[str, tuple[FakeDisk, str]] = {
    "ext4": (FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]), "carries an ext4 file system at offset 1080 (UUID 3f0c0c3e"),
    "gpt": (
        FakeDisk(serial="NODE1-DISK1", signatures=[(512, "gpt", "", "partition-table")]),
        "a gpt partition table at offset 512",
    ),
    "label": (
        FakeDisk(serial="NODE1-DISK1", data={10 * GIB: b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"}),
        "a BlueStore label at offset 10737418240 (UUID 11111111-2222-3333-4444-555555555555)",
    ),
    "data": (
        FakeDisk(serial="NODE1-DISK1", data={700_000: b"\x01"}),
        "data without any known signature (first seen at offset 700000)",
    ),
    "mounted": (FakeDisk(serial="NODE1-DISK1", mounts=("/srv",)), "is mounted at /srv"),
    "swap": (FakeDisk(serial="NODE1-DISK1", mounts=("[SWAP]",)), "is used as swap"),
    "held": (FakeDisk(serial="NODE1-DISK1", held=True), "is held by dm-9"),
    "read-only": (FakeDisk(serial="NODE1-DISK1", read_only=True), "is read-only"),
    "removable": (FakeDisk(serial="NODE1-DISK1", removable=True), "is removable"),
    "small": (FakeDisk(4 * GIB, serial="NODE1-DISK1"), "is too small: 4.0 GiB"),
}
NEVER = ("mounted", "swap", "held", "read-only", "removable", "small")


@pytest.mark.parametrize("name", REFUSED)
def test_a_disk_that_is_not_blank_is_refused_and_nothing_at_all_is_written(name: str) -> None:
    disk, words = REFUSED[name]
    node = a_node(ubdb=disk)
    result = run(node, apart())
    assert words in result.error("data1")
    assert "disk data1 (serial NODE1-DISK1, /dev/ubdb)" in result.error("data1")
    assert node.written == []
    assert not result.changed


@pytest.mark.parametrize("name", REFUSED)
def test_with_continue_the_other_disks_are_handled(name: str) -> None:
    node = a_node(ubdb=REFUSED[name][0])
    result = run(node, apart(on_error="continue"))
    skipped = {"one": "skipped", "one/osd1": "skipped"}
    assert result.actions() == {"data1": "failed", "data2": "created", **skipped, "two": "created", "two/osd1": "created"}
    assert not any("/dev/ubdb" in words for words in node.written)
    assert [device["name"] for device in result.storage_node["devices"]] == ["/dev/two/osd1"]


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in NEVER])
def test_consent_erases_exactly_the_disk_it_names(name: str) -> None:
    node = a_node(ubdb=REFUSED[name][0], ubdd=FakeDisk(serial="OTHER", signatures=[EXT4]))
    disk, other = node.disks["ubdb"], node.disks["ubdd"]
    saved = (list(disk.signatures), dict(disk.data))
    given = consent(node, "data1")
    result = run(node, task(consent=given))
    assert set(result.actions().values()) == {"created"}
    assert (disk.signatures, disk.data) == ([], {})
    assert other.signatures == [EXT4]
    assert not any("/dev/ubdd" in words for words in node.written)
    disk.signatures, disk.data = saved


@pytest.mark.parametrize("name", NEVER)
def test_no_consent_touches_a_disk_in_use_or_unfit(name: str) -> None:
    node = a_node(ubdb=REFUSED[name][0])
    node.disks["ubdb"].signatures = [EXT4]
    result = run(node, task(consent=consent(node, "data1")))
    assert REFUSED[name][1] in result.error("data1")
    assert node.written == []
    node.disks["ubdb"].signatures = []


def test_the_root_disk_is_refused_with_consent() -> None:
    node = a_node()
    info = LvmCephDiskInfoFlow.from_params({}, node, node)
    seen = {verdict.name: str(verdict.facts["seen"]) for verdict in info.decide(info.observe()).verdicts}["ubda"]
    params = task(
        disks=[{"id": "root", "match": {"serial": "ROOT0"}}],
        volume_groups=[{"name": "osds", "disks": ["root"], "split": 1}],
        consent={"wipe": [{"id": "root", "seen": seen}]},
    )
    assert "is the disk this node runs from" in run(node, params).error("root")
    assert node.written == []


def test_the_refusal_names_the_consent_that_would_do() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    seen = consent(node, "data1")["wipe"][0]["seen"]
    assert f"`consent: {{wipe: [{{id: data1, seen: {seen}}}]}}`" in run(node, task()).error("data1")


def test_consent_to_other_findings_is_refused() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))
    given = consent(node, "data1")
    node.disks["ubdb"].signatures = [(1080, "ext4", "another", "filesystem")]
    assert "The consent was given for other findings" in run(node, task(consent=given)).error("data1")
    assert node.written == []


def _unplug(node: FakeNode) -> None:
    del node.disks["ubdb"]


@pytest.mark.parametrize("race", [replaced, grown, formatted, mounted, renumbered, _unplug])
@pytest.mark.parametrize("used", [True, False], ids=["erase", "prepare"])
def test_a_disk_that_changes_between_look_and_write_is_not_written_to(race: Callable[[FakeNode], None], used: bool) -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4] if used else []))
    flow = LvmCephDiskFlow.from_params(task(consent=consent(node, "data1") if used else None), node, node)
    plan = flow.decide(flow.observe())
    race(node)
    done = carry_out(plan, flow.execute, stop_on_error=True)
    assert node.written == []
    assert any(verdict.error for verdict in settle(done))


def test_a_disk_formatted_between_erase_and_prepare_is_not_prepared() -> None:
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", signatures=[EXT4]))

    def after(_number: int, words: tuple[str, ...]) -> None:
        if words[0] == "pvcreate" and "/dev/ubdc" in words:
            formatted(node)

    node.after_write = after
    params = task(disks=list(reversed(task()["disks"])), consent=consent(node, "data1"))
    assert "changed after it was looked at" in run(node, params).error("data1")
    assert "/dev/ubdb" not in node.physical


def test_a_disk_swapped_during_pvcreate_does_not_join_a_group() -> None:
    node = a_node()

    def after(_number: int, words: tuple[str, ...]) -> None:
        if words[0] == "pvcreate":
            replaced(node)

    node.after_write = after
    assert "was replaced after it was looked at" in run(node, task()).error("data1")
    assert node.groups == {}


@pytest.mark.parametrize("params", [task(), apart()], ids=["one group", "two groups"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_command_is_continued(params: dict[str, Any], when: str) -> None:
    whole = a_node()
    run(whole, params)
    for point in range(len(whole.written)):
        node = a_node()

        def kill(number: int, _words: tuple[str, ...], point: int = point) -> None:
            if number == point + (when == "after"):
                raise Killed

        setattr(node, f"{when}_write", kill)
        with pytest.raises(Killed):
            run(node, params)
        node.before_write = node.after_write = None
        foretold = run(node, params, check=True)
        result = run(node, params)
        assert "failed" not in result.actions().values()
        assert result.actions() == foretold.actions()
        assert node.state() == whole.state()
        assert not run(node, params).changed


def test_a_failed_command_ends_its_group_only() -> None:
    node = a_node()

    def fail(_number: int, words: tuple[str, ...]) -> None:
        if words[0] == "vgcreate" and "one" in words:
            raise BackendFailed("`vgcreate one` failed with status 5: no luck")

    node.before_write = fail
    result = run(node, apart(on_error="continue"))
    assert result.actions() == {
        "data1": "created",
        "data2": "created",
        "one": "failed",
        "two": "created",
        "one/osd1": "skipped",
        "two/osd1": "created",
    }
    assert result.changed


def test_leftovers_in_a_new_volume_are_neither_wiped_nor_kept_silently() -> None:
    """The disks were prepared by a run that was ended, and who knows what came onto them since."""
    node = a_node()

    def kill(_number: int, words: tuple[str, ...]) -> None:
        if words[0] == "vgcreate":
            raise Killed

    node.after_write = kill
    with pytest.raises(Killed):
        run(node, task())
    node.after_write = None
    node.inside["osds-osd2"] = [EXT4]
    result = run(node, task())
    assert "The new volume osds/osd2 carries an ext4 file system" in result.error("osds/osd2")
    assert node.inside
    again = run(node, task())
    assert again.actions()["osds/osd2"] in ("skipped", "updated")
    told = [name for name in ("data1", "data2") if "carries, in the place of a new volume, an ext4" in again.error(name)]
    assert len(told) == 1
    seen = str(again.verdicts[told[0]].facts["seen"])
    assert f"seen: {seen}" in again.error(told[0])
    done = run(node, task(consent={"wipe": [{"id": told[0], "seen": seen}]}))
    assert "failed" not in done.actions().values()
    assert not node.inside
    assert not run(node, task()).changed


def test_what_older_owners_left_where_a_volume_will_begin_is_seen_beforehand() -> None:
    label = b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
    second = (1 << 20) + 2559 * (4 << 20)
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", data={second + GIB: label}))
    told = run(node, task(), check=True).error("data1")
    assert f"a BlueStore label at offset {second + GIB} (UUID 11111111-" not in told
    assert f"a BlueStore label at offset {second + GIB} where a volume or partition is planned" in told


def test_a_digest_from_info_serves_whatever_is_planned() -> None:
    middle = (1 << 20) + 2559 * (4 << 20)
    node = a_node(ubdb=FakeDisk(serial="NODE1-DISK1", data={0: b"\x01", middle: b"\x02"}))
    assert set(run(node, task(consent=consent(node, "data1"))).actions().values()) == {"created"}
    assert node.disks["ubdb"].data == {}


def test_ownership_needs_this_node_and_this_disk() -> None:
    node = a_node()
    run(node, task())
    for change in ("host", "clone", "tags", "moved"):
        copy = a_node()
        run(copy, task())
        copy.written.clear()
        if change == "host":
            copy.hostname = "node2"
        elif change == "clone":
            copy.disks["ubdb"].serial, copy.disks["ubdc"].serial = "NODE1-DISK2", "NODE1-DISK1"
        elif change == "tags":
            copy.groups["osds"].tags.clear()
        else:
            copy.disks["ubdb"].serial = "NODE1-DISK9"
        params = task()
        if change == "moved":
            params["disks"][0]["match"] = {"serial": "NODE1-DISK9"}
        result = run(copy, params)
        assert result.actions()["data1"] == "failed", change
        assert copy.written == [], change


def test_a_group_of_somebody_else_is_not_touched() -> None:
    node = a_node()
    node.physical["/dev/ubdb"] = "somebody"
    node.write(("vgcreate", "--physicalextentsize", "4m", "osds", "/dev/ubdb"))
    node.written.clear()
    result = run(node, task())
    assert "belongs to LVM volume group osds, which carries no tag of this module" in result.error("data1")
    assert node.written == []


def test_raw_disks_are_checked_and_reported_and_never_written_to() -> None:
    disks = [
        {"id": "data1", "device": "/dev/ubdb", "expect": {"serial": "NODE1-DISK1"}, "layout": "raw", "device_class": "hdd"}
    ]
    node = a_node()
    params = task(disks=disks, volume_groups=[])
    result = run(node, params)
    assert result.storage_node["devices"] == [{"name": "/dev/ubdb", "config": {"deviceClass": "hdd"}}]
    node.disks["ubdb"].data = {0: b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"}
    assert run(node, params).actions() == {"data1": "unchanged"}
    node.disks["ubdb"].signatures = [EXT4]
    assert "handed over as it is" in run(node, params).error("data1")
    assert node.written == []


def test_a_changed_device_class_is_remembered_with_the_volumes() -> None:
    node = a_node()
    run(node, task())
    groups = [{**task()["volume_groups"][0], "device_class": "nvme"}]
    result = run(node, task(volume_groups=groups))
    assert result.actions()["osds/osd1"] == "updated"
    assert not run(node, task(volume_groups=groups)).changed
    info = LvmCephDiskInfoFlow.from_params({}, node, node)
    plan = info.decide(info.observe())
    assert info.report(Run(plan)) == {"storage_node": result.storage_node}


def test_info_judges_every_disk_and_writes_nothing() -> None:
    node = a_node(ubdd=FakeDisk(serial="OTHER", signatures=[EXT4]))
    run(node, task())
    node.written.clear()
    info = LvmCephDiskInfoFlow.from_params({}, node, node)
    plan = info.decide(info.observe())
    assert {verdict.name: verdict.facts["verdict"] for verdict in plan.verdicts} == {
        "ubda": "unsuitable",
        "ubdb": "ours",
        "ubdc": "ours",
        "ubdd": "foreign",
    }
    assert (node.written, plan.steps) == ([], ())


@given(
    sizes=st.lists(st.integers(5, 60), min_size=1, max_size=3),
    volumes=st.lists(st.sampled_from(["5GiB", "7GiB", "10%", "25%", "rest"]), min_size=1, max_size=4),
    extra=st.booleans(),
)
def test_the_planner_touches_listed_disks_only_and_its_second_plan_is_empty(
    sizes: list[int], volumes: list[str], extra: bool
) -> None:
    volumes = [size for number, size in enumerate(volumes) if size != "rest" or "rest" not in volumes[:number]]
    names = [f"disk{number}" for number in range(len(sizes))]
    disks = {name: FakeDisk(size * GIB, serial=f"SERIAL-{name}") for name, size in zip(names, sizes)}
    node = FakeNode({**disks, "other": FakeDisk(serial="OTHER-ONE")})
    params = task(
        disks=[{"id": name, "match": {"serial": f"SERIAL-{name}"}} for name in names],
        volume_groups=[
            {"name": "g", "disks": names, "volumes": [{"name": f"v{n}", "size": size} for n, size in enumerate(volumes)]}
        ],
    )
    result = run(node, params)
    assert not any("/dev/other" in word for words in node.written for word in words)
    if "failed" in result.actions().values():
        assert node.written == []
        return
    before = {name: runs for name, (runs, _tags) in node.groups["g"].volumes.items()}
    again = run(node, params)
    assert again.plan.stages == ()
    if extra and result.changed:
        node.disks["more"] = FakeDisk(serial="SERIAL-more")
        params["disks"].append({"id": "more", "match": {"serial": "SERIAL-more"}})
        params["volume_groups"][0]["disks"].append("more")
        run(node, params)
        assert {name: runs for name, (runs, _tags) in node.groups["g"].volumes.items()} == before


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "twice": (task(disks=[*task()["disks"], task()["disks"][0]]), "'data1' is named twice"),
    "no group": (task(volume_groups=[]), "disk data1 is in no volume group"),
    "unknown disk": (task(volume_groups=[{"name": "a", "disks": ["nope"], "split": 1}]), "'nope', which is not in disks"),
    "ceph name": (task(volume_groups=[{"name": "ceph-a", "disks": ["data1"], "split": 1}]), "begins with 'ceph'"),
    "no volumes": (task(volume_groups=[{"name": "a", "disks": ["data1"]}]), "needs either volumes or split"),
    "too many shares": (
        task(volume_groups=[{"name": "a", "disks": ["data1"], "volumes": [{"name": n, "size": "60%"} for n in ("x", "y")]}]),
        "more than 100%",
    ),
    "two rests": (
        task(volume_groups=[{"name": "a", "disks": ["data1"], "volumes": [{"name": n, "size": "rest"} for n in ("x", "y")]}]),
        "more than one volume takes the rest",
    ),
    "small": (
        task(volume_groups=[{"name": "a", "disks": ["data1"], "volumes": [{"name": "x", "size": "1GiB"}]}]),
        "volume a/x: size: 1GiB is less than 5.0 GiB",
    ),
    "no size": (
        task(volume_groups=[{"name": "a", "disks": ["data1"], "volumes": [{"name": "x", "size": "large"}]}]),
        "'large' is not a size",
    ),
    "both": (task(disks=[{"id": "d", "device": "/dev/sda", "match": {"serial": "x1"}}]), "needs either device or match"),
    "relative": (task(disks=[{"id": "d", "device": "sda"}]), "not a path below /dev"),
    "consent": (task(consent={"wipe": [{"id": "nope", "seen": "1"}]}), "consent.wipe names disk 'nope'"),
    "two consents": (
        task(consent={"wipe": [{"id": "data1", "seen": "1"}, {"id": "data1", "seen": "2"}]}),
        "consent.wipe: disk 'data1' is named twice",
    ),
    "empty consent": (task(consent={"wipe": [{"id": "data1", "seen": ""}]}), "seen of disk data1 is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_of_the_task_end_it_before_anything_is_looked_at(name: str) -> None:
    params, words = BAD[name]
    node = a_node()
    error: Optional[BadInput] = None
    with pytest.raises(BadInput) as caught:
        run(node, params)
    error = caught.value
    assert words in error.sentence()
    assert node.reports == 0


def test_too_little_room_is_refused_before_any_write() -> None:
    node = a_node()
    volumes = [{"name": "a", "size": "30GiB"}, {"name": "b", "size": "20GiB"}]
    result = run(node, task(volume_groups=[{"name": "osds", "disks": ["data1", "data2"], "volumes": volumes}]))
    assert "need 50.0 GiB, but only 40.0 GiB are free" in result.error("osds")
    assert node.written == []
