# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One wrong thing at a time: each is refused by the plan, that is before any write, in a sentence with advice."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, CollError, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import plan, versions

from .worlds import VALUES, node, report, reports, told

NODES = ("n1", "n2", "n3")


def device(name: str = "/dev/sdb", **config: Any) -> list[dict[str, Any]]:
    """Three nodes, the first with one device of this kind."""
    return [report("n1", {"name": name, "config": config}), *reports("n2", "n3")]


def first(*devices: Any, **more: Any) -> list[dict[str, Any]]:
    return [report("n1", *devices, **more), *reports("n2", "n3")]


def values(**changes: Any) -> dict[str, Any]:
    return {"values": changes}


def pool(**changes: Any) -> dict[str, Any]:
    return values(block_pools=[{"name": "p", **changes}])


def present(**spec: Any) -> dict[str, Any]:
    storage = {"nodes": [{"name": name, "devices": [{"name": "/dev/osds/osd1"}, {"name": "/dev/osds/osd2"}]} for name in NODES]}
    cluster = {"metadata": {}, "spec": {"dataDirHostPath": "/var/lib/rook", "storage": storage, **spec}}
    return {"told": {"cluster": cluster}}


def klass(name: str, **more: Any) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true" if more.pop("default", False) else "false"}
    return {"metadata": {"name": name, "annotations": annotations}, **more}


def stretch(*zones: dict[str, Any], of_nodes: str = "     ") -> dict[str, Any]:
    """Five nodes, each in the zone of a letter of ``of_nodes``, if any."""
    nodes = [node(f"n{number}", zone=zone.strip()) for number, zone in enumerate(of_nodes, 1)]
    return {**values(preset="stretch", stretch={"zones": list(zones)}), "told": told(*nodes)}


A = {"name": "a", "arbiter": True}
TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
TWICE = {"name": "/dev/sdc", "config": {"metadataDevice": "/dev/fast/db1"}}

# What is changed, the error, and words of its sentence.
MATRIX: dict[str, tuple[dict[str, Any], type[CollError], str]] = {
    # settings of devices, nodes and the whole cluster
    "unknown key": ({"reports": device(journalSizeMB="1")}, BadInput, "journalSizeMB"),
    "misspelt key": ({"reports": device(deviceclass="ssd")}, BadInput, "deviceclass"),
    "wal device": ({"reports": device(walDevice="/dev/sdd")}, BadInput, "write-ahead log"),
    "key of the whole cluster at a device": ({"reports": device(crushRoot="x")}, BadInput, "crushRoot"),
    "number instead of text": ({"reports": device(databaseSizeMB=2048)}, BadInput, "not text but int"),
    "boolean instead of text": ({"reports": device(encryptedDevice=True)}, BadInput, "not text but bool"),
    "null instead of text": ({"reports": device(deviceClass=None)}, BadInput, "not text but NoneType"),
    "encryptedDevice of another word": ({"reports": device(encryptedDevice="yes")}, BadInput, "true or false"),
    "database too small": ({"reports": device(databaseSizeMB="100")}, BadInput, "1024"),
    "database with unit": ({"reports": device(databaseSizeMB="10G")}, BadInput, "databaseSizeMB"),
    "log of zero": ({"reports": device(walSizeMB="0")}, BadInput, "walSizeMB"),
    "zero OSDs per device": ({"reports": device(osdsPerDevice="0")}, BadInput, "osdsPerDevice"),
    "two in words": ({"reports": device(osdsPerDevice="two")}, BadInput, "osdsPerDevice"),
    "negative weight": ({"reports": device(initialWeight="-1")}, BadInput, "initialWeight"),
    "affinity above one": ({"reports": device(primaryAffinity="1.5")}, BadInput, "primaryAffinity"),
    "class with a space": ({"reports": device(deviceClass="very fast")}, BadInput, "deviceClass"),
    "config that is a list": ({"reports": first({"name": "/dev/sdb", "config": ["ssd"]})}, BadInput, "not a mapping"),
    "unknown key of a node": ({"reports": first("/dev/sdb", config={"hdd": "1"})}, BadInput, "node n1"),
    "number at a node": ({"reports": first("/dev/sdb", config={"osdsPerDevice": 2})}, BadInput, "not text"),
    "unknown key of the cluster": (values(storage_config={"class": "ssd"}), BadInput, "the whole cluster"),
    "number at the cluster": (values(storage_config={"databaseSizeMB": 4096}), BadInput, "not text"),
    # devices
    "bare name": ({"reports": first("sdb")}, BadInput, "not a path"),
    "volume without /dev": ({"reports": first("osds/osd1")}, BadInput, "not a path"),
    "number of the mapper": ({"reports": first("/dev/dm-3")}, BadInput, "changes at boot"),
    "RBD image": ({"reports": first("/dev/rbd0")}, BadInput, "RBD"),
    "no name": ({"reports": first({"name": None})}, BadInput, "missing"),
    "named twice": ({"reports": first("/dev/sdb", "/dev/sdb")}, BadInput, "twice"),
    "unknown key beside the name": ({"reports": first({"name": "/dev/sdb", "conf": {}})}, BadInput, "'conf'"),
    "partition labelled ceph": ({"reports": first("/dev/disk/by-partlabel/ceph-data")}, BadInput, "ceph"),
    "volume with two OSDs": ({"reports": device("/dev/osds/osd1", osdsPerDevice="2")}, BadInput, "logical volume"),
    "volume by its link with two OSDs": (
        {"reports": device("/dev/disk/by-id/dm-name-a-b", osdsPerDevice="2")},
        BadInput,
        "logical volume",
    ),
    "volume with two OSDs by its node": (
        {"reports": first("/dev/osds/osd1", config={"osdsPerDevice": "2"})},
        BadInput,
        "logical volume",
    ),
    "volumes with two OSDs by the cluster": (values(storage_config={"osdsPerDevice": "2"}), BadInput, "logical volume"),
    "encrypted volume": ({"reports": device("/dev/osds/osd1", encryptedDevice="true")}, BadInput, "layout raw"),
    "encrypted partition": ({"reports": device("/dev/sdb1", encryptedDevice="true")}, BadInput, "partition"),
    "partition with two OSDs": ({"reports": device("/dev/nvme0n1p2", osdsPerDevice="2")}, BadInput, "partition"),
    "partition with a database": ({"reports": device("/dev/sdb1", metadataDevice="/dev/sdc")}, BadInput, "partition"),
    "its own database": ({"reports": device(metadataDevice="/dev/sdb")}, BadInput, "its own"),
    "two data devices on one database volume": (
        {"reports": first({"name": "/dev/sdb", "config": {"metadataDevice": "/dev/fast/db1"}}, TWICE)},
        BadInput,
        "one data device",
    ),
    "two data devices on one database partition": (
        {
            "reports": first(
                {"name": "/dev/sdb", "config": {"metadataDevice": "/dev/sdd1"}},
                {"name": "/dev/sdc", "config": {"metadataDevice": "/dev/sdd1"}},
            )
        },
        BadInput,
        "one data device",
    ),
    "database volume for a node": (
        {"reports": first("/dev/sdb", config={"metadataDevice": "/dev/fast/db1"})},
        BadInput,
        "not at the node",
    ),
    "database volume for the cluster": (values(storage_config={"metadataDevice": "/dev/fast/db"}), BadInput, "one data device"),
    "database without /dev": ({"reports": device(metadataDevice="fast/db1")}, BadInput, "metadataDevice"),
    "database that is data too": (
        {"reports": first("/dev/sdc", {"name": "/dev/sdb", "config": {"metadataDevice": "/dev/sdc"}})},
        BadInput,
        "one only",
    ),
    "volume on an old Rook": (
        {"values": {"release": "1.19.10"}, "told": {"kubernetes": "v1.33.0", "operator_image": None}},
        Refused,
        "does not take it",
    ),
    # nodes
    "nothing prepared": ({"reports": [report("n1"), report("n2")]}, Refused, "No node"),
    "unknown node": ({"reports": reports("n1", "n2", "n9")}, Refused, "'n9'"),
    "cordoned node": ({"told": told(node("n1", unschedulable=True), node("n2"), node("n3"))}, Refused, "cordoned"),
    "tainted node": ({"told": told(node("n1", taints=[TAINT]), node("n2"), node("n3"))}, Refused, "dedicated"),
    "node without hostname": ({"told": told(node("n1", hostname=""), node("n2"), node("n3"))}, Refused, "no label"),
    "two nodes of one hostname": (
        {"told": told(node("n1"), node("n4", hostname="n1"), node("n2"), node("n3"))},
        Refused,
        "share the label",
    ),
    "two hosts of one name": ({"reports": reports("n1", "n1", "n2")}, BadInput, "Two hosts"),
    "node that would vanish": ({**present(), "reports": reports("n1", "n2")}, Refused, "vanish: n3"),
    "node whose disks are gone": ({**present(), "reports": [*reports("n1", "n2"), report("n3")]}, Refused, "vanish: n3"),
    # versions
    "Kubernetes too old": ({"told": {"kubernetes": "v1.30.9"}}, Refused, "1.31 to 1.36"),
    "Kubernetes too new": ({"told": {"kubernetes": "v1.37.0"}}, Refused, "1.31 to 1.36"),
    "unknown line of Rook": (values(release="1.12.3"), Refused, "1.12.3"),
    "release of two numbers": (values(release="1.20"), BadInput, "three numbers"),
    "another operator runs": ({"told": {"operator_image": "rook/ceph:v1.19.10"}}, Refused, "rook_operator"),
    "moving tag": (values(image="quay.io/ceph/ceph:v20"), BadInput, "full tag"),
    "no tag": (values(image="quay.io/ceph/ceph"), BadInput, "full tag"),
    "latest": (values(image="registry:5000/ceph/ceph:latest"), BadInput, "full tag"),
    "Ceph below the floor": (values(image="quay.io/ceph/ceph:v20.2.0"), Refused, "20.2.1"),
    "Ceph of another major": (values(image="quay.io/ceph/ceph:v18.2.7"), Refused, "18.2.7"),
    "registry with scheme": (values(registry="https://mirror"), BadInput, "registry"),
    # keys
    "new keys on an old kernel": (values(csi_key_type="aes256k"), Refused, "7.0"),
    "Rook's choice of keys on an old kernel": (values(csi_key_type=""), Refused, "n1, n2, n3"),
    "unknown type of keys": (values(csi_key_type="des"), BadInput, "des"),
    "keys on a Rook that does not know them": (values(csi_key_type="aes", release="1.20.4"), Refused, "auto"),
    # the cluster
    "another data dir": (present(dataDirHostPath="/opt/rook"), Refused, "rook_cluster_data_dir"),
    "relative data dir": (values(data_dir="var/lib"), BadInput, "absolute"),
    "another network": (present(network={"provider": "host"}), Refused, "network"),
    "claims in a cluster of devices": (
        {**present(), "values": {"storage": "claims", "claims": {"size": "900Gi"}}},
        Refused,
        "claims",
    ),
    "even number of monitors": (values(mons=2), BadInput, "odd"),
    "too many managers": (values(mgrs=3), BadInput, "1 or 2"),
    "more monitors than nodes": (values(mons=5), Refused, "fit"),
    "unknown preset": (values(preset="huge"), BadInput, "three-node"),
    "storage in the spec": (values(spec={"storage": {}}), BadInput, "storage"),
    "version in the spec": (values(spec={"cephVersion": {}}), BadInput, "rook_cluster_image"),
    "monitoring without its kinds": (values(monitoring=True), Refused, "Prometheus"),
    "unknown kind of storage": (values(storage="nfs"), BadInput, "claims"),
    "claims without size": (values(storage="claims"), BadInput, "size"),
    "claims in other units": (values(storage="claims", claims={"size": "900 GB"}), BadInput, "900Gi"),
    "claims too small": (values(storage="claims", claims={"size": "1Gi"}), BadInput, "5 GiB"),
    "unknown key of claims": (values(storage="claims", claims={"size": "9Gi", "count": 4}), BadInput, "count"),
    # stretch
    "two zones": (stretch(A, {"name": "b"}), BadInput, "three zones"),
    "no arbiter": (stretch({"name": "a"}, {"name": "b"}, {"name": "c"}), BadInput, "arbiter"),
    "zones of nobody": (stretch(A, {"name": "b"}, {"name": "c"}), Refused, "topology.kubernetes.io/zone=a"),
    "data at the arbiter": (stretch(A, {"name": "b"}, {"name": "c"}, of_nodes="abcbc"), Refused, "storage node n1"),
    "unknown key of zones": ({**stretch(A), **values(preset="stretch", stretch={"zone": "a"})}, BadInput, "'zone'"),
    "zones without the preset": (values(stretch={"label": "x"}), BadInput, "preset"),
    # pools and classes
    "pool of four on three hosts": (pool(replicas=4), Refused, "4 copies"),
    "replicas as text": (pool(replicas="3"), BadInput, "'3'"),
    "no replicas": (pool(replicas=0), BadInput, "1 to 10"),
    "unknown failure domain": (pool(failure_domain="node"), BadInput, "host"),
    "unknown key of a pool": (pool(size=3), BadInput, "'size'"),
    "name of a pool": (values(block_pools=[{"name": "My Pool"}]), BadInput, "My Pool"),
    "two pools of one name": (values(block_pools=[{"name": "p"}, {"name": "p"}]), BadInput, "twice"),
    "erasure coding without numbers": (pool(erasure_coded={"data": 2}), BadInput, "erasure_coded"),
    "erasure coding over too few hosts": (pool(erasure_coded={"data": 4, "coding": 2}), Refused, "6 copies"),
    "erasure coded metadata": (
        values(filesystems=[{"name": "fs", "metadata": {"erasure_coded": {"data": 2, "coding": 1}}}]),
        BadInput,
        "cannot be erasure coded",
    ),
    "device class of no disk": (
        {
            "reports": [report(name, {"name": "/dev/sdb", "config": {"deviceClass": "ssd"}}) for name in NODES],
            **pool(device_class="nvme"),
        },
        Refused,
        "nvme",
    ),
    "class without name": (pool(storage_class={"default": True}), BadInput, "no name"),
    "unknown key of a class": (pool(storage_class={"name": "x", "fsType": "xfs"}), BadInput, "fsType"),
    "unknown file system": (pool(storage_class={"name": "x", "fstype": "ntfs"}), BadInput, "ntfs"),
    "unknown reclaim policy": (pool(storage_class={"name": "x", "reclaim_policy": "Recycle"}), BadInput, "Recycle"),
    "two classes of one name": (
        values(block_pools=[{"name": "p", "storage_class": {"name": "x"}}, {"name": "q", "storage_class": {"name": "x"}}]),
        BadInput,
        "twice",
    ),
    "two defaults": (
        values(block_pools=[{"name": name, "storage_class": {"name": name, "default": True}} for name in ("p", "q")]),
        BadInput,
        "both the default",
    ),
    "another default is there": ({"told": {"storage_classes": [klass("local-path", default=True)]}}, Refused, "local-path"),
    "class that exists otherwise": (
        {"told": {"storage_classes": [klass("ceph-block", provisioner="x")]}},
        Refused,
        "provisioner",
    ),
    "buckets as default": (
        values(object_stores=[{"name": "s", "storage_class": {"name": "b", "default": True}}]),
        BadInput,
        "buckets",
    ),
    "port of a store": (values(object_stores=[{"name": "s", "port": 70000}]), BadInput, "70000"),
    "active servers as text": (values(filesystems=[{"name": "fs", "active_count": "2"}]), BadInput, "active_count"),
    # what stands beside
    "unknown section": (values(ceph_config={"osds": {"a": 1}}), BadInput, "'osds'"),
    "section that is text": (values(ceph_config={"global": "x = 1"}), BadInput, "not a mapping"),
    "setting with a line end": (values(ceph_config={"global": {"a": "1\n[mon]"}}), BadInput, "one line"),
    "setting that is a list": (values(ceph_config={"global": {"a": [1]}}), BadInput, "'a'"),
    "setting of Rook's own": (values(ceph_config={"global": {"fsid": "x"}}), BadInput, "belongs to Rook"),
    "setting with blanks": (values(ceph_config={"global": {"osd pool default size": 1}}), BadInput, "underscores"),
    "unknown key of the dashboard": (values(dashboard={"tls": True}), BadInput, "'tls'"),
    "dashboard without host": (values(dashboard={"expose": "ingress"}), BadInput, "host"),
    "dashboard exposed but off": (values(dashboard={"expose": "ingress", "enabled": False}), BadInput, "not enabled"),
    "dashboard's port": (values(dashboard={"port": 123456}), BadInput, "123456"),
    "route without its kind": (values(dashboard={"expose": "route", "host": "ceph.example"}), Refused, "HTTPRoute"),
}


def run(change: dict[str, Any]) -> dict[str, Any]:
    given = {**copy.deepcopy(VALUES), **change.get("values", {})}
    return plan.cluster_plan(given, change.get("reports", reports(*NODES)), {**told(), **change.get("told", {})})


def test_the_unchanged_input_is_right() -> None:
    made = run({})
    assert made["osds"] == 6
    assert made["later"] == []
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_what_is_wrong_is_refused_with_advice(case: str) -> None:
    change, error, words = MATRIX[case]
    with pytest.raises(error) as caught:
        run(change)
    assert words in caught.value.sentence()
    assert caught.value.hint, "says what to do"
    assert "\n" not in caught.value.sentence()


def test_the_matrix_is_large_enough() -> None:
    assert len(MATRIX) >= 60


def test_a_node_in_the_cluster_may_be_cordoned_for_a_while() -> None:
    cordoned = told(node("n1", unschedulable=True), node("n2"), node("n3"), **present()["told"])
    assert run({"told": cordoned})["osds"] == 6


def test_a_tolerated_taint_keeps_nobody_out() -> None:
    spec = {"placement": {"all": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}}}
    assert run({"values": {"spec": spec}, "told": told(node("n1", taints=[TAINT]), node("n2"), node("n3"))})["osds"] == 6


def test_a_node_leaves_when_it_is_named() -> None:
    made = run({**present(), "reports": reports("n1", "n2"), "values": {"remove_nodes": ["n3"], "block_pools": []}})
    assert [one["name"] for one in made["cluster"]["spec"]["storage"]["nodes"]] == ["n1", "n2"]


def test_a_node_is_found_by_its_own_name_and_written_by_its_label() -> None:
    made = run({"told": told(node("n1", hostname="host-1"), node("n2"), node("n3"))})
    assert [one["name"] for one in made["cluster"]["spec"]["storage"]["nodes"]] == ["host-1", "n2", "n3"]


def test_unsupported_ceph_can_be_taken_at_ones_own_risk() -> None:
    made = run({"values": {"image": "quay.io/ceph/ceph:v21.1.0", "allow_unsupported_ceph": True}})
    assert made["cluster"]["spec"]["cephVersion"]["allowUnsupported"] is True


def test_the_present_release_has_everything_pinned() -> None:
    row = versions.release()
    assert set(row.images) >= {"operator", "ceph", "csi_operator", "plugin"}
    assert all(":" in image and not image.endswith(":latest") for image in row.images.values())
    pinned = {"kubernetes", "ceph", "images", "drivers_chart", "key_type_from", "charts_from", "keys_from", "checksums"}
    assert set(versions.SOURCES) == pinned
