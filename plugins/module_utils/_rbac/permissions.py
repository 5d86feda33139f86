# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules as sets of atomic permissions: one verb on one resource (of one name), or on one path.

The relation ``covers`` is the API server's own: what a rule with one verb and one resource allows. A request is an atom
too, so "is this allowed" and "does this role hold all of that role" are the same question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._core.errors import BadInput

EVERY_NAME = "/"  # no object's name holds a slash
RBAC_GROUP = "rbac.authorization.k8s.io"
_RESOURCE_KEYS = ("apiGroups", "resources")
_KEYS = ("verbs", *_RESOURCE_KEYS, "resourceNames", "nonResourceURLs")


class Atom(NamedTuple):
    """One permission, or one request. As a request, ``name`` is the object's, or empty for lists and creations."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = EVERY_NAME
    path: str = ""

    def words(self) -> str:
        """Such as ``get pods/log``, ``update deployments.apps 'web'`` or ``get /healthz``."""
        if self.path:
            return f"{self.verb} {self.path}"
        group = "" if self.group == "" else f".{self.group}"
        name = "" if self.name in (EVERY_NAME, "") else f" {self.name!r}"
        return f"{self.verb} {self.resource}{group}{name}"


EVERYTHING = Atom("*", "*", "*")


def atoms_of(rules: Iterable[Mapping[str, Any]]) -> frozenset[Atom]:
    """The permissions of a role's ``rules``, as Kubernetes writes them."""
    found: set[Atom] = set()
    for rule in rules:
        for verb in rule.get("verbs") or ():
            found.update(Atom(verb, path=_path(str(path))) for path in rule.get("nonResourceURLs") or ())
            found.update(
                Atom(verb, group, resource, name)
                for group in rule.get("apiGroups") or ()
                for resource in rule.get("resources") or ()
                for name in rule.get("resourceNames") or (EVERY_NAME,)
            )
    return frozenset(found)


def _path(text: str) -> str:
    return f"{text.rstrip('*')}*" if text.endswith("*") else text


def covers(one: Atom, other: Atom) -> bool:
    """Whether whoever holds ``one`` may do all that ``other`` allows."""
    if one.verb not in ("*", other.verb):
        return False
    if one.path or other.path:
        return bool(one.path and other.path) and _path_covers(one.path, other.path)
    return (
        one.group in ("*", other.group)
        and _resource_covers(one.resource, other.resource)
        and one.name in (EVERY_NAME, other.name)
    )


def _path_covers(one: str, other: str) -> bool:
    return one == other or (one.endswith("*") and other.startswith(one.rstrip("*")))


def _resource_covers(one: str, other: str) -> bool:
    if one in ("*", other):
        return True
    return one.startswith("*/") and other.partition("/")[2] == one[2:]


class Permissions:
    """A set of permissions that answers quickly."""

    def __init__(self, atoms: Iterable[Atom]) -> None:
        self.atoms = frozenset(atoms)
        self._wide = tuple(atom for atom in self.atoms if _is_wide(atom))

    @classmethod
    def of(cls, rules: Iterable[Mapping[str, Any]]) -> Permissions:
        """Of a role's rules."""
        return cls(atoms_of(rules))

    def __or__(self, other: Permissions) -> Permissions:
        return Permissions(self.atoms | other.atoms)

    def allows(self, atom: Atom) -> bool:
        """Whether a request, or another permission, is covered."""
        if atom in self.atoms or (not atom.path and atom._replace(name=EVERY_NAME) in self.atoms):
            return True
        return any(covers(one, atom) for one in self._wide)

    def lacking(self, other: Permissions) -> tuple[Atom, ...]:
        """The permissions of the other set that this one does not cover, in order."""
        return tuple(sorted(atom for atom in other.atoms if not self.allows(atom)))

    def canonical(self) -> tuple[Atom, ...]:
        """The fewest permissions that allow the same; equal for rules that mean the same, however they are grouped."""
        return tuple(sorted(atom for atom in self.atoms if not self._is_covered_by_another(atom)))

    def _is_covered_by_another(self, atom: Atom) -> bool:
        if not atom.path and atom.name != EVERY_NAME and atom._replace(name=EVERY_NAME) in self.atoms:
            return True
        return any(one != atom and covers(one, atom) for one in self._wide)


def _is_wide(atom: Atom) -> bool:
    return atom.verb == "*" or atom.group == "*" or atom.resource.startswith("*") or atom.path.endswith("*")


def same(one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two lists of rules allow the same."""
    return Permissions.of(one).canonical() == Permissions.of(other).canonical()


def rules_of(atoms: Iterable[Atom]) -> list[dict[str, Any]]:
    """Few rules, in a fixed order, that allow exactly these permissions."""
    verbs: dict[tuple[str, str, str, str], set[str]] = {}
    for atom in atoms:
        verbs.setdefault((atom.path, atom.group, atom.resource, atom.name), set()).add(atom.verb)
    things: dict[tuple[bool, str, str, tuple[str, ...]], list[str]] = {}
    for (path, group, resource, name), allowed in sorted(verbs.items()):
        things.setdefault((bool(path), group, name, tuple(sorted(allowed))), []).append(path or resource)
    return [_rule(*key, found) for key, found in sorted(things.items())]


def _rule(is_path: bool, group: str, name: str, verbs: tuple[str, ...], things: list[str]) -> dict[str, Any]:
    if is_path:
        return {"nonResourceURLs": things, "verbs": list(verbs)}
    rule: dict[str, Any] = {"apiGroups": [group], "resources": things, "verbs": list(verbs)}
    return rule if name == EVERY_NAME else {**rule, "resourceNames": [name]}


def rules_from(raw: object, where: str) -> tuple[Atom, ...]:
    """The permissions of rules that a person wrote, checked; raises BadInput that names the rule and the key."""
    if not isinstance(raw, list) or not raw:
        raise BadInput(f"{where}: rules is not a list of rules.", hint="Write them as in a Role of Kubernetes.")
    return Permissions.of([_checked(rule, f"{where}: rules[{number}]") for number, rule in enumerate(raw)]).canonical()


def _checked(rule: object, where: str) -> dict[str, list[str]]:
    if not isinstance(rule, Mapping):
        raise BadInput(f"{where} is not a mapping.", hint="Write it as in a Role of Kubernetes.")
    unknown = [str(key) for key in rule if key not in _KEYS]
    if unknown:
        raise BadInput(f"{where} has the unknown key {unknown[0][:80]!r}.", hint=f"A rule has {', '.join(_KEYS)}.")
    found = {key: _texts(rule[key], f"{where}: {key}") for key in _KEYS if rule.get(key) is not None}
    if not found.get("verbs"):
        raise BadInput(f"{where} has no verbs.")
    about_paths = bool(found.get("nonResourceURLs"))
    about_resources = all(found.get(key) for key in _RESOURCE_KEYS)
    if about_paths == about_resources or (about_paths and len(found) > 2):
        raise BadInput(f"{where} needs either apiGroups and resources, or nonResourceURLs.")
    return found


def _texts(raw: object, where: str) -> list[str]:
    if not isinstance(raw, list) or not all(isinstance(text, str) for text in raw):
        raise BadInput(f"{where} is not a list of texts.", hint="Write a list, such as [get, list].")
    for text in raw:
        if (not text and not where.endswith("apiGroups")) or len(text) > 253 or any(mark.isspace() for mark in text):
            raise BadInput(f"{where}: {text[:80]!r} cannot be meant.", hint="The core group is '' in apiGroups only.")
    return [str(text) for text in raw]
