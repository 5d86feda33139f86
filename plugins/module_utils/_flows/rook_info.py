# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles have to know of Rook and Ceph, read in one pass; and, if asked, waiting until Ceph is healthy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Optional, Protocol

from .._core import pool
from .._core.errors import BackendFailed, BadInput
from .._core.plan import Plan, Stage
from .._core.ports import Clock, KubeApi, get_or_none, list_or_nothing
from .._core.run import Outcome, Run
from .._rook import daemons, health, operators, reasons
from .._rook.osds import read_osds
from .apply_preview import preview, read_objects

_PREPARE = "app=rook-ceph-osd-prepare"
_OSD = "rook-ceph-osd"
_OSDS = {"labelSelector": f"app={_OSD}"}
# How long an API server may be away in seconds.
_AWAY = 120.0
_TELL_EVERY = 15.0
_TOOLBOX = {"labelSelector": "app=rook-ceph-tools"}
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# Kinds whose presence decides what may be rendered.
_KINDS = (
    "cephclusters.ceph.rook.io",
    "servicemonitors.monitoring.coreos.com",
    "httproutes.gateway.networking.k8s.io",
    "drivers.csi.ceph.io",
)


class Logs(Protocol):
    """Logs of pods."""

    def tail(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines; empty when there are none (any more)."""


@dataclass(frozen=True)
class Wanted:
    """The options of a run."""

    namespace: str
    name: str
    operator_namespace: str
    gather: frozenset[str]
    operators: Sequence[str]
    objects: Sequence[Mapping[str, Any]]
    rules: health.Rules
    wait_timeout: float
    interval: float
    known_line: Optional[str]


@dataclass
class Found:
    """What one run read."""

    facts: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    cluster: Optional[Mapping[str, Any]] = None
    expired: bool = False


class RookInfoFlow:
    """Reads; its plan has no steps."""

    stop_on_error = False

    def __init__(self, wanted: Wanted, api: KubeApi, logs: Logs, clock: Clock) -> None:
        self._wanted, self._api, self._logs, self._clock = wanted, api, logs, clock
        self._found = Found()

    @classmethod
    def from_params(cls, params: Mapping[str, Any], api: KubeApi, logs: Logs, clock: Clock) -> RookInfoFlow:
        """The flow of a task; raises BadInput."""
        if params["interval"] < 1 or params["max_status_age"] < 1:
            raise BadInput("interval and max_status_age are seconds, from 1.")
        target = params["wanted_daemons"]
        rules = health.Rules(
            allowed_warnings=frozenset(params["allowed_warnings"]),
            max_age=params["max_status_age"],
            drivers=tuple(params["drivers"]),
            target=daemons.Target(**target) if target else None,
            rotating_keys=params["rotating_keys"],
        )
        wanted = Wanted(
            namespace=params["namespace"],
            name=params["name"],
            operator_namespace=params["operator_namespace"] or params["namespace"],
            gather=frozenset(params["gather"]),
            operators=tuple(params["operators"]),
            objects=read_objects(params["objects"]),
            rules=rules,
            wait_timeout=params["wait_timeout"],
            interval=params["interval"],
            known_line=params["known_line"],
        )
        return cls(wanted, api, logs, clock)

    def observe(self) -> Found:
        """Each part only if asked; the pod of the toolbox last, as it may become another one during a wait."""
        readers: dict[str, Callable[[], Mapping[str, Any]]] = {
            "changes": lambda: preview(self._api, self._wanted.objects),
            "plan": self._plan_facts,
            "daemons": self._daemon_facts,
            "operators": self._await_operators,
        }
        for part in [name for name in readers if name in self._wanted.gather]:
            self._found.facts.update(readers[part]())
        if "health" in self._wanted.gather:
            self._await()
        if "toolbox" in self._wanted.gather:
            self._found.facts.update(self._toolbox_facts())
        return self._found

    def decide(self, seen: Found) -> Plan:  # noqa: ARG002 - the shape of every flow
        """There is nothing to do."""
        return Plan()

    def execute(self, stage: Stage) -> Iterable[Outcome]:  # noqa: ARG002 - the shape of every flow
        """There is nothing to execute."""
        return ()

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the shape of every flow
        """The facts, and the health if it was asked."""
        made: dict[str, object] = {**self._found.facts}
        if "health" in self._wanted.gather:
            made.update(ceph={**self._found.health, "expired": self._found.expired}, cluster=self._found.cluster)
        return made

    def _plan_facts(self) -> dict[str, Any]:
        """Everything side by side."""
        wanted = self._wanted
        deployment = f"/apis/apps/v1/namespaces/{wanted.operator_namespace}/deployments/rook-ceph-operator"
        reads: dict[str, Callable[[], Any]] = {
            "kubernetes": lambda: str(self._api.call("GET", "/version").get("gitVersion", "")),
            "nodes": lambda: [_node(node) for node in self._api.list_all("/api/v1/nodes").objects],
            "kinds": lambda: [kind for kind in _KINDS if get_or_none(self._api, f"{_CRDS}/{kind}")],
            "namespace_exists": lambda: get_or_none(self._api, f"/api/v1/namespaces/{wanted.namespace}") is not None,
            "operator_image": lambda: operators.image(get_or_none(self._api, deployment)),
            "storage_classes": lambda: list(self._api.list_all("/apis/storage.k8s.io/v1/storageclasses").objects),
            "clusters": lambda: list_or_nothing(self._api, "/apis/ceph.rook.io/v1/cephclusters"),
        }
        made = pool.together(reads, concurrency=len(reads))
        clusters = {_place(one): one for one in made["clusters"]}
        return {**made, "clusters": sorted(clusters), "cluster": clusters.get(f"{wanted.namespace}/{wanted.name}")}

    def _daemon_facts(self) -> dict[str, Any]:
        """One LIST of all Deployments of the cluster's namespace."""
        found = self._deployments()
        read = daemons.read_daemons(found, self._wanted.namespace)
        return {"daemons": [asdict(one) for one in read], "toolbox_image": daemons.toolbox_image(found)}

    def _await_operators(self) -> dict[str, Any]:
        """The operators as soon as all are available, or when the time is over; and the storage drivers beside them."""
        namespace, until = self._wanted.operator_namespace, self._clock.seconds() + self._wanted.wait_timeout
        while True:
            found = {one["metadata"]["name"]: one for one in self._deployments(namespace=namespace)}
            told = [operators.read_operator(name, found.get(name)) for name in self._wanted.operators]
            if all(one["available"] for one in told) or self._clock.seconds() + self._wanted.interval > until:
                break
            self._clock.sleep(self._wanted.interval)
        drivers = list_or_nothing(self._api, f"/apis/csi.ceph.io/v1/namespaces/{namespace}/drivers")
        return {"operators": told, "drivers": sorted(str(one["metadata"]["name"]) for one in drivers)}

    def _toolbox_facts(self) -> dict[str, Any]:
        """The pod to ask Ceph in."""
        pods = self._api.list_all(f"/api/v1/namespaces/{self._wanted.namespace}/pods", _TOOLBOX).objects
        running = [one for one in pods if (one.get("status") or {}).get("phase") == "Running"]
        newest = max(running, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)
        return {"toolbox_pod": None if newest is None else str(newest["metadata"]["name"])}

    def _deployments(self, query: Optional[Mapping[str, str]] = None, *, namespace: str = "") -> tuple[Mapping[str, Any], ...]:
        """Those of the cluster's namespace, unless another one is named."""
        place = namespace or self._wanted.namespace
        return self._api.list_all(f"/apis/apps/v1/namespaces/{place}/deployments", query).objects

    def _cluster(self) -> Optional[dict[str, Any]]:
        """None without the cluster, and without its kind: the server answers both alike."""
        return get_or_none(
            self._api, f"/apis/ceph.rook.io/v1/namespaces/{self._wanted.namespace}/cephclusters/{self._wanted.name}"
        )

    def _await(self) -> None:
        """Until it is healthy, until there is something new to tell, or until the time is over."""
        wanted, begun = self._wanted, self._clock.seconds()
        while True:
            witnesses = self._witnesses_of_a_server_that_returns(begun + wanted.wait_timeout)
            self._found.cluster = witnesses.cluster
            self._found.health = health.judge(witnesses, wanted.rules)
            waited = self._clock.seconds() - begun
            self._found.expired = waited + wanted.interval > wanted.wait_timeout
            if self._found.health["healthy"]:
                return
            if self._found.expired:
                self._explain(witnesses)
                return
            if self._is_news(waited):
                return
            self._clock.sleep(wanted.interval)

    def _witnesses_of_a_server_that_returns(self, until: float) -> health.Witnesses:
        """One look. A server that is started anew is waited for; for its first seconds it knows neither logins nor rights."""
        gone_since: Optional[float] = None
        while True:
            try:
                return self._witnesses()
            except BackendFailed as exc:
                now = self._clock.seconds()
                if not exc.is_passing and (gone_since is None or exc.facts.get("status") not in (401, 403)):
                    raise
                gone_since = now if gone_since is None else gone_since
                if now + self._wanted.interval > min(until, gone_since + _AWAY):
                    raise
                self._clock.sleep(self._wanted.interval)

    def _is_news(self, waited: float) -> bool:
        """Whether the caller wants to show the line now; some lines count and are new at every look."""
        known = self._wanted.known_line
        return known is not None and self._found.health["line"] != known and (not known or waited >= _TELL_EVERY)

    def _witnesses(self) -> health.Witnesses:
        wanted = self._wanted
        reads: dict[str, Callable[[], Any]] = {
            "cluster": self._cluster,
            "deployments": lambda: self._deployments(None if wanted.rules.target else _OSDS),
            "drivers": self._drivers if wanted.rules.drivers else tuple,
        }
        read = pool.together(reads, concurrency=len(reads))
        if read["cluster"] is None:
            raise BadInput(
                f"There is no CephCluster {wanted.name!r} in the namespace {wanted.namespace!r}.",
                hint="Make it with rook_cluster.",
            )
        osds = [one for one in read["deployments"] if (one["metadata"].get("labels") or {}).get("app") == _OSD]
        running = daemons.read_daemons(read["deployments"], wanted.namespace) if wanted.rules.target else ()
        return health.Witnesses(read["cluster"], osds, read["drivers"], self._clock.seconds(), running)

    def _drivers(self) -> tuple[Mapping[str, Any], ...]:
        base = f"/apis/apps/v1/namespaces/{self._wanted.operator_namespace}"
        return (*self._api.list_all(f"{base}/deployments").objects, *self._api.list_all(f"{base}/daemonsets").objects)

    def _explain(self, witnesses: health.Witnesses) -> None:
        """What the operator, the pods and the prepare jobs say: read only when the wait was in vain."""
        base = f"/api/v1/namespaces/{self._wanted.namespace}"
        events = self._api.list_all(f"{base}/events").objects
        dead = [osd.name for osd in read_osds(witnesses.osds) if not osd.ready]
        lines = reasons.operator_errors(events, self._wanted.name) + reasons.pod_errors(events, dead)
        bare = reasons.unexplained(self._found.health["problems"])
        if bare:
            for pod in self._api.list_all(f"{base}/pods", {"labelSelector": _PREPARE}).objects:
                name = str(pod["metadata"]["name"])
                log = self._logs.tail(self._wanted.namespace, name, "provision", 2000)
                lines += [f"{name}: {line}" for line in reasons.prepare_lines(log, bare)]
        self._found.health["explanations"] = lines
        self._found.health["next_steps"] = reasons.next_steps(self._found.health["problems"], self._wanted.namespace)


def _node(thing: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan reads of a Node."""
    meta, spec = thing["metadata"], thing.get("spec") or {}
    info = (thing.get("status") or {}).get("nodeInfo") or {}
    return {
        "metadata": {"name": meta["name"], "labels": meta.get("labels") or {}},
        "spec": {key: spec[key] for key in ("unschedulable", "taints") if key in spec},
        "status": {"nodeInfo": {"kernelVersion": info.get("kernelVersion", "")}},
    }


def _place(thing: Mapping[str, Any]) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"
