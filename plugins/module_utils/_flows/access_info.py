# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info: one pass over the directory, the certificates and the cluster, put together by person. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._core.access import EVERYBODY, Asked, Listed, Survey, moment_text
from .._core.plan import Plan, Stage, Verdict
from .._core.run import Outcome, Run, entry_dict
from .._core.units import seconds
from .._report.drift import Finding, as_dict, findings
from .._report.people import Held, Judge, PersonAccess, Rules, facts, people_of, right_facts
from .._report.tables import text_of
from .access_certificates import CertificateReader, CertificatesSeen
from .access_directory import AccountReader
from .access_rights import Question, RightsReader, question_from


@dataclass(frozen=True)
class Sources:
    """Where to look. ``accounts`` is None without a directory, ``listed`` without a list of people."""

    rights: RightsReader
    certificates: CertificateReader
    accounts: Optional[AccountReader]
    listed: Optional[tuple[Listed, ...]]
    asked: tuple[Asked, ...]
    clock: Callable[[], float]
    server: str


@dataclass(frozen=True)
class Scope:
    """What the result is to hold. Without ``names`` it is everybody."""

    cluster: str
    names: frozenset[str]
    questions: tuple[Question, ...]
    as_text: bool


class AccessInfoFlow:
    """Reads all sources; its plan has no steps."""

    stop_on_error = False

    def __init__(self, sources: Sources, rules: Rules, scope: Scope) -> None:
        self._sources = sources
        self._rules = rules
        self._scope = scope
        self._survey = Survey(0)
        self._people: tuple[PersonAccess, ...] = ()
        self._findings: tuple[Finding, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any], sources: Callable[[], Sources]) -> AccessInfoFlow:
        """The flow of a task; its options are judged before anything is read."""
        rules = Rules(
            owner=params["owner"],
            groups_from=tuple(params["groups_from"]),
            warn_before=seconds(params["warn_before"], "warn_before"),
            known_accounts=tuple(params["known_accounts"] or ()),
            known_bindings=tuple(params["known_bindings"] or ()),
        )
        questions = tuple(question_from(one, number) for number, one in enumerate(params["questions"] or ()))
        scope = Scope(params["cluster"] or "", frozenset(params["names"] or ()), questions, params["as_text"])
        return cls(sources(), rules, scope)

    def observe(self) -> Survey:
        """One pass over every source."""
        source = self._sources
        now = int(source.clock())
        rights = source.rights.read()
        seen = source.certificates.read(now) if source.certificates.asked else None
        certificates = seen or CertificatesSeen()
        return Survey(
            now=now,
            listed=source.listed,
            asked=source.asked,
            accounts=source.accounts.read() if source.accounts is not None else None,
            credentials=certificates.credentials if seen is not None else None,
            requests=certificates.requests,
            rights=rights.rights,
            roles=rights.roles,
            namespaces=rights.namespaces,
            unreadable=tuple(certificates.unreadable),
            groups_known=source.accounts is not None and source.accounts.reads_groups,
            stores_known=source.certificates.has_stores,
        )

    def decide(self, seen: Survey) -> Plan:
        """A verdict for each person; there is nothing to do about it."""
        self._survey = seen
        everybody = people_of(seen, self._rules)
        found = findings(seen, everybody, self._rules)
        names = self._scope.names
        self._people = tuple(person for person in everybody if not names or person.name in names)
        self._findings = tuple(one for one in found if not names or one.who in names)
        warnings = tuple(f"{place} holds nothing that could be read." for place in seen.unreadable)
        return Plan(() if self._scope.as_text else self._verdicts(), warnings=warnings)

    def _verdicts(self) -> tuple[Verdict, ...]:
        seen = self._survey
        levels = {role.name: role.level for role in seen.roles}
        return tuple(Verdict("person", one.name, "unchanged", "", facts(one, levels, seen.now)) for one in self._people)

    def execute(self, stage: Stage) -> Iterable[Outcome]:  # noqa: ARG002 - the shape of every flow
        """There is nothing to execute."""
        return ()

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the shape of every flow
        """What is not about one person alone, or all of it as text."""
        told = self._told()
        if not self._scope.as_text:
            return told
        return {"text": text_of({"entries": [entry_dict(one) for one in self._verdicts()], **told})}

    def _told(self) -> dict[str, object]:
        seen = self._survey
        levels = {role.name: role.level for role in seen.roles}
        held = {one.right.role for person in self._people for one in person.rights}
        judge = Judge(seen, self._rules)
        for_all = [Held(right, right.subject, judge.standing(right)) for right in seen.rights if right.subject in EVERYBODY]
        held |= {one.right.role for one in for_all}
        return {
            "cluster": self._scope.cluster or self._sources.server,
            "taken_at": moment_text(seen.now),
            "everybody": [right_facts(one, levels) for one in for_all],
            "roles": [
                {"name": one.name, "level": one.level, "rules": list(one.rules)} for one in seen.roles if one.name in held
            ],
            "namespaces": list(seen.namespaces),
            "findings": [as_dict(one) for one in self._findings],
            "answers": [self._answer(question) for question in self._scope.questions],
        }

    def _answer(self, question: Question) -> dict[str, object]:
        allows = self._sources.rights.allows
        return {
            "question": question.words(),
            "who": [one.name for one in self._people if allows(question, one.name, self._groups_of(one))],
            "everybody": allows(question, "", ()),
        }

    def _groups_of(self, person: PersonAccess) -> Sequence[str]:
        """The groups that count for a person's rights."""
        counted = self._rules.groups_from
        return [group for group, sources in person.groups.items() if any(source in counted for source in sources)]
