# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, reckoned from all bindings and roles of a cluster as its RBAC authorizer does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._core.access import EVERYWHERE, Right, RoleRights
from . import objects
from .draft import grant_of, target
from .grants import Grant, Role
from .permissions import EVERYTHING, Atom, Permissions, rules_of
from .refusals import holds_all, may_hand_on
from .window import noted

MASTERS = "system:masters"  # the API server lets its members do everything, whatever RBAC says
_SERVICE_ACCOUNT = "system:serviceaccount:"
_READING = ("get", "list", "watch")


@dataclass(frozen=True)
class _Held:
    """A role in a place, as one binding gives it."""

    namespace: str
    permissions: Permissions


class Access:
    """All rights of a cluster; bindings and roles as the API lists them."""

    def __init__(self, bindings: Iterable[Mapping[str, Any]], roles: Iterable[Mapping[str, Any]]) -> None:
        self._roles = {objects.live_role_path(role): role for role in roles}
        self._permissions: dict[str, Permissions] = {}
        self._held: dict[tuple[str, str], list[_Held]] = {}
        self._names: dict[str, str] = {}
        self.rights = tuple(right for binding in bindings for right in self._read(binding))

    def _read(self, binding: Mapping[str, Any]) -> Iterator[Right]:
        """The rights that one binding gives to users and groups; those of service accounts only count in answers."""
        grant = grant_of(binding)
        path = objects.role_path(grant.role, grant.namespace)
        permissions = self._allowed(path)
        name = role_name(grant.role, grant.namespace)
        if permissions is not None:
            self._names[path] = name
        for subject in grant.subjects:
            key = _key(subject.kind, subject.name, subject.namespace)
            if key is not None and permissions is not None:
                self._held.setdefault(key, []).append(_Held(grant.namespace, permissions))
            if subject.kind in ("User", "Group"):
                yield _right(binding, grant, subject.kind, subject.name, name, exists=permissions is not None)

    def _allowed(self, path: str) -> Optional[Permissions]:
        if path not in self._permissions and path in self._roles:
            self._permissions[path] = Permissions.of(self._roles[path].get("rules") or ())
        return self._permissions.get(path)

    def allows(self, user: str, groups: Iterable[str], atom: Atom, namespace: str) -> bool:
        """Whether a request is allowed; one without a namespace is about the whole cluster.

        Who logs in is also in ``system:authenticated``: it has to be among ``groups``.
        """
        named = tuple(groups)
        if MASTERS in named:
            return True
        for key in (("User", user), *(("Group", group) for group in named)):
            for held in self._held.get(key, ()):
                if held.namespace == EVERYWHERE:
                    fits = True
                else:
                    fits = held.namespace == namespace and not atom.path
                if fits and held.permissions.allows(atom):
                    return True
        return False

    def roles(self) -> tuple[RoleRights, ...]:
        """What the roles allow that somebody holds."""
        return tuple(
            RoleRights(name, level(self._permissions[path]), tuple(rules_of(self._permissions[path].canonical())))
            for path, name in sorted(self._names.items(), key=lambda pair: pair[1])
        )


def _right(binding: Mapping[str, Any], grant: Grant, kind: str, subject: str, role: str, *, exists: bool) -> Right:
    return Right(
        kind=kind,
        subject=subject,
        role=role,
        namespace=grant.namespace,
        binding=target(objects.live_path(binding)),
        owner=objects.owner_of(binding),
        end=noted((binding["metadata"].get("annotations") or {}).get(objects.EXPIRES)),
        system=objects.is_bootstrap(binding),
        role_exists=exists,
    )


def _key(kind: str, name: str, namespace: str) -> Optional[tuple[str, str]]:
    """As whom the API server knows a subject. One of another kind, or a service account without a namespace, is nobody."""
    if kind == "ServiceAccount":
        return ("User", f"{_SERVICE_ACCOUNT}{namespace}:{name}") if namespace else None
    return (kind, name) if kind in ("User", "Group") else None


def role_name(role: Role, namespace: str) -> str:
    """A name that no other role of the cluster has: ``edit``, or ``role deployer in team-red``."""
    return role.words() if role.kind == "ClusterRole" else f"{role.words()} in {namespace}"


def level(permissions: Permissions) -> str:
    """How far a role goes, in a word."""
    if permissions.allows(EVERYTHING) or holds_all(permissions):
        return "everything"
    if may_hand_on(permissions):
        return "hands on"
    if any(atom.verb not in _READING for atom in permissions.atoms):
        return "writes"
    return "reads" if permissions.atoms else "nothing"
