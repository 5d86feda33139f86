# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups: who is to be in them, and what has to change for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Optional

from .._core.errors import BadInput, Conflict, Refused
from . import compare, dn
from .model import MEMBER_ATTRIBUTE, POSIX_GROUP, Add, Change, Entry, Group, Modify, Op, Settings, Values
from .schema import Schema

READ_ATTRIBUTES = ("objectClass", "cn", "gidNumber", "member", "uniqueMember", "memberUid")


ANY_GROUP = "(|(objectClass=posixGroup)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))"


@dataclass(frozen=True)
class People:
    """How people are named in groups: the DN of everyone known, who is to leave, and who can't be handled now."""

    dns: Mapping[str, str]
    leaving: Mapping[str, str]
    left_out: frozenset[str] = frozenset()
    schema: Schema = field(default_factory=Schema)


@dataclass(frozen=True)
class GroupChange:
    """What becomes of one group. ``join`` maps the values to add to the uids they stand for."""

    cn: str
    dn: str
    kind: str
    exists: bool
    join: Mapping[str, str]
    leave: Values
    staying: Values
    gid_number: str = ""  # "auto": the counter still has to give one
    gid_changes: bool = False
    left_out: Values = ()
    classes: Values = ()
    needs_member: bool = False
    placeholder: str = ""  # stands in when there is no member; empty: such a group is refused
    held: bool = False  # whether the placeholder stands in now

    @property
    def attribute(self) -> str:
        """The attribute that holds the members."""
        return MEMBER_ATTRIBUTE[self.kind]

    @property
    def nothing(self) -> bool:
        """Whether the group is as wanted."""
        return self.exists and not self.join and not self.leave and not self.gid_changes and self.stands_in == self.held

    @property
    def stands_in(self) -> bool:
        """Whether the placeholder is to be a member."""
        return self.needs_member and bool(self.placeholder) and not self.staying and not self.join


def kind_of(entry: Entry) -> str:
    """The kind of an existing group."""
    classes = {name.casefold() for name in entry.values_of("objectClass")}
    return next((kind for kind in MEMBER_ATTRIBUTE if kind.casefold() in classes), "")


def with_accounts(groups: Sequence[Group], joins: Mapping[str, Values]) -> tuple[Group, ...]:
    """The groups the task names, and those it names through its accounts, with the accounts in them."""
    named = {group.cn.casefold(): group for group in groups}
    for cn, uids in joins.items():
        group = named.get(cn.casefold(), Group(cn, True))
        named[cn.casefold()] = Group(
            cn=group.cn,
            present=group.present,
            kind=group.kind,
            gid_number=group.gid_number,
            members=None if group.members is None else tuple(dict.fromkeys((*group.members, *uids))),
            join=tuple(dict.fromkeys((*group.join, *uids))),
            leave=group.leave,
        )
    return tuple(named.values())


def plan_group(group: Group, seen: Optional[Entry], settings: Settings, people: People) -> GroupChange:
    """What has to change for one wanted group; raises Conflict and Refused."""
    kind = _kind(group, seen, settings)
    members = seen.values_of(MEMBER_ATTRIBUTE[kind]) if seen else ()
    present = compare.missing(MEMBER_ATTRIBUTE[kind], members, (settings.placeholder,)) if settings.placeholder else members
    wanted = group.members if group.members is not None else group.join
    if group.gid_number is not None and kind != POSIX_GROUP:
        raise BadInput(f"Group {group.cn}: a {kind} has no gid_number.", hint="Leave gid_number out, or use posixGroup.")
    staying_away = {*people.left_out, *people.leaving}
    values = {_value(uid, kind, people, group.cn): uid for uid in wanted if _uid_of(uid) not in staying_away}
    join = {value: values[value] for value in compare.missing(MEMBER_ATTRIBUTE[kind], values, present)}
    leave = _leaving(group, kind, present, values, people)
    staying = compare.missing(MEMBER_ATTRIBUTE[kind], present, leave)
    change = GroupChange(
        cn=group.cn,
        dn=seen.dn if seen else dn.child("cn", group.cn, settings.group_base),
        kind=kind,
        exists=seen is not None,
        join=join,
        leave=leave,
        staying=staying,
        gid_number=_gid(group, kind, seen),
        gid_changes=_gid_changes(group, kind, seen),
        left_out=tuple(uid for uid in wanted if _uid_of(uid) in people.left_out),
        classes=people.schema.classes_of_group(kind),
        needs_member=people.schema.needs_member(kind, MEMBER_ATTRIBUTE[kind]),
        placeholder=settings.placeholder,
        held=len(present) < len(members),
    )
    _check_not_empty(change)
    return change


def without(change: GroupChange, failed: Iterable[str]) -> GroupChange:
    """The change without the accounts that failed meanwhile; raises Refused."""
    names = frozenset(failed)
    join = {value: uid for value, uid in change.join.items() if _uid_of(uid) not in names}
    lost = tuple(uid for value, uid in change.join.items() if value not in join)
    reduced = replace(change, join=join, left_out=(*change.left_out, *lost))
    _check_not_empty(reduced)
    return reduced


def write_of(change: GroupChange, gid_number: str) -> Op:
    """The one write that makes a group as planned."""
    if not change.exists:
        attributes: dict[str, Values] = {"objectClass": change.classes, "cn": (change.cn,)}
        if change.kind == POSIX_GROUP:
            attributes["gidNumber"] = (gid_number,)
        if change.join or change.stands_in:
            attributes[change.attribute] = tuple(change.join) or (change.placeholder,)
        return Add(change.dn, attributes)
    changes = []
    stand_in = (change.placeholder,)
    leave = (*change.leave, *(stand_in if change.held and not change.stands_in else ()))
    join = (*change.join, *(stand_in if change.stands_in and not change.held else ()))
    if leave:
        changes.append(Change("delete", change.attribute, leave))
    if join:
        changes.append(Change("add", change.attribute, join))
    if change.gid_changes:
        changes.append(Change("replace", "gidNumber", (gid_number,)))
    return Modify(change.dn, tuple(changes))


def facts_of(change: GroupChange, gid_number: str) -> dict[str, object]:
    """What the result says about a group."""
    return {
        "dn": change.dn,
        "gid_number": int(gid_number) if gid_number.isdigit() else gid_number or None,
        "added": sorted(change.join.values()),
        "removed": list(change.leave),
        "left_out": list(change.left_out),
    }


def renamed(entry: Entry, uids: Mapping[str, str], dns: Mapping[str, str]) -> Entry:
    """A group as it is once its members' new names are in it. ``uids`` and ``dns`` (normalised) lead from old to new."""
    attributes = dict(entry.attributes)
    for attribute in ("member", "uniqueMember"):
        values = entry.values_of(attribute)
        if values:
            attributes[attribute.lower()] = tuple(dns.get(compare.canonical(attribute, value), value) for value in values)
    if entry.values_of("memberUid"):
        attributes["memberuid"] = tuple(uids.get(value, value) for value in entry.values_of("memberUid"))
    return Entry(entry.dn, attributes)


def renaming(entry: Entry, uids: Mapping[str, str], dns: Mapping[str, str]) -> Optional[Op]:
    """The write that puts new names in the place of old ones; None when a group has none of the old ones any more."""
    after = renamed(entry, uids, dns)
    changes = []
    for attribute in ("member", "uniqueMember", "memberUid"):
        before, wanted = entry.values_of(attribute), after.values_of(attribute)
        if before != wanted:
            gone = compare.missing(attribute, before, wanted)
            new = compare.missing(attribute, wanted, before)
            changes += [Change("delete", attribute, gone)] if gone else []
            changes += [Change("add", attribute, new)] if new else []
    return Modify(entry.dn, tuple(changes)) if changes else None


def naming(attribute_values: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The filters for groups with one of these members, by attribute."""
    return tuple(dn.equals(attribute, value) for attribute, values in attribute_values.items() for value in values)


def _check_not_empty(change: GroupChange) -> None:
    if not change.needs_member or change.placeholder or change.nothing or change.staying or change.join:
        return
    why = f"; {', '.join(change.left_out)} could not be handled" if change.left_out else ""
    raise Refused(
        f"Group {change.cn} would be left without a member, and a {change.kind} must have one{why}.",
        hint="Name a member that stays, set the group's state to absent, or use empty_groups: placeholder.",
    )


def _kind(group: Group, seen: Optional[Entry], settings: Settings) -> str:
    if seen is None:
        return group.kind or settings.group_kind
    kind = kind_of(seen)
    if not kind or (group.kind and group.kind != kind):
        wanted = group.kind or settings.group_kind
        raise Conflict(
            f"Group {group.cn} exists as {kind or '/'.join(seen.values_of('objectClass'))}, not as {wanted} ({seen.dn}).",
            hint="A group's class can't be changed: leave kind out, or remove the group first.",
        )
    return kind


def _value(name: str, kind: str, people: People, cn: str) -> str:
    """How a member is written in a group of this kind."""
    if "=" in name:
        return dn.first_value(name) if kind == POSIX_GROUP else name
    if kind == POSIX_GROUP:
        return name
    known = people.dns.get(name.casefold())
    if known is None:
        raise Conflict(f"Group {cn}: there is no account {name}.", hint="Add it to accounts, or name the member by its DN.")
    return known


def _uid_of(name: str) -> str:
    return (dn.first_value(name) if "=" in name else name).casefold()


def _leaving(group: Group, kind: str, present: Values, values: Iterable[str], people: People) -> Values:
    attribute = MEMBER_ATTRIBUTE[kind]
    if group.members is not None:
        # Who could not be handled in this run keeps the place it has.
        kept = [value for value in present if _uid_of(value) in people.left_out]
        return compare.missing(attribute, present, (*values, *kept))
    gone = {compare.canonical(attribute, value) for value in _as_written(group.leave, kind, people)}
    gone |= {compare.canonical(attribute, value) for value in _as_written(tuple(people.leaving), kind, people)}
    return tuple(value for value in present if compare.canonical(attribute, value) in gone)


def _as_written(names: Values, kind: str, people: People) -> Values:
    """Members to remove; one that no account stands for can't be in a group of DNs either."""
    if kind == POSIX_GROUP:
        return tuple(dn.first_value(name) if "=" in name else name for name in names)
    known = {**people.dns, **people.leaving}
    return tuple(name if "=" in name else known[name.casefold()] for name in names if "=" in name or name.casefold() in known)


def _gid(group: Group, kind: str, seen: Optional[Entry]) -> str:
    if kind != POSIX_GROUP:
        return ""
    if group.gid_number is not None:
        return str(group.gid_number)
    return seen.values_of("gidNumber")[0] if seen and seen.values_of("gidNumber") else "auto"


def _gid_changes(group: Group, kind: str, seen: Optional[Entry]) -> bool:
    if kind != POSIX_GROUP or group.gid_number is None or seen is None:
        return False
    return not compare.same("gidNumber", (str(group.gid_number),), seen.values_of("gidNumber"))


def leavers_in(entries: Sequence[Entry], people: People) -> Values:
    """The uids of those who are to leave and are members of one of these groups."""
    names: set[str] = set()
    for entry in entries:
        attribute = MEMBER_ATTRIBUTE.get(kind_of(entry), "member")
        present = {compare.canonical(attribute, value) for value in entry.values_of(attribute)}
        names |= {
            uid
            for uid, where in people.leaving.items()
            if compare.canonical(attribute, uid if attribute == "memberUid" else where) in present
        }
    return tuple(sorted(names))
