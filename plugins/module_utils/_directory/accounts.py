# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One account: what its entry is to hold, and what has to change for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Optional

from .._core.errors import Refused
from . import compare, dn
from .model import LOCKED_FOR_GOOD, Account, Change, Entry, Seen, Settings, Values
from .schema import Schema, base_name

AUTO = "auto"  # stands for a number that the counter hands out when the plan is carried out
SHADOW = "shadowAccount"
EXPIRED = "1"  # shadowExpire of a disabled account: a day long ago
# Before the key of a disabled account. sshd takes such a line for a comment, so a key no longer opens what a lock closes.
PARKED = "# disabled: "

# Read besides what we write: whether a password exists, the lock, and the policy that gives the lock its effect.
_OPERATIONAL = (
    "userPassword", "pwdChangedTime", "pwdAccountLockedTime", "pwdPolicySubentry", "nsAccountLock", "pwdEndTime", "pwdReset",
)  # fmt: skip
READ_ATTRIBUTES = (
    "objectClass", "uid", "cn", "sn", "givenName", "displayName", "mail", "uidNumber", "gidNumber", "homeDirectory",
    "loginShell", "sshPublicKey", "nsSshPublicKey", "shadowExpire", "shadowFlag", *_OPERATIONAL,
)  # fmt: skip


def wanted_attributes(account: Account, settings: Settings, seen: Optional[Entry], around: Seen) -> dict[str, Values]:
    """The attributes the entry is to have: those the task names, and the needed ones that it lacks."""
    held = seen or Entry("", {})
    wanted: dict[str, Values] = {} if seen else {"uid": (account.uid,)}
    for name, value in _needed(account, settings, seen).items():
        if name not in account.given and not held.values_of(name):
            wanted[name] = (value,)
    wanted.update((name, values) for name, values in account.given.items() if name != "sshPublicKey")
    wanted.update(_edited(account, held, around.schema))
    wanted.update(_keys(account, held, around))
    wanted.update(_expiry(account, settings, held, around))
    if seen is None:
        wanted = {name: values for name, values in wanted.items() if values}
    _check(account.uid, wanted, around.schema)
    return {"objectClass": _classes(account, settings, held, wanted, around.schema), **wanted}


def disabling(account: Account, settings: Settings, seen: Entry, around: Seen) -> dict[str, Values]:
    """What a lock changes besides the lock itself: keys and the day of expiry."""
    off = Account(account.uid, True, {}, enabled=False)
    wanted = {**_keys(off, seen, around), **_expiry(off, settings, seen, around)}
    return {"objectClass": (SHADOW,), **wanted} if "shadowExpire" in wanted else wanted


def changes_of(wanted: Mapping[str, Values], seen: Entry, schema: Schema) -> tuple[Change, ...]:
    """The changes that make an existing entry hold the wanted values."""
    changes = []
    for name, values in wanted.items():
        present = seen.values_of(name)
        if name == "objectClass":
            added = compare.missing(name, values, present)
            if added:
                changes.append(Change("add", name, added))
        elif not compare.same(name, values, present, schema):
            changes.append(Change("replace", name, values))
    return tuple(changes)


def has_password(seen: Entry) -> bool:
    """Whether the directory shows that the account has a password."""
    return bool(seen.values_of("userPassword") or seen.values_of("pwdChangedTime"))


def is_disabled(seen: Entry, means: str) -> bool:
    """Whether the account is locked until an administrator unlocks it (a pause after failed logins is something else)."""
    if means == "ppolicy":
        return LOCKED_FOR_GOOD in seen.values_of("pwdAccountLockedTime")
    if means == "nsaccountlock":
        return any(value.casefold() == "true" for value in seen.values_of("nsAccountLock"))
    return EXPIRED in seen.values_of("shadowExpire")


def lock(locked: bool, means: str) -> tuple[Change, ...]:
    """The change that locks an account, or ends its lock; none where ``shadowExpire`` alone is the lock."""
    if means == "ppolicy":
        return (Change("replace", "pwdAccountLockedTime", (LOCKED_FOR_GOOD,) if locked else ()),)
    if means == "nsaccountlock":
        return (Change("replace", "nsAccountLock", ("true",) if locked else ()),)
    return ()


def expiry_text(days: int) -> str:
    """The first day without access, as a person writes it."""
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def _keys(account: Account, held: Entry, around: Seen) -> dict[str, Values]:
    """The SSH keys: those of a disabled account are parked, because a locked password does not stop a key."""
    attribute = around.schema.ssh[0]
    present = held.values_of(attribute)
    keys = account.given.get("sshPublicKey", tuple(value.removeprefix(PARKED) for value in present))
    if account.enabled is None and "sshPublicKey" not in account.given:
        return {}
    was_parked = any(value.startswith(PARKED) for value in present) or not present
    still_locked = account.enabled is None and was_parked and is_disabled(held, around.server.lock)
    if account.enabled is False or still_locked:
        keys = tuple(f"{PARKED}{key}" for key in keys)
    return {attribute: keys} if keys or present else {}


def _expiry(account: Account, settings: Settings, held: Entry, around: Seen) -> dict[str, Values]:
    """When access ends. A disabled account has the day EXPIRED, and its own day waits in shadowFlag, which nothing else uses."""
    if account.enabled is None and account.expires is None:
        return {}
    now = held.values_of("shadowExpire")
    was_disabled = EXPIRED in now
    day = held.values_of("shadowFlag") if was_disabled else now
    wanted: dict[str, Values] = {}
    if account.expires is not None:
        day = (str(account.expires),) if account.expires else ()
        if around.server.lock == "ppolicy" and around.schema.known and around.schema.has_attribute("pwdEndTime"):
            wanted["pwdEndTime"] = (_time_of(account.expires),) if account.expires else ()
    usable = around.schema.has_class(SHADOW) and (settings.posix or bool(now) or account.expires is not None)
    if not usable:
        if account.expires and not wanted:
            raise Refused(
                f"Account {account.uid}: this server has no means to let an account expire.",
                hint="It has neither shadowAccount in its schema nor a password policy with pwdEndTime.",
            )
        return wanted
    if account.enabled is False or (account.enabled is None and was_disabled):
        return {**wanted, "shadowExpire": (EXPIRED,), "shadowFlag": day}
    return {**wanted, "shadowExpire": day, **({"shadowFlag": ()} if was_disabled else {})}


def _time_of(days: int) -> str:
    return f"{expiry_text(days).replace('-', '')}000000Z"


def _edited(account: Account, held: Entry, schema: Schema) -> dict[str, Values]:
    """The attributes the task edits by name."""
    edited = dict(account.edits.exact)
    for name, values in account.edits.extra.items():
        if name == "objectClass":  # joins the classes that the account needs anyway
            continue
        present = edited.get(name, held.values_of(name))
        edited[name] = (*present, *compare.missing(name, values, present, schema))
    for name, values in account.edits.unwanted.items():
        present = edited.get(name, held.values_of(name))
        edited[name] = compare.missing(name, present, values, schema)
    return edited


def _check(uid: str, wanted: Mapping[str, Values], schema: Schema) -> None:
    """Raises Refused for what the server's schema can't hold."""
    if not schema.known:
        return
    for name, values in wanted.items():
        known = schema.attribute(name)
        if known is None:
            if values:
                raise Refused(
                    f"Account {uid}: the server's schema has no attribute {name}.",
                    hint="Load the schema it belongs to (sshPublicKey comes with openssh-lpk), or leave it out.",
                )
        elif not known.writable:
            raise Refused(f"Account {uid}: {name} is kept by the server itself.", hint="Leave it out.")
        elif known.single and len(values) > 1:
            raise Refused(f"Account {uid}: {name} can have one value, not {len(values)}.", hint="Name one value.")
        elif known.holds_dns:
            wrong = next((value for value in values if not dn.is_dn(value)), None)
            if wrong is not None:
                raise Refused(f"Account {uid}: {name}: {wrong[:80]!r} is not a DN.", hint="Name the entry by its DN.")


def _classes(
    account: Account, settings: Settings, held: Entry, wanted: Mapping[str, Values], schema: Schema
) -> tuple[str, ...]:
    classes = ["inetOrgPerson"]
    if settings.posix:
        classes.append("posixAccount")
    if wanted.get(schema.ssh[0]):
        classes.append(schema.ssh[1])
    if wanted.get("shadowExpire") or wanted.get("shadowFlag"):
        classes.append(SHADOW)
    named = account.edits.extra.get("objectClass", ())
    if schema.known:
        edited = [name for name in account.edits.names if wanted.get(name) and name != "objectClass"]
        named = (*named, *_bearers(account.uid, edited, (*classes, *named, *held.values_of("objectClass")), wanted, schema))
    return tuple(dict.fromkeys((*classes, *named)))


def _bearers(
    uid: str, edited: Iterable[str], classes: Iterable[str], wanted: Mapping[str, Values], schema: Schema
) -> tuple[str, ...]:
    """The auxiliary classes that edited attributes need beside the classes the entry has."""
    allowed = schema.allowed_by((*classes, "top"))
    free = {name.lower() for name in classes} & {"extensibleobject"}
    added: list[str] = []
    names = {base_name(name) for name, values in wanted.items() if values} | {"uid", "cn", "sn"}
    for name in edited:
        kind = schema.attribute(name)
        if free or base_name(name) in allowed or kind is None or kind.operational:
            continue
        able = [one for one in schema.auxiliaries_for(name) if _demands(one, schema) <= names]
        if len(able) != 1:
            which = f"several do: {', '.join(able)}" if able else "none of the server's auxiliary classes does alone"
            raise Refused(
                f"Account {uid}: no object class of the account allows {name}, and {which}.",
                hint="Name the class in attributes.add.objectClass.",
            )
        added.append(able[0])
        allowed |= schema.allowed_by(able)
    return tuple(dict.fromkeys(added))


def _demands(name: str, schema: Schema) -> frozenset[str]:
    found = schema.object_class(name)
    return found.must - {"objectclass"} if found else frozenset()


def _needed(account: Account, settings: Settings, seen: Optional[Entry]) -> dict[str, str]:
    """Values for what the object classes demand, where neither the task nor the entry has any."""
    names = account.given.get("cn") or account.given.get("displayName") or (seen.values_of("cn") if seen else ())
    full_name = names[0] if names else account.uid
    needed = {"cn": full_name, "sn": (full_name.split() or [full_name])[-1]}
    if settings.posix:
        needed.update(uidNumber=AUTO, gidNumber=str(settings.default_gid), homeDirectory=f"/home/{account.uid}")
        if seen is None or "posixaccount" not in {name.casefold() for name in seen.values_of("objectClass")}:
            needed["loginShell"] = "/bin/bash"
    return needed
