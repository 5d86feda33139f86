# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that hold rights already: whoever gets a certificate with one of them gets those rights too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from .._core.errors import Refused
from .pair import Pair
from .wanted import Person, Wanted

OTHERS = "!kubestead.platform/owner"  # selects bindings that rbac_grant did not make; those it made have the label

Holders = Mapping[tuple[str, str], str]


def holders_of(bindings: Iterable[Mapping[str, Any]]) -> Holders:
    """By (``User`` or ``Group``, name): one of these bindings that gives rights to it, in words."""
    found: dict[tuple[str, str], str] = {}
    for binding in bindings:
        meta = binding["metadata"]
        namespace = meta.get("namespace")
        kind, where = ("RoleBinding", f" in namespace {namespace!r}") if namespace else ("ClusterRoleBinding", "")
        role = (binding.get("roleRef") or {}).get("name")
        words = f"the {kind} {meta['name']!r}{where} gives it {role!r}"
        for subject in binding.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                found.setdefault((subject["kind"], str(subject.get("name"))), words)
    return found


def new_names(person: Person, pair: Pair, wanted: Wanted, now: int) -> tuple[tuple[str, str], ...]:
    """The user and groups that a person's next certificate names, without those allowed and those of a valid present one.

    A renewal gives nobody more than they hold, and must not end because of a binding that somebody made meanwhile.
    """
    present = pair.certificate
    held: set[tuple[str, str]] = set()
    if present is not None and not present.oddities and present.not_after > now:
        held = {("User", present.name), *(("Group", group) for group in present.groups)}
    asked = [
        *(("User", person.name),) * (person.name not in wanted.allow_users),
        *(("Group", group) for group in person.groups if group not in wanted.allow_groups),
    ]
    return tuple(name for name in asked if name not in held)


def held_already(person: Person, names: Iterable[tuple[str, str]], holders: Holders) -> Optional[Refused]:
    """The refusal of a name that holds rights which nobody granted with this collection."""
    for kind, name in names:
        if (kind, name) in holders:
            what, option = ("group ", "allow_groups") if kind == "Group" else ("name ", "allow_users")
            return Refused(
                f"user {person.name!r}: the {what}{name!r} holds rights already: {holders[kind, name]}.",
                hint=f"List it in {option} if this person is to have them, grant them with rbac_grant, or choose another name.",
            )
    return None
