# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an account is, and where it is to be: a new name, another place, back from the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from .._core.errors import Conflict, Refused
from . import dn
from .draft import RenameWrite
from .model import Account, Entry, Settings

Found = Mapping[str, Sequence[Entry]]


@dataclass(frozen=True)
class Place:
    """The DN an account will have, its entry as it will be there (None: to be made), and what brings it there."""

    dn: str
    entry: Optional[Entry] = None
    rename: Optional[RenameWrite] = None
    restored: bool = False


def place_of(account: Account, here: Found, archived: Found, settings: Settings) -> Place:
    """Where a wanted account will be; raises Conflict and Refused."""
    entry = only(account.uid, here)
    old = only(account.renamed_from, here) if account.renamed_from else None
    if entry and old:
        raise Conflict(
            f"Account {account.uid} exists, and so does {account.renamed_from}, which it is to be renamed from.",
            hint="Leave renamed_from out once the renaming is done, or remove one of the two.",
        )
    kept = only(account.uid, archived)
    source = entry or old or kept
    if source is None:
        return Place(dn.child("uid", account.uid, account.parent or settings.user_base))
    restored = source is kept
    above = account.parent or (settings.user_base if restored else dn.parent(source.dn))
    if source is old and dn.naming_attributes(source.dn) != ("uid",):
        raise Refused(f"Account {account.renamed_from} ({source.dn}) is not named by its uid.", hint="Rename it by hand.")
    first = dn.child("uid", account.uid, above) if source is old else f"{dn.first_part(source.dn)},{above}"
    if dn.normal(first) == dn.normal(source.dn):
        return Place(source.dn, source)
    moves = dn.normal(above) != dn.normal(dn.parent(source.dn))
    old_uid = account.renamed_from if source is old else account.uid
    rename = RenameWrite(source.dn, dn.first_part(first), above if moves else "", first, old_uid, account.uid)
    return Place(first, Entry(first, {**source.attributes, "uid": (account.uid,)}), rename, restored)


def only(uid: str, found: Found) -> Optional[Entry]:
    """The one entry of that name; raises Conflict when there are several."""
    entries = found.get(uid, ())
    if len(entries) > 1:
        names = " and ".join(entry.dn for entry in entries)
        raise Conflict(f"Account {uid} exists {len(entries)} times: {names}.", hint="Remove all but one.")
    return entries[0] if entries else None
