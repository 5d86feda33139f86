# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In the kubelet's place, for pods of Ceph's daemons only: each runs as a systemd unit on its node, and its state is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kubestead_lab.ceph_nodes import CommandFailed, Host
from kubestead_lab.ceph_objects import HOSTNAME, ceph_of, pod_status
from kubestead_lab.kube_http import ApiError, KubeHttp
from kubestead_lab.progress import say
from kubestead_lab.remote import Away

_BACKOFF_SECONDS = 10.0


def stamp() -> str:
    """Now, as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Pods:
    """Pods with the label rook_cluster, and the units they stand for."""

    def __init__(self, api: KubeHttp, hosts: Mapping[str, Host]) -> None:
        self._api, self._hosts = api, hosts
        self._restarts: dict[str, int] = {}
        self._tried: dict[str, float] = {}
        self._idle = False

    def look(self) -> None:
        """One look: what should run is started, what should not is stopped, and the rest is told as it is."""
        pods = self._api.items("/api/v1/pods?labelSelector=rook_cluster,ceph_daemon_type")
        if self._idle and not pods:
            return
        states = {name: host.units() for name, host in self._hosts.items()}
        wanted: set[tuple[str, str]] = set()
        for pod in pods:
            node, unit = self._node_of(pod), self._unit_of(pod)
            if "deletionTimestamp" in pod["metadata"]:
                self._forget(pod)
            else:
                wanted.add((node, unit))
                units = states[node]
                self._keep(pod, node, unit, "away" if units is None else units.get(unit, "absent"))
        for node, units in states.items():
            for unit in units or {}:
                if (node, unit) not in wanted:
                    self._hosts[node].stop(unit)
        self._idle = not pods and not any(states.values())

    @staticmethod
    def _unit_of(pod: Mapping[str, Any]) -> str:
        labels = pod["metadata"]["labels"]
        return f"rook-ceph-{labels['ceph_daemon_type']}-{labels['ceph_daemon_id']}"

    def _node_of(self, pod: Mapping[str, Any]) -> str:
        return str(pod["spec"].get("nodeName") or pod["spec"]["nodeSelector"][HOSTNAME])

    @staticmethod
    def _path(pod: Mapping[str, Any]) -> str:
        return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    def _forget(self, pod: Mapping[str, Any]) -> None:
        """A deleted pod waits for its kubelet; its unit ends with this look, unless another pod wants it."""
        self._restarts.pop(self._unit_of(pod), None)
        self._tried.pop(self._unit_of(pod), None)
        self._api.call("DELETE", self._path(pod), {"gracePeriodSeconds": 0})

    def _keep(self, pod: Mapping[str, Any], node: str, unit: str, state: str) -> None:
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": node}
            named = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
            self._api.call("POST", f"{self._path(pod)}/binding", named)
        runs = state == "active"
        if state in ("absent", "failed", "inactive"):
            self._start(pod, node, unit)
        restarts = max(self._restarts.get(unit, 0) - 1, 0)
        reason = "NodeLost" if state == "away" else "CrashLoopBackOff" if restarts else "ContainerCreating"
        told = pod_status(pod, runs=runs, reason=reason, restarts=restarts, now=stamp())
        if self._differs(pod.get("status") or {}, told):
            self._api.merge(f"{self._path(pod)}/status", {"status": told})

    @staticmethod
    def _differs(known: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
        def essence(status: Mapping[str, Any]) -> tuple[object, ...]:
            container = (status.get("containerStatuses") or [{}])[0]
            return status.get("phase"), container.get("ready"), container.get("restartCount")

        return essence(known) != essence(told)

    def _start(self, pod: Mapping[str, Any], node: str, unit: str) -> None:
        if time.monotonic() - self._tried.get(unit, -_BACKOFF_SECONDS) < _BACKOFF_SECONDS:
            return
        self._tried[unit] = time.monotonic()
        self._restarts[unit] = self._restarts.get(unit, 0) + 1
        first = [word for one in pod["spec"].get("initContainers") or [] for word in one["command"]]
        container = pod["spec"]["containers"][0]
        # There is one build of Ceph here. A daemon calls itself what the image's tag says: Ceph's own setting for tests.
        command = ["env", f"ceph_debug_version_for_testing={ceph_of(container['image'])}", *container["command"]]
        data = f"{pod['spec']['volumes'][0]['hostPath']['path']}/{pod['metadata']['namespace']}"
        host = self._hosts[node]
        say(f"{node}: starting {unit}")
        try:
            host.set_up(data)
            host.start(unit, first, command)
        except (Away, CommandFailed, ApiError) as problem:
            say(f"{node}: {unit} does not start: {problem}")
