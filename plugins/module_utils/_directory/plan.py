# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted and seen become a plan, and beside it the work that each step stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Optional, Union

from .._core.errors import CollError, Conflict, Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from . import accounts, dn, groups, policy
from .groups import GroupChange, People
from .model import MEMBER_ATTRIBUTE, Account, Add, Attributes, Change, Entry, Group, Modify, Op, Seen, Values, Wanted

ACCOUNTS, PASSWORDS, LOCKS = "accounts", "passwords", "locks"
GROUPS, GROUPS_GO, ACCOUNTS_GO = "groups", "groups that go", "accounts that go"
# A lock comes before the password, so that a new disabled account is at no time one that can log in.
_STAGES = (ACCOUNTS, LOCKS, PASSWORDS, GROUPS, GROUPS_GO, ACCOUNTS_GO)


@dataclass(frozen=True)
class AccountWrite:
    """A new entry (``changes`` empty) or changes of one; ``needs_id`` when the counter still has to give a number."""

    dn: str
    attributes: Attributes
    changes: tuple[Change, ...]
    needs_id: bool


@dataclass(frozen=True)
class PasswordWrite:
    """A password to set. The server ends a lock with it, so a locked account is locked again in the same step."""

    uid: str
    dn: str
    relock: bool


@dataclass(frozen=True)
class LockWrite:
    """A lock to set or to end."""

    dn: str
    locked: bool


@dataclass(frozen=True)
class Removal:
    """An entry that goes."""

    dn: str


Work = Union[AccountWrite, PasswordWrite, LockWrite, GroupChange, Removal]


@dataclass(frozen=True)
class Decision:
    """The plan, and what each of its steps writes, by ``work_key``."""

    plan: Plan
    work: Mapping[tuple[str, str], Work]
    passwords_for: Values


@dataclass
class _Draft:
    verdicts: list[Verdict] = field(default_factory=list)
    steps: dict[str, list[Step]] = field(default_factory=lambda: {name: [] for name in _STAGES})
    work: dict[tuple[str, str], Work] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    removals: int = 0

    def step(self, stage: str, step: Step, work: Work) -> None:
        self.steps[stage].append(step)
        self.work[work_key(step)] = work


def work_key(step: Step) -> tuple[str, str]:
    """What identifies a step within a plan."""
    return step.verb, step.entry


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """What to do; raises Refused when the task as a whole must not be carried out."""
    draft = _Draft()
    found = _by_uid(seen.accounts)
    evidence = seen.password_policy or any(accounts.has_password(entry) for entry in seen.accounts)
    for account in wanted.accounts:
        if account.present:
            _draft_present(draft, account, wanted, seen, found.get(account.uid, []), evidence)
    left_out = frozenset(verdict.name for verdict in draft.verdicts if verdict.error is not None)
    people = _people(wanted, found, left_out)
    blocked = _draft_groups(draft, wanted, seen, people)
    for account in wanted.accounts:
        if not account.present:
            _draft_absent(draft, account, seen, found.get(account.uid, []), blocked.get(account.uid))
    _check_removals(draft, wanted)
    order = {entry_key("account", account.uid): index for index, account in enumerate(wanted.accounts)}
    verdicts = sorted(draft.verdicts, key=lambda verdict: order.get(verdict.key, len(order)))
    stages = tuple(Stage(name, tuple(steps)) for name, steps in draft.steps.items() if steps)
    passwords = tuple(work.uid for work in draft.work.values() if isinstance(work, PasswordWrite))
    return Decision(Plan(tuple(verdicts), stages, tuple(draft.warnings)), draft.work, passwords)


def _by_uid(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for uid in entry.values_of("uid"):
            found.setdefault(uid.casefold(), []).append(entry)
    return found


def _draft_present(
    draft: _Draft, account: Account, wanted: Wanted, seen: Seen, entries: Sequence[Entry], evidence: bool
) -> None:
    try:
        if account.uid in seen.refused:
            raise seen.refused[account.uid]
        entry = _only(account.uid, entries)
        _check_number(account, seen)
        _check_lock(draft, account, seen, entry)
    except CollError as error:
        draft.verdicts.append(Verdict("account", account.uid, "failed", error=error))
        return
    _draft_account(draft, account, wanted, entry, evidence)


def _draft_account(draft: _Draft, account: Account, wanted: Wanted, entry: Optional[Entry], evidence: bool) -> None:
    settings, key = wanted.settings, entry_key("account", account.uid)
    where = entry.dn if entry else dn.child("uid", account.uid, settings.user_base)
    attributes = accounts.wanted_attributes(account, settings, entry)
    changes = accounts.changes_of(attributes, entry) if entry else ()
    changed = [change.attribute for change in changes] if entry else list(attributes)
    locked = entry is not None and accounts.is_disabled(entry)
    stays_locked = locked if account.enabled is None else not account.enabled
    password = _password_reason(account, wanted, entry, evidence)
    needs_id = accounts.AUTO in attributes.get("uidNumber", ())
    if entry is None or changes:
        before = {change.attribute: list(entry.values_of(change.attribute)) for change in changes} if entry else None
        after = {name: list(attributes[name]) for name in changed}
        step = Step("update" if entry else "create", f"account {account.uid}", key, before, after)
        draft.step(ACCOUNTS, step, AccountWrite(where, attributes, changes, needs_id))
    if password:
        step = Step("set password", f"account {account.uid}", key, None, {"userPassword": "(set)"})
        draft.step(PASSWORDS, step, PasswordWrite(account.uid, where, stays_locked))
        changed.append("userPassword")
    if stays_locked != locked:
        changed.append("pwdAccountLockedTime")
        step = Step(
            "lock" if stays_locked else "unlock",
            f"account {account.uid}",
            key,
            {"enabled": not locked},
            {"enabled": not stays_locked},
        )
        draft.step(LOCKS, step, LockWrite(where, stays_locked))
    action = "created" if entry is None else "updated" if changed else "unchanged"
    facts: dict[str, object] = {
        "dn": where,
        "uid_number": _number(attributes, entry),
        "enabled": not stays_locked,
        "changed": changed,
        "groups": list(account.groups),
    }
    if password and account.credential_from == "generate_password":
        facts["password_path"] = password_path(wanted, account.uid)
    draft.verdicts.append(Verdict("account", account.uid, action, _reason(entry, changed, password), facts))


def password_path(wanted: Wanted, uid: str) -> str:
    """Where a generated password is written."""
    return f"{wanted.settings.password_directory.rstrip('/')}/{uid}.password"


def _reason(entry: Optional[Entry], changed: Sequence[str], password: str) -> str:
    if entry is None:
        return "no account yet"
    names = [name for name in changed if name != "userPassword"]
    parts = [f"{', '.join(names)} differ" if len(names) > 1 else f"{names[0]} differs"] if names else []
    return "; ".join([*parts, password] if password else parts)


def _password_reason(account: Account, wanted: Wanted, entry: Optional[Entry], evidence: bool) -> str:
    """Why a password is to be set; empty when it is not. Never found out by logging in as the person."""
    if not account.credential_from:
        return ""
    if entry is None:
        return "new account"
    if wanted.settings.always_set_passwords:
        return "update_password is always"
    # An account without any password is one whose creation was cut short. Where passwords can't be seen, nobody's is reset.
    return "no password yet" if evidence and not accounts.has_password(entry) else ""


def _number(attributes: Attributes, entry: Optional[Entry]) -> Union[int, str, None]:
    values = attributes.get("uidNumber") or (entry.values_of("uidNumber") if entry else ())
    if not values:
        return None
    return int(values[0]) if values[0].isdigit() else values[0]


def _only(uid: str, entries: Sequence[Entry]) -> Optional[Entry]:
    if len(entries) > 1:
        names = " and ".join(entry.dn for entry in entries)
        raise Conflict(f"Account {uid} exists {len(entries)} times: {names}.", hint="Remove all but one.")
    return entries[0] if entries else None


def _check_number(account: Account, seen: Seen) -> None:
    for number in account.given.get("uidNumber", ()):
        for entry in seen.accounts:
            other = account.uid not in {uid.casefold() for uid in entry.values_of("uid")}
            if other and number in entry.values_of("uidNumber"):
                raise Conflict(f"Account {account.uid}: uid_number {number} belongs to {entry.dn}.", hint="Choose another.")


def _check_lock(draft: _Draft, account: Account, seen: Seen, entry: Optional[Entry]) -> None:
    if account.enabled is not False:
        return
    if entry is not None and _is_ourselves(entry.dn, seen):
        raise Refused(f"Account {account.uid} is the one this task binds as, and is not locked.", hint="Bind as another.")
    effect = policy.lock_has_effect(seen.locking, entry)
    if effect is False:
        raise policy.no_effect(account.uid)
    if effect is None:
        warning = "The password policy in effect could not be told, so it is not known whether locked accounts are kept out."
        if warning not in draft.warnings:
            draft.warnings.append(warning)


def _is_ourselves(where: str, seen: Seen) -> bool:
    return dn.is_dn(seen.identity) and dn.normal(where) == dn.normal(seen.identity)


def _people(wanted: Wanted, found: Mapping[str, Sequence[Entry]], left_out: frozenset[str]) -> People:
    base = wanted.settings.user_base
    known = {uid: entries[0].dn for uid, entries in found.items()}
    stay = {a.uid: known.get(a.uid, dn.child("uid", a.uid, base)) for a in wanted.accounts if a.present}
    leave = {a.uid: known.get(a.uid, dn.child("uid", a.uid, base)) for a in wanted.accounts if not a.present}
    dns = {uid: where for uid, where in {**known, **stay}.items() if uid not in leave}
    return People(dns, leave, left_out)


def _draft_groups(draft: _Draft, wanted: Wanted, seen: Seen, people: People) -> dict[str, CollError]:
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
    draft: _Draft,
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


def _draft_group_end(draft: _Draft, group: Group, entry: Optional[Entry]) -> None:
    if entry is None:
        draft.verdicts.append(Verdict("group", group.cn, "unchanged", "already absent"))
        return
    before = {name: list(values) for name, values in entry.attributes.items()}
    step = Step("remove", f"group {group.cn}", entry_key("group", group.cn), before, None)
    draft.step(GROUPS_GO, step, Removal(entry.dn))
    draft.removals += 1
    draft.verdicts.append(Verdict("group", group.cn, "removed", facts={"dn": entry.dn}))


def _draft_group_change(draft: _Draft, group: Group, entry: Optional[Entry], change: GroupChange) -> None:
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
        after.update(objectClass=[change.kind], cn=[group.cn])
    verb, action = ("update", "updated") if entry else ("create", "created")
    reason = "no group yet" if entry is None else f"{attribute if change.join or change.leave else 'gidNumber'} differs"
    draft.step(GROUPS, Step(verb, f"group {group.cn}", entry_key("group", group.cn), before, after), change)
    draft.verdicts.append(Verdict("group", group.cn, action, reason, facts))


def _draft_absent(draft: _Draft, account: Account, seen: Seen, entries: Sequence[Entry], blocked: Optional[CollError]) -> None:
    try:
        entry = _only(account.uid, entries)
        if entry is not None and _is_ourselves(entry.dn, seen):
            raise Refused(f"Account {account.uid} is the one this task binds as, and is not removed.", hint="Bind as another.")
        if blocked is not None:
            raise Refused(
                f"Account {account.uid} is not removed, because a group would keep its name: {blocked}", hint=blocked.hint
            )
    except CollError as error:
        draft.verdicts.append(Verdict("account", account.uid, "failed", error=error))
        return
    if entry is None:
        draft.verdicts.append(Verdict("account", account.uid, "unchanged", "already absent"))
        return
    before = {"dn": entry.dn, "uid": [account.uid], "cn": list(entry.values_of("cn"))}
    step = Step("remove", f"account {account.uid}", entry_key("account", account.uid), before, None)
    draft.step(ACCOUNTS_GO, step, Removal(entry.dn))
    draft.removals += 1
    draft.verdicts.append(Verdict("account", account.uid, "removed", facts={"dn": entry.dn}))


def _check_removals(draft: _Draft, wanted: Wanted) -> None:
    limit = wanted.settings.max_deletes
    if draft.removals > limit:
        raise Refused(
            f"The task would remove {draft.removals} accounts and groups, and max_deletes is {limit}; nothing was written.",
            hint="Raise max_deletes if that many are meant to go.",
        )


def write_of(work: AccountWrite, number: str) -> Op:
    """The one write of an account; ``number`` is what the counter gave."""
    if not work.changes:
        return Add(work.dn, {name: _numbered(values, number) for name, values in work.attributes.items()})
    return Modify(work.dn, tuple(replace(change, values=_numbered(change.values, number)) for change in work.changes))


def _numbered(values: Values, number: str) -> Values:
    return (number,) if values == (accounts.AUTO,) and number else values
