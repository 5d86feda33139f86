# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account: what the plan has to know of the directory, read in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Optional, Protocol

from .._core.errors import CollError
from .._directory import accounts, dn, groups, policy
from .._directory.draft import RenameWrite
from .._directory.model import Entry, Op, Seen, Server, Wanted
from .._directory.schema import Schema, schema_from

_FILTER_TERMS = 1000
_ROOT_ATTRIBUTES = ("namingContexts", "supportedControl", "subschemaSubentry", "vendorName")
_ANYTHING = "(objectClass=*)"


class Directory(Protocol):
    """An LDAP directory. Raises BackendFailed and its kin."""

    @property
    def protects_secrets(self) -> bool:
        """Whether passwords may be sent."""

    def identity(self) -> str:
        """The DN we are bound as; empty when unknown."""

    def search(self, base: str, filter_: str, attributes: Sequence[str], *, below: bool = True) -> tuple[Entry, ...]:
        """All entries that match at and below ``base`` (or the base alone), never a part of them."""

    def may_read(self, where: str, attribute: str) -> bool:
        """Whether the server says that an attribute of an entry would be shown to us; false when it doesn't say."""

    def apply(self, ops: Sequence[Op], *, stop_on_error: bool) -> Iterator[tuple[int, Optional[CollError]]]:
        """Write; yields the index of each write with its error, in the order of the answers."""


class DirectoryReader:
    """One search per kind and base; the schema and the server's own entry once."""

    def __init__(self, wanted: Wanted, directory: Directory) -> None:
        self._wanted = wanted
        self._directory = directory

    def seen(self) -> Seen:
        """All of it."""
        root = self._root()
        schema = self._schema(root)
        here, archived = self._accounts()
        return Seen(
            accounts=here,
            groups=self._groups(),
            archived=archived,
            identity=self._directory.identity(),
            server=self._server(root, schema),
            schema=schema,
        )

    def shows_passwords(self, seen: Seen) -> bool:
        """Whether an account without a password in what was read has none indeed, and none that is only hidden."""
        if seen.server.password_policy or any(accounts.has_password(entry) for entry in seen.accounts):
            return True
        asking = {account.uid for account in self._wanted.accounts if account.credential_from}
        doubtful = next((entry for entry in seen.accounts if asking & set(entry.values_of("uid"))), None)
        return doubtful is not None and self._directory.may_read(doubtful.dn, "userPassword")

    def with_old_names(self, moves: Sequence[RenameWrite]) -> tuple[Entry, ...]:
        """The groups that still name an account as it was before."""
        terms = groups.naming(
            {
                "memberUid": [move.old_uid for move in moves if move.old_uid != move.new_uid],
                "member": [move.dn for move in moves],
                "uniqueMember": [move.dn for move in moves],
            }
        )
        return self._search(self._wanted.settings.group_base, groups.ANY_GROUP, terms, groups.READ_ATTRIBUTES)

    def everything_numbered(self) -> tuple[Entry, ...]:
        """All entries with a number, those of people who left included."""
        settings = self._wanted.settings
        found: dict[str, Entry] = {}
        for base in dict.fromkeys((settings.user_base, settings.group_base, settings.archive_base)):
            if base and not any(dn.within(base, other) for other in (settings.user_base, settings.group_base) if base != other):
                for entry in self._directory.search(base, "(|(uidNumber=*)(gidNumber=*))", ("uidNumber", "gidNumber")):
                    found[dn.normal(entry.dn)] = entry
        return tuple(found.values())

    def _root(self) -> Optional[Entry]:
        found = self._directory.search("", _ANYTHING, _ROOT_ATTRIBUTES, below=False)
        return found[0] if found else None

    def _schema(self, root: Optional[Entry]) -> Schema:
        places = root.values_of("subschemaSubentry") if root else ()
        if not places or not self._wanted.accounts + self._wanted.groups:
            return Schema()
        try:
            found = self._directory.search(places[0], _ANYTHING, ("attributeTypes", "objectClasses"), below=False)
        except CollError:
            return Schema()  # some servers show it to nobody but their managers; then the server itself is the judge
        entry = found[0] if found else Entry("", {})
        return schema_from(entry.values_of("attributeTypes"), entry.values_of("objectClasses"))

    def _server(self, root: Optional[Entry], schema: Schema) -> Server:
        wanted = self._wanted
        asked = any(
            account.enabled is False or account.must_change or (wanted.settings.archives and not account.present)
            for account in wanted.accounts
        )
        if not asked or root is None:
            return policy.server_from(root, schema, ())
        base = wanted.settings.user_base
        suffix = next((name for name in root.values_of("namingContexts") if dn.within(base, name)), base)
        found = self._directory.search(suffix, dn.equals("objectClass", "pwdPolicy"), policy.READ_ATTRIBUTES)
        return policy.server_from(root, schema, found)

    def _accounts(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Those who are there, and those in the archive."""
        settings = self._wanted.settings
        names = {name for account in self._wanted.accounts for name in account.edits.names}
        attributes = (*accounts.READ_ATTRIBUTES, *sorted(names))
        terms = self._account_terms()
        found = self._search(settings.user_base, "", terms, attributes)
        if not settings.archive_base:
            return found, ()
        if not dn.within(settings.archive_base, settings.user_base):
            return found, self._search(settings.archive_base, "", terms, attributes)
        kept = {entry.dn for entry in found if dn.within(entry.dn, settings.archive_base)}
        return (
            tuple(entry for entry in found if entry.dn not in kept),
            tuple(entry for entry in found if entry.dn in kept),
        )

    def _account_terms(self) -> list[str]:
        uids = {account.uid for account in self._wanted.accounts}
        uids |= {account.renamed_from for account in self._wanted.accounts if account.renamed_from}
        for group in self._wanted.groups:
            names = (*(group.members or ()), *group.join, *group.leave) if group.present else ()
            uids.update(name for name in names if "=" not in name)
        numbers = {n for account in self._wanted.accounts for n in account.given.get("uidNumber", ())}
        return [dn.equals("uid", uid) for uid in sorted(uids)] + [dn.equals("uidNumber", n) for n in sorted(numbers)]

    def _groups(self) -> tuple[Entry, ...]:
        base = self._wanted.settings.group_base
        if any(not account.present for account in self._wanted.accounts):
            return self._directory.search(base, groups.ANY_GROUP, groups.READ_ATTRIBUTES)
        names = {group.cn for group in self._wanted.groups}
        names |= {cn for account in self._wanted.accounts for cn in account.groups}
        return self._search(base, groups.ANY_GROUP, [dn.equals("cn", cn) for cn in sorted(names)], groups.READ_ATTRIBUTES)

    def _search(self, base: str, all_of: str, terms: Sequence[str], attributes: Sequence[str]) -> tuple[Entry, ...]:
        """Entries for any of ``terms``, in as few searches as filters of a bearable length allow."""
        found: dict[str, Entry] = {}
        for start in range(0, len(terms), _FILTER_TERMS):
            chosen = dn.any_of(terms[start : start + _FILTER_TERMS])
            for entry in self._directory.search(base, f"(&{all_of}{chosen})" if all_of else chosen, attributes):
                found.setdefault(dn.normal(entry.dn), entry)
        return tuple(found.values())
