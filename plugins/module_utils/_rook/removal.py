# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How OSDs leave: out, emptied, then, with the operator held, stopped, purged and forgotten.

The operator makes an OSD again as long as its device carries one, so it is held (scaled to nothing) from before the purge until
the device is erased. It is not held while data moves, which can take days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import CollError, Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .leaving import Leaving, Request, Seen, leaving
from .room import room_problems

OPERATOR = "rook-ceph-operator"
# On the operator's Deployment while it is held: how many replicas it had.
HELD = "kubestead.platform/held-replicas"
OUT, REMEMBER, HOLD, STOP, PURGE, FORGET = "out", "remember", "hold", "stop", "purge", "forget"
_STAGES = (REMEMBER, HOLD, STOP, PURGE, FORGET)


def plan_out(request: Request, seen: Seen) -> Plan:
    """OSDs get no data any more; raises Refused when the others could not take it."""
    found = leaving(request, seen)
    fresh = [one for one in found if one.is_in and not one.gone]
    if fresh:
        problems = room_problems(seen.told, [one.number for one in found if one.state and not one.gone])
        if problems:
            raise Refused(
                f"Without {' and '.join(one.name for one in fresh)} the rest cannot hold what is there: {'; '.join(problems)}.",
                hint="Add disks or nodes first, or let the pools keep fewer copies.",
                problems=problems,
            )
    verdicts = [_verdict(one, "updated" if one in fresh else "unchanged", _standing(one)) for one in found]
    steps = [Step(OUT, one.name, _key(one), {"in": True}, {"in": False}) for one in fresh]
    return Plan(tuple(verdicts), (Stage(OUT, tuple(steps)),))


def plan_absent(request: Request, seen: Seen) -> Plan:
    """OSDs that are out and empty are purged; each of the others is refused."""
    found = leaving(request, seen)
    errors = {one.number: _not_yet(one, seen.told) for one in found if not one.gone}
    going = [one for one in found if not one.gone and errors[one.number] is None]
    verdicts = [_verdict(one, "unchanged" if one.gone else "removed", _standing(one), errors.get(one.number)) for one in found]
    steps: dict[str, list[Step]] = {name: [] for name in _STAGES}
    for one in going:
        if one.fsid not in seen.ledger:
            steps[REMEMBER].append(Step(REMEMBER, f"that {one.name} is {one.fsid}", _key(one)))
        if one.deployment:
            steps[STOP].append(Step(STOP, f"Deployment {one.deployment}", _key(one)))
        if one.state:
            steps[PURGE].append(Step(PURGE, one.name, _key(one), dict(_facts(one)), {}))
        if one.deployment:
            steps[FORGET].append(Step(FORGET, f"Deployment {one.deployment}", _key(one)))
    if going and not is_held(seen.operator):
        verdicts.append(Verdict("operator", OPERATOR, "updated", "is held until the devices are erased"))
        before, after = {"replicas": _replicas(seen.operator)}, {"replicas": 0}
        steps[HOLD].append(Step(HOLD, f"Deployment {OPERATOR}", entry_key("operator", OPERATOR), before, after))
    return Plan(tuple(verdicts), tuple(Stage(name, tuple(steps[name])) for name in _STAGES))


def is_held(operator: Mapping[str, Any]) -> bool:
    """Whether the operator stands still because of a removal."""
    return HELD in ((operator.get("metadata") or {}).get("annotations") or {}) and _replicas(operator) == 0


def _replicas(operator: Mapping[str, Any]) -> int:
    return int((operator.get("spec") or {}).get("replicas", 1))


def hold_patch(operator: Mapping[str, Any]) -> dict[str, Any]:
    """Scales the operator down and remembers from where."""
    return {"metadata": {"annotations": {HELD: str(_replicas(operator) or 1)}}, "spec": {"replicas": 0}}


def emptying(found: Sequence[Leaving], told: Mapping[str, Any]) -> dict[str, Any]:
    """How far the data has moved: ``done`` when Ceph calls each OSD safe to destroy, and a line for people."""
    here = [one for one in found if not one.gone]
    waiting = [one for one in here if one.state]
    unsafe = [one for one in waiting if one.is_in or one.number not in told["safe"]]
    groups = sum(int(one.state["pgs"]) for one in unsafe if one.state)
    line = f"{_names(waiting)}: safe to destroy" if waiting else "there is nothing to move"
    if unsafe:
        line = (
            f"{_names(unsafe)}: not safe to destroy yet, {groups} placement groups on them; in the cluster {told['unclean']} are "
            f"not clean, {told['misplaced']} % of the objects misplaced, {told['degraded']} % degraded"
        )
    return {
        "done": not unsafe,
        "line": line,
        "leaving": [one.name for one in here],
        "out": [one.name for one in waiting if one.is_in],
    }


def _names(found: Sequence[Leaving]) -> str:
    return ", ".join(one.name for one in found)


def _not_yet(one: Leaving, told: Mapping[str, Any]) -> Optional[CollError]:
    if one.state is None:
        return None
    if not one.is_in and one.number in told["safe"]:
        if one.state["up"] and not told["stoppable"]:
            return Refused(f"{one.name} ({one.where}) is empty, but Ceph does not call it ok to stop.", hint="Run again later.")
        return None
    why = "is in" if one.is_in else f"still counts for {one.state['pgs']} placement groups"
    return Refused(
        f"{one.name} ({one.where}) {why}: Ceph does not call it safe to destroy.",
        hint="Mark it out (state: out) and wait until its data is elsewhere.",
    )


def _standing(one: Leaving) -> str:
    if one.gone:
        return one.gone
    if one.state is None:
        return "only its Deployment is left"
    return "is in" if one.is_in else "is out"


def _key(one: Leaving) -> str:
    return entry_key("osd", one.name)


def _facts(one: Leaving) -> dict[str, object]:
    facts: dict[str, object] = {"id": one.number, "fsid": one.fsid, "node": one.node, "device": one.path}
    return {**facts, **({"up": bool(one.state["up"]), "placement_groups": one.state["pgs"]} if one.state else {})}


def _verdict(one: Leaving, action: str, reason: str, error: Optional[CollError] = None) -> Verdict:
    return Verdict("osd", one.name, action, reason, _facts(one), error)
