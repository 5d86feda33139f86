# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory in memory, for what ldap_account asks of one. The contract suite runs on it and on a real slapd."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError
from ansible_collections.kubestead.platform.plugins.module_utils._directory import dn
from ansible_collections.kubestead.platform.plugins.module_utils._directory.answers import cut_short, no_base, refusal
from ansible_collections.kubestead.platform.plugins.module_utils._directory.compare import canonical
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    Add,
    Change,
    Delete,
    Entry,
    Modify,
    Op,
    Rename,
    SetPassword,
)

PPOLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
_DEEDS = {Add: "add", Modify: "change", Delete: "remove", Rename: "rename", SetPassword: "set the password of"}
_NEEDS_MEMBER = {"groupofnames": "member", "groupofuniquenames": "uniquemember"}


class FakeDirectory:
    """Entries by normalised DN. ``before`` is called with every write, so that a test can play another run."""

    protects_secrets = True

    def __init__(self, suffix: str = "dc=example,dc=org", *, size_limit: Optional[int] = None) -> None:
        self.suffix = suffix
        self.size_limit = size_limit
        self.writes: list[Op] = []
        self.before: Callable[[Op], None] = lambda op: None
        self.passwords: dict[str, str] = {}
        self._entries: dict[str, tuple[str, dict[str, list[str]]]] = {}
        self.put(suffix, objectClass=["domain"])
        for ou in ("people", "groups", "policies"):
            self.put(f"ou={ou},{suffix}", objectClass=["organizationalUnit"], ou=[ou])
        self.put(f"cn=default,ou=policies,{suffix}", objectClass=["device", "pwdPolicy"], pwdLockout=["TRUE"])

    def put(self, where: str, **attributes: list[str]) -> None:
        """An entry that was there before."""
        self._entries[dn.normal(where)] = (where, {name.lower(): list(values) for name, values in attributes.items()})

    def attributes_of(self, where: str) -> Optional[Mapping[str, list[str]]]:
        found = self._entries.get(dn.normal(where))
        return found[1] if found else None

    def identity(self) -> str:
        return f"cn=manager,{self.suffix}"

    def may_read(self, where: str, attribute: str) -> bool:
        return False

    def search(self, base: str, filter_: str, attributes: Sequence[str], *, below: bool = True) -> tuple[Entry, ...]:
        if not base:
            return (Entry("", {"namingcontexts": (self.suffix,), "supportedcontrol": (PPOLICY,)}),)
        if dn.normal(base) not in self._entries:
            raise no_base(base, "memory")
        matches = _filter(filter_)
        names = {name.lower() for name in attributes}
        found = [
            Entry(where, {name: tuple(values) for name, values in held.items() if name in names and values})
            for normal, (where, held) in self._entries.items()
            if (dn.within(normal, base) if below else normal == dn.normal(base)) and matches(held)
        ]
        if self.size_limit is not None and len(found) > self.size_limit:
            raise cut_short(base, self.size_limit, 4, "sizeLimitExceeded", "")
        return tuple(found)

    def apply(self, ops: Sequence[Op], *, stop_on_error: bool) -> Iterator[tuple[int, Optional[CollError]]]:
        for index, op in enumerate(ops):
            self.before(op)
            answer = self._one(op)
            if answer is None:
                self.writes.append(op)
                yield index, None
            else:
                yield index, refusal(f"{_DEEDS[type(op)]} {op.dn}", *answer, "")
                if stop_on_error:
                    return

    def _one(self, op: Op) -> Optional[tuple[int, str]]:
        where = dn.normal(op.dn)
        if isinstance(op, Add):
            return self._add(op, where)
        if where not in self._entries:
            return 32, "noSuchObject"
        if isinstance(op, Modify):
            return self._modify(op, where)
        if isinstance(op, Rename):
            return self._rename(op, where)
        if isinstance(op, SetPassword):
            held = self._entries[where][1]
            self.passwords[where] = op.password
            held["userpassword"] = ["{SHA256}" + hashlib.sha256(op.password.encode()).hexdigest()]
            held["pwdchangedtime"] = ["20260101000000Z"]
            held.pop("pwdaccountlockedtime", None)
            return None
        if any(name.endswith(f",{where}") for name in self._entries):
            return 66, "notAllowedOnNonLeaf"
        del self._entries[where]
        return None

    def _add(self, op: Add, where: str) -> Optional[tuple[int, str]]:
        if where in self._entries:
            return 68, "entryAlreadyExists"
        if where[len(where.partition("=")[0]) + len(dn.escape_value(dn.first_value(where))) + 2 :] not in self._entries:
            return 32, "noSuchObject"
        held = {name.lower(): list(values) for name, values in op.attributes.items()}
        problem = _problem(held)
        if problem is None:
            self._entries[where] = (op.dn, held)
        return problem

    def _rename(self, op: Rename, where: str) -> Optional[tuple[int, str]]:
        target = f"{op.rdn},{op.parent or dn.parent(op.dn)}"
        if dn.normal(dn.parent(target)) not in self._entries:
            return 32, "noSuchObject"
        if dn.normal(target) in self._entries:
            return 68, "entryAlreadyExists"
        _old, held = self._entries.pop(where)
        name = dn.naming_attributes(op.rdn)[0]
        kept = [value for value in held[name] if canonical(name, value) != canonical(name, dn.first_value(op.dn))]
        held[name] = [dn.first_value(op.rdn), *kept]
        self._entries[dn.normal(target)] = (target, held)
        return None

    def _modify(self, op: Modify, where: str) -> Optional[tuple[int, str]]:
        held = {name: list(values) for name, values in self._entries[where][1].items()}
        for change in op.changes:
            problem = _change(held, change)
            if problem:
                return problem
        problem = _problem(held)
        if problem is None:
            self._entries[where] = (self._entries[where][0], held)
        return problem


def _change(held: dict[str, list[str]], change: Change) -> Optional[tuple[int, str]]:
    name = change.attribute.lower()
    present = {canonical(name, value) for value in held.get(name, [])}
    given = {canonical(name, value) for value in change.values}
    if change.how == "replace":
        held[name] = list(change.values)
    elif change.how == "add":
        if present & given:
            return 20, "attributeOrValueExists"
        held[name] = [*held.get(name, []), *change.values]
    else:
        if not given <= present:
            return 16, "noSuchAttribute"
        held[name] = [value for value in held[name] if canonical(name, value) not in given]
    return None


def _problem(held: Mapping[str, list[str]]) -> Optional[tuple[int, str]]:
    if any(not value.isascii() for name in ("mail", "homedirectory") for value in held.get(name, [])):
        return 21, "invalidAttributeSyntax"
    for name in held.get("objectclass", []):
        attribute = _NEEDS_MEMBER.get(name.casefold())
        if attribute and not held.get(attribute):
            return 65, "objectClassViolation"
    return None


Match = Callable[[Mapping[str, list[str]]], bool]


def _filter(text: str) -> Match:
    match, rest = _parse(text)
    assert not rest, f"left over in the filter: {rest}"
    return match


def _parse(text: str) -> tuple[Match, str]:
    assert text.startswith("("), text
    if text[1] in "&|":
        combine = all if text[1] == "&" else any
        parts, rest = [], text[2:]
        while not rest.startswith(")"):
            part, rest = _parse(rest)
            parts.append(part)
        return (lambda held: combine(part(held) for part in parts)), rest[1:]
    end = text.index(")")
    name, _equals, value = text[1:end].partition("=")
    if value == "*":
        return (lambda held: bool(held.get(name.lower()))), text[end + 1 :]
    plain = re.sub(r"((?:\\[0-9a-fA-F]{2})+)", lambda m: bytes.fromhex(m.group(1).replace("\\", "")).decode(), value)
    wanted = canonical(name, plain)
    return (lambda held: wanted in {canonical(name, one) for one in held.get(name.lower(), [])}), text[end + 1 :]
