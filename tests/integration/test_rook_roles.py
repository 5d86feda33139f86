# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's roles on the real API server with Rook's real resource definitions; no daemon of Ceph takes part here."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._rook import manifests, plan, versions

from integration.conftest import ROOT, Lab
from integration.osd_objects import run_osds
from integration.role_driver import Roles
from rook.presets import CLUSTERS
from rook.worlds import told as a_server

SCRIPT = Path(__file__).with_name("dry_run.py")
PYTHON = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}


@dataclass(frozen=True)
class Rook(Roles):
    """Rook's definitions on the shared server, and a namespace of these tests' own."""

    folder: Path
    namespace: str

    def dry_run(self, objects: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
        done = self.lab.exec(sys.executable, str(SCRIPT), stdin=json.dumps(objects), env=PYTHON)
        return dict(json.loads(done.stdout))

    def version(self) -> str:
        get = ("get", "cephcluster", "own", "-n", self.namespace, "-o", "jsonpath={.metadata.resourceVersion}")
        return self.lab.kubectl(*get, check=False).stdout


@pytest.fixture(scope="module")
def rook(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rook]:
    folder = Path(lab.env["KUBESTEAD_ROOK_MANIFESTS"])
    for name in ("crds.yaml", "csi-operator.yaml"):
        documents = [one for one in yaml.load_all((folder / name).read_text(), Loader=yaml.CSafeLoader) if one]
        crds = json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": [one for one in documents if one["kind"].startswith("CustomR")]}
        )
        lab.exec("kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=crds)
    lab.kubectl("wait", "--for=condition=Established", "crd/cephclusters.ceph.rook.io", "--timeout=60s")
    namespace = f"rook-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", namespace)
    options = {
        "kubestead_kubernetes": {"kubeconfig": lab.env["KUBECONFIG"]},
        "kubestead_ceph_namespace": namespace,
        "kubestead_rook_namespace": namespace,
        "rook_cluster_name": "own",
        "rook_cluster_mons": 1,
        "rook_cluster_mgrs": 1,
        "rook_cluster_wait": False,
        "rook_cluster_block_pools": [{"name": "own", "replicas": 2, "storage_class": {"name": namespace}}],
        "rook_operator_manifests": str(folder),
    }
    yield Rook(lab, tmp_path_factory.mktemp("rook"), options, folder, namespace)
    lab.kubectl("delete", "storageclass", namespace, "--ignore-not-found")
    lab.kubectl("delete", "namespace", namespace, "--wait=false")


def test_the_table_of_versions_is_that_of_the_release(rook: Rook) -> None:
    """What is pinned, against the files of the release itself."""
    row = versions.release()
    images = (rook.folder / "images.txt").read_text(encoding="utf-8").split()
    assert set(row.images.values()) <= set(images)
    sums = {name: hashlib.sha256((rook.folder / name).read_bytes()).hexdigest() for name in row.checksums}
    assert sums == row.checksums
    assert row.drivers_chart == row.images["csi_operator"].rpartition(":v")[2]
    assert "keyType" in (rook.folder / "crds.yaml").read_text(encoding="utf-8")


def test_the_server_takes_every_object_of_every_preset(rook: Rook) -> None:
    objects = {}
    for name, (values, found, seen) in copy.deepcopy(CLUSTERS).items():
        own = {**values, "namespace": rook.namespace, "operator_namespace": rook.namespace}
        objects[name] = plan.cluster_plan(own, found, seen)["objects"]
    values, found, seen = copy.deepcopy(CLUSTERS["a single node"])
    tls = {**values, "namespace": rook.namespace, "object_stores": [{"name": "s", "secure_port": 443}]}
    objects["a store with TLS"] = plan.cluster_plan(tls, found, seen)["objects"]
    told = rook.dry_run(objects)
    assert told == {name: [] for name in objects}
    assert sum(len(some) for some in objects.values()) > 40


def test_the_dry_run_does_refuse(rook: Rook) -> None:
    values, found, seen = copy.deepcopy(CLUSTERS["a single node"])
    wrong = plan.cluster_plan({**values, "namespace": rook.namespace, "spec": {"mon": {"cuont": 1}}}, found, seen)["cluster"]
    assert "cuont" in rook.dry_run({"wrong": [wrong]})["wrong"][0]


def test_rooks_manifests_can_be_made_for_other_namespaces_and_a_mirror(rook: Rook) -> None:
    texts = [(rook.folder / name).read_text(encoding="utf-8") for name in versions.release().checksums]
    made = manifests.operator_manifests(texts, rook.namespace, "default", "mirror:5000")
    manifests.check_install(made, "", a_server(operator_image=None))
    assert all(image.startswith("mirror:5000/") for image in made["images"])
    assert len(made["images"]) == 9
    own = [one for one in json.loads(made["objects"]) if one["kind"] in ("Deployment", "ConfigMap", "Driver", "OperatorConfig")]
    names = {"Driver": "drivers", "OperatorConfig": "operatorconfigs"}
    assert {one["metadata"]["namespace"] for one in own} == {rook.namespace}
    assert rook.dry_run({"own": [one for one in own if one["kind"] not in names]})["own"] == []
    assert rook.dry_run({"own": [one for one in own if one["kind"] in names]})["own"] == []


def test_a_cluster_is_made_and_a_second_run_changes_nothing(rook: Rook) -> None:
    announced = rook.play("rook_cluster", "--check")
    assert announced[0] == 0, announced[2]
    assert rook.version() == ""
    status, changed, failed, _shown = rook.play("rook_cluster")
    assert (status, changed) == (0, 1), failed
    version = rook.version()
    status, changed, failed, _shown = rook.play("rook_cluster")
    assert (status, changed) == (0, 0), failed
    assert rook.version() == version
    kinds = "cephblockpool,deployment"
    told = rook.lab.kubectl("get", kinds, "-n", rook.namespace, "-o", "jsonpath={.items[*].metadata.name}").stdout.split()
    assert told == ["own", "rook-ceph-tools"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": ["node1", "node2", "node9"]}, "'node9'"),
        ({"rook_cluster_data_dir": "/opt/rook"}, "rook_cluster_data_dir"),
        ({"rook_cluster_spec": {"mon": {"cuont": 3}}}, "spec.mon.cuont"),
    ],
    ids=["unknown node", "data dir", "unknown field"],
)
def test_the_role_refuses_before_it_writes(rook: Rook, change: dict[str, Any], words: str) -> None:
    version = rook.version()
    assert version
    status, changed, failed, _shown = rook.play("rook_cluster", **change)
    assert (status != 0, changed) == (True, 0)
    assert words in failed
    assert rook.version() == version


def test_waiting_in_vain_says_why(rook: Rook) -> None:
    """The status is what a true operator wrote about another cluster; here nobody looks after it."""
    recorded = json.loads((ROOT / "tests/unit/fixtures/rook/cluster_ready_but_osd_down.json").read_text(encoding="utf-8"))
    generation = int(
        rook.lab.kubectl("get", "cephcluster", "own", "-n", rook.namespace, "-o", "jsonpath={.metadata.generation}").stdout
    )
    recorded["status"].update(observedGeneration=generation)
    patch = ("patch", "cephcluster", "own", "-n", rook.namespace, "--subresource=status", "--type=merge", "-p")
    rook.lab.kubectl(*patch, json.dumps({"status": recorded["status"]}))
    status, changed, failed, shown = rook.play(
        "rook_cluster", rook_cluster_wait=True, rook_cluster_wait_timeout=8, rook_cluster_max_status_age=100_000_000
    )
    assert (status != 0, changed) == (True, 0)
    assert "phase Ready, 1 of 2 OSDs running, health HEALTH_ERR" in shown[0]
    for words in (
        "1 of 2 OSDs answer",
        "/dev/osds/osd1 on node1: there is no OSD",
        "MGR_MODULE_ERROR",
        "ctrlplugin is missing",
    ):
        assert words in failed
    assert "AUTH_INSECURE" not in failed
    assert "restart the operator" in failed


def test_a_cluster_that_serves_is_let_through(rook: Rook) -> None:
    """The same status, fresh and without the failed module, and an OSD that is ready on each device."""
    recorded = json.loads((ROOT / "tests/unit/fixtures/rook/cluster_ready_but_osd_down.json").read_text(encoding="utf-8"))
    generation = int(
        rook.lab.kubectl("get", "cephcluster", "own", "-n", rook.namespace, "-o", "jsonpath={.metadata.generation}").stdout
    )
    ceph = recorded["status"]["ceph"]
    details = {name: None if name.startswith("MGR") else told for name, told in ceph["details"].items()}
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    ceph.update(health="HEALTH_WARN", details=details, lastChecked=stamp, versions={"osd": {"ceph version 20.2.4": 2}})
    recorded["status"].update(observedGeneration=generation)
    patch = ("patch", "cephcluster", "own", "-n", rook.namespace, "--subresource=status", "--type=merge", "-p")
    rook.lab.kubectl(*patch, json.dumps({"status": {**recorded["status"], "ceph": {**ceph, "versions": {"osd": None}}}}))
    rook.lab.kubectl(*patch, json.dumps({"status": recorded["status"]}))
    run_osds(rook.lab, rook.namespace, [(node, "/dev/osds/osd1") for node in ("node1", "node2")])
    options = {"rook_cluster_wait": True, "rook_cluster_wait_timeout": 60, "rook_cluster_wait_for_drivers": False}
    status, changed, failed, shown = rook.play("rook_cluster", **options)
    assert (status, changed) == (0, 0), failed
    assert shown[-1] == "phase Ready, 2 of 2 OSDs running, health HEALTH_WARN"


def test_manifests_that_are_not_the_expected_ones_are_refused(rook: Rook, tmp_path: Path) -> None:
    for name in versions.release().checksums:
        (tmp_path / name).write_text((rook.folder / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "common.yaml").write_text("# changed\n", encoding="utf-8")
    for source in (str(tmp_path), served(rook.lab, tmp_path)):
        status, changed, failed, _shown = rook.play("rook_operator", rook_operator_manifests=source)
        assert (status != 0, changed) == (True, 0)
        assert "common.yaml has the SHA-256" in failed


@dataclass(frozen=True)
class Teardown:
    """A teardown of the cluster of these tests that was told of another operator than its classes name."""

    rook: Rook

    def play(self, *options: str) -> tuple[int, int, str, list[str]]:
        wanted = {"rook_teardown_confirm": "own", "rook_teardown_name": "own", "kubestead_rook_namespace": "default"}
        kept = {"rook_teardown_operator": False, "rook_teardown_disks": False}
        return self.rook.play("rook_teardown", *options, **wanted, **kept)

    def classes(self) -> list[str]:
        return self.rook.lab.kubectl("get", "storageclass", "-o", "jsonpath={.items[*].metadata.name}").stdout.split()


def test_its_classes_go_with_a_cluster_and_those_of_others_stay(rook: Rook) -> None:
    teardown = Teardown(rook)
    namespace = f"{rook.namespace}-other"
    alike = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": namespace},
        "provisioner": f"{rook.namespace}.rbd.csi.ceph.com",
        "parameters": {"clusterID": namespace},
    }
    rook.lab.exec("kubectl", "apply", "-f", "-", stdin=json.dumps(alike))
    try:
        before = set(teardown.classes())
        assert {rook.namespace, namespace} <= before
        status, changed, failed, shown = teardown.play("--check")
        assert status == 0 and changed > 0, failed
        assert f"StorageClass {rook.namespace}" in shown[0] and f"StorageClass {namespace}" not in shown[0]
        assert set(teardown.classes()) == before
        status, _changed, failed, _shown = teardown.play()
        assert status == 0, failed
        assert set(teardown.classes()) == before - {rook.namespace}
        status, changed, failed, _shown = teardown.play()
        assert (status, changed) == (0, 0), failed
    finally:
        rook.lab.kubectl("delete", "storageclass", namespace, "--ignore-not-found")


def served(lab: Lab, folder: Path) -> str:
    """The URL of a folder, by a server in the lab that ends by itself."""
    port = 8080 + os.getpid() % 1000
    server = (
        "timeout",
        "300",
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
        str(port),
    )
    lab.exec("sh", "-c", '"$@" >/dev/null 2>&1 </dev/null &', "sh", *server)
    url = f"http://127.0.0.1:{port}"
    lab.exec(
        "curl", "--silent", "--fail", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "--output", "/dev/null", url
    )
    return url
