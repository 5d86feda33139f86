# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted and seen become a plan, and beside it the work that each step stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional, Union

from .._core.errors import CollError, Conflict, Refused
from .._core.names import dns_name
from .._core.plan import Plan, Stage, Verdict, entry_key
from . import accounts, dn, groups, passwords, policy
from .draft import (
    ACCOUNTS,
    ACCOUNTS_GO,
    LOCKS,
    PASSWORDS,
    RENAMES,
    AccountWrite,
    Draft,
    LockWrite,
    PasswordWrite,
    Removal,
    RenameWrite,
    Work,
    texts,
)
from .edits import shown
from .model import Account, Add, Attributes, Change, Entry, Modify, Op, Seen, Values, Wanted
from .places import Place, only, place_of
from .plan_groups import draft_groups, people_of

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LOCK_ATTRIBUTE = {"ppolicy": "pwdAccountLockedTime", "nsaccountlock": "nsAccountLock"}
_UNKNOWN_EFFECT = "The password policy in effect could not be told, so it is not known whether locked accounts are kept out."
_ONLY_SHADOW = (
    "This server has no means to lock an account: a disabled one is kept out of systems (shadowExpire), not out of LDAP."
)


@dataclass(frozen=True)
class Decision:
    """The plan, and what each of its steps writes, by ``work_key``."""

    plan: Plan
    work: Mapping[tuple[str, str], Work]
    passwords_for: Values


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """What to do; raises Refused when the task as a whole must not be carried out."""
    draft = Draft()
    found, archived = _by_uid(seen.accounts), _by_uid(seen.archived)
    placed: dict[str, Place] = {}
    for account in wanted.accounts:
        if account.present:
            _draft_present(draft, account, wanted, seen, (found, archived), placed)
    left_out = frozenset(verdict.name for verdict in draft.verdicts if verdict.error is not None)
    known = {**found, **{uid: [Entry(place.dn, {})] for uid, place in placed.items()}}
    people = people_of(wanted, known, left_out, seen.schema)
    blocked = draft_groups(draft, wanted, _with_new_names(seen, placed), people)
    for account in wanted.accounts:
        if not account.present:
            _draft_absent(draft, account, wanted, seen, (found, archived), blocked.get(account.uid))
    _check_removals(draft, wanted)
    order = {entry_key("account", account.uid): index for index, account in enumerate(wanted.accounts)}
    verdicts = sorted(draft.verdicts, key=lambda verdict: order.get(verdict.key, len(order)))
    stages = tuple(Stage(name, tuple(steps)) for name, steps in draft.steps.items() if steps)
    needing = tuple(work.uid for work in draft.work.values() if isinstance(work, PasswordWrite))
    return Decision(Plan(tuple(verdicts), stages, tuple(draft.warnings)), draft.work, needing)


def _by_uid(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for uid in entry.values_of("uid"):
            found.setdefault(uid.casefold(), []).append(entry)
    return found


def _with_new_names(seen: Seen, placed: Mapping[str, Place]) -> Seen:
    """Groups as they are once the renaming is done, which comes first."""
    moves = [place.rename for place in placed.values() if place.rename]
    if not moves:
        return seen
    uids = {move.old_uid: move.new_uid for move in moves}
    dns = {dn.normal(move.dn): move.new_dn for move in moves}
    return replace(seen, groups=tuple(groups.renamed(entry, uids, dns) for entry in seen.groups))


def _draft_present(
    draft: Draft,
    account: Account,
    wanted: Wanted,
    seen: Seen,
    found: tuple[Mapping[str, Sequence[Entry]], Mapping[str, Sequence[Entry]]],
    placed: dict[str, Place],
) -> None:
    try:
        if account.uid in seen.refused:
            raise seen.refused[account.uid]
        place = place_of(account, *found, wanted.settings)
        if place.rename and _is_ourselves(place.rename.dn, seen):
            raise Refused(f"Account {account.uid} is the one this task binds as, and is not renamed.", hint="Bind as another.")
        _check_number(account, seen, place)
        _check_lock(draft, account, seen, place.entry)
        if account.must_change and account.credential_from:
            policy.check_must_change(account.uid, seen.server, place.entry)
        attributes = accounts.wanted_attributes(account, wanted.settings, place.entry, seen)
    except CollError as error:
        draft.verdicts.append(Verdict("account", account.uid, "failed", error=error))
        return
    placed[account.uid] = place
    _draft_account(draft, account, wanted, seen, place, attributes)


def _draft_account(draft: Draft, account: Account, wanted: Wanted, seen: Seen, place: Place, attributes: Attributes) -> None:
    entry = place.entry
    changes = accounts.changes_of(attributes, entry, seen.schema) if entry else ()
    changed = [change.attribute for change in changes] if entry else list(attributes)
    locked = entry is not None and accounts.is_disabled(entry, seen.server.lock)
    stays_locked = locked if account.enabled is None else not account.enabled
    if place.rename:
        _draft_rename(draft, account.uid, place.rename)
    if entry is None or changes:
        before = texts({name: entry.values_of(name) for name in changed}, tuple(changed)) if entry else None
        work = AccountWrite(place.dn, attributes, changes, accounts.AUTO in attributes.get("uidNumber", ()))
        after = texts(attributes, tuple(changed))
        draft.account_step(ACCOUNTS, "update" if entry else "create", account.uid, work, before, after)
    password = _password_reason(account, wanted, seen, entry)
    if password:
        _draft_password(draft, account, place.dn, seen, stays_locked)
        changed.append("userPassword")
    if stays_locked != locked and _draft_lock(draft, account.uid, place.dn, stays_locked, seen):
        changed.append(_LOCK_ATTRIBUTE[seen.server.lock])
    action = "created" if entry is None else "updated" if changed or place.rename else "unchanged"
    facts: dict[str, object] = {
        "dn": place.dn,
        "uid_number": _number(attributes, entry),
        "enabled": not stays_locked,
        "changed": changed,
        "groups": list(account.groups),
    }
    if place.rename:
        facts["moved_from"] = place.rename.dn
    if password and account.credential_from == "generate_password":
        facts["password_path"] = password_path(wanted, account.uid)
    draft.verdicts.append(Verdict("account", account.uid, action, _reason(place, changed, password), facts))


def _draft_rename(draft: Draft, uid: str, rename: RenameWrite) -> None:
    draft.account_step(RENAMES, "rename", uid, rename, {"dn": rename.dn}, {"dn": rename.new_dn})


def _draft_password(draft: Draft, account: Account, where: str, seen: Seen, stays_locked: bool) -> None:
    # Only the password policy's lock ends with a new password.
    after = accounts.lock(True, "ppolicy") if stays_locked and seen.server.lock == "ppolicy" else ()
    if account.must_change:
        after = (*after, Change("replace", "pwdReset", ("TRUE",)))
    work = PasswordWrite(account.uid, where, after)
    draft.account_step(PASSWORDS, "set password", account.uid, work, None, {"userPassword": "(set)"})


def _draft_lock(draft: Draft, uid: str, where: str, locks: bool, seen: Seen) -> bool:
    changes = accounts.lock(locks, seen.server.lock)
    if not changes:
        return False
    before, after = {"enabled": locks}, {"enabled": not locks}
    draft.account_step(LOCKS, "lock" if locks else "unlock", uid, LockWrite(where, changes), before, after)
    return True


def password_path(wanted: Wanted, uid: str) -> str:
    """Where a generated password is written."""
    if wanted.settings.password_secret:
        return wanted.settings.password_secret.replace("{name}", uid if _LABEL.fullmatch(uid) else dns_name(uid))
    return f"{wanted.settings.password_directory.rstrip('/')}/{uid}.password"


def _reason(place: Place, changed: Sequence[str], password: str) -> str:
    if place.entry is None:
        return "no account yet"
    parts = []
    if place.rename:
        name = place.rename.old_uid != place.rename.new_uid
        parts.append("was archived" if place.restored else "has another name" if name else "is in another place")
    names = [name for name in changed if name != "userPassword"]
    if names:
        parts.append(f"{', '.join(names)} differ" if len(names) > 1 else f"{names[0]} differs")
    return "; ".join([*parts, password] if password else parts)


def _password_reason(account: Account, wanted: Wanted, seen: Seen, entry: Optional[Entry]) -> str:
    """Why a password is to be set; empty when it is not. Never found out by logging in as the person."""
    if not account.credential_from:
        return ""
    if entry is None:
        return "new account"
    if wanted.settings.update_password == "always":
        return "update_password is always"
    known = seen.passwords.get(account.uid)
    if known == passwords.OTHER:
        return "the file of the password is missing" if account.credential_from == "generate_password" else "password differs"
    if known == passwords.UNVERIFIABLE:
        return "password unverifiable: the directory does not show its hash"
    # An account without any password is one whose creation was cut short. Where passwords can't be seen, nobody's is reset.
    return "no password yet" if known is None and seen.shows_passwords and not accounts.has_password(entry) else ""


def _number(attributes: Attributes, entry: Optional[Entry]) -> Union[int, str, None]:
    values = attributes.get("uidNumber") or (entry.values_of("uidNumber") if entry else ())
    if not values:
        return None
    return int(values[0]) if values[0].isdigit() else values[0]


def _check_number(account: Account, seen: Seen, place: Place) -> None:
    own = {account.uid, place.rename.old_uid if place.rename else account.uid}
    for number in account.given.get("uidNumber", ()):
        for entry in (*seen.accounts, *seen.archived):
            other = not own & {uid.casefold() for uid in entry.values_of("uid")}
            if other and number in entry.values_of("uidNumber"):
                raise Conflict(f"Account {account.uid}: uid_number {number} belongs to {entry.dn}.", hint="Choose another.")


def _check_lock(draft: Draft, account: Account, seen: Seen, entry: Optional[Entry]) -> None:
    if account.enabled is not False:
        return
    if entry is not None and _is_ourselves(entry.dn, seen):
        raise Refused(f"Account {account.uid} is the one this task binds as, and is not locked.", hint="Bind as another.")
    if seen.server.lock == "ppolicy":
        effect = policy.effect(seen.server.locking, entry)
        if effect is False:
            raise policy.no_effect(account.uid)
        if effect is None:
            draft.warn(_UNKNOWN_EFFECT)
    if seen.server.lock == "shadow":
        if not seen.schema.has_class(accounts.SHADOW):
            raise Refused(
                f"Account {account.uid} can't be locked: the server has no password policy and no shadowAccount in its schema.",
                hint="Load the overlay ppolicy.",
            )
        draft.warn(_ONLY_SHADOW)


def _is_ourselves(where: str, seen: Seen) -> bool:
    return dn.is_dn(seen.identity) and dn.normal(where) == dn.normal(seen.identity)


def _draft_absent(
    draft: Draft,
    account: Account,
    wanted: Wanted,
    seen: Seen,
    found: tuple[Mapping[str, Sequence[Entry]], Mapping[str, Sequence[Entry]]],
    blocked: Optional[CollError],
) -> None:
    archives = wanted.settings.archives
    try:
        entry, kept = only(account.uid, found[0]), only(account.uid, found[1])
        if entry is not None:
            _check_leaving(draft, account, seen, entry, blocked, archives)
            if archives and kept:
                raise Conflict(
                    f"Account {account.uid} is in the archive already: {kept.dn}.", hint="Remove or rename that entry."
                )
    except CollError as error:
        draft.verdicts.append(Verdict("account", account.uid, "failed", error=error))
        return
    if entry is None:
        reason = "already archived" if kept else "already absent"
        draft.verdicts.append(Verdict("account", account.uid, "unchanged", reason, {"dn": kept.dn} if kept else {}))
        return
    draft.removals += 1
    if archives:
        _draft_archive(draft, account, wanted, seen, entry)
        return
    before = {"dn": entry.dn, "uid": [account.uid], "cn": shown(entry.values_of("cn"))}
    draft.account_step(ACCOUNTS_GO, "remove", account.uid, Removal(entry.dn), before)
    draft.verdicts.append(Verdict("account", account.uid, "removed", facts={"dn": entry.dn}))


def _check_leaving(
    draft: Draft, account: Account, seen: Seen, entry: Entry, blocked: Optional[CollError], archives: bool
) -> None:
    if _is_ourselves(entry.dn, seen):
        raise Refused(f"Account {account.uid} is the one this task binds as, and is not removed.", hint="Bind as another.")
    if blocked is not None:
        raise Refused(
            f"Account {account.uid} is not removed, because a group would keep its name: {blocked}", hint=blocked.hint
        )
    if archives:
        _check_lock(draft, replace(account, enabled=False), seen, entry)


def _draft_archive(draft: Draft, account: Account, wanted: Wanted, seen: Seen, entry: Entry) -> None:
    """Locked first, then out of the groups, then moved: at no time does an archived person get in."""
    attributes = accounts.disabling(account, wanted.settings, entry, seen)
    changes = accounts.changes_of(attributes, entry, seen.schema)
    if changes:
        names = tuple(change.attribute for change in changes)
        before = texts({name: entry.values_of(name) for name in names}, names)
        work = AccountWrite(entry.dn, attributes, changes, False)
        draft.account_step(ACCOUNTS, "update", account.uid, work, before, texts(attributes, names))
    if not accounts.is_disabled(entry, seen.server.lock):
        _draft_lock(draft, account.uid, entry.dn, True, seen)
    first, above = dn.first_part(entry.dn), wanted.settings.archive_base
    work_of_move = RenameWrite(entry.dn, first, above, f"{first},{above}", account.uid, account.uid)
    draft.account_step(ACCOUNTS_GO, "archive", account.uid, work_of_move, {"dn": entry.dn}, {"dn": work_of_move.new_dn})
    facts = {"dn": work_of_move.new_dn, "moved_from": entry.dn, "enabled": False}
    draft.verdicts.append(Verdict("account", account.uid, "removed", "archived", facts))


def _check_removals(draft: Draft, wanted: Wanted) -> None:
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
