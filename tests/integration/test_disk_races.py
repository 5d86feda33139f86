# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are ended at any command, and disks that change under the module, on a real node.

Each case is a call of the modules' own code in one process on the node, so that many fit into minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration import downloads, signatures, spare_disks
from integration.matrix_disk import (
    DEVICE,
    GONE,
    LETTER,
    NO_LEGS,
    MatrixDisk,
    entry,
    matrix_disks,
    signatures_on,
    task,
    two_volumes,
)

pytestmark = pytest.mark.nodes

READING = {
    ("lsblk", "--json"),
    ("lvm", "fullreport"),
    ("wipefs", "--no-act"),
}


@pytest.fixture(scope="module")
def disk() -> Iterator[MatrixDisk]:
    downloads.signature_tools()
    with matrix_disks(LETTER) as found:
        yield found[0]


@pytest.fixture(autouse=True)
def nothing_is_held(disk: MatrixDisk) -> Iterator[None]:
    """Whatever a failed test leaves, the next one begins with a disk that nothing holds."""
    yield
    disk.driver.shell(GONE, check=False)


def test_a_run_ended_after_any_write_is_continued_to_the_same_end(disk: MatrixDisk) -> None:
    """Four runs (a blank disk, a group without volumes, a used disk with consent, the removal), each ended after each of its
    commands and writes; of the commands that LVM is told together, after each of them."""
    points = 0
    for kind in ("blank", "group", "gpt"):
        disk.fill(signatures.MAKERS.get(kind, lambda _image: None))
        if kind == "gpt":
            disk.driver.shell(f"mkfs.xfs -q -f {DEVICE}1 && sync && udevadm settle")
        if kind == "group":
            disk.run(params=two_volumes())
            disk.driver.shell("lvremove -q --yes matrix && sync && udevadm settle")
        disk.keep()
        params = task(consent=disk.consent()) if kind == "gpt" else two_volumes()
        whole = disk.run(params=params)
        state = _lvm_state(disk)
        for point in range(1, len(whole["writes"]) + 1):
            disk.back()
            assert disk.driver.ask("killed", params=params, kill=point)["killed"], point
            again = disk.run(params=params)
            assert _lvm_state(disk) == state, (kind, point)
            assert again["storage_node"] == whole["storage_node"]
            points += 1
        assert not disk.run(params=params)["changed"]
    disk.keep()
    params = task(consent=disk.consent(), state="absent")
    whole = disk.run(params=params)
    for point in range(1, len(whole["writes"]) + 1):
        disk.back()
        disk.driver.shell("vgchange -q -ay matrix")
        assert disk.driver.ask("killed", params=params, kill=point)["killed"], point
        disk.run(params=params)
        assert disk.info()["verdict"] == "blank", point
        disk.driver.shell("sync")
        assert signatures_on(disk.image) == [], point
        points += 1
    assert not disk.run(params=params)["changed"]
    print(f"ended and continued at {points} points")
    assert points >= 20


def _lvm_state(disk: MatrixDisk) -> str:
    """All that LVM has on the disk, without what is random."""
    fields = "pv_uuid,vg_name,vg_tags,lv_name,lv_size,seg_pe_ranges"
    tags = disk.driver.shell("lvs --noheadings -o lv_name,lv_tags matrix | sed 's/kubestead.vg=[^,]*//'")
    return (
        disk.driver.shell(
            f"lvs --noheadings --separator ' ' -o {fields.replace('pv_uuid,', '')} matrix; pvs -o pv_uuid {DEVICE}"
        )
        + tags
    )


RACES = {
    "gets a file system": "mkfs.ext4 -q -F {device} && sync && udevadm settle",
    "is mounted": "mkfs.ext4 -q -F {device} && mount {device} /mnt",
    "becomes a physical volume": "pvcreate -q {device} && udevadm settle",
    "gets a label": "printf 'bluestore block device\\n1111' | dd of={device} bs=1M seek=1024 conv=fsync 2>/dev/null",
}


@pytest.mark.parametrize("race", RACES)
def test_a_disk_that_changes_between_plan_and_write_is_refused(disk: MatrixDisk, race: str) -> None:
    disk.fill()
    told = disk.run(params=task(), pause=RACES[race].format(device=DEVICE), fails=True)
    assert told["writes"] == []
    assert "changed after it was looked at" in entry(told, "data")["error"]["msg"]


def test_a_disk_that_grows_between_plan_and_write_is_refused(disk: MatrixDisk) -> None:
    disk.fill()
    half = spare_disks.DISK_BYTES // 1024
    disk.driver.shell(NO_LEGS)
    disk.driver.shell(f"echo 0 {half} linear {DEVICE} 0 | dmsetup create mpathg --uuid mpath-3600508b4001")
    grow = f"echo 0 {half + 8192} linear {DEVICE} 0 | dmsetup load mpathg && dmsetup resume mpathg && udevadm settle"
    told = disk.run(params=task(), pause=grow, fails=True)
    assert told["writes"] == []
    assert "was replaced after it was looked at" in entry(told, "data")["error"]["msg"]


def test_another_disk_in_the_same_place_is_refused(disk: MatrixDisk) -> None:
    """The disk is pulled and another one plugged in between plan and write, under the same kernel name."""
    disk.fill()
    other = disk.image.with_name("other.img")
    with ThreadPoolExecutor(1) as pool:
        swapped = pool.submit(disk.swap, other, "ANOTHER-DISK")
        told = disk.run(params=task(), pause="touch /run/swap; while test -e /run/swap; do sleep 0.2; done", fails=True)
        swapped.result(timeout=60)
    assert told["writes"] == []
    assert "it is now serial ANOTHER-DISK" in entry(told, "data")["error"]["msg"]
    assert spare_disks.fingerprint(other) == spare_disks.fingerprint_of_nothing()
    spare_disks.unplug(disk.console, disk.letter, other)
    disk.plug()


def test_check_mode_runs_no_command_that_writes(disk: MatrixDisk) -> None:
    disk.fill(signatures.MAKERS["ext4"])
    params = two_volumes(consent=disk.consent())
    foretold = disk.run(params=params, check=True)
    assert {tuple(command[:2]) for command in foretold["commands"]} == READING
    assert foretold["writes"] == []
    made = disk.run(params=params)
    plain = [{name: row.get(name) for name in ("name", "action", "reason", "extents", "size")} for row in foretold["entries"]]
    assert plain == [
        {name: row.get(name) for name in ("name", "action", "reason", "extents", "size")} for row in made["entries"]
    ]
    unchanged = disk.run(params=params)
    reports = [command[:2] for command in unchanged["commands"]]
    assert sorted(reports) == [["lsblk", "--json"], ["lvm", "fullreport"]], "one report of each"
    disk.run(params=two_volumes(consent=disk.consent(), state="absent"))


LUKS = (
    "modprobe dm-crypt; echo phrase | cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {device} -; "
    "echo phrase | cryptsetup open --key-file - {device} secret"
)
HOLD = "sleep 900 >/dev/null 2>&1 & echo $! >/run/holder; sleep 0.3"
USES = {
    "swap": ("mkswap -q {device} && swapon {device}", "swapoff {device}", "is used as swap"),
    "a mounted partition": (
        "sgdisk -n1:2048:+1G {device} >/dev/null && udevadm settle && mkfs.ext4 -q {device}1 && mount {device}1 /mnt",
        "umount /mnt",
        "is mounted at /mnt",
    ),
    "an open container": (
        LUKS,
        "cryptsetup close secret",
        "is held by dm-0",
    ),
    "a volume of somebody else": (
        "pvcreate -q {device} && vgcreate -q matrix-other {device} && lvcreate -q -Wn -Zn -n data -l 9 matrix-other",
        "vgchange -q -an matrix-other",
        "and is held by dm-0",
    ),
    "a loop device": ("modprobe loop; losetup /dev/loop0 {device}", "losetup -d /dev/loop0", "is held by loop0"),
    "an array that lost a disk": (
        "modprobe raid1; yes | mdadm -q --create /dev/md126 --level=1 --raid-devices=2 --metadata=1.0 --run {device}1 missing",
        "mdadm -q --stop /dev/md126",
        "is held by md126",
    ),
    "a lock": ("flock --exclusive --close {device} " + HOLD, "kill $(cat /run/holder)", "a program holds or has locked it"),
    "a program": (
        "python3 -c 'import os, time; os.open(\"{device}\", os.O_RDWR | os.O_EXCL); time.sleep(900)' "
        + HOLD.partition(" 900 ")[2],
        "kill $(cat /run/holder)",
        "a program holds or has locked it",
    ),
    "a switch against writing": ("blockdev --setro {device}", "blockdev --setrw {device}", "is read-only"),
}


@pytest.mark.parametrize("use", USES)
def test_a_disk_in_use_or_unfit_is_refused_with_any_consent(disk: MatrixDisk, use: str) -> None:
    begin, end, words = (text.format(device=DEVICE) if "{device}" in text else text for text in USES[use])
    disk.fill()
    if "1 missing" in begin:
        disk.driver.shell(f"sgdisk -n1:2048:+6G {DEVICE} >/dev/null && udevadm settle")
    disk.driver.shell(begin)
    try:
        found = disk.info()
        assert found["verdict"] in ("in-use", "unsuitable"), found
        assert words in found["reason"]
        given = {"wipe": [{"id": "data", "seen": found["seen"] or "0123456789abcdef", "osd_fsids": found["osd_fsids"]}]}
        refused = disk.run(params=task(consent=given), fails=True)
        assert refused["writes"] == []
        assert "No consent makes this module touch such a disk" in entry(refused, "data")["error"]["hint"]
    finally:
        disk.driver.shell(end)


def test_an_erase_can_discard_the_whole_disk(disk: MatrixDisk) -> None:
    """What an erase alone leaves, far from every signature, is gone too."""
    secret, place = b"a row of a database " * 5000, (7 << 30) + (1 << 20)
    for discard in (False, True):
        disk.fill(signatures.MAKERS["ext4"])
        with disk.image.open("r+b") as stream:
            stream.seek(place)
            stream.write(secret)
        params = task(consent=disk.consent())
        params["disks"] = [{**params["disks"][0], "discard": discard}]
        made = disk.run(params=params)
        assert (["blkdiscard", DEVICE] in made["writes"]) == discard
        assert {row["action"] for row in made["entries"]} == {"created"}
        disk.driver.shell("sync")
        with disk.image.open("rb") as stream:
            stream.seek(place)
            assert (stream.read(len(secret)) == secret) != discard
