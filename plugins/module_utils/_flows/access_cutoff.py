# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_cutoff: mark, refuse, take rights and requests away, try the old credential, and write down what was and what is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional

from .._core import pool
from .._core.errors import BackendFailed, CollError, Conflict, Denied, Refused
from .._core.plan import Plan, Stage, Step
from .._core.ports import get_or_none
from .._core.run import Outcome, Run, each_step
from .._core.window import rfc3339
from .._rbac import denials, evidence, leavers, leaving, objects
from .._rbac.cutting import Cut, rights_of, writable_places
from .._rbac.leavers import DENY, GRANTS, MARK, PROVE, REQUESTS, RIGHTS, TOKENS, Obj, Seen, Wanted
from .._rbac.leaving import CSRS, RECORD, RETURN, Decision
from .cutoff_ports import Outside
from .cutoff_probes import Probe, Prober

_ATTEMPTS = 5
_TOKEN_SECRETS = {"fieldSelector": "type=kubernetes.io/service-account-token"}
_LEFT_BEHIND = (
    ("service_accounts", "/api/v1/serviceaccounts", None),
    ("token_secrets", "/api/v1/secrets", _TOKEN_SECRETS),
    ("role_bindings", objects.ROLE_BINDINGS, None),
    ("pods", "/api/v1/pods", None),
)


class AccessCutoffFlow:
    """One task's work. What is learned is kept in the records in memory; each is written once, at the end."""

    def __init__(self, params: Mapping[str, Any], outside: Outside) -> None:
        self.stop_on_error = params["on_error"] == "stop"
        self._out, self._api = outside, outside.api
        self._concurrency = params["concurrency"]
        self._now = int(outside.clock())
        self._lines = outside.certificates.lines()
        ends = {str(line["credential_id"]): str(line["not_after"]) for line in self._lines}
        self._wanted: Wanted = leavers.wanted_from(params, self._now, ends)
        self._prober = Prober(outside.api, outside.logins, outside.clock, outside.pause, float(params["settle"]))
        self._seen = Seen(self._now, {})
        self._decision = Decision(Plan())
        self._records: dict[str, dict[str, Any]] = {}

    def observe(self) -> Seen:
        """The records and the list; of the cluster only what the asked beats need, one LIST per kind."""
        wanted, out = self._wanted, self._out
        leaving_now = [one for one in wanted.leavers if one.leaves]
        records = {one.name: leavers.record_of(out.files.read(one.name), one.name) for one in wanted.leavers}
        self._records = {name: record for name, record in records.items() if record is not None}
        named = {one.name for one in wanted.leavers}
        ledger: dict[str, tuple[Mapping[str, Any], ...]] = {}
        for line in self._lines:
            if line.get("name") in named:
                ledger[str(line["name"])] = (*ledger.get(str(line["name"]), ()), line)
        listed = denials.parse(out.files.denials(), "The list of who is refused")
        fresh = MARK in wanted.beats and any(records[one.name] is None for one in leaving_now)
        found = self._lists(self._reads(bool(leaving_now), fresh=fresh))
        requests = self._by_person(found.get(CSRS, ()))
        for name, some in requests.items():
            ledger[name] = (*ledger.get(name, ()), *self._uncollected(name, some, ledger.get(name, ())))
        self._seen = Seen(
            now=self._now,
            records={name: dict(record) for name, record in self._records.items()},
            ledger=ledger,
            denials=listed,
            listed=self._listed(records, listed),
            bindings=(*found.get(objects.ROLE_BINDINGS, ()), *found.get(objects.CLUSTER_ROLE_BINDINGS, ())),
            requests=requests,
            accounts=found.get("/api/v1/serviceaccounts", ()),
            kubeconfigs=frozenset(one.name for one in leaving_now if one.kubeconfig and out.logins.exists(one.kubeconfig)),
        )
        self._roles = {
            objects.live_role_path(one): one for kind in (objects.ROLES, objects.CLUSTER_ROLES) for one in found.get(kind, ())
        }
        return self._seen

    def _reads(self, leaves: bool, *, fresh: bool) -> list[str]:
        beats = self._wanted.beats if leaves else ()
        reads = []
        if fresh or RIGHTS in beats:
            reads += [objects.ROLE_BINDINGS, objects.CLUSTER_ROLE_BINDINGS]
        if fresh:
            reads += [objects.ROLES, objects.CLUSTER_ROLES]
        if REQUESTS in beats or DENY in beats:
            reads.append(CSRS)
        return [*reads, "/api/v1/serviceaccounts"] if TOKENS in beats else reads

    def _lists(self, reads: Iterable[str]) -> dict[str, tuple[Obj, ...]]:
        found: dict[str, tuple[Obj, ...]] = {}
        for path, result in pool.each(reads, self._api.list_all, concurrency=self._concurrency):
            if isinstance(result, CollError):
                raise result
            found[path] = result.objects
        return found

    def _listed(
        self, records: Mapping[str, Optional[Mapping[str, Any]]], listed: tuple[denials.Denial, ...]
    ) -> dict[str, Optional[Obj]]:
        """The objects of the policy as they are, where this run may have to do with them."""
        wanted = self._wanted
        news = any(not one.leaves and records[one.name] for one in wanted.leavers) or bool(wanted.found_again)
        news = news or denials.current(listed, self._now) != listed
        asked = bool(wanted.lost) or (DENY in wanted.beats and any(one.leaves for one in wanted.leavers))
        if not news and not (asked and denials.POLICY in wanted.means):
            return {}
        return {path: get_or_none(self._api, path) for path in denials.policy_objects(wanted.list_name, ())}

    def _by_person(self, requests: Iterable[Obj]) -> dict[str, tuple[Obj, ...]]:
        """Requests that ask for a leaver's name, and those that a leaver made."""
        found: dict[str, tuple[Obj, ...]] = {}
        names = {one.name for one in self._wanted.leavers if one.leaves}
        for one in requests:
            about = {self._out.certificates.asked_name(one), str((one.get("spec") or {}).get("username"))}
            for name in names & about:
                found[name] = (*found.get(name, ()), one)
        return found

    def _uncollected(self, name: str, requests: Iterable[Obj], known: Iterable[Obj]) -> list[Mapping[str, Any]]:
        """Certificates that were issued and are in no ledger yet."""
        ids = {line["credential_id"] for line in known}
        lines = (self._issued(name, one) for one in requests)
        return [line for line in lines if line is not None and line["credential_id"] not in ids]

    def _issued(self, name: str, request: Obj) -> Optional[Mapping[str, Any]]:
        """The certificate that a request led to, if it is in that person's name."""
        certificates = self._out.certificates
        return certificates.issued(name, request) if certificates.asked_name(request) == name else None

    def decide(self, seen: Seen) -> Plan:
        """Delegates to the domain."""
        self._decision = leaving.decide(self._wanted, seen)
        return self._decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """One stage; the refusals of all people are one write."""
        if stage.name == DENY:
            return self._deny(stage)
        if stage.name == PROVE:
            return self._prove(stage)
        call = {MARK: self._mark, RETURN: self._archive, RECORD: self._record}.get(stage.name, self._cut)
        return each_step(stage.steps, call, concurrency=self._concurrency, stop_on_error=self.stop_on_error)

    def report(self, run: Run) -> Mapping[str, object]:
        """The list as it is now, and the form of it that an API server's own configuration takes."""
        del run
        coming = self._decision.denials
        config = denials.authorization_config(coming, self._wanted.webhook_kubeconfig, self._wanted.authorizers)
        return {
            "denials": [{"who": one.who, "person": one.person, "until": rfc3339(one.until)} for one in coming],
            "authorization_config": json.dumps(config, indent=1) + "\n",
            "webhook_kubeconfig_content": json.dumps(denials.webhook_kubeconfig(), indent=1) + "\n",
            "evidence": [
                {"name": one.name, "path": self._out.files.path(one.name), "lines": evidence.lines_of(self._records[one.name])}
                for one in self._wanted.leavers
                if one.leaves and one.name in self._records
            ],
        }

    def _mark(self, step: Step) -> None:
        """What the person has and can, written down before anything is taken."""
        name = step.entry.partition("/")[2]
        rights = leaving.rights_now(name, self._seen)
        told = [right.as_dict() for right in rights]
        before = self._prober.before(name, self._kubeconfig(name), self._seen.valid(name), leavers.probed_places(told))
        moment = self._stamp()
        record = {
            "name": name,
            "marked_at": moment,
            "strategies": list(self._wanted.strategies),
            "before": {**before, "at": moment, "rights": told, "writable": writable_places(rights, self._roles)},
            "certificates": self._valid(name),
        }
        self._records[name] = record
        self._write(name)

    def _kubeconfig(self, name: str) -> str:
        return next((one.kubeconfig for one in self._wanted.leavers if one.name == name), "")

    def _valid(self, name: str) -> list[dict[str, Any]]:
        return [{"credential_id": line["credential_id"], "not_after": line["not_after"]} for line in self._seen.valid(name)]

    def _stamp(self) -> str:
        return rfc3339(int(self._out.clock()))

    def _record_of(self, name: str) -> dict[str, Any]:
        """The record in memory; one that should be there and could not be written is begun here."""
        fresh = {"name": name, "marked_at": self._stamp(), "strategies": list(self._wanted.strategies)}
        return self._records.setdefault(name, fresh)

    def _write(self, name: str) -> None:
        record = self._records[name]
        text = "\n".join(evidence.lines_of(record)) + "\n"
        self._out.files.write(name, leavers.render(record), text.encode("utf-8"))

    def _deny(self, stage: Stage) -> Iterator[Outcome]:
        error: Optional[CollError] = None
        try:
            if self._decision.denials != self._seen.denials:
                self._out.files.write_denials(denials.render(self._decision.denials))
            for path, body in self._decision.objects.items():
                self._apply(path, body)
        except CollError as exc:
            error = exc
        for step in stage.steps:
            yield Outcome(step, error=error)

    def _apply(self, path: str, body: Obj) -> None:
        """Make one object what it is to be; another writer's change in between is read again."""
        for attempt in range(_ATTEMPTS):
            live = get_or_none(self._api, path)
            if denials.stands(body, live):
                return
            try:
                if live is None:
                    self._api.call("POST", path.rsplit("/", 1)[0], body)
                else:
                    self._api.call("PUT", path, _corrected(body, live))
                return
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise

    def _cut(self, step: Step) -> None:
        """Take one right or request away, or make one service account anew."""
        cut, (kind, _slash, name) = self._decision.cuts[step.target], step.entry.partition("/")
        if kind == "requests":
            request = next(one for one in self._seen.requests[name] if cut.path.endswith("/" + one["metadata"]["name"]))
            line = self._issued(name, request)
            if line is not None:
                self._out.certificates.note(line)
        if cut.method == "RECREATE":
            self._recreate(cut)
        else:
            self._send(cut)
        record = self._record_of(name)
        if kind == "tokens":
            record["tokens"] = {"at": self._stamp()}
        gone = {"what": step.target.partition(": ")[2] or step.target, "at": self._stamp()}
        record.setdefault("removed", []).append(gone)  # side by side with others; both calls are one step each

    def _send(self, cut: Cut) -> None:
        try:
            self._api.call(cut.method, cut.path, cut.body)
        except BackendFailed as exc:
            if exc.facts.get("status") != 404:
                raise

    def _recreate(self, cut: Cut) -> None:
        meta = {
            key: cut.body["metadata"][key]
            for key in ("name", "namespace", "labels", "annotations")
            if key in cut.body["metadata"]
        }
        self._send(Cut("DELETE", cut.path, objects.removal(cut.body)))
        fresh = {key: value for key, value in cut.body.items() if key not in ("metadata", "secrets")}
        try:
            self._api.call("POST", cut.path.rsplit("/", 1)[0], {**fresh, "metadata": meta})
        except Conflict:  # "default" is made by Kubernetes itself
            return

    def _prove(self, stage: Stage) -> Iterator[Outcome]:
        """Each old credential once more; what is left behind is read once for all."""
        lists, problems = self._left_behind()
        yield from each_step(
            stage.steps,
            lambda step: self._prove_one(step.entry.partition("/")[2], lists, problems),
            concurrency=self._concurrency,
            stop_on_error=self.stop_on_error,
        )

    def _left_behind(self) -> tuple[dict[str, tuple[Obj, ...]], list[str]]:
        lists, problems = {}, []
        reads = {path: (kind, query) for kind, path, query in _LEFT_BEHIND}
        reads[objects.CLUSTER_ROLE_BINDINGS] = ("cluster_role_bindings", None)
        for path, result in pool.each(
            reads, lambda path: self._api.list_all(path, reads[path][1]), concurrency=self._concurrency
        ):
            kind = reads[path][0]
            if isinstance(result, Denied):
                problems.append(f"{kind.replace('_', ' ')}, the caller may not list them")
            elif isinstance(result, CollError):
                raise result
            else:
                lists[kind] = result.objects
        return lists, problems

    def _prove_one(self, name: str, lists: Mapping[str, tuple[Obj, ...]], problems: list[str]) -> Mapping[str, object]:
        record, lines = self._record_of(name), self._seen.valid(name)
        bindings = (*lists.get("role_bindings", ()), *lists.get("cluster_role_bindings", ()))
        rights = [one.as_dict() for one in rights_of(name, leavers.groups_of(lines), bindings)]
        means = next((list(one.means) for one in self._decision.denials if one.who == name), [])
        before = record.get("before") or {}
        ends = _expected_end(means, GRANTS in self._wanted.strategies and not rights)
        places = leavers.probed_places(before.get("rights") or rights)
        told = self._prober.after(name, self._kubeconfig(name), lines, places, ends)
        record["after"] = {**told, "at": self._stamp(), "means": means, "rights": rights}
        record["strategies"] = list(self._wanted.strategies)
        known = (record.get("left_behind") or {}).get("requests", [])
        others = [
            f"{one['metadata']['name']} for {self._out.certificates.asked_name(one) or 'an unreadable name'}"
            for one in self._seen.requests.get(name, ())
            if self._out.certificates.asked_name(one) != name
        ]
        left = _left_in(before.get("writable") or (), lists)
        record["left_behind"] = {**left, "requests": others or known, "problems": problems}
        record["certificates"] = self._valid(name)
        return {"before": before.get("probes") or [], "after": told["probes"], "remaining": evidence.remaining(record)}

    def _archive(self, step: Step) -> None:
        name = step.entry.partition("/")[2]
        self._out.files.archive(name, self._records[name]["marked_at"])

    def _record(self, step: Step) -> None:
        """What was learned in this run, on disk."""
        name = step.entry.partition("/")[2]
        record, moment = self._record_of(name), self._stamp()
        entry = next((one for one in self._decision.denials if one.who == name), None)
        if entry is not None and (record.get("denial") or {}).get("means") != list(entry.means):
            record["denial"] = {"at": moment, "means": list(entry.means), "until": rfc3339(entry.until)}
        elif entry is not None:
            record["denial"]["until"] = rfc3339(entry.until)
        leaver = next(one for one in self._wanted.leavers if one.name == name)
        done = record.setdefault("done", {})
        for part, what in leaver.done.items():
            if (done.get(part) or {}).get("what") != what:
                done[part] = {"what": what, "at": moment}
        self._write(name)


def _corrected(body: Obj, live: Obj) -> dict[str, Any]:
    """A live object of ours with its content put right; raises Refused when it is somebody else's."""
    if objects.MANAGED_BY not in (live["metadata"].get("labels") or {}):
        raise Refused(
            f"The {live.get('kind')} {live['metadata']['name']!r} exists and was not made by this module.",
            hint="Choose another list_name.",
        )
    meta = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return {**live, "metadata": {**meta, "labels": {**meta["labels"], **body["metadata"]["labels"]}}, "spec": body["spec"]}


def _expected_end(means: list[str], no_rights: bool) -> Callable[[Probe], bool]:
    """Which answers are to be refusals, once everything is in effect."""
    everything, writes = denials.AUTHORIZER in means, denials.POLICY in means
    return lambda probe: everything or (writes and probe.writes) or (no_rights and not probe.common)


def _left_in(writable: Iterable[str], lists: Mapping[str, tuple[Obj, ...]]) -> dict[str, Any]:
    """What is in the namespaces that a person could change, without the system's own."""
    places = set(writable)

    def words(found: Iterable[Obj]) -> list[str]:
        metas = [one["metadata"] for one in found]
        here = [meta for meta in metas if places & {"*", meta.get("namespace")}]
        return sorted(f"{meta['namespace']}/{meta['name']}" for meta in here if not meta["namespace"].startswith("kube-"))

    return {kind: words(lists.get(kind, ())) for kind, _path, _query in _LEFT_BEHIND}


__all__ = ["AccessCutoffFlow", "Outside"]
