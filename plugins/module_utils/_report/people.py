# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each person's access, put together from all sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.access import EVERYBODY, EVERYWHERE, Account, Asked, Credential, Listed, Right, Survey, moment_text

SOURCES = ("certificates", "directory", "people")
UNLISTED = "unlisted"
_OWN_GROUP = re.compile(r".*\.[0-9a-f]{32}", re.ASCII | re.DOTALL)
_SYSTEM = "system:"


@dataclass(frozen=True)
class Held:
    """A right of a person. ``group``: the one it comes through, empty for a right of their own."""

    right: Right
    group: str
    standing: str


@dataclass(frozen=True)
class PersonAccess:
    """All that is known of one person. ``groups`` maps a name to the sources that put them in it."""

    name: str
    listed: Optional[Listed]
    account: Optional[Account]
    credentials: tuple[Credential, ...]
    groups: Mapping[str, tuple[str, ...]]
    rights: tuple[Held, ...]

    @property
    def full_name(self) -> str:
        """The name people know."""
        if self.listed is not None:
            return self.listed.full_name
        return self.account.full_name if self.account is not None else self.name

    @property
    def state(self) -> str:
        """What the list says: present, disabled, absent, or unlisted."""
        return self.listed.state if self.listed is not None else UNLISTED

    @property
    def newest(self) -> Optional[Credential]:
        """The certificate that ends last."""
        return max(self.credentials, key=lambda one: one.not_after, default=None)


@dataclass(frozen=True)
class Rules:
    """How the report judges. ``owner``: whose grants the list of people makes; ``groups_from``: sources whose groups count."""

    owner: str
    groups_from: tuple[str, ...] = SOURCES
    warn_before: int = 14 * 86400
    known_accounts: tuple[str, ...] = ()
    known_bindings: tuple[str, ...] = ()


class Judge:
    """Who wants a right to be there."""

    def __init__(self, survey: Survey, rules: Rules) -> None:
        self._asked = frozenset(survey.asked)
        self._compares = survey.listed is not None
        self._rules = rules
        self._issues = {one.groups[0]: one.holder for one in survey.credentials or () if is_own_group(one.holder, one.groups)}

    def stands_for(self, right: Right) -> Optional[Asked]:
        """What the list would have to give for a right of its owner; a group of one certificate stands for its holder."""
        if right.owner != self._rules.owner:
            return None
        name = right.subject if right.kind == "User" else self._issues.get(right.subject)
        return Asked(name, right.role, right.namespace) if name else None

    def standing(self, right: Right) -> str:
        """``list``, ``owner NAME``, ``system``, ``known`` or ``nobody``."""
        if right.system:
            return "system"
        if self._compares and right.owner == self._rules.owner:
            return "list" if self.stands_for(right) in self._asked else "nobody"
        if right.owner:
            return f"owner {right.owner}"
        return "known" if is_known(binding_name(right), self._rules.known_bindings) else "nobody"


def is_own_group(name: str, groups: Sequence[str]) -> bool:
    """Whether a certificate carries nothing but a group of its own, as k8s_user_cert makes them."""
    return len(groups) == 1 and groups[0].startswith(f"{name[:31]}.") and bool(_OWN_GROUP.fullmatch(groups[0]))


@dataclass
class _Index:
    """The survey, by name."""

    judge: Judge
    by_subject: dict[tuple[str, str], list[Right]] = field(default_factory=dict)
    credentials: dict[str, list[Credential]] = field(default_factory=dict)


def people_of(survey: Survey, rules: Rules) -> tuple[PersonAccess, ...]:
    """Everybody on the list, with an account, with a certificate or with a right of their own, by name."""
    index = _Index(Judge(survey, rules))
    for right in survey.rights:
        index.by_subject.setdefault((right.kind, right.subject), []).append(right)
    for credential in survey.credentials or ():
        index.credentials.setdefault(credential.holder, []).append(credential)
    listed = {one.name: one for one in survey.listed or ()}
    accounts = {one.name.casefold(): one for one in survey.accounts or ()}
    names = {*listed, *index.credentials, *(name for kind, name in index.by_subject if kind == "User")}
    names = {name for name in names if not name.startswith(_SYSTEM)}
    folded = {name.casefold() for name in names}
    names |= {one.name for key, one in accounts.items() if key not in folded}
    return tuple(_person(name, listed.get(name), accounts.get(name.casefold()), index, survey, rules) for name in sorted(names))


def _person(
    name: str, listed: Optional[Listed], account: Optional[Account], index: _Index, survey: Survey, rules: Rules
) -> PersonAccess:
    credentials = tuple(sorted(index.credentials.get(name, ()), key=lambda one: -one.not_after))
    groups = _groups(listed, account, credentials, survey.now)
    own = (Held(right, "", index.judge.standing(right)) for right in index.by_subject.get(("User", name), ()))
    through = (
        Held(right, group, index.judge.standing(right))
        for group, sources in groups.items()
        if any(source in rules.groups_from for source in sources)
        for right in index.by_subject.get(("Group", group), ())
    )
    rights = sorted((*own, *through), key=lambda one: (one.right.namespace, one.right.role, one.group, one.right.binding))
    return PersonAccess(name, listed, account, credentials, groups, tuple(rights))


def _groups(
    listed: Optional[Listed], account: Optional[Account], credentials: Iterable[Credential], now: int
) -> dict[str, tuple[str, ...]]:
    """By group: the sources that say so. A certificate that ended puts nobody into a group, nor does the list one who left."""
    valid = (group for one in credentials if one.not_after > now for group in one.groups)
    said = (
        ("certificates", valid),
        ("directory", account.groups if account is not None else ()),
        ("people", listed.groups if listed is not None and listed.state == "present" else ()),
    )
    found: dict[str, list[str]] = {}
    for source, groups in said:
        for group in groups:
            sources = found.setdefault(group, [])
            if source not in sources:
                sources.append(source)
    return {group: tuple(found[group]) for group in sorted(found) if group not in EVERYBODY}


def binding_name(right: Right) -> str:
    """The name of the binding, without its kind and place."""
    return right.binding.rpartition(" ")[2].rpartition("/")[2]


def is_known(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of the patterns; a ``*`` at the end stands for any rest."""
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


def where_words(namespace: str) -> str:
    """A place in words."""
    return namespace if namespace != EVERYWHERE else "the whole cluster"


def facts(person: PersonAccess, levels: Mapping[str, str], now: int) -> dict[str, object]:
    """A person as the result shows them."""
    account, newest = person.account, person.newest
    return {
        "full_name": person.full_name,
        "state": person.state,
        "account": None
        if account is None
        else {"dn": account.dn, "locked": account.locked, "expires": account.expires or None},
        "groups": [{"name": group, "sources": list(sources)} for group, sources in person.groups.items()],
        "certificates": [_credential_facts(one, now) for one in person.credentials],
        "certificate_end": moment_text(newest.not_after) if newest is not None else None,
        "rights": [right_facts(held, levels) for held in person.rights],
    }


def _credential_facts(one: Credential, now: int) -> dict[str, object]:
    return {
        "not_before": moment_text(one.not_before),
        "not_after": moment_text(one.not_after),
        "seconds_left": one.not_after - now,
        "groups": list(one.groups),
        "serial": one.serial,
        "credential_id": one.credential_id,
        "found_in": list(one.found_in),
        "place": one.place,
    }


def right_facts(held: Held, levels: Mapping[str, str]) -> dict[str, Any]:
    """A right as the result shows it."""
    right = held.right
    return {
        "role": right.role,
        "level": levels.get(right.role, "nothing"),
        "where": where_words(right.namespace),
        "group": held.group or None,
        "ends": moment_text(right.end),
        "standing": held.standing,
        "binding": right.binding,
    }
