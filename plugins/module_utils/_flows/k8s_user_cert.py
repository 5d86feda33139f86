# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s_user_cert: key on disk → request → approval → certificate → one atomic switch → clean-up → login.

With a CA on this host the three steps in the middle are one: it signs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Callable, Optional, Union

from .._certs import ledger as ledger_lines
from .._certs import plan as planning
from .._certs.certificate import Certificate, Unreadable, chain_of, objections, read_certificate
from .._certs.due import reason_due
from .._certs.holders import new_names
from .._certs.ledger import shortened
from .._certs.own_group import with_own_groups
from .._certs.pair import KeyFacts, Pair, pair_of
from .._certs.plan import Decision, Job, Login, Seen
from .._certs.refusals import not_as_asked, wrong_login
from .._certs.request import Attempt, approved_at, differences, object_name, record_of, standing, usages_for
from .._certs.rights import rights_needed
from .._certs.supplied import judged, usage_type
from .._certs.wanted import Person, Wanted, read_wanted
from .._core import pool
from .._core.errors import BackendFailed, CollError, Conflict
from .._core.plan import Plan, Stage, Step
from .._core.run import Outcome, Run, each_step
from .._core.window import rfc3339
from .cert_ports import Outside
from .cert_preflight import REQUESTS, Preflight
from .cert_requests import Obj, RequestDesk

__all__ = ["REQUESTS", "Outside", "UserCertFlow"]

Facts = Mapping[str, object]


class UserCertFlow:
    """The flow of one run. What is learned between stages is kept per entry; each entry is touched by one thread at a time."""

    def __init__(self, wanted: Wanted, outside: Outside, *, concurrency: int, stop_on_error: bool) -> None:
        self.stop_on_error = stop_on_error
        self._wanted = wanted
        self._out = outside
        self._concurrency = concurrency
        self._desk = RequestDesk(outside.kube, wanted.wait_timeout)
        self._jobs: Mapping[str, Job] = {}
        self._certificates: dict[str, tuple[str, Certificate]] = {}

    @classmethod
    def from_params(cls, params: Mapping[str, Any], outside: Outside) -> UserCertFlow:
        """The flow for a task's options; raises BadInput when one of them is wrong."""
        wanted = judged(read_wanted(params))
        if outside.authority is not None:
            wanted = replace(wanted, signer_ca=outside.authority.pem)
        return cls(wanted, outside, concurrency=params["concurrency"], stop_on_error=params["on_error"] == "stop")

    def observe(self) -> Seen:
        """The pairs; the requests on the server only when somebody is due or is to go: then one LIST for all."""
        now = int(self._out.clock())
        self._wanted = self._wanted.at(now)
        pairs = {
            person.name: pair_of(self._out.pairs.read(person.name), self._out.keys.inspect) for person in self._wanted.people
        }
        self._wanted = with_own_groups(self._wanted, pairs, self._out.keys.token)
        leaving = any(not person.present for person in self._wanted.people)
        issued = ledger_lines.parse(self._out.ledger.read()) if leaving else ()
        seen = Seen(now, pairs, ledger=issued, logins=self._logins(pairs, now))
        return self._asked(seen) if planning.needs_requests(self._wanted, pairs, now) else seen

    def _asked(self, seen: Seen) -> Seen:
        """With what the server says before anything is requested."""
        people = planning.due(self._wanted, seen.pairs, seen.now)
        unknown = any(new_names(person, seen.pairs[person.name], self._wanted, seen.now) for person in people)
        needed = rights_needed(self._wanted, asking=bool(people), new_names=unknown, secrets_in=self._out.pairs.secrets_in)
        preflight = Preflight(self._out.kube, self._wanted, self._concurrency)
        self._desk.requester, warnings = preflight.check(needed)
        return replace(
            seen,
            requests=self._desk.list_ours(),
            requester=self._desk.requester,
            holders=preflight.holders() if unknown else {},
            warnings=(*warnings, *(preflight.signer_doubt(seen.now) if people else ())),
        )

    def _logins(self, pairs: Mapping[str, Pair], now: int) -> dict[str, Login]:
        """With verify_login: whom the server takes the pairs for that are to stay."""
        if not self._wanted.verify_login:
            return {}
        staying = [one for one in self._wanted.people if one.present and not one.csr and not one.is_over]
        names = [one.name for one in staying if not reason_due(one, pairs[one.name], self._wanted, now)]
        return dict(pool.each(names, self._who, concurrency=self._concurrency))

    def _who(self, name: str) -> tuple[str, tuple[str, ...]]:
        stored = self._out.pairs.read(name).current
        if stored is None or stored.key_pem is None or stored.certificate_pem is None:
            raise Conflict(f"user {name!r}: the pair vanished before the login was tried.")
        return self._out.login.who(stored.certificate_pem.decode("ascii"), self._out.keys.plain(stored.key_pem))

    def decide(self, seen: Seen) -> Plan:
        """Delegates to the domain, and keeps the jobs behind the steps."""
        decision: Decision = planning.decide(self._wanted, seen)
        self._jobs = decision.jobs
        self._desk.take(decision.jobs)
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """One stage: side by side, except for the one watch that collects the whole batch."""
        if stage.name in (planning.COLLECT, planning.SIGN):
            return self._gather(stage)
        if stage.name == planning.INSTALL:
            return self._install_all(stage)
        calls: dict[str, Callable[[Step], Optional[Facts]]] = {
            planning.DISCARD: self._discard,
            planning.KEYS: self._make_key,
            planning.REQUEST: self._ask,
            planning.APPROVE: self._desk.approve,
            planning.CLEAN: self._clean,
            planning.LOGIN: self._verify_login,
            planning.REMOVE: self._remove,
        }
        return each_step(stage.steps, calls[stage.name], concurrency=self._concurrency, stop_on_error=self.stop_on_error)

    def report(self, run: Run) -> Mapping[str, object]:
        """Where the ledger is, and a warning when the signer granted less than was asked; all else is in the entries."""
        del run
        granted = [(self._jobs[entry].person, certificate) for entry, (_pem, certificate) in self._certificates.items()]
        warning = shortened(granted)
        return {"ledger_path": self._out.ledger.path, **({"warnings": [warning]} if warning else {})}

    def _discard(self, step: Step) -> None:
        """Withdraw an attempt that no longer asks for what is wanted; a certificate it led to is written down first."""
        job = self._jobs[step.entry]
        attempt = next(stale for stale in job.stale if step.target == planning.discard_target(stale))
        for obj in job.objects:
            same = obj["metadata"]["name"] == attempt.object_name
            if same and not differences(obj, attempt, self._desk.requester):
                self._write_down(planning.issued_lines(job.person.name, (obj,), int(self._out.clock())), seen_before=True)
                self._desk.remove(obj)
        if attempt.version == job.pair.version:  # the one that made the present pair, which stays
            self._out.pairs.settle(job.person.name)
        else:
            self._out.pairs.drop(job.person.name, attempt.version)

    def _make_key(self, step: Step) -> None:
        """A key and its request, both on disk before anything is sent."""
        job = self._jobs[step.entry]
        person = job.person
        if person.csr:
            key_pem, key = None, KeyFacts(usage_type(person), person.csr_key_hash)
        else:
            key_pem, key = self._key_for(job)
        token = self._out.keys.token()
        stamp = rfc3339(int(self._out.clock())).replace("-", "").replace(":", "")
        attempt = Attempt(
            version=f"{stamp}-{token}-{self._wanted.mark}",
            object_name=object_name(person.name, token),
            user=person.name,
            groups=person.groups,
            signer=self._wanted.signer,
            usages=usages_for(key.key_type),
            expiration_seconds=person.lifetime,
            request_pem=person.csr if key_pem is None else self._out.keys.sign(key_pem, person),
            key_hash=key.public_key_hash,
            supplied=key_pem is None,
        )
        self._out.pairs.prepare(person.name, attempt.version, key_pem, record_of(attempt))
        self._desk.attempts[step.entry] = attempt
        if not self._wanted.local:
            self._desk.hurry(step, approve=self._wanted.approve == "auto")

    def _ask(self, step: Step) -> Optional[Facts]:
        """Create the request. The run that began it may have been killed before its key was on disk, which comes first."""
        job = self._jobs[step.entry]
        if job.attempt is not None and step.entry not in self._desk.objects:
            self._out.pairs.keep(job.person.name, job.attempt.version)
        return self._desk.create(step)

    def _key_for(self, job: Job) -> tuple[bytes, KeyFacts]:
        if self._wanted.keeps_keys and job.pair.key is not None:
            current = self._out.pairs.read(job.person.name).current
            if current is not None and current.key_pem is not None:
                return self._out.keys.seal(current.key_pem), job.pair.key
        return self._out.keys.make(self._wanted.key_type)

    def _gather(self, stage: Stage) -> Iterator[Outcome]:
        """The certificates of a batch. What was issued is in the ledger before anything else is done with it."""
        steps = stage.steps
        if stage.name == planning.SIGN:
            judged_steps = dict(pool.each(steps, self._sign, concurrency=1))
        else:
            ended = self._desk.endings(steps)
            judged_steps = {step: self._judge_ending(step, ended[step]) for step in steps}
        now = int(self._out.clock())
        lines = [
            ledger_lines.line_of(self._desk.attempts[step.entry].user, found[1], self._wanted.signer, now)
            for step in steps
            for found in [self._certificates.get(step.entry)]
            if found is not None
        ]
        try:
            continued = any(self._jobs[step.entry].attempt is not None for step in steps)
            self._write_down(lines, seen_before=continued)
        except CollError as exc:
            judged_steps = {step: judged_steps[step] or exc for step in steps}
        for step, error in judged_steps.items():
            yield Outcome(step, error=error)

    def _sign(self, step: Step) -> Optional[CollError]:
        """The CA on this host in the place of the server's signer; its work is judged in the same way."""
        authority = self._out.authority
        if authority is None:
            raise BackendFailed(f"{step.target}: there is no CA on this host.")
        now = int(self._out.clock())
        pem = authority.issue(self._desk.attempts[step.entry].request_pem, self._jobs[step.entry].person, now)
        return self._judge(step, pem, now)

    def _judge_ending(self, step: Step, ending: Union[Obj, CollError]) -> Optional[CollError]:
        if isinstance(ending, CollError):
            return ending
        return self._judge(step, standing(ending).certificate_pem or "", approved_at(ending))

    def _judge(self, step: Step, pem: str, approved: int) -> Optional[CollError]:
        """Why a person cannot have their certificate; None when it is good."""
        person, attempt = self._jobs[step.entry].person, self._desk.attempts[step.entry]
        try:
            certificate = read_certificate(pem)
            self._certificates[step.entry] = (pem, certificate)
            self._certificates[step.entry] = (chain_of(pem), certificate)
        except Unreadable as exc:
            return BackendFailed(f"user {person.name!r}: what the signer returned is {exc}.")
        found = objections(certificate, person, attempt.key_hash, max(int(self._out.clock()), approved))
        return not_as_asked(person.name, certificate, found) if found else None

    def _install_all(self, stage: Stage) -> Iterator[Outcome]:
        """Install, and remove the request behind it: while threads wait for the disk, others speak to the server."""
        installed = each_step(stage.steps, self._install, concurrency=self._concurrency, stop_on_error=self.stop_on_error)
        for outcome, _nothing in pool.each(installed, self._finish_early, concurrency=self._concurrency):
            yield outcome

    def _finish_early(self, installed: Outcome) -> None:
        """With a Conflict too: a run beside this one was faster, and does not know of a request made after its clean-up."""
        if installed.error is None or isinstance(installed.error, Conflict):
            with suppress(CollError):  # it is tried again, and told, among the clean-ups
                self._desk.finish(installed.step.entry)

    def _install(self, step: Step) -> Facts:
        pem, certificate = self._certificates[step.entry]
        self._out.pairs.install(self._jobs[step.entry].person.name, self._desk.attempts[step.entry].version, pem)
        return {
            **planning.certificate_facts(certificate, int(self._out.clock())),
            "granted_seconds": certificate.life,
        }

    def _clean(self, step: Step) -> None:
        self._desk.finish(step.entry)
        self._out.pairs.settle(self._jobs[step.entry].person.name)

    def _verify_login(self, step: Step) -> Facts:
        person: Person = self._jobs[step.entry].person
        login = self._who(person.name)
        error = wrong_login(person, login)
        if error is not None:
            raise error
        return {"login": {"user": login[0], "groups": list(login[1])}}

    def _remove(self, step: Step) -> None:
        """The requests first (written down if they led to a certificate), then the files."""
        job = self._jobs[step.entry]
        for obj in job.objects:
            if step.target == planning.request_target(obj, job.person.name):
                self._write_down(planning.issued_lines(job.person.name, (obj,), int(self._out.clock())), seen_before=True)
                self._desk.remove(obj)
                return
        self._out.pairs.drop(job.person.name)

    def _write_down(self, lines: Sequence[Mapping[str, Any]], *, seen_before: bool) -> None:
        """Append to the ledger; lines that an earlier run may have written are looked for first."""
        if lines and seen_before:
            lines = ledger_lines.missing_from(lines, ledger_lines.parse(self._out.ledger.read()))
        if lines:
            self._out.ledger.append(ledger_lines.render(lines))
