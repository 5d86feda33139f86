# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant: read each kind once, compare in memory, write only what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional

from .._core import pool
from .._core.errors import BackendFailed, CollError
from .._core.plan import Plan, Stage, Step
from .._core.ports import KubeApi
from .._core.run import Outcome, Run, each_step
from .._rbac import objects
from .._rbac.decide import Seen, Write, decide
from .._rbac.grants import Wanted, wanted_from_params

Objects = tuple[Mapping[str, Any], ...]


class RbacGrantFlow:
    """One task's work."""

    def __init__(self, api: KubeApi, wanted: Wanted, *, concurrency: int, stop_on_error: bool) -> None:
        self.stop_on_error = stop_on_error
        self._api = api
        self._wanted = wanted
        self._concurrency = concurrency
        self._writes: Mapping[str, Write] = {}

    @classmethod
    def from_params(cls, params: Mapping[str, Any], connect: Callable[[Mapping[str, Any]], KubeApi]) -> RbacGrantFlow:
        """The flow for a task's options; the list is judged before the server is looked for."""
        wanted = wanted_from_params(params)
        return cls(
            connect(params),
            wanted,
            concurrency=params["concurrency"],
            stop_on_error=params["on_error"] == "stop",
        )

    def observe(self) -> Seen:
        """One LIST per kind that matters, side by side; a second one of bindings only where some are to be made."""
        ours = {"labelSelector": f"{objects.OWNER}={self._wanted.policy.owner}"}
        reads: dict[str, Optional[Mapping[str, str]]] = {}
        if self._wanted.policy.prune or any(grant.namespace for grant in self._wanted.grants):
            reads[objects.ROLE_BINDINGS] = ours
        if self._wanted.policy.prune or any(not grant.namespace for grant in self._wanted.grants):
            reads[objects.CLUSTER_ROLE_BINDINGS] = ours
        present = self._wanted.present()
        if any(grant.namespace for grant in present):
            reads[objects.NAMESPACES] = None
        if any(grant.role.kind == "ClusterRole" for grant in present):
            reads[objects.CLUSTER_ROLES] = None
        if any(grant.role.kind == "Role" for grant in present):
            reads[objects.ROLES] = None
        found = self._lists(reads)
        bindings = {
            objects.live_path(one): one
            for kind in (objects.ROLE_BINDINGS, objects.CLUSTER_ROLE_BINDINGS)
            for one in found.get(kind, ())
        }
        return Seen(
            bindings=bindings,
            others=self._others(bindings),
            namespaces={one["metadata"]["name"]: one for one in found.get(objects.NAMESPACES, ())},
            cluster_roles={one["metadata"]["name"]: one for one in found.get(objects.CLUSTER_ROLES, ())},
            roles={(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in found.get(objects.ROLES, ())},
        )

    def _others(self, bindings: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """What stands, without our label, where a binding is to be made: known before the first write."""
        missing = {
            path: objects.ROLE_BINDINGS if grant.namespace else objects.CLUSTER_ROLE_BINDINGS
            for grant, path in ((one, objects.binding_path(one, self._wanted.policy.owner)) for one in self._wanted.present())
            if path not in bindings
        }
        found = self._lists(dict.fromkeys(missing.values()))
        return {path: one for kind in found.values() for one in kind if (path := objects.live_path(one)) in missing}

    def _lists(self, reads: Mapping[str, Optional[Mapping[str, str]]]) -> dict[str, Objects]:
        found: dict[str, Objects] = {}
        for path, result in pool.each(reads, lambda path: self._api.list_all(path, reads[path]), concurrency=self._concurrency):
            if isinstance(result, CollError):
                raise result
            found[path] = result.objects
        return found

    def decide(self, seen: Seen) -> Plan:
        """Compare; the requests are kept beside the plan, by the steps' targets."""
        decision = decide(self._wanted, seen)
        self._writes = decision.writes
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Send the requests of one stage."""
        return each_step(stage.steps, self._send, concurrency=self._concurrency, stop_on_error=self.stop_on_error)

    def _send(self, step: Step) -> None:
        write = self._writes[step.target]
        try:
            self._api.call(write.method, write.path, write.body)
        except BackendFailed as exc:
            if write.method != "DELETE" or exc.facts.get("status") != 404:
                raise

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the entries say all else
        """Whose grants these are."""
        return {"owner": self._wanted.policy.owner}
