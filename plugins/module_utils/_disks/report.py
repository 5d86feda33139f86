# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's entry of a CephCluster's ``spec.storage.nodes``. Rook wants every configuration value as text."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.plan import Verdict
from . import tags
from .model import Node
from .planner import Assessed
from .wanted import RAW

_THERE = ("created", "updated", "unchanged")


def storage_node(node_name: str, devices: Iterable[tuple[str, str]]) -> dict[str, object]:
    """The entry for devices given as path and device class; sorted, each device once."""
    shown: list[dict[str, object]] = []
    for path, device_class in sorted(dict(devices).items()):
        shown.append({"name": path, "config": {"deviceClass": device_class}} if device_class else {"name": path})
    return {"name": node_name, "devices": shown}


def devices_of_run(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """What a run leaves for Ceph: volumes and raw disks that are there, or would be."""
    found = []
    for verdict in verdicts:
        if verdict.error is not None or verdict.action not in _THERE:
            continue
        if verdict.kind == "volume":
            found.append((str(verdict.facts["path"]), str(verdict.facts["device_class"])))
        elif verdict.kind == "disk" and verdict.facts.get("layout") == RAW:
            found.append((str(verdict.facts["device"]), str(verdict.facts["device_class"])))
    return found


def devices_of_node(node: Node, node_name: str) -> list[tuple[str, str]]:
    """The finished volumes of ours that a node has."""
    return [
        (f"/dev/{volume.full_name}", tags.device_class(volume))
        for volume in node.volumes.values()
        if tags.volume_is_ours(volume, node_name) and not tags.is_new(volume)
    ]


def raw_devices(assessed: Iterable[Assessed]) -> list[tuple[str, str]]:
    """The disks named for Ceph as they are that it may have, or has already."""
    return [
        (one.device.path, one.disk.device_class)
        for one in assessed
        if one.disk.layout == RAW and one.error is None and one.device is not None
    ]
