# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's Node objects as Rook sees them: by the label kubernetes.io/hostname, and only those it can use.

Rook drops a name it does not find, and leaves out a node its pods cannot run on, without an error in the CephCluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core.errors import Refused

HOSTNAME = "kubernetes.io/hostname"
# Below this kernel the drivers of the node mount with keys of the type aes only.
_NEW_KEYS_FROM = (7, 0)
_KEEPS_PODS_OUT = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class KubeNode:
    """One Node: its name, its hostname label, why no storage pod could begin there (empty: it could)."""

    name: str
    hostname: str
    labels: Mapping[str, str]
    kernel: str
    closed: str


def read_nodes(objects: Iterable[Mapping[str, Any]], tolerations: Sequence[Mapping[str, Any]] = ()) -> list[KubeNode]:
    """Values out of Node objects."""
    return [_read(thing, tolerations) for thing in objects]


def _read(thing: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> KubeNode:
    meta, spec = thing["metadata"], thing.get("spec") or {}
    labels = meta.get("labels") or {}
    info = (thing.get("status") or {}).get("nodeInfo") or {}
    closed = "is cordoned" if spec.get("unschedulable") else ""
    for taint in spec.get("taints") or []:
        keeps_out = taint.get("effect") in _KEEPS_PODS_OUT and not any(_tolerates(one, taint) for one in tolerations)
        if keeps_out and not str(taint.get("key", "")).startswith("node.kubernetes.io/unschedulable"):
            closed = closed or f"has the taint {taint.get('key')}"
    return KubeNode(
        str(meta["name"]), str(labels.get(HOSTNAME, "")), dict(labels), str(info.get("kernelVersion") or ""), closed
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def storage_tolerations(placement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Tolerations that the pods of OSDs get from ``spec.placement``."""
    return [one for part in ("all", "osd") for one in (placement.get(part) or {}).get("tolerations") or []]


def find(name: str, nodes: Sequence[KubeNode]) -> KubeNode:
    """The Node a host means by its name, which is the hostname label or else the Node's own name; raises Refused."""
    found = [node for node in nodes if node.hostname == name] or [node for node in nodes if node.name == name]
    if not found:
        raise Refused(
            f"No Kubernetes node has the name {name!r} or the label {HOSTNAME} with that value.",
            hint="Rook would silently leave it out. Set kubestead_node_name of the host to the label's value.",
            nodes=[name],
        )
    if len(found) > 1:
        names = ", ".join(node.name for node in found)
        raise Refused(f"The nodes {names} share the label {HOSTNAME}={name}.", hint="Give each node its own value.")
    if not found[0].hostname:
        raise Refused(f"The node {name!r} has no label {HOSTNAME}.", hint="Rook finds nodes by it: set the label.")
    return found[0]


def old_kernels(nodes: Iterable[KubeNode]) -> list[str]:
    """Nodes that mount with keys of the type aes only; an unknown kernel counts as an old one."""
    return sorted(node.name for node in nodes if _kernel(node.kernel) < _NEW_KEYS_FROM)


def _kernel(text: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", text, re.ASCII)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)
