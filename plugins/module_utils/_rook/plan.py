# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that the role rook_cluster writes, decided in one place before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from . import claims, cluster, extras, pools, presets, settings, versions
from .classes import Place, check_classes
from .mirror import mirrored
from .nodes import KubeNode, read_nodes, storage_tolerations
from .storage import Wanted, planned_osds, storage_nodes

_DEVICES, _CLAIMS = "devices", "claims"


@dataclass(frozen=True)
class Seen:
    """What is there already, as the module rook_info tells it."""

    kubernetes: str
    operator_image: Optional[str]
    node_objects: Sequence[Mapping[str, Any]]
    cluster: Optional[Mapping[str, Any]]
    storage_classes: Sequence[Mapping[str, Any]]
    kinds: Sequence[str]
    namespace_exists: bool


def read_seen(told: Mapping[str, Any]) -> Seen:
    """Out of the module's result."""
    return Seen(
        kubernetes=str(told.get("kubernetes") or ""),
        operator_image=told.get("operator_image"),
        node_objects=told.get("nodes") or [],
        cluster=told.get("cluster"),
        storage_classes=told.get("storage_classes") or [],
        kinds=told.get("kinds") or [],
        namespace_exists=bool(told.get("namespace_exists")),
    )


def cluster_plan(values: Mapping[str, Any], reports: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> dict[str, Any]:
    """The objects in the order they are applied, the number of OSDs, and the warnings that may stand; raises CollErrors.

    ``now`` are the objects a dry run can judge already, ``later`` the names of the others.
    ``values`` are the role's options without their prefix, ``reports`` what each node says it has for Ceph.
    """
    seen = read_seen(told)
    rook = str(values.get("release") or versions.DEFAULT)
    image = mirrored(
        str(values.get("image") or versions.release_facts(rook)["images"]["ceph"]), str(values.get("registry") or "")
    )
    _check_versions(values, rook, image, seen)
    tolerations = storage_tolerations((values.get("spec") or {}).get("placement") or {})
    kube_nodes = read_nodes(seen.node_objects, tolerations)
    shape = presets.shape(str(values.get("preset")), int(values.get("mons") or 0), int(values.get("mgrs") or 0))
    presets.check_room(shape, kube_nodes)
    nodes = _nodes(values, reports, rook, kube_nodes, seen)
    key_type = cluster.choose_key_type(str(values.get("csi_key_type")), rook, kube_nodes, seen.cluster)
    storage, before = _storage(values, nodes)
    object_ = cluster.ceph_cluster({**values, "image": image}, shape, storage, key_type, _stretch(values, nodes, kube_nodes))
    cluster.check_against_present(object_, seen.cluster)
    _check_monitoring(values, seen)
    after = _consumers(values, shape, nodes, image, seen, planned_osds(storage))
    check_classes([*before, *after], seen.storage_classes)
    objects = [*before, object_, *after]
    now = [one for one in objects if _can_be_judged(one, seen)]
    return {
        "objects": objects,
        "now": now,
        "later": [f"{one['kind']} {one['metadata']['name']}" for one in objects if one not in now],
        "cluster": object_,
        "osds": planned_osds(storage),
        "image": image,
        "allowed_warnings": _allowed(values, key_type, after, seen.cluster),
    }


def _can_be_judged(thing: Mapping[str, Any], seen: Seen) -> bool:
    """Whether the server has the kind and the namespace of an object already, so that a dry run tells something."""
    known = not str(thing["apiVersion"]).startswith("ceph.rook.io/") or "cephclusters.ceph.rook.io" in seen.kinds
    return known and (seen.namespace_exists or "namespace" not in thing["metadata"])


def _check_versions(values: Mapping[str, Any], rook: str, image: str, seen: Seen) -> None:
    versions.release(rook)
    versions.check_kubernetes(rook, seen.kubernetes)
    (versions.check_kept if seen.cluster else versions.check_operator)(rook, seen.operator_image)
    versions.check_ceph(rook, image, allow_unsupported=bool(values.get("allow_unsupported_ceph")))


def _nodes(
    values: Mapping[str, Any],
    reports: Sequence[Mapping[str, Any]],
    rook: str,
    kube_nodes: Sequence[KubeNode],
    seen: Seen,
) -> list[dict[str, Any]]:
    config = _storage_config(values)
    leaving = frozenset(str(name) for name in values.get("remove_nodes") or [])
    return storage_nodes(reports, Wanted(rook, config, leaving, kube_nodes, seen.cluster))


def _storage_config(values: Mapping[str, Any]) -> dict[str, str]:
    config = settings.check_settings(values.get("storage_config") or {}, "the whole cluster", whole_cluster=True)
    if "metadataDevice" in config:
        settings.check_metadata(config["metadataDevice"], "the whole cluster", per_node=True)
    return config


def _storage(values: Mapping[str, Any], nodes: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """``spec.storage``, and what has to be there before the cluster."""
    config = _storage_config(values)
    storage: dict[str, Any] = {"config": config} if config else {}
    before: list[dict[str, Any]] = []
    kind = values.get("storage") or _DEVICES
    if kind == _CLAIMS:
        if config:
            raise BadInput("rook_cluster_storage_config does not go with claims.", hint="Set it in rook_cluster_spec per set.")
        before += claims.local_volumes(nodes, values.get("claims") or {})
        storage["storageClassDeviceSets"] = claims.device_sets(nodes, values.get("claims") or {})
    elif kind == _DEVICES:
        storage["nodes"] = nodes
    else:
        raise BadInput(f"rook_cluster_storage is {kind!r}.", hint="Choose devices or claims.")
    if values.get("ceph_config"):
        before.append(extras.config_override(values["ceph_config"], str(values["namespace"])))
    return storage, before


def _stretch(
    values: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], kube_nodes: Sequence[KubeNode]
) -> Optional[dict[str, Any]]:
    if values.get("preset") == presets.STRETCH:
        return presets.stretch(values.get("stretch") or {}, kube_nodes, [str(node["name"]) for node in nodes])
    if values.get("stretch"):
        raise BadInput("rook_cluster_stretch is only used by the preset stretch.", hint="Set rook_cluster_preset: stretch.")
    return None


def _check_monitoring(values: Mapping[str, Any], seen: Seen) -> None:
    if values.get("monitoring") and "servicemonitors.monitoring.coreos.com" not in seen.kinds:
        raise Refused(
            "rook_cluster_monitoring is set, and the server does not know ServiceMonitors.",
            hint="Install the Prometheus operator first; Rook's reconciliation fails without it.",
        )


def _consumers(
    values: Mapping[str, Any],
    shape: presets.Shape,
    nodes: Sequence[Mapping[str, Any]],
    image: str,
    seen: Seen,
    osds: int,
) -> list[dict[str, Any]]:
    namespace = str(values["namespace"])
    place = Place(namespace, str(values.get("operator_namespace") or namespace))
    made = pools.consumers(values, place, pools.Ground(shape, len(nodes), osds, _device_classes(nodes)))
    if values.get("toolbox"):
        made.append(extras.toolbox(namespace, image))
    return [*made, *extras.dashboard(values.get("dashboard") or {}, namespace, seen.kinds)]


def _device_classes(nodes: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The classes of all devices; empty when one of them leaves its class to Ceph."""
    found = {
        str({**(node.get("config") or {}), **(device.get("config") or {})}.get("deviceClass") or "")
        for node in nodes
        for device in node["devices"]
    }
    return frozenset() if "" in found else frozenset(found)


def _allowed(
    values: Mapping[str, Any], key_type: str, after: Sequence[Mapping[str, Any]], present: Optional[Mapping[str, Any]]
) -> list[str]:
    """Warnings by name: the user's, those of old keys, and that of a pool without a second copy."""
    names = set(values.get("allowed_warnings") or []) | cluster.warnings_of_keys(key_type, present)
    single = any(
        (one.get("spec") or {}).get("replicated", {}).get("size") == 1 for one in after if one["kind"] == "CephBlockPool"
    )
    return sorted(names | ({"POOL_NO_REDUNDANCY"} if single else set()))
