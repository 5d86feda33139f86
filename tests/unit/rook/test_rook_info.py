# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that reads and waits, over the API in memory and a clock that only moves when it sleeps."""

from __future__ import annotations

from typing import Any, Callable, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import Clock
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run
from ansible_collections.kubestead.platform.plugins.module_utils._flows.rook_info import RookInfoFlow

from fakes.kube_api import FakeKubeApi

from .test_health import NOW, healthy
from .worlds import recorded

CLUSTER = "/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephclusters/rook-ceph"
PARAMS: dict[str, Any] = {
    "namespace": "rook-ceph",
    "name": "rook-ceph",
    "operator_namespace": None,
    "gather": ["health"],
    "objects": "[]",
    "operators": ["rook-ceph-operator"],
    "allowed_warnings": ["AUTH_INSECURE_CLIENT_KEY_TYPE", "AUTH_INSECURE_KEYS_ALLOWED", "AUTH_INSECURE_KEYS_CREATABLE"],
    "drivers": [],
    "wanted_daemons": None,
    "rotating_keys": False,
    "max_status_age": 100_000,
    "wait_timeout": 0,
    "interval": 5,
    "known_line": None,
}


class Server(FakeKubeApi):
    """One that answers nothing but ``refusal`` while there is one."""

    refusal: Optional[int] = None

    def refuse(self, status: Optional[int]) -> None:
        self.refusal = status

    def call(self, method: str, path: str, *rest: Any, **options: Any) -> Any:
        self._look(path)
        return super().call(method, path, *rest, **options)

    def list_all(self, path: str, *rest: Any, **options: Any) -> Any:
        self._look(path)
        return super().list_all(path, *rest, **options)

    def _look(self, path: str) -> None:
        if self.refusal is not None:
            raise BackendFailed(f"Could not read {path}.", status=self.refusal)


class World:
    """The API, the logs and the clock; ``at`` are changes of the API at a second."""

    def __init__(self) -> None:
        self.api = Server()
        self.seconds = 0.0
        self.at: dict[float, Callable[[], object]] = {}
        self.log = ""
        cluster, osds, _drivers = healthy()
        self.api.put(CLUSTER, cluster)
        self.set(status=cluster["status"], generation=2)
        for one in osds:
            self.api.put(f"/apis/apps/v1/namespaces/rook-ceph/deployments/{one['metadata']['name']}", one)

    def set(self, *, status: dict[str, Any], generation: int) -> None:
        stored = self.api.objects[CLUSTER]
        stored["status"], stored["metadata"]["generation"] = status, generation

    def tail(self, namespace: str, pod: str, container: str, lines: int) -> str:
        return self.log

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        for moment in [one for one in self.at if one <= self.seconds]:
            self.at.pop(moment)()

    def run(self, **options: Any) -> dict[str, Any]:
        clock = Clock(lambda: NOW + self.seconds, self.sleep)
        flow = RookInfoFlow.from_params({**PARAMS, **options}, self.api, self, clock)
        plan = flow.decide(flow.observe())
        assert plan.steps == ()
        return dict(flow.report(Run(plan)))

    def progress(self, message: str) -> None:
        status = self.api.objects[CLUSTER]["status"]
        status.update(phase="Progressing", message=message)

    def ready(self) -> None:
        self.api.objects[CLUSTER]["status"].update(phase="Ready", message="Cluster created successfully")


@pytest.fixture
def world() -> World:
    return World()


def test_a_healthy_cluster_takes_two_requests(world: World) -> None:
    assert world.run()["ceph"]["healthy"]
    assert len(world.api.calls) == 2
    assert world.seconds == 0


def test_it_waits_until_it_is_healthy(world: World) -> None:
    world.progress("one")
    world.at = {20.0: world.ready}
    told = world.run(wait_timeout=60)["ceph"]
    assert (told["healthy"], told["expired"], world.seconds) == (True, False, 20.0)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_a_server_that_is_started_anew_is_waited_for(world: World, status: int) -> None:
    world.progress("one")
    world.api.refusal = status
    # It is there again, and after that it knows us again.
    world.at = {20.0: lambda: world.api.refuse(403), 30.0: lambda: world.api.refuse(None), 40.0: world.ready}
    assert world.run(wait_timeout=60)["ceph"]["healthy"]
    assert world.seconds == 40.0


@pytest.mark.parametrize(("status", "wait", "seconds"), [(0, 0, 0), (403, 60, 0), (0, 30, 30), (0, 600, 120)])
def test_a_server_that_stays_away_or_refuses_is_an_error(world: World, status: int, wait: int, seconds: int) -> None:
    world.api.refuse(status)
    with pytest.raises(BackendFailed):
        world.run(wait_timeout=wait)
    assert world.seconds == seconds


def test_news_are_told_while_waiting(world: World) -> None:
    world.progress("one")
    first = world.run(wait_timeout=60, known_line="")["ceph"]
    assert (world.seconds, first["healthy"], first["expired"]) == (0, False, False)
    world.at = {5.0: lambda: world.progress("two")}
    second = world.run(wait_timeout=60, known_line=first["line"])["ceph"]
    assert "phase Progressing: two" in second["line"]
    assert world.seconds == 15.0, "not a line at every look"


def test_the_end_is_explained(world: World) -> None:
    cluster = recorded("cluster_ready_but_osd_down.json")
    world.set(status=cluster["status"], generation=2)
    world.api.objects["/apis/apps/v1/namespaces/rook-ceph/deployments/rook-ceph-osd-0"]["status"].pop("readyReplicas")
    del world.api.objects["/apis/apps/v1/namespaces/rook-ceph/deployments/rook-ceph-osd-1"]
    for number, event in enumerate(recorded("events.json")):
        world.api.put(f"/api/v1/namespaces/rook-ceph/events/e{number}", event)
    pod = {"metadata": {"name": "rook-ceph-osd-prepare-n1-2k6j2", "labels": {"app": "rook-ceph-osd-prepare"}}}
    world.api.put("/api/v1/namespaces/rook-ceph/pods/rook-ceph-osd-prepare-n1-2k6j2", pod)
    world.log = recorded("prepare_refused.log")
    told = world.run(wait_timeout=30, known_line=None)["ceph"]
    assert (told["healthy"], told["expired"]) == (False, True)
    explained = "\n".join(told["explanations"])
    assert "rook-ceph-osd-0: Back-off restarting failed container osd" in explained
    assert "rook-ceph-osd-prepare-n1-2k6j2: Device /dev/stead/osd1 has bluestore signature." in explained
    assert any("restart the operator" in step for step in told["next_steps"])


def test_a_status_that_gets_old_is_noticed(world: World) -> None:
    told = world.run(max_status_age=300, wait_timeout=600)["ceph"]
    assert told["healthy"]
    world.seconds = 1000
    assert any("the operator does not run" in problem for problem in world.run(max_status_age=300)["ceph"]["problems"])


def test_no_cluster_is_an_error(world: World) -> None:
    with pytest.raises(BadInput, match="no CephCluster"):
        world.run(name="other")


@pytest.mark.parametrize("options", [{"interval": 0}, {"max_status_age": 0}])
def test_odd_times_are_refused(world: World, options: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        world.run(**options)


def test_what_a_plan_needs_takes_ten_requests(world: World) -> None:
    world.api.put("/version", {"gitVersion": "v1.36.3"})
    world.api.put("/api/v1/nodes/n1", {"metadata": {"name": "n1"}, "spec": {"unschedulable": True}})
    told = world.run(gather=["plan"])
    assert len(world.api.calls) == 10
    assert (told["kubernetes"], told["kinds"], told["operator_image"], told["namespace_exists"]) == ("v1.36.3", [], None, False)
    assert told["nodes"][0]["spec"] == {"unschedulable": True}
    assert told["cluster"]["metadata"]["name"] == "rook-ceph"
    assert told["clusters"] == ["rook-ceph/rook-ceph"]
    assert "ceph" not in told


def test_clusters_of_other_namespaces_are_seen(world: World) -> None:
    world.api.put("/apis/ceph.rook.io/v1/namespaces/own/cephclusters/mine", {"metadata": {"name": "mine", "namespace": "own"}})
    world.api.put("/version", {"gitVersion": "v1.36.3"})
    told = world.run(gather=["plan"], namespace="own", name="other")
    assert told["clusters"] == ["own/mine", "rook-ceph/rook-ceph"]
    assert told["cluster"] is None


def test_the_daemons_take_one_request(world: World) -> None:
    told = world.run(gather=["daemons"])
    assert world.api.calls == [("LIST", "/apis/apps/v1/namespaces/rook-ceph/deployments")]
    assert told["daemons"][0] == {"name": "rook-ceph-osd-0", "rook": "1.20.6", "ceph": "20.2.4", "settled": True}
    assert told["toolbox_image"] is None
    assert "cluster" not in told


def test_it_waits_until_the_operators_are_available(world: World) -> None:
    path = "/apis/apps/v1/namespaces/rook-ceph/deployments/rook-ceph-operator"
    pod = {"spec": {"containers": [{"name": "one", "image": "rook/ceph:v1.20.6"}]}}
    world.at = {
        10.0: lambda: world.api.put(path, {"spec": {"template": pod}}),
        20.0: lambda: world.api.objects[path].update(status={"conditions": [{"type": "Available", "status": "True"}]}),
    }
    world.api.put("/apis/csi.ceph.io/v1/namespaces/rook-ceph/drivers/rook-ceph.rbd.csi.ceph.com", {})
    told = world.run(gather=["operators"])
    assert told["operators"][0]["problem"] == "there is no such Deployment"
    assert len(world.api.calls) == 2
    told = world.run(gather=["operators"], wait_timeout=15)
    assert (told["operators"][0]["image"], told["operators"][0]["available"]) == ("rook/ceph:v1.20.6", False)
    told = world.run(gather=["operators"], wait_timeout=60)
    assert (told["operators"][0]["available"], world.seconds) == (True, 20.0)
    assert told["drivers"] == ["rook-ceph.rbd.csi.ceph.com"]


def test_the_newest_running_pod_of_the_toolbox_is_told(world: World) -> None:
    assert world.run(gather=["toolbox"]) == {"toolbox_pod": None}
    for name, phase in (("old", "Running"), ("new", "Running"), ("newest", "Pending")):
        path = f"/api/v1/namespaces/rook-ceph/pods/{name}"
        world.api.put(path, {"metadata": {"labels": {"app": "rook-ceph-tools"}}, "status": {"phase": phase}})
        age = {"old": "2026-01-01", "new": "2026-01-02", "newest": "2026-01-03"}[name]
        world.api.objects[path]["metadata"]["creationTimestamp"] = f"{age}T00:00:00Z"
    assert world.run(gather=["toolbox"])["toolbox_pod"] == "new"


def test_it_waits_until_the_daemons_are_of_the_wanted_release(world: World) -> None:
    path = "/apis/apps/v1/namespaces/rook-ceph/deployments/rook-ceph-osd-1"
    labels = world.api.objects[path]["metadata"]["labels"]
    world.at = {20.0: lambda: labels.update({"rook-version": "v1.20.7"})}
    other = world.api.objects[path.replace("osd-1", "osd-0")]["metadata"]["labels"]
    other["rook-version"] = "v1.20.7"
    told = world.run(wait_timeout=60, wanted_daemons={"rook": "1.20.7", "ceph": "20.2.4", "key_generation": 0})["ceph"]
    assert (told["healthy"], world.seconds) == (True, 20.0)
    assert len(world.api.calls) == 2 * 5, "two requests a look, as without"
