# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's own manifests: in which order they can be applied, and which of them a dry run cannot judge yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput

OPERATOR = "rook-ceph-operator"
_CRD = "CustomResourceDefinition"


def operator_manifests(documents: Iterable[Optional[Mapping[str, Any]]], namespace: str) -> dict[str, Any]:
    """The documents sorted into ``crds``, ``namespaces``, ``objects``; plus the operator's image; raises BadInput."""
    objects = [dict(document) for document in documents if document]
    for thing in objects:
        if not thing.get("kind") or not (thing.get("metadata") or {}).get("name"):
            raise BadInput("A manifest has a document without kind or metadata.name.", hint="Check rook_operator_manifests.")
    _check_namespace(objects, namespace)
    return {
        "crds": [thing for thing in objects if thing["kind"] == _CRD],
        "namespaces": [thing for thing in objects if thing["kind"] == "Namespace"] or [_namespace(namespace)],
        "objects": [thing for thing in objects if thing["kind"] not in (_CRD, "Namespace")],
        "image": _operator_image(objects),
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _check_namespace(objects: Sequence[Mapping[str, Any]], namespace: str) -> None:
    others = {str(thing["metadata"]["namespace"]) for thing in objects if "namespace" in thing["metadata"]} - {namespace}
    if others:
        raise BadInput(
            f"The manifests are written for the namespace {', '.join(sorted(others))}, not for {namespace!r}.",
            hint="Set rook_operator_namespace accordingly, or give manifests made for your namespace.",
        )


def _operator_image(objects: Sequence[Mapping[str, Any]]) -> str:
    for thing in objects:
        if thing["kind"] == "Deployment" and thing["metadata"]["name"] == OPERATOR:
            return str(thing["spec"]["template"]["spec"]["containers"][0]["image"])
    raise BadInput(f"The manifests hold no Deployment {OPERATOR}.", hint="Add Rook's operator.yaml to rook_operator_files.")


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
