# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server's own schema says about attributes and object classes. Where it can't be read, nothing is held against a task.

A server publishes thousands of definitions; they are indexed by name, and taken apart only when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

_NAMES = re.compile(r"\bNAME\s+(?:'([^']*)'|\(([^)]*)\))")
_QUOTED = re.compile(r"'([^']*)'")
_WORD = r"\b{}\s+(?:\(\s*([^)]*?)\s*\)|([^\s)]+))"
_DN_SYNTAXES = ("1.3.6.1.4.1.1466.115.121.1.12", "1.3.6.1.4.1.1466.115.121.1.34")
# Object classes that may stand for a group of numbers where posixGroup alone is no complete entry.
_STRUCTURAL = ("namedObject", "groupOfMembers", "organizationalRole", "device")


@dataclass(frozen=True)
class AttributeType:
    """One attribute. ``equality`` is the matching rule, also when it comes from the attribute it is derived from."""

    name: str
    equality: str
    syntax: str
    single: bool
    writable: bool
    operational: bool  # belongs to the server's own work; an entry may have it whatever its classes

    @property
    def holds_dns(self) -> bool:
        """Whether its values are DNs."""
        return self.syntax in _DN_SYNTAXES


@dataclass(frozen=True)
class ObjectClass:
    """One object class with what it demands and allows, its superiors' included."""

    name: str
    kind: str  # structural, auxiliary or abstract
    must: frozenset[str]
    may: frozenset[str]


@dataclass(frozen=True)
class Schema:
    """Definitions by lower-case name. Empty when the server does not show its schema."""

    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    classes: Mapping[str, str] = field(default_factory=dict, repr=False)
    _attributes: dict[str, Optional[AttributeType]] = field(default_factory=dict, repr=False, compare=False)
    _classes: dict[str, Optional[ObjectClass]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return bool(self.attributes)

    def has_attribute(self, name: str) -> bool:
        """Whether the server knows an attribute; without a schema it is taken to."""
        return not self.known or base_name(name) in self.attributes

    def has_class(self, name: str) -> bool:
        """The same for an object class."""
        return not self.known or name.lower() in self.classes

    def attribute(self, name: str) -> Optional[AttributeType]:
        """What is known of an attribute."""
        key = base_name(name)
        if key not in self._attributes:
            self._attributes[key] = self._attribute(key)
        return self._attributes[key]

    def object_class(self, name: str) -> Optional[ObjectClass]:
        """What is known of an object class."""
        key = name.lower()
        if key not in self._classes:
            self._classes[key] = self._object_class(key)
        return self._classes[key]

    def _attribute(self, key: str) -> Optional[AttributeType]:
        text = self.attributes.get(key)
        if text is None:
            return None
        superior = self.attribute(_word(text, "SUP")) if _word(text, "SUP") else None
        return AttributeType(
            name=_names(text)[0],
            equality=(_word(text, "EQUALITY") or (superior.equality if superior else "")).lower(),
            syntax=(_word(text, "SYNTAX") or (superior.syntax if superior else "")).partition("{")[0],
            single="SINGLE-VALUE" in text,
            writable="NO-USER-MODIFICATION" not in text,
            operational="USAGE" in text and "userApplications" not in text,
        )

    def _object_class(self, key: str) -> Optional[ObjectClass]:
        text = self.classes.get(key)
        if text is None:
            return None
        above = [found for sup in _list(text, "SUP") if sup != "top" for found in [self.object_class(sup)] if found]
        words = text.split()
        return ObjectClass(
            name=_names(text)[0],
            kind="auxiliary" if "AUXILIARY" in words else "abstract" if "ABSTRACT" in words else "structural",
            must=frozenset(_list(text, "MUST")).union(*(one.must for one in above)),
            may=frozenset(_list(text, "MAY")).union(*(one.may for one in above)),
        )

    def allowed_by(self, classes: Iterable[str]) -> frozenset[str]:
        """The attributes, in lower case, that an entry of these classes may have."""
        found = [one for one in map(self.object_class, classes) if one]
        return frozenset().union(*(one.must | one.may for one in found))

    def auxiliaries_for(self, attribute: str) -> tuple[str, ...]:
        """The auxiliary classes that allow an attribute."""
        name = base_name(attribute)
        candidates = (self.object_class(key) for key, text in self.classes.items() if "AUXILIARY" in text)
        return tuple(one.name for one in candidates if one and name in one.must | one.may)

    def needs_member(self, kind: str, attribute: str) -> bool:
        """Whether a group of this class must always have a member."""
        found = self.object_class(kind)
        return attribute.lower() in found.must if found else kind.lower() != "posixgroup"

    def classes_of_group(self, kind: str) -> tuple[str, ...]:
        """The classes of a new group: its kind, and a structural one where that is only auxiliary."""
        found = self.object_class(kind)
        if found is None or found.kind != "auxiliary":
            return (kind,)
        return (kind, *[name for name in _STRUCTURAL if name.lower() in self.classes][:1])

    @property
    def ssh(self) -> tuple[str, str]:
        """Attribute and object class for SSH keys: the usual ones, or those that 389 Directory Server ships."""
        if self.known and "sshpublickey" not in self.attributes and "nssshpublickey" in self.attributes:
            return "nsSshPublicKey", "nsAccount"
        return "sshPublicKey", "ldapPublicKey"


def schema_from(attributes: Iterable[str], classes: Iterable[str]) -> Schema:
    """The schema out of the values of a subschema entry."""
    return Schema(_by_name(attributes), _by_name(classes))


def base_name(attribute: str) -> str:
    """An attribute's name in lower case, without options such as ``;binary``."""
    return attribute.partition(";")[0].lower()


def _by_name(definitions: Iterable[str]) -> dict[str, str]:
    return {name.lower(): text for text in definitions for name in _names(text)}


def _names(definition: str) -> tuple[str, ...]:
    match = _NAMES.search(definition)
    if not match:
        return ()
    return (match.group(1),) if match.group(1) else tuple(_QUOTED.findall(match.group(2) or ""))


def _bare(definition: str) -> str:
    """Without quoted text, in which the keywords may occur."""
    return _QUOTED.sub("''", definition)


def _list(definition: str, word: str) -> tuple[str, ...]:
    match = re.search(_WORD.format(word), _bare(definition))
    text = (match.group(1) or match.group(2) or "") if match else ""
    return tuple(part.strip().lower() for part in text.split("$") if part.strip())


def _word(definition: str, word: str) -> str:
    found = _list(definition, word)
    return found[0] if found else ""
