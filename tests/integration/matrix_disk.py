# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spare disk of a node that any content is put onto, the tasks about it, and what the tests look at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from integration import signatures, spare_disks
from integration.conftest import ROOT
from integration.node_driver import NodeDriver
from kubestead_lab.settings import lab_from

NODE, LETTER = "node2", "f"
DEVICE = f"/dev/ubd{LETTER}"
SERIAL = f"MATRIX-DISK-{LETTER}"
# LVM leaves the legs of real multipath alone by itself.
NO_LEGS = """test ! -e /etc/lvm/lvmlocal.conf || mv /etc/lvm/lvmlocal.conf /etc/lvm/lvmlocal.conf.kept
echo 'devices { global_filter = [ "r|^/dev/ubd[fi]$|" ] }' >/etc/lvm/lvmlocal.conf"""
# Nobody has the disks open any more when their images are changed from outside; udev looks at a disk after every write.
GONE = """umount -q /mnt
rm -f /etc/lvm/lvmlocal.conf; test ! -e /etc/lvm/lvmlocal.conf.kept || mv /etc/lvm/lvmlocal.conf.kept /etc/lvm/lvmlocal.conf
test "$(ls /dev/mapper /dev/md* 2>/dev/null | grep -v :)" != control || exec udevadm settle --timeout=20
for group in $(vgs --noheadings -o vg_name 2>/dev/null | grep -E 'matrix|ceph-'); do vgchange -q -an $group; done
for mapping in ceph--gone-osd mpatha mpathg; do dmsetup remove $mapping 2>/dev/null; done
for array in /dev/md12?; do test ! -b $array || mdadm -q --stop $array; done
udevadm settle --timeout=20"""


class MatrixDisk:
    """One spare disk of a node, whose content is put there from outside."""

    def __init__(self, driver: NodeDriver, console: Path, image: Path, letter: str = LETTER) -> None:
        self.letter = letter
        self.device = f"/dev/ubd{letter}"
        self.serial = f"MATRIX-DISK-{letter}"
        self.driver = driver
        self.image = image
        self._ssh = driver.ssh
        self.console = console
        self._base = image.with_suffix(".base")

    def plug(self) -> None:
        self.unplug()
        spare_disks.plug(self.console, self.letter, self.image, self.serial)
        self.driver.shell("udevadm settle --timeout=20")

    def swap(self, image: Path, serial: str) -> None:
        """Waits until the node asks for it, then puts another disk in the place of this one."""
        ssh = [*self._ssh, "for n in $(seq 150); do test -e /run/swap && exit 0; sleep 0.2; done; exit 1"]
        subprocess.run(ssh, check=True, stdin=subprocess.DEVNULL, timeout=60)
        spare_disks.unplug(self.console, self.letter, self.image)
        spare_disks.plug(self.console, self.letter, image, serial)
        subprocess.run([*self._ssh, "udevadm settle; rm /run/swap"], check=True, stdin=subprocess.DEVNULL, timeout=60)

    def unplug(self) -> None:
        self.driver.shell(GONE, check=False)
        spare_disks.unplug(self.console, self.letter, self.image)
        self._base.unlink(missing_ok=True)

    def fill(self, maker: signatures.Maker = lambda _image: None) -> None:
        """A blank disk, then what the maker makes."""
        self.driver.shell(GONE, check=False)
        self.put(maker)
        self.driver.ask("reread", paths=[self.device])

    def put(self, maker: signatures.Maker) -> None:
        """The same, of which the node is not told yet. The node's kernel holds a lock on the image, which some makers mind."""
        fresh = self.image.with_suffix(".new")
        with fresh.open("wb") as stream:
            stream.truncate(spare_disks.DISK_BYTES)
        maker(fresh)
        self._overwrite(fresh)
        fresh.unlink()

    def keep(self) -> None:
        """Remembers the disk's content for ``back``."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(self._base)], check=True)

    def back(self) -> None:
        """The remembered content again, whatever LVM had there."""
        self.driver.shell(GONE, check=False)
        self._overwrite(self._base)
        self.driver.ask("reread", paths=[self.device])

    def _overwrite(self, content: Path) -> None:
        """Put the data of another image into this one, and holes where that one has them."""
        os.truncate(self.image, 0)
        with content.open("rb") as source, self.image.open("r+b") as target:
            target.truncate(spare_disks.DISK_BYTES)
            for begin, end in _data(source.fileno()):
                source.seek(begin)
                target.seek(begin)
                shutil.copyfileobj(_Part(source, end - begin), target)

    def fingerprint(self) -> str:
        self.driver.shell("sync")
        return spare_disks.fingerprint(self.image)

    def run(self, *, fails: bool = False, **request: Any) -> dict[str, Any]:
        answer = self.driver.ask("run", **request)
        errors = [entry["error"]["msg"] for entry in answer["entries"] if "error" in entry]
        assert bool(errors) == fails, errors
        return answer

    def info(self, **disk: Any) -> dict[str, Any]:
        answer = self.driver.ask("info", params={"disks": [{**task()["disks"][0], **disk}], "node_name": NODE})
        entry: dict[str, Any] = answer["entries"][0]
        return entry

    def consent(self, **disk: Any) -> dict[str, Any]:
        found = self.info(**disk)
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


@contextmanager
def matrix_disks(*letters: str) -> Iterator[list[MatrixDisk]]:
    """Disks plugged into the node for a while, and the process on the node."""
    nodes = lab_from(os.environ, ROOT).nodes
    folder = nodes / "spare"
    folder.mkdir(exist_ok=True)
    driver = NodeDriver(nodes / "ssh_config", NODE)
    disks = [MatrixDisk(driver, nodes / "uml" / NODE, folder / f"matrix-{letter}.img", letter) for letter in letters]
    try:
        for disk in disks:
            disk.plug()
        yield disks
    finally:
        for disk in disks:
            disk.unplug()
        driver.close()


def entry(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer["entries"] if row["name"] == name)
    return found


def signatures_on(image: Path) -> list[dict[str, Any]]:
    done = subprocess.run(["wipefs", "--no-act", "--json", str(image)], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "{}").get("signatures", [])
    return found
