# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CephCluster object."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from .nodes import KubeNode, old_kernels
from .presets import Shape
from .storage import present_storage
from .versions import DEFAULT, knows_key_type

# Warnings that stand for good while keys are of the type aes.
KEY_WARNINGS = ("AUTH_INSECURE_CLIENT_KEY_TYPE", "AUTH_INSECURE_KEYS_ALLOWED", "AUTH_INSECURE_KEYS_CREATABLE")
# Stands for two or three hours after the keys of the daemons were replaced.
ROTATION_WARNING = "AUTH_INSECURE_ROTATING_SERVICE_KEY_TYPE"
_KEY_TYPES = ("auto", "", "aes", "aes256k")
_OWN_FIELDS = {
    "storage": "Change the disk lists of the hosts, and rook_cluster_storage_config.",
    "cephVersion": "Set rook_cluster_image and rook_cluster_allow_unsupported_ceph.",
    "dataDirHostPath": "Set rook_cluster_data_dir.",
}


def ceph_cluster(
    values: Mapping[str, Any],
    made: Shape,
    storage: Mapping[str, Any],
    key_type: str,
    stretch: Optional[Mapping[str, Any]] = None,
) -> dict[str, Any]:
    """The object to apply. ``values`` are the role's options without their prefix.

    ``spec`` is laid over what is made of the other values, mapping by mapping; it may not touch what has its own option.
    """
    extra = values.get("spec") or {}
    for name, hint in _OWN_FIELDS.items():
        if name in extra:
            raise BadInput(f"rook_cluster_spec sets {name!r}, which is made from other options.", hint=hint)
    spec: dict[str, Any] = {
        "cephVersion": {"image": values["image"], "allowUnsupported": bool(values.get("allow_unsupported_ceph"))},
        "dataDirHostPath": data_dir(str(values["data_dir"])),
        "mon": {"count": made.mons, "allowMultiplePerNode": made.shared_nodes},
        "mgr": {"count": made.mgrs, "allowMultiplePerNode": made.shared_nodes},
        "dashboard": _dashboard(values.get("dashboard") or {}),
        "monitoring": {"enabled": bool(values.get("monitoring"))},
        "storage": dict(storage),
    }
    if stretch:
        spec["mon"]["stretchCluster"] = dict(stretch)
    if values.get("network"):
        spec["network"] = {"provider": values["network"]}
    if key_type:
        spec["security"] = {"cephx": {"csi": {"keyType": key_type}}}
    return {
        "apiVersion": "ceph.rook.io/v1",
        "kind": "CephCluster",
        "metadata": {"name": values["name"], "namespace": values["namespace"]},
        "spec": laid_over(_without_false(spec), extra),
    }


def _without_false(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Without switches that are off, which is what a missing one means.

    The operator writes the object back without them when it first sees it: to send them would change it once more.
    """
    return {
        key: _without_false(value) if isinstance(value, Mapping) else value for key, value in spec.items() if value is not False
    }


def _dashboard(given: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"enabled": bool(given.get("enabled", True)), "ssl": bool(given.get("ssl", True))}
    return {**made, **({"port": given["port"]} if given.get("port") else {})}


def data_dir(path: str) -> str:
    """A folder Rook can keep its state in; raises BadInput."""
    if not re.fullmatch(r"/[^/\s]\S*", path):
        raise BadInput(f"rook_cluster_data_dir is {path!r}.", hint="Give an absolute path on the nodes, such as /var/lib/rook.")
    return path


def laid_over(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``extra``, mapping by mapping."""
    merged = dict(base)
    for key, value in extra.items():
        below = merged.get(key)
        merged[key] = laid_over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def choose_key_type(wanted: str, rook: str, kube_nodes: Sequence[KubeNode], present: Optional[Mapping[str, Any]]) -> str:
    """The type of the drivers' keys, empty to leave it to Rook; raises BadInput and Refused.

    ``auto`` is ``aes`` as long as a node's kernel needs it, and never changes what a cluster has.
    """
    if wanted not in _KEY_TYPES:
        raise BadInput(f"rook_cluster_csi_key_type is {wanted!r}.", hint="Choose auto, aes, aes256k or an empty text.")
    if not knows_key_type(rook):
        if wanted in ("aes", "aes256k"):
            raise Refused(f"Rook {rook or DEFAULT} does not know key types.", hint="Leave rook_cluster_csi_key_type at auto.")
        return ""
    old = old_kernels(kube_nodes)
    if wanted == "auto":
        return str(cephx_of(present, "csi").get("keyType") or "") if present else ("aes" if old else "")
    if wanted != "aes" and old:
        raise Refused(
            f"The nodes {', '.join(old)} have a kernel below 7.0, which mounts with keys of the type aes only.",
            hint="Set rook_cluster_csi_key_type to auto or aes until all kernels are newer.",
            nodes=old,
        )
    return wanted


def cephx_of(cluster: Mapping[str, Any], whose: str) -> Mapping[str, Any]:
    """What a cluster's object asks of the keys of ``csi`` or ``daemon``."""
    return (((cluster.get("spec") or {}).get("security") or {}).get("cephx") or {}).get(whose) or {}


def warnings_of_keys(key_type: str, cluster: Optional[Mapping[str, Any]]) -> set[str]:
    """Warnings that stand because of the drivers' keys, and for a while because those of the daemons were replaced."""
    names = set(KEY_WARNINGS) if key_type == "aes" else set()
    replaced = int(cephx_of(cluster or {}, "daemon").get("keyGeneration") or 0) > 1
    return names | ({ROTATION_WARNING} if replaced else set())


def check_against_present(made: Mapping[str, Any], present: Optional[Mapping[str, Any]]) -> None:
    """Raises Refused for what cannot be changed in a cluster that exists."""
    if not present:
        return
    old, new = present.get("spec") or {}, made["spec"]
    if (present.get("metadata") or {}).get("deletionTimestamp"):
        raise Refused(f"The CephCluster {made['metadata']['name']} is being deleted.", hint="Wait until it is gone.")
    if old.get("dataDirHostPath") not in (None, new["dataDirHostPath"]):
        raise Refused(
            f"rook_cluster_data_dir is {new['dataDirHostPath']!r}, and the cluster lives in {old['dataDirHostPath']!r}.",
            hint="It cannot be changed: its monitors would start empty. Set it back.",
        )
    was, now = ((spec.get("network") or {}).get("provider") or "" for spec in (old, new))
    if was != now:
        raise Refused(
            f"rook_cluster_network is {now!r}, and the cluster uses {was!r}.",
            hint="The network cannot be changed after the start.",
        )
    _refuse_other_ceph(old, new)
    _refuse_other_storage(present_storage(present), new["storage"])


def _refuse_other_ceph(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Another registry is another image and the same Ceph."""
    was, now = (str((spec.get("cephVersion") or {}).get("image") or "") for spec in (old, new))
    if was and was.rpartition(":")[2] != now.rpartition(":")[2]:
        raise Refused(
            f"The cluster's Ceph image is {was}, and this run is for {now}.",
            hint="Run the playbook kubestead.platform.upgrade_rook, or set rook_cluster_image to the image that runs.",
        )


def _refuse_other_storage(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if bool(old.get("nodes")) and bool(new.get("storageClassDeviceSets")):
        raise Refused(
            "The cluster's OSDs are on devices of nodes, and rook_cluster_storage asks for claims.",
            hint="An OSD cannot be moved from one to the other: set it back, or replace the OSDs one by one.",
        )
    counts = {str(one["name"]): int(one["count"]) for one in new.get("storageClassDeviceSets") or []}
    for one in old.get("storageClassDeviceSets") or []:
        if counts.get(str(one["name"]), 0) < int(one["count"]):
            raise Refused(
                f"The set {one['name']} has {one['count']} claims and would have {counts.get(str(one['name']), 0)}.",
                hint="Make the disks readable again; to take OSDs away, purge them and lower the count by hand first.",
            )


def dropped_fields(wanted: Any, stored: Any, path: str = "") -> list[str]:
    """Paths of what was sent but is not in the server's answer: the server drops unknown fields without a word."""
    if isinstance(wanted, Mapping):
        if not isinstance(stored, Mapping):
            return [path] if wanted else []
        below = [dropped_fields(value, stored.get(key), f"{path}.{key}" if path else str(key)) for key, value in wanted.items()]
        return [name for names in below for name in names]
    if isinstance(wanted, list):
        if not isinstance(stored, list) or len(wanted) != len(stored):
            return [path]
        below = [dropped_fields(value, other, f"{path}[{index}]") for index, (value, other) in enumerate(zip(wanted, stored))]
        return [name for names in below for name in names]
    return [] if wanted is None or stored is not None else [path]


def same_storage(wanted: Mapping[str, Any], stored: Optional[Mapping[str, Any]]) -> bool:
    """Whether the stored cluster names the devices and claims that were applied."""
    return _devices(wanted) == _devices(stored)


def _devices(cluster: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    storage = present_storage(cluster)
    nodes = {str(node["name"]): sorted(str(one["name"]) for one in node["devices"]) for node in storage.get("nodes") or []}
    return {**nodes, **{f"set {one['name']}": int(one["count"]) for one in storage.get("storageClassDeviceSets") or []}}
