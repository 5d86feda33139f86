# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions, multipath, md arrays, LVM's devices file and many volumes, on a real node.

Each case is a call of the modules' own code in one process on the node, so that many fit into minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration import spare_disks
from integration.matrix_disk import DEVICE, GONE, NO_LEGS, MatrixDisk, entry, matrix_disks, signatures_on, task

pytestmark = pytest.mark.nodes

MIB = 1 << 20
SECOND = "/dev/ubdi"
LABEL = r"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
ROWS = [{"name": "osd1", "size": "6GiB"}, {"name": "osd2", "size": "40%"}, {"name": "osd3", "size": "rest"}]
DEVICES = """
cp -a /etc/lvm/lvm.conf /etc/lvm/lvm.conf.kept
printf 'devices {\\n use_devicesfile = 1\\n}\\n' >>/etc/lvm/lvm.conf
"""
NO_DEVICES = "mv /etc/lvm/lvm.conf.kept /etc/lvm/lvm.conf; rm -rf /etc/lvm/devices"


@pytest.fixture(scope="module")
def disks() -> Iterator[list[MatrixDisk]]:
    with matrix_disks("f", "i") as found:
        yield found


@pytest.fixture
def disk(disks: list[MatrixDisk]) -> MatrixDisk:
    disks[0].fill()
    return disks[0]


@pytest.fixture(autouse=True)
def nothing_is_held(disks: list[MatrixDisk]) -> Iterator[None]:
    """Whatever a failed test leaves, the next one begins with disks that nothing holds."""
    yield
    disks[0].driver.shell(GONE, check=False)


def sliced(*rows: dict[str, str], **changes: Any) -> dict[str, Any]:
    base = task(volume_groups=[], **changes)
    base["disks"] = [{**base["disks"][0], "layout": "partitions", "partitions": list(rows or ROWS), "device_class": "nvme"}]
    return base


def sfdisk(disk: MatrixDisk) -> dict[str, Any]:
    """The table as sfdisk reads it."""
    table: dict[str, Any] = json.loads(disk.driver.shell(f"sfdisk --json {disk.device}"))["partitiontable"]
    return table


def places(disk: MatrixDisk) -> list[tuple[str, int, int]]:
    return [(row["name"], row["start"], row["size"]) for row in sfdisk(disk)["partitions"]]


def sliced_consent(disk: MatrixDisk, params: dict[str, Any]) -> dict[str, Any]:
    given = params["disks"][0]
    return disk.consent(layout="partitions", partitions=given["partitions"])


def test_partitions_are_exact_and_a_second_run_changes_nothing(disk: MatrixDisk) -> None:
    foretold = disk.run(params=sliced(), check=True)
    assert foretold["writes"] == []
    made = disk.run(params=sliced())
    assert {row["action"] for row in made["entries"]} == {"created"}
    assert made["storage_node"] == foretold["storage_node"]
    table = sfdisk(disk)
    assert table["label"] == "gpt"
    sectors = MIB // 512
    total, first, second = 20478, 6144, 20478 * 40 // 100
    assert places(disk) == [
        ("osd1", sectors, first * sectors),
        ("osd2", (1 + first) * sectors, second * sectors),
        ("osd3", (1 + first + second) * sectors, (total - first - second) * sectors),
    ]
    for device in made["storage_node"]["devices"]:
        assert device["config"] == {"deviceClass": "nvme"}
        assert disk.driver.shell(f"test -b {device['name']} && echo yes").strip() == "yes"
    paths = {f"/dev/disk/by-partuuid/{row['uuid'].lower()}" for row in table["partitions"]}
    assert paths == {device["name"] for device in made["storage_node"]["devices"]}
    before = disk.fingerprint()
    again = disk.run(params=sliced())
    assert (again["changed"], again["writes"]) == (False, [])
    assert disk.fingerprint() == before
    found = disk.driver.ask("info", params={"disks": sliced()["disks"], "node_name": "node2"})
    assert found["entries"][0]["verdict"] == "ours"
    assert found["storage_node"] == made["storage_node"]


def test_a_partition_is_added_beside_one_in_use_and_leftovers_are_seen(disk: MatrixDisk) -> None:
    disk.run(params=sliced({"name": "osd1", "size": "6GiB"}))
    before = places(disk)
    disk.driver.shell(f"mkfs.ext4 -q {DEVICE}1 && mount {DEVICE}1 /mnt")
    both = [{"name": "osd1", "size": "6GiB"}, {"name": "osd2", "size": "rest"}]
    added = disk.run(params=sliced(*both))
    assert [row["action"] for row in added["entries"]] == ["updated", "unchanged", "created"]
    assert places(disk)[0] == before[0]
    assert not disk.run(params=sliced(*both))["changed"]
    absent = sliced(*both, state="absent", consent=sliced_consent(disk, sliced(*both)))
    mounted = disk.run(params=absent, fails=True)
    assert "It is mounted at /mnt: end that first" in entry(mounted, "data")["error"]["hint"]
    disk.driver.shell(f"umount /mnt; mkfs.xfs -q -f {DEVICE}2; sync; sfdisk -q --delete {DEVICE} 2; udevadm settle")
    refused = disk.run(params=sliced(*both), fails=True)
    assert "in the place of a new partition" in entry(refused, "data")["error"]["msg"]
    assert refused["writes"] == []
    given = {"wipe": [{"id": "data", "seen": entry(refused, "data")["seen"]}]}
    done = disk.run(params=sliced(*both, consent=given))
    assert [row["action"] for row in done["entries"]] == ["updated", "unchanged", "created"]
    left = disk.driver.shell(
        f"wipefs --no-act --noheadings -O TYPE {DEVICE}1; wipefs --no-act --noheadings -O TYPE {DEVICE}2"
    ).split()
    assert left == ["ext4"], "what the other partition holds stays, what lay in the place of the new one is gone"


def test_partitioning_and_removal_are_continued_after_any_write(disk: MatrixDisk) -> None:
    disk.driver.shell(f"mkfs.ext4 -q -F {DEVICE} && sync && udevadm settle")
    points = 0
    params = sliced(consent=sliced_consent(disk, sliced()))
    disk.keep()
    whole = disk.run(params=params)
    expected = places(disk)
    for point in range(1, len(whole["writes"]) + 1):
        disk.back()
        assert disk.driver.ask("killed", params=params, kill=point)["killed"], point
        again = disk.run(params=params)
        assert places(disk) == expected, point
        assert again["storage_node"] == whole["storage_node"]
        points += 1
    absent = sliced(state="absent", consent=sliced_consent(disk, sliced()))
    disk.keep()
    whole = disk.run(params=absent)
    assert {row["action"] for row in whole["entries"]} == {"removed"}
    for point in range(1, len(whole["writes"]) + 1):
        disk.back()
        assert disk.driver.ask("killed", params=absent, kill=point)["killed"], point
        disk.run(params=absent)
        assert disk.info()["verdict"] == "blank", point
        disk.driver.shell("sync")
        assert signatures_on(disk.image) == [], point
        points += 1
    assert not disk.run(params=absent)["changed"]
    print(f"ended and continued at {points} points of partitioning")
    assert points >= 10


RACES = {
    "gets a file system": "mkfs.ext4 -q -F {device} && sync && udevadm settle",
    "is partitioned": "sgdisk --new=1:2048:+1G {device} >/dev/null && udevadm settle",
    "becomes a physical volume": "pvcreate -q {device} && udevadm settle",
}


@pytest.mark.parametrize("race", RACES)
def test_a_disk_that_changes_before_it_is_partitioned_is_refused(disk: MatrixDisk, race: str) -> None:
    told = disk.run(params=sliced(), pause=RACES[race].format(device=DEVICE), fails=True)
    assert told["writes"] == []
    assert "changed after it was looked at" in entry(told, "data")["error"]["msg"]


def test_a_table_that_changes_before_a_partition_is_added_is_refused(disk: MatrixDisk) -> None:
    disk.run(params=sliced({"name": "osd1", "size": "6GiB"}))
    change = f"sgdisk --new=0:0:+1G {DEVICE} >/dev/null && udevadm settle"
    told = disk.run(params=sliced({"name": "osd1", "size": "6GiB"}, {"name": "osd2", "size": "5GiB"}), pause=change, fails=True)
    assert told["writes"] == []
    assert "changed after it was looked at" in entry(told, "data")["error"]["msg"]


def test_a_partition_that_the_kernel_lost_is_shown_again(disk: MatrixDisk) -> None:
    disk.run(params=sliced())
    # udev reads the table anew after a write of the whole disk, and must have done so before.
    disk.driver.shell(f"udevadm settle; partx --delete --nr 2 {DEVICE}; udevadm settle; test ! -e {DEVICE}2")
    done = disk.run(params=sliced())
    assert [row["action"] for row in done["entries"]] == ["unchanged", "unchanged", "updated", "unchanged"]
    assert not disk.run(params=sliced())["changed"]


def test_two_paths_to_a_lun_are_carved_as_one_disk(disks: list[MatrixDisk], disk: MatrixDisk) -> None:
    """The kernel's own multipath target over two paths, of which one is of another make."""
    disks[1].fill()
    disk.driver.shell(NO_LEGS)
    paths = f"2 1 round-robin 0 1 1 {DEVICE} 1 round-robin 0 1 1 {SECOND} 1"
    make = f"modprobe dm-multipath; modprobe dm-round-robin; S=$(blockdev --getsz {DEVICE})"
    disk.driver.shell(
        f"{make}; echo 0 $S multipath 2 queue_mode bio 0 {paths} | dmsetup create mpatha --uuid mpath-3600508b40010"
    )
    assert disk.driver.shell(f"lsblk -n -o TYPE {DEVICE}").split() == ["disk", "mpath"]
    made = disk.run(params=task())
    assert entry(made, "data")["device"] == "/dev/mapper/mpatha"
    assert entry(made, "data")["wwn"] == "3600508b40010"
    assert "/dev/mapper/mpatha" in disk.driver.shell("pvs --noheadings -o pv_name").split()
    assert not disk.run(params=task())["changed"]
    assert spare_disks.fingerprint(disks[1].image) == spare_disks.fingerprint_of_nothing()
    refused = disk.run(params=sliced(), fails=True)
    assert "on which no partitions are made" in entry(refused, "data")["error"]["hint"]
    disk.run(params=task(consent=disk.consent(), state="absent"))


@pytest.mark.parametrize("level", ["raid1", "raid0"])
def test_an_array_of_whole_disks_is_one_disk(disks: list[MatrixDisk], disk: MatrixDisk, level: str) -> None:
    disks[1].fill()
    options = f"--level={level} --raid-devices=2 --metadata=1.2 --run {'--assume-clean ' if level == 'raid1' else ''}"
    disk.driver.shell(f"modprobe {level}; yes | mdadm -q --create /dev/md127 {options}{DEVICE} {SECOND}; udevadm settle")
    uuid = disk.driver.shell("cat /sys/block/md127/md/uuid").strip()
    raw = {"disks": [{**task()["disks"][0], "layout": "raw"}], "volume_groups": [], "node_name": "node2"}
    told = disk.run(params=raw, fails=True)
    assert (entry(told, "data")["device"], entry(told, "data")["wwn"]) == ("/dev/md127", f"md.{uuid}")
    assert f"It is a {level} array, which Rook does not take as it is" in entry(told, "data")["error"]["hint"]
    made = disk.run(params=task())
    assert entry(made, "data")["verdict"] == "blank"
    assert "/dev/md127" in disk.driver.shell("pvs --noheadings -o pv_name").split()
    assert not disk.run(params=task())["changed"]
    disk.run(params=task(consent=disk.consent(), state="absent"))
    disk.driver.shell(f"mdadm -q --stop /dev/md127; mdadm -q --zero-superblock {DEVICE} {SECOND}; udevadm settle")


def test_the_devices_file_follows(disk: MatrixDisk) -> None:
    """With LVM's devices file in use, a disk is entered when it is carved and leaves when it is erased, labels in volumes too."""
    disk.driver.shell(DEVICES)
    try:
        disk.run(params=task())
        listed = disk.driver.shell("cat /etc/lvm/devices/system.devices")
        assert f"DEVNAME={DEVICE}" in listed
        assert not disk.run(params=task())["changed"]
        disk.driver.shell(f"printf '{LABEL}' | dd of=/dev/matrix/osd1 bs=1M seek=1024 conv=notrunc,fsync 2>/dev/null")
        absent = task(consent=disk.consent(), state="absent")
        done = disk.run(params=absent)
        assert ["lvm", "lvmdevices", "--delpvid"] in [words[:3] for words in done["writes"]]
        assert f"DEVNAME={DEVICE}" not in disk.driver.shell("cat /etc/lvm/devices/system.devices")
        disk.run(params=task())  # without consent: nothing is left of the label that was in the volume
        disk.run(params=task(consent=disk.consent(), state="absent"))
    finally:
        disk.driver.shell(NO_DEVICES)


def test_two_hundred_volumes_are_read_by_one_report(disk: MatrixDisk) -> None:
    lines = "\n".join(f"lvcreate -q -an -Zn -Wn -n v{number} -l 2 matrix" for number in range(200))
    disk.driver.shell(f"pvcreate -q {DEVICE} && vgcreate -q matrix {DEVICE} && lvm >/dev/null 2>&1 <<'END'\n{lines}\nEND")
    found = disk.driver.ask("info", params={"node_name": "node2"})
    assert len(disk.driver.shell("lvs --noheadings matrix").splitlines()) == 200
    assert sorted(command[0] for command in found["commands"]) == ["lsblk", "lvm", "wipefs"]


def test_a_disk_that_grew_is_used_on_request_only(disk: MatrixDisk) -> None:
    disk.fill()
    short = spare_disks.DISK_BYTES // 2
    grown = task(volume_groups=[{"name": "matrix", "disks": ["data"], "split": 1, "grow": True}])
    disk.driver.shell(NO_LEGS)
    disk.driver.shell(f"echo 0 {short // 512} linear {DEVICE} 0 | dmsetup create mpathg --uuid mpath-3600508b4001")
    made = disk.run(params=task())
    bigger = f"echo 0 {2 * short // 512} linear {DEVICE} 0 | dmsetup load mpathg && dmsetup resume mpathg && udevadm settle"
    disk.driver.shell(bigger)
    assert not disk.run(params=task())["changed"]
    after = disk.run(params=grown)
    assert entry(after, "matrix/osd1")["action"] == "updated"
    assert entry(after, "matrix/osd1")["extents"] > 1.9 * entry(made, "matrix/osd1")["extents"]
    assert not disk.run(params=grown)["changed"]
    disk.run(params=task(consent=disk.consent(), state="absent"))
