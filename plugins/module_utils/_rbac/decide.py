# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing the wanted grants with the cluster: what becomes of each, and the writes that make it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import Conflict, Refused
from .._core.plan import Plan, Step, Verdict, entry_key
from .._core.window import rfc3339
from . import objects, review
from .draft import (
    BINDINGS,
    LEFTOVERS,
    NAMESPACES,
    REMOVE,
    REPLACED,
    ROLES,
    Decision,
    Draft,
    Overdue,
    Question,
    Seen,
    Write,
    grant_of,
    key_of,
    live_permission,
    live_words,
    permission,
    target,
)
from .grants import Grant, Wanted
from .refusals import may_hand_on, refusal
from .window import noted


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """What becomes of each grant; raises Refused when more would be pruned than allowed."""
    draft = Draft(wanted, seen)
    refusals = {grant: refusal(draft, grant) or seen.refusals.get(key_of(grant)) for grant in wanted.present()}
    granted = [grant for grant, error in refusals.items() if error is None]
    _plan_namespaces(draft, granted)
    _plan_roles(draft, granted)
    for grant in granted:
        _plan_present(draft, grant)
    for grant in wanted.asks:
        if grant not in refusals:
            _plan_absent(draft, grant)
        elif refusals[grant] is not None:
            draft.judge_grant(grant, "failed", "", refusals[grant])
    if wanted.policy.prune:
        _plan_pruning(draft)
    _plan_leftovers(draft, granted)
    asked = wanted.asks if wanted.policy.verify else ()
    questions = {key_of(grant): found for grant in asked if (found := review.questions(draft, grant))}
    _judge_answers(draft)
    overdue, ends = _ends(draft)
    starts = (
        (ask.window.start, key_of(grant)) for grant, ask in wanted.asks.items() if _is_early(draft, grant) and ask.present
    )
    return Decision(
        Plan(_in_order(draft), draft.stages(), wanted.warnings),
        draft.writes,
        questions,
        overdue,
        tuple(sorted(ends)),
        tuple(sorted((start, key) for start, key in starts if start is not None)),
    )


def _in_order(draft: Draft) -> tuple[Verdict, ...]:
    """Namespaces and roles, then the grants in the order of the list, then what is pruned."""
    listed = [key_of(grant) for grant in draft.wanted.asks]
    among = set(listed)
    made = [one for key, one in draft.verdicts.items() if one.kind != "grant" and one.action != "removed"]
    rest = [one for key, one in draft.verdicts.items() if key not in among and one not in made]
    return (*made, *(draft.verdicts[key] for key in listed), *rest)


def _is_early(draft: Draft, grant: Grant) -> bool:
    return draft.wanted.asks[grant].window.stands(draft.wanted.now) == "early"


def _plan_namespaces(draft: Draft, granted: Sequence[Grant]) -> None:
    missing = {grant.namespace: None for grant in granted if grant.namespace and grant.namespace not in draft.seen.namespaces}
    for name in missing:
        body = objects.namespace(name, draft.policy.owner)
        draft.judge(Verdict("namespace", name, "created", "missing"))
        step = Step("create", f"namespace {name}", entry_key("namespace", name), {}, {"labels": body["metadata"]["labels"]})
        draft.plan_write(NAMESPACES, step, Write("POST", objects.NAMESPACES, body, wanted=body))


def _plan_roles(draft: Draft, granted: Sequence[Grant]) -> None:
    own = {objects.role_path(grant.role, grant.namespace): grant for grant in granted if grant.role.atoms}
    for path, grant in own.items():
        body = objects.own_role(grant.role, grant.namespace, draft.policy.owner)
        live = draft.seen.roles.get(path)
        name, after = _role_words(path), {"rules": body["rules"]}
        if live is None:
            draft.judge(Verdict("role", name, "created", "missing"))
            write = Write("POST", path.rsplit("/", 1)[0], body, wanted=body)
            draft.plan_write(ROLES, Step("create", target(path), entry_key("role", name), {}, after), write)
        elif changed := objects.differences(body, live):
            draft.judge(Verdict("role", name, "updated", _changed(changed)))
            write = Write("PUT", path, objects.corrected(body, live), wanted=body, live=live)
            before = {"rules": live.get("rules") or []}
            draft.plan_write(ROLES, Step("update", target(path), entry_key("role", name), before, after), write)


def _role_words(path: str) -> str:
    kind, name = target(path).split(" ", 1)
    return name if kind == "clusterrole" else " in ".join(reversed(name.split("/", 1)))


def _changed(parts: Sequence[str]) -> str:
    return f"{' and '.join(parts)} had been changed"


def _plan_present(draft: Draft, grant: Grant) -> None:
    body = objects.binding(grant, draft.policy.owner, draft.wanted.asks[grant].window)
    path, key, after = draft.path(grant), key_of(grant), permission(grant)
    needs = objects.role_path(grant.role, grant.namespace) if grant.role.atoms else ""
    other = draft.seen.others.get(path)
    live = other or draft.seen.bindings.get(path)
    if live is None:
        draft.judge_grant(grant, "created", "missing")
        draft.created[grant.subjects, grant.namespace] = grant
        write = Write("POST", objects.collection(grant.namespace), body, wanted=body, needs=needs)
        draft.plan_write(BINDINGS, Step("create", target(path), key, {}, after), write)
        return
    elsewhere = objects.refers_elsewhere(body, live)
    if elsewhere is not None:
        draft.judge_grant(grant, "updated", f"recreated, because it referred to {elsewhere!r}", recreated=True)
        write = Write("RECREATE", path, body, wanted=body, live=live, needs=needs)
        draft.plan_write(BINDINGS, Step("recreate", target(path), key, live_permission(live), after), write)
        return
    changed = objects.differences(body, live)
    if not changed:
        draft.judge_grant(grant, "unchanged", "")
        return
    draft.judge_grant(grant, "updated", "adopted" if other is not None else _changed(changed))
    write = Write("PUT", path, objects.corrected(body, live), wanted=body, live=live, needs=needs)
    draft.plan_write(BINDINGS, Step("update", target(path), key, live_permission(live), after), write)


def _plan_absent(draft: Draft, grant: Grant) -> None:
    live = draft.seen.bindings.get(draft.path(grant))
    ask = draft.wanted.asks[grant]
    stands = ask.window.stands(draft.wanted.now) if ask.present else "absent"
    moment = ask.window.end if stands == "over" else ask.window.start
    reason = "state is absent"
    if moment is not None and stands in ("over", "early"):
        reason = f"{'ended' if stands == 'over' else 'begins'} {rfc3339(moment)}"
    if live is None:
        draft.judge_grant(grant, "unchanged", reason if ask.present else "not there")
        return
    draft.judge_grant(grant, "removed", reason)
    _plan_removal(draft, key_of(grant), live)


def _plan_pruning(draft: Draft) -> None:
    policy, named = draft.policy, {draft.path(grant) for grant in draft.wanted.asks}
    surplus = {path: live for path, live in draft.seen.bindings.items() if path not in named}
    if len(surplus) > policy.max_deletes:
        raise Refused(
            f"prune would remove {len(surplus)} grants of owner {policy.owner!r}, more than max_deletes ({policy.max_deletes}).",
            hint="Check that the list is complete, then raise max_deletes.",
            would_remove=sorted(live_words(live) for live in surplus.values())[:50],
        )
    for path, live in surplus.items():
        name = live_words(live)
        if entry_key("grant", name) in draft.verdicts:  # a stray copy under another name
            name = f"{name} ({path.rsplit('/', 1)[1]})"
        facts = {**live_permission(live), "object": target(path)}
        key = entry_key("grant", name)
        if key in draft.seen.refusals:
            draft.judge(Verdict("grant", name, "failed", "", facts, draft.seen.refusals[key]))
            continue
        draft.judge(Verdict("grant", name, "removed", "no longer in the list", facts))
        _plan_removal(draft, key, live)


def _plan_removal(draft: Draft, key: str, live: Mapping[str, Any]) -> None:
    """Take a binding away: first of all, unless this run makes one that allows the same or more (then last of all)."""
    path = objects.live_path(live)
    draft.removed.add(path)
    if key in draft.seen.refusals:
        old = draft.verdicts[key]
        draft.judge(Verdict(old.kind, old.name, "failed", old.reason, old.facts, draft.seen.refusals[key]))
        return
    successor, proof = _successor(draft, live)
    step = Step("delete", target(path), key, live_permission(live), {})
    needs = draft.path(successor) if successor else ""
    write = Write("DELETE", path, objects.removal(live), live=live, needs=needs, proof=proof)
    draft.plan_write(REPLACED if successor else REMOVE, step, write)
    follower = draft.created.get((grant_of(live).subjects, grant_of(live).namespace))
    if follower is not None:
        old_role = grant_of(live).role.words()
        draft.judge_grant(follower, "created", f"recreated, in place of {old_role!r}", replaces=old_role)


def _successor(draft: Draft, live: Mapping[str, Any]) -> tuple[Optional[Grant], Optional[Question]]:
    """The grant of this run that allows all that a live binding allows, and a question only the new one answers with yes."""
    old = grant_of(live)
    new = draft.created.get((old.subjects, old.namespace))
    if new is None:
        return None, None
    before, after = draft.allowed(old.role, old.namespace), draft.allowed(new.role, new.namespace)
    if before is None or after is None or after.lacking(before):
        return None, None
    more = before.lacking(after)
    return new, Question(new.subjects[0], more[0], new.namespace) if more else None


def _plan_leftovers(draft: Draft, granted: Sequence[Grant]) -> None:
    """Roles of ours that nothing refers to any more: all of them when pruning, else those of grants in the list."""
    staying = [live for path, live in draft.seen.bindings.items() if path not in draft.removed]
    used = {objects.role_path(grant_of(live).role, grant_of(live).namespace) for live in staying}
    used |= {objects.role_path(grant.role, grant.namespace) for grant in granted}
    listed = {objects.role_path(grant.role, grant.namespace) for grant in draft.wanted.asks if grant.role.atoms}
    for path, live in draft.seen.roles.items():
        if path in used or objects.owner_of(live) != draft.policy.owner or not (draft.policy.prune or path in listed):
            continue
        name = _role_words(path)
        draft.judge(Verdict("role", name, "removed", "no longer used"))
        step = Step("delete", target(path), entry_key("role", name), {"rules": live.get("rules") or []}, {})
        draft.plan_write(LEFTOVERS, step, Write("DELETE", path, objects.removal(live), live=live))


def _judge_answers(draft: Draft) -> None:
    """Add the server's answers to the entries; an unexpected one fails its entry."""
    for key, answers in draft.seen.answers.items():
        verdict = draft.verdicts.get(key)
        if verdict is None or verdict.error is not None:
            continue
        error: Optional[Conflict] = review.disagreement(answers)
        facts = {**verdict.facts, "access": review.rows(answers)}
        draft.judge(Verdict(verdict.kind, verdict.name, verdict.action, verdict.reason, facts, error))


def _ends(draft: Draft) -> tuple[tuple[Overdue, ...], list[tuple[int, str]]]:
    """What stands although its end is past, and when what stays will end."""
    overdue, now = [], draft.wanted.now
    named = {draft.path(grant): grant for grant in draft.wanted.asks}
    present = set(draft.wanted.present())
    ends = [(end, key_of(one)) for one in present if (end := draft.wanted.asks[one].window.end) is not None]
    for path, live in draft.seen.bindings.items():
        end = noted((live["metadata"].get("annotations") or {}).get(objects.EXPIRES))
        grant = named.get(path)
        if grant is not None and not draft.wanted.asks[grant].present:
            continue
        if grant is not None:
            end = draft.wanted.asks[grant].window.end if end is None or grant in present else end
        if end is None:
            continue
        entry = key_of(grant) if grant is not None else entry_key("grant", live_words(live))
        if end <= now:
            overdue.append(Overdue(live_words(live), end, entry if path in draft.removed else ""))
        elif grant is None and path not in draft.removed:
            ends.append((end, entry))
    return tuple(overdue), ends


def admin_without_end(wanted: Wanted, seen: Seen) -> list[str]:
    """The grants to people that let them hand on rights, and have no end."""
    draft = Draft(wanted, seen)
    found = []
    for grant in wanted.present():
        allowed = draft.allowed(grant.role, grant.namespace)
        to_people = any(subject.kind != "ServiceAccount" for subject in grant.subjects)
        if to_people and allowed is not None and may_hand_on(allowed) and wanted.asks[grant].window.end is None:
            found.append(grant.sentence())
    return found
