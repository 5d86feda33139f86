# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list ``spec.storage.nodes`` of a CephCluster: one place decides what Rook is told about disks.

Rook ignores what it does not know: a misspelt setting, a device named twice, a node it cannot find. So each is an error
here. The result is sorted, so that a second run says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from . import settings
from .devices import VOLUME, check_path, kind_of
from .nodes import KubeNode, find
from .versions import VOLUMES_FROM, shown, takes_volumes

_REPORT_KEYS = {"name", "devices", "config"}
_DEVICE_KEYS = {"name", "config"}


@dataclass(frozen=True)
class Wanted:
    """What the nodes are checked against: Rook's version, the cluster's own settings, nodes that may leave, the present."""

    rook: str
    config: Mapping[str, str]
    leaving: frozenset[str]
    kube_nodes: Sequence[KubeNode]
    present: Optional[Mapping[str, Any]] = None


def storage_nodes(found: Iterable[Mapping[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """The nodes to write, from what each node reports; raises BadInput and Refused.

    A node of the present CephCluster that would vanish must be named in ``leaving``. A node without devices is left out,
    because Rook would give it the cluster-wide selection instead.
    """
    nodes: dict[str, dict[str, Any]] = {}
    for report in found:
        reported = _text(report.get("name"), "A storage node's name")
        _refuse_keys(report, _REPORT_KEYS, f"The report of node {reported!r}")
        node = _node(reported, report, wanted)
        if node["devices"] and reported not in wanted.leaving:
            node["name"] = find(reported, wanted.kube_nodes).hostname
        if node["name"] in nodes:
            raise BadInput(f"Two hosts report the storage node {node['name']!r}.", hint="Give each its own node name.")
        nodes[node["name"]] = node
    kept = {name: node for name, node in nodes.items() if node["devices"] and name not in wanted.leaving}
    _refuse_vanishing(_present_names(wanted.present) - kept.keys() - wanted.leaving)
    if not kept:
        raise Refused("No node has a prepared device.", hint="Prepare the disks first, for example with the role node_disks.")
    _refuse_closed(kept, wanted)
    return [kept[name] for name in sorted(kept)]


def _node(name: str, report: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    node: dict[str, Any] = {"name": name}
    own = settings.check_settings(report["config"], f"node {name}") if report.get("config") else {}
    inherited = {**wanted.config, **own}
    if "metadataDevice" in own:
        settings.check_metadata(own["metadataDevice"], f"node {name}", per_node=True)
    node["devices"] = _devices(name, report.get("devices") or [], inherited, wanted.rook)
    if own:
        node["config"] = own
    # The operator writes it when it first sees the object; without it the list would differ at the next run.
    node["resources"] = {}
    return node


def _devices(node: str, devices: Iterable[Mapping[str, Any]], inherited: Mapping[str, str], rook: str) -> list[dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = {}
    for device in devices:
        name = check_path(device.get("name"), f"A device name of node {node}")
        owner = f"Device {name!r} of node {node}"
        _refuse_keys(device, _DEVICE_KEYS, owner)
        if name in by_name:
            raise BadInput(f"{owner} is named twice.", hint="Name each one once.")
        config = settings.check_settings(device["config"], f"device {name} of node {node}") if device.get("config") else {}
        settings.check_device(name, {**inherited, **config}, owner)
        if kind_of(name) == VOLUME and not takes_volumes(rook):
            raise Refused(
                f"{owner} is a logical volume, and Rook {rook} does not take it in the way that lasts.",
                hint=f"Use Rook {shown(VOLUMES_FROM)} or newer, or whole disks (layout raw).",
            )
        by_name[name] = {"name": name, **({"config": config} if config else {})}
    _check_metadata_of(node, by_name)
    return [by_name[name] for name in sorted(by_name)]


def _check_metadata_of(node: str, devices: Mapping[str, Mapping[str, Any]]) -> None:
    """A volume or partition holds the database of one device only: Rook silently leaves out the others."""
    used: dict[str, str] = {}
    for name, device in devices.items():
        metadata = (device.get("config") or {}).get("metadataDevice")
        if not metadata:
            continue
        kind = settings.check_metadata(metadata, f"device {name} of node {node}", per_node=False)
        if metadata in devices:
            raise BadInput(
                f"Device {metadata!r} of node {node} is a data device and the metadataDevice of {name}.",
                hint="It can be one only.",
            )
        if metadata in used and kind != "disk":
            raise BadInput(
                f"The {kind} {metadata} of node {node} is the metadataDevice of {used[metadata]} and {name}.",
                hint="It serves one data device: make one for each.",
            )
        used[metadata] = name


def _refuse_keys(thing: Mapping[str, Any], known: AbstractSet[str], what: str) -> None:
    unknown = sorted(str(key) for key in thing.keys() - known)
    if unknown:
        raise BadInput(f"{what} has the unknown key {unknown[0]!r}.", hint=f"Known are {', '.join(sorted(known))}.")


def present_storage(cluster: Optional[Mapping[str, Any]]) -> Mapping[str, Any]:
    """``spec.storage`` of a CephCluster, if there is one."""
    return ((cluster or {}).get("spec") or {}).get("storage") or {}


def _present_names(cluster: Optional[Mapping[str, Any]]) -> set[str]:
    return {str(node["name"]) for node in present_storage(cluster).get("nodes") or []}


def _refuse_vanishing(vanishing: AbstractSet[str]) -> None:
    if vanishing:
        named = ", ".join(sorted(vanishing))
        raise Refused(
            f"The CephCluster holds storage nodes that would vanish: {named}.",
            hint="Their OSDs would be orphaned. Make their disks readable again, or name them in rook_cluster_remove_nodes.",
            nodes=sorted(vanishing),
        )


def _refuse_closed(kept: Mapping[str, Mapping[str, Any]], wanted: Wanted) -> None:
    """A node that is in the cluster with the same devices may be cordoned for a while: nothing begins there."""
    present = {str(node["name"]): _names(node) for node in present_storage(wanted.present).get("nodes") or []}
    for name, node in sorted(kept.items()):
        closed = find(name, wanted.kube_nodes).closed
        if closed and present.get(name) != _names(node):
            raise Refused(
                f"The node {name} {closed}, so Rook would silently leave its new devices out.",
                hint="Open it (kubectl uncordon), or tolerate the taint in rook_cluster_spec, placement.all.tolerations.",
                nodes=[name],
            )


def _names(node: Mapping[str, Any]) -> set[str]:
    return {str(device["name"]) for device in node.get("devices") or []}


def planned_osds(storage: Mapping[str, Any]) -> int:
    """How many OSDs a ``spec.storage`` asks for: devices of nodes and claims of sets."""
    whole = storage.get("config") or {}
    count = sum(int(one.get("count", 0)) for one in storage.get("storageClassDeviceSets") or [])
    for node in storage.get("nodes") or []:
        for device in node.get("devices") or []:
            config = {**whole, **(node.get("config") or {}), **(device.get("config") or {})}
            count += int(config.get("osdsPerDevice", "1"))
    return count


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{what} is missing or not text.", hint="Set kubestead_node_name of the host.")
    return value
