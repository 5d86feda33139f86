# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A grant as a value: who, which role, where. The task's list is taken apart into these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._core.window import ALWAYS, Window
from . import places
from .permissions import Atom
from .places import Selector

WHOLE_CLUSTER = ""


@dataclass(frozen=True)
class Subject:
    """Who: ``kind`` is RBAC's (User, Group, ServiceAccount)."""

    kind: str
    name: str
    namespace: str = ""

    def words(self) -> str:
        """What a person would call it."""
        if self.kind == "ServiceAccount":
            return f"service account {self.namespace}/{self.name}"
        return self.name if self.kind == "User" else f"{self.kind.lower()} {self.name}"


@dataclass(frozen=True)
class Role:
    """What: the role a grant refers to; ``kind`` is ClusterRole or Role.

    ``atoms`` is what a role allows that this collection makes itself; its name is derived from them. ``preset`` names the
    preset it comes from.
    """

    kind: str
    name: str
    atoms: tuple[Atom, ...] = field(default=(), compare=False)
    preset: str = field(default="", compare=False)

    def words(self) -> str:
        """What a person would call it."""
        return self.name if self.kind == "ClusterRole" or self.atoms else f"role {self.name}"


@dataclass(frozen=True)
class Grant:
    """Somebody may do what one role allows in one namespace, or everywhere (``WHOLE_CLUSTER``).

    ``subjects`` holds one, or, where the binding has a ``name`` given by the task, all that the entry names.
    """

    subjects: tuple[Subject, ...]
    role: Role
    namespace: str
    name: str = ""

    def who(self) -> str:
        """The subjects in words."""
        return ", ".join(subject.words() for subject in self.subjects)

    def where(self) -> str:
        """The place in words."""
        return self.namespace or "the whole cluster"

    def sentence(self) -> str:
        """The name of the entry, such as ``anna: edit in team-red``."""
        named = f" ({self.name})" if self.name else ""
        return f"{self.who()}: {self.role.words()} in {self.where()}{named}"

    def identities(self) -> Iterator[tuple[object, ...]]:
        """What two grants may not share: a subject's role in a place, and a binding's given name."""
        if self.name:
            yield (self.namespace, self.name)
        for subject in self.subjects:
            yield (subject, self.role, self.namespace)


@dataclass(frozen=True)
class Ask:
    """What the task says about a grant: whether it is to be there, and when."""

    present: bool
    window: Window = ALWAYS


@dataclass(frozen=True)
class Policy:
    """How far one run may go."""

    owner: str
    prune: bool = False
    max_deletes: int = 0
    create_namespaces: bool = False
    allow_cluster_admin: bool = False
    allow_admin: str = "always"
    adopt: bool = False
    allow_recreate: bool = False
    protected: tuple[str, ...] = ()
    verify: bool = False


@dataclass(frozen=True)
class Wanted:
    """Each grant and what is asked of it, at the moment ``now``."""

    asks: Mapping[Grant, Ask]
    policy: Policy
    now: int
    warnings: tuple[str, ...] = ()

    def present(self) -> list[Grant]:
        """The grants that are to be there now."""
        return [grant for grant, ask in self.asks.items() if ask.present and ask.window.stands(self.now) == "open"]


@dataclass(frozen=True)
class Request:
    """The task's list. ``selected`` are grants in all namespaces that a selector means; their own namespace is not one."""

    asks: Mapping[Grant, Ask]
    selected: tuple[tuple[Selector, Grant, Ask], ...]
    policy: Policy

    def at(self, now: int, namespaces: Mapping[str, Mapping[str, Any]]) -> Wanted:
        """With the selectors answered. What names its namespace counts more than what selects it, then the first."""
        asks, warnings = dict(self.asks), []
        taken = {key for grant in asks for key in grant.identities()} if self.selected else set()
        for selector, template, ask in self.selected:
            names = places.selected(selector, namespaces, self.policy.protected)
            if not names:
                warnings.append(f"{template.who()}: {template.role.words()}: no namespace matches the selector.")
            for name in names:
                grant = replace(template, namespace=name)
                if taken.isdisjoint(grant.identities()):
                    asks[grant] = ask
                    taken.update(grant.identities())
        return Wanted(asks, self.policy, now, tuple(warnings))
