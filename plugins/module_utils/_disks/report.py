# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's entry of a CephCluster's ``spec.storage.nodes``. Rook wants every configuration value as text."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.plan import Verdict
from . import partitioning, tags
from .assess import Assessed
from .model import Node
from .wanted import PARTITIONS, RAW

_THERE = ("created", "updated", "unchanged")


Offered = tuple[str, str, str]  # path, device class, path of the database volume


def storage_node(node_name: str, devices: Iterable[Offered]) -> dict[str, object]:
    """The entry for these devices; sorted, each device once."""
    shown: list[dict[str, object]] = []
    for path, (device_class, database) in sorted({path: (cls, db) for path, cls, db in devices}.items()):
        settings = {"deviceClass": device_class, "metadataDevice": database}
        config = {name: text for name, text in settings.items() if text}
        shown.append({"name": path, "config": config} if config else {"name": path})
    return {"name": node_name, "devices": shown}


def devices_of_run(verdicts: Iterable[Verdict]) -> list[Offered]:
    """What a run leaves for Ceph: volumes, partitions and raw disks that are there, or would be."""
    found = []
    for verdict in verdicts:
        if verdict.error is not None or verdict.action not in _THERE:
            continue
        facts = verdict.facts
        if verdict.kind == "volume" and "db_for" not in facts:
            found.append((str(facts["path"]), str(facts["device_class"]), str(facts.get("metadata_device", ""))))
        elif verdict.kind == "partition":
            found.append((str(facts["path"]), str(facts["device_class"]), ""))
        elif verdict.kind == "disk" and facts.get("layout") == RAW:
            found.append((str(facts["device"]), str(facts["device_class"]), ""))
    return found


def devices_of_node(node: Node, node_name: str) -> list[Offered]:
    """The finished volumes of ours that a node has; those that hold databases are named with the volume they serve."""
    done = [v for v in node.volumes.values() if v.active and tags.volume_is_ours(v, node_name) and not tags.is_new(v)]
    databases = {tags.db_for(volume): f"/dev/{volume.full_name}" for volume in done if tags.db_for(volume)}
    return [
        (f"/dev/{volume.full_name}", tags.device_class(volume), databases.get(volume.full_name, ""))
        for volume in done
        if not tags.db_for(volume)
    ]


def named_devices(assessed: Iterable[Assessed], node: Node, node_name: str) -> list[Offered]:
    """The disks named for Ceph as they are that it may have, or has already, and the partitions of ours on named disks."""
    found: list[Offered] = []
    for one in assessed:
        if one.error is None and one.device is not None and one.disk.layout == RAW:
            found.append((one.device.path, one.disk.device_class, ""))
        elif one.error is None and one.disk.layout == PARTITIONS:
            found += [(path, one.disk.device_class, "") for path in partitioning.offered(one, node, node_name)]
    return found
