# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tearing a CephCluster down: one LIST per kind, then stage by stage, each gone before the next one begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional

from .._core import pool
from .._core.errors import BackendFailed, BadInput, Conflict
from .._core.plan import Plan, Stage, Step
from .._core.ports import Clock, KubeApi, get_or_none, list_or_nothing
from .._core.run import Outcome, Run, each_step
from .._rook import dependents, teardown
from .._rook.dependents import FORCIBLE, Place, Thing, World
from .._rook.teardown import JOBS, Decision, Seen, Wanted

_FORCE = {"rook.io/force-deletion": "true"}


class RookTeardownFlow:
    """observe → decide → execute → report. Every stage may be repeated: what is gone already is none of its work."""

    stop_on_error = True

    def __init__(self, wanted: Wanted, api: KubeApi, clock: Clock, *, wait_timeout: float, concurrency: int) -> None:
        self._wanted, self._api, self._clock = wanted, api, clock
        self._wait_timeout, self._concurrency = wait_timeout, concurrency
        self._decision = Decision(Plan(), {})
        self._seen = Seen(World({}))
        self._until = 0.0

    @classmethod
    def from_params(cls, params: Mapping[str, Any], api: KubeApi, clock: Clock) -> RookTeardownFlow:
        """The flow of a task; raises BadInput before anything is read."""
        if params["wait_timeout"] < 1:
            raise BadInput(f"wait_timeout is {params['wait_timeout']}.", hint="Give the seconds for each stage, from 1.")
        place = Place(params["namespace"], params["name"], params["operator_namespace"] or params["namespace"])
        for word in params["consumers"]:
            kind, _space, name = word.partition(" ")
            if not kind or not name or " " in name:
                raise BadInput(f"consumers has {word!r}.", hint="Name each as in 'PersistentVolumeClaim team/data'.")
        wanted = Wanted(
            place, params["confirm"], frozenset(params["consumers"]), params["cleanup_jobs"], params["force_deletion"]
        )
        return cls(wanted, api, clock, wait_timeout=params["wait_timeout"], concurrency=params["concurrency"])

    def observe(self) -> Seen:
        """Lists, single objects and the keepers side by side; pods that mount something only if a claim is to go."""
        place = self._wanted.place
        deployments = f"/apis/apps/v1/namespaces/{place.operator_namespace}/deployments"
        reads: dict[str, Callable[[], Any]] = {path: self._lister(path) for path in place.lists()}
        reads.update({path: self._getter(path) for path in place.single()})
        reads.update({name: self._getter(f"{deployments}/{name}") for name in place.keepers})
        reads[teardown.DAEMONS], reads[JOBS] = self._daemons, self._jobs
        if any(word.startswith("PersistentVolumeClaim ") for word in self._wanted.consumers):
            reads["users"] = lambda: teardown.users_of_claims(self._list("/api/v1/pods"))
        read = pool.together(reads, concurrency=self._concurrency)
        single = {path: read[path] for path in place.single() if read[path] is not None}
        self._seen = Seen(
            world=World({path: read[path] for path in place.lists()}, single),
            gone=frozenset(name for name in place.keepers if teardown.is_gone(read[name])),
            daemons=read[teardown.DAEMONS],
            jobs=read[JOBS],
            users=read.get("users", {}),
        )
        return self._seen

    def decide(self, seen: Seen) -> Plan:
        """The domain's decision; what its steps are about is kept for ``execute``."""
        self._decision = teardown.decide(self._wanted, seen)
        return self._decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Each object is deleted and then waited for; the time runs for the stage as a whole."""
        self._until = self._clock.seconds() + self._wait_timeout
        return each_step(stage.steps, self._step, concurrency=self._concurrency, stop_on_error=True)

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the shape of every flow
        """What the cluster was, and who else there is."""
        place, world = self._wanted.place, self._seen.world
        cluster = dependents.cluster_of(place, world)
        spec, status = (cluster or {}).get("spec") or {}, (cluster or {}).get("status") or {}
        return {
            "fsid": str((status.get("ceph") or {}).get("fsid") or ""),
            "data_dir": str(spec.get("dataDirHostPath") or ""),
            "storage": (spec.get("storage") or {}) if cluster else {},
            "other_clusters": dependents.other_clusters(place, world),
            "operator_runs": dependents.OPERATOR not in self._seen.gone,
        }

    def _step(self, step: Step) -> Optional[Mapping[str, object]]:
        job = self._decision.jobs[step.verb, step.target]
        if isinstance(job, Thing):
            return self._delete(job)
        if step.verb == teardown.SET:
            self._set_policy(job)
        else:
            self._await(job)
        return None

    def _set_policy(self, confirmation: str) -> None:
        place = self._wanted.place
        path = f"{dependents.CEPH}/namespaces/{place.namespace}/cephclusters/{place.name}"
        self._api.call("PATCH", path, {"spec": {"cleanupPolicy": {"confirmation": confirmation}}})

    def _delete(self, thing: Thing) -> Mapping[str, object]:
        """The very object that was seen; what bears its name later is not touched."""
        released: list[str] = []
        rest = _pauses()
        if self._wanted.force and thing.kind in FORCIBLE:
            self._tolerant("PATCH", thing.path, {"metadata": {"uid": thing.uid, "annotations": _FORCE}})
        while True:
            left = get_or_none(self._api, thing.path)
            if left is None or left["metadata"].get("uid") != thing.uid:
                return {"released": released} if released else {}
            if left["metadata"].get("deletionTimestamp"):
                released += self._release(thing, left)
            else:
                options = {"preconditions": {"uid": thing.uid}, "propagationPolicy": "Background"}
                self._tolerant("DELETE", thing.path, options)
            self._pause(next(rest), f"{thing.word} is still there", teardown.what_holds(left), thing)

    def _release(self, thing: Thing, left: Mapping[str, Any]) -> list[str]:
        """Takes the finalizers of a keeper that is gone from an object that is being deleted; looked at again right before."""
        meta = left["metadata"]
        have = [str(name) for name in meta.get("finalizers") or []]
        gone = [name for name in have if teardown.may_release(name, thing.keeper)]
        if not gone or not self._is_gone(thing.keeper):
            return []
        rest = [name for name in have if name not in gone]
        change = {"uid": thing.uid, "resourceVersion": meta["resourceVersion"], "finalizers": rest}
        return gone if self._tolerant("PATCH", thing.path, {"metadata": change}) else []

    def _is_gone(self, keeper: str) -> bool:
        namespace = self._wanted.place.operator_namespace
        return teardown.is_gone(get_or_none(self._api, f"/apis/apps/v1/namespaces/{namespace}/deployments/{keeper}"))

    def _await(self, word: str) -> None:
        look, rest = self._jobs if word == JOBS else self._daemons, _pauses()
        while True:
            left = look()
            if not left:
                return
            self._pause(next(rest), f"{len(left)} {word} are still at work", ", ".join(left[:5]))

    def _daemons(self) -> tuple[str, ...]:
        namespace = self._wanted.place.namespace
        pods = self._list(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": f"rook_cluster={namespace}"})
        return teardown.running(pods)

    def _jobs(self) -> tuple[str, ...]:
        namespace = self._wanted.place.namespace
        jobs = self._list(f"/apis/batch/v1/namespaces/{namespace}/jobs", {"labelSelector": "app=rook-ceph-cleanup"})
        return teardown.unfinished(jobs)

    def _pause(self, seconds: float, what: str, told: str, thing: Optional[Thing] = None) -> None:
        if self._clock.seconds() >= self._until:
            hint = "Run again to go on from here."
            if thing is not None and thing.keeper:
                hint = f"{thing.keeper} has to take it away: see its log, or scale it to 0 if it is broken. {hint}"
            raise BackendFailed(f"{what} after {self._wait_timeout:.0f} s ({told or 'nothing said why'}).", hint=hint)
        self._clock.sleep(seconds)

    def _tolerant(self, method: str, path: str, body: Mapping[str, Any]) -> bool:
        """A write to what may be gone or changed by now; whether it was done."""
        try:
            self._api.call(method, path, body)
        except Conflict:
            return False
        except BackendFailed as exc:
            if exc.facts.get("status") == 404:
                return False
            raise
        return True

    def _lister(self, path: str) -> Callable[[], tuple[Mapping[str, Any], ...]]:
        return lambda: self._list(path)

    def _getter(self, path: str) -> Callable[[], Optional[dict[str, Any]]]:
        return lambda: get_or_none(self._api, path)

    def _list(self, path: str, query: Optional[Mapping[str, str]] = None) -> tuple[Mapping[str, Any], ...]:
        return list_or_nothing(self._api, path, query)


def _pauses() -> Iterator[float]:
    """Most objects are gone at once; the others take their time."""
    yield from (0.02, 0.1, 0.3, 0.6)
    while True:
        yield 1.0
