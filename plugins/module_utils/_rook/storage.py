# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list ``spec.storage.nodes`` of a CephCluster: one place decides what Rook is told about disks.

Rook ignores what it does not know: a misspelt setting, a device named twice, a node it cannot find. So each is an error
here. The result is sorted, so that a second run says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from .._core.errors import BadInput, Refused

# What Rook 1.20 reads from a device's or a node's ``config``; every value is a string there.
CONFIG_SETTINGS = (
    "crushRoot",
    "databaseSizeMB",
    "deviceClass",
    "enableCrushUpdates",
    "encryptedDevice",
    "initialWeight",
    "metadataDevice",
    "osdsPerDevice",
    "primaryAffinity",
    "walSizeMB",
)
_ON_VOLUMES_REFUSED = ("encryptedDevice", "osdsPerDevice")


def storage_nodes(
    found: Iterable[Mapping[str, Any]],
    clusters: Sequence[Mapping[str, Any]] = (),
    kube_nodes: Sequence[Mapping[str, Any]] = (),
    remove: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The nodes to write, from what each node reports; raises BadInput and Refused.

    ``clusters`` holds the present CephCluster, if any; a node of it that would vanish must be named in ``remove``.
    ``kube_nodes`` are the cluster's Node objects, among which Rook looks for the names. A node without devices is left
    out, because Rook would give it the cluster-wide selection instead.
    """
    leaving = set(remove)
    nodes: dict[str, dict[str, Any]] = {}
    for report in found:
        name = _text(report.get("name"), "A storage node's name")
        if name in nodes:
            raise BadInput(f"Two hosts report the storage node {name!r}.", hint="Give each its own node name.")
        nodes[name] = {"name": name, "devices": _devices(name, report.get("devices") or [])}
        if report.get("config"):
            nodes[name]["config"] = _config(report["config"], f"node {name}")
    kept = {name: node for name, node in nodes.items() if node["devices"] and name not in leaving}
    _refuse_vanishing(_present_names(clusters) - kept.keys() - leaving)
    if not kept:
        raise Refused("No node has a prepared device.", hint="Prepare the disks first, for example with the role node_disks.")
    _refuse_unknown(kept.keys() - _hostnames(kube_nodes))
    return [kept[name] for name in sorted(kept)]


def _present_names(clusters: Iterable[Mapping[str, Any]]) -> set[str]:
    storages = [(cluster.get("spec") or {}).get("storage") or {} for cluster in clusters]
    return {str(node["name"]) for storage in storages for node in storage.get("nodes") or []}


def _hostnames(kube_nodes: Iterable[Mapping[str, Any]]) -> set[str]:
    labels = [(node["metadata"].get("labels") or {}).get("kubernetes.io/hostname") for node in kube_nodes]
    return {str(label) for label in labels if label}


def _refuse_unknown(unknown: AbstractSet[str]) -> None:
    if unknown:
        raise Refused(
            f"No Kubernetes node has the label kubernetes.io/hostname with the value {' or '.join(sorted(unknown))}.",
            hint="Rook would silently leave it out. Set kubestead_node_name of the host to the label's value.",
            nodes=sorted(unknown),
        )


def planned_osds(nodes: Iterable[Mapping[str, Any]]) -> int:
    """How many OSDs the listed devices will carry."""
    devices = [(node, device) for node in nodes for device in node["devices"]]
    return sum(_osds_of(device.get("config", {}), node.get("config", {})) for node, device in devices)


def _osds_of(device: Mapping[str, str], node: Mapping[str, str]) -> int:
    return int(device.get("osdsPerDevice", node.get("osdsPerDevice", "1")))


def _refuse_vanishing(vanishing: AbstractSet[str]) -> None:
    if vanishing:
        named = ", ".join(sorted(vanishing))
        raise Refused(
            f"The CephCluster holds storage nodes that would vanish: {named}.",
            hint="Their OSDs would be orphaned. Make their disks readable again, or name them in rook_cluster_remove_nodes.",
            nodes=sorted(vanishing),
        )


def _devices(node: str, devices: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = {}
    for device in devices:
        name = _text(device.get("name"), f"A device name of node {node}")
        if not name.startswith("/dev/"):
            raise BadInput(f"Device {name!r} of node {node} is not a path under /dev/.", hint="Rook matches only full paths.")
        if name in by_name:
            raise BadInput(f"Device {name!r} of node {node} is named twice.", hint="Name each one once.")
        by_name[name] = {"name": name}
        if device.get("config"):
            by_name[name]["config"] = _config(device["config"], f"device {name} of node {node}")
            _refuse_on_volume(name, by_name[name]["config"], node)
    return [by_name[name] for name in sorted(by_name)]


def _refuse_on_volume(name: str, config: Mapping[str, str], node: str) -> None:
    is_volume = not name.startswith("/dev/disk/") and name.count("/") == 3
    for setting in _ON_VOLUMES_REFUSED:
        if is_volume and config.get(setting, "1") not in ("1", "false"):
            raise BadInput(
                f"Device {name!r} of node {node}: Rook does not take {setting} on a logical volume.",
                hint="Leave it out, or use the raw layout.",
            )


def _config(config: Mapping[str, Any], owner: str) -> dict[str, str]:
    checked = {}
    for setting in sorted(config):
        value = config[setting]
        if setting not in CONFIG_SETTINGS:
            raise BadInput(
                f"Setting {setting!r} of {owner} is not known to Rook, which would ignore it.",
                hint=f"Known are {', '.join(CONFIG_SETTINGS)}.",
            )
        if not isinstance(value, str) or not value:
            raise BadInput(f"Setting {setting!r} of {owner} is not text.", hint="Rook takes strings only: put it in quotes.")
        if setting == "osdsPerDevice" and not (value.isascii() and value.isdigit() and int(value) > 0):
            raise BadInput(f"Setting {setting!r} of {owner} is {value!r}.", hint="Write a number from 1, in quotes.")
        checked[setting] = value
    return checked


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{what} is missing or not text.")
    return value
