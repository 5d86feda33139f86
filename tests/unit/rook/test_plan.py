# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan of a cluster writes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import cluster, plan
from hypothesis import given
from hypothesis import strategies as st

from .presets import CLUSTERS
from .worlds import VALUES, node, recorded, report, reports, told


def made(name: str) -> dict[str, Any]:
    values, found, seen = copy.deepcopy(CLUSTERS[name])
    return plan.cluster_plan(values, found, seen)


def kinds(planned: dict[str, Any]) -> list[str]:
    return [f"{one['kind']} {one['metadata']['name']}" for one in planned["objects"]]


def thing(planned: dict[str, Any], kind: str, name: str = "") -> dict[str, Any]:
    return next(one for one in planned["objects"] if one["kind"] == kind and name in ("", one["metadata"]["name"]))


def test_everything_comes_in_an_order_in_which_it_can_be_applied() -> None:
    assert kinds(made("three nodes with everything")) == [
        "ConfigMap rook-config-override",
        "CephCluster rook-ceph",
        "CephBlockPool ceph-block",
        "CephBlockPool archive",
        "CephFilesystem shared",
        "CephFilesystemSubVolumeGroup shared-csi",
        "CephObjectStore store",
        "StorageClass ceph-block",
        "StorageClass ceph-shared",
        "StorageClass ceph-bucket",
        "Deployment rook-ceph-tools",
        "Ingress rook-ceph-mgr-dashboard",
    ]


def test_three_nodes() -> None:
    planned = made("three nodes with everything")
    spec = planned["cluster"]["spec"]
    assert spec["mon"] == {"count": 3}
    assert spec["mgr"] == {"count": 2}
    assert spec["security"] == {"cephx": {"csi": {"keyType": "aes"}}}
    assert thing(planned, "CephBlockPool")["spec"]["replicated"] == {"size": 3, "requireSafeReplicaSize": True}
    assert thing(planned, "CephFilesystemSubVolumeGroup")["spec"]["name"] == "csi"
    assert thing(planned, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == spec["cephVersion"]["image"]
    assert thing(planned, "ConfigMap")["data"]["config"] == "[global]\nosd_pool_default_size = 3\n[osd.0]\ndebug_osd = 1/5\n"
    assert planned["allowed_warnings"] == sorted(cluster.KEY_WARNINGS)


def test_one_class_is_the_default() -> None:
    planned = made("three nodes with everything")
    flags = {
        one["metadata"]["name"]: one["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
        for one in planned["objects"]
        if one["kind"] == "StorageClass"
    }
    assert flags == {"ceph-block": "true", "ceph-shared": "false", "ceph-bucket": "false"}


def test_a_single_node() -> None:
    planned = made("a single node")
    assert planned["cluster"]["spec"]["mon"] == {"count": 1, "allowMultiplePerNode": True}
    assert planned["osds"] == 3
    assert thing(planned, "CephBlockPool")["spec"]["failureDomain"] == "osd"
    assert thing(planned, "CephFilesystem")["spec"]["metadataServer"] == {"activeCount": 1}


def test_a_stretch_cluster() -> None:
    planned = made("stretched over three zones")
    assert [zone["name"] for zone in planned["cluster"]["spec"]["mon"]["stretchCluster"]["zones"]] == ["a", "b", "c"]
    assert thing(planned, "CephBlockPool")["spec"]["replicated"] == {
        "size": 4,
        "requireSafeReplicaSize": True,
        "replicasPerFailureDomain": 2,
        "subFailureDomain": "host",
    }


def test_volumes_behind_claims() -> None:
    planned = made("volumes behind claims on one node")
    volumes = [one for one in planned["objects"] if one["kind"] == "PersistentVolume"]
    assert [one["spec"]["local"]["path"] for one in volumes] == [f"/dev/disk/by-id/dm-name-data-lv{n}" for n in range(1, 5)]
    assert {one["spec"]["volumeMode"] for one in volumes} == {"Block"}
    storage = planned["cluster"]["spec"]["storage"]
    assert "nodes" not in storage
    assert [(one["name"], one["count"]) for one in storage["storageClassDeviceSets"]] == [("set1", 4)]
    assert planned["osds"] == 4
    assert "POOL_NO_REDUNDANCY" in planned["allowed_warnings"]
    assert thing(planned, "ConfigMap")["data"]["config"].splitlines()[1] == "bdev_flock_retry = 20"
    assert "mon_warn_on_pool_no_redundancy = false" in thing(planned, "ConfigMap")["data"]["config"]


def test_a_set_does_not_shrink() -> None:
    values, found, seen = copy.deepcopy(CLUSTERS["volumes behind claims on one node"])
    seen["cluster"] = plan.cluster_plan(values, found, seen)["cluster"]
    found[0]["devices"].pop()
    with pytest.raises(Refused, match="set1 has 4 claims and would have 3"):
        plan.cluster_plan(values, found, seen)


def test_classes_of_devices_make_sets_of_their_own() -> None:
    values, found, seen = copy.deepcopy(CLUSTERS["volumes behind claims on one node"])
    found[0]["devices"][0]["config"] = {"deviceClass": "nvme"}
    planned = plan.cluster_plan(values, found, seen)
    sets = planned["cluster"]["spec"]["storage"]["storageClassDeviceSets"]
    assert [(one["name"], one["count"]) for one in sets] == [("set1", 3), ("set-nvme", 1)]


def test_other_namespaces_name_the_drivers() -> None:
    planned = made("other namespaces, a mirror, monitoring")
    storage_class = thing(planned, "StorageClass")
    assert storage_class["provisioner"] == "rook.rbd.csi.ceph.com"
    assert storage_class["parameters"]["clusterID"] == "ceph"
    assert planned["image"] == "mirror.example.org:5000/x/ceph/ceph:v20.2.4"
    assert planned["cluster"]["spec"]["monitoring"] == {"enabled": True}
    assert planned["cluster"]["spec"]["storage"]["config"] == {"deviceClass": "ssd"}


@given(st.permutations(["n1", "n2", "n3"]))
def test_the_order_of_the_hosts_does_not_matter(order: list[str]) -> None:
    assert plan.cluster_plan(VALUES, reports(*order), told()) == plan.cluster_plan(VALUES, reports("n1", "n2", "n3"), told())


@pytest.mark.parametrize("name", CLUSTERS, ids=str)
def test_a_cluster_that_exists_as_planned_is_planned_again(name: str) -> None:
    values, found, seen = copy.deepcopy(CLUSTERS[name])
    first = plan.cluster_plan(values, found, seen)
    classes = [one for one in first["objects"] if one["kind"] == "StorageClass"]
    again = plan.cluster_plan(values, found, {**seen, "cluster": first["cluster"], "storage_classes": classes})
    assert again == first


def test_what_the_operator_writes_back_is_what_is_sent() -> None:
    """It leaves out switches that are off and adds ``resources``: the object sent again must not bring a change."""
    stored = recorded("cluster_ready_but_osd_down.json")["spec"]
    values = {**VALUES, "preset": "single-node", "network": "host", "dashboard": {"enabled": False, "ssl": False}}
    sent = plan.cluster_plan(
        {**values, "block_pools": []}, [report("n1", "/dev/stead/osd0", "/dev/stead/osd1")], told(node("n1"))
    )["cluster"]["spec"]
    sent["cephVersion"]["imagePullPolicy"] = "IfNotPresent"
    assert sent["dataDirHostPath"] == stored["dataDirHostPath"]
    for field in ("cephVersion", "mon", "mgr", "network", "dashboard"):
        assert sent[field].items() <= stored[field].items(), field
    assert sent["storage"]["nodes"] == stored["storage"]["nodes"]


def test_keys_follow_the_kernels_and_never_change_by_themselves() -> None:
    new = [node(name, kernel="7.0.1") for name in ("n1", "n2", "n3")]
    fresh = plan.cluster_plan(VALUES, reports("n1", "n2", "n3"), told(*new))
    assert "security" not in fresh["cluster"]["spec"]
    assert fresh["allowed_warnings"] == []
    old = plan.cluster_plan(VALUES, reports("n1", "n2", "n3"), told())
    later = plan.cluster_plan(VALUES, reports("n1", "n2", "n3"), told(*new, cluster=old["cluster"]))
    assert later["cluster"]["spec"]["security"] == {"cephx": {"csi": {"keyType": "aes"}}}
    mixed = plan.cluster_plan(VALUES, reports("n1", "n2", "n3"), told(*new[:2], node("n3", kernel="6.12.9")))
    assert mixed["cluster"]["spec"]["security"] == {"cephx": {"csi": {"keyType": "aes"}}}


def test_a_fresh_server_can_judge_only_what_is_its_own() -> None:
    values, found, seen = copy.deepcopy(CLUSTERS["volumes behind claims on one node"])
    planned = plan.cluster_plan(values, found, {**seen, "kinds": [], "namespace_exists": False, "operator_image": None})
    assert {one["kind"] for one in planned["now"]} == {"StorageClass", "PersistentVolume"}
    assert "CephCluster rook-ceph" in planned["later"]
    assert len(planned["now"]) + len(planned["later"]) == len(planned["objects"])


def test_further_fields_are_laid_over() -> None:
    spec = {"mon": {"allowMultiplePerNode": True}, "crashCollector": {"disable": False}}
    made_ = plan.cluster_plan({**VALUES, "spec": spec}, reports("n1", "n2", "n3"), told())["cluster"]["spec"]
    assert made_["mon"] == {"count": 3, "allowMultiplePerNode": True}
    assert made_["crashCollector"] == {"disable": False}


def test_dropped_fields_are_found() -> None:
    sent = {"kind": "A", "metadata": {"name": "a"}, "spec": {"x": 1, "y": [{"c": 1, "d": 2}], "e": None}}
    stored = {"kind": "A", "metadata": {"name": "a"}, "spec": {"x": 2, "y": [{"c": 1}], "z": 1}}
    assert cluster.dropped_fields(sent, stored) == ["spec.y[0].d"]
    assert cluster.dropped_fields(sent, sent) == []
    assert cluster.dropped_fields({"a": {"b": 1}, "c": [1]}, {}) == ["a", "c"]


def test_only_devices_are_compared() -> None:
    ours = made("a single node")["cluster"]
    theirs = copy.deepcopy(ours)
    theirs["spec"]["storage"]["nodes"][0].pop("resources")
    assert cluster.same_storage(ours, theirs)
    theirs["spec"]["storage"]["nodes"][0]["devices"].pop()
    assert not cluster.same_storage(ours, theirs)
    assert not cluster.same_storage(ours, None)
