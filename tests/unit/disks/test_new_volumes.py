# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How new volumes are made: by few processes, each failure told of the right volume, each leftover seen."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed

from fakes.disk_node import GIB, FakeDisk, FakeNode, Killed

from .test_flow import EXT4, a_node, run, task


def failing(verb: str, *words: str) -> Callable[[int, tuple[str, ...]], None]:
    """Makes a command of these words fail."""

    def fail(_number: int, told: tuple[str, ...]) -> None:
        if told[0] == verb and set(words) <= set(told):
            raise BackendFailed(f"`{verb} {' '.join(words)}` failed with status 5: no luck")

    return fail


def a_large_node() -> FakeNode:
    return a_node(ubdb=FakeDisk(24 * GIB, serial="NODE1-DISK1"), ubdc=FakeDisk(24 * GIB, serial="NODE1-DISK2"))


def eight(**changes: Any) -> dict[str, Any]:
    return task(volume_groups=[{"name": "osds", "disks": ["data1", "data2"], "split": 8}], **changes)


def test_a_create_starts_few_processes() -> None:
    node = a_large_node()
    run(node, eight())
    assert node.processes == [
        *("fullreport", "lsblk", "wipefs"),
        *("pvcreate", "pvcreate", "vgcreate", "vgs"),
        *("lvm", "lvs"),
    ]
    assert [words[0] for words in node.written[3:]] == [*["lvcreate"] * 8, "vgchange"]
    assert not any("kubestead.new" in tag for _runs, tags in node.groups["osds"].volumes.values() for tag in tags)
    assert node.groups["osds"].inactive == set()


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_of_eight_volumes_the_one_that_failed_is_blamed_and_the_others_are_told(on_error: str) -> None:
    node = a_large_node()
    node.before_write = failing("lvcreate", "osd3")
    result = run(node, eight(on_error=on_error))
    assert "`lvcreate osd3` failed with status 5: no luck" in result.error("osds/osd3")
    others = [f"osds/osd{n}" for n in (1, 2, 4, 5, 6, 7, 8)]
    assert [name for name, action in result.actions().items() if action == "failed"] == ["osds/osd3"]
    assert {result.actions()[name] for name in others} == {"skipped" if on_error == "stop" else "created"}
    assert result.changed
    if on_error == "stop":
        assert [result.verdicts[name].facts["applied"] for name in others] == [[f"create volume {name}"] for name in others]
    node.before_write = None
    again = run(node, eight(on_error=on_error))
    assert {name for name, action in again.actions().items() if action != "unchanged"} == {"osds/osd3"}
    assert not run(node, eight()).changed


def test_without_the_shell_of_lvm_every_volume_is_made_by_a_process_of_its_own() -> None:
    whole, node = a_large_node(), a_large_node()
    run(whole, eight())
    node.has_shell = False
    assert set(run(node, eight()).actions().values()) == {"created"}
    assert node.state() == whole.state()
    assert node.groups["osds"].inactive == set()
    assert node.processes.count("lvcreate") == 8


def test_a_volume_without_a_device_node_is_told() -> None:
    node = a_large_node()

    def after(_number: int, words: tuple[str, ...]) -> None:
        if words[0] == "vgchange":
            node.groups["osds"].inactive.add("osd3")

    node.after_write = after
    assert "Volume osds/osd3 was activated, but has no device node" in run(node, eight()).error("osds/osd3")


@pytest.mark.parametrize("at", [2 * (1 << 20), 4 * (1 << 20)])
def test_a_volume_is_looked_into_when_not_all_is_zero_where_a_signature_could_be(at: int) -> None:
    node = a_node()
    node.disks["ubdb"].data = {(1 << 20) + at + 24: b"\x01"}
    node.inside["osds-osd1"] = [(at + 24, "VMFS_volume", "", "filesystem")]
    assert "The new volume osds/osd1 carries a VMFS_volume" in run(node, task()).error("osds/osd1")


def test_a_volume_in_two_pieces_is_looked_into() -> None:
    node = a_node()
    node.inside["osds-a"] = [EXT4]
    groups = [{"name": "osds", "disks": ["data1", "data2"], "volumes": [{"name": "a", "size": "30GiB"}]}]
    assert "The new volume osds/a carries an ext4 file system" in run(node, task(volume_groups=groups)).error("osds/a")


@pytest.mark.parametrize("prepared", [False, True], ids=["blank disks", "a group without volumes"])
def test_a_run_killed_between_any_two_commands_of_the_one_process_is_continued(prepared: bool) -> None:
    """Of a group that an ended run left, nobody knows what came into the places of its volumes: they are looked into."""

    def begun() -> FakeNode:
        node = a_large_node()
        if prepared:
            killed_after(node, lambda words: words[0] == "vgcreate")
        node.written.clear()
        return node

    whole = begun()
    run(whole, eight())
    assert (("lvchange", "--deltag") in [words[:2] for words in whole.written]) == prepared
    for point in range(1, len(whole.written)):
        node = begun()
        killed_after(node, lambda _words, node=node, point=point: len(node.written) == point)
        assert "failed" not in run(node, eight()).actions().values(), point
        assert node.state() == whole.state()
        assert node.groups["osds"].inactive == set()
        assert not run(node, eight()).changed


def killed_after(node: FakeNode, last: Callable[[tuple[str, ...]], bool]) -> None:
    def after(_number: int, words: tuple[str, ...]) -> None:
        if last(words):
            raise Killed

    node.after_write = after
    with pytest.raises(Killed):
        run(node, eight())
    node.after_write = None
