# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release each daemon is of, on what a true operator wrote, and what keeps daemons from a target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rook import daemons, health
from ansible_collections.kubestead.platform.plugins.module_utils._rook.daemons import Daemon, Target

from .test_health import NOW, RULES, healthy
from .worlds import recorded

DONE = Target("1.20.6", "20.2.4", 1)


def read(*, ready: bool = True) -> list[Daemon]:
    _cluster, osds, _drivers = healthy()
    for one in osds:
        one["status"]["readyReplicas"] = int(ready)
    return daemons.read_daemons(osds, "rook-ceph")


def cluster(**cephx: Any) -> dict[str, Any]:
    found = healthy()[0]
    found["status"]["ceph"]["versions"]["overall"] = {"ceph version 20.2.4 (7f) tentacle (stable)": 4}
    found["status"]["cephx"] = {**found["status"]["cephx"], "admin": {"keyGeneration": 1}, **cephx}
    return found


def test_the_recorded_deployments_tell_their_releases() -> None:
    found = daemons.read_daemons(recorded("osd_deployments.json"), "rook-ceph")
    assert found == [
        Daemon("rook-ceph-osd-0", "1.20.6", "20.2.4", settled=False),
        Daemon("rook-ceph-osd-1", "1.20.6", "20.2.4", settled=True),
    ]


def test_deployments_of_others_are_no_daemons() -> None:
    found = recorded("osd_deployments.json")
    del found[0]["metadata"]["labels"]["rook-version"]
    found[1]["metadata"]["labels"]["rook_cluster"] = "another"
    assert daemons.read_daemons(found, "rook-ceph") == []


@pytest.mark.parametrize(
    ("change", "settled"),
    [({}, True), ({"observedGeneration": 0}, False), ({"updatedReplicas": 0}, False), ({"readyReplicas": 0}, False)],
)
def test_a_daemon_is_settled_when_its_present_pods_are_ready(change: dict[str, int], settled: bool) -> None:
    osd = healthy()[1][0]
    osd["status"].update(change)
    assert daemons.read_daemons([osd], "rook-ceph")[0].settled is settled


def test_a_daemon_that_was_scaled_down_is_settled() -> None:
    osd = healthy()[1][0]
    osd["spec"]["replicas"], osd["status"] = 0, {"observedGeneration": 1}
    assert daemons.read_daemons([osd], "rook-ceph")[0].settled


def test_the_recorded_cluster_tells_its_keys_and_its_ceph() -> None:
    recorded_cluster = recorded("cluster_ready_but_osd_down.json")
    keys = daemons.read_keys(recorded_cluster)
    assert keys["osd"] == daemons.Key(1, "20.2.4-0")
    assert keys["admin"] == daemons.Key(0, ""), "of a new cluster Rook says nothing about it"
    assert daemons.reported_ceph(recorded_cluster) == {(20, 2, 4): 3}
    assert daemons.reported_ceph({}) == {}


def test_the_toolbox_is_found_by_its_name() -> None:
    container = {"name": "rook-ceph-tools", "image": "quay.io/ceph/ceph:v20.2.2"}
    tools = {"metadata": {"name": "rook-ceph-tools"}, "spec": {"template": {"spec": {"containers": [container]}}}}
    assert daemons.toolbox_image([*recorded("osd_deployments.json"), tools]) == "quay.io/ceph/ceph:v20.2.2"
    assert daemons.toolbox_image(recorded("osd_deployments.json")) is None


def test_daemons_that_are_there_have_no_problem() -> None:
    assert daemons.daemon_problems(cluster(), read(), DONE) == []
    assert daemons.daemon_problems(cluster(), read(), Target()) == []


def test_what_is_not_there_yet_is_told_in_its_order() -> None:
    one, other = read()
    behind = [replace(one, rook="1.20.4", ceph="20.2.2"), replace(other, settled=False)]
    seen = cluster(mgr={"keyGeneration": 2})
    seen["status"]["ceph"]["versions"]["overall"] = {"ceph version 20.2.2 (7f)": 1, "ceph version 20.2.4 (7f)": 3}
    assert daemons.daemon_problems(seen, behind, replace(DONE, key_generation=2)) == [
        "1 of 2 daemons are not of Rook 1.20.6, such as rook-ceph-osd-0",
        "1 of 2 daemons are not of Ceph 20.2.4, such as rook-ceph-osd-0",
        "1 of 4 daemons say that they are Ceph 20.2.2",
        "rook-ceph-osd-1 is being replaced",
        "the key of mon is of generation 1, not 2",
        "the key of osd is of generation 1, not 2",
        "the key of admin is of generation 1, not 2",
    ]


def test_no_daemon_is_not_all_daemons() -> None:
    assert daemons.daemon_problems(cluster(), [], DONE) == ["the operator has made no daemon"]


def test_the_gate_asks_for_the_daemons_only_with_a_target() -> None:
    world = (cluster(), *healthy()[1:])
    behind = [replace(one, rook="1.20.4") for one in read()]
    witnesses = health.Witnesses(*world, NOW, behind)
    assert health.judge(witnesses, RULES)["healthy"]
    told = health.judge(witnesses, replace(RULES, target=DONE))
    assert told["line"].endswith("; 2 of 2 daemons are not of Rook 1.20.6, such as rook-ceph-osd-0")
    assert not told["healthy"]


@pytest.mark.parametrize("rotating", [True, False])
def test_errors_about_old_keys_stand_only_while_the_keys_are_replaced(*, rotating: bool) -> None:
    seen, osds, drivers = healthy()
    ceph = seen["status"]["ceph"]
    ceph["health"] = "HEALTH_ERR"
    ceph["details"]["AUTH_INSECURE_SERVICE_KEY_TYPE"] = {"severity": "HEALTH_ERR", "message": "old keys"}
    rules = replace(RULES, rotating_keys=rotating)
    assert health.judge(health.Witnesses(seen, osds, drivers, NOW), rules)["healthy"] is rotating
    ceph["details"]["OSD_FULL"] = {"severity": "HEALTH_ERR", "message": "full"}
    assert health.judge(health.Witnesses(seen, osds, drivers, NOW), rules)["problems"][-1] == "OSD_FULL: full"
