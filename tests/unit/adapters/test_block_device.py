# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading sysfs, and raw reads and zeros, on files that stand for devices."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.block_device import BlockDevices
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed
from ansible_collections.kubestead.platform.plugins.module_utils._disks.findings import Region, from_samples, label_regions
from ansible_collections.kubestead.platform.plugins.module_utils._disks.identity import identity_of

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as stream:
        stream.truncate(2 * GIB)
    return path


def put(image: Path, offset: int, data: bytes) -> None:
    with image.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def tree(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_a_disk_in_sysfs(tmp_path: Path) -> None:
    tree(
        tmp_path / "block" / "sda",
        {
            "device/model": b"Samsung SSD 860 \n",
            "device/wwid": b"naa.5002538e40d1a2b3\n",
            "device/vpd_pg80": b"\x00\x80\x00\x10S4EWNX0R123456  ",
            "sda1/partition": b"1\n",
            "sda1/start": b"2048\n",
            "sda1/size": b"4096\n",
            "sda1/holders/dm-1/dev": b"",
            "holders/md0/dev": b"",
            "queue/rotational": b"0\n",
            "queue/logical_block_size": b"4096\n",
            "size": b"8192\n",
            "ro": b"1\n",
            "dev": b"8:0\n",
            "sda1/dev": b"8:1\n",
        },
    )
    devices = BlockDevices(sys_block=str(tmp_path / "block"))
    block = devices.inventory(["sda"])["sda"]
    assert block.partitions == {"sda1": (MIB, 2 * MIB)}
    assert block.holders == ("md0", "dm-1")
    assert (block.sector, block.size, block.read_only, block.numbers) == (4096, 4 * MIB, True, ("8:0", "8:1"))
    identity = identity_of(block, 7)
    assert (identity.serial, identity.wwn, identity.model) == ("S4EWNX0R123456", "naa.5002538e40d1a2b3", "Samsung SSD 860")


def test_a_disk_that_sysfs_does_not_know_has_no_identity(tmp_path: Path) -> None:
    block = BlockDevices(sys_block=str(tmp_path)).inventory(["gone"])["gone"]
    assert not identity_of(block, 7).known


def test_tables_of_the_kernel(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"self/mountinfo": b"1 0 8:1 / /srv rw - ext4 /dev/sda1 rw\n", "swaps": b"Filename Type\n/dev/sdb partition 1 0 -2\n"},
    )
    tables = BlockDevices(proc=str(tmp_path)).tables()
    assert tables.mounts == {"8:1": ("/srv",), "/dev/sda1": ("/srv",)}
    assert tables.swaps == ("/dev/sdb",)
    assert tables.hostname == os.uname().nodename


def test_only_block_devices_are_resolved(image: Path) -> None:
    assert BlockDevices().resolve([str(image), "/dev/null", "/dev/nothing-here"]) == {
        str(image): "",
        "/dev/null": "",
        "/dev/nothing-here": "",
    }


def test_zeros_are_nothing_and_the_first_other_byte_is_found(image: Path) -> None:
    regions = (Region(0, MIB), Region(GIB, 4096), Region(2 * GIB - MIB, MIB))
    devices = BlockDevices()
    assert [sample.first_nonzero for sample in devices.probe(str(image), regions).samples] == [-1, -1, -1]
    put(image, 5000, b"\x01")
    put(image, 2 * GIB - 1, b"\x01")
    probe = devices.probe(str(image), regions)
    assert [sample.first_nonzero for sample in probe.samples] == [5000, -1, 2 * GIB - 1]
    assert not probe.busy


def test_labels_are_read_and_zeroed_where_they_are(image: Path) -> None:
    label = b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
    put(image, GIB, label)
    put(image, GIB + 4096, b"data of somebody else")
    regions, devices = label_regions(0, 2 * GIB), BlockDevices()
    found = from_samples((), devices.probe(str(image), regions).samples)
    assert [(f.offset, f.type, f.uuid) for f in found] == [(GIB, "ceph_bluestore", "11111111-2222-3333-4444-555555555555")]
    devices.zero(str(image), regions)
    assert from_samples((), devices.probe(str(image), regions).samples) == ()
    assert devices.probe(str(image), [Region(GIB + 4096, 21)]).samples[0].head == b"data of somebody else"
    assert image.stat().st_size == 2 * GIB


def test_a_device_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match=r"Could not open .*: No such file"):
        BlockDevices().probe(str(tmp_path / "gone"), [])
    with pytest.raises(BackendFailed, match=r"Could not open .* for writing"):
        BlockDevices().zero(str(tmp_path / "gone"), [])


def test_loop_devices_and_mappings_hold_their_disk(tmp_path: Path) -> None:
    tree(
        tmp_path / "block",
        {
            "sda/holders/dm-4/dev": b"",
            "dm-4/dm/name": b"ceph--a-osd\n",
            "dm-4/dm/uuid": b"LVM-abc\n",
            "sda/sda1/partition": b"1\n",
            "loop0/loop/backing_file": b"/dev/sda1\n",
            "loop1/loop/backing_file": b"/var/lib/image\n",
            "loop2/size": b"0\n",
        },
    )
    block = BlockDevices(sys_block=str(tmp_path / "block")).inventory(["sda"])["sda"]
    assert block.holders == ("dm-4", "loop0")
    assert block.mappings == {"dm-4": ("ceph--a-osd", "LVM-abc")}


def test_a_disk_that_an_osd_has_locked_is_busy(image: Path) -> None:
    with image.open("r+b") as osd:
        fcntl.flock(osd, fcntl.LOCK_EX)
        assert BlockDevices().probe(str(image), []).busy
    assert not BlockDevices().probe(str(image), []).busy


def test_a_mark_is_the_first_bytes(image: Path) -> None:
    BlockDevices().mark(str(image), b"mark")
    with image.open("rb") as stream:
        assert stream.read(5) == b"mark\0"
