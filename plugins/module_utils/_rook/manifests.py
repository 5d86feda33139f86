# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's own manifests: for which namespaces, in which order they are applied, and which a dry run cannot judge yet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._core.errors import BadInput, Refused
from . import versions
from .mirror import images_of, use_registry
from .operators import OPERATOR

try:
    import yaml

    _LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:  # the controller always has it
    yaml = None  # type: ignore[assignment, unused-ignore]

_CRD, _NAMESPACE = "CustomResourceDefinition", "Namespace"
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


def operator_manifests(texts: Iterable[str], namespace: str, cluster_namespace: str, registry: str = "") -> dict[str, Any]:
    """Rook's files for these namespaces: ``objects`` as one JSON text, ``image``, ``images``, ``drivers``; raises BadInput.

    The objects are in the order to apply them. They stay a text because Ansible looks into every single value of a
    structure, whenever it hands it on.
    """
    text = "\n---\n".join(localise(one, namespace, cluster_namespace) for one in texts)
    return _sorted(_documents(text), namespace, cluster_namespace, registry)


def _documents(text: str) -> list[dict[str, Any]]:
    try:
        return [dict(document) for document in yaml.load_all(text, Loader=_LOADER) if document]
    except (yaml.YAMLError, TypeError, ValueError) as exc:
        raise BadInput(f"The manifests are no YAML: {exc}.", hint="Check rook_operator_manifests.") from None


def _sorted(objects: list[dict[str, Any]], namespace: str, cluster_namespace: str, registry: str) -> dict[str, Any]:
    for thing in objects:
        if not thing.get("kind") or not (thing.get("metadata") or {}).get("name"):
            raise BadInput("A manifest has a document without kind or metadata.name.", hint="Check rook_operator_manifests.")
    _check_namespaces(objects, {namespace, cluster_namespace})
    objects = use_registry(objects, registry)
    crds = [thing for thing in objects if thing["kind"] == _CRD]
    made = [thing for thing in objects if thing["kind"] == _NAMESPACE]
    missing = sorted({namespace, cluster_namespace} - {str(thing["metadata"]["name"]) for thing in made})
    made += [{"apiVersion": "v1", "kind": _NAMESPACE, "metadata": {"name": name}} for name in missing]
    rest = [thing for thing in objects if thing["kind"] not in (_CRD, _NAMESPACE)]
    return {
        "objects": json.dumps([*crds, *made, *rest], default=str),
        "image": _image(objects, OPERATOR),
        "images": images_of(objects),
        "drivers": sorted(str(thing["metadata"]["name"]) for thing in objects if thing["kind"] == "Driver"),
    }


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


def known_objects(text: str, crds: Iterable[str], namespaces: Iterable[str]) -> list[dict[str, Any]]:
    """The objects, without definitions and namespaces, that can be on a server with these ``crds`` and ``namespaces``.

    It refuses to be asked of a kind it does not know (any more).
    """
    objects = json.loads(text)
    existing, known_namespaces = set(crds), {None, *namespaces}
    definitions = [thing for thing in objects if thing["kind"] == _CRD]
    missing = {thing["spec"]["group"] for thing in definitions if thing["metadata"]["name"] not in existing}
    return [
        thing
        for thing in objects
        if thing["kind"] not in (_CRD, _NAMESPACE)
        and str(thing["apiVersion"]).rpartition("/")[0] not in missing
        and thing["metadata"].get("namespace") in known_namespaces
    ]


def crds_not_served(wanted: Iterable[Mapping[str, Any]], seen: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of resource definitions the API server does not serve yet."""
    return sorted({str(thing["metadata"]["name"]) for thing in wanted} - {_name_if_served(thing) for thing in seen})


def _name_if_served(crd: Mapping[str, Any]) -> str:
    conditions = (crd.get("status") or {}).get("conditions") or []
    served = any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)
    return str(crd["metadata"]["name"]) if served else ""
