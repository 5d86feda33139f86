# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OSDs that run, compared with the devices they were planned on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .nodes import HOSTNAME
from .storage import planned_osds

_SET_LABEL = "ceph.rook.io/DeviceSet"


@dataclass(frozen=True)
class Osd:
    """One OSD, as its Deployment tells: ``path`` as Rook found it, ``device_set`` where it stands on a claim.

    ``number`` is -1 and ``fsid`` empty where the Deployment does not say.
    """

    name: str
    number: int
    fsid: str
    node: str
    path: str
    device_set: str
    ready: bool


def running_osds(ceph: Mapping[str, Any]) -> int:
    """How many OSDs answer, by the versions they report."""
    return sum(int(number) for number in ((ceph.get("versions") or {}).get("osd") or {}).values())


def read_osds(deployments: Iterable[Mapping[str, Any]]) -> list[Osd]:
    """The Deployments with the label app=rook-ceph-osd, sorted by their OSD's number."""
    return sorted(map(_read, deployments), key=lambda osd: (len(osd.name), osd.name))


def _read(deployment: Mapping[str, Any]) -> Osd:
    meta, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    labels, pod = meta.get("labels") or {}, (spec.get("template") or {}).get("spec") or {}
    environment = {
        str(one["name"]): str(one.get("value") or "")
        for container in pod.get("containers") or []
        for one in container.get("env") or []
    }
    node = (pod.get("nodeSelector") or {}).get(HOSTNAME) or environment.get("ROOK_NODE_NAME", "")
    wanted = int(spec.get("replicas", 1))
    ready = int(status.get("readyReplicas") or 0) >= wanted > 0
    current = int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
    path = environment.get("ROOK_BLOCK_PATH", "")
    number = str(labels.get("ceph-osd-id") or "")
    return Osd(
        name=str(meta["name"]),
        number=int(number) if number.isdecimal() else -1,
        fsid=environment.get("ROOK_OSD_UUID", ""),
        node=str(node),
        path=path,
        device_set=str(labels.get(_SET_LABEL) or ""),
        ready=ready and current,
    )


def osd_problems(cluster: Mapping[str, Any], deployments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Too few OSDs that answer, and planned devices without an OSD that is ready."""
    storage = (cluster.get("spec") or {}).get("storage") or {}
    ceph = (cluster.get("status") or {}).get("ceph") or {}
    planned, running, osds = planned_osds(storage), running_osds(ceph), read_osds(deployments)
    problems = [f"{running} of {planned} OSDs answer"] if running < planned else []
    for node in storage.get("nodes") or []:
        problems += _of_node(node, storage.get("config") or {}, [osd for osd in osds if osd.node == node["name"]])
    for one in storage.get("storageClassDeviceSets") or []:
        ready = sum(1 for osd in osds if osd.device_set == one["name"] and osd.ready)
        if ready < int(one["count"]):
            problems.append(f"{ready} of {one['count']} OSDs of the set {one['name']} are ready")
    return problems


def _of_node(node: Mapping[str, Any], whole: Mapping[str, str], osds: Sequence[Osd]) -> list[str]:
    """Rook may know a device by another of its names; an OSD under a name that is nobody's counts for such a one."""
    names = {str(device["name"]) for device in node.get("devices") or []}
    others = [osd for osd in osds if osd.path not in names]
    spare = sum(1 for osd in others if osd.ready)
    problems = []
    for device in node.get("devices") or []:
        config = {**whole, **(node.get("config") or {}), **(device.get("config") or {})}
        wanted, here = int(config.get("osdsPerDevice", "1")), [osd for osd in osds if osd.path == device["name"]]
        missing = wanted - sum(1 for osd in here if osd.ready)
        used = min(spare, max(missing, 0))
        spare, missing = spare - used, missing - used
        if missing > 0:
            dead = [osd.name for osd in (here or others) if not osd.ready]
            what = f"{dead[0]} is not ready" if dead else "there is no OSD"
            problems.append(f"{device['name']} on {node['name']}: {what}")
    return problems
