# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole clusters as people want them: what they set, what their nodes report, what their server is."""

from __future__ import annotations

from typing import Any

from .worlds import KINDS, VALUES, node, report, reports, told

_ROUTES = [*KINDS, "httproutes.gateway.networking.k8s.io", "servicemonitors.monitoring.coreos.com"]
_EVERYTHING = {
    "block_pools": [
        {"name": "ceph-block", "storage_class": {"name": "ceph-block", "default": True, "reclaim_policy": "Retain"}},
        {"name": "archive", "erasure_coded": {"data": 2, "coding": 1}, "device_class": "hdd"},
    ],
    "filesystems": [{"name": "shared", "storage_class": {"name": "ceph-shared", "mount_options": ["noatime"]}}],
    "object_stores": [{"name": "store", "data": {"replicas": 2}, "storage_class": {"name": "ceph-bucket"}}],
    "dashboard": {"expose": "ingress", "host": "ceph.example.org", "class_name": "nginx", "tls_secret": "ceph-tls"},
    "ceph_config": {"global": {"osd_pool_default_size": 3}, "osd.0": {"debug_osd": "1/5"}},
}


def _hdd(name: str) -> dict[str, Any]:
    return report(name, *({"name": f"/dev/osds/osd{number}", "config": {"deviceClass": "hdd"}} for number in (1, 2)))


# Preset: the role's values, the reports of the nodes, what the server tells.
CLUSTERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "three nodes with everything": (
        {**VALUES, **_EVERYTHING},
        [_hdd(name) for name in ("n1", "n2", "n3")],
        told(),
    ),
    "a single node": (
        {
            **VALUES,
            "preset": "single-node",
            "filesystems": [{"name": "shared", "storage_class": {"name": "ceph-shared"}}],
        },
        [report("n1", "/dev/osds/osd1", {"name": "/dev/sdb", "config": {"osdsPerDevice": "2", "deviceClass": "nvme"}})],
        told(node("n1")),
    ),
    "stretched over three zones": (
        {
            **VALUES,
            "preset": "stretch",
            "stretch": {"zones": [{"name": "a", "arbiter": True}, {"name": "b"}, {"name": "c"}]},
            "block_pools": [{"name": "ceph-block", "storage_class": {"name": "ceph-block", "default": True}}],
        },
        reports("n2", "n3", "n4", "n5"),
        told(*(node(f"n{number}", zone=zone) for number, zone in enumerate("abcbc", 1))),
    ),
    "volumes behind claims on one node": (
        {
            **VALUES,
            "preset": "single-node",
            "storage": "claims",
            "claims": {"storage_class": "manual", "size": "900Gi"},
            "network": "host",
            "data_dir": "/opt/rook",
            "spec": {"mgr": {"modules": [{"name": "pg_autoscaler", "enabled": True}]}},
            "ceph_config": {
                "global": {
                    "osd_pool_default_size": 1,
                    "osd_pool_default_min_size": 1,
                    "mon_warn_on_pool_no_redundancy": False,
                    "bdev_flock_retry": 20,
                    "bluefs_buffered_io": False,
                }
            },
            "block_pools": [
                {"name": "replicapool", "replicas": 1, "storage_class": {"name": "rook-ceph-block", "default": True}}
            ],
            "dashboard": {"ssl": False, "expose": "ingress", "host": "ceph.platform.example.org", "class_name": "traefik"},
        },
        [report("ceph-01", *(f"/dev/data/lv{number}" for number in range(1, 5)))],
        told(node("ceph-01")),
    ),
    "other namespaces, a mirror, monitoring": (
        {
            **VALUES,
            "namespace": "ceph",
            "operator_namespace": "rook",
            "registry": "mirror.example.org:5000/x",
            "monitoring": True,
            "storage_config": {"deviceClass": "ssd"},
        },
        reports("n1", "n2", "n3"),
        told(kinds=_ROUTES),
    ),
}
