# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying a plan out, entry by entry, and telling truthfully what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol

from . import pool
from .errors import Bug, CollError
from .plan import ACTIONS, Plan, Stage, Step, Verdict, entry_key


@dataclass(frozen=True)
class Outcome:
    """What one step did: ``facts`` are public values learned on the way (a serial, a date)."""

    step: Step
    facts: Mapping[str, object] = field(default_factory=dict)
    error: Optional[CollError] = None


@dataclass(frozen=True)
class Run:
    """A plan and what was done of it. In check mode ``outcomes`` is empty and ``executed`` false."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    executed: bool = False

    @property
    def done(self) -> tuple[Step, ...]:
        """The steps that were carried out, in the order of the plan; in check mode those that would be."""
        if not self.executed:
            return self.plan.steps
        order = {id(step): number for number, step in enumerate(self.plan.steps)}
        done = (outcome.step for outcome in self.outcomes if outcome.error is None)
        return tuple(sorted(done, key=lambda step: order.get(id(step), len(order))))


class Flow(Protocol):
    """One module's work: observe → decide → execute → report. ``decide`` is pure."""

    stop_on_error: bool

    def observe(self) -> Any:
        """Read the present state: one bulk read per kind."""

    def decide(self, seen: Any) -> Plan:
        """Compare wanted with seen."""

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Carry out one stage. A step that yields no outcome counts as not reached."""

    def report(self, run: Run) -> Mapping[str, object]:
        """Return keys beside ``entries`` and ``counts``."""


def each_step(
    steps: Sequence[Step],
    call: Callable[[Step], Optional[Mapping[str, object]]],
    *,
    concurrency: int,
    stop_on_error: bool,
) -> Iterable[Outcome]:
    """The usual way to execute a stage: ``call`` per step, side by side; its mapping becomes the outcome's facts."""
    for step, result in pool.each(steps, call, concurrency=concurrency, stop_on_error=stop_on_error):
        if isinstance(result, CollError):
            yield Outcome(step, error=result)
        else:
            yield Outcome(step, facts=result or {})


def carry_out(plan: Plan, execute: Callable[[Stage], Iterable[Outcome]], *, stop_on_error: bool) -> Run:
    """Execute the stages in order. An entry that failed is left out of later stages.

    With ``stop_on_error`` a refusal known from the plan means that nothing is executed, and a failure means that no
    later stage begins.
    """
    outcomes: list[Outcome] = []
    failed = {verdict.key for verdict in plan.verdicts if verdict.error is not None}
    for stage in plan.stages:
        if stop_on_error and failed:
            break
        steps = tuple(step for step in stage.steps if step.entry not in failed)
        if not steps:
            continue
        for outcome in _outcomes(execute, Stage(stage.name, steps)):
            outcomes.append(outcome)
            if outcome.error is not None:
                failed.add(outcome.step.entry)
    return Run(plan, tuple(outcomes), executed=True)


def _outcomes(execute: Callable[[Stage], Iterable[Outcome]], stage: Stage) -> Iterator[Outcome]:
    """What a stage yields; an error that ends it as a whole is the outcome of the steps that were not answered yet."""
    answered: set[int] = set()
    try:
        for outcome in execute(stage):
            answered.add(id(outcome.step))
            yield outcome
    except Exception as exc:  # noqa: BLE001 - whatever it was, what is written by now has to be told
        error = exc if isinstance(exc, CollError) else Bug.from_exception(exc)
        yield from (Outcome(step, error=error) for step in stage.steps if id(step) not in answered)


def settle(run: Run) -> tuple[Verdict, ...]:
    """The verdicts as they came true: failures replace the planned action, facts learned on the way are added."""
    by_entry: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        by_entry.setdefault(outcome.step.entry, []).append(outcome)
    planned: dict[str, int] = {}
    for step in run.plan.steps:
        planned[step.entry] = planned.get(step.entry, 0) + 1
    return tuple(
        _settle_one(verdict, by_entry.get(verdict.key, []), planned.get(verdict.key, 0), run.executed)
        for verdict in run.plan.verdicts
    )


def _settle_one(verdict: Verdict, outcomes: Sequence[Outcome], planned: int, executed: bool) -> Verdict:
    if verdict.error is not None or not executed:
        return verdict
    facts = dict(verdict.facts)
    for outcome in outcomes:
        facts.update(outcome.facts)
    error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    done = [f"{o.step.verb} {o.step.target}" for o in outcomes if o.error is None]
    if error is not None:
        return Verdict(verdict.kind, verdict.name, "failed", verdict.reason, {**facts, "applied": done}, error)
    if len(outcomes) < planned:
        reason = "not finished: the run stopped at another entry's failure"
        return Verdict(verdict.kind, verdict.name, "skipped", reason, {**facts, "applied": done})
    return Verdict(verdict.kind, verdict.name, verdict.action, verdict.reason, facts)


def entry_dict(verdict: Verdict) -> dict[str, object]:
    """One element of the result's ``entries``."""
    entry: dict[str, object] = {
        "kind": verdict.kind,
        "name": verdict.name,
        "action": "failed" if verdict.error is not None else verdict.action,
        "reason": verdict.reason,
        **verdict.facts,
    }
    if verdict.error is not None:
        entry["error"] = verdict.error.as_dict()
    return entry


def count(entries: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """How many entries took each action, every action present."""
    return {action: sum(1 for entry in entries if entry["action"] == action) for action in ACTIONS}


__all__ = ["Flow", "Outcome", "Run", "carry_out", "count", "each_step", "entry_dict", "entry_key", "settle"]
