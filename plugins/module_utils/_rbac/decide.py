# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing the wanted grants with the cluster: what becomes of each, and the writes that make it so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import CollError, Conflict, Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from . import objects
from .grants import Grant, Policy, Wanted, grant_of

_SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")
# Rights are taken before others are given: a run that breaks off leaves too few rights, never too many.
_STAGES = (_REMOVE, _NAMESPACES, _BINDINGS) = ("removals", "namespaces", "bindings")


@dataclass(frozen=True)
class Seen:
    """The cluster as it is. ``bindings`` are ours, by path; ``others`` stand, by path, where one of ours is to be."""

    bindings: Mapping[str, Mapping[str, Any]]
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cluster_roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    roles: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    """The request behind a step."""

    method: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """The plan, and beside it the request for each step, by the step's target."""

    plan: Plan
    writes: Mapping[str, Write]


class _Draft:
    """A decision in the making."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.steps: dict[str, list[Step]] = {name: [] for name in _STAGES}
        self.writes: dict[str, Write] = {}

    def judge(self, verdict: Verdict) -> None:
        self.verdicts[verdict.key] = verdict

    def plan_write(self, stage: str, step: Step, write: Write) -> None:
        self.steps[stage].append(step)
        self.writes[step.target] = write

    def done(self) -> Decision:
        stages = tuple(Stage(name, tuple(steps)) for name, steps in self.steps.items() if steps)
        return Decision(Plan(tuple(self.verdicts.values()), stages), self.writes)


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """What becomes of each grant; raises Refused when more would be pruned than allowed."""
    draft = _Draft()
    refusals = {grant: _refusal(grant, seen, wanted.policy) for grant in wanted.present()}
    _plan_namespaces(draft, [grant for grant, refusal in refusals.items() if refusal is None], seen, wanted.policy)
    for grant, present in wanted.grants.items():
        live = seen.bindings.get(objects.binding_path(grant, wanted.policy.owner))
        refusal = refusals.get(grant)
        if refusal is not None:
            draft.judge(_verdict(grant, wanted.policy, "failed", "", refusal))
        elif present:
            _plan_present(draft, grant, live, wanted.policy)
        else:
            _plan_absent(draft, grant, live, wanted.policy)
    if wanted.policy.prune:
        _plan_pruning(draft, wanted, seen)
    return draft.done()


def _refusal(grant: Grant, seen: Seen, policy: Policy) -> Optional[CollError]:
    return _forbidden(grant, seen, policy) or _missing(grant, seen, policy) or _occupied(grant, seen, policy)


def _forbidden(grant: Grant, seen: Seen, policy: Policy) -> Optional[CollError]:
    """What a person must not be given by this module."""
    if grant.namespace in _SYSTEM_NAMESPACES:
        return Refused(f"Rights in {grant.namespace} are not granted.", hint="They would amount to the whole cluster.")
    if grant.role.name.startswith("system:"):
        return Refused(
            f"{grant.role.name!r} is a role for Kubernetes' own parts and is not granted.",
            hint="Put what is needed into a role of your own.",
        )
    role = _role(grant, seen)
    everything = grant.role.name == "cluster-admin" or (role is not None and objects.allows_everything(role))
    if everything and not policy.allow_cluster_admin:
        return Refused(
            f"{grant.role.words()!r} allows everything and is not granted.",
            hint="Set allow_cluster_admin: true if that is meant.",
        )
    return None


def _missing(grant: Grant, seen: Seen, policy: Policy) -> Optional[CollError]:
    """What the grant refers to and is not there."""
    found = seen.namespaces.get(grant.namespace)
    if grant.namespace and found is None and not policy.create_namespaces:
        return Refused(f"Namespace {grant.namespace!r} does not exist.", hint="Create it, or set create_namespaces: true.")
    if found is not None and (found.get("status") or {}).get("phase") == "Terminating":
        return Conflict(f"Namespace {grant.namespace!r} is being deleted.", hint="Run again when it is gone.")
    if _role(grant, seen) is None:
        kind = "Cluster role" if grant.role.kind == "ClusterRole" else f"In namespace {grant.namespace!r}, role"
        return Refused(f"{kind} {grant.role.name!r} does not exist.", hint="Create it before granting it.")
    return None


def _occupied(grant: Grant, seen: Seen, policy: Policy) -> Optional[CollError]:
    """Objects at our path that say something else and are not ours to change."""
    path = objects.binding_path(grant, policy.owner)
    name = path.rsplit("/", 1)[1]
    if path in seen.others:
        return Refused(
            f"{name!r} in {grant.where()} exists without the label {objects.OWNER}: {policy.owner}.",
            hint="It belongs to somebody else and is left alone; remove it by hand if it is a leftover.",
        )
    live = seen.bindings.get(path)
    refers = (live or {}).get("roleRef") or {}
    if live is not None and (refers.get("kind"), refers.get("name")) != (grant.role.kind, grant.role.name):
        return Conflict(
            f"{name!r} in {grant.where()} was replaced by one that refers to {refers.get('name')!r}.",
            hint="Find out who did this; after it is deleted by hand it is made anew.",
        )
    return None


def _role(grant: Grant, seen: Seen) -> Optional[Mapping[str, Any]]:
    if grant.role.kind == "ClusterRole":
        return seen.cluster_roles.get(grant.role.name)
    return seen.roles.get((grant.namespace, grant.role.name))


def _plan_namespaces(draft: _Draft, granted: list[Grant], seen: Seen, policy: Policy) -> None:
    missing = {grant.namespace: None for grant in granted if grant.namespace and grant.namespace not in seen.namespaces}
    for name in missing:
        body = objects.namespace(name, policy.owner)
        draft.judge(Verdict("namespace", name, "created", "missing"))
        step = Step("create", f"namespace {name}", entry_key("namespace", name), {}, {"labels": body["metadata"]["labels"]})
        draft.plan_write(_NAMESPACES, step, Write("POST", objects.NAMESPACES, body))


def _plan_present(draft: _Draft, grant: Grant, live: Optional[Mapping[str, Any]], policy: Policy) -> None:
    body = objects.binding(grant, policy.owner)
    path = objects.binding_path(grant, policy.owner)
    if live is None:
        draft.judge(_verdict(grant, policy, "created", "missing"))
        step = Step("create", _target(path), _key(grant), {}, _permission(grant))
        draft.plan_write(_BINDINGS, step, Write("POST", objects.collection(grant.namespace), body))
        return
    changed = objects.differences(body, live)
    if not changed:
        draft.judge(_verdict(grant, policy, "unchanged", ""))
        return
    draft.judge(_verdict(grant, policy, "updated", f"{' and '.join(changed)} had been changed"))
    step = Step("update", _target(path), _key(grant), _live_permission(live), _permission(grant))
    draft.plan_write(_BINDINGS, step, Write("PUT", path, objects.corrected(body, live)))


def _plan_absent(draft: _Draft, grant: Grant, live: Optional[Mapping[str, Any]], policy: Policy) -> None:
    if live is None:
        draft.judge(_verdict(grant, policy, "unchanged", "not there"))
        return
    draft.judge(_verdict(grant, policy, "removed", "state is absent"))
    _plan_removal(draft, _key(grant), live)


def _plan_pruning(draft: _Draft, wanted: Wanted, seen: Seen) -> None:
    named = {objects.binding_path(grant, wanted.policy.owner) for grant in wanted.grants}
    surplus = {path: live for path, live in seen.bindings.items() if path not in named}
    if len(surplus) > wanted.policy.max_deletes:
        raise Refused(
            f"prune would remove {len(surplus)} grants of owner {wanted.policy.owner!r}, more than max_deletes "
            f"({wanted.policy.max_deletes}).",
            hint="Check that the list is complete, then raise max_deletes.",
            would_remove=sorted(_live_words(live) for live in surplus.values())[:50],
        )
    for path, live in surplus.items():
        name = _live_words(live)
        if entry_key("grant", name) in draft.verdicts:  # a stray copy under another name
            name = f"{name} ({path.rsplit('/', 1)[1]})"
        draft.judge(Verdict("grant", name, "removed", "no longer in the list", _facts(live, path)))
        _plan_removal(draft, entry_key("grant", name), live)


def _plan_removal(draft: _Draft, key: str, live: Mapping[str, Any]) -> None:
    path = objects.live_path(live)
    step = Step("delete", _target(path), key, _live_permission(live), {})
    draft.plan_write(_REMOVE, step, Write("DELETE", path, objects.removal(live)))


def _key(grant: Grant) -> str:
    return entry_key("grant", grant.sentence())


def _verdict(grant: Grant, policy: Policy, action: str, reason: str, error: Optional[CollError] = None) -> Verdict:
    path = objects.binding_path(grant, policy.owner)
    return Verdict("grant", grant.sentence(), action, reason, {**_permission(grant), "object": _target(path)}, error)


def _permission(grant: Grant) -> dict[str, object]:
    return {"who": grant.subject.words(), "role": grant.role.words(), "where": grant.where()}


def _live_permission(live: Mapping[str, Any]) -> dict[str, object]:
    grant = grant_of(live)
    if grant is not None:
        return _permission(grant)
    who = ", ".join(sorted(str(one.get("name")) for one in live.get("subjects") or ())) or "nobody"
    where = live["metadata"].get("namespace") or "the whole cluster"
    return {"who": who, "role": str((live.get("roleRef") or {}).get("name")), "where": where}


def _live_words(live: Mapping[str, Any]) -> str:
    said = _live_permission(live)
    return f"{said['who']}: {said['role']} in {said['where']}"


def _facts(live: Mapping[str, Any], path: str) -> dict[str, object]:
    return {**_live_permission(live), "object": _target(path)}


def _target(path: str) -> str:
    """``rolebinding team-red/NAME`` or ``clusterrolebinding NAME``."""
    parts = path.rsplit("/", 2)
    if parts[1] == "clusterrolebindings":
        return f"clusterrolebinding {parts[2]}"
    return f"rolebinding {path.split('/namespaces/')[1].split('/')[0]}/{parts[2]}"
