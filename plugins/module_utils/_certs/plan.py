# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted and what is seen to what is done: one verdict and its steps for every person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .._core.errors import CollError
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .._core.window import rfc3339
from .certificate import Certificate, Unreadable, read_certificate
from .due import reason_due
from .holders import Holders, held_already, new_names
from .ledger import line_of, still_valid
from .pair import Pair
from .refusals import key_unreadable, not_ours, unsuccessful, wrong_login
from .request import Attempt, Standing, differences, standing, words_for, words_of
from .wanted import Person, Wanted, optional_text

KIND = "certificate"
DISCARD, KEYS, REQUEST, APPROVE, SIGN = "discard", "keys", "request", "approve", "sign"
COLLECT, INSTALL, CLEAN, LOGIN, REMOVE = "collect", "install", "clean", "login", "remove"
STAGES = (DISCARD, KEYS, REQUEST, APPROVE, SIGN, COLLECT, INSTALL, CLEAN, LOGIN, REMOVE)

Obj = Mapping[str, Any]
Login = Union[tuple[str, tuple[str, ...]], CollError]


@dataclass(frozen=True)
class Seen:
    """The present state. ``requests`` and ``requester`` are only read when somebody is due or is to go.

    ``holders`` are names with rights that we did not grant; ``logins`` say whom the server takes a valid pair for.
    """

    now: int
    pairs: Mapping[str, Pair]
    requests: tuple[Obj, ...] = ()
    requester: str = ""
    ledger: tuple[Mapping[str, Any], ...] = ()
    holders: Holders = field(default_factory=dict)
    logins: Mapping[str, Login] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What one person's steps work on. ``request`` is the object of ``attempt`` as it was seen;
    ``stale`` attempts are to go first; ``objects`` are all requests on the server that concern the person."""

    person: Person
    pair: Pair
    attempt: Optional[Attempt] = None
    request: Optional[Obj] = None
    stale: tuple[Attempt, ...] = ()
    objects: tuple[Obj, ...] = ()


@dataclass(frozen=True)
class Decision:
    """A plan, and the jobs behind its steps by entry key."""

    plan: Plan
    jobs: Mapping[str, Job] = field(default_factory=dict)


@dataclass(frozen=True)
class _Item:
    verdict: Verdict
    job: Job
    steps: tuple[tuple[str, Step], ...] = ()
    warnings: tuple[str, ...] = ()


def due(wanted: Wanted, pairs: Mapping[str, Pair], now: int) -> tuple[Person, ...]:
    """Those for whom a certificate is to be asked for, or to be collected."""
    return tuple(person for person in wanted.people if person.present and reason_due(person, pairs[person.name], wanted, now))


def needs_requests(wanted: Wanted, pairs: Mapping[str, Pair], now: int) -> bool:
    """Whether the requests on the server matter: when nobody is due, nobody is to go and nothing was left over, they do not."""
    if wanted.local:
        return False
    begun = any(pairs[one.name].leftover is not None or pairs[one.name].attempts for one in wanted.people)
    return begun or not all(person.present for person in wanted.people) or bool(due(wanted, pairs, now))


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """Every person's verdict and steps."""
    by_user = _by_user(seen.requests)
    items = []
    for person in wanted.people:
        mine = by_user.get(words_for(person.name), ())
        items.append(_present(person, wanted, seen, mine) if person.present else _absent(person, seen, mine))
    stages = tuple(Stage(name, tuple(step for item in items for at, step in item.steps if at == name)) for name in STAGES)
    plan = Plan(
        tuple(item.verdict for item in items),
        tuple(stage for stage in stages if stage.steps),
        (*seen.warnings, *(warning for item in items for warning in item.warnings)),
    )
    return Decision(plan, {item.verdict.key: item.job for item in items})


def _by_user(objects: tuple[Obj, ...]) -> dict[str, tuple[Obj, ...]]:
    found: dict[str, list[Obj]] = {}
    for obj in objects:
        found.setdefault(words_of(obj), []).append(obj)
    return {words: tuple(same) for words, same in found.items()}


def _present(person: Person, wanted: Wanted, seen: Seen, objects: tuple[Obj, ...]) -> _Item:
    pair = seen.pairs[person.name]
    reason = reason_due(person, pair, wanted, seen.now)
    if not reason:
        return _not_due(person, pair, seen, objects)
    attempt = next((attempt for attempt in pair.attempts if attempt.fits(person, wanted)), None)
    request = None
    if attempt is not None:
        request = next((obj for obj in objects if obj["metadata"]["name"] == attempt.object_name), None)
    begun = pair.attempts if pair.leftover is None else (*pair.attempts, pair.leftover)
    job = Job(person, pair, attempt, request, tuple(one for one in begun if one is not attempt), objects)
    action = "updated" if pair.certificate is not None else "created"
    facts = {**_places(pair, person), "groups": list(person.groups)}
    error = _refusal(person, wanted, seen, job)
    if error is not None:
        return _Item(Verdict(KIND, person.name, "failed", reason, facts, error), job)
    return _due(job, wanted, action, reason, facts)


def _due(job: Job, wanted: Wanted, action: str, reason: str, facts: Mapping[str, object]) -> _Item:
    if wanted.local:
        return _Item(Verdict(KIND, job.person.name, action, reason, facts), job, _local_steps(job, wanted, reason))
    stands = standing(job.request) if job.request is not None else Standing("missing")
    if stands.word in ("denied", "failed"):
        error = unsuccessful(job.person.name, stands)
        return _Item(Verdict(KIND, job.person.name, "failed", reason, facts, error), job)
    steps = _steps(job, wanted, stands, reason)
    if job.attempt is not None:
        reason = f"{reason} (continuing an earlier run)"
    if wanted.approve == "skip" and stands.word != "issued":
        reason = f"{reason}; the request waits for {'the signer' if stands.word == 'approved' else 'approval'}"
        action = action if steps else "unchanged"
    return _Item(Verdict(KIND, job.person.name, action, reason, facts), job, steps)


def _steps(job: Job, wanted: Wanted, stands: Standing, reason: str) -> tuple[tuple[str, Step], ...]:
    entry = entry_key(KIND, job.person.name)
    request = f"certificate request of {job.person.name}"
    steps = _first_steps(job, entry)
    if stands.word == "missing":
        steps.append((REQUEST, Step("create", request, entry)))
    if stands.word in ("missing", "pending") and wanted.approve == "auto":
        steps.append((APPROVE, Step("approve", request, entry)))
    if wanted.approve != "skip" or stands.word == "issued":
        steps.append((COLLECT, Step("collect", f"certificate of {job.person.name}", entry)))
        steps += _last_steps(job, wanted, entry, reason, request)
    return tuple(steps)


def _local_steps(job: Job, wanted: Wanted, reason: str) -> tuple[tuple[str, Step], ...]:
    entry = entry_key(KIND, job.person.name)
    sign = (SIGN, Step("sign", f"certificate of {job.person.name}", entry))
    return (*_first_steps(job, entry), sign, *_last_steps(job, wanted, entry, reason, f"record of {job.person.name}"))


def _first_steps(job: Job, entry: str) -> list[tuple[str, Step]]:
    steps = [(DISCARD, Step("discard", discard_target(stale), entry)) for stale in job.stale]
    if job.attempt is None:
        what = "signing request" if job.person.csr else "private key"
        steps.append((KEYS, Step("create", f"{what} of {job.person.name}", entry)))
    return steps


def _last_steps(job: Job, wanted: Wanted, entry: str, reason: str, removed: str) -> list[tuple[str, Step]]:
    name = job.person.name
    before = _shown(job.pair.certificate)
    after = {"groups": list(job.person.groups), "not_after": f"{job.person.lifetime} s after the issue", "reason": reason}
    steps = [
        (INSTALL, Step("install", f"certificate of {name}", entry, before, after)),
        (CLEAN, Step("remove", removed, entry)),
    ]
    if wanted.verify_login and not job.person.csr:
        steps.append((LOGIN, Step("verify", f"login of {name}", entry)))
    return steps


def discard_target(attempt: Attempt) -> str:
    """What a person would call an attempt that is given up."""
    return f"unfinished request {attempt.object_name} of {attempt.user}"


def request_target(obj: Obj, user: str) -> str:
    """What a person would call a request on the server."""
    return f"certificate request {obj['metadata']['name']} of {user}"


def _refusal(person: Person, wanted: Wanted, seen: Seen, job: Job) -> Optional[CollError]:
    """Why nothing is requested for a person: a key that would be lost, a foreign request, or rights nobody granted."""
    if job.pair.key_damaged and wanted.key_policy != "always":
        return key_unreadable(person.name, job.pair.key_path, passphrase=wanted.encrypts_keys)
    if job.attempt is not None and job.request is not None:
        found = differences(job.request, job.attempt, seen.requester)
        if found:
            return not_ours(person.name, job.request, found)
    for obj in job.objects:
        asker = (obj.get("spec") or {}).get("username")
        if obj is not job.request and asker != seen.requester:
            return not_ours(person.name, obj, (f"it was made by {optional_text(asker, 80)!r}, not by {seen.requester!r}",))
    return held_already(person, new_names(person, job.pair, wanted, seen.now), seen.holders)


def _not_due(person: Person, pair: Pair, seen: Seen, objects: tuple[Obj, ...]) -> _Item:
    leftover = pair.leftover
    request = None
    if leftover is not None:
        same = [obj for obj in objects if obj["metadata"]["name"] == leftover.object_name]
        request = next((obj for obj in same if not differences(obj, leftover, seen.requester)), None)
    job = Job(person, pair, leftover, request, pair.attempts, objects)
    facts = {**_places(pair, person), **certificate_facts(pair.certificate, seen.now)}
    error, told = _login_of(person, seen)
    facts.update(told)
    if error is not None:
        return _Item(Verdict(KIND, person.name, "failed", "the login failed", facts, error), job)
    if leftover is None and not pair.untidy and not pair.attempts:
        over = f"the end is {rfc3339(person.end)}" if person.is_over and person.end is not None else ""
        return _Item(Verdict(KIND, person.name, "unchanged", over, facts), job)
    reason = pair.untidy or "an earlier run had not finished cleaning up"
    entry = entry_key(KIND, person.name)
    stale = tuple((DISCARD, Step("discard", discard_target(attempt), entry)) for attempt in pair.attempts)
    tidy = Step("tidy", f"key and certificate of {person.name}", entry, {"state": reason}, {"state": "tidy"})
    return _Item(Verdict(KIND, person.name, "updated", reason, facts), job, (*stale, (CLEAN, tidy)))


def _absent(person: Person, seen: Seen, objects: tuple[Obj, ...]) -> _Item:
    pair = seen.pairs[person.name]
    entry = entry_key(KIND, person.name)
    own = tuple(obj for obj in objects if (obj.get("spec") or {}).get("username") == seen.requester)
    foreign = sorted(obj["metadata"]["name"] for obj in objects if obj not in own)
    steps = [(REMOVE, Step("remove", request_target(obj, person.name), entry)) for obj in own]
    if pair.stored:
        before = _shown(pair.certificate) or {}
        steps.append((REMOVE, Step("remove", f"key and certificate of {person.name}", entry, before, {})))
    facts = {**_places(pair, person), **certificate_facts(pair.certificate, seen.now)}
    facts["still_valid"] = still_valid(_all_issued(person, seen, own), person.name, seen.now)
    action, reason = ("removed", "state is absent") if steps else ("unchanged", "")
    warnings = tuple(
        f"user {person.name!r}: the certificate request {name!r} was made by somebody else and stays." for name in foreign
    )
    job = Job(person, pair, objects=own)
    return _Item(Verdict(KIND, person.name, action, reason, facts), job, tuple(steps), warnings)


def _all_issued(person: Person, seen: Seen, own: tuple[Obj, ...]) -> tuple[Mapping[str, Any], ...]:
    """The ledger, with what is issued and not written there: the present certificate, and one never collected."""
    present = seen.pairs[person.name].certificate
    lines = [line_of(person.name, present, "", seen.now)] if present is not None else []
    return (*seen.ledger, *lines, *issued_lines(person.name, own, seen.now))


def issued_lines(user: str, requests: tuple[Obj, ...], now: int) -> tuple[Mapping[str, Any], ...]:
    """Ledger lines of the certificates that requests on the server hold."""
    found = []
    for obj in requests:
        pem = standing(obj).certificate_pem
        if pem is not None:
            try:
                found.append(line_of(user, read_certificate(pem), str(obj["spec"].get("signerName")), now))
            except Unreadable:
                continue
    return tuple(found)


def _login_of(person: Person, seen: Seen) -> tuple[Optional[CollError], dict[str, object]]:
    login = seen.logins.get(person.name)
    if login is None or isinstance(login, CollError):
        return login, {}
    return wrong_login(person, login), {"login": {"user": login[0], "groups": list(login[1])}}


def _places(pair: Pair, person: Person) -> dict[str, object]:
    return {"cert_path": pair.cert_path} if person.csr else {"key_path": pair.key_path, "cert_path": pair.cert_path}


def certificate_facts(certificate: Optional[Certificate], now: int) -> dict[str, object]:
    """What a result says about a certificate."""
    if certificate is None:
        return {}
    return {
        "not_after": rfc3339(certificate.not_after),
        "seconds_left": max(0, certificate.not_after - now),
        "serial": certificate.serial,
        "credential_id": certificate.credential_id,
        "groups": list(certificate.groups),
    }


def _shown(certificate: Optional[Certificate]) -> Optional[dict[str, object]]:
    if certificate is None:
        return None
    return {
        "groups": list(certificate.groups),
        "not_after": rfc3339(certificate.not_after),
        "credential_id": certificate.credential_id,
    }
