# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that is being made: its stages, and beside them the work that each step stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional, Union

from .._core.plan import Step, Verdict, entry_key
from .edits import shown
from .groups import GroupChange
from .model import Attributes, Change, Values

RENAMES, ACCOUNTS, LOCKS, PASSWORDS = "renames", "accounts", "locks", "passwords"
GROUPS, GROUPS_GO, ACCOUNTS_GO = "groups", "groups that go", "accounts that go"
# A lock comes before the password, so that a new disabled account is at no time one that can log in.
STAGES = (RENAMES, ACCOUNTS, LOCKS, PASSWORDS, GROUPS, GROUPS_GO, ACCOUNTS_GO)


@dataclass(frozen=True)
class AccountWrite:
    """A new entry (``changes`` empty) or changes of one; ``needs_id`` when the counter still has to give a number."""

    dn: str
    attributes: Attributes
    changes: tuple[Change, ...]
    needs_id: bool


@dataclass(frozen=True)
class PasswordWrite:
    """A password to set. The server ends a lock with it, so a locked account is locked again in the same step."""

    uid: str
    dn: str
    after: tuple[Change, ...]


@dataclass(frozen=True)
class LockWrite:
    """A lock to set or to end."""

    dn: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class RenameWrite:
    """A new name or place of an account. Groups that name the old one get the new one in the same step."""

    dn: str
    rdn: str
    parent: str
    new_dn: str
    old_uid: str
    new_uid: str


@dataclass(frozen=True)
class Removal:
    """An entry that goes."""

    dn: str


Shown = Mapping[str, object]
Work = Union[AccountWrite, PasswordWrite, LockWrite, RenameWrite, GroupChange, Removal]


@dataclass
class Draft:
    """Verdicts, steps and work as they come up."""

    verdicts: list[Verdict] = field(default_factory=list)
    steps: dict[str, list[Step]] = field(default_factory=lambda: {name: [] for name in STAGES})
    work: dict[tuple[str, str], Work] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    removals: int = 0

    def step(self, stage: str, step: Step, work: Work) -> None:
        """Add a step and its work."""
        self.steps[stage].append(step)
        self.work[work_key(step)] = work

    def account_step(
        self, stage: str, verb: str, uid: str, work: Work, before: Optional[Shown] = None, after: Optional[Shown] = None
    ) -> None:
        """The same for an account, from what is shown of it before and after."""
        self.step(stage, Step(verb, f"account {uid}", entry_key("account", uid), before, after), work)

    def warn(self, text: str) -> None:
        """Say it once."""
        if text not in self.warnings:
            self.warnings.append(text)


def work_key(step: Step) -> tuple[str, str]:
    """What identifies a step within a plan."""
    return step.verb, step.entry


def texts(attributes: Mapping[str, Values], names: Values) -> dict[str, object]:
    """Attributes as a diff shows them."""
    return {name: shown(attributes[name]) for name in names if name in attributes}
