# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a registry of one's own: the host's part of a name is replaced, the rest stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import BadInput

_REGISTRY = re.compile(r"[a-z0-9][a-z0-9.-]*(?::\d{1,5})?(?:/[a-z0-9._-]+)*", re.ASCII)
IMAGE_SETS = ("rook-csi-operator-image-set-configmap",)


def check_registry(registry: str) -> str:
    """A registry with an optional path, without scheme; empty: none. Raises BadInput."""
    if registry and not _REGISTRY.fullmatch(registry):
        raise BadInput(
            f"The image registry is {registry!r}.", hint="Write host, port and path, as in mirror.example.org:5000/rook."
        )
    return registry


def mirrored(image: str, registry: str) -> str:
    """``docker.io/rook/ceph:v1`` from ``mirror/x`` is ``mirror/x/rook/ceph:v1``; without a registry it stays as it is."""
    if not check_registry(registry) or image.startswith(f"{registry}/"):
        return image
    first, _slash, rest = image.partition("/")
    has_host = rest and ("." in first or ":" in first or first == "localhost")
    return f"{registry}/{rest if has_host else image}"


def images_of(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every image the manifests name: of containers, and of the set from which the storage drivers are made."""
    found: set[str] = set()
    for thing in objects:
        if thing["kind"] == "ConfigMap" and thing["metadata"]["name"] in IMAGE_SETS:
            found |= {str(image) for image in (thing.get("data") or {}).values()}
        found |= {str(container["image"]) for container in _containers(thing)}
    return sorted(found)


def use_registry(objects: Sequence[Mapping[str, Any]], registry: str) -> list[dict[str, Any]]:
    """The manifests with every image taken from the registry."""
    return [_moved(dict(thing), registry) for thing in objects] if check_registry(registry) else [dict(one) for one in objects]


def _moved(thing: dict[str, Any], registry: str) -> dict[str, Any]:
    if thing["kind"] == "ConfigMap" and thing["metadata"]["name"] in IMAGE_SETS:
        return {**thing, "data": {key: mirrored(str(image), registry) for key, image in thing["data"].items()}}
    if not _containers(thing):
        return thing
    pod = thing["spec"]["template"]["spec"]
    moved = {
        key: [{**one, "image": mirrored(str(one["image"]), registry)} for one in pod[key]]
        for key in ("containers", "initContainers")
        if key in pod
    }
    template = {**thing["spec"]["template"], "spec": {**pod, **moved}}
    return {**thing, "spec": {**thing["spec"], "template": template}}


def _containers(thing: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if thing["kind"] not in ("Deployment", "DaemonSet", "StatefulSet", "Job"):
        return []
    pod = thing["spec"]["template"]["spec"]
    return [*pod.get("containers", ()), *pod.get("initContainers", ())]
