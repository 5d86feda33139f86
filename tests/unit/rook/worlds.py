# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role and the module rook_info hand to the plan of a cluster, whole and right; tests change one thing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "rook"

VALUES: dict[str, Any] = {
    "release": "",
    "registry": "",
    "remove_nodes": [],
    "name": "rook-ceph",
    "namespace": "rook-ceph",
    "operator_namespace": "rook-ceph",
    "preset": "three-node",
    "stretch": {},
    "image": "",
    "allow_unsupported_ceph": False,
    "data_dir": "/var/lib/rook",
    "mons": 0,
    "mgrs": 0,
    "network": "",
    "csi_key_type": "auto",
    "storage": "devices",
    "storage_config": {},
    "claims": {},
    "ceph_config": {},
    "spec": {},
    "block_pools": [{"name": "ceph-block", "storage_class": {"name": "ceph-block", "default": True}}],
    "filesystems": [],
    "object_stores": [],
    "toolbox": True,
    "dashboard": {},
    "monitoring": False,
    "allowed_warnings": [],
}
KINDS = ["cephclusters.ceph.rook.io", "drivers.csi.ceph.io"]


def report(name: str, *devices: Any, **more: Any) -> dict[str, Any]:
    """What a node says it has."""
    return {"name": name, "devices": [one if isinstance(one, dict) else {"name": one} for one in devices], **more}


def reports(*names: str) -> list[dict[str, Any]]:
    return [report(name, "/dev/osds/osd1", "/dev/osds/osd2") for name in names]


def node(name: str, *, hostname: Optional[str] = None, kernel: str = "6.12.0", zone: str = "", **spec: Any) -> dict[str, Any]:
    """A Node object as rook_info tells it."""
    labels = {"kubernetes.io/hostname": name if hostname is None else hostname}
    labels.update({"topology.kubernetes.io/zone": zone} if zone else {})
    return {
        "metadata": {"name": name, "labels": {key: value for key, value in labels.items() if value}},
        "spec": spec,
        "status": {"nodeInfo": {"kernelVersion": kernel}},
    }


def told(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A server with Rook on it and no cluster yet."""
    return {
        "kubernetes": "v1.36.3",
        "operator_image": "docker.io/rook/ceph:v1.20.6",
        "namespace_exists": True,
        "nodes": list(nodes) or [node("n1"), node("n2"), node("n3")],
        "kinds": KINDS,
        "storage_classes": [],
        "cluster": None,
        **more,
    }


def recorded(name: str) -> Any:
    """What a true operator wrote."""
    text = (FIXTURES / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else text
