# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's own manifests: for which namespaces, in which order they are applied, and which a dry run cannot judge yet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from . import versions
from .mirror import images_of, use_registry

OPERATOR = "rook-ceph-operator"
CSI_OPERATOR = "ceph-csi-controller-manager"
_CRD = "CustomResourceDefinition"
_NAMED = "rook-ceph"
# Rook's files mark with a comment what a name stands for; once parsed, nothing tells them apart.
_MARKED = re.compile(
    r"^(?P<head>.*?)(?P<name>rook-ceph[^\s#]*)(?P<gap>\s+# )"
    r"(?P<mark>namespace:operator|namespace:cluster|csi-provisioner-name|driver:namespace:\w+|serviceaccount:namespace:\w+)\s*$",
    re.ASCII,
)


def check_checksums(texts: Mapping[str, str], wanted: Mapping[str, str], *, required: bool) -> None:
    """Raises Refused for a file that is not the one expected; with ``required``, for one of which nothing is known too."""
    for name, text in texts.items():
        expected = str(wanted.get(name) or "").lower()
        if not expected:
            if required:
                raise Refused(f"No checksum of {name} is known.", hint="Add its SHA-256 to rook_operator_checksums.")
            continue
        found = hashlib.sha256(text.encode("utf-8")).hexdigest()
        if found != expected:
            raise Refused(
                f"{name} has the SHA-256 {found}, not {expected}.",
                hint="If the change is meant, give this one in rook_operator_checksums.",
            )


def localise(text: str, namespace: str, cluster_namespace: str) -> str:
    """A manifest file for other namespaces, by the marks in its lines."""
    if namespace == cluster_namespace == _NAMED:
        return text
    return "\n".join(_line(line, namespace, cluster_namespace) for line in text.split("\n"))


def _line(line: str, namespace: str, cluster_namespace: str) -> str:
    match = _MARKED.match(line)
    if not match:
        return line
    of_cluster = match.group("mark") in ("namespace:cluster", "driver:namespace:cluster", "serviceaccount:namespace:cluster")
    name = match.group("name")
    rest = name[len(_NAMED) :]
    if rest[:1] not in ("", ".", ":"):
        return line
    return (
        f"{match.group('head')}{cluster_namespace if of_cluster else namespace}{rest}{match.group('gap')}{match.group('mark')}"
    )


def operator_manifests(
    documents: Iterable[Optional[Mapping[str, Any]]], namespace: str, cluster_namespace: str, registry: str = ""
) -> dict[str, Any]:
    """The documents sorted into ``crds``, ``namespaces``, ``objects``; ``image``, ``images``, ``drivers``; raises BadInput."""
    objects = [dict(document) for document in documents if document]
    for thing in objects:
        if not thing.get("kind") or not (thing.get("metadata") or {}).get("name"):
            raise BadInput("A manifest has a document without kind or metadata.name.", hint="Check rook_operator_manifests.")
    _check_namespaces(objects, {namespace, cluster_namespace})
    objects = use_registry(objects, registry)
    made = [thing for thing in objects if thing["kind"] == "Namespace"]
    missing = sorted({namespace, cluster_namespace} - {str(thing["metadata"]["name"]) for thing in made})
    return {
        "crds": [thing for thing in objects if thing["kind"] == _CRD],
        "namespaces": [*made, *(_namespace(name) for name in missing)],
        "objects": [thing for thing in objects if thing["kind"] not in (_CRD, "Namespace")],
        "image": _image(objects, OPERATOR),
        "images": images_of(objects),
        "drivers": sorted(str(thing["metadata"]["name"]) for thing in objects if thing["kind"] == "Driver"),
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _check_namespaces(objects: Sequence[Mapping[str, Any]], wanted: set[str]) -> None:
    named = {str(thing["metadata"]["namespace"]) for thing in objects if "namespace" in thing["metadata"]}
    named |= {str(one["namespace"]) for thing in objects for one in thing.get("subjects") or [] if "namespace" in one}
    named |= {str(thing["metadata"]["name"]).partition(".")[0] for thing in objects if thing["kind"] == "Driver"}
    others = sorted(named - wanted)
    if others:
        raise BadInput(
            f"The manifests are written for the namespace {', '.join(others)}, and nothing in them marks it.",
            hint="Give Rook's own files, or set rook_operator_namespace and rook_operator_cluster_namespace accordingly.",
        )


def _image(objects: Sequence[Mapping[str, Any]], deployment: str) -> str:
    for thing in objects:
        if thing["kind"] == "Deployment" and thing["metadata"]["name"] == deployment:
            return str(thing["spec"]["template"]["spec"]["containers"][0]["image"])
    raise BadInput(f"The manifests hold no Deployment {deployment}.", hint="Add Rook's operator.yaml and csi-operator.yaml.")


def check_install(
    manifests: Mapping[str, Any], rook: str, told: Mapping[str, Any], charts: bool = False, upgrade: bool = False
) -> None:
    """Raises BadInput and Refused: parts of different releases, a server this Rook is not made for, a step too far.

    ``told`` is what the module rook_info says of the cluster. Only an ``upgrade`` changes the release under a CephCluster.
    """
    facts = versions.release_facts(rook)
    versions.check_kubernetes(rook, str(told.get("kubernetes") or ""))
    _check_tag(str(manifests["image"]), facts["images"]["operator"])
    for image in manifests["images"]:
        known = {_repository(one): one for one in facts["images"].values()} if facts["tested"] else {}
        if _repository(image) in known:
            _check_tag(image, known[_repository(image)])
    versions.check_step(told.get("operator_image"), rook, charts=charts)
    if told.get("clusters") and not upgrade:
        versions.check_kept(rook, told.get("operator_image"))


def _repository(image: str) -> str:
    """The last part of a name, which a mirror keeps."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] + ("/rook" if "rook/ceph" in image else "")


def _check_tag(image: str, wanted: str) -> None:
    tag = wanted.rpartition(":")[2]
    if image.rpartition(":")[2] != tag:
        raise Refused(
            f"The manifests name {image}, and this release goes with the tag {tag}.",
            hint="Set kubestead_rook_release to the release of the manifests, or give the manifests of that release.",
        )


def split_by_dry_run(manifests: Mapping[str, Any], crds: Iterable[str], namespaces: Iterable[str]) -> dict[str, list[Any]]:
    """Objects a server-side dry run can judge (``now``), and the names of those it cannot (``later``).

    ``crds`` and ``namespaces`` are the names that exist already: what lives in a namespace or is of a kind that the
    same run would create cannot be sent to the server before.
    """
    existing = set(crds)
    missing = {thing["spec"]["group"] for thing in manifests["crds"] if thing["metadata"]["name"] not in existing}
    known_namespaces = set(namespaces)
    now: list[Any] = []
    later: list[Any] = []
    for thing in manifests["objects"]:
        group = str(thing["apiVersion"]).rpartition("/")[0]
        namespace = thing["metadata"].get("namespace")
        if group in missing or (namespace is not None and namespace not in known_namespaces):
            later.append(f"{thing['kind']} {thing['metadata']['name']}")
        else:
            now.append(thing)
    return {"now": now, "later": later}


def crds_not_served(wanted: Iterable[Mapping[str, Any]], seen: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of resource definitions the API server does not serve yet."""
    return sorted({str(thing["metadata"]["name"]) for thing in wanted} - {_name_if_served(thing) for thing in seen})


def _name_if_served(crd: Mapping[str, Any]) -> str:
    conditions = (crd.get("status") or {}).get("conditions") or []
    served = any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)
    return str(crd["metadata"]["name"]) if served else ""
