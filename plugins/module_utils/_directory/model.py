# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of this domain: what is wanted, what the directory holds, and what is written to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional, Union

from .._core.errors import CollError
from .schema import Schema

Values = tuple[str, ...]
Attributes = Mapping[str, Values]

POSIX_GROUP = "posixGroup"
GROUP_OF_NAMES = "groupOfNames"
GROUP_OF_UNIQUE_NAMES = "groupOfUniqueNames"

# The attribute that holds a group's members; only posixGroup names them by uid, the others by DN.
MEMBER_ATTRIBUTE = {POSIX_GROUP: "memberUid", GROUP_OF_NAMES: "member", GROUP_OF_UNIQUE_NAMES: "uniqueMember"}

# The value that the password policy reads as "locked until an administrator says otherwise".
LOCKED_FOR_GOOD = "000001010000Z"


@dataclass(frozen=True)
class Settings:
    """What holds for all entries of a task."""

    user_base: str
    group_base: str
    posix: bool
    group_kind: str
    id_range: tuple[int, int]
    default_gid: int
    update_password: str  # on_create, when_changed or always
    max_deletes: int
    password_directory: str = ""
    password_secret: str = ""  # namespace/{name}:password, where generated passwords go instead
    archive_base: str = ""  # where people who left are kept; empty: nowhere
    archives: bool = False  # whether who leaves is moved there; else deleted
    placeholder: str = ""  # the member of a group of DNs that has none; empty: such a group is refused


@dataclass(frozen=True)
class Edits:
    """Attributes beside the typed ones: all values there are to be, values to add, and values to remove."""

    exact: Attributes = field(default_factory=dict)
    extra: Attributes = field(default_factory=dict)
    unwanted: Attributes = field(default_factory=dict)

    @property
    def names(self) -> Values:
        """All attributes that are named."""
        return tuple(dict.fromkeys((*self.exact, *self.extra, *self.unwanted)))


@dataclass(frozen=True)
class Account:
    """One account as the task wants it. ``given`` holds the attributes it names; an empty tuple means none at all.

    ``expires`` is the first day without access, counted from 1970-01-01; 0 stands for never.
    """

    uid: str
    present: bool
    given: Attributes
    groups: Values = ()
    enabled: Optional[bool] = None
    credential_from: str = ""  # password, password_hash, password_file or generate_password
    edits: Edits = field(default_factory=Edits)
    expires: Optional[int] = None
    must_change: bool = False
    renamed_from: str = ""
    parent: str = ""  # the DN it is to be directly below


@dataclass(frozen=True)
class Group:
    """One group as the task wants it. ``None`` for a list of members means that the task doesn't say."""

    cn: str
    present: bool
    kind: str = ""
    gid_number: Optional[int] = None
    members: Optional[Values] = None
    join: Values = ()
    leave: Values = ()


@dataclass(frozen=True)
class Wanted:
    """The whole task. ``secrets`` are passwords and hashes by uid; they are in no plan and in no text of this value."""

    settings: Settings
    accounts: tuple[Account, ...]
    groups: tuple[Group, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    password_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One entry of the directory; attribute names are lower case."""

    dn: str
    attributes: Attributes

    def values_of(self, name: str) -> Values:
        """The values of an attribute; none when it is absent or may not be read."""
        return self.attributes.get(name.lower(), ())


@dataclass(frozen=True)
class Server:
    """How the server does what servers do differently.

    ``lock`` is ``ppolicy`` (pwdAccountLockedTime), ``nsaccountlock`` or ``shadow`` (shadowExpire alone).
    ``locking`` and ``must_change`` say, per policy DN, whether a lock and a demanded change of the password have any effect.
    """

    lock: str = "shadow"
    password_policy: bool = False  # whether it keeps the dates of passwords
    locking: Mapping[str, bool] = field(default_factory=dict)
    must_change: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the directory holds of the things named, and what else the decision needs to know.

    ``identity`` is the DN this task binds as; ``refused`` holds accounts whose password is unusable; ``passwords`` says, per
    uid, whether the wanted password is the ``same``, ``other`` or ``unverifiable``.
    """

    accounts: tuple[Entry, ...] = ()
    groups: tuple[Entry, ...] = ()
    archived: tuple[Entry, ...] = ()
    identity: str = ""
    server: Server = field(default_factory=Server)
    schema: Schema = field(default_factory=Schema)
    refused: Mapping[str, CollError] = field(default_factory=dict)
    passwords: Mapping[str, str] = field(default_factory=dict)
    shows_passwords: bool = False  # whether an account that shows no password has none


@dataclass(frozen=True)
class Add:
    """A new entry."""

    dn: str
    attributes: Attributes = field(repr=False)


@dataclass(frozen=True)
class Change:
    """``how`` is add, delete or replace."""

    how: str
    attribute: str
    values: Values = field(repr=False)


@dataclass(frozen=True)
class Modify:
    """Changes of one entry that the server makes together or not at all."""

    dn: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Delete:
    """The end of an entry."""

    dn: str


@dataclass(frozen=True)
class Rename:
    """A new first part of the DN, and with ``parent`` another place. The old value of the naming attribute goes."""

    dn: str
    rdn: str
    parent: str = ""


@dataclass(frozen=True)
class SetPassword:
    """The modify-password operation: the server hashes."""

    dn: str
    password: str = field(repr=False)


Op = Union[Add, Modify, Delete, Rename, SetPassword]
