# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Ceph cluster that serves back to blank disks, by the playbook.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from integration.ceph_driver import Ceph
from integration.conftest import LAB, MODULE_MAIN, ROOT, ModuleRun, ansible_env, call_in
from integration.plays import PlayRun
from integration.site_books import Books
from kubestead_lab.settings import lab_from

pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.timeout(1800)]

NODES = ("node1", "node2")
NS = "rook-ceph"
CLUSTER = ("cephcluster", "rook-ceph", "-n", NS)
CLAIM = "PersistentVolumeClaim default/kst-data"
# What a provisioner would have made.
VOLUME = f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: kst-data}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 1Gi}}
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ceph-block
  csi: {{driver: {NS}.rbd.csi.ceph.com, volumeHandle: x, volumeAttributes: {{clusterID: {NS}}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: kst-data, namespace: default}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ceph-block
  volumeName: kst-data
  resources: {{requests: {{storage: 1Gi}}}}
"""
# What stays for ever of a cluster whose operator was removed first.
ORPHANS = f"""
apiVersion: ceph.rook.io/v1
kind: CephBlockPool
metadata: {{name: orphan, namespace: {NS}, finalizers: [cephblockpool.ceph.rook.io]}}
spec: {{replicated: {{size: 2}}}}
---
apiVersion: ceph.rook.io/v1
kind: CephCluster
metadata: {{name: rook-ceph, namespace: {NS}, finalizers: [cephcluster.ceph.rook.io]}}
spec: {{dataDirHostPath: /var/lib/rook, cleanupPolicy: {{confirmation: yes-really-destroy-data}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: rook-ceph-mon, namespace: {NS}, finalizers: [ceph.rook.io/disaster-protection]}}
"""


class Site:
    """The lab with a cluster on it, and the playbooks as a user runs them."""

    def __init__(self, books: Books) -> None:
        self.lab, self.play, self._folder = books.lab, books.play, books.folder

    def consents(self) -> dict[str, Any]:
        """What a look at the disks says, as variables."""
        disks = [{"id": name, "device": f"/dev/ubd{letter}"} for name, letter in (("first", "b"), ("second", "c"))]
        arguments = json.dumps({"disks": disks, "node_name": "{{ inventory_hostname }}"})
        tree, inventory = self._folder / "disks", self.lab.env["KUBESTEAD_LAB_INVENTORY"]
        module = ["-m", "kubestead.platform.lvm_ceph_disk_info", "-a", arguments, "--tree", str(tree)]
        self.lab.exec("ansible", "-i", inventory, "kubestead_nodes", *module, env=ansible_env())
        found = {node: json.loads((tree / node).read_text(encoding="utf-8"))["entries"] for node in NODES}
        rows = {
            node: [{"id": row["name"], "seen": row["seen"], "osd_fsids": row["osd_fsids"]} for row in entries]
            for node, entries in found.items()
        }
        wipes = "{{ {'wipe': wipes[inventory_hostname] | default([])} }}"
        return {"wipes": rows, "kubestead_teardown_consent": wipes}

    def get(self, *what: str) -> str:
        """Names of objects, or nothing where there are none."""
        return self.lab.kubectl("get", *what, "--ignore-not-found", "-o", "name", check=False).stdout.strip()

    def on_nodes(self, script: str) -> list[str]:
        return [self.lab.exec("ssh", node, script, check=False).stdout.strip() for node in NODES]

    def labels(self) -> list[str]:
        """Where an image of a node's disk holds a label of BlueStore's, on the disk itself or where a volume began."""
        nodes = lab_from(self.lab.env, ROOT).nodes
        places = [begin + (gibibyte << 30) for begin in (0, 1 << 20) for gibibyte in (0, 1, 10)]
        found = []
        for image in [nodes / f"{node}-disk{number}.img" for node in NODES for number in (1, 2)]:
            with image.open("rb") as stream:
                for place in places:
                    stream.seek(place)
                    found += [f"{image.name}:{place}"] if b"bluestore" in stream.read(4096) else []
        return found


@pytest.fixture(scope="module")
def site(deployed: Books) -> Site:
    """A healthy cluster with somebody's claim in it."""
    deployed.lab.exec("kubectl", "apply", "-f", "-", stdin=VOLUME)
    return Site(deployed)


@pytest.fixture(scope="module")
def consents(site: Site) -> dict[str, Any]:
    return site.consents()


@pytest.fixture
def teardown(site: Site) -> Callable[..., ModuleRun]:
    """The module alone."""

    def run(*, check: bool = False, **options: Any) -> ModuleRun:
        arguments = {"kubeconfig": site.lab.env["KUBECONFIG"], **options}
        return call_in(site.lab, "rook_teardown", {**arguments, "_ansible_check_mode": check})

    return run


CLUSTER_GOES, DISKS_GO = "Apply | Take the cluster away with all that stands on it", "Nodes | Erase the disks"


def entries(run: PlayRun, task: str) -> list[tuple[str, str, str]]:
    """Kind, name and action of everything that a task reports, of all hosts."""
    return [
        (entry["kind"], entry["name"], entry["action"])
        for name, result in run.tasks()
        if name.endswith(task)
        for entry in result["entries"]
    ]


def test_nothing_goes_before_every_disk_is_named(site: Site) -> None:
    run = site.play("teardown_rook", rook_teardown_confirm="rook-ceph", rook_teardown_consumers=[CLAIM])
    told = " ".join(run.failures())
    assert run.status != 0
    for node in NODES:
        assert f"Nothing was taken away: the disks of {node} may not be erased" in told
    assert told.count("consent: {wipe: [{id: ") == 4
    assert "localhost" not in run.recap()
    assert site.get("cephblockpool,storageclass", "-n", NS)


def test_without_the_name_or_with_somebodys_data_in_it_the_cluster_stays(
    site: Site, teardown: Callable[..., ModuleRun]
) -> None:
    unnamed = teardown()
    assert "and confirm is ''" in unnamed["msg"]
    assert "1 CephBlockPool" in unnamed["msg"]
    consumed = teardown(confirm="rook-ceph")
    assert f"{CLAIM} holds data in this cluster." in consumed["msg"]
    assert {entry["action"] for entry in consumed["entries"]} == {"failed", "skipped"}
    assert not consumed["changed"]
    assert site.get(*CLUSTER)
    deleted = site.lab.kubectl("get", *CLUSTER, "-o", "jsonpath={.metadata.deletionTimestamp}").stdout
    assert deleted == ""


def test_a_run_that_is_killed_is_finished_by_the_next_as_a_check_run_foretold(site: Site, consents: dict[str, Any]) -> None:
    options = {**consents, "rook_teardown_confirm": "rook-ceph", "rook_teardown_consumers": [CLAIM]}
    foretold = site.play("teardown_rook", "--check", **options)
    assert foretold.status == 0, foretold.failures()
    assert site.get("cephblockpool", "-n", NS)
    kill_while_the_pool_goes(site)
    assert site.get(*CLUSTER)
    done = site.play("teardown_rook", **options)
    assert done.status == 0, done.failures()
    planned, found = entries(foretold, CLUSTER_GOES), entries(done, CLUSTER_GOES)
    assert ("CephCluster", f"{NS}/rook-ceph", "removed") in found
    assert set(found) <= set(planned)
    assert entries(done, DISKS_GO) == entries(foretold, DISKS_GO)
    assert {action for _kind, _name, action in entries(done, DISKS_GO)} == {"removed"}


def kill_while_the_pool_goes(site: Site) -> None:
    """The module as the playbook runs it, ended while it waits: the operator is asleep, so the pool cannot go."""
    arguments = {"kubeconfig": site.lab.env["KUBECONFIG"], "confirm": "rook-ceph", "consumers": [CLAIM]}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".cache" / "collections")}
    command, quiet = [str(LAB), "exec", "--", sys.executable, str(MODULE_MAIN)], subprocess.DEVNULL
    with Ceph(site.lab).operator_asleep():
        run = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, text=True, start_new_session=True
        )
        assert run.stdin is not None
        run.stdin.write(json.dumps({"module": "rook_teardown", "arguments": arguments}))
        run.stdin.close()
        deadline = time.monotonic() + 300
        goes = ("get", "cephblockpool", "-n", NS, "-o", "jsonpath={.items[*].metadata.deletionTimestamp}")
        while not site.lab.kubectl(*goes).stdout:
            assert run.poll() is None, "the run ended before the pool was to go"
            assert time.monotonic() < deadline, "the pool stays"
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)


def test_afterwards_the_nodes_are_blank_and_a_second_run_changes_nothing(site: Site, consents: dict[str, Any]) -> None:
    assert site.on_nodes("lvs --noheadings; wipefs --no-act --noheadings /dev/ubdb /dev/ubdc; ls -d /var/lib/rook") == ["", ""]
    assert site.labels() == []
    assert site.get("deployment,pod,secret,configmap,pvc", "-n", NS) == "configmap/kube-root-ca.crt"
    assert site.get("storageclass", "ceph-block") == ""
    assert site.get("pv", "kst-data") == ""
    assert site.get("crd", "cephclusters.ceph.rook.io")
    options = {**consents, "rook_teardown_confirm": "rook-ceph", "rook_teardown_consumers": [CLAIM]}
    again = site.play("teardown_rook", **options)
    assert again.status == 0, again.failures()
    assert {numbers["changed"] for numbers in again.recap().values()} == {0}
    next_one = site.play("prepare_disks", "--check")
    assert next_one.status == 0, next_one.failures()
    made = [entry for _task, result in next_one.tasks() for entry in result.get("entries", []) if "action" in entry]
    assert {entry["verdict"] for entry in made if entry["kind"] == "disk"} == {"blank"}


def test_what_an_operator_left_that_is_gone_is_finished_without_it(site: Site, teardown: Callable[..., ModuleRun]) -> None:
    site.lab.exec("kubectl", "apply", "-f", "-", stdin=ORPHANS)
    site.lab.kubectl("delete", "cephblockpool", "orphan", "-n", NS, "--wait=false")
    done = teardown(confirm="rook-ceph", wait_timeout=60)
    assert not done.status, done.output
    released = {entry["kind"]: entry["released"] for entry in done["entries"] if "released" in entry}
    assert released == {
        "CephBlockPool": ["cephblockpool.ceph.rook.io"],
        "CephCluster": ["cephcluster.ceph.rook.io"],
        "Secret": ["ceph.rook.io/disaster-protection"],
    }
    assert site.get("cephblockpool,cephcluster,secret", "-n", NS) == ""
    again = teardown(confirm="rook-ceph")
    assert (again["changed"], again.actions()) == (False, {f"{NS}/rook-ceph": "unchanged"})
