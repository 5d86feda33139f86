# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects that stand for grants: one binding per grant, named by what it says.

One subject per binding keeps changes small: giving or taking one person's right touches no object of anybody else, two
runs over different parts of a list cannot undo each other, and nothing ever has to be edited in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.names import dns_name
from .grants import WHOLE_CLUSTER, Grant, Subject

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE_BINDINGS = f"{RBAC}/rolebindings"
CLUSTER_ROLE_BINDINGS = f"{RBAC}/clusterrolebindings"
ROLES = f"{RBAC}/roles"
CLUSTER_ROLES = f"{RBAC}/clusterroles"
NAMESPACES = "/api/v1/namespaces"

OWNER = "kubestead.platform/owner"
SENTENCE = "kubestead.platform/grant"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "kubestead.platform"
_RBAC_GROUP = "rbac.authorization.k8s.io"


def our_labels(owner: str) -> dict[str, str]:
    """The labels of everything made here."""
    return {OWNER: owner, MANAGED_BY: MANAGER}


def binding_name(grant: Grant, owner: str) -> str:
    """The same name for the same grant of the same owner, always; another one for any other."""
    who = f"{grant.subject.namespace}/{grant.subject.name}" if grant.subject.namespace else grant.subject.name
    return dns_name(who, grant.role.name, grant.subject.kind, grant.role.kind, owner)


def collection(namespace: str) -> str:
    """Where bindings that are valid in a namespace, or in the whole cluster, are made."""
    if namespace == WHOLE_CLUSTER:
        return CLUSTER_ROLE_BINDINGS
    return f"{RBAC}/namespaces/{namespace}/rolebindings"


def binding_path(grant: Grant, owner: str) -> str:
    """The path of a grant's binding."""
    return f"{collection(grant.namespace)}/{binding_name(grant, owner)}"


def live_path(binding: Mapping[str, Any]) -> str:
    """The path of a binding that was read."""
    meta = binding["metadata"]
    return f"{collection(str(meta.get('namespace') or WHOLE_CLUSTER))}/{meta['name']}"


def binding(grant: Grant, owner: str) -> dict[str, Any]:
    """The binding of a grant, ready to be created."""
    meta: dict[str, Any] = {
        "name": binding_name(grant, owner),
        "labels": our_labels(owner),
        "annotations": {SENTENCE: grant.sentence()},
    }
    if grant.namespace:
        meta["namespace"] = grant.namespace
    return {
        "apiVersion": f"{_RBAC_GROUP}/v1",
        "kind": "RoleBinding" if grant.namespace else "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": _RBAC_GROUP, "kind": grant.role.kind, "name": grant.role.name},
        "subjects": [_subject(grant.subject)],
    }


def _subject(subject: Subject) -> dict[str, str]:
    if subject.kind == "ServiceAccount":
        return {"kind": subject.kind, "name": subject.name, "namespace": subject.namespace}
    return {"kind": subject.kind, "name": subject.name, "apiGroup": _RBAC_GROUP}


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """What of a live binding is not as wanted; labels and annotations of others do not count."""
    found = []
    if _triples(wanted["subjects"]) != _triples(live.get("subjects") or ()):
        found.append("subjects")
    for part in ("labels", "annotations"):
        have = live["metadata"].get(part) or {}
        if any(have.get(name) != value for name, value in wanted["metadata"][part].items()):
            found.append(part)
    return found


def _triples(subjects: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return sorted((str(one.get("kind")), str(one.get("name")), str(one.get("namespace") or "")) for one in subjects)


def corrected(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """A live binding with our part put right; it carries the version that was read, so a change meanwhile is noticed."""
    meta = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    for part in ("labels", "annotations"):
        meta[part] = {**(meta.get(part) or {}), **wanted["metadata"][part]}
    return {**wanted, "metadata": meta}


def removal(live: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a DELETE that removes exactly what was read."""
    meta = live["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
    }


def namespace(name: str, owner: str) -> dict[str, Any]:
    """A namespace for people: without pod security, the right to create pods there is the right to own a node."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**our_labels(owner), "pod-security.kubernetes.io/enforce": "baseline"}},
    }


def allows_everything(role: Mapping[str, Any]) -> bool:
    """Whether one rule of a role stands for every verb on every resource of every group."""
    return any(
        "*" in (rule.get("verbs") or ()) and "*" in (rule.get("resources") or ()) and "*" in (rule.get("apiGroups") or ())
        for rule in role.get("rules") or ()
    )
