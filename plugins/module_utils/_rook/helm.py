# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for Rook's charts: the versions of the table, the registry, and names that follow the namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import versions
from .cluster import laid_over
from .mirror import IMAGE_SETS, mirrored

# Key of the chart's values under ``csi``, and of our table.
_CSI = {
    "cephcsi": "plugin",
    "registrar": "registrar",
    "provisioner": "provisioner",
    "snapshotter": "snapshotter",
    "attacher": "attacher",
    "resizer": "resizer",
    "csiAddons": "addons",
}


def chart_values(release: str, namespace: str, registry: str, extra: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Values of the charts ``rook-ceph`` and ``ceph-csi-drivers``, and all ``images``.

    ``extra`` may hold further values for each chart, which are laid over.
    """
    images = {use: mirrored(image, registry) for use, image in versions.release_facts(release)["images"].items()}
    operator: dict[str, Any] = {"image": _image(images["operator"]), "crds": {"enabled": True}}
    known = {key: _image(images[use]) for key, use in _CSI.items() if use in images}
    if known:
        operator["csi"] = known
    if "csi_operator" in images:
        operator["ceph-csi-operator"] = {"controllerManager": {"manager": {"image": _image(images["csi_operator"])}}}
    return {
        "rook-ceph": laid_over(operator, extra.get("rook-ceph") or {}),
        "ceph-csi-drivers": laid_over(_drivers(namespace), extra.get("ceph-csi-drivers") or {}),
        "image": images["operator"],
        "images": sorted(image for use, image in images.items() if use != "ceph"),
    }


def _image(image: str) -> dict[str, str]:
    repository, _colon, tag = image.rpartition(":")
    return {"repository": repository, "tag": tag}


def _drivers(namespace: str) -> dict[str, Any]:
    """Rook's own values for that chart: its drivers are called after the operator's namespace, as storage classes say."""
    names = {kind: f"{namespace}.{kind}.csi.ceph.com" for kind in ("rbd", "cephfs", "nfs", "nvmeof")}
    return {
        "operatorConfig": {
            "namespace": namespace,
            "driverSpecDefaults": {
                "imageSet": {"name": IMAGE_SETS[0]},
                "nodePlugin": {"priorityClassName": "system-node-critical"},
                "controllerPlugin": {"priorityClassName": "system-cluster-critical"},
            },
        },
        "drivers": {kind: {"enabled": kind in ("rbd", "cephfs"), "name": name} for kind, name in names.items()},
    }
