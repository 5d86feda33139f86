# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each person who leaves or comes back: the order of the beats, and what each of them still has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import CollError, Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .._core.window import rfc3339
from . import cutting, denials
from .cutting import Cut, Right
from .denials import POLICY, Denial
from .leavers import (
    DENY,
    GRANTS,
    MARK,
    PROVE,
    REQUESTS,
    RIGHTS,
    TOKENS,
    Leaver,
    Obj,
    Seen,
    Wanted,
    denials_after,
    groups_of,
    last_end,
)
from .objects import removal

RECORD, RETURN = "record", "return"
# The refusal comes first and the proof last; what is written of it comes after all.
STAGES = (MARK, DENY, RIGHTS, REQUESTS, TOKENS, PROVE, RETURN, RECORD)
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
LIST = "denial_list"


@dataclass(frozen=True)
class Decision:
    """The plan; beside it the requests behind its steps by target, the list to come, and the objects that carry it."""

    plan: Plan
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    denials: tuple[Denial, ...] = ()
    objects: Mapping[str, Obj] = field(default_factory=dict)


class _Draft:
    def __init__(self, wanted: Wanted, seen: Seen) -> None:
        self.wanted, self.seen = wanted, seen
        self.verdicts: list[Verdict] = []
        self.cuts: dict[str, Cut] = {}
        self.busy: set[str] = set()
        self.steps: dict[str, list[Step]] = {stage: [] for stage in STAGES}

    def judge(self, kind: str, name: str, action: str, reason: str = "", **facts: object) -> None:
        self.verdicts.append(Verdict(kind, name, action, reason, facts))

    def step(self, stage: str, verb: str, what: str, kind: str, name: str, *shown: Optional[Mapping[str, object]]) -> None:
        before, after = shown or (None, None)
        self.steps[stage].append(Step(verb, what, entry_key(kind, name), before, after))
        self.busy.add(name)


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """The whole plan; raises Refused when more people would leave than the task allows."""
    fresh = [one.name for one in wanted.leavers if one.leaves and seen.records.get(one.name) is None]
    if len(fresh) > wanted.max_offboardings:
        raise Refused(
            f"{len(fresh)} people would leave in one run, and max_offboardings is {wanted.max_offboardings}; nothing was done.",
            hint="Raise max_offboardings if that many are meant to go.",
            would_leave=sorted(fresh)[:50],
        )
    draft = _Draft(wanted, seen)
    returning = {one.name: _return_refusal(one, wanted, seen) for one in wanted.leavers if not one.leaves}
    staying_out = {name for name, error in returning.items() if error is not None}
    coming = denials_after(_without(wanted, staying_out), seen)
    for one in wanted.leavers:
        if one.leaves:
            _plan_leaver(draft, one)
        else:
            _plan_return(draft, one, returning[one.name])
    objects = _plan_denials(draft, coming)
    for one in wanted.leavers:
        if one.leaves:
            _plan_proof_and_record(draft, one, coming)
    stages = tuple(Stage(name, tuple(steps)) for name, steps in draft.steps.items() if steps)
    return Decision(Plan(tuple(draft.verdicts), stages), draft.cuts, coming, objects)


def _without(wanted: Wanted, names: set[str]) -> Wanted:
    fields = {**vars(wanted), "leavers": tuple(one for one in wanted.leavers if one.name not in names)}
    return Wanted(**fields)


def _return_refusal(leaver: Leaver, wanted: Wanted, seen: Seen) -> Optional[CollError]:
    """A name that comes back revives every old certificate, unless rights are bound to something those do not carry."""
    if seen.records.get(leaver.name) is None or wanted.bound_to == "issue":
        return None
    end = last_end(leaver.name, seen)
    if end is None:
        return None
    return Refused(
        f"{leaver.name!r} left, and a certificate from before is valid until {rfc3339(end)}: it would get the new rights.",
        hint="Wait until then, give the person another name, or bind rights to the issue of a certificate.",
        until=rfc3339(end),
    )


def _plan_return(draft: _Draft, leaver: Leaver, error: Optional[CollError]) -> None:
    name = leaver.name
    if draft.seen.records.get(name) is None:
        return  # never left: a list of thousands asks this in every run, and an entry each would say nothing
    if error is not None:
        draft.verdicts.append(Verdict("marker", name, "failed", "the old certificate is valid", {}, error))
    else:
        draft.judge("marker", name, "removed", "comes back")
        draft.step(RETURN, "archive", f"record of {name}", "marker", name, {"left": True}, {"left": False})


def _plan_leaver(draft: _Draft, leaver: Leaver) -> None:
    wanted, seen, name = draft.wanted, draft.seen, leaver.name
    record = seen.records.get(name)
    if MARK in wanted.beats:
        draft.judge("marker", name, "unchanged" if record else "created", "" if record else "leaves")
        if record is None:
            draft.step(MARK, "mark", f"leaving of {name}", "marker", name, {"left": False}, {"left": True})
    if RIGHTS in wanted.beats:
        _plan_rights(draft, name)
    if REQUESTS in wanted.beats:
        _plan_requests(draft, name)
    if TOKENS in wanted.beats:
        _plan_tokens(draft, name)


def rights_now(name: str, seen: Seen) -> list[Right]:
    """What is bound to a person in what was seen; the groups are those of every certificate that is still valid."""
    return cutting.rights_of(name, groups_of(seen.valid(name)), seen.bindings)


def _plan_rights(draft: _Draft, name: str) -> None:
    rights = rights_now(name, draft.seen) if GRANTS in draft.wanted.strategies else []
    going = [right for right in rights if cutting.goes(right, draft.wanted.foreign_bindings)]
    facts = {
        "bindings": [right.words for right in going],
        "staying": [f"{right.words} by {right.via}" for right in rights if right not in going],
    }
    draft.judge("rights", name, "removed" if going else "unchanged", "", **facts)
    for right in going:
        what = f"right of {name}: {right.words}"
        draft.cuts[what] = cutting.cut_of(right, name)
        draft.step(RIGHTS, "remove", what, "rights", name, {"binding": right.words}, {})


def _plan_requests(draft: _Draft, name: str) -> None:
    found = draft.seen.requests.get(name, ())
    draft.judge("requests", name, "removed" if found else "unchanged", "", requests=[one["metadata"]["name"] for one in found])
    for one in found:
        what = f"certificate request {one['metadata']['name']} of {name}"
        draft.cuts[what] = Cut("DELETE", f"{CSRS}/{one['metadata']['name']}", removal(one))
        draft.step(REQUESTS, "remove", what, "requests", name, {"request": one["metadata"]["name"]}, {})


def _plan_tokens(draft: _Draft, name: str) -> None:
    """Service accounts in namespaces the person could write to, made anew once: every token of the old ones is void then."""
    record = draft.seen.records.get(name) or {}
    done = record.get("tokens") or {}
    accounts = [] if done.get("at") else accounts_of(record, draft.seen)
    words = [f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in accounts]
    draft.judge("tokens", name, "updated" if words else "unchanged", "", service_accounts=words)
    for account, word in zip(accounts, words):
        what = f"service account {word}, because of {name}"
        path = f"/api/v1/namespaces/{account['metadata']['namespace']}/serviceaccounts/{account['metadata']['name']}"
        draft.cuts[what] = Cut("RECREATE", path, account)
        draft.step(TOKENS, "recreate", what, "tokens", name, {"uid": account["metadata"].get("uid")}, {"uid": "new"})


def accounts_of(record: Mapping[str, Any], seen: Seen) -> list[Obj]:
    """The service accounts a person could make tokens for; never those of the system or of the storage."""
    places = set((record.get("before") or {}).get("writable") or ())
    return [
        one
        for one in seen.accounts
        if places & {"*", one["metadata"]["namespace"]} and not one["metadata"]["namespace"].startswith(("kube-", "rook-"))
    ]


def _plan_denials(draft: _Draft, coming: tuple[Denial, ...]) -> dict[str, Obj]:
    """The entries of the list, and the objects that carry it where they are not as they should be."""
    wanted, seen = draft.wanted, draft.seen
    old, new = {one.who: one for one in seen.denials}, {one.who: one for one in coming}
    asked = [one.name for one in wanted.leavers if one.leaves and DENY in wanted.beats and wanted.means]
    asked += [one.who for one in wanted.lost]
    changed = False
    for who in dict.fromkeys([*asked, *old, *new]):
        before, after = old.get(who), new.get(who)
        action = "unchanged" if before == after else "removed" if after is None else "updated" if before else "created"
        if action == "unchanged" and who not in asked:
            continue
        entry = after or before
        reason = "" if after else "no certificate of theirs is valid" if before is None else "no longer refused"
        facts = {"until": rfc3339(entry.until), "means": list(entry.means)} if entry else {}
        draft.judge("denial", who, action, reason, **facts)
        if action != "unchanged":
            changed = True
            draft.step(DENY, "deny" if after else "allow", f"refusal of {who}", "denial", who)
            if entry is not None:
                draft.busy.add(entry.person)
    objects = denials.policy_objects(wanted.list_name, coming)
    if not (asked and POLICY in wanted.means) and not (changed and _carries(old, new)):
        return {}
    wrong: dict[str, Obj] = {path: body for path, body in objects.items() if not denials.stands(body, seen.listed.get(path))}
    missing = all(seen.listed.get(path) is None for path in objects)
    draft.judge(LIST, wanted.list_name, "created" if missing else "updated" if wrong else "unchanged")
    if wrong:
        draft.step(DENY, "write", f"list {wanted.list_name}", LIST, wanted.list_name)
    return wrong


def _carries(*lists: Mapping[str, Denial]) -> bool:
    return any(POLICY in one.means for found in lists for one in found.values())


def _plan_proof_and_record(draft: _Draft, leaver: Leaver, coming: tuple[Denial, ...]) -> None:
    name, record = leaver.name, draft.seen.records.get(leaver.name) or {}
    means = next((list(one.means) for one in coming if one.who == name), [])
    if PROVE in draft.wanted.beats:
        last = record.get("after") or {}
        due = not last or name in draft.busy or name in draft.seen.kubeconfigs or last.get("means") != means
        draft.judge("proof", name, "created" if due else "unchanged", "" if due else f"made {last.get('at')}")
        if due:
            draft.step(PROVE, "try", f"old credential of {name}", "proof", name)
    noted = {part: said["what"] for part, said in (record.get("done") or {}).items()}
    news = any(noted.get(part) != what for part, what in leaver.done.items())
    due = name in draft.busy or news or not record
    draft.judge("evidence", name, ("updated" if record else "created") if due else "unchanged")
    if due:
        draft.step(RECORD, "write", f"evidence of {name}", "evidence", name)
