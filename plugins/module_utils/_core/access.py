# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of people's access. The list of people, the directory, the certificates and the cluster each fill in their
part, and the report puts the parts together. Moments are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .window import rfc3339

EVERYWHERE = ""  # the namespace of a right in the whole cluster
EVERYBODY = ("system:authenticated", "system:unauthenticated")


@dataclass(frozen=True)
class Listed:
    """A person as the list has them; ``state`` is present, disabled or absent."""

    name: str
    full_name: str
    state: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """One right that the list gives to a person."""

    name: str
    role: str
    namespace: str


@dataclass(frozen=True)
class Account:
    """An account in the directory. ``expires`` is the first day without access, empty when there is none."""

    name: str
    dn: str
    full_name: str
    locked: bool
    expires: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Credential:
    """A certificate that was issued to somebody. ``found_in``: file, secret, request or ledger."""

    holder: str
    groups: tuple[str, ...]
    not_before: int
    not_after: int
    serial: str
    credential_id: str
    found_in: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class OpenRequest:
    """A request for a certificate that was not answered yet; ``standing`` is pending or approved."""

    name: str
    holder: str
    groups: tuple[str, ...]
    standing: str


@dataclass(frozen=True)
class Right:
    """One subject of one binding. ``kind`` is User or Group; ``owner`` whose binding it is, empty when nobody's.

    ``system``: Kubernetes itself keeps the binding. ``role_exists``: else it gives nothing.
    """

    kind: str
    subject: str
    role: str
    namespace: str
    binding: str
    owner: str
    end: Optional[int]
    system: bool
    role_exists: bool


@dataclass(frozen=True)
class RoleRights:
    """What a role allows. ``level``: everything, hands on, writes, reads or nothing."""

    name: str
    level: str
    rules: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Survey:
    """All of it. A source that was not asked is None.

    ``groups_known``: the directory's groups were read; ``stores_known``: so was a place where everybody's certificate is.
    """

    now: int
    listed: Optional[tuple[Listed, ...]] = None
    asked: tuple[Asked, ...] = ()
    accounts: Optional[tuple[Account, ...]] = None
    credentials: Optional[tuple[Credential, ...]] = None
    requests: tuple[OpenRequest, ...] = ()
    rights: tuple[Right, ...] = ()
    roles: tuple[RoleRights, ...] = ()
    namespaces: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    groups_known: bool = True
    stores_known: bool = True


def moment_text(moment: Optional[int]) -> Optional[str]:
    """Such as ``2027-01-31T18:00:00Z``."""
    return None if moment is None else rfc3339(moment)
