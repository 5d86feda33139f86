# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CephCluster object, and what its status says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import BadInput
from .storage import planned_osds

_KEY_TYPES = ("", "aes", "aes256k")


def ceph_cluster(values: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The object to apply. ``values``: name, namespace, image, data_dir, mons, mgrs, network, csi_key_type, spec.

    ``spec`` is laid over what is made of the other values, mapping by mapping; it may not touch the storage list.
    """
    extra = values.get("spec") or {}
    if "storage" in extra:
        raise BadInput(
            "rook_cluster_spec sets 'storage', which is made from the disks of the nodes.",
            hint="Change the disk lists of the hosts instead.",
        )
    return {
        "apiVersion": "ceph.rook.io/v1",
        "kind": "CephCluster",
        "metadata": {"name": values["name"], "namespace": values["namespace"]},
        "spec": _over(_preset(values, nodes), extra),
    }


def _preset(values: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "cephVersion": {"image": values["image"]},
        "dataDirHostPath": _data_dir(str(values["data_dir"])),
        "mon": {"count": int(values["mons"]), "allowMultiplePerNode": False},
        "mgr": {"count": int(values["mgrs"]), "allowMultiplePerNode": False},
        "dashboard": {"enabled": True, "ssl": True},
        "storage": {"useAllNodes": False, "useAllDevices": False, "nodes": list(nodes)},
    }
    if values.get("network"):
        spec["network"] = {"provider": values["network"]}
    key_type = values.get("csi_key_type", "")
    if key_type not in _KEY_TYPES:
        raise BadInput(f"rook_cluster_csi_key_type is {key_type!r}.", hint="Choose aes, aes256k or an empty text.")
    if key_type:
        spec["security"] = {"cephx": {"csi": {"keyType": key_type}}}
    return spec


def _data_dir(path: str) -> str:
    if not re.fullmatch(r"/[^/\s]\S*", path):
        raise BadInput(f"rook_cluster_data_dir is {path!r}.", hint="Give an absolute path on the nodes, such as /var/lib/rook.")
    return path


def _over(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        below = merged.get(key)
        merged[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def ceph_progress(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a cluster serves as planned, from its own status.

    Phase Ready alone is not enough: it stands while OSDs crash. ``status.ceph.versions.osd`` counts the OSDs that run.
    """
    status = cluster.get("status") or {}
    planned = planned_osds(cluster["spec"]["storage"].get("nodes") or [])
    versions = ((status.get("ceph") or {}).get("versions") or {}).get("osd") or {}
    running = sum(int(number) for number in versions.values())
    phase = str(status.get("phase", "none yet"))
    health = str((status.get("ceph") or {}).get("health", "unknown"))
    return {
        "serving": phase == "Ready" and running >= planned,
        "phase": phase,
        "health": health,
        "osds_planned": planned,
        "osds_running": running,
        "summary": f"phase {phase}, {running} of {planned} OSDs running, health {health}",
    }


def dropped_fields(wanted: Any, stored: Any, path: str = "") -> list[str]:
    """Paths of what was sent but is not in the server's answer: the server drops unknown fields without a word."""
    if isinstance(wanted, Mapping):
        if not isinstance(stored, Mapping):
            return [path]
        below = [dropped_fields(value, stored.get(key), f"{path}.{key}" if path else str(key)) for key, value in wanted.items()]
        return [name for names in below for name in names]
    if isinstance(wanted, list):
        if not isinstance(stored, list) or len(wanted) != len(stored):
            return [path]
        below = [dropped_fields(value, other, f"{path}[{index}]") for index, (value, other) in enumerate(zip(wanted, stored))]
        return [name for names in below for name in names]
    return [] if wanted is None or stored is not None else [path]
