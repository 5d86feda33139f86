# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects give a person rights, and which of them go when the person leaves."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from . import objects
from .draft import grant_of, target
from .leavers import Obj, own_group
from .permissions import Permissions

_WRITING = frozenset({"*", "create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Right:
    """One binding that names a person, or a group of theirs. ``own``: it names nobody else's group."""

    path: str
    binding: Obj
    via: str
    own: bool

    @property
    def words(self) -> str:
        """Such as ``rolebinding team-red/anna-edit-1f (edit)``."""
        return f"{target(self.path)} ({(self.binding.get('roleRef') or {}).get('name')})"

    @property
    def owner(self) -> str:
        """The owner label of the binding; empty if it was not made by this collection."""
        return objects.owner_of(self.binding)

    def as_dict(self) -> dict[str, Any]:
        """As the record keeps it."""
        namespace = str(self.binding["metadata"].get("namespace") or "")
        return {"binding": self.words, "namespace": namespace, "via": self.via, "own": self.own, "owner": self.owner}


def rights_of(name: str, groups: Iterable[str], bindings: Iterable[Obj]) -> list[Right]:
    """Everything bound to a person: by name, by a group that only their certificates carry, by a group of others too."""
    own, shared = own_group(name), set(groups)
    found = []
    for binding in bindings:
        vias = [via for one in binding.get("subjects") or () for via in _via(one, name, own, shared)]
        if vias:
            via, is_own = sorted(vias, key=lambda pair: not pair[1])[0]
            found.append(Right(objects.live_path(binding), binding, via, is_own))
    return found


def _via(subject: Mapping[str, Any], name: str, own: Any, shared: set[str]) -> Iterable[tuple[str, bool]]:
    kind, called = subject.get("kind"), str(subject.get("name"))
    if kind == "User" and called == name:
        yield "the name", True
    elif kind == "Group" and own.fullmatch(called):
        yield f"the own group {called}", True
    elif kind == "Group" and called in shared:
        yield f"the group {called}", False


@dataclass(frozen=True)
class Cut:
    """The request that takes one right away."""

    method: str
    path: str
    body: Obj


def cut_of(right: Right, name: str) -> Cut:
    """Delete the binding, or, where others are in it, leave it to them; either only as it was read."""
    own = own_group(name)
    staying = [
        one for one in right.binding.get("subjects") or () if not any(is_own for _v, is_own in _via(one, name, own, set()))
    ]
    if not staying:
        return Cut("DELETE", right.path, objects.removal(right.binding))
    body = copy.deepcopy(dict(right.binding))
    body["metadata"] = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    body["subjects"] = staying
    return Cut("PUT", right.path, body)


def goes(right: Right, foreign: str) -> bool:
    """Whether a right is taken: those of this collection always, those of others when the task says so, the system's never."""
    if not right.own or objects.is_bootstrap(right.binding):
        return False
    return bool(right.owner) or foreign == "remove"


def writable_places(rights: Iterable[Right], roles: Mapping[str, Obj]) -> list[str]:
    """The namespaces in which a person could change something; ``*`` for all of them."""
    places: dict[str, None] = {}
    for right in rights:
        grant_role = grant_of(right.binding).role
        namespace = str(right.binding["metadata"].get("namespace") or "")
        role = roles.get(objects.role_path(grant_role, namespace))
        rules: Optional[Any] = None if role is None else role.get("rules") or ()
        atoms = Permissions.of(rules or ()).atoms
        if rules is None or any(atom.verb in _WRITING and not atom.path for atom in atoms):
            places[namespace or "*"] = None
    return ["*"] if "*" in places else sorted(places)
