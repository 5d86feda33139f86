# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dead disk is replaced and a node leaves, on real Ceph. The tests follow one another."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from typing import IO, Any

import pytest

from integration import spare_disks
from integration.ceph_driver import Ceph
from integration.conftest import LAB, ROOT, ansible_env, call_in
from integration.plays import PlayRun
from integration.site_books import Books
from kubestead_lab.settings import lab_from

pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.timeout(1800)]

NODE, LEAVER = "node1", "node2"
NEW = "NODE1-NEW"
GROUP, VOLUME = "stead_fast", "/dev/stead_fast/osd1"
# Copies on different OSDs, so that one node can hold them all when the other has left.
POOLS = [
    {"name": "ceph-block", "replicas": 2, "failure_domain": "osd", "storage_class": {"name": "ceph-block", "default": True}}
]
REPLACE = {"kubestead_replace_host": NODE, "kubestead_replace_disk": "first"}


class Repair:
    """Ceph on two nodes of two disks each, and what was written to it."""

    def __init__(self, books: Books) -> None:
        self._books, self.lab, self.ceph = books, books.lab, Ceph(books.lab)
        self.text = secrets.token_hex(300_000)
        self._nodes = lab_from(os.environ, ROOT).nodes
        self.disks: dict[str, Any] = {}

    def play(self, book: str, **values: Any) -> PlayRun:
        return self._books.play(book, **self.disks, **values)

    def play_until(self, wanted: str, book: str, **values: Any) -> None:
        """A run that is killed as soon as the API server tells what is wanted."""
        command = [str(LAB), "exec", "--", *self._books.command(book, **self.disks, **values)]
        environment = {**os.environ, **ansible_env()}
        with tempfile.TemporaryFile("w+") as printed:
            run = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                deadline = time.monotonic() + 300
                while wanted not in self.operator():
                    assert run.poll() is None, f"it ended by itself: {_all_of(printed)}"
                    assert time.monotonic() < deadline, _all_of(printed)
                    time.sleep(0.3)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
                run.wait()

    def module(self, name: str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """One run of a module that speaks to the API server."""
        given = {"kubeconfig": self.lab.env["KUBECONFIG"], **arguments, "_ansible_check_mode": check}
        return call_in(self.lab, name, given).result

    def shell(self, node: str, script: str) -> str:
        return self.lab.exec("ssh", node, "sh", stdin=script).stdout

    def operator(self) -> str:
        get = (
            "get",
            "deployment",
            "rook-ceph-operator",
            "-n",
            "rook-ceph",
            "-o",
            "jsonpath={.spec.replicas} {.metadata.annotations}",
        )
        return self.lab.kubectl(*get).stdout

    def osd_on(self, node: str, volume: str) -> tuple[str, str]:
        """Number and fsid."""
        return next(
            (number, one.fsid) for number, one in self.ceph.places().items() if (one.node, one.volume) == (node, volume)
        )

    def numbers(self) -> set[str]:
        return {str(number) for number in json.loads(self.ceph.command("ceph", "osd", "ls", "--format", "json"))}

    def swap(self) -> None:
        """The first disk of the node dies, and another one is put into its place."""
        number, _fsid = self.osd_on(NODE, VOLUME)
        self.lab.kubectl("scale", "deployment", "-n", "rook-ceph", f"rook-ceph-osd-{number}", "--replicas=0")
        self.ceph.wait_for("the OSD to end", lambda: self.ceph.status()["osdmap"]["num_up_osds"] == 3)
        gone = f"for n in 1 2 3 4 5 6 7 8 9; do vgchange -qq -an {GROUP} && exit 0; sleep 1; done; exit 1"
        self.ceph.wait_for("the volume to be free", lambda: self.lab.exec("ssh", NODE, gone, check=False).returncode == 0)
        image = self._nodes / f"{NODE}-disk1.img"
        spare_disks.unplug(self._nodes / "uml" / NODE, "b", image)
        spare_disks.plug(self._nodes / "uml" / NODE, "b", image, NEW)
        self.disks = _disk_list()

    def read(self) -> str:
        return self.ceph.command("rados", "--pool", "ceph-block", "get", "letter", "-")


def _all_of(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _disk_list() -> dict[str, Any]:
    """The lab's own list with the new disk's serial."""
    first = "{{ '" + NEW + "' if inventory_hostname == '" + NODE + "' else inventory_hostname | upper ~ '-DISK1' }}"
    second = "{{ inventory_hostname | upper }}-DISK2"
    return {
        "kubestead_disks": [
            {"id": "first", "match": {"serial": first}, "layout": "volumes"},
            {"id": "second", "match": {"serial": second}, "layout": "volumes"},
        ]
    }


@pytest.fixture(scope="module")
def repair(deployed: Books) -> Repair:
    found = Repair(deployed)
    found.ceph.command("rados", "--pool", "ceph-block", "put", "letter", "-", stdin=found.text)
    return found


def test_a_dead_disk_is_replaced_also_by_a_run_after_a_killed_one(repair: Repair) -> None:
    number, fsid = repair.osd_on(NODE, VOLUME)
    repair.swap()
    refused = repair.module("rook_osd", devices=[{"node": NODE, "device": VOLUME}])
    assert refused["error"]["consent"] == [{"id": int(number), "fsid": fsid}], refused
    assert number in repair.numbers()
    given = {**REPLACE, "kubestead_purge_consent": [{"id": int(number), "fsid": fsid}]}
    repair.play_until("held-replicas", "replace_disk", **given)
    assert repair.operator().startswith("0 ")
    done = repair.play("replace_disk", **given)
    assert done.status == 0, done.failures()
    assert "held-replicas" not in repair.operator()
    _number, newer = repair.osd_on(NODE, VOLUME)
    assert newer != fsid
    disk = repair.shell(NODE, f"lsblk -ndo SERIAL $(pvs --noheadings -o pv_name -S vg_name={GROUP})").strip()
    assert disk == NEW
    told = repair.ceph.status()["osdmap"]
    assert (told["num_osds"], told["num_up_osds"], told["num_in_osds"]) == (4, 4, 4)
    assert repair.read() == repair.text
    again = repair.play("replace_disk", **given)
    assert again.status == 0, again.failures()
    assert {numbers["changed"] for numbers in again.recap().values()} == {0}
    assert repair.osd_on(NODE, VOLUME)[1] == newer


def test_a_node_whose_copies_do_not_fit_elsewhere_is_refused(repair: Repair) -> None:
    """Two copies on different hosts need both; on different OSDs, one host is enough."""
    consent = repair.module("rook_osd", nodes=[LEAVER])["error"]["consent"]
    told = repair.module("rook_osd", nodes=[LEAVER], consent=consent)
    assert "the pool ceph-block keeps 2 copies on different hosts, and the rest has room for 1" in told["msg"]
    assert repair.ceph.status()["osdmap"]["num_in_osds"] == 4
    repair.ceph.command("ceph", "osd", "crush", "rule", "create-replicated", "anywhere", "default", "osd")
    for pool in json.loads(repair.ceph.command("ceph", "osd", "pool", "ls", "--format", "json")):
        repair.ceph.command("ceph", "osd", "pool", "set", pool, "crush_rule", "anywhere")
    repair.ceph.wait_for("the copies to be in their places", repair.ceph.is_clean)
    told = repair.module("rook_osd", nodes=[LEAVER], consent=consent, check=True)
    assert [entry["action"] for entry in told["entries"]] == ["updated", "updated"]
    assert repair.ceph.status()["osdmap"]["num_in_osds"] == 4


def test_a_node_leaves_with_its_disks(repair: Repair) -> None:
    given: dict[str, Any] = {"kubestead_remove_host": LEAVER, "rook_cluster_block_pools": POOLS}
    given["kubestead_purge_consent"] = repair.module("rook_osd", nodes=[LEAVER])["error"]["consent"]
    refused = repair.play("remove_node", **given)
    assert refused.status != 0
    assert "Set kubestead_disk_consent." in "".join(refused.failures()), refused.output
    assert len(repair.numbers()) == 4
    given["kubestead_disk_consent"] = {"wipe": _wipes(refused)}
    done = repair.play("remove_node", **given)
    assert done.status == 0, done.failures()
    assert len(repair.numbers()) == 2
    assert {place.node for place in repair.ceph.places().values()} == {NODE}
    assert "stead_" not in repair.shell(LEAVER, "vgs")
    get = ("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "-o", "jsonpath={.spec.storage.nodes[*].name}")
    assert repair.lab.kubectl(*get).stdout == NODE
    assert LEAVER not in repair.ceph.command("ceph", "osd", "tree")
    assert repair.read() == repair.text
    again = repair.play("remove_node", **given)
    assert again.status == 0, again.failures()
    assert {numbers["changed"] for numbers in again.recap().values()} == {0}


def _wipes(run: PlayRun) -> list[dict[str, Any]]:
    """What the refusal wants to be consented to."""
    found = [
        {"id": entry["name"], "seen": entry["seen"], "osd_fsids": entry["osd_fsids"]}
        for name, result in run.tasks()
        if name.endswith("Try to erase those that are there")
        for entry in result["entries"]
        if entry["kind"] == "disk"
    ]
    assert len(found) == 2
    return found
