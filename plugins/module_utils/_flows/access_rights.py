# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info: the rights in the cluster, one LIST chain per kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._core import pool
from .._core.access import EVERYBODY, Right, RoleRights
from .._core.errors import BadInput, CollError
from .._core.ports import KubeApi
from .._rbac import objects
from .._rbac.effective import Access
from .._rbac.permissions import Atom

KINDS = (
    objects.NAMESPACES,
    objects.ROLE_BINDINGS,
    objects.CLUSTER_ROLE_BINDINGS,
    objects.ROLES,
    objects.CLUSTER_ROLES,
)
_SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class RightsSeen:
    """What was found."""

    rights: tuple[Right, ...]
    roles: tuple[RoleRights, ...]
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """Who may do this? ``namespace`` is empty for the whole cluster."""

    atom: Atom
    namespace: str

    def words(self) -> str:
        """Such as ``delete pods in team-red``."""
        if self.atom.path:
            return self.atom.words()
        return f"{self.atom.words()} in {self.namespace or 'the whole cluster'}"


def question_from(raw: Mapping[str, Optional[str]], number: int) -> Question:
    """A question of a task; raises BadInput."""
    where = f"questions[{number}]"
    if bool(raw.get("resource")) == bool(raw.get("path")):
        raise BadInput(f"{where} needs either a resource or a path.", hint="Such as verb: delete, resource: pods.")
    path = raw.get("path")
    if path:
        if raw.get("namespace") or raw.get("name") or raw.get("api_group"):
            raise BadInput(f"{where}: a path has no namespace, name or api_group.")
        return Question(Atom(str(raw["verb"]), path=path), "")
    atom = Atom(str(raw["verb"]), raw.get("api_group") or "", str(raw["resource"]), raw.get("name") or "")
    return Question(atom, raw.get("namespace") or "")


class RightsReader:
    """Reads once, then answers."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._access = Access((), ())

    def read(self) -> RightsSeen:
        """All bindings, roles and namespaces."""
        found: dict[str, tuple[Mapping[str, Any], ...]] = {}
        for kind, listing in pool.each(KINDS, self._api.list_all, concurrency=_SIDE_BY_SIDE, stop_on_error=True):
            if isinstance(listing, CollError):
                raise listing
            found[kind] = listing.objects
        self._access = Access(
            (*found[objects.CLUSTER_ROLE_BINDINGS], *found[objects.ROLE_BINDINGS]),
            (*found[objects.CLUSTER_ROLES], *found[objects.ROLES]),
        )
        names = sorted(str(one["metadata"]["name"]) for one in found[objects.NAMESPACES])
        return RightsSeen(self._access.rights, self._access.roles(), tuple(names))

    def allows(self, question: Question, user: str, groups: Iterable[str]) -> bool:
        """Whether somebody who logs in with this name and these groups may do it."""
        return self._access.allows(user, (*groups, EVERYBODY[0]), question.atom, question.namespace)
