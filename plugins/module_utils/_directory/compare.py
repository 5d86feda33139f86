# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When values are the same, by the matching rules of the attributes this collection writes. Order never counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Callable

from . import dn

_SPACES = re.compile(r"\s+")


def _folded(value: str) -> str:
    return _SPACES.sub(" ", value).strip().casefold()


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
    "sshpublickey": ssh_key,
    "member": _member,
    "uniquemember": _member,
}


def canonical(attribute: str, value: str) -> str:
    """The spelling that stands for all values the directory holds to be equal to this one."""
    rule = _RULES.get(attribute.lower())
    return rule(value) if rule else value


def same(attribute: str, some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether two lists hold the same values."""
    return {canonical(attribute, value) for value in some} == {canonical(attribute, value) for value in others}


def missing(attribute: str, wanted: Iterable[str], present: Iterable[str]) -> tuple[str, ...]:
    """The wanted values that are not present, each once, in their order."""
    known = {canonical(attribute, value) for value in present}
    found = []
    for value in wanted:
        key = canonical(attribute, value)
        if key not in known:
            known.add(key)
            found.append(value)
    return tuple(found)
