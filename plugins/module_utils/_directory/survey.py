# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All accounts of a directory and the groups they are in, for a report. No password and no key is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._core.access import Account
from . import dn
from .accounts import EXPIRED, expiry_text, is_disabled
from .model import Entry

ATTRIBUTES = (
    "uid", "cn", "displayName", "shadowExpire", "shadowFlag", "pwdAccountLockedTime", "nsAccountLock",
)  # fmt: skip
ANY_ACCOUNT = "(uid=*)"


def accounts_of(entries: Iterable[Entry], groups: Iterable[Entry], means: str) -> tuple[Account, ...]:
    """The accounts; ``means`` is how this server locks them."""
    people = [entry for entry in entries if entry.values_of("uid")]
    memberships = _memberships(groups, {dn.normal(entry.dn): entry.values_of("uid")[0] for entry in people})
    return tuple(_account(entry, means, memberships) for entry in people)


def _account(entry: Entry, means: str, memberships: Mapping[str, set[str]]) -> Account:
    name = _text(entry.values_of("uid")[0])
    shown = entry.values_of("displayName") or entry.values_of("cn") or (name,)
    return Account(
        name=name,
        dn=_text(entry.dn),
        full_name=_text(shown[0]),
        locked=is_disabled(entry, means),
        expires=_expiry(entry),
        groups=tuple(sorted(memberships.get(name.casefold(), ()))),
    )


def _text(value: str) -> str:
    """A value for people: bytes that are no text become question marks in a box."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _expiry(entry: Entry) -> str:
    days = entry.values_of("shadowExpire")
    if EXPIRED in days:
        days = entry.values_of("shadowFlag")
    try:
        return expiry_text(int(days[0])) if days and int(days[0]) > 0 else ""
    except (ValueError, OverflowError):
        return ""


def _memberships(groups: Iterable[Entry], names: Mapping[str, str]) -> dict[str, set[str]]:
    """By account, in lower case: the groups it is in."""
    found: dict[str, set[str]] = {}
    for group in groups:
        cn = group.values_of("cn")
        members = list(group.values_of("memberUid"))
        for value in (*group.values_of("member"), *group.values_of("uniqueMember")):
            if dn.is_dn(value) and dn.normal(value) in names:
                members.append(names[dn.normal(value)])
        for member in members if cn else ():
            found.setdefault(member.casefold(), set()).add(_text(cn[0]))
    return found
