# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a decision: what was seen, the requests, and the plan in the making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import CollError
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .._core.window import rfc3339
from . import objects
from .grants import WHOLE_CLUSTER, Grant, Role, Subject, Wanted
from .permissions import Atom, Permissions

# Rights are taken before others are given: a run that breaks off leaves too few rights, never too many. What a wider grant
# replaces goes last, when the wider one is in effect.
STAGES = (REMOVE, NAMESPACES, ROLES, BINDINGS, REPLACED, LEFTOVERS) = (
    "removals",
    "namespaces",
    "roles",
    "bindings",
    "replaced bindings",
    "roles no longer used",
)
CHECKS = "checks"


@dataclass(frozen=True)
class Question:
    """May this subject do this there? ``expected`` is the answer that the list of grants implies."""

    subject: Subject
    atom: Atom
    namespace: str
    expected: bool = True


@dataclass(frozen=True)
class Seen:
    """The cluster as it is. ``bindings`` are ours, by path; ``others`` stand, by path, where one of ours is to be.

    ``refusals`` are writes the caller has no right to make, by the entry they serve; ``answers`` what the server said
    to the questions of an entry.
    """

    bindings: Mapping[str, Mapping[str, Any]]
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refusals: Mapping[str, CollError] = field(default_factory=dict)
    answers: Mapping[str, tuple[tuple[Question, bool], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    """The request behind a step.

    ``wanted`` is the object that is to stand afterwards, None for a removal; ``live`` what stood before. ``needs`` is the
    path of what must have been made by this run, or not have failed; ``proof`` must be answered with yes first.
    """

    method: str
    path: str
    body: Mapping[str, Any]
    wanted: Optional[Mapping[str, Any]] = None
    live: Optional[Mapping[str, Any]] = None
    needs: str = ""
    proof: Optional[Question] = None

    def object_path(self) -> str:
        """Where the object is or will be."""
        return f"{self.path}/{self.body['metadata']['name']}" if self.method == "POST" else self.path


@dataclass(frozen=True)
class Overdue:
    """A grant of ours whose end is past and that stood when the cluster was read; ``entry`` ends it, if one does."""

    name: str
    end: int
    entry: str


@dataclass(frozen=True)
class Decision:
    """The plan, and beside it the request for each step, by the step's target."""

    plan: Plan
    writes: Mapping[str, Write]
    questions: Mapping[str, tuple[Question, ...]]
    overdue: tuple[Overdue, ...] = ()
    ends: tuple[tuple[int, str], ...] = ()
    starts: tuple[tuple[int, str], ...] = ()


class Draft:
    """A decision in the making, with what is looked up again and again."""

    def __init__(self, wanted: Wanted, seen: Seen) -> None:
        self.wanted = wanted
        self.policy = wanted.policy
        self.seen = seen
        self.verdicts: dict[str, Verdict] = {}
        self.writes: dict[str, Write] = {}
        self.created: dict[tuple[tuple[Subject, ...], str], Grant] = {}
        self.removed: set[str] = set()
        self._steps: dict[str, list[Step]] = {name: [] for name in STAGES}
        self._held: dict[str, Optional[Permissions]] = {}
        self.given: dict[Subject, list[Grant]] = {}
        for grant in wanted.present():
            for subject in grant.subjects:
                self.given.setdefault(subject, []).append(grant)

    def path(self, grant: Grant) -> str:
        """Where the grant's binding is."""
        return objects.binding_path(grant, self.policy.owner)

    def live_role(self, role: Role, namespace: str) -> Optional[Mapping[str, Any]]:
        """The role as it stands."""
        return self.seen.roles.get(objects.role_path(role, namespace))

    def allowed(self, role: Role, namespace: str) -> Optional[Permissions]:
        """What a role allows where it is granted; None when it is not there. In a namespace no path is ever allowed."""
        key = f"{bool(namespace)} {objects.role_path(role, namespace)}"
        if key not in self._held:
            live = None if role.atoms else self.live_role(role, namespace)
            found = Permissions(role.atoms) if role.atoms else None if live is None else Permissions.of(live.get("rules") or ())
            if found is not None and namespace != WHOLE_CLUSTER:
                found = Permissions(atom for atom in found.atoms if not atom.path)
            self._held[key] = found
        return self._held[key]

    def judge(self, verdict: Verdict) -> None:
        """Note what becomes of an entry."""
        self.verdicts[verdict.key] = verdict

    def judge_grant(self, grant: Grant, action: str, reason: str, error: Optional[CollError] = None, **facts: object) -> None:
        """Note what becomes of a grant."""
        window = self.wanted.asks[grant].window
        dates = {"not_before": window.start, "expires": window.end}
        said = {name: rfc3339(moment) for name, moment in dates.items() if moment is not None}
        shown = {**permission(grant), "object": target(self.path(grant)), **said, **facts}
        self.judge(Verdict("grant", grant.sentence(), action, reason, shown, error))

    def plan_write(self, stage: str, step: Step, write: Write) -> None:
        """Note a step and its request."""
        self._steps[stage].append(step)
        self.writes[step.target] = write

    def stages(self) -> tuple[Stage, ...]:
        """The stages that have something to do."""
        return tuple(Stage(name, tuple(steps)) for name, steps in self._steps.items() if steps)


def key_of(grant: Grant) -> str:
    """The key of a grant's entry."""
    return entry_key("grant", grant.sentence())


def permission(grant: Grant) -> dict[str, object]:
    """A grant as the diff shows it."""
    return {"who": grant.who(), "role": grant.role.words(), "where": grant.where()}


def grant_of(binding: Mapping[str, Any]) -> Grant:
    """The grant that a live binding stands for."""
    role = binding.get("roleRef") or {}
    subjects = [
        Subject(str(one.get("kind")), str(one.get("name")), str(one.get("namespace") or ""))
        for one in binding.get("subjects") or ()
    ]
    return Grant(
        tuple(sorted(subjects, key=lambda one: (one.kind, one.namespace, one.name))),
        Role(str(role.get("kind")), str(role.get("name"))),
        str(binding["metadata"].get("namespace") or WHOLE_CLUSTER),
    )


def live_permission(live: Mapping[str, Any]) -> dict[str, object]:
    """A live binding as the diff shows it."""
    said = permission(grant_of(live))
    return {**said, "who": said["who"] or "nobody"}


def live_words(live: Mapping[str, Any]) -> str:
    """A live binding as a sentence."""
    said = live_permission(live)
    return f"{said['who']}: {said['role']} in {said['where']}"


def target(path: str) -> str:
    """``rolebinding team-red/NAME`` or ``clusterrole NAME``."""
    _root, kind, name = path.rsplit("/", 2)
    place = path.split("/namespaces/")[1].split("/")[0] + "/" if "/namespaces/" in path else ""
    return f"{kind[:-1]} {place}{name}"
