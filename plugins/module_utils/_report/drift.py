# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where access is not as it was asked for, or soon will not be. Each finding is one sentence about one thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Optional

from .._core.access import EVERYBODY, Right, Survey, moment_text
from .people import Held, Judge, PersonAccess, Rules, binding_name, is_known, is_own_group, where_words

_LEAVERS = ("disabled", "absent")
_SYSTEM = "system:"


@dataclass(frozen=True)
class Finding:
    """One thing to look at. ``severity`` is problem or notice; ``who`` a person or ``group NAME``."""

    severity: str
    kind: str
    who: str
    where: str
    what: str
    until: Optional[str] = None


# Every kind there is, with what it means.
KINDS: Mapping[str, str] = {
    "person_without_account": "on the list, but not in the directory",
    "account_without_person": "in the directory, but not on the list",
    "account_locked": "locked in the directory, but present on the list",
    "account_open": "disabled or absent on the list, but able to log in to the directory",
    "groups_differ": "in other groups of the directory than the list says",
    "right_missing": "a right that the list gives and that is not there",
    "right_not_asked": "a binding that nobody asked for",
    "right_of_leaver": "a right of somebody who is disabled or absent on the list",
    "right_overdue": "a right that should have ended",
    "right_ends": "a right that ends soon",
    "right_through_group": "a right held through a group",
    "role_missing": "a binding to a role that does not exist",
    "group_without_members": "a group with rights in which nobody is known to be",
    "certificate_ends": "a certificate that ends soon and has no successor",
    "certificate_over": "a person whose certificates have all ended",
    "certificate_missing": "present on the list, but without a certificate",
    "certificate_without_person": "a valid certificate of somebody who is not on the list",
    "certificate_of_leaver": "a valid certificate of somebody who is disabled or absent on the list",
    "certificate_groups": "a valid certificate with groups that the list does not give",
    "request_open": "a request for a certificate that waits",
}


def findings(survey: Survey, people: Sequence[PersonAccess], rules: Rules) -> tuple[Finding, ...]:
    """All of them: problems first, then by kind and name."""
    found: list[Finding] = []
    for person in people:
        found += _of_account(person, survey, rules)
        found += _of_certificates(person, survey, rules)
        found += _of_person_rights(person, survey)
    found += _of_bindings(survey, people, rules)
    found += _missing(survey, people, rules)
    found += [
        Finding("notice", "request_open", one.holder, "", f"request {one.name} is {one.standing}") for one in survey.requests
    ]
    order = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(set(found), key=lambda one: (one.severity != "problem", order[one.kind], one.who, one.where, one.what)))


def as_dict(finding: Finding) -> dict[str, object]:
    """A finding as the result shows it."""
    return asdict(finding)


def _of_account(person: PersonAccess, survey: Survey, rules: Rules) -> Iterator[Finding]:
    account = person.account
    if survey.accounts is None or survey.listed is None:
        return
    if account is None:
        if person.state == "present":
            yield Finding("problem", "person_without_account", person.name, "directory", "there is no account")
        return
    if person.listed is None:
        if not is_known(account.name, rules.known_accounts):
            severity = "notice" if account.locked else "problem"
            what = f"{account.dn} is {'locked' if account.locked else 'open'}"
            yield Finding(severity, "account_without_person", account.name, "directory", what)
        return
    if person.state == "present" and account.locked:
        yield Finding("problem", "account_locked", person.name, "directory", f"{account.dn} is locked")
    if person.state in _LEAVERS and not account.locked:
        yield Finding("problem", "account_open", person.name, "directory", f"{account.dn} is not locked")
    lacking = sorted(set(person.listed.groups) - set(account.groups))
    surplus = sorted(set(account.groups) - set(person.listed.groups))
    if survey.groups_known and person.state == "present" and (lacking or surplus):
        said = [f"is not in {', '.join(lacking)}"] if lacking else []
        said += [f"is in {', '.join(surplus)}, which the list does not say"] if surplus else []
        yield Finding("problem" if surplus else "notice", "groups_differ", person.name, "directory", " and ".join(said))


def _of_certificates(person: PersonAccess, survey: Survey, rules: Rules) -> Iterator[Finding]:
    if survey.credentials is None:
        return
    valid = [one for one in person.credentials if one.not_after > survey.now]
    newest = person.newest
    if newest is None:
        if person.state == "present" and survey.stores_known:
            yield Finding("notice", "certificate_missing", person.name, "certificates", "no certificate was found")
        return
    end = moment_text(newest.not_after)
    if not valid:
        if person.state == "present":
            yield Finding("problem", "certificate_over", person.name, "certificates", "the last certificate has ended", end)
        return
    if newest.not_after <= survey.now + rules.warn_before and person.state not in _LEAVERS:
        yield Finding("notice", "certificate_ends", person.name, "certificates", f"serial {newest.serial} ends", end)
    if survey.listed is None:
        return
    held = f"{len(valid)} valid, the last until {end}"
    if person.listed is None:
        yield Finding("problem", "certificate_without_person", person.name, "certificates", held, end)
    elif person.state in _LEAVERS:
        yield Finding("notice", "certificate_of_leaver", person.name, "certificates", held, end)
    else:
        for one in valid:
            surplus = sorted(set(one.groups) - set(person.listed.groups))
            if surplus and not is_own_group(person.name, one.groups):
                what = f"serial {one.serial} names {', '.join(surplus)}"
                yield Finding("problem", "certificate_groups", person.name, "certificates", what, moment_text(one.not_after))


def _of_person_rights(person: PersonAccess, survey: Survey) -> Iterator[Finding]:
    for held in person.rights:
        right, end = held.right, moment_text(held.right.end)
        if person.state in _LEAVERS and right.role_exists:
            yield Finding("problem", "right_of_leaver", person.name, where_words(right.namespace), _words(held), end)
        elif held.group and right.role_exists and survey.listed is not None and held.standing != "list":
            yield Finding("notice", "right_through_group", person.name, where_words(right.namespace), _words(held), end)


def _words(held: Held) -> str:
    return f"{held.right.role}{f' through group {held.group}' if held.group else ''} by {held.right.binding}"


def _of_bindings(survey: Survey, people: Sequence[PersonAccess], rules: Rules) -> Iterator[Finding]:
    judge = Judge(survey, rules)
    populated = {group for person in people for group in person.groups}
    for right in survey.rights:
        who = right.subject if right.kind == "User" else f"group {right.subject}"
        where, words, end = where_words(right.namespace), f"{right.role} by {right.binding}", moment_text(right.end)
        if not right.system and right.subject not in EVERYBODY and judge.standing(right) == "nobody":
            yield Finding("problem", "right_not_asked", who, where, words, end)
        if not right.role_exists and not right.system:
            yield Finding("notice", "role_missing", who, where, words, end)
        if right.end is not None and right.end <= survey.now:
            yield Finding("problem", "right_overdue", who, where, words, end)
        elif right.end is not None and right.end <= survey.now + rules.warn_before:
            yield Finding("notice", "right_ends", who, where, words, end)
        if _is_empty_group(right, populated, rules):
            yield Finding("notice", "group_without_members", who, where, words, end)


def _is_empty_group(right: Right, populated: set[str], rules: Rules) -> bool:
    if right.kind != "Group" or right.subject.startswith(_SYSTEM) or right.system:
        return False
    return right.subject not in populated and not is_known(binding_name(right), rules.known_bindings)


def _missing(survey: Survey, people: Iterable[PersonAccess], rules: Rules) -> Iterator[Finding]:
    """Rights of the list that no binding of its owner gives."""
    judge = Judge(survey, rules)
    there = {judge.stands_for(right) for right in survey.rights if right.role_exists}
    shown = {person.name for person in people}
    for one in survey.asked:
        if one not in there and one.name in shown:
            yield Finding("problem", "right_missing", one.name, where_words(one.namespace), f"{one.role} is not granted")
