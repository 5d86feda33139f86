# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When values are the same, by the matching rules of the attributes this collection writes. Order never counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Callable

from . import dn
from .schema import Schema, base_name

_ANY = Schema()
_SPACES = re.compile(r"\s+")


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", _spaced(value)).casefold()


def _spaced(value: str) -> str:
    return _SPACES.sub(" ", value).strip()


def _squeezed(value: str) -> str:
    return value.replace(" ", "")


def _telephone(value: str) -> str:
    return _squeezed(value).replace("-", "").casefold()


def _number(value: str) -> str:
    return str(int(value)) if value.lstrip("-").isdigit() else value


def ssh_key(value: str) -> str:
    """A public key without its comment and its spacing; options before the key type stay part of it."""
    parts = value.split()
    for index, part in enumerate(parts[:-1]):
        if part.startswith(("ssh-", "ecdsa-", "sk-")):
            return " ".join(parts[: index + 2])
    return " ".join(parts)


def _member(value: str) -> str:
    return dn.normal(value) if dn.is_dn(value) else value


_RULES: dict[str, Callable[[str], str]] = {
    "uid": _folded,
    "cn": _folded,
    "sn": _folded,
    "givenname": _folded,
    "displayname": _folded,
    "mail": _folded,
    "objectclass": _folded,
    "uidnumber": _number,
    "gidnumber": _number,
    "homedirectory": str,
    "loginshell": str,
    "memberuid": str,
    "member": _member,
    "uniquemember": _member,
}
# Whatever a server's schema says: the comment of a key is no part of the key.
_ALWAYS = {"sshpublickey": ssh_key, "nssshpublickey": ssh_key}
_BY_MATCHING_RULE: dict[str, Callable[[str], str]] = {
    "caseignorematch": _folded,
    "caseignoreia5match": _folded,
    "caseignorelistmatch": _folded,
    "caseexactmatch": _spaced,
    "caseexactia5match": _spaced,
    "objectidentifiermatch": _folded,
    "integermatch": _number,
    "booleanmatch": _folded,
    "numericstringmatch": _squeezed,
    "telephonenumbermatch": _telephone,
    "distinguishednamematch": _member,
    "uniquemembermatch": _member,
}


def canonical(attribute: str, value: str, schema: Schema = _ANY) -> str:
    """The spelling that stands for all values the directory holds to be equal to this one."""
    return _rule(attribute, schema)(value)


def same(attribute: str, some: Iterable[str], others: Iterable[str], schema: Schema = _ANY) -> bool:
    """Whether two lists hold the same values."""
    rule = _rule(attribute, schema)
    return {rule(value) for value in some} == {rule(value) for value in others}


def missing(attribute: str, wanted: Iterable[str], present: Iterable[str], schema: Schema = _ANY) -> tuple[str, ...]:
    """The wanted values that are not present, each once, in their order."""
    rule = _rule(attribute, schema)
    known = {rule(value) for value in present}
    found = []
    for value in wanted:
        key = rule(value)
        if key not in known:
            known.add(key)
            found.append(value)
    return tuple(found)


def _rule(attribute: str, schema: Schema) -> Callable[[str], str]:
    """The rule of the server's schema; where it does not say, what the attribute is known for."""
    name = base_name(attribute)
    if name in _ALWAYS:
        return _ALWAYS[name]
    kind = schema.attribute(name) if schema.known and name not in _RULES else None
    if kind is None:
        return _RULES.get(name, str)
    if kind.equality in _BY_MATCHING_RULE:
        return _BY_MATCHING_RULE[kind.equality]
    return _member if kind.holds_dns else str
