# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects that stand for grants: one binding per grant, named by what it says.

One subject per binding keeps changes small: giving or taking one person's right touches no object of anybody else, and two
runs over different parts of a list cannot undo each other. Only a binding that the task names itself may hold several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.names import dns_name
from .._core.window import ALWAYS, Window, rfc3339
from .grants import WHOLE_CLUSTER, Grant, Role, Subject
from .permissions import rules_of, same

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE_BINDINGS = f"{RBAC}/rolebindings"
CLUSTER_ROLE_BINDINGS = f"{RBAC}/clusterrolebindings"
ROLES = f"{RBAC}/roles"
CLUSTER_ROLES = f"{RBAC}/clusterroles"
NAMESPACES = "/api/v1/namespaces"

OWNER = "kubestead.platform/owner"
SENTENCE = "kubestead.platform/grant"
EXPIRES = "kubestead.platform/expires"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "kubestead.platform"
_RBAC_GROUP = "rbac.authorization.k8s.io"


def our_labels(owner: str) -> dict[str, str]:
    """The labels of everything made here."""
    return {OWNER: owner, MANAGED_BY: MANAGER}


def binding_name(grant: Grant, owner: str) -> str:
    """The same name for the same grant of the same owner, always; another one for any other."""
    if grant.name:
        return grant.name
    subject = grant.subjects[0]
    who = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
    return dns_name(who, grant.role.name, subject.kind, grant.role.kind, owner)


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


def role_collection(namespace: str) -> str:
    """Where roles for a namespace, or for the whole cluster, are made."""
    return CLUSTER_ROLES if namespace == WHOLE_CLUSTER else f"{RBAC}/namespaces/{namespace}/roles"


def role_path(role: Role, namespace: str) -> str:
    """The path of a role that is granted in a namespace or in the whole cluster."""
    return f"{role_collection(namespace if role.kind == 'Role' else WHOLE_CLUSTER)}/{role.name}"


def live_role_path(role: Mapping[str, Any]) -> str:
    """The path of a role that was read."""
    meta = role["metadata"]
    return f"{role_collection(str(meta.get('namespace') or WHOLE_CLUSTER))}/{meta['name']}"


def binding(grant: Grant, owner: str, window: Window = ALWAYS) -> dict[str, Any]:
    """The binding of a grant, ready to be created."""
    meta: dict[str, Any] = {
        "name": binding_name(grant, owner),
        "labels": our_labels(owner),
        "annotations": {SENTENCE: grant.sentence()},
    }
    if window.end is not None:
        meta["annotations"][EXPIRES] = rfc3339(window.end)
    if grant.namespace:
        meta["namespace"] = grant.namespace
    return {
        "apiVersion": f"{_RBAC_GROUP}/v1",
        "kind": "RoleBinding" if grant.namespace else "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": _RBAC_GROUP, "kind": grant.role.kind, "name": grant.role.name},
        "subjects": [_subject(subject) for subject in grant.subjects],
    }


def own_role(role: Role, namespace: str, owner: str) -> dict[str, Any]:
    """A role that this collection makes, ready to be created."""
    meta: dict[str, Any] = {
        "name": role.name,
        "labels": our_labels(owner),
        "annotations": {SENTENCE: role.preset or "rules of a list of grants"},
    }
    if role.kind == "Role":
        meta["namespace"] = namespace
    return {"apiVersion": f"{_RBAC_GROUP}/v1", "kind": role.kind, "metadata": meta, "rules": rules_of(role.atoms)}


def _subject(subject: Subject) -> dict[str, str]:
    if subject.kind == "ServiceAccount":
        return {"kind": subject.kind, "name": subject.name, "namespace": subject.namespace}
    return {"kind": subject.kind, "name": subject.name, "apiGroup": _RBAC_GROUP}


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """What of a live binding or role is not as wanted; labels and annotations of others do not count.

    Rules are compared by what they allow, so another order or grouping is no difference.
    """
    found = []
    if "rules" in wanted and not same(wanted["rules"], live.get("rules") or ()):
        found.append("rules")
    if "subjects" in wanted and _triples(wanted["subjects"]) != _triples(live.get("subjects") or ()):
        found.append("subjects")
    if not wanted["metadata"]["labels"].items() <= (live["metadata"].get("labels") or {}).items():
        found.append("labels")
    have, ours = live["metadata"].get("annotations") or {}, wanted["metadata"]["annotations"]
    if have.get(EXPIRES) != ours.get(EXPIRES):
        found.append("end")
    if have.get(SENTENCE) != ours.get(SENTENCE):
        found.append("annotations")
    return found


def refers_elsewhere(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Optional[str]:
    """The name of the role a live binding refers to, if that is not the wanted one (a roleRef cannot be changed)."""
    ours, theirs = wanted.get("roleRef"), live.get("roleRef") or {}
    if ours is None or all(ours[key] == theirs.get(key) for key in ("kind", "name")):
        return None
    return str(theirs.get("name"))


def owner_of(live: Mapping[str, Any]) -> str:
    """The owner label of an object; empty if it has none."""
    return str((live["metadata"].get("labels") or {}).get(OWNER) or "")


def is_bootstrap(live: Mapping[str, Any]) -> bool:
    """Whether Kubernetes itself keeps the object."""
    labels = live["metadata"].get("labels") or {}
    return str(live["metadata"]["name"]).startswith("system:") or "kubernetes.io/bootstrapping" in labels


def _triples(subjects: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return sorted((str(one.get("kind")), str(one.get("name")), str(one.get("namespace") or "")) for one in subjects)


def corrected(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """A live binding with our part put right; it carries the version that was read, so a change meanwhile is noticed."""
    meta = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    for part in ("labels", "annotations"):
        theirs = {name: value for name, value in (meta.get(part) or {}).items() if name != EXPIRES}
        meta[part] = {**theirs, **wanted["metadata"][part]}
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
