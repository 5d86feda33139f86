# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the API server whether grants are in effect: which questions, in which words, and what the answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from .._core.errors import Conflict
from .draft import Draft, Question
from .grants import WHOLE_CLUSTER, Grant, Subject
from .permissions import EVERY_NAME, Atom, Permissions

SUBJECT_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SELF_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_PER_GRANT = 5


def questions(draft: Draft, grant: Grant) -> tuple[Question, ...]:
    """A few permissions of a grant's role, spread over it: yes if it is to be there, else no unless another grant says so."""
    allowed = draft.allowed(grant.role, grant.namespace)
    if allowed is None:
        return ()
    ask = draft.wanted.asks[grant]
    if ask.present and ask.window.stands(draft.wanted.now) == "open":
        return tuple(Question(who, atom, grant.namespace) for who in grant.subjects for atom in _some(sorted(allowed.atoms)))
    found = []
    for who in grant.subjects:
        lost = _others(draft, who, grant.namespace).lacking(allowed)
        found += [Question(who, atom, grant.namespace, expected=False) for atom in _some(lost)]
    return tuple(found)


def _some(atoms: Sequence[Atom]) -> list[Atom]:
    if len(atoms) <= _PER_GRANT:
        return list(atoms)
    return [atoms[number * (len(atoms) - 1) // (_PER_GRANT - 1)] for number in range(_PER_GRANT)]


def _others(draft: Draft, who: Subject, namespace: str) -> Permissions:
    """What the list gives a subject in a place."""
    found = Permissions(())
    for grant in draft.given.get(who, ()):
        if grant.namespace in (namespace, WHOLE_CLUSTER):
            found = found | (draft.allowed(grant.role, grant.namespace) or Permissions(()))
    return found


def subject_review(question: Question) -> dict[str, Any]:
    """A SubjectAccessReview. Whoever logs in is in ``system:authenticated``, so that group is always named."""
    who = question.subject
    spec: dict[str, Any] = {"groups": ["system:authenticated"]}
    if who.kind == "User":
        spec["user"] = who.name
    elif who.kind == "Group":
        spec["groups"].append(who.name)
    else:
        spec["user"] = f"system:serviceaccount:{who.namespace}:{who.name}"
        spec["groups"] += ["system:serviceaccounts", f"system:serviceaccounts:{who.namespace}"]
    spec.update(attributes(question.atom, question.namespace))
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def self_review(atom: Atom, namespace: str) -> dict[str, Any]:
    """The same about the caller."""
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": attributes(atom, namespace)}


def attributes(atom: Atom, namespace: str) -> dict[str, Any]:
    """A permission as the attributes of a request."""
    if atom.path:
        return {"nonResourceAttributes": {"verb": atom.verb, "path": atom.path}}
    resource, _slash, sub = atom.resource.partition("/")
    asked = {"verb": atom.verb, "group": atom.group, "resource": resource, "subresource": sub, "namespace": namespace}
    name = "" if atom.name == EVERY_NAME else atom.name
    return {"resourceAttributes": {key: text for key, text in {**asked, "name": name}.items() if text}}


def rows(answers: Sequence[tuple[Question, bool]]) -> list[dict[str, object]]:
    """The answers as the result shows them."""
    return [
        {"who": one.subject.words(), "what": one.atom.words(), "expected": one.expected, "allowed": allowed}
        for one, allowed in answers
    ]


def disagreement(answers: Sequence[tuple[Question, bool]]) -> Optional[Conflict]:
    """The error for answers that are not the expected ones."""
    wrong = [one for one, allowed in answers if allowed != one.expected]
    if not wrong:
        return None
    one = wrong[0]
    where = one.namespace or "the whole cluster"
    more = f" ({len(wrong)} of {len(answers)} answers differ)" if len(answers) > 1 else ""
    if one.expected:
        return Conflict(
            f"{one.subject.words()} should be allowed to {one.atom.words()} in {where}, and the API server says no{more}.",
            hint="Another authorizer may deny it, or the role was changed.",
        )
    return Conflict(
        f"{one.subject.words()} may still {one.atom.words()} in {where}{more}.",
        hint="A binding of another owner gives that right.",
    )
