# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups' part of a plan: those the task names, those its accounts name, and those that people leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from .._core.errors import CollError, Conflict
from .._core.plan import Step, Verdict, entry_key
from . import dn, groups
from .draft import GROUPS, GROUPS_GO, Draft, Removal
from .groups import GroupChange, People
from .model import MEMBER_ATTRIBUTE, Entry, Group, Seen, Wanted
from .schema import Schema


def people_of(wanted: Wanted, found: Mapping[str, Sequence[Entry]], left_out: frozenset[str], schema: Schema) -> People:
    base = wanted.settings.user_base
    known = {uid: entries[0].dn for uid, entries in found.items()}
    stay = {a.uid: known.get(a.uid, dn.child("uid", a.uid, base)) for a in wanted.accounts if a.present}
    leave = {a.uid: known.get(a.uid, dn.child("uid", a.uid, base)) for a in wanted.accounts if not a.present}
    dns = {uid: where for uid, where in {**known, **stay}.items() if uid not in leave}
    return People(dns, leave, left_out, schema)


def draft_groups(draft: Draft, wanted: Wanted, seen: Seen, people: People) -> dict[str, CollError]:
    """Plans all groups; returns, by uid, why a person who is to go can't."""
    joins: dict[str, list[str]] = {}
    for account in wanted.accounts:
        for cn in account.groups if account.present else ():
            joins.setdefault(cn, []).append(account.uid)
    named = groups.with_accounts(wanted.groups, {cn: tuple(uids) for cn, uids in joins.items()})
    present: dict[str, list[Entry]] = {}
    for entry in seen.groups:
        for cn in entry.values_of("cn"):
            present.setdefault(cn.casefold(), []).append(entry)
    blocked: dict[str, CollError] = {}
    for group in named:
        _draft_group(draft, group, present.get(group.cn.casefold(), []), wanted, people, blocked)
    if people.leaving:
        names = {group.cn.casefold() for group in named}
        for entry in seen.groups:
            if not names & {cn.casefold() for cn in entry.values_of("cn")}:
                group = Group(entry.values_of("cn")[0], True)
                _draft_group(draft, group, [entry], wanted, people, blocked, only_if_changed=True)
    return blocked


def _draft_group(
    draft: Draft,
    group: Group,
    entries: Sequence[Entry],
    wanted: Wanted,
    people: People,
    blocked: dict[str, CollError],
    *,
    only_if_changed: bool = False,
) -> None:
    try:
        if len(entries) > 1:
            names = " and ".join(entry.dn for entry in entries)
            raise Conflict(f"Group {group.cn} exists {len(entries)} times: {names}.", hint="Remove all but one.")
        entry = entries[0] if entries else None
        if not group.present:
            _draft_group_end(draft, group, entry)
            return
        change = groups.plan_group(group, entry, wanted.settings, people)
    except CollError as error:
        draft.verdicts.append(Verdict("group", group.cn, "failed", error=error))
        for uid in groups.leavers_in(entries, people):
            blocked.setdefault(uid, error)
        return
    if not (only_if_changed and change.nothing):
        _draft_group_change(draft, group, entry, change)


def _draft_group_end(draft: Draft, group: Group, entry: Optional[Entry]) -> None:
    if entry is None:
        draft.verdicts.append(Verdict("group", group.cn, "unchanged", "already absent"))
        return
    before = {name: list(values) for name, values in entry.attributes.items()}
    step = Step("remove", f"group {group.cn}", entry_key("group", group.cn), before, None)
    draft.step(GROUPS_GO, step, Removal(entry.dn))
    draft.removals += 1
    draft.verdicts.append(Verdict("group", group.cn, "removed", facts={"dn": entry.dn}))


def _draft_group_change(draft: Draft, group: Group, entry: Optional[Entry], change: GroupChange) -> None:
    facts = groups.facts_of(change, change.gid_number)
    if change.nothing:
        draft.verdicts.append(Verdict("group", group.cn, "unchanged", facts=facts))
        return
    attribute = MEMBER_ATTRIBUTE[change.kind]
    before: Optional[dict[str, object]] = None
    after: dict[str, object] = {attribute: [*change.staying, *change.join]}
    if entry is not None:
        before = {attribute: list(entry.values_of(attribute))}
        if change.gid_changes:
            before["gidNumber"], after["gidNumber"] = list(entry.values_of("gidNumber")), [change.gid_number]
    else:
        after.update(objectClass=list(change.classes), cn=[group.cn])
    verb, action = ("update", "updated") if entry else ("create", "created")
    reason = "no group yet" if entry is None else f"{attribute if change.join or change.leave else 'gidNumber'} differs"
    draft.step(GROUPS, Step(verb, f"group {group.cn}", entry_key("group", group.cn), before, after), change)
    draft.verdicts.append(Verdict("group", group.cn, action, reason, facts))
