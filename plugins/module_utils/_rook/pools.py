# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools, filesystems and object stores, each with the storage class that serves it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from .classes import Place, block_class, bucket_class, file_class
from .presets import STRETCH, Shape

_DATA_KEYS = {"replicas", "failure_domain", "device_class", "erasure_coded", "spec"}
_BLOCK_KEYS = _DATA_KEYS | {"name", "storage_class"}
_FILE_KEYS = {"name", "storage_class", "active_count", "metadata", "data", "spec"}
_STORE_KEYS = {"name", "storage_class", "port", "secure_port", "instances", "metadata", "data", "spec"}
# The operator writes an object back once, and each pool of a list then with these; a list without them would be a change.
_BLANK_POOL: dict[str, Any] = {
    "replicated": {"size": 0},
    "erasureCoded": {"codingChunks": 0, "dataChunks": 0},
    "mirroring": {},
    "quotas": {},
    "statusCheck": {"mirror": {}},
}
_FAILURE_DOMAINS = ("osd", "host", "chassis", "rack", "row", "pdu", "datacenter", "room", "zone", "region")


@dataclass(frozen=True)
class Ground:
    """What the pools stand on: the shape of the cluster, its storage nodes, OSDs and device classes."""

    shape: Shape
    nodes: int
    osds: int
    device_classes: AbstractSet[str]


def consumers(values: Mapping[str, Any], place: Place, ground: Ground) -> list[dict[str, Any]]:
    """All objects that stand on the cluster, storage classes last; raises BadInput and Refused."""
    objects: list[dict[str, Any]] = []
    classes: list[Optional[dict[str, Any]]] = []
    for given in _entries(values, "block_pools", _BLOCK_KEYS):
        objects.append(_thing("CephBlockPool", given["name"], place, _pool(given, f"Pool {given['name']!r}", ground)))
        classes.append(block_class(given, place))
    for given in _entries(values, "filesystems", _FILE_KEYS):
        objects += _filesystem(given, place, ground)
        classes.append(file_class(given, place))
    for given in _entries(values, "object_stores", _STORE_KEYS):
        objects.append(_object_store(given, place, ground))
        classes.append(bucket_class(given, place))
    made = [one for one in classes if one]
    _refuse_twice([one["metadata"]["name"] for one in made], "Storage class")
    return objects + made


def _entries(values: Mapping[str, Any], option: str, known: AbstractSet[str]) -> Sequence[Mapping[str, Any]]:
    given = values.get(option) or []
    for entry in given:
        name = entry.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9](?:[-a-z0-9]{0,50}[a-z0-9])?", name, re.ASCII):
            raise BadInput(f"rook_cluster_{option} has the name {name!r}.", hint="Use up to 52 of a-z, 0-9 and '-'.")
        _refuse_keys(entry, known, f"rook_cluster_{option}, {name!r}")
    _refuse_twice([str(entry["name"]) for entry in given], f"rook_cluster_{option}:")
    return list(given)


def _refuse_keys(entry: Mapping[str, Any], known: AbstractSet[str], what: str) -> None:
    unknown = sorted(str(key) for key in entry.keys() - known)
    if unknown:
        raise BadInput(f"{what} has the unknown key {unknown[0]!r}.", hint=f"Known are {', '.join(sorted(known))}.")


def _refuse_twice(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"{what} {name!r} is named twice.", hint="Name each one once.")
        seen.add(name)


def _thing(kind: str, name: str, place: Place, spec: Mapping[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": place.namespace}
    return {"apiVersion": "ceph.rook.io/v1", "kind": kind, "metadata": meta, "spec": dict(spec)}


def _pool(given: Mapping[str, Any], what: str, ground: Ground, *, replicated_only: bool = False) -> dict[str, Any]:
    domain = str(given.get("failure_domain") or ground.shape.failure_domain)
    if domain not in _FAILURE_DOMAINS:
        raise BadInput(f"{what} has the failure_domain {domain!r}.", hint=f"Choose one of {', '.join(_FAILURE_DOMAINS)}.")
    spec: dict[str, Any] = {"failureDomain": domain}
    device_class = given.get("device_class")
    if device_class:
        if ground.device_classes and device_class not in ground.device_classes:
            named = ", ".join(sorted(ground.device_classes))
            raise Refused(f"{what} wants the device class {device_class!r}, which no disk has.", hint=f"There are {named}.")
        spec["deviceClass"] = device_class
    if given.get("erasure_coded"):
        if replicated_only:
            raise BadInput(f"{what} cannot be erasure coded.", hint="Use replicas, and erasure_coded for the data.")
        spec["erasureCoded"] = _erasure(given["erasure_coded"], what, domain, ground)
    else:
        spec["replicated"] = _replicated(given, what, domain, ground)
    return {**spec, **(given.get("spec") or {})}


def _replicated(given: Mapping[str, Any], what: str, domain: str, ground: Ground) -> dict[str, Any]:
    size = given.get("replicas", ground.shape.replicas)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 10:
        raise BadInput(f"{what} has {size!r} replicas.", hint="Give a number from 1 to 10.")
    _check_room(size, what, domain, ground)
    made: dict[str, Any] = {"size": size, **({"requireSafeReplicaSize": True} if size > 1 else {})}
    if ground.shape.preset == STRETCH and domain == "zone":
        if size not in (2, 4):
            raise BadInput(f"{what} has {size} replicas over two zones.", hint="Give 4, or 2.")
        made.update(replicasPerFailureDomain=size // 2, subFailureDomain="host")
    return made


def _erasure(given: Mapping[str, Any], what: str, domain: str, ground: Ground) -> dict[str, int]:
    chunks = {"dataChunks": given.get("data"), "codingChunks": given.get("coding")}
    if set(given) != {"data", "coding"} or not all(_positive(count) for count in chunks.values()):
        raise BadInput(f"{what} has wrong erasure_coded.", hint="Give {data, coding}, both numbers from 1.")
    counts = {name: int(count) for name, count in chunks.items() if count}
    _check_room(sum(counts.values()), what, domain, ground)
    return counts


def _positive(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and count > 0


def _check_room(copies: int, what: str, domain: str, ground: Ground) -> None:
    """A pool that asks for more places than there are stays undersized for ever."""
    places = {"osd": ground.osds, "host": ground.nodes}.get(domain, copies)
    if copies > places:
        raise Refused(
            f"{what} wants {copies} copies, each on another {domain}, and there are {places}.",
            hint="Give fewer replicas, or failure_domain osd; replicas 1 keeps no second copy.",
        )


def _filesystem(given: Mapping[str, Any], place: Place, ground: Ground) -> list[dict[str, Any]]:
    name, what = str(given["name"]), f"Filesystem {given['name']!r}"
    metadata, data = _parts(given, what, ground)
    active = given.get("active_count", 1)
    if isinstance(active, bool) or not isinstance(active, int) or not 1 <= active <= 50:
        raise BadInput(f"{what} has the active_count {active!r}.", hint="Give a number from 1.")
    standby = ground.shape.preset != "single-node"
    spec = {
        "metadataPool": metadata,
        "dataPools": [{"name": "data0", **_BLANK_POOL, **data}],
        "preserveFilesystemOnDelete": True,
        "metadataServer": {"activeCount": active, **({"activeStandby": True} if standby else {})},
        **(given.get("spec") or {}),
    }
    # The storage driver puts its volumes in this group; without it the first claim of the class fails.
    group = {"name": "csi", "filesystemName": name, "pinning": {"distributed": 1}}
    return [
        _thing("CephFilesystem", name, place, spec),
        _thing("CephFilesystemSubVolumeGroup", f"{name}-csi", place, group),
    ]


def _object_store(given: Mapping[str, Any], place: Place, ground: Ground) -> dict[str, Any]:
    name, what = str(given["name"]), f"Object store {given['name']!r}"
    metadata, data = _parts(given, what, ground)
    gateway: dict[str, Any] = {"instances": given.get("instances", 1)}
    if given.get("port") or not given.get("secure_port"):
        gateway["port"] = given.get("port", 80)
    if given.get("secure_port"):
        gateway["securePort"] = given["secure_port"]
    for key, number in gateway.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 65535:
            raise BadInput(f"{what} has the {key} {number!r}.", hint="Give a number.")
    spec = {"metadataPool": metadata, "dataPool": data, "preservePoolsOnDelete": True, "gateway": gateway}
    return _thing("CephObjectStore", name, place, {**spec, **(given.get("spec") or {})})


def _parts(given: Mapping[str, Any], what: str, ground: Ground) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pools for metadata and for data."""
    parts = []
    for part in ("metadata", "data"):
        pool = given.get(part) or {}
        _refuse_keys(pool, _DATA_KEYS, f"{what}, {part}")
        parts.append(_pool(pool, f"{what}, {part}", ground, replicated_only=part == "metadata"))
    return parts[0], parts[1]
