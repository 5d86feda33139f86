# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health gate on what a true operator wrote, and on every state that looks healthy and is not."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any, Callable

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rook import health, reasons
from ansible_collections.kubestead.platform.plugins.module_utils._rook.cluster import KEY_WARNINGS

from .worlds import recorded

NOW = datetime(2026, 11, 24, 19, 42, 30, tzinfo=timezone.utc).timestamp()
RULES = health.Rules(frozenset(KEY_WARNINGS))
DRIVER = "rook-ceph.rbd.csi.ceph.com"
World = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def healthy() -> World:
    """The recorded cluster as it would be with its second OSD up and without the failed module."""
    cluster, osds = recorded("cluster_ready_but_osd_down.json"), recorded("osd_deployments.json")
    ceph = cluster["status"]["ceph"]
    ceph.update(health="HEALTH_WARN", versions={**ceph["versions"], "osd": {"ceph version 20.2.4": 2}})
    del ceph["details"]["MGR_MODULE_ERROR"]
    for osd in osds:
        osd["status"] = {**osd["status"], "readyReplicas": 1}
    drivers = [
        workload(f"{DRIVER}-ctrlplugin", replicas=2, readyReplicas=2),
        workload(f"{DRIVER}-nodeplugin", desired=1, ready=1),
    ]
    return cluster, osds, drivers


def workload(name: str, *, replicas: int = 0, readyReplicas: int = 0, desired: int = -1, ready: int = 0) -> dict[str, Any]:  # noqa: N803
    status: dict[str, Any] = {"observedGeneration": 1, "readyReplicas": readyReplicas}
    if desired >= 0:
        status = {"observedGeneration": 1, "desiredNumberScheduled": desired, "numberReady": ready}
    return {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": replicas}, "status": status}


def judged(world: World, rules: health.Rules = RULES, now: float = NOW) -> dict[str, Any]:
    return health.judge(health.Witnesses(*world, now), rules)


def test_the_recorded_false_healthy_state_is_seen_through() -> None:
    """Phase Ready, generation current, status fresh, two OSDs by ``storeType``: and one of them crashes."""
    cluster, osds = recorded("cluster_ready_but_osd_down.json"), recorded("osd_deployments.json")
    assert cluster["status"]["phase"] == "Ready"
    assert cluster["status"]["storage"]["osd"]["storeType"] == {"bluestore": 2}
    told = judged((cluster, osds, []))
    assert told["problems"] == [
        "1 of 2 OSDs answer",
        "/dev/stead/osd0 on n1: rook-ceph-osd-0 is not ready",
        "MGR_MODULE_ERROR: Module 'devicehealth' has failed: disk I/O error",
    ]
    assert told["line"] == "phase Ready, 1 of 2 OSDs running, health HEALTH_ERR; 1 of 2 OSDs answer"


def test_a_healthy_cluster_is_healthy() -> None:
    told = judged(healthy(), health.Rules(frozenset(KEY_WARNINGS), drivers=(DRIVER,)))
    assert told["problems"] == []
    assert told["line"] == "phase Ready, 2 of 2 OSDs running, health HEALTH_WARN"


def test_the_warnings_of_old_keys_stand_unless_allowed() -> None:
    told = judged(healthy(), health.Rules())
    assert [problem.partition(":")[0] for problem in told["problems"]] == list(KEY_WARNINGS)


def status(cluster: dict[str, Any]) -> dict[str, Any]:
    return dict(cluster)["status"]


def detail(severity: str = "HEALTH_WARN") -> dict[str, str]:
    return {"severity": severity, "message": "told"}


def _no_osds(world: World) -> None:
    status(world[0])["ceph"]["versions"] = {"mon": {"v": 1}}
    world[1].clear()


def _pods_of_an_old_deployment(world: World) -> None:
    world[1][0]["metadata"]["generation"] = 99


def _on_another_device(world: World) -> None:
    for one in world[1][0]["spec"]["template"]["spec"]["containers"][0]["env"]:
        if one["name"] == "ROOK_BLOCK_PATH":
            one["value"] = "/dev/stead/osd1"


def _on_another_node(world: World) -> None:
    world[1][0]["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/hostname"] = "n9"


def _ceph(**more: Any) -> Callable[[World], None]:
    return lambda world: status(world[0])["ceph"].update(more)


def _check(name: str, severity: str = "HEALTH_WARN") -> Callable[[World], None]:
    return lambda world: status(world[0])["ceph"]["details"].update({name: detail(severity)})


# What looks healthy and is not: how it differs, and the problem that is told.
FALSE_HEALTHY: dict[str, tuple[Callable[[World], object], str]] = {
    "no status": (lambda world: world[0].pop("status"), "not looked at the object"),
    "an older object": (lambda world: world[0]["metadata"].update(generation=3), "seen generation 2"),
    "progressing": (
        lambda world: status(world[0]).update(phase="Progressing", message="Detecting"),
        "phase Progressing: Detecting",
    ),
    "another image": (lambda world: status(world[0])["version"].update(image="ceph:v19"), "image is ceph:v19"),
    "never asked": (lambda world: status(world[0]).pop("ceph"), "not asked Ceph yet"),
    "asked long ago": (_ceph(lastChecked="2026-11-24T19:20:00Z"), "1350 s old"),
    "no OSD": (_no_osds, "0 of 2 OSDs answer"),
    "one OSD answers": (_ceph(versions={"osd": {"v": 1}}), "1 of 2 OSDs answer"),
    "no Deployment of one": (lambda world: world[1].pop(0), "/dev/stead/osd0 on n1: there is no OSD"),
    "one not ready": (lambda world: world[1][0]["status"].pop("readyReplicas"), "rook-ceph-osd-0 is not ready"),
    "ready before its change": (_pods_of_an_old_deployment, "rook-ceph-osd-0 is not ready"),
    "scaled to nothing": (lambda world: world[1][0]["spec"].update(replicas=0), "rook-ceph-osd-0 is not ready"),
    "two on one device": (_on_another_device, "/dev/stead/osd0 on n1: there is no OSD"),
    "on another node": (_on_another_node, "/dev/stead/osd0 on n1: there is no OSD"),
    "operator cannot reach Ceph": (_ceph(health="HEALTH_ERR", details={"error": detail("Urgent")}), "cannot reach Ceph"),
    "a warning": (_check("MON_DOWN"), "MON_DOWN"),
    "an allowed name as an error": (_check(KEY_WARNINGS[0], "HEALTH_ERR"), KEY_WARNINGS[0]),
    "data missing": (_check("PG_AVAILABILITY"), "PG_AVAILABILITY"),
    "an error without reason": (_ceph(health="HEALTH_ERR"), "health HEALTH_ERR"),
    "a warning without reason": (_ceph(details={}), "without a reason"),
    "unknown health": (_ceph(health=""), "health unknown"),
    "driver missing": (lambda world: world[2].pop(), "nodeplugin is missing"),
    "driver's controller": (lambda world: world[2][0]["status"].update(readyReplicas=1), "ctrlplugin is not ready"),
    "driver on a node": (lambda world: world[2][1]["status"].update(numberReady=0), "nodeplugin is not ready"),
}


@pytest.mark.parametrize("case", FALSE_HEALTHY, ids=str)
def test_what_looks_healthy_and_is_not(case: str) -> None:
    change, problem = FALSE_HEALTHY[case]
    world = copy.deepcopy(healthy())
    change(world)
    told = judged(world, health.Rules(frozenset([*KEY_WARNINGS, "PG_AVAILABILITY"]), drivers=(DRIVER,)))
    assert not told["healthy"]
    assert any(problem in one for one in told["problems"]), told["problems"]
    assert told["problems"][0] in told["line"]


def test_scrubs_can_be_allowed_to_wait() -> None:
    world = healthy()
    _check("PG_NOT_SCRUBBED")(world)
    assert not judged(world)["healthy"]
    assert judged(world, health.Rules(frozenset([*KEY_WARNINGS, "PG_NOT_SCRUBBED"])))["healthy"]


def test_a_device_may_be_known_by_another_name() -> None:
    world = healthy()
    world[0]["spec"]["storage"]["nodes"][0]["devices"][0]["name"] = "/dev/disk/by-id/wwn-1"
    assert judged(world)["healthy"]
    world[1][0]["status"].pop("readyReplicas")
    assert "/dev/disk/by-id/wwn-1 on n1: rook-ceph-osd-0 is not ready" in judged(world)["problems"]


def test_several_osds_on_a_device_are_counted() -> None:
    world = healthy()
    world[0]["spec"]["storage"]["nodes"][0]["devices"] = [{"name": "/dev/sdb", "config": {"osdsPerDevice": "2"}}]
    for deployment in world[1]:
        for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
            if one["name"] == "ROOK_BLOCK_PATH":
                one["value"] = "/dev/sdb"
    assert judged(world)["healthy"]
    world[1].pop()
    assert "/dev/sdb on n1: there is no OSD" in judged(world)["problems"]


def test_claims_are_counted_by_their_set() -> None:
    world = healthy()
    world[0]["spec"]["storage"] = {"storageClassDeviceSets": [{"name": "set1", "count": 2}]}
    assert "0 of 2 OSDs of the set set1 are ready" in judged(world)["problems"]
    for deployment in world[1]:
        deployment["metadata"]["labels"]["ceph.rook.io/DeviceSet"] = "set1"
    assert judged(world)["healthy"]


def test_placement_groups_by_cephs_own_count() -> None:
    state = {
        "pgs_by_state": [{"state_name": "active+clean", "count": 30}, {"state_name": "active+clean+scrubbing", "count": 2}]
    }
    good = {"pgmap": {**state, "num_pgs": 32}, "osdmap": {"num_osds": 2, "num_up_osds": 2}}
    assert health.placement_groups(good) == []
    bad = {"pgmap": {**state, "num_pgs": 33}, "osdmap": {"num_osds": 2, "num_up_osds": 1}}
    assert health.placement_groups(bad) == ["1 of 33 placement groups are not active and clean", "1 of 2 OSDs are up"]


def test_the_operators_last_word_counts() -> None:
    events = recorded("events.json")
    assert reasons.operator_errors(events, "rook-ceph") == []
    before = [event for event in events if "19:11:07" not in str(event.get("eventTime"))]
    (error,) = reasons.operator_errors(before, "rook-ceph")
    assert "failed to provision OSD(s) on node n1" in error
    assert "\n" not in error
    assert reasons.operator_errors(before, "other") == []


def test_pods_of_dead_osds_are_told() -> None:
    (told,) = reasons.pod_errors(recorded("events.json"), ["rook-ceph-osd-0"])
    assert told.startswith("rook-ceph-osd-0: Back-off restarting failed container osd")


def test_prepare_jobs_say_why_a_device_was_refused() -> None:
    lines = reasons.prepare_lines(recorded("prepare_refused.log"), ["/dev/stead/osd1"])
    assert lines[0].startswith("Device /dev/stead/osd1 has bluestore signature. (it holds an old OSD: erase it")
    assert "ceph-volume report" in lines[-1]


def test_prepare_jobs_that_succeed_may_have_skipped_a_device() -> None:
    log = recorded("prepare_success.log")
    (line,) = reasons.prepare_lines(log, ["/dev/stead/osd0"])
    assert line.startswith('/dev/stead/osd0: because it contains a filesystem "ceph_bluestore"')
    assert reasons.prepare_lines(log, ["/dev/stead/osd1"]) == []
    everything = reasons.prepare_lines(log)
    assert any("ubda" in one and "mounted" in one for one in everything)


@pytest.mark.parametrize("log", ["", "\n\n", "no stamp at all", '2026-11-24 19:06:05.9 I | cephosd: skipping device "x"'])
def test_odd_logs_say_nothing(log: str) -> None:
    assert reasons.prepare_lines(log, ["/dev/x"]) == []


def test_every_problem_has_a_next_step() -> None:
    cluster, osds, drivers = recorded("cluster_ready_but_osd_down.json"), recorded("osd_deployments.json"), []
    told = judged((cluster, osds, drivers), health.Rules(drivers=(DRIVER,)))
    steps = reasons.next_steps(told["problems"], "ceph")
    assert any("describe pod" in step for step in steps)
    assert any("rook_operator" in step for step in steps)
    assert reasons.next_steps(["odd"], "ceph")
