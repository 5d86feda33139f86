# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info: the accounts and groups of a directory, one search each."""

from __future__ import annotations

from typing import Optional

from .._core.access import Account
from .._core.errors import CollError
from .._directory import groups, policy, survey
from .._directory.model import Entry
from .._directory.schema import Schema, schema_from
from .directory_reader import Directory

_ANYTHING = "(objectClass=*)"
_ROOT_ATTRIBUTES = ("supportedControl", "subschemaSubentry", "vendorName")


class AccountReader:
    """Reads below two entries; ``group_base`` may be empty."""

    def __init__(self, directory: Directory, user_base: str, group_base: str) -> None:
        self._directory = directory
        self._user_base = user_base
        self._group_base = group_base

    @property
    def reads_groups(self) -> bool:
        """Whether it is known in which groups the accounts are."""
        return bool(self._group_base)

    def read(self) -> tuple[Account, ...]:
        """All accounts with their groups."""
        found = self._directory.search("", _ANYTHING, _ROOT_ATTRIBUTES, below=False)
        root = found[0] if found else None
        server = policy.server_from(root, self._schema(root), ())
        entries = self._directory.search(self._user_base, survey.ANY_ACCOUNT, survey.ATTRIBUTES)
        members: tuple[Entry, ...] = ()
        if self._group_base:
            members = self._directory.search(self._group_base, groups.ANY_GROUP, groups.READ_ATTRIBUTES)
        return survey.accounts_of(entries, members, server.lock)

    def _schema(self, root: Optional[Entry]) -> Schema:
        """The attributes the server knows, which tell how it locks accounts."""
        place = root.values_of("subschemaSubentry") if root else ()
        if not place:
            return Schema()
        try:
            found = self._directory.search(place[0], _ANYTHING, ("attributeTypes",), below=False)
        except CollError:
            return Schema()  # some servers show it to nobody but their managers
        return schema_from(found[0].values_of("attributeTypes"), ()) if found else Schema()
