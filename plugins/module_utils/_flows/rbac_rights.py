# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the API server, before anything is written, whether the caller may do all that a plan takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from .._core import pool
from .._core.errors import CollError, Denied
from .._core.ports import KubeApi
from .._rbac import review, rights
from .._rbac.permissions import Atom, Permissions

Asked = tuple[Atom, str]


class RightsCheck:
    """The questions of one run; each is asked once."""

    def __init__(self, api: KubeApi, concurrency: int) -> None:
        self._api = api
        self._concurrency = concurrency
        self._known: dict[Asked, bool] = {}

    def refusals(self, needs: Mapping[str, tuple[rights.Need, ...]]) -> dict[str, CollError]:
        """By entry, the first right that is missing. If the server refuses the questions, nothing is known beforehand."""
        every = list(dict.fromkeys(need for some in needs.values() for need in some))
        try:
            self._ask((need.widest(), "") for need in every)
            rest = [need for need in every if not self._known[need.widest(), ""]]
            self._ask((need.atom, need.namespace) for need in rest)
            missing = {need: self._missing(need) for need in rest if not self._known[need.atom, need.namespace]}
        except Denied:
            return {}
        errors = {entry: [error for need in some if (error := missing.get(need))] for entry, some in needs.items()}
        return {entry: found[0] for entry, found in errors.items() if found}

    def _missing(self, need: rights.Need) -> Optional[CollError]:
        if need.instead is None:
            return rights.refusal(need, ())
        lacking = self._lacking(need)
        return rights.refusal(need, lacking) if lacking else None

    def _lacking(self, need: rights.Need) -> tuple[Atom, ...]:
        """What of a role the caller does not hold where it is to be granted."""
        wanted = Permissions(need.instead or ())
        if not need.namespace:
            self._ask((atom, "") for atom in wanted.atoms)
            return tuple(sorted(atom for atom in wanted.atoms if not self._known[atom, ""]))
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": need.namespace},
        }
        status = self._api.call("POST", review.RULES_REVIEWS, body).get("status") or {}
        held = Permissions.of([*(status.get("resourceRules") or ()), *(status.get("nonResourceRules") or ())])
        lacking = held.lacking(wanted)
        self._ask((atom, need.namespace) for atom in lacking)  # other authorizers are not in that list
        return tuple(atom for atom in lacking if not self._known[atom, need.namespace])

    def _ask(self, questions: Iterable[Asked]) -> None:
        fresh = [asked for asked in dict.fromkeys(questions) if asked not in self._known]
        for asked, answer in pool.each(fresh, self._answer, concurrency=self._concurrency):
            if isinstance(answer, CollError):
                raise answer
            self._known[asked] = answer

    def _answer(self, asked: Asked) -> bool:
        status = self._api.call("POST", review.SELF_REVIEWS, review.self_review(*asked)).get("status") or {}
        return bool(status.get("allowed"))
