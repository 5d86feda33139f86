# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces: by name, by their labels, and those in which people get no rights by accident."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BadInput

SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}
_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class Term:
    """One requirement on a label."""

    key: str
    operator: str
    options: tuple[str, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """As Kubernetes reads it: a namespace without the label is not in the options."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        return (labels.get(self.key) in self.options) == (self.operator == "In")


Selector = tuple[Term, ...]


def selector_from(raw: object, where: str) -> Selector:
    """A selector as Kubernetes writes it; raises BadInput. One without any term is refused: it would be all namespaces."""
    if not isinstance(raw, Mapping):
        raise BadInput(f"{where}: namespace_selector is not a mapping.", hint="Give matchLabels or matchExpressions.")
    unknown = [str(key) for key in raw if key not in ("matchLabels", "matchExpressions")]
    if unknown:
        raise BadInput(f"{where}: namespace_selector has the unknown key {unknown[0][:80]!r}.")
    equal, terms = raw.get("matchLabels") or {}, raw.get("matchExpressions") or []
    if not isinstance(equal, Mapping) or not isinstance(terms, list):
        raise BadInput(f"{where}: matchLabels is a mapping, matchExpressions a list.")
    found = [Term(_key(key, where), "In", (str(equal[key]),)) for key in equal] + [_term(one, where) for one in terms]
    if not found:
        raise BadInput(f"{where}: namespace_selector selects every namespace.", hint="Use scope: cluster if that is meant.")
    return tuple(sorted(found, key=lambda term: (term.key, term.operator, term.options)))


def _term(raw: object, where: str) -> Term:
    if not isinstance(raw, Mapping) or raw.get("operator") not in _OPERATORS:
        raise BadInput(f"{where}: a match expression needs key and an operator of {', '.join(_OPERATORS)}.")
    options = raw.get("values") or []
    if not isinstance(options, list) or bool(options) != _OPERATORS[raw["operator"]]:
        raise BadInput(f"{where}: In and NotIn need values, Exists and DoesNotExist have none.")
    return Term(_key(raw.get("key"), where), str(raw["operator"]), tuple(sorted(str(one) for one in options)))


def _key(raw: object, where: str) -> str:
    if not _KEY.fullmatch(str(raw)):
        raise BadInput(f"{where}: {str(raw)[:80]!r} cannot be the key of a label.")
    return str(raw)


def is_protected(name: str, more: Iterable[str]) -> bool:
    """Whether a namespace is Kubernetes' or Rook's, or one that the task protects."""
    return name.startswith(("kube-", "rook-")) or name in more


def selected(selector: Selector, namespaces: Mapping[str, Mapping[str, Any]], protected: Iterable[str]) -> list[str]:
    """The names of the live namespaces that a selector means."""
    protected = tuple(protected)
    return sorted(
        name
        for name, found in namespaces.items()
        if not is_protected(name, protected)
        and (found.get("status") or {}).get("phase") != "Terminating"
        and all(term.holds(found["metadata"].get("labels") or {}) for term in selector)
    )
