# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can lie on a disk, runs ended at any command, and disks that change under the module: on a real node.

Each case is one call of the modules' own code in one process on the node, so that many fit into minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration import downloads, signatures, spare_disks
from integration.conftest import ROOT
from integration.node_driver import NodeDriver
from kubestead_lab.settings import lab_from

pytestmark = pytest.mark.nodes

NODE, LETTER, SERIAL = "node2", "f", "MATRIX-DISK"
DEVICE = f"/dev/ubd{LETTER}"
# LVM leaves the legs of real multipath alone by itself.
NO_LEGS = f"""test ! -e /etc/lvm/lvmlocal.conf || mv /etc/lvm/lvmlocal.conf /etc/lvm/lvmlocal.conf.kept
echo 'devices {{ global_filter = [ "r|^{DEVICE}$|" ] }}' >/etc/lvm/lvmlocal.conf"""
READING = {
    ("lsblk", "--json"),
    ("pvs", "--segments"),
    ("vgs", "--reportformat"),
    ("lvs", "--reportformat"),
    ("wipefs", "--no-act"),
}
GONE = """umount -q /mnt
rm -f /etc/lvm/lvmlocal.conf; test ! -e /etc/lvm/lvmlocal.conf.kept || mv /etc/lvm/lvmlocal.conf.kept /etc/lvm/lvmlocal.conf
test "$(ls /dev/mapper)" != control || exit 0
for group in $(vgs --noheadings -o vg_name 2>/dev/null | grep -E 'matrix|ceph-'); do vgchange -q -an $group; done
for mapping in ceph--gone-osd mpatha mpathg; do dmsetup remove $mapping 2>/dev/null; done"""


class MatrixDisk:
    """One spare disk of a node, whose content is put there from outside."""

    def __init__(self, driver: NodeDriver, console: Path, image: Path) -> None:
        self.driver = driver
        self.image = image
        self._ssh = driver.ssh
        self.console = console
        self._base = image.with_suffix(".base")

    def plug(self) -> None:
        self.unplug()
        spare_disks.plug(self.console, LETTER, self.image, SERIAL)
        self.driver.shell("udevadm settle --timeout=20")

    def swap(self, image: Path, serial: str) -> None:
        """Waits until the node asks for it, then puts another disk in the place of this one."""
        ssh = [*self._ssh, "for n in $(seq 150); do test -e /run/swap && exit 0; sleep 0.2; done; exit 1"]
        subprocess.run(ssh, check=True, stdin=subprocess.DEVNULL, timeout=60)
        spare_disks.unplug(self.console, LETTER, self.image)
        spare_disks.plug(self.console, LETTER, image, serial)
        subprocess.run([*self._ssh, "udevadm settle; rm /run/swap"], check=True, stdin=subprocess.DEVNULL, timeout=60)

    def unplug(self) -> None:
        self.driver.shell(GONE, check=False)
        spare_disks.unplug(self.console, LETTER, self.image)
        self._base.unlink(missing_ok=True)

    def fill(self, maker: signatures.Maker = lambda _image: None) -> None:
        """A blank disk, then what the maker makes."""
        self.driver.shell(GONE, check=False)
        os.truncate(self.image, 0)
        os.truncate(self.image, spare_disks.DISK_BYTES)
        maker(self.image)
        self.driver.ask("reread", path=DEVICE)

    def keep(self) -> None:
        """Remembers the disk's content for ``back``."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(self._base)], check=True)

    def back(self) -> None:
        """The remembered content again, whatever LVM had there."""
        self.driver.shell(GONE, check=False)
        os.truncate(self.image, 0)
        with self._base.open("rb") as source, self.image.open("r+b") as target:
            target.truncate(spare_disks.DISK_BYTES)
            for begin, end in _data(source.fileno()):
                source.seek(begin)
                target.seek(begin)
                shutil.copyfileobj(_Part(source, end - begin), target)
        self.driver.ask("reread", path=DEVICE)

    def fingerprint(self) -> str:
        self.driver.shell("sync")
        return spare_disks.fingerprint(self.image)

    def run(self, *, fails: bool = False, **request: Any) -> dict[str, Any]:
        answer = self.driver.ask("run", **request)
        errors = [entry["error"]["msg"] for entry in answer["entries"] if "error" in entry]
        assert bool(errors) == fails, errors
        return answer

    def info(self) -> dict[str, Any]:
        answer = self.driver.ask("info", params={"disks": task()["disks"], "node_name": NODE})
        entry: dict[str, Any] = answer["entries"][0]
        return entry

    def consent(self) -> dict[str, Any]:
        found = self.info()
        return {"wipe": [{"id": "data", "seen": found["seen"], "osd_fsids": found["osd_fsids"]}]}


class _Part:
    """A file's next bytes, no more."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data


def _data(descriptor: int) -> Iterator[tuple[int, int]]:
    position = 0
    while True:
        try:
            position = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(descriptor, position, os.SEEK_HOLE)
        yield position, end
        position = end


def task(**changes: Any) -> dict[str, Any]:
    base = {
        "disks": [{"id": "data", "match": {"serial": SERIAL}}],
        "volume_groups": [{"name": "matrix", "disks": ["data"], "split": 1}],
        "node_name": NODE,
    }
    return {**base, **changes}


def two_volumes(**changes: Any) -> dict[str, Any]:
    return task(volume_groups=[{"name": "matrix", "disks": ["data"], "split": 2}], **changes)


@pytest.fixture(scope="module")
def driver() -> Iterator[NodeDriver]:
    found = NodeDriver(lab_from(os.environ, ROOT).nodes / "ssh_config", NODE)
    yield found
    found.close()


@pytest.fixture(scope="module")
def disk(driver: NodeDriver) -> Iterator[MatrixDisk]:
    nodes = lab_from(os.environ, ROOT).nodes
    folder = nodes / "spare"
    folder.mkdir(exist_ok=True)
    downloads.signature_tools()
    found = MatrixDisk(driver, nodes / "uml" / NODE, folder / "matrix.img")
    found.plug()
    yield found
    found.unplug()


def entry(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer["entries"] if row["name"] == name)
    return found


def signatures_on(image: Path) -> list[dict[str, Any]]:
    done = subprocess.run(["wipefs", "--no-act", "--json", str(image)], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "{}").get("signatures", [])
    return found


def check_refused_and_erased(disk: MatrixDisk) -> None:
    """Refused with every byte as before; erased with consent, after which no probe finds anything of it, inside or out."""
    before = disk.fingerprint()
    refused = disk.run(params=task(), fails=True)
    assert (refused["writes"], refused["changed"]) == ([], False)
    assert disk.fingerprint() == before
    found = entry(refused, "data")
    consent = {"wipe": [{"id": "data", "seen": found["seen"], "osd_fsids": found["osd_fsids"]}]}
    made = disk.run(params=task(consent=consent))
    assert {row["action"] for row in made["entries"]} == {"created"}
    inside = "wipefs --no-act --noheadings -O TYPE /dev/matrix/osd1"
    left = disk.driver.shell(f"{inside}; lsblk --noheadings --output TYPE {DEVICE}; vgchange -q -an matrix; sync")
    assert left.split()[:2] == ["disk", "lvm"], left
    assert [row["type"] for row in signatures_on(disk.image)] == ["LVM2_member"]
    with disk.image.open("rb") as stream:
        for gibibyte in (0, 1, 10):
            stream.seek(gibibyte << 30)
            assert b"bluestore" not in stream.read(4096)


@pytest.fixture(autouse=True)
def nothing_is_held(disk: MatrixDisk) -> Iterator[None]:
    """Whatever a failed test leaves, the next one begins with a disk that nothing holds."""
    yield
    disk.driver.shell(GONE, check=False)


@pytest.mark.parametrize("kind", signatures.MAKERS)
def test_what_lies_on_a_disk_is_refused_untouched_and_erased_with_consent(disk: MatrixDisk, kind: str) -> None:
    disk.fill(signatures.MAKERS[kind])
    check_refused_and_erased(disk)


def test_lvm_of_somebody_else_and_an_osd_of_another_cluster(disk: MatrixDisk) -> None:
    disk.fill()
    disk.driver.shell(f"pvcreate -q {DEVICE}")
    check_refused_and_erased(disk)
    disk.fill()
    fsid, cluster = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
    tags = f"--addtag ceph.osd_id=3 --addtag ceph.osd_fsid={fsid} --addtag ceph.cluster_fsid={cluster}"
    disk.driver.shell(f"vgcreate -q ceph-old {DEVICE} && lvcreate -q -n osd-block -l 100%FREE {tags} ceph-old")
    refused = disk.run(params=task(), fails=True)
    found = entry(refused, "data")
    assert f"OSD 3 (fsid {fsid}) of the Ceph cluster {cluster} in ceph-old/osd-block" in found["error"]["msg"]
    unnamed = disk.run(params=task(consent={"wipe": [{"id": "data", "seen": found["seen"]}]}), fails=True)
    assert f"counts as live until the consent names its OSD fsid {fsid}" in entry(unnamed, "data")["error"]["hint"]
    disk.driver.shell("exec 9<>/dev/ceph-old/osd-block; sleep 8 >/dev/null 2>&1 & sleep 0.2")
    consent = {"wipe": [{"id": "data", "seen": found["seen"], "osd_fsids": [fsid]}]}
    held = disk.run(params=task(consent=consent), fails=True)
    assert held["writes"] == [], "an OSD that runs keeps its volume open"
    disk.driver.shell("sleep 8")
    made = disk.run(params=task(consent=consent))
    assert {row["action"] for row in made["entries"]} == {"created"}
    assert disk.driver.shell("dmsetup ls | grep -c ceph; true").strip() == "0"
    disk.run(params=task(consent=disk.consent(), state="absent"))


def test_a_mapping_of_a_dead_osd_is_removed_with_consent(disk: MatrixDisk) -> None:
    disk.fill()
    uuid = "LVM-" + "a" * 32 + "b" * 32
    disk.driver.shell(f"echo 0 2097152 linear {DEVICE} 2048 | dmsetup create ceph--gone-osd --uuid {uuid}")
    refused = disk.run(params=task(), fails=True)
    assert "the device-mapper entry ceph--gone-osd of a volume group that is gone" in entry(refused, "data")["error"]["msg"]
    disk.run(params=task(consent=disk.consent()))
    assert "ceph--gone" not in disk.driver.shell("dmsetup ls")
    disk.run(params=task(consent=disk.consent(), state="absent"))


def test_a_multipath_device_is_carved_when_its_leg_is_named(disk: MatrixDisk) -> None:
    """The kernel here knows no multipath target; a linear one under multipath's name and UUID looks the same to lsblk."""
    disk.fill()
    uuid = "mpath-3600508b400105e210000900000490000"
    disk.driver.shell(NO_LEGS)
    disk.driver.shell(f"echo 0 $(blockdev --getsz {DEVICE}) linear {DEVICE} 0 | dmsetup create mpatha --uuid {uuid}")
    made = disk.run(params=task())
    assert entry(made, "data")["device"] == "/dev/mapper/mpatha"
    assert "/dev/mapper/mpatha" in disk.driver.shell("pvs --noheadings -o pv_name").split()
    assert not disk.run(params=task())["changed"]
    disk.run(params=task(consent=disk.consent(), state="absent"))


def test_a_run_ended_after_any_write_is_continued_to_the_same_end(disk: MatrixDisk) -> None:
    """Three runs (a blank disk, a used one with consent, the removal), each ended after each of its commands and writes."""
    points = 0
    for kind in ("blank", "gpt"):
        disk.fill(signatures.MAKERS.get(kind, lambda _image: None))
        if kind == "gpt":
            disk.driver.shell(f"mkfs.xfs -q -f {DEVICE}1 && sync && udevadm settle")
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
    assert spare_disks.fingerprint(other) == hashlib.sha256().hexdigest()
    spare_disks.unplug(disk.console, LETTER, other)
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
    reports = [command[0] for command in unchanged["commands"]]
    assert sorted(reports) == ["lsblk", "lvs", "pvs", "vgs", "wipefs"], "one report per command"
    disk.run(params=two_volumes(consent=disk.consent(), state="absent"))


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
