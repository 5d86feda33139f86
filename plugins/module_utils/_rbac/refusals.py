# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a grant is not made: what nobody may be given, what is missing, and what stands in the way."""

from __future__ import annotations

from typing import Optional

from .._core.errors import CollError, Conflict, Refused
from . import objects
from .draft import Draft
from .grants import Grant
from .permissions import EVERYTHING, RBAC_GROUP, Atom, Permissions
from .places import SYSTEM, is_protected

# Whoever holds one of these can take everything else.
_KEYS_TO_ALL = (
    EVERYTHING,
    *(Atom(verb, RBAC_GROUP, kind) for verb in ("escalate", "bind") for kind in ("roles", "clusterroles")),
    *(Atom("impersonate", "", kind) for kind in ("users", "groups")),
)
_HANDING_ON = tuple(Atom(verb, RBAC_GROUP, "rolebindings") for verb in ("create", "update", "patch"))


def refusal(draft: Draft, grant: Grant) -> Optional[CollError]:
    """The reason not to make a grant, if there is one."""
    return _forbidden(draft, grant) or _missing(draft, grant) or _occupied(draft, grant) or _role_occupied(draft, grant)


def holds_all(allowed: Permissions) -> bool:
    """Whether whoever holds this can do everything, or take the right to."""
    return any(allowed.allows(atom) for atom in _KEYS_TO_ALL)


def may_hand_on(allowed: Permissions) -> bool:
    """Whether whoever holds this can give rights to others, as with the role admin."""
    return any(allowed.allows(atom) for atom in _HANDING_ON)


def _forbidden(draft: Draft, grant: Grant) -> Optional[CollError]:
    """What a person must not be given by this module."""
    if grant.namespace in SYSTEM:
        return Refused(f"Rights in {grant.namespace} are not granted.", hint="They would amount to the whole cluster.")
    if grant.role.preset and is_protected(grant.namespace, draft.policy.protected):
        return Refused(
            f"A preset is not granted in {grant.namespace!r}, a namespace of the system or of the storage.",
            hint="If it is meant, name the role that is to be granted.",
        )
    if grant.role.name.startswith("system:"):
        return Refused(
            f"{grant.role.name!r} is a role for Kubernetes' own parts and is not granted.",
            hint="Put what is needed into a role of your own.",
        )
    allowed = draft.allowed(grant.role, grant.namespace)
    return _too_much(draft, grant, allowed) if allowed is not None else None


def _too_much(draft: Draft, grant: Grant, allowed: Permissions) -> Optional[CollError]:
    key = next((atom for atom in _KEYS_TO_ALL if allowed.allows(atom)), None)
    if (key or grant.role.name == "cluster-admin") and not draft.policy.allow_cluster_admin:
        how = "allows everything" if key in (None, EVERYTHING) else f"allows '{key.words()}', a way to all rights,"
        return Refused(
            f"{grant.role.words()!r} {how} and is not granted.", hint="Set allow_cluster_admin: true if that is meant."
        )
    to_people = any(subject.kind != "ServiceAccount" for subject in grant.subjects)
    if to_people and draft.policy.allow_admin != "always" and may_hand_on(allowed):
        if draft.policy.allow_admin == "never":
            return Refused(
                f"With {grant.role.words()!r} rights can be handed on, so it is not granted to people.",
                hint="Set allow_admin: with_end and give the grant an end.",
            )
        if draft.wanted.asks[grant].window.end is None:
            return Refused(
                f"With {grant.role.words()!r} rights can be handed on, so it is only granted to people with an end.",
                hint="Set expires, or allow_admin: always.",
            )
    return None


def _missing(draft: Draft, grant: Grant) -> Optional[CollError]:
    """What the grant refers to and is not there."""
    found = draft.seen.namespaces.get(grant.namespace)
    if grant.namespace and found is None and not draft.policy.create_namespaces:
        return Refused(f"Namespace {grant.namespace!r} does not exist.", hint="Create it, or set create_namespaces: true.")
    if found is not None and (found.get("status") or {}).get("phase") == "Terminating":
        return Conflict(f"Namespace {grant.namespace!r} is being deleted.", hint="Run again when it is gone.")
    if draft.allowed(grant.role, grant.namespace) is None:
        kind = "Cluster role" if grant.role.kind == "ClusterRole" else f"In namespace {grant.namespace!r}, role"
        return Refused(f"{kind} {grant.role.name!r} does not exist.", hint="Create it before granting it.")
    return None


def _occupied(draft: Draft, grant: Grant) -> Optional[CollError]:
    """Bindings at our path that say something else and are not ours to change."""
    path = draft.path(grant)
    name = path.rsplit("/", 1)[1]
    other = draft.seen.others.get(path)
    if other is not None:
        if objects.is_bootstrap(other) or (objects.owner_of(other) and draft.policy.adopt):
            whose = objects.owner_of(other) or "Kubernetes"
            return Refused(f"{name!r} in {grant.where()} belongs to {whose!r} and is left alone.", hint="Use another name.")
        if not draft.policy.adopt:
            return Refused(
                f"{name!r} in {grant.where()} exists without the label {objects.OWNER}: {draft.policy.owner}.",
                hint="It belongs to somebody else and is left alone; set adopt: true to take it over.",
            )
    live = other or draft.seen.bindings.get(path)
    body = objects.binding(grant, draft.policy.owner)
    elsewhere = objects.refers_elsewhere(body, live) if live is not None else None
    if elsewhere is not None and not draft.policy.allow_recreate:
        return Conflict(
            f"{name!r} in {grant.where()} refers to {elsewhere!r}, and that cannot be changed in place.",
            hint="Set allow_recreate: true to have it deleted and made anew, with a short gap between.",
        )
    return None


def _role_occupied(draft: Draft, grant: Grant) -> Optional[CollError]:
    live = draft.live_role(grant.role, grant.namespace) if grant.role.atoms else None
    if live is None or (objects.owner_of(live) == draft.policy.owner and live.get("aggregationRule") is None):
        return None
    return Refused(
        f"The role {grant.role.name!r} for this grant exists and is not ours to write.",
        hint="Remove it by hand if it is a leftover.",
    )
