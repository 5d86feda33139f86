# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OSDs on claims: block volumes of the nodes as local PersistentVolumes of a class that nothing provisions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import BadInput
from .._core.names import dns_name
from .._core.units import size_bytes
from .devices import VOLUME, kind_of, volume_link
from .nodes import HOSTNAME

_KEYS = {"storage_class", "size", "tune_device_class"}


def check_claims(given: Mapping[str, Any]) -> dict[str, Any]:
    """``rook_cluster_claims`` with its defaults; raises BadInput."""
    unknown = sorted(str(key) for key in given.keys() - _KEYS)
    if unknown:
        raise BadInput(
            f"rook_cluster_claims has the unknown key {unknown[0]!r}.", hint=f"Known are {', '.join(sorted(_KEYS))}."
        )
    size = str(given.get("size") or "")
    if not re.fullmatch(r"[0-9]{1,12}(?:[KMGTP]i?)?", size, re.ASCII):
        raise BadInput(f"rook_cluster_claims, size is {size!r}.", hint="Give that of the smallest volume, such as 900Gi.")
    if size_bytes(size.rstrip("i"), "rook_cluster_claims, size") < 5 << 30:
        raise BadInput(f"rook_cluster_claims, size is {size}.", hint="An OSD wants 5 GiB at the least.")
    return {
        "storage_class": str(given.get("storage_class") or "manual"),
        "size": size,
        "tune_device_class": bool(given.get("tune_device_class", True)),
    }


def local_volumes(nodes: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The class and one PersistentVolume for each device."""
    wanted = check_claims(given)
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": wanted["storage_class"]},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [
        storage_class,
        *(_volume(str(node["name"]), device, wanted) for node in nodes for device in node["devices"]),
    ]


def _class_of(device: Mapping[str, Any]) -> str:
    return str((device.get("config") or {}).get("deviceClass") or "")


def _volume(node: str, device: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    path = str(device["name"])
    if set(device.get("config") or {}) - {"deviceClass"}:
        raise BadInput(
            f"Device {path!r} of node {node} has settings that a claim cannot carry.", hint="Only deviceClass goes with claims."
        )
    link = volume_link(path) if kind_of(path) == VOLUME and not path.startswith(("/dev/mapper/", "/dev/disk/")) else path
    term = {"key": HOSTNAME, "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": dns_name("osd", node, path),
            "labels": {"kubestead.platform/device-class": _class_of(device) or "any"},
        },
        "spec": {
            "capacity": {"storage": wanted["size"]},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Block",
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": wanted["storage_class"],
            "local": {"path": link},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }


def device_sets(nodes: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One set for each device class, with as many claims as there are devices of it."""
    wanted = check_claims(given)
    counts: dict[str, int] = {}
    for node in nodes:
        for device in node["devices"]:
            counts[_class_of(device)] = counts.get(_class_of(device), 0) + 1
    return [_set(name, counts[name], [str(node["name"]) for node in nodes], wanted) for name in sorted(counts)]


def _set(device_class: str, count: int, nodes: Sequence[str], wanted: Mapping[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "data"}
    if device_class:
        meta["annotations"] = {"crushDeviceClass": device_class}
    # A claim takes only a volume of its class of device.
    selector = {"matchLabels": {"kubestead.platform/device-class": device_class or "any"}}
    template = {
        "metadata": meta,
        "spec": {
            "storageClassName": wanted["storage_class"],
            "volumeMode": "Block",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": wanted["size"]}},
            "selector": selector,
        },
    }
    term = {"key": HOSTNAME, "operator": "In", "values": list(nodes)}
    made: dict[str, Any] = {
        "name": f"set-{device_class}" if device_class else "set1",
        "count": count,
        "resources": {},  # the operator writes it anyway
        "placement": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
            }
        },
        "volumeClaimTemplates": [template],
    }
    return {**made, **({"tuneDeviceClass": True} if wanted["tune_device_class"] and not device_class else {})}
