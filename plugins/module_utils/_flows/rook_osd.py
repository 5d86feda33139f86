# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OSDs out of a cluster of Rook's: what is there, what Ceph says, and the order of the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._core.errors import BackendFailed, BadInput, CollError
from .._core.plan import Plan, Stage, Step
from .._core.ports import Clock, KubeApi, get_or_none
from .._core.run import Outcome, Run, each_step
from .._rook import leaving, removal
from .._rook.ceph_job import Question
from .._rook.leaving import Leaving, Request, Seen
from .._rook.osds import read_osds
from .ceph_jobs import CephJobs

_OSDS = {"labelSelector": "app=rook-ceph-osd"}
_OPERATOR_SECONDS = 120.0
_QUIET: Mapping[str, Any] = {"osds": {}, "safe": [], "unclean": 0, "misplaced": 0, "degraded": 0}


@dataclass(frozen=True)
class Wanted:
    """The options of a run."""

    request: Request
    namespace: str
    name: str
    operator_namespace: str
    absent: bool
    wait_seconds: int


class RookOsdFlow:
    """observe → decide → execute → report. A failure ends the work: the next OSD waits until this one is done."""

    stop_on_error = True

    def __init__(self, wanted: Wanted, api: KubeApi, clock: Clock) -> None:
        self._wanted, self._api, self._clock = wanted, api, clock
        self._ceph = CephJobs(api, clock, wanted.namespace)
        self._cluster: Mapping[str, Any] = {}
        self._operator: Mapping[str, Any] = {}
        self._seen = Seen((), {}, _QUIET, {})
        self._found: dict[str, Leaving] = {}

    @classmethod
    def from_params(cls, params: Mapping[str, Any], api: KubeApi, clock: Clock) -> RookOsdFlow:
        """The flow of a task; raises BadInput."""
        if params["wait"] < 0:
            raise BadInput("wait is a number of seconds.")
        wanted = Wanted(
            request=leaving.read_request(params),
            namespace=params["namespace"],
            name=params["name"],
            operator_namespace=params["operator_namespace"] or params["namespace"],
            absent=params["state"] == "absent",
            wait_seconds=params["wait"],
        )
        return cls(wanted, api, clock)

    def observe(self) -> Seen:
        """Deployments, what earlier runs began, and Ceph's own word; Ceph is asked only if there is something to ask."""
        wanted = self._wanted
        cluster = get_or_none(self._api, f"/apis/ceph.rook.io/v1/namespaces/{wanted.namespace}/cephclusters/{wanted.name}")
        if cluster is None:
            raise BadInput(f"There is no CephCluster {wanted.name!r} in the namespace {wanted.namespace!r}.")
        operator = get_or_none(self._api, self._operator_path)
        if operator is None:
            raise BadInput(
                f"There is no operator in the namespace {wanted.operator_namespace!r}.",
                hint="Set operator_namespace to its own.",
            )
        self._cluster, self._operator = cluster, operator
        deployments = read_osds(self._api.list_all(self._deployments, _OSDS).objects)
        ledger = leaving.read_ledger(get_or_none(self._api, f"{self._configmaps}/{leaving.LEDGER}"))
        question = leaving.question(wanted.request, deployments, ledger, wanted.wait_seconds)
        told = self._ceph.ask(cluster, question) if question.osds or question.hosts else _QUIET
        return Seen(deployments, ledger, told, operator)

    def decide(self, seen: Seen) -> Plan:
        """Out, or away."""
        self._look_at(seen)
        return (removal.plan_absent if self._wanted.absent else removal.plan_out)(self._wanted.request, seen)

    def _look_at(self, seen: Seen) -> None:
        self._seen = seen
        self._found = {one.name: one for one in leaving.leaving(self._wanted.request, seen)}

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """All out together, so that no data moves to one that goes next; the rest one by one."""
        if stage.name == removal.OUT:
            return self._mark_out(stage.steps)
        work = {
            removal.REMEMBER: self._remember,
            removal.HOLD: self._hold,
            removal.STOP: self._stop,
            removal.PURGE: self._purge,
            removal.FORGET: self._forget,
        }[stage.name]
        return each_step(stage.steps, work, concurrency=1, stop_on_error=True)

    def report(self, run: Run) -> Mapping[str, object]:
        """How far the data has moved, and whether the operator is held."""
        held = removal.is_held(self._operator) or any(step.verb == removal.HOLD for step in run.done)
        found = list(self._found.values())
        made: dict[str, object] = {"operator_held": held}
        if not self._wanted.absent:
            made["emptying"] = removal.emptying(found, self._seen.told)
        return made

    @property
    def _operator_path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self._wanted.operator_namespace}/deployments/{removal.OPERATOR}"

    @property
    def _deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self._wanted.namespace}/deployments"

    @property
    def _configmaps(self) -> str:
        return f"/api/v1/namespaces/{self._wanted.namespace}/configmaps"

    def _leaver(self, step: Step) -> Leaving:
        return self._found[step.entry.partition("/")[2]]

    def _mark_out(self, steps: Sequence[Step]) -> Iterable[Outcome]:
        error: Optional[CollError] = None
        asked = [(self._leaver(step).number, self._leaver(step).fsid) for step in steps]
        hosts = [leaving.crush_name(node) for node in self._wanted.request.nodes]
        question = Question("out", asked, hosts, self._wanted.wait_seconds)
        try:
            self._look_at(replace(self._seen, told=self._ceph.ask(self._cluster, question)))
        except CollError as exc:
            error = exc
        yield from (Outcome(step, error=error) for step in steps)

    def _remember(self, step: Step) -> None:
        body = leaving.ledger_patch([self._leaver(step)])
        path = f"{self._configmaps}/{leaving.LEDGER}"
        if get_or_none(self._api, path) is None:
            self._api.call("POST", self._configmaps, body)
        else:
            self._api.call("PATCH", path, {"data": body["data"]})

    def _hold(self, _step: Step) -> None:
        """Until its pod is gone: it may be in the middle of making OSDs."""
        self._api.call("PATCH", self._operator_path, removal.hold_patch(self._operator))
        end = self._clock.seconds() + _OPERATOR_SECONDS
        while True:
            status = self._api.call("GET", self._operator_path).get("status") or {}
            if not status.get("replicas") and not status.get("terminatingReplicas"):
                return
            if self._clock.seconds() > end:
                raise BackendFailed("The operator's pod does not end.", hint="See kubectl describe pod. Nothing was purged.")
            self._clock.sleep(1.0)

    def _stop(self, step: Step) -> None:
        self._api.call("PATCH", f"{self._deployments}/{self._leaver(step).deployment}", {"spec": {"replicas": 0}})

    def _purge(self, step: Step) -> None:
        one = self._leaver(step)
        told = self._ceph.ask(self._cluster, Question("purge", [(one.number, one.fsid)]))
        left = told["osds"].get(str(one.number))
        if left and left["fsid"] == one.fsid:
            raise BackendFailed(f"{one.name} is still there after it was purged.", hint="Run again.")

    def _forget(self, step: Step) -> None:
        path = f"{self._deployments}/{self._leaver(step).deployment}"
        if get_or_none(self._api, path) is not None:
            self._api.call("DELETE", path, {"propagationPolicy": "Background"})
