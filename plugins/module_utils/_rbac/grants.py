# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A grant as a value: one subject, one role, one place. The task's list is taken apart into these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._core import names
from .._core.errors import BadInput

WHOLE_CLUSTER = ""
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ROLE_NAME = re.compile(r"[^/%\x00-\x1f]{1,253}")


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
    """What: the role a grant refers to; ``kind`` is ClusterRole or Role."""

    kind: str
    name: str

    def words(self) -> str:
        """What a person would call it."""
        return self.name if self.kind == "ClusterRole" else f"role {self.name}"


@dataclass(frozen=True)
class Grant:
    """One subject may do what one role allows in one namespace, or everywhere (``WHOLE_CLUSTER``)."""

    subject: Subject
    role: Role
    namespace: str

    def where(self) -> str:
        """The place in words."""
        return self.namespace or "the whole cluster"

    def sentence(self) -> str:
        """The name of the entry, such as ``anna: edit in team-red``."""
        return f"{self.subject.words()}: {self.role.words()} in {self.where()}"


@dataclass(frozen=True)
class Policy:
    """How far one run may go."""

    owner: str
    prune: bool = False
    max_deletes: int = 0
    create_namespaces: bool = False
    allow_cluster_admin: bool = False


@dataclass(frozen=True)
class Wanted:
    """What the task says: each grant and whether it is to be there."""

    grants: Mapping[Grant, bool]
    policy: Policy

    def present(self) -> list[Grant]:
        """The grants that are to be there."""
        return [grant for grant, present in self.grants.items() if present]


def wanted_from_params(params: Mapping[str, Any]) -> Wanted:
    """The task's options as values; raises BadInput that names the entry."""
    owner = str(params["owner"])
    if not _LABEL_VALUE.fullmatch(owner):
        raise BadInput(f"owner {owner[:80]!r} cannot be a label value.", hint="Use 1 to 63 letters, digits, '-', '_', '.'.")
    if params["max_deletes"] < 0:
        raise BadInput("max_deletes must not be negative.")
    grants: dict[Grant, bool] = {}
    first: dict[Grant, int] = {}
    for number, entry in enumerate(params["grants"] or ()):
        state = _word(entry, "state", ("present", "absent"), f"grants[{number}]") or params["state"]
        for grant in _grants(entry, f"grants[{number}]"):
            if grant in grants:
                raise BadInput(
                    f"grants[{number}]: '{grant.sentence()}' is already said by grants[{first[grant]}].",
                    hint="Say each grant once.",
                )
            first[grant] = number
            grants[grant] = state == "present"
    policy = Policy(
        owner=owner,
        prune=params["prune"],
        max_deletes=params["max_deletes"],
        create_namespaces=params["create_namespaces"],
        allow_cluster_admin=params["allow_cluster_admin"],
    )
    return Wanted(grants, policy)


def _grants(entry: Mapping[str, Any], where: str) -> Iterator[Grant]:
    role = _role(entry, where)
    places = list(_places(entry, role, where))
    for subject in _subjects(entry.get("subjects") or {}, where):
        for place in places:
            yield Grant(subject, role, place)


def _word(entry: Mapping[str, Any], option: str, words: tuple[str, str], where: str) -> Optional[str]:
    word = entry.get(option)
    if word is not None and word not in words:
        raise BadInput(f"{where}: {option} {str(word)[:80]!r} is neither {words[0]} nor {words[1]}.")
    return word


def _role(entry: Mapping[str, Any], where: str) -> Role:
    given = [
        Role(kind, str(entry[option]))
        for option, kind in (("role", "Role"), ("cluster_role", "ClusterRole"))
        if entry.get(option) is not None
    ]
    if len(given) != 1:
        raise BadInput(f"{where} must name one role: either role or cluster_role.")
    if not _ROLE_NAME.fullmatch(given[0].name) or given[0].name in (".", ".."):
        raise BadInput(f"{where}: {given[0].name[:80]!r} cannot be the name of a role.")
    return given[0]


def _places(entry: Mapping[str, Any], role: Role, where: str) -> Iterable[str]:
    namespaces = entry.get("namespaces") or []
    scope = _word(entry, "scope", ("cluster", "namespaces"), where) or ("namespaces" if namespaces else None)
    if scope is None:
        raise BadInput(f"{where} does not say where it is valid.", hint="Give namespaces, or scope: cluster.")
    if scope == "cluster":
        if namespaces:
            raise BadInput(f"{where} has scope: cluster and namespaces.", hint="Leave one of the two out.")
        if role.kind == "Role":
            raise BadInput(f"{where}: a role of a namespace cannot be granted in the whole cluster.", hint="Use cluster_role.")
        return [WHOLE_CLUSTER]
    if not namespaces:
        raise BadInput(f"{where} has scope: namespaces but names none.")
    return [_dns_label(name, f"{where}: namespace") for name in namespaces]


def _subjects(given: Mapping[str, Any], where: str) -> list[Subject]:
    users = [Subject("User", names.check_principal(name, f"{where}: user")) for name in given.get("users") or ()]
    groups = [Subject("Group", names.check_principal(name, f"{where}: group")) for name in given.get("groups") or ()]
    accounts = [_service_account(name, where) for name in given.get("service_accounts") or ()]
    if not users and not groups and not accounts:
        raise BadInput(f"{where} names nobody.", hint="Give users, groups or service_accounts under subjects.")
    return [*users, *groups, *accounts]


def _service_account(text: object, where: str) -> Subject:
    namespace, slash, name = str(text).partition("/")
    if not slash:
        raise BadInput(f"{where}: service account {str(text)[:80]!r} has no namespace.", hint="Write namespace/name.")
    return Subject(
        "ServiceAccount", _dns_label(name, f"{where}: service account"), _dns_label(namespace, f"{where}: namespace")
    )


def _dns_label(text: object, what: str) -> str:
    if not _DNS_LABEL.fullmatch(str(text)):
        raise BadInput(
            f"{what} {str(text)[:80]!r} is not an allowed name.",
            hint="Use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
        )
    return str(text)


def grant_of(binding: Mapping[str, Any]) -> Optional[Grant]:
    """The grant that a live binding with exactly one subject stands for."""
    subjects = binding.get("subjects") or []
    if len(subjects) != 1:
        return None
    one, role = subjects[0], binding.get("roleRef") or {}
    return Grant(
        Subject(str(one.get("kind")), str(one.get("name")), str(one.get("namespace") or "")),
        Role(str(role.get("kind")), str(role.get("name"))),
        str(binding["metadata"].get("namespace") or WHOLE_CLUSTER),
    )
