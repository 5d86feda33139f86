# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage classes: what claims name, and what the server lets nobody change afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_KEYS = {"name", "default", "reclaim_policy", "fstype", "image_features", "mount_options", "parameters"}
_SECRETS = ("provisioner", "controller-expand", "controller-publish")
_FIXED = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")


@dataclass(frozen=True)
class Place:
    """The cluster's namespace and the operator's, which names the storage drivers."""

    namespace: str
    operator_namespace: str


def block_class(given: Mapping[str, Any], place: Place) -> Optional[dict[str, Any]]:
    """The class of a block pool, if it has one."""
    wanted = _wanted(given, f"pool {given['name']!r}")
    if wanted is None:
        return None
    parameters = {
        "clusterID": place.namespace,
        "pool": str(given["name"]),
        "imageFormat": "2",
        "imageFeatures": str(wanted.get("image_features") or "layering"),
        **_secrets("rook-csi-rbd", place.namespace),
        # XFS on a node that also runs the OSD can block on old kernels.
        "csi.storage.k8s.io/fstype": str(wanted.get("fstype") or "ext4"),
    }
    return _class(wanted, f"{place.operator_namespace}.rbd.csi.ceph.com", parameters)


def file_class(given: Mapping[str, Any], place: Place) -> Optional[dict[str, Any]]:
    """The class of a filesystem, if it has one."""
    wanted = _wanted(given, f"filesystem {given['name']!r}")
    if wanted is None:
        return None
    parameters = {
        "clusterID": place.namespace,
        "fsName": str(given["name"]),
        "pool": f"{given['name']}-data0",
        **_secrets("rook-csi-cephfs", place.namespace),
    }
    return _class(wanted, f"{place.operator_namespace}.cephfs.csi.ceph.com", parameters)


def bucket_class(given: Mapping[str, Any], place: Place) -> Optional[dict[str, Any]]:
    """The class of an object store, if it has one: claims of it are buckets."""
    wanted = _wanted(given, f"object store {given['name']!r}")
    if wanted is None:
        return None
    if wanted.get("default"):
        raise BadInput(
            f"The class of object store {given['name']!r} cannot be the default.",
            hint="It makes buckets, not volumes: leave it out.",
        )
    parameters = {"objectStoreName": str(given["name"]), "objectStoreNamespace": place.namespace}
    made = _class(wanted, f"{place.namespace}.ceph.rook.io/bucket", parameters)
    del made["allowVolumeExpansion"]
    return made


def _wanted(given: Mapping[str, Any], what: str) -> Optional[Mapping[str, Any]]:
    wanted = given.get("storage_class")
    if wanted is None:
        return None
    unknown = sorted(str(key) for key in wanted.keys() - _KEYS)
    if unknown or not wanted.get("name"):
        problem = f"the unknown key {unknown[0]!r}" if unknown else "no name"
        raise BadInput(f"storage_class of {what} has {problem}.", hint=f"Known are {', '.join(sorted(_KEYS))}.")
    if wanted.get("reclaim_policy", "Delete") not in ("Delete", "Retain"):
        raise BadInput(f"reclaim_policy of {what} is {wanted['reclaim_policy']!r}.", hint="Choose Delete or Retain.")
    if wanted.get("fstype", "ext4") not in ("ext4", "xfs"):
        raise BadInput(f"fstype of {what} is {wanted['fstype']!r}.", hint="Choose ext4 or xfs.")
    return dict(wanted)


def _secrets(prefix: str, namespace: str) -> dict[str, str]:
    named = dict.fromkeys(_SECRETS, f"{prefix}-provisioner")
    named["node-stage"] = f"{prefix}-node"
    return {
        f"csi.storage.k8s.io/{use}-secret-{part}": value
        for use, name in named.items()
        for part, value in (("name", name), ("namespace", namespace))
    }


def _class(wanted: Mapping[str, Any], provisioner: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": str(wanted["name"])}
    meta["annotations"] = {DEFAULT_CLASS: "true" if wanted.get("default") else "false"}
    extra = {str(key): str(value) for key, value in (wanted.get("parameters") or {}).items()}
    made: dict[str, Any] = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": meta,
        "provisioner": provisioner,
        "parameters": {**parameters, **extra},
        "reclaimPolicy": str(wanted.get("reclaim_policy") or "Delete"),
        "allowVolumeExpansion": True,
    }
    if wanted.get("mount_options"):
        made["mountOptions"] = list(wanted["mount_options"])
    return made


def is_default(storage_class: Mapping[str, Any]) -> bool:
    """Whether a claim without a class gets this one."""
    return ((storage_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS)) == "true"


def check_classes(made: Sequence[Mapping[str, Any]], existing: Iterable[Mapping[str, Any]]) -> None:
    """Raises BadInput and Refused: two defaults, or a class that exists otherwise and cannot be changed."""
    present = {str(one["metadata"]["name"]): one for one in existing}
    ours = {str(one["metadata"]["name"]): one for one in made if one["kind"] == "StorageClass"}
    defaults = [name for name, one in ours.items() if is_default(one)]
    if len(defaults) > 1:
        raise BadInput(f"The classes {' and '.join(defaults)} are both the default.", hint="Set default: true at one of them.")
    foreign = [name for name, one in present.items() if name not in ours and is_default(one)]
    if defaults and foreign:
        raise Refused(
            f"The class {defaults[0]} is to be the default, and {foreign[0]} is it already.",
            hint=f"Take the annotation {DEFAULT_CLASS} from it, or set default: false.",
        )
    for name, one in ours.items():
        differing = [field for field in _FIXED if name in present and _field(present[name], field) != _field(one, field)]
        if differing:
            raise Refused(
                f"The storage class {name} exists with another {differing[0]}, which nobody can change.",
                hint="Choose another name, or delete the class first: volumes made of it stay.",
            )


def _field(storage_class: Mapping[str, Any], field: str) -> Any:
    usual = {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "parameters": {}}
    return storage_class.get(field) or usual.get(field)
