# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant: read each kind once, compare in memory, write only what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._core import pool
from .._core.errors import BackendFailed, CollError, Conflict, Denied, Refused
from .._core.plan import Plan, Stage, Step
from .._core.ports import KubeApi, get_or_none
from .._core.run import Outcome, Run, each_step
from .._core.window import rfc3339
from .._rbac import objects, review, rights
from .._rbac.decide import admin_without_end, decide
from .._rbac.draft import CHECKS, Decision, Draft, Question, Seen, Write
from .._rbac.grants import Request
from .._rbac.retry import once_more
from .._rbac.wanted import request_from_params
from .rbac_rights import RightsCheck

Objects = tuple[Mapping[str, Any], ...]
Query = Optional[Mapping[str, str]]
_ATTEMPTS = 5
_EFFECT_WITHIN = 5.0  # seconds; the API server learns of a new binding within milliseconds
_PAUSE = 0.05
_UNASKED = 2.0


@dataclass(frozen=True)
class Outside:
    """What the flow needs beside the API server."""

    api: KubeApi
    clock: Callable[[], float]
    pause: Callable[[float], None]


class RbacGrantFlow:
    """One task's work."""

    def __init__(self, outside: Outside, request: Request, *, concurrency: int, stop_on_error: bool, check_mode: bool) -> None:
        self.stop_on_error = stop_on_error
        self._out = outside
        self._api = outside.api
        self._request = request
        self._concurrency = concurrency
        self._check_mode = check_mode
        self._now = int(outside.clock())
        self._wanted = request.at(self._now, {})
        self._decision = Decision(Plan(), {}, {})
        self._not_made: set[str] = set()
        self._admins: list[str] = []

    @classmethod
    def from_params(
        cls, params: Mapping[str, Any], outside: Callable[[Mapping[str, Any]], Outside], *, check_mode: bool = False
    ) -> RbacGrantFlow:
        """The flow for a task's options; the list is judged before the server is looked for."""
        request = request_from_params(params)
        return cls(
            outside(params),
            request,
            concurrency=params["concurrency"],
            stop_on_error=params["on_error"] == "stop",
            check_mode=check_mode,
        )

    def observe(self) -> Seen:
        """One LIST per kind that matters, side by side; then, only if something is to be written, the caller's rights."""
        found = self._lists(self._reads())
        bindings = {
            objects.live_path(one): one
            for kind in (objects.ROLE_BINDINGS, objects.CLUSTER_ROLE_BINDINGS)
            for one in found.get(kind, ())
        }
        namespaces = {one["metadata"]["name"]: one for one in found.get(objects.NAMESPACES, ())}
        self._wanted = self._request.at(self._now, namespaces)
        seen = Seen(
            bindings=bindings,
            others=self._others(bindings),
            namespaces=namespaces,
            roles={
                objects.live_role_path(one): one
                for kind in (objects.CLUSTER_ROLES, objects.ROLES)
                for one in found.get(kind, ())
            },
        )
        return self._answered(self._judged(seen))

    def _reads(self) -> dict[str, Query]:
        policy = self._request.policy
        ours = {"labelSelector": f"{objects.OWNER}={policy.owner}"}
        grants = [*self._request.asks, *(template for _selector, template, _ask in self._request.selected)]
        present = self._request.at(self._now, {}).present()
        reads: dict[str, Query] = {}
        if policy.prune:
            reads = dict.fromkeys(
                (objects.ROLE_BINDINGS, objects.CLUSTER_ROLE_BINDINGS, objects.CLUSTER_ROLES, objects.ROLES), ours
            )
        if any(grant.namespace for grant in grants):
            reads[objects.ROLE_BINDINGS] = ours
        if any(not grant.namespace for grant in grants):
            reads[objects.CLUSTER_ROLE_BINDINGS] = ours
        if self._request.selected or any(grant.namespace for grant in present):
            reads[objects.NAMESPACES] = None
        if any(grant.role.kind == "ClusterRole" for grant in grants):
            reads[objects.CLUSTER_ROLES] = None
        if any(grant.role.kind == "Role" for grant in grants):
            reads[objects.ROLES] = None
        return reads

    def _others(self, bindings: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """What stands, without our label, where a binding is to be made: known before the first write."""
        missing = {
            path: objects.ROLE_BINDINGS if grant.namespace else objects.CLUSTER_ROLE_BINDINGS
            for grant, path in ((one, objects.binding_path(one, self._wanted.policy.owner)) for one in self._wanted.present())
            if path not in bindings
        }
        found = self._lists(dict.fromkeys(missing.values()))
        return {path: one for kind in found.values() for one in kind if (path := objects.live_path(one)) in missing}

    def _lists(self, reads: Mapping[str, Query]) -> dict[str, Objects]:
        found: dict[str, Objects] = {}
        for path, result in pool.each(reads, lambda path: self._api.list_all(path, reads[path]), concurrency=self._concurrency):
            if isinstance(result, CollError):
                raise result
            found[path] = result.objects
        return found

    def _judged(self, seen: Seen) -> Seen:
        decision = decide(self._wanted, seen)
        if not decision.writes:
            return seen
        needs = rights.needs_of(decision, Draft(self._wanted, seen))
        return dataclasses.replace(seen, refusals=RightsCheck(self._api, self._concurrency).refusals(needs))

    def _answered(self, seen: Seen) -> Seen:
        """With the answers about the grants that stay as they are; the others are asked about when they are written."""
        if not self._wanted.policy.verify:
            return seen
        decision = decide(self._wanted, seen)
        if self._check_mode and decision.writes:
            return seen
        written = {step.entry for step in decision.plan.steps}
        staying = [entry for entry in decision.questions if entry not in written]
        answers = {}
        for entry, result in pool.each(
            staying, lambda entry: self._ask_all(decision.questions[entry], self._now), concurrency=self._concurrency
        ):
            if isinstance(result, CollError):
                raise result
            answers[entry] = result
        return dataclasses.replace(seen, answers=answers)

    def decide(self, seen: Seen) -> Plan:
        """Compare; the requests are kept beside the plan, by the steps' targets."""
        self._decision = decide(self._wanted, seen)
        self._admins = admin_without_end(self._wanted, seen)
        plan = self._decision.plan
        written = dict.fromkeys(step.entry for step in plan.steps)
        checks = tuple(Step("verify", entry, entry) for entry in written if entry in self._decision.questions)
        return dataclasses.replace(plan, stages=(*plan.stages, Stage(CHECKS, checks))) if checks else plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Send the requests of one stage."""
        call = self._verify if stage.name == CHECKS else self._write
        return each_step(stage.steps, call, concurrency=self._concurrency, stop_on_error=self.stop_on_error)

    def _write(self, step: Step) -> Mapping[str, object]:
        write = self._decision.writes[step.target]
        try:
            if write.needs in self._not_made:
                raise Refused("What this needs could not be made, so it stays as it is.", hint="See the other failure.")
            if write.proof is not None:
                self._await(write.proof)
            if write.method == "RECREATE":
                return self._recreate(write)
            self._send(write)
        except CollError:
            self._not_made.add(write.object_path())
            raise
        return {}

    def _await(self, proof: Question) -> None:
        """Until the new grant is in effect; who may not ask waits for as long as that takes at most."""
        try:
            in_effect = self._settled_answer(proof, self._out.clock() + _EFFECT_WITHIN)
        except Denied:
            self._out.pause(_UNASKED)
            return
        if not in_effect:
            raise BackendFailed("The new grant is not in effect yet, so the old one stays.", hint="Run again.")

    def _recreate(self, write: Write) -> Mapping[str, object]:
        live, wanted = write.live, write.wanted
        if live is None or wanted is None:
            raise ValueError("only an object that is there is made anew")
        begin = self._out.clock()
        self._send(Write("DELETE", write.path, objects.removal(live), live=live))
        self._send(Write("POST", write.path.rsplit("/", 1)[0], wanted, wanted=wanted))
        return {"gap_seconds": round(self._out.clock() - begin, 3)}

    def _send(self, write: Write) -> None:
        """One request; when the object is not as it was read, the next one that fits what it has become."""
        for attempt in range(_ATTEMPTS):
            try:
                self._api.call(write.method, write.path, write.body)
                return
            except BackendFailed as exc:
                if exc.facts.get("status") != 404 or write.method == "POST":
                    raise
                live = None
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
                live = get_or_none(self._api, write.object_path())
            following = once_more(write, live, self._wanted.policy.owner)
            if following is None:
                return
            write = following

    def _verify(self, step: Step) -> Mapping[str, object]:
        answers = self._ask_all(self._decision.questions[step.entry], self._out.clock() + _EFFECT_WITHIN)
        error = review.disagreement(answers)
        if error is not None:
            error.facts["access"] = review.rows(answers)
            raise error
        return {"access": review.rows(answers)}

    def _ask_all(self, questions: tuple[Question, ...], end: float) -> tuple[tuple[Question, bool], ...]:
        """The server's answers; asked again until ``end`` where they are not the expected ones."""
        return tuple((one, self._settled_answer(one, end)) for one in questions)

    def _settled_answer(self, question: Question, end: float) -> bool:
        body = review.subject_review(question)
        while True:
            allowed = bool((self._api.call("POST", review.SUBJECT_REVIEWS, body).get("status") or {}).get("allowed"))
            if allowed == question.expected or self._out.clock() >= end:
                return allowed
            self._out.pause(_PAUSE)

    def report(self, run: Run) -> Mapping[str, object]:
        """Whose grants these are, and what ends or begins next."""
        done = {step.entry for step in run.done} if run.executed else set()
        overdue = [
            {"name": one.name, "ended": rfc3339(one.end), "still_active": not one.entry or one.entry not in done}
            for one in self._decision.overdue
        ]
        return {
            "owner": self._wanted.policy.owner,
            "next_end": self._next(self._decision.ends),
            "next_start": self._next(self._decision.starts),
            "overdue": overdue,
            "admin_without_end": self._admins,
        }

    def _next(self, moments: tuple[tuple[int, str], ...]) -> Optional[Mapping[str, object]]:
        if not moments:
            return None
        moment, entry = moments[0]
        return {"name": entry.partition("/")[2], "at": rfc3339(moment), "seconds_left": moment - self._now}
