# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node_disks on a real node, from a used disk over a reboot back to blank disks. The tests follow one another."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import spare_disks
from integration.conftest import LAB, ROOT, Lab
from kubestead_lab.settings import lab_from

pytestmark = [pytest.mark.nodes, pytest.mark.slow]

NODE = "node1"
LABEL = r"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
GROUPS = [
    {"name": "kst-bulk", "disks": ["first"], "split": 2, "device_class": "hdd"},
    {"name": "kst-fast", "disks": ["second"], "split": 2, "device_class": "ssd", "metadata_for": "kst-bulk"},
]


class Place:
    """A node's own two disks, the role, and the modules."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self._nodes = lab_from(os.environ, ROOT).nodes
        self._folder = folder
        disks = [{"id": name, "match": {"serial": f"{NODE.upper()}-DISK{n}"}} for n, name in enumerate(("first", "second"), 1)]
        self.wanted: dict[str, Any] = {"disks": disks, "volume_groups": GROUPS, "node_name": NODE}

    def shell(self, script: str) -> str:
        return self.lab.exec("ssh", "-F", str(self._nodes / "ssh_config"), NODE, "sh", stdin=script).stdout

    def role(self, **variables: Any) -> subprocess.CompletedProcess[str]:
        """The playbook of the role; its output is in YAML."""
        given = {"kubestead_disks": self.wanted["disks"], "kubestead_volume_groups": GROUPS, "kubestead_node_name": NODE}
        inventory = self.lab.env["KUBESTEAD_LAB_INVENTORY"]
        command = ["ansible-playbook", "kubestead.platform.prepare_disks", "-i", inventory, "--limit", NODE]
        return self.lab.exec(*command, "-e", json.dumps({**given, **variables}), check=False)

    def module(self, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """One run of a module; its result."""
        inventory, tree = self.lab.env["KUBESTEAD_LAB_INVENTORY"], self._folder / name
        arguments = ["-i", inventory, NODE, "-m", f"kubestead.platform.{name}", "-a", json.dumps(wanted), "--tree", str(tree)]
        self.lab.exec("ansible", *arguments)
        found: dict[str, Any] = json.loads((tree / NODE).read_text(encoding="utf-8"))
        return found

    def images(self) -> list[str]:
        self.shell("sync")
        return [spare_disks.fingerprint(self._nodes / f"{NODE}-disk{number}.img") for number in (1, 2)]

    def consent(self) -> dict[str, Any]:
        entries = self.module("lvm_ceph_disk_info", {"disks": self.wanted["disks"], "node_name": NODE})["entries"]
        rows = [{"id": row["name"], "seen": row["seen"], "osd_fsids": row["osd_fsids"]} for row in entries if row["seen"]]
        return {"wipe": rows}


@pytest.fixture(scope="module")
def place(fresh_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(fresh_lab, tmp_path_factory.mktemp("node-disks"))
    before = found.images()
    yield found
    found.module("lvm_ceph_disk", {**found.wanted, "consent": found.consent(), "state": "absent"})
    assert found.images() == before


BATCHES = """
- hosts: kubestead_nodes
  gather_facts: false
  serial: 1
  vars:
    kubestead_disks: [{id: first, match: {serial: "{{ inventory_hostname | upper }}-DISK1"}}]
    kubestead_volume_groups: [{name: kst-bulk, disks: [first], split: 1}]
    kubestead_disk_consent: "{{ consents[inventory_hostname] if consents is defined else {'wipe': []} }}"
  roles: [kubestead.platform.node_disks]
"""


def test_the_limit_of_erases_counts_over_hosts_and_batches(place: Place, tmp_path: Path) -> None:
    """In check mode, so that both disks stay what they are; the first host alone is within the limit."""
    inventory, book = place.lab.env["KUBESTEAD_LAB_INVENTORY"], tmp_path / "batches.yml"
    book.write_text(BATCHES, encoding="utf-8")
    put = f"printf '{LABEL}' | dd of=/dev/ubdb bs=1M seek=10240 conv=notrunc,fsync 2>/dev/null"
    place.lab.exec("ansible", "-i", inventory, "kubestead_nodes", "-m", "raw", "-a", put)
    try:
        arguments = json.dumps({"disks": [{"id": "first", "device": "/dev/ubdb"}]})
        look = ["-m", "kubestead.platform.lvm_ceph_disk_info", "-a", arguments, "--tree", str(tmp_path)]
        place.lab.exec("ansible", "-i", inventory, "kubestead_nodes", *look)
        found = [json.loads((tmp_path / host).read_text())["entries"][0] for host in ("node1", "node2")]
        rows = [{"id": "first", "seen": row["seen"], "osd_fsids": row["osd_fsids"]} for row in found]
        given = json.dumps({"consents": {host: {"wipe": [row]} for host, row in zip(("node1", "node2"), rows)}})
        command = ["ansible-playbook", "--check", "-i", inventory, str(book), "-e", given]
        told = " ".join(place.lab.exec(*command, check=False).stdout.split())
        assert "2 disks would be erased in this run, and node_disks_max_wipes is 1. Nothing was erased on node2." in told, told
        assert "node1 : ok=" in told.replace("  ", " ")
        assert "failed=0" in told.partition("node1 :")[2].partition("node2 :")[0]
    finally:
        place.lab.exec(
            "ansible",
            "-i",
            inventory,
            "kubestead_nodes",
            "-m",
            "raw",
            "-a",
            put.replace(f"printf '{LABEL}'", "head -c 99 /dev/zero"),
        )


def test_a_disk_that_two_hosts_show_is_refused(place: Place, tmp_path: Path) -> None:
    """Two arrays of one UUID stand for a shared LUN: their world wide names are equal."""
    inventory, book = place.lab.env["KUBESTEAD_LAB_INVENTORY"], tmp_path / "shared.yml"
    book.write_text(BATCHES.replace("serial: 1", "serial: 2"), encoding="utf-8")
    options = "--level=raid1 --force --raid-devices=1 --uuid=11111111:22222222:33333333:44444444 --run"
    make = f"modprobe raid1; mdadm -q --create /dev/md127 {options} /dev/ubdc </dev/null"
    disks = [{"id": "shared", "match": {"wwn": "md.11111111-2222-2222-3333-333344444444"}}]
    groups = [{"name": "kst-bulk", "disks": ["shared"], "split": 1}]
    place.lab.exec("ansible", "-i", inventory, "kubestead_nodes", "-m", "raw", "-a", make)
    try:
        given = json.dumps({"kubestead_disks": disks, "kubestead_volume_groups": groups})
        told = place.lab.exec("ansible-playbook", "--check", "-i", inventory, str(book), "-e", given, check=False).stdout
        words = "and another host of the play have disks of the same world wide name: md.11111111-2222-2222-3333-333344444444"
        assert f"node1 {words}" in " ".join(told.split()), told
        assert f"node2 {words}" in " ".join(told.split()), told
    finally:
        gone = "mdadm -q --stop /dev/md127; head -c 8388608 /dev/zero >/dev/ubdc; sync"
        place.lab.exec("ansible", "-i", inventory, "kubestead_nodes", "-m", "raw", "-a", gone)


def test_more_erases_than_allowed_are_refused_and_a_consented_disk_is_carved(place: Place) -> None:
    place.shell(f"printf '{LABEL}' | dd of=/dev/ubdb bs=1M seek=10240 conv=notrunc,fsync 2>/dev/null")
    given = place.consent()
    guarded = place.role(kubestead_disk_consent=given, node_disks_max_wipes=0)
    assert "1 disks would be erased in this run, and node_disks_max_wipes is 0" in " ".join(guarded.stdout.split())
    done = place.role(kubestead_disk_consent=given)
    assert done.returncode == 0, done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert any({NODE, "first", "/dev/ubdb", f"{NODE.upper()}-DISK1", "ours"} <= set(line) for line in lines), done.stdout
    again = place.role()
    assert "changed=0" in again.stdout, again.stdout


def test_the_storage_node_is_one_that_the_api_server_takes(place: Place) -> None:
    node = place.module("lvm_ceph_disk_info", {"disks": place.wanted["disks"], "node_name": NODE})["storage_node"]
    assert node["devices"] == [
        {"name": f"/dev/kst-bulk/osd{n}", "config": {"deviceClass": "hdd", "metadataDevice": f"/dev/kst-fast/db{n}"}}
        for n in (1, 2)
    ]
    manifests = Path(place.lab.env["KUBESTEAD_ROOK_MANIFESTS"]) / "crds.yaml"
    there = place.lab.kubectl("get", "crd", "cephclusters.ceph.rook.io", check=False).returncode == 0
    if not there:
        place.lab.kubectl("apply", "--server-side", "-f", str(manifests))
        place.lab.kubectl("wait", "--for=condition=Established", "crd/cephclusters.ceph.rook.io", "--timeout=60s")
    try:
        for nodes, accepted in (
            ([node], True),
            ([{**node, "devices": [{**node["devices"][0], "config": {"osdsPerDevice": 1}}]}], False),
        ):
            spec = {
                "dataDirHostPath": "/var/lib/rook",
                "storage": {"useAllNodes": False, "useAllDevices": False, "nodes": nodes},
            }
            head = {"apiVersion": "ceph.rook.io/v1", "kind": "CephCluster", "metadata": {"name": "dry", "namespace": "default"}}
            document = json.dumps({**head, "spec": spec})
            command = ("kubectl", "create", "--dry-run=server", "--validate=strict", "-f", "-")
            done = place.lab.exec(*command, stdin=document, check=False)
            assert (done.returncode == 0) == accepted, done.stderr
    finally:
        if not there:
            place.lab.kubectl("delete", "-f", str(manifests), "--wait=false")


def test_the_volumes_are_active_after_a_reboot(place: Place) -> None:
    before = place.module("lvm_ceph_disk_info", {"disks": place.wanted["disks"], "node_name": NODE})
    place.shell("sync")
    subprocess.run([str(LAB), "node", "restart", NODE], check=True, capture_output=True, timeout=240)
    place.shell("udevadm settle --timeout=60; for n in 1 2 3 4 5 6 7 8 9; do test -b /dev/kst-fast/db2 && break; sleep 1; done")
    after = place.module("lvm_ceph_disk_info", {"disks": place.wanted["disks"], "node_name": NODE})
    assert after["storage_node"] == before["storage_node"]
    assert [row["verdict"] for row in after["entries"]] == ["ours", "ours"]
    place.shell(
        "set -e; for volume in bulk/osd1 bulk/osd2 fast/db1 fast/db2; do test -b /dev/kst-$volume; done; lsmod | grep -q . || true"
    )
    assert "changed=0" in place.role().stdout
