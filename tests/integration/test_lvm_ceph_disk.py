# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk modules on a real node, through Ansible and SSH, with disks plugged in for each test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contracts.disk_scenarios import DiskScenarios, Outcome, params
from integration import spare_disks
from integration.conftest import ROOT, Lab, ModuleRun
from kubestead_lab.settings import lab_from

pytestmark = pytest.mark.nodes

NODE = "node2"
LETTERS = ("d", "e")
CLEAN = """
for volume in $(lvs --noheadings -o lv_path | grep /kst-); do umount -q $volume; done
umount -q /dev/ubdd /dev/ubde /dev/ubdd1; swapoff /dev/ubdd /dev/ubde 2>/dev/null
for group in $(vgs --noheadings -o vg_name | grep kst-); do vgremove --force --yes $group; done
udevadm settle --timeout=20
"""


class NodeBench:
    """Two spare disks of a real node."""

    node_name = NODE
    serials = ("SPARE-DISK1", "SPARE-DISK2")
    root_serial = f"{NODE.upper()}-ROOT"

    def __init__(self, lab: Lab, run_module: Callable[..., ModuleRun], folder: Path) -> None:
        self._lab = lab
        self._run = run_module
        nodes = lab_from(os.environ, ROOT).nodes
        share = f"-oControlMaster=auto -oControlPersist=60 -oControlPath={lab.env['ANSIBLE_SSH_CONTROL_PATH_DIR']}/%C"
        self._ssh = ("ssh", "-F", str(nodes / "ssh_config"), *share.split(), NODE)
        self._console = nodes / "uml" / NODE
        self._images = [folder / f"spare-{letter}.img" for letter in LETTERS]

    def plug(self) -> None:
        self.unplug()
        for letter, image, serial in zip(LETTERS, self._images, self.serials):
            spare_disks.plug(self._console, letter, image, serial)
        self.shell("udevadm settle --timeout=20")

    def unplug(self) -> None:
        self.shell(CLEAN)
        for letter, image in zip(LETTERS, self._images):
            spare_disks.unplug(self._console, letter, image)

    def shell(self, script: str) -> str:
        return self._lab.exec(*self._ssh, "sh", stdin=script).stdout

    def run(self, wanted: Mapping[str, Any], *, check: bool = False) -> Outcome:
        result = self._module("lvm_ceph_disk", {"node_name": NODE, **wanted}, check=check).result
        errors = {
            entry["name"]: f"{entry['error']['msg']} {entry['error']['hint']}".strip()
            for entry in result["entries"]
            if "error" in entry
        }
        actions = {entry["name"]: entry["action"] for entry in result["entries"]}
        return Outcome(result["changed"], actions, errors, result["storage_node"])

    def info(self) -> Mapping[str, Mapping[str, Any]]:
        result = self._module("lvm_ceph_disk_info", {"node_name": NODE}).result
        return {entry["serial"]: entry for entry in result["entries"]}

    def _module(self, name: str, wanted: Mapping[str, Any], *, check: bool = False) -> ModuleRun:
        return self._run(name, wanted, hosts=NODE, check=check, options=["-e", "ansible_pipelining=true"])

    def fingerprint(self, number: int) -> str:
        self.shell("sync")
        return spare_disks.fingerprint(self._images[number - 1])

    def volumes(self) -> Mapping[str, int]:
        text = self.shell("lvs --reportformat json --units b --nosuffix -o vg_name,lv_name,lv_size")
        rows = json.loads(text)["report"][0]["lv"]
        return {f"{row['vg_name']}/{row['lv_name']}": int(row["lv_size"]) for row in rows if row["vg_name"].startswith("kst-")}

    def put_ext4(self, number: int) -> None:
        self.shell(f"mkfs.ext4 -q -F /dev/ubd{LETTERS[number - 1]} && sync && udevadm settle --timeout=20")

    def mount(self, number: int) -> None:
        self.shell(f"mount /dev/ubd{LETTERS[number - 1]} /mnt")

    def put_label(self, volume: str) -> None:
        label = r"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
        self.shell(f"printf '{label}' | dd of=/dev/{volume} bs=1M seek=1024 conv=notrunc,fsync 2>/dev/null")

    def remove_volume(self, volume: str) -> None:
        self.shell(f"lvremove --yes {volume}")


@pytest.fixture(scope="session")
def image_folder() -> Iterator[Path]:
    """Beside the node's own disks: a path short enough for the console, on a file system with holes."""
    folder = lab_from(os.environ, ROOT).nodes / "spare"
    folder.mkdir(exist_ok=True)
    yield folder
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


@pytest.fixture
def bench(lab: Lab, run_module: Callable[..., ModuleRun], image_folder: Path) -> Iterator[NodeBench]:
    """A node with two blank disks of the test's own."""
    node = NodeBench(lab, run_module, image_folder)
    node.plug()
    yield node
    node.unplug()


class TestOnARealNode(DiskScenarios):
    """The same scenarios as on the node in memory."""


def test_a_partitioned_disk_is_refused_and_erased_with_consent(bench: NodeBench) -> None:
    bench.shell(
        "sgdisk -n1:2048:+1G /dev/ubdd >/dev/null && udevadm settle && mkfs.xfs -q /dev/ubdd1 && sync && udevadm settle"
    )
    before = bench.fingerprint(1)
    told = bench.run(params(bench)).errors["data1"]
    assert "a gpt partition table at offset 512" in told
    assert bench.fingerprint(1) == before
    seen = told.partition("seen: ")[2][:16]
    done = bench.run(params(bench, consent={"wipe": [{"id": "data1", "seen": seen}]}))
    assert set(done.actions.values()) == {"created"}
    assert "part" not in bench.shell("lsblk --noheadings --output TYPE /dev/ubdd")


def test_the_labels_and_backup_table_are_gone_after_an_erase(bench: NodeBench) -> None:
    label = r"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
    bench.shell(
        f"for at in 0 1024 10240; do printf '{label}' | dd of=/dev/ubdd bs=1M seek=$at conv=notrunc,fsync 2>/dev/null; done"
    )
    found = bench.info()[bench.serials[0]]
    assert [(row["offset"], row["type"]) for row in found["findings"]] == [
        (0, "ceph_bluestore"),
        (1 << 30, "ceph_bluestore"),
        (10 << 30, "ceph_bluestore"),
    ]
    given = {"id": "data1", "seen": found["seen"]}
    assert "counts as live" in bench.run(params(bench, consent={"wipe": [given]})).errors["data1"]
    wanted = params(bench, consent={"wipe": [{**given, "osd_fsids": found["osd_fsids"]}]})
    assert set(bench.run(wanted).actions.values()) == {"created"}
    for at in (1024, 10240):
        assert bench.shell(f"dd if=/dev/ubdd bs=1M skip={at} count=1 2>/dev/null | tr -d '\\0' | wc -c").strip() == "0"


def test_a_kernel_name_alone_is_not_enough(bench: NodeBench) -> None:
    wanted = params(
        bench,
        disks=[{"id": "data1", "device": "/dev/ubdd"}],
        volume_groups=[{"name": "kst-one", "disks": ["data1"], "split": 1}],
    )
    told = bench.run(wanted).errors["data1"]
    assert "can move to another disk" in told
    assert f"expect: {{serial: {bench.serials[0]}}}" in told


def test_a_run_ended_after_any_of_its_commands_is_continued(bench: NodeBench) -> None:
    """The states a killed run leaves: a physical volume alone, a group without volumes, a volume not yet looked into."""
    bench.run(params(bench))
    whole = dict(bench.volumes())
    bench.shell(
        "lvremove --yes kst-one/data kst-one/more kst-two; vgremove kst-two; lvchange --addtag kubestead.new kst-one/db"
    )
    done = bench.run(params(bench))
    assert "failed" not in done.actions.values()
    assert dict(bench.volumes()) == whole
    assert not bench.run(params(bench)).changed


@pytest.fixture(autouse=True)
def own_disks_untouched(lab: Lab) -> Iterator[None]:
    """The node's own disks are as they were before each test."""
    nodes = lab_from(lab.env, ROOT)
    images = [nodes.nodes / f"{NODE}-disk{number}.img" for number in (1, 2)]
    before = [spare_disks.fingerprint(image) for image in images]
    yield
    subprocess.run(["sync"], check=True)
    assert [spare_disks.fingerprint(image) for image in images] == before
