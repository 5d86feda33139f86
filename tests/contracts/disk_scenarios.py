# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk modules do to a node with two blank disks. The scenarios run on a node in memory and on a real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Protocol

GIB = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """What a run of the module returned; ``errors`` are sentences by entry."""

    changed: bool
    actions: Mapping[str, str]
    errors: Mapping[str, str]
    storage_node: Mapping[str, Any]


class Bench(Protocol):
    """A node with two blank disks that a scenario may do anything to. Disks are numbered 1 and 2."""

    node_name: str
    serials: tuple[str, str]
    root_serial: str

    def run(self, params: Mapping[str, Any], *, check: bool = False) -> Outcome:
        """``lvm_ceph_disk``."""

    def info(self) -> Mapping[str, Mapping[str, Any]]:
        """``lvm_ceph_disk_info`` over all disks: entries by serial."""

    def fingerprint(self, number: int) -> str:
        """Stands for every byte of a disk."""

    def volumes(self) -> Mapping[str, int]:
        """Bytes of each volume, by group and name."""

    def put_ext4(self, number: int) -> None:
        """Makes a file system on a whole disk."""

    def mount(self, number: int) -> None:
        """Mounts it."""

    def put_label(self, volume: str) -> None:
        """Writes a BlueStore label's copy at 1 GiB of a volume."""

    def remove_volume(self, volume: str) -> None:
        """Removes a volume as an administrator would."""


def params(bench: Bench, **changes: Any) -> dict[str, Any]:
    """A group of its own on each disk: one with shares, one with equal parts."""
    sizes = [{"name": "db", "size": "6GiB"}, {"name": "data", "size": "40%"}, {"name": "more", "size": "rest"}]
    wanted = {
        "disks": [
            {"id": "data1", "match": {"serial": bench.serials[0]}, "device_class": "ssd"},
            {"id": "data2", "match": {"serial": bench.serials[1]}},
        ],
        "volume_groups": [
            {"name": "kst-one", "disks": ["data1"], "volumes": sizes},
            {"name": "kst-two", "disks": ["data2"], "split": 2},
        ],
        "on_error": "stop",
    }
    return {**wanted, **changes}


ENTRIES = ["data1", "data2", "kst-one", "kst-one/db", "kst-one/data", "kst-one/more", "kst-two", "kst-two/osd1", "kst-two/osd2"]
SIZES = {
    "kst-one/db": 1536 << 22,
    "kst-one/data": 2047 << 22,
    "kst-one/more": 1536 << 22,
    "kst-two/osd1": 2559 << 22,
    "kst-two/osd2": 2559 << 22,
}


class DiskScenarios:
    """Subclasses give the fixture ``bench``."""

    def test_check_mode_tells_the_truth_and_the_second_run_changes_nothing(self, bench: Bench) -> None:
        blank = [bench.fingerprint(1), bench.fingerprint(2)]
        foretold = bench.run(params(bench), check=True)
        assert [bench.fingerprint(1), bench.fingerprint(2)] == blank
        assert bench.volumes() == {}
        first = bench.run(params(bench))
        assert first == foretold
        assert dict(first.actions) == dict.fromkeys(ENTRIES, "created")
        assert dict(bench.volumes()) == SIZES
        device = {"config": {"deviceClass": "ssd"}}
        assert first.storage_node == {
            "name": bench.node_name,
            "devices": [
                {"name": "/dev/kst-one/data", **device},
                {"name": "/dev/kst-one/db", **device},
                {"name": "/dev/kst-one/more", **device},
                {"name": "/dev/kst-two/osd1"},
                {"name": "/dev/kst-two/osd2"},
            ],
        }
        carved = [bench.fingerprint(1), bench.fingerprint(2)]
        second = bench.run(params(bench))
        assert not second.changed
        assert dict(second.actions) == dict.fromkeys(ENTRIES, "unchanged")
        assert second.storage_node == first.storage_node
        assert [bench.fingerprint(1), bench.fingerprint(2)] == carved
        assert [bench.info()[serial]["verdict"] for serial in bench.serials] == ["ours", "ours"]

    def test_a_used_disk_is_refused_untouched_and_consent_erases_that_disk_alone(self, bench: Bench) -> None:
        bench.put_ext4(1)
        bench.put_ext4(2)
        before = [bench.fingerprint(1), bench.fingerprint(2)]
        refused = bench.run(params(bench))
        assert not refused.changed
        told = refused.errors["data1"]
        assert told.startswith(f"disk data1 (serial {bench.serials[0]}, /dev/")
        assert "carries an ext4 file system at offset 1080 (UUID " in told
        found = bench.info()
        seen = {serial: found[serial]["seen"] for serial in bench.serials}
        assert f"`consent: {{wipe: [{{id: data1, seen: {seen[bench.serials[0]]}}}]}}`" in told
        assert found[bench.serials[0]]["verdict"] == "foreign"
        wrong = {"wipe": [{"id": "data1", "seen": seen[bench.serials[1]]}]}
        assert "The consent was given for other findings" in bench.run(params(bench, consent=wrong)).errors["data1"]
        assert [bench.fingerprint(1), bench.fingerprint(2)] == before
        right = {"wipe": [{"id": "data1", "seen": seen[bench.serials[0]]}]}
        done = bench.run(params(bench, consent=right, on_error="continue"))
        assert done.changed
        assert done.actions["kst-one/data"] == "created"
        assert done.actions["data2"] == "failed"
        assert done.actions["kst-two"] == "skipped"
        assert bench.fingerprint(2) == before[1]
        assert set(bench.volumes()) == {"kst-one/db", "kst-one/data", "kst-one/more"}

    def test_a_mounted_disk_is_refused_with_any_consent(self, bench: Bench) -> None:
        bench.put_ext4(1)
        seen = bench.info()[bench.serials[0]]["seen"]
        bench.mount(1)
        given = {"wipe": [{"id": "data1", "seen": seen}]}
        refused = bench.run(params(bench, consent=given))
        assert "is mounted at /" in refused.errors["data1"]
        assert not refused.changed
        assert bench.info()[bench.serials[0]]["verdict"] == "in-use"

    def test_the_root_disk_is_refused_with_consent(self, bench: Bench) -> None:
        seen = bench.info()[bench.root_serial]["seen"]
        assert seen
        wanted = params(
            bench,
            disks=[{"id": "root", "match": {"serial": bench.root_serial}}],
            volume_groups=[{"name": "kst-one", "disks": ["root"], "split": 1}],
            consent={"wipe": [{"id": "root", "seen": seen}]},
        )
        refused = bench.run(wanted)
        assert "is the disk this node runs from" in refused.errors["root"]
        assert not refused.changed

    def test_what_an_older_volume_left_is_seen_and_erased_with_consent_only(self, bench: Bench) -> None:
        bench.run(params(bench))
        bench.put_label("kst-two/osd2")
        bench.remove_volume("kst-two/osd2")
        before = bench.fingerprint(2)
        refused = bench.run(params(bench))
        told: Optional[str] = refused.errors.get("data2")
        assert told is not None
        assert "carries, in the place of a new volume, a BlueStore label at offset" in told
        assert bench.fingerprint(2) == before
        seen = told.partition("seen: ")[2][:16]
        done = bench.run(params(bench, consent={"wipe": [{"id": "data2", "seen": seen}]}))
        assert {name for name, action in done.actions.items() if action != "unchanged"} == {"kst-two/osd2"}
        assert dict(bench.volumes()) == SIZES
        assert not bench.run(params(bench)).changed
