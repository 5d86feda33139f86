# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One account: what its entry is to hold, and what has to change for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from . import compare
from .model import LOCKED_FOR_GOOD, Account, Change, Entry, Settings, Values

AUTO = "auto"  # stands for a number that the counter hands out when the plan is carried out

# Read besides what we write: whether a password exists, the lock, and the policy that gives the lock its effect.
_OPERATIONAL = ("userPassword", "pwdChangedTime", "pwdAccountLockedTime", "pwdPolicySubentry")
READ_ATTRIBUTES = (
    "objectClass", "uid", "cn", "sn", "givenName", "displayName", "mail", "uidNumber", "gidNumber", "homeDirectory",
    "loginShell", "sshPublicKey", *_OPERATIONAL,
)  # fmt: skip


def wanted_attributes(account: Account, settings: Settings, seen: Optional[Entry]) -> dict[str, Values]:
    """The attributes the entry is to have: those the task names, and the needed ones that it lacks."""
    wanted: dict[str, Values] = {"objectClass": _classes(account, settings)}
    if seen is None:
        wanted["uid"] = (account.uid,)
    for name, value in _needed(account, settings, seen).items():
        if name not in account.given and (seen is None or not seen.values_of(name)):
            wanted[name] = (value,)
    for name, values in account.given.items():
        if values or seen is not None:
            wanted[name] = values
    return wanted


def changes_of(wanted: Mapping[str, Values], seen: Entry) -> tuple[Change, ...]:
    """The changes that make an existing entry hold the wanted values."""
    changes = []
    for name, values in wanted.items():
        present = seen.values_of(name)
        if name == "objectClass":
            added = compare.missing(name, values, present)
            if added:
                changes.append(Change("add", name, added))
        elif not compare.same(name, values, present):
            changes.append(Change("replace", name, values))
    return tuple(changes)


def has_password(seen: Entry) -> bool:
    """Whether the directory shows that the account has a password."""
    return bool(seen.values_of("userPassword") or seen.values_of("pwdChangedTime"))


def is_disabled(seen: Entry) -> bool:
    """Whether the account is locked until an administrator unlocks it (a pause after failed logins is something else)."""
    return LOCKED_FOR_GOOD in seen.values_of("pwdAccountLockedTime")


def lock(locked: bool) -> tuple[Change, ...]:
    """The change that locks an account, or ends its lock."""
    return (Change("replace", "pwdAccountLockedTime", (LOCKED_FOR_GOOD,) if locked else ()),)


def _classes(account: Account, settings: Settings) -> Values:
    classes = ["inetOrgPerson"]
    if settings.posix:
        classes.append("posixAccount")
    if account.given.get("sshPublicKey"):
        classes.append("ldapPublicKey")
    return tuple(classes)


def _needed(account: Account, settings: Settings, seen: Optional[Entry]) -> dict[str, str]:
    """Values for what the object classes demand, where neither the task nor the entry has any."""
    names = account.given.get("cn") or account.given.get("displayName") or (seen.values_of("cn") if seen else ())
    full_name = names[0] if names else account.uid
    needed = {"cn": full_name, "sn": full_name.split()[-1]}
    if settings.posix:
        needed.update(uidNumber=AUTO, gidNumber=str(settings.default_gid), homeDirectory=f"/home/{account.uid}")
        if seen is None or "posixaccount" not in {name.casefold() for name in seen.values_of("objectClass")}:
            needed["loginShell"] = "/bin/bash"
    return needed
