# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s_user_cert: key on disk → request → approval → certificate → one atomic switch → clean-up → login."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol, Union

from .._certs import ledger as ledger_lines
from .._certs import plan as planning
from .._certs.certificate import Certificate, Unreadable, objections, read_certificate, rfc3339
from .._certs.pair import KeyFacts, StoredPair, pair_of
from .._certs.plan import Decision, Job, Seen
from .._certs.request import (
    USER_LABEL,
    Attempt,
    approval_of,
    approved_at,
    differences,
    object_of,
    record_of,
    standing,
    usages_for,
)
from .._certs.wanted import Person, Wanted, read_wanted
from .._core.errors import BackendFailed, CollError, Conflict, Refused
from .._core.names import dns_name
from .._core.plan import Plan, Stage, Step
from .._core.ports import KubeApi
from .._core.run import Outcome, Run, each_step

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_OURS = {"labelSelector": USER_LABEL}
_APPROVAL_TRIES = 4

Obj = Mapping[str, Any]
Facts = Mapping[str, object]


class KeyMaker(Protocol):
    """Private keys, signing requests, randomness."""

    def make(self, key_type: str) -> bytes:
        """A new private key as PEM."""

    def sign(self, key_pem: bytes, person: Person) -> str:
        """A signing request for a person, as PEM."""

    def inspect(self, key_pem: bytes) -> Optional[KeyFacts]:
        """What may be known of a key; None when it cannot be read."""

    def token(self) -> str:
        """A few random characters."""


class Pairs(Protocol):
    """Where keys and certificates are kept, whole pairs at a time."""

    def read(self, name: str) -> StoredPair:
        """Everything stored for a person."""

    def prepare(self, name: str, version: str, key_pem: bytes, record: bytes) -> None:
        """Bring a key and the request made with it to disk."""

    def install(self, name: str, version: str, certificate_pem: str) -> None:
        """Complete a prepared version and make it the present pair, in one step."""

    def settle(self, name: str) -> None:
        """Put the present pair in order and forget its request."""

    def drop(self, name: str, version: str = "") -> None:
        """Remove one unfinished version, or everything of the person."""


class Ledger(Protocol):
    """The record of every issue."""

    path: str

    def read(self) -> bytes:
        """All of it."""

    def append(self, lines: bytes) -> None:
        """Add lines and bring them to disk."""


class Login(Protocol):
    """A login with a pair."""

    def who(self, cert_pem: str, key_pem: bytes) -> tuple[str, tuple[str, ...]]:
        """The user and the groups that the server sees."""


@dataclass(frozen=True)
class Outside:
    """Everything outside of the process that the flow works with."""

    kube: KubeApi
    pairs: Pairs
    ledger: Ledger
    keys: KeyMaker
    login: Login
    clock: Callable[[], float]


class UserCertFlow:
    """The flow of one run. What is learned between stages is kept per entry; each entry is touched by one thread at a time."""

    def __init__(self, wanted: Wanted, outside: Outside, *, concurrency: int, stop_on_error: bool) -> None:
        self.stop_on_error = stop_on_error
        self._wanted = wanted
        self._out = outside
        self._concurrency = concurrency
        self._requester = ""
        self._version = "0"
        self._jobs: Mapping[str, Job] = {}
        self._attempts: dict[str, Attempt] = {}
        self._objects: dict[str, Obj] = {}
        self._certificates: dict[str, tuple[str, Certificate]] = {}

    @classmethod
    def from_params(cls, params: Mapping[str, Any], outside: Outside) -> UserCertFlow:
        """The flow for a task's options; raises BadInput when one of them is wrong."""
        stop_on_error = params["on_error"] == "stop"
        return cls(read_wanted(params), outside, concurrency=params["concurrency"], stop_on_error=stop_on_error)

    def observe(self) -> Seen:
        """The pairs; the requests on the server only when somebody is due or is to go: then one LIST for all."""
        now = int(self._out.clock())
        pairs = {
            person.name: pair_of(self._out.pairs.read(person.name), self._out.keys.inspect) for person in self._wanted.people
        }
        leaving = any(not person.present for person in self._wanted.people)
        issued = ledger_lines.parse(self._out.ledger.read()) if leaving else ()
        if not planning.needs_requests(self._wanted, pairs, now):
            return Seen(now, pairs, ledger=issued)
        listing = self._out.kube.list_all(REQUESTS, _OURS)
        self._version = listing.resource_version
        review = self._out.kube.call(
            "POST", SELF_REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        )
        self._requester = str(review["status"]["userInfo"]["username"])
        return Seen(now, pairs, listing.objects, self._requester, issued)

    def decide(self, seen: Seen) -> Plan:
        """Delegates to the domain, and keeps the jobs behind the steps."""
        decision: Decision = planning.decide(self._wanted, seen)
        self._jobs = decision.jobs
        for entry, job in decision.jobs.items():
            if job.attempt is not None:
                self._attempts[entry] = job.attempt
            if job.request is not None:
                self._objects[entry] = job.request
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """One stage: side by side, except for the one watch that collects the whole batch."""
        if stage.name == planning.COLLECT:
            return self._collect(stage.steps)
        calls: dict[str, Callable[[Step], Optional[Facts]]] = {
            planning.DISCARD: self._discard,
            planning.KEYS: self._make_key,
            planning.REQUEST: self._request,
            planning.APPROVE: self._approve,
            planning.INSTALL: self._install,
            planning.CLEAN: self._clean,
            planning.LOGIN: self._verify_login,
            planning.REMOVE: self._remove,
        }
        return each_step(stage.steps, calls[stage.name], concurrency=self._concurrency, stop_on_error=self.stop_on_error)

    def report(self, run: Run) -> Mapping[str, object]:
        """Where the ledger is; all else is in the entries."""
        del run
        return {"ledger_path": self._out.ledger.path}

    def _discard(self, step: Step) -> None:
        """Withdraw an attempt that no longer asks for what is wanted; a certificate it led to is written down first."""
        job = self._jobs[step.entry]
        attempt = next(stale for stale in job.stale if step.target == planning.discard_target(stale))
        for obj in job.objects:
            same = obj["metadata"]["name"] == attempt.object_name
            if same and not differences(obj, attempt, self._requester):
                self._write_down(planning.issued_lines(job.person.name, (obj,), int(self._out.clock())), seen_before=True)
                self._delete(obj)
        self._out.pairs.drop(job.person.name, attempt.version)

    def _make_key(self, step: Step) -> None:
        """A key and its request, both on disk before anything is sent."""
        job = self._jobs[step.entry]
        name = job.person.name
        key_pem, key = self._key_for(job)
        token = self._out.keys.token()
        stamp = rfc3339(int(self._out.clock())).replace("-", "").replace(":", "")
        attempt = Attempt(
            version=f"{stamp}-{token}",
            object_name=f"{dns_name('kubestead', name, limit=48)}-{token}",
            user=name,
            groups=job.person.groups,
            signer=self._wanted.signer,
            usages=usages_for(key.key_type),
            expiration_seconds=job.person.lifetime,
            request_pem=self._out.keys.sign(key_pem, job.person),
            key_hash=key.public_key_hash,
        )
        self._out.pairs.prepare(name, attempt.version, key_pem, record_of(attempt))
        self._attempts[step.entry] = attempt

    def _key_for(self, job: Job) -> tuple[bytes, KeyFacts]:
        if self._wanted.keeps_keys and job.pair.key is not None:
            current = self._out.pairs.read(job.person.name).current
            if current is not None and current.key_pem is not None:
                return current.key_pem, job.pair.key
        key_pem = self._out.keys.make(self._wanted.key_type)
        facts = self._out.keys.inspect(key_pem)
        if facts is None:
            raise BackendFailed(f"user {job.person.name!r}: the new key cannot be read back.")
        return key_pem, facts

    def _request(self, step: Step) -> Facts:
        """Create the request and compare what the server holds with what was sent, in whole."""
        attempt = self._attempts[step.entry]
        try:
            obj = self._out.kube.call("POST", REQUESTS, object_of(attempt))
        except Conflict as exc:
            if exc.facts.get("reason") != "AlreadyExists":
                raise
            obj = self._out.kube.call("GET", f"{REQUESTS}/{attempt.object_name}")
        self._check_ours(step, obj)
        return {"request": attempt.object_name}

    def _approve(self, step: Step) -> None:
        """Approve exactly the object that was compared; when it changed meanwhile, compare the new state again."""
        for tries_left in reversed(range(_APPROVAL_TRIES)):
            obj = self._objects[step.entry]
            stands = standing(obj)
            if stands.word in ("approved", "issued"):
                return
            if stands.word != "pending":
                raise planning.unsuccessful(self._jobs[step.entry].person.name, stands)
            path = f"{REQUESTS}/{obj['metadata']['name']}"
            try:
                self._objects[step.entry] = self._out.kube.call("PUT", f"{path}/approval", approval_of(obj))
                return
            except Conflict:
                if not tries_left:
                    raise
            self._check_ours(step, self._out.kube.call("GET", path), uid=obj["metadata"]["uid"])

    def _check_ours(self, step: Step, obj: Obj, uid: str = "") -> None:
        found = differences(obj, self._attempts[step.entry], self._requester)
        if uid and obj["metadata"]["uid"] != uid:
            found = ("it was removed and made again by somebody", *found)
        if found:
            raise planning.not_ours(self._jobs[step.entry].person.name, obj, found)
        self._objects[step.entry] = obj

    def _collect(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """One watch for the whole batch. What was issued is in the ledger before anything else is done with it."""
        ended = self._await_certificates(steps)
        judged = {step: self._judge(step, ended[step]) for step in steps}
        now = int(self._out.clock())
        lines = [
            ledger_lines.line_of(self._attempts[step.entry].user, found[1], self._attempts[step.entry].signer, now)
            for step in steps
            for found in [self._certificates.get(step.entry)]
            if found is not None
        ]
        try:
            continued = any(self._jobs[step.entry].attempt is not None for step in steps)
            self._write_down(lines, seen_before=continued)
        except CollError as exc:
            judged = {step: judged[step] or exc for step in steps}
        for step, error in judged.items():
            yield Outcome(step, error=error)

    def _await_certificates(self, steps: Sequence[Step]) -> dict[Step, Union[Obj, CollError]]:
        """How each request ended: the object with a certificate, or why there is none."""
        waiting = {self._objects[step.entry]["metadata"]["name"]: step for step in steps}
        ended: dict[Step, Union[Obj, CollError]] = {}

        def take(obj: Obj, *, last: bool = False) -> None:
            step = waiting.get(obj["metadata"]["name"])
            result = self._ending(step, obj, last=last) if step is not None else None
            if step is not None and result is not None:
                ended[step] = result
                del waiting[obj["metadata"]["name"]]

        for step in steps:
            take(self._objects[step.entry])
        if waiting:
            events = self._out.kube.watch(REQUESTS, self._version, seconds=self._wanted.wait_timeout, query=_OURS)
            for event in events:
                take(event["object"], last=event["type"] == "DELETED")
                if not waiting:
                    break
        if waiting:  # a last look, in case the watch lost something
            for obj in self._out.kube.list_all(REQUESTS, _OURS).objects:
                take(obj)
        for step in waiting.values():
            stands = standing(self._objects[step.entry])
            ended[step] = planning.timed_out(self._jobs[step.entry].person.name, stands, self._wanted.wait_timeout)
        return ended

    def _ending(self, step: Step, obj: Obj, *, last: bool) -> Union[Obj, CollError, None]:
        """What an object says about the end of a wait; None while it is open. ``last``: it was removed in this state."""
        name = self._jobs[step.entry].person.name
        if obj["metadata"]["uid"] != self._objects[step.entry]["metadata"]["uid"]:
            return planning.not_ours(name, obj, ("it was removed and made again by somebody",))
        self._objects[step.entry] = obj
        stands = standing(obj)
        if stands.word == "issued":
            return obj
        if stands.word in ("denied", "failed"):
            return planning.unsuccessful(name, stands)
        if last:
            return Conflict(
                f"user {name!r}: the certificate request {obj['metadata']['name']!r} was removed before it was signed.",
                hint="Run again to ask anew.",
            )
        return None

    def _judge(self, step: Step, ending: Union[Obj, CollError]) -> Optional[CollError]:
        """Why a person cannot have their certificate; None when it is good."""
        if isinstance(ending, CollError):
            return ending
        person, attempt = self._jobs[step.entry].person, self._attempts[step.entry]
        pem = standing(ending).certificate_pem or ""
        try:
            certificate = read_certificate(pem)
        except Unreadable as exc:
            return BackendFailed(f"user {person.name!r}: what the signer returned is {exc}.")
        self._certificates[step.entry] = (pem, certificate)
        latest_start = max(int(self._out.clock()), approved_at(ending))
        found = objections(certificate, person, attempt.key_hash, latest_start)
        if not found:
            return None
        return Refused(
            f"user {person.name!r}: the issued certificate is not what was asked: {'; '.join(found)}.",
            hint="It was not installed. Look at the signer, then run with state: absent for this user to start anew.",
            credential_id=certificate.credential_id,
            objections=list(found),
        )

    def _install(self, step: Step) -> Facts:
        pem, certificate = self._certificates[step.entry]
        self._out.pairs.install(self._jobs[step.entry].person.name, self._attempts[step.entry].version, pem)
        return planning.certificate_facts(certificate, int(self._out.clock()))

    def _clean(self, step: Step) -> None:
        if step.entry in self._objects:
            self._delete(self._objects[step.entry])
        self._out.pairs.settle(self._jobs[step.entry].person.name)

    def _verify_login(self, step: Step) -> Facts:
        person = self._jobs[step.entry].person
        stored = self._out.pairs.read(person.name).current
        if stored is None or stored.key_pem is None:
            raise Conflict(f"user {person.name!r}: the key vanished before the login was tried.")
        user, groups = self._out.login.who(self._certificates[step.entry][0], stored.key_pem)
        expected = {*person.groups, "system:authenticated"}
        if user != person.name or set(groups) != expected:
            raise BackendFailed(
                f"user {person.name!r}: the server takes the new certificate for {user!r} of {', '.join(sorted(groups))}.",
                hint=f"Expected the groups {', '.join(sorted(expected))}.",
            )
        return {"login": {"user": user, "groups": list(groups)}}

    def _remove(self, step: Step) -> None:
        """The requests first (written down if they led to a certificate), then the files."""
        job = self._jobs[step.entry]
        for obj in job.objects:
            if step.target == planning.request_target(obj, job.person.name):
                self._write_down(planning.issued_lines(job.person.name, (obj,), int(self._out.clock())), seen_before=True)
                self._delete(obj)
                return
        self._out.pairs.drop(job.person.name)

    def _delete(self, obj: Obj) -> None:
        """Remove one of our requests; that it is gone, or is another by now, is as good."""
        meta = obj["metadata"]
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": meta["uid"]}}
        try:
            self._out.kube.call("DELETE", f"{REQUESTS}/{meta['name']}", options)
        except BackendFailed as exc:
            if exc.facts.get("status") != 404:
                raise
        except Conflict:
            return

    def _write_down(self, lines: Sequence[Mapping[str, Any]], *, seen_before: bool) -> None:
        """Append to the ledger; lines that an earlier run may have written are looked for first."""
        if lines and seen_before:
            lines = ledger_lines.missing_from(lines, ledger_lines.parse(self._out.ledger.read()))
        if lines:
            self._out.ledger.append(ledger_lines.render(lines))
