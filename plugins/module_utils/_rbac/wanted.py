# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task's options as values, checked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .._core import names
from .._core.errors import BadInput
from .._core.plain import plain
from .._core.window import window_from
from . import permissions, presets
from .grants import WHOLE_CLUSTER, Ask, Grant, Policy, Request, Role, Subject
from .permissions import Atom
from .places import Selector, selector_from

_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_OBJECT_NAME = re.compile(r"[^/%\x00-\x1f]{1,253}")
_ROLE_OPTIONS = ("role", "cluster_role", "rules", "preset")


def request_from_params(params: Mapping[str, Any]) -> Request:
    """The task's options as values; raises BadInput that names the entry."""
    policy = _policy(params)
    asks: dict[Grant, Ask] = {}
    first: dict[tuple[object, ...], int] = {}
    selected: list[tuple[Selector, Grant, Ask]] = []
    for number, raw in enumerate(params["grants"] or ()):
        entry, where = {key: value for key, value in plain(raw).items() if value is not None}, f"grants[{number}]"
        state = _word(entry, "state", ("present", "absent"), where) or params["state"]
        ask = Ask(state == "present", window_from(entry.get("not_before"), entry.get("expires"), where))
        selector = selector_from(entry["namespace_selector"], where) if "namespace_selector" in entry else None
        for grant in _grants(entry, where, policy):
            if selector:
                selected.append((selector, grant, ask))
                continue
            for key in grant.identities():
                if key in first:
                    raise BadInput(
                        f"{where}: '{grant.sentence()}' is already said by grants[{first[key]}].", hint="Say each grant once."
                    )
                first[key] = number
            asks[grant] = ask
    return Request(asks, tuple(selected), policy)


def _policy(params: Mapping[str, Any]) -> Policy:
    owner = str(params["owner"])
    if not _LABEL_VALUE.fullmatch(owner):
        raise BadInput(f"owner {owner[:80]!r} cannot be a label value.", hint="Use 1 to 63 letters, digits, '-', '_', '.'.")
    if params["max_deletes"] < 0:
        raise BadInput("max_deletes must not be negative.")
    return Policy(
        owner=owner,
        prune=params["prune"],
        max_deletes=params["max_deletes"],
        create_namespaces=params["create_namespaces"],
        allow_cluster_admin=params["allow_cluster_admin"],
        allow_admin=params["allow_admin"],
        adopt=params["adopt"],
        allow_recreate=params["allow_recreate"],
        protected=tuple(str(name) for name in params["protected_namespaces"] or ()),
        verify=params["verify"] == "access_review",
    )


def _grants(entry: Mapping[str, Any], where: str, policy: Policy) -> Iterator[Grant]:
    places = _places(entry, where)
    role = _role(entry, where, policy, in_cluster=places == [WHOLE_CLUSTER])
    subjects = _subjects(entry.get("subjects") or {}, where)
    if "name" in entry:
        name = _object_name(entry["name"], f"{where}: name", "a binding")
        together: Sequence[tuple[Subject, ...]] = [tuple(sorted(subjects, key=lambda one: (one.kind, one.namespace, one.name)))]
    else:
        name, together = "", [(subject,) for subject in subjects]
    for who in together:
        for place in places:
            yield Grant(who, role, place, name)


def _word(entry: Mapping[str, Any], option: str, words: tuple[str, str], where: str) -> Optional[str]:
    word = entry.get(option)
    if word is not None and word not in words:
        raise BadInput(f"{where}: {option} {str(word)[:80]!r} is neither {words[0]} nor {words[1]}.")
    return word


def _role(entry: Mapping[str, Any], where: str, policy: Policy, *, in_cluster: bool) -> Role:
    given = [option for option in _ROLE_OPTIONS if option in entry]
    if len(given) != 1:
        raise BadInput(f"{where} must name one role: either role or cluster_role, or give rules or a preset.")
    if given == ["rules"]:
        return _own_role("rules", permissions.rules_from(entry["rules"], where), "", policy, where, in_cluster=in_cluster)
    if given == ["preset"]:
        return _preset(str(entry["preset"]), policy, where, in_cluster=in_cluster)
    if given == ["role"] and in_cluster:
        raise BadInput(f"{where}: a role of a namespace cannot be granted in the whole cluster.", hint="Use cluster_role.")
    return Role("Role" if given == ["role"] else "ClusterRole", _object_name(entry[given[0]], where, "a role"))


def _preset(preset: str, policy: Policy, where: str, *, in_cluster: bool) -> Role:
    if preset not in presets.NAMES:
        raise BadInput(f"{where}: there is no preset {preset[:80]!r}.", hint=f"Use one of {', '.join(presets.NAMES)}.")
    if in_cluster and preset not in presets.READING:
        raise BadInput(
            f"{where}: the preset {preset!r} would reach into the system's and the storage's namespaces.",
            hint=f"Name namespaces; in the whole cluster only {' and '.join(presets.READING)} may be used.",
        )
    if preset in presets.BUILT_IN:
        return Role("ClusterRole", preset, preset=preset)
    return _own_role(preset, presets.permissions(preset), preset, policy, where, in_cluster=in_cluster)


def _own_role(word: str, atoms: tuple[Atom, ...], preset: str, policy: Policy, where: str, *, in_cluster: bool) -> Role:
    """A role that is made here: one per place, so that it goes with its namespace and needs no rights beyond it."""
    if not in_cluster and any(atom.path for atom in atoms):
        raise BadInput(f"{where}: nonResourceURLs are only granted in the whole cluster.", hint="Set scope: cluster.")
    digest = names.short_digest(*(part for atom in atoms for part in atom), length=16)
    return Role("ClusterRole" if in_cluster else "Role", names.dns_name(word, digest, policy.owner), atoms, preset)


def _places(entry: Mapping[str, Any], where: str) -> list[str]:
    """Where; for a selector one place that stands for those it will select."""
    namespaces, selecting = entry.get("namespaces") or [], "namespace_selector" in entry
    if namespaces and selecting:
        raise BadInput(f"{where} has namespaces and namespace_selector.", hint="Leave one of the two out.")
    scope = _word(entry, "scope", ("cluster", "namespaces"), where) or ("namespaces" if namespaces or selecting else None)
    if scope is None:
        raise BadInput(f"{where} does not say where it is valid.", hint="Give namespaces, or scope: cluster.")
    if scope == "cluster":
        if namespaces or selecting:
            raise BadInput(f"{where} has scope: cluster and namespaces.", hint="Leave one of the two out.")
        return [WHOLE_CLUSTER]
    if not namespaces and not selecting:
        raise BadInput(f"{where} has scope: namespaces but names none.")
    return ["(selected)"] if selecting else [_dns_label(name, f"{where}: namespace") for name in namespaces]


def _subjects(given: Mapping[str, Any], where: str) -> list[Subject]:
    users = [Subject("User", _principal(name, f"{where}: user")) for name in given.get("users") or ()]
    groups = [Subject("Group", _principal(name, f"{where}: group")) for name in given.get("groups") or ()]
    accounts = [_service_account(name, where) for name in given.get("service_accounts") or ()]
    if not users and not groups and not accounts:
        raise BadInput(f"{where} names nobody.", hint="Give users, groups or service_accounts under subjects.")
    return [*users, *groups, *accounts]


def _principal(name: object, what: str) -> str:
    """A name as some identity provider gives it, such as ``oidc:Devs``: RBAC compares it letter by letter."""
    text = str(name)
    shown = text[:80]
    if unicodedata.normalize("NFKC", text).strip().casefold().startswith("system:"):
        raise BadInput(f"{what} {shown!r}: names that begin with 'system:' belong to Kubernetes.", hint="Choose another name.")
    if not text or len(text) > 256 or text != text.strip() or not all(mark == " " or mark.isprintable() for mark in text):
        raise BadInput(
            f"{what} {shown!r} is not an allowed name.",
            hint="Use 1 to 256 printable characters, without blanks at the ends.",
        )
    return text


def _service_account(text: object, where: str) -> Subject:
    namespace, slash, name = str(text).partition("/")
    if not slash:
        raise BadInput(f"{where}: service account {str(text)[:80]!r} has no namespace.", hint="Write namespace/name.")
    return Subject(
        "ServiceAccount", _dns_label(name, f"{where}: service account"), _dns_label(namespace, f"{where}: namespace")
    )


def _object_name(text: object, where: str, what: str) -> str:
    if not _OBJECT_NAME.fullmatch(str(text)) or str(text) in (".", ".."):
        raise BadInput(f"{where}: {str(text)[:80]!r} cannot be the name of {what}.")
    return str(text)


def _dns_label(text: object, what: str) -> str:
    if not _DNS_LABEL.fullmatch(str(text)):
        raise BadInput(
            f"{what} {str(text)[:80]!r} is not an allowed name.",
            hint="Use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
        )
    return str(text)
