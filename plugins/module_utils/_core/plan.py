# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module decided to do, as a value: verdicts for people, stages of steps for the machine.

A plan is made by a pure ``decide`` and executed once, or, in check mode, not at all. Secrets never enter it:
a fingerprint or a date stands in for a key, and the secret itself travels beside the plan, keyed by target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from .errors import CollError

ACTIONS = ("created", "updated", "unchanged", "removed", "failed", "skipped")


@dataclass(frozen=True)
class Step:
    """One write. ``target`` is what a person would call the thing; ``entry`` is the key of the verdict it serves.

    ``before`` and ``after`` are what ``--diff`` shows; a step with neither (a follow-up such as a clean-up) shows nothing.
    """

    verb: str
    target: str
    entry: str
    before: Optional[Mapping[str, object]] = None
    after: Optional[Mapping[str, object]] = None


@dataclass(frozen=True)
class Stage:
    """Steps that do not depend on each other; stages run in order."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Verdict:
    """What becomes of one thing the caller named. ``action`` is one of ``ACTIONS``; ``error`` is set when it is refused."""

    kind: str
    name: str
    action: str
    reason: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    error: Optional[CollError] = None

    @property
    def key(self) -> str:
        """Unique within a plan: the kind and the name."""
        return entry_key(self.kind, self.name)


@dataclass(frozen=True)
class Plan:
    """Verdicts in the order the caller named things, and the stages that make them true."""

    verdicts: tuple[Verdict, ...] = ()
    stages: tuple[Stage, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps of all stages, in order."""
        return tuple(step for stage in self.stages for step in stage.steps)


def entry_key(kind: str, name: str) -> str:
    """The key that ties a step to its verdict."""
    return f"{kind}/{name}"


def render_diff(steps: tuple[Step, ...]) -> list[dict[str, object]]:
    """Ansible's diff structure for the steps that show something."""
    return [
        {
            "before_header": step.target,
            "after_header": f"{step.target} ({step.verb})",
            "before": dict(step.before or {}),
            "after": dict(step.after or {}),
        }
        for step in steps
        if step.before is not None or step.after is not None
    ]
