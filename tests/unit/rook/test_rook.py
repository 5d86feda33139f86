# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Rook is told about disks, and what its object says back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import cluster, manifests, storage
from hypothesis import given
from hypothesis import strategies as st

VALUES = {
    "name": "rook-ceph",
    "namespace": "rook-ceph",
    "image": "quay.io/ceph/ceph:v20.2.4",
    "data_dir": "/var/lib/rook",
    "mons": 3,
    "mgrs": 2,
    "network": "",
    "csi_key_type": "aes",
    "spec": {},
}


def report(name: str, *devices: str) -> dict[str, Any]:
    return {"name": name, "devices": [{"name": device} for device in devices]}


def kube(*names: str) -> list[dict[str, Any]]:
    return [{"metadata": {"name": f"host-{name}", "labels": {"kubernetes.io/hostname": name}}} for name in names]


def present(*names: str) -> list[dict[str, Any]]:
    return [{"spec": {"storage": {"nodes": [{"name": name} for name in names]}}}]


def test_nodes_and_devices_are_sorted() -> None:
    found = [report("n2", "/dev/vg/b", "/dev/vg/a"), report("n1", "/dev/sdb")]
    assert storage.storage_nodes(found, [], kube("n1", "n2")) == [
        report("n1", "/dev/sdb"),
        report("n2", "/dev/vg/a", "/dev/vg/b"),
    ]


@given(st.permutations(["n1", "n2", "n3"]))
def test_the_order_of_the_hosts_does_not_matter(order: list[str]) -> None:
    found = [report(name, "/dev/vg/a") for name in order]
    assert [node["name"] for node in storage.storage_nodes(found, [], kube(*order))] == ["n1", "n2", "n3"]


def test_a_node_that_would_vanish_is_refused_unless_named() -> None:
    found = [report("n1", "/dev/vg/a")]
    with pytest.raises(Refused, match="n2"):
        storage.storage_nodes(found, present("n1", "n2"), kube("n1", "n2"))
    assert storage.storage_nodes(found, present("n1", "n2"), kube("n1"), ["n2"]) == found


def test_a_node_whose_disks_are_gone_vanishes_too() -> None:
    with pytest.raises(Refused, match="n2"):
        storage.storage_nodes([report("n1", "/dev/vg/a"), report("n2")], present("n1", "n2"), kube("n1", "n2"))


def test_a_removed_node_is_left_out_although_it_has_disks() -> None:
    found = [report("n1", "/dev/vg/a"), report("n2", "/dev/vg/a")]
    assert storage.storage_nodes(found, present("n1", "n2"), kube("n1", "n2"), ["n2"]) == found[:1]


def test_no_devices_at_all_are_refused() -> None:
    with pytest.raises(Refused, match="No node"):
        storage.storage_nodes([report("n1")], [], kube("n1"))


def test_a_name_kubernetes_does_not_know_is_refused() -> None:
    with pytest.raises(Refused, match="n2"):
        storage.storage_nodes([report("n1", "/dev/vg/a"), report("n2", "/dev/vg/a")], [], kube("n1"))


@pytest.mark.parametrize(
    ("device", "named"),
    [
        ({"name": "sdb"}, "sdb"),
        ({"name": None}, "device name"),
        ({"name": "/dev/vg/a", "config": {"journalSizeMB": "1"}}, "journalSizeMB"),
        ({"name": "/dev/vg/a", "config": {"databaseSizeMB": 1024}}, "databaseSizeMB"),
        ({"name": "/dev/sdb", "config": {"osdsPerDevice": "two"}}, "osdsPerDevice"),
        ({"name": "/dev/vg/a", "config": {"osdsPerDevice": "2"}}, "logical volume"),
        ({"name": "/dev/vg/a", "config": {"encryptedDevice": "true"}}, "logical volume"),
    ],
)
def test_what_rook_would_ignore_is_an_error(device: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        storage.storage_nodes([{"name": "n1", "devices": [device]}], [], kube("n1"))
    assert named in caught.value.sentence()


@pytest.mark.parametrize("found", [[report("n1", "/dev/a"), report("n1", "/dev/b")], [report("n1", "/dev/a", "/dev/a")]])
def test_what_is_named_twice_is_an_error(found: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput):
        storage.storage_nodes(found, [], kube("n1"))


def test_planned_osds_count_devices_and_their_shares() -> None:
    nodes = [
        {"name": "n1", "config": {"osdsPerDevice": "3"}, "devices": [{"name": "/dev/sdb"}]},
        {"name": "n2", "devices": [{"name": "/dev/vg/a"}, {"name": "/dev/sdc", "config": {"osdsPerDevice": "2"}}]},
    ]
    assert storage.planned_osds(nodes) == 6


def test_the_cluster_object() -> None:
    made = cluster.ceph_cluster(VALUES, [report("n1", "/dev/vg/a")])
    assert made["spec"]["storage"] == {"useAllNodes": False, "useAllDevices": False, "nodes": [report("n1", "/dev/vg/a")]}
    assert made["spec"]["security"] == {"cephx": {"csi": {"keyType": "aes"}}}
    assert "network" not in made["spec"]


def test_further_fields_are_laid_over() -> None:
    made = cluster.ceph_cluster({**VALUES, "spec": {"mon": {"allowMultiplePerNode": True}, "crashCollector": {}}}, [])
    assert made["spec"]["mon"] == {"count": 3, "allowMultiplePerNode": True}
    assert made["spec"]["crashCollector"] == {}


@pytest.mark.parametrize(
    "change", [{"spec": {"storage": {}}}, {"data_dir": "var"}, {"data_dir": "/a b"}, {"csi_key_type": "des"}]
)
def test_wrong_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        cluster.ceph_cluster({**VALUES, **change}, [])


def with_status(**status: object) -> dict[str, Any]:
    return {**cluster.ceph_cluster(VALUES, [report("n1", "/dev/vg/a", "/dev/vg/b")]), "status": status}


@pytest.mark.parametrize(
    ("status", "serving"),
    [
        ({}, False),
        ({"phase": "Ready"}, False),
        (
            {
                "phase": "Ready",
                "ceph": {"versions": {"osd": {"20.2.4": 1}}},
                "storage": {"osd": {"storeType": {"bluestore": 2}}},
            },
            False,
        ),
        ({"phase": "Progressing", "ceph": {"versions": {"osd": {"20.2.4": 2}}}}, False),
        ({"phase": "Ready", "ceph": {"versions": {"osd": {"20.2.4": 1, "20.2.3": 1}}}}, True),
    ],
)
def test_only_running_osds_count(status: dict[str, Any], serving: bool) -> None:
    assert cluster.ceph_progress(with_status(**status))["serving"] is serving


def test_dropped_fields_are_found() -> None:
    wanted = {"spec": {"a": 1, "b": [{"c": 1, "d": 2}], "e": None}}
    assert cluster.dropped_fields(wanted, {"spec": {"a": 2, "b": [{"c": 1}], "z": 1}}) == ["spec.b[0].d"]
    assert cluster.dropped_fields(wanted, {"spec": {"b": []}}) == ["spec.a", "spec.b"]
    assert cluster.dropped_fields(wanted, {}) == ["spec"]
    assert cluster.dropped_fields(wanted, wanted) == []


def thing(kind: str, name: str, namespace: str = "", group: str = "") -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": meta}


CRD = {
    **thing("CustomResourceDefinition", "drivers.csi.ceph.io", group="apiextensions.k8s.io"),
    "spec": {"group": "csi.ceph.io"},
}
DEPLOYMENT = {
    **thing("Deployment", "rook-ceph-operator", "rook-ceph", "apps"),
    "spec": {"template": {"spec": {"containers": [{"image": "rook/ceph:v1"}]}}},
}
DOCUMENTS = [CRD, None, thing("ClusterRole", "r"), DEPLOYMENT, thing("Driver", "d", "rook-ceph", "csi.ceph.io")]


def test_manifests_are_sorted() -> None:
    made = manifests.operator_manifests(DOCUMENTS, "rook-ceph")
    assert made["crds"] == [CRD]
    assert made["namespaces"] == [thing("Namespace", "rook-ceph")]
    assert [one["kind"] for one in made["objects"]] == ["ClusterRole", "Deployment", "Driver"]
    assert made["image"] == "rook/ceph:v1"


@pytest.mark.parametrize("documents", [[CRD], [*DOCUMENTS, thing("Role", "r", "elsewhere")], [{"kind": "Role"}]])
def test_odd_manifests_are_refused(documents: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput):
        manifests.operator_manifests(documents, "rook-ceph")


def test_a_dry_run_judges_only_what_can_exist() -> None:
    made = manifests.operator_manifests(DOCUMENTS, "rook-ceph")
    fresh = manifests.split_by_dry_run(made, [], ["default"])
    assert [one["kind"] for one in fresh["now"]] == ["ClusterRole"]
    assert fresh["later"] == ["Deployment rook-ceph-operator", "Driver d"]
    assert manifests.split_by_dry_run(made, ["drivers.csi.ceph.io"], ["rook-ceph"])["later"] == []


def test_only_an_established_definition_is_served() -> None:
    established = {**CRD, "status": {"conditions": [{"type": "Established", "status": "True"}]}}
    assert manifests.crds_not_served([CRD], [CRD]) == ["drivers.csi.ceph.io"]
    assert manifests.crds_not_served([CRD], [established]) == []
