# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person as the list names them, checked once: everything made for people starts from these values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Optional, Union

from .._core.errors import BadInput
from .._core.names import check_distinct, check_principal
from .._core.window import ALWAYS, Window, moment

STATES = ("present", "disabled", "absent")
SCOPES = ("namespaces", "cluster")
NEVER = "never"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ROLE = re.compile(r"[^\s/%]{1,253}")


@dataclass(frozen=True)
class Access:
    """One right: a ClusterRole, in some namespaces or in the whole cluster, perhaps from and until a moment."""

    role: str
    scope: str
    namespaces: tuple[str, ...]
    not_before: Optional[int] = None
    expires: Optional[int] = None

    @property
    def window(self) -> Window:
        """When it holds; never beyond the person's own window."""
        return Window(self.not_before, self.expires)


@dataclass(frozen=True)
class Person:
    """One person. ``name`` is the login, the certificate's name and the subject of all rights.

    ``not_before`` and ``expires`` bound all of it; ``never_expires`` says that there is expressly no end.
    """

    name: str
    full_name: str
    mail: tuple[str, ...]
    groups: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    password_file: Optional[str]
    generate_password: bool
    access: tuple[Access, ...]
    state: str
    not_before: Optional[int] = None
    expires: Optional[int] = None
    never_expires: bool = False

    @property
    def window(self) -> Window:
        """When the person may do anything at all."""
        return Window(self.not_before, self.expires)

    @property
    def first_end(self) -> Optional[int]:
        """The earliest end of the person and of all rights."""
        return min((end for end in (self.expires, *(one.expires for one in self.access)) if end is not None), default=None)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces the person may work in, in the order they are named, each once."""
        return tuple(dict.fromkeys(name for access in self.access for name in access.namespaces))


_PERSON_KEYS = tuple(field.name for field in fields(Person) if field.name != "never_expires")
_ACCESS_KEYS = tuple(field.name for field in fields(Access))


def people_from(raw: object) -> tuple[Person, ...]:
    """The people of a list as the user wrote it; raises BadInput that names the person and the key."""
    if not isinstance(raw, list):
        raise BadInput("The list of people is not a list.", hint="Write one element per person, each with a name.")
    people = tuple(_person(entry, number) for number, entry in enumerate(raw, start=1))
    check_distinct((person.name for person in people), "Person")
    return people


def _person(entry: object, number: int) -> Person:
    if not isinstance(entry, Mapping):
        raise BadInput(f"Element {number} of the list of people is not a mapping.", hint="Each person needs at least a name.")
    if not isinstance(entry.get("name"), str):
        raise BadInput(f"Element {number} of the list of people has no name that is text.", hint="Put the name in quotes.")
    name = check_principal(entry["name"], "Person")
    read = _Reader(f"Person {name!r}", entry)
    read.only(_PERSON_KEYS)
    window = read.window()
    person = Person(
        name=name,
        full_name=read.text("full_name", name) or name,
        mail=read.texts("mail", one_allowed=True),
        groups=read.texts("groups"),
        ssh_keys=read.texts("ssh_keys"),
        password_file=read.text("password_file", None),
        generate_password=read.flag("generate_password"),
        access=tuple(_access(name, element, window) for element in read.elements("access")),
        state=read.choice("state", STATES),
        not_before=window.start,
        expires=window.end,
        never_expires=read.never(),
    )
    for group in person.groups:
        check_principal(group, f"Person {name!r}, group")
    check_distinct(person.groups, f"Person {name!r}: group")
    _check_access(person)
    if person.password_file and person.generate_password:
        raise BadInput(f"Person {name!r} has both password_file and generate_password.", hint="Choose one.")
    return person


def _access(person: str, element: object, around: Window) -> Access:
    if not isinstance(element, Mapping):
        raise BadInput(f"Person {person!r}: an element of access is not a mapping.", hint="Each needs a role and namespaces.")
    read = _Reader(f"Person {person!r}, access", element)
    read.only(_ACCESS_KEYS)
    role = read.text("role", None)
    if not role or not _ROLE.fullmatch(role):
        raise BadInput(f"Person {person!r}: an element of access has no usable role.", hint="Name a ClusterRole, such as edit.")
    window = read.window(around)
    access = Access(role, read.choice("scope", SCOPES), read.texts("namespaces"), window.start, window.end)
    if access.scope == "cluster" and access.namespaces:
        raise BadInput(f"Person {person!r}: access {role!r} has scope cluster and namespaces.", hint="Choose one.")
    if access.scope == "namespaces" and not access.namespaces:
        raise BadInput(
            f"Person {person!r}: access {role!r} names no namespace.", hint="Name namespaces, or set scope: cluster."
        )
    for namespace in access.namespaces:
        if not _NAMESPACE.fullmatch(namespace):
            raise BadInput(
                f"Person {person!r}: {namespace[:80]!r} cannot be a namespace.", hint="Use a-z, 0-9 and '-', at most 63."
            )
    return access


def _check_access(person: Person) -> None:
    rights = [f"{access.role} in {name}" for access in person.access for name in access.namespaces or ("the cluster",)]
    check_distinct(rights, f"Person {person.name!r}: access")


class _Reader:
    """Reads typed values out of one mapping; every complaint names the owner and the key. None counts as left out."""

    def __init__(self, owner: str, entry: Mapping[Any, Any]) -> None:
        self._owner = owner
        self._entry = entry

    def only(self, known: Sequence[str]) -> None:
        for key in self._entry:
            if key not in known:
                raise BadInput(f"{self._owner} has an unknown key {key!r}.", hint=f"Known are {', '.join(known)}.")

    def text(self, key: str, default: Optional[str]) -> Optional[str]:
        value = self._entry.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(key, "is not text", "Put it in quotes.")
        return value

    def texts(self, key: str, *, one_allowed: bool = False) -> tuple[str, ...]:
        value = self._entry.get(key)
        found: Union[Iterable[Any], str] = [] if value is None else [value] if one_allowed and isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(element, str) and element for element in found):
            raise self._wrong(key, "is not a list of texts", "Write a YAML list; put odd values in quotes.")
        return tuple(found)

    def elements(self, key: str) -> list[Any]:
        value = self._entry.get(key)
        if value is not None and not isinstance(value, list):
            raise self._wrong(key, "is not a list", "Write a YAML list.")
        return value or []

    def flag(self, key: str) -> bool:
        value = self._entry.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "is neither true nor false", "Write true or false without quotes.")
        return bool(value)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.text(key, choices[0])
        if value not in choices:
            raise self._wrong(key, f"is {value!r}", f"Choose one of {', '.join(choices)}.")
        return str(value)

    def never(self) -> bool:
        """Whether the entry says that it has no end."""
        return self._entry.get("expires") == NEVER

    def window(self, around: Window = ALWAYS) -> Window:
        """From when until when; within ``around`` at most."""
        start, end = self._moment("not_before"), None if self.never() else self._moment("expires")
        starts = [one for one in (start, around.start) if one is not None]
        ends = [one for one in (end, around.end) if one is not None]
        found = Window(max(starts, default=None), min(ends, default=None))
        if found.start is not None and found.end is not None and found.start >= found.end:
            raise BadInput(f"{self._owner} ends before it begins.", hint="expires has to be later than not_before.")
        return found

    def _moment(self, key: str) -> Optional[int]:
        value = self._entry.get(key)
        if value is None:
            return None
        # Without quotes YAML makes a date of it, whose text is the same.
        if not isinstance(value, (str, date)):
            raise self._wrong(key, "is neither a date nor a moment", "Write 2027-01-31 or 2027-01-31T18:00:00Z.")
        return moment(value, f"{self._owner}: {key}", whole_day=key == "expires")

    def _wrong(self, key: str, what: str, hint: str) -> BadInput:
        return BadInput(f"{self._owner}: {key} {what}.", hint=hint)
