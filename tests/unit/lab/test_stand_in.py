# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's stand-in for Rook writes, next to what the true operator wrote about a cluster of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kubestead_lab import ceph_objects
from kubestead_lab.ceph_keys import Keys
from kubestead_lab.ceph_objects import Make, Osd, deployment, osd_program
from kubestead_lab.remote import RUNNER, Away, Remote

RECORDED = Path(__file__).parents[1] / "fixtures" / "rook"
CLUSTER: dict[str, Any] = json.loads((RECORDED / "cluster_ready_but_osd_down.json").read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = json.loads((RECORDED / "osd_deployments.json").read_text(encoding="utf-8"))
NOW = "2026-11-24T20:00:00Z"
VERSION = "ceph version 20.2.4 (7f79) tentacle (stable)"


def environment(thing: dict[str, Any]) -> dict[str, str]:
    container = thing["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def test_a_deployment_says_of_its_osd_what_rooks_says() -> None:
    true = next(one for one in DEPLOYMENTS if one["metadata"]["name"] == "rook-ceph-osd-0")
    told = environment(true)
    osd = Osd("0", told["ROOK_OSD_UUID"], told["ROOK_NODE_NAME"], told["ROOK_BLOCK_PATH"], told["ROOK_OSD_DEVICE_CLASS"])
    made = deployment(CLUSTER, "osd", osd.number, osd.node, osd_program(osd), Make("v1.20.6", Keys(CLUSTER).states["osd"]))
    assert made["metadata"]["name"] == true["metadata"]["name"]
    assert environment(made).items() <= told.items()
    labels = true["metadata"]["labels"]
    assert {name: labels[name] for name in made["metadata"]["labels"]} == made["metadata"]["labels"]
    annotations = {"cephx-status": '{"keyGeneration":1,"keyCephVersion":"20.2.4-0"}'}
    assert made["spec"]["template"]["metadata"]["annotations"] == annotations
    assert made["spec"]["template"]["spec"]["nodeSelector"] == true["spec"]["template"]["spec"]["nodeSelector"]
    assert made["spec"]["selector"]["matchLabels"].items() <= made["spec"]["template"]["metadata"]["labels"].items()


def asking(generation: int, policy: str = "KeyGeneration", **status: Any) -> dict[str, Any]:
    """The recorded cluster, asking for keys; ``status`` replaces that of its keys."""
    daemon = {"keyRotationPolicy": policy, "keyGeneration": generation}
    spec = {**CLUSTER["spec"], "security": {"cephx": {"daemon": daemon}}}
    return {**CLUSTER, "spec": spec, "status": {**CLUSTER["status"], "cephx": {**CLUSTER["status"]["cephx"], **status}}}


def test_keys_are_due_when_a_newer_generation_is_asked_for() -> None:
    told = CLUSTER["status"]["cephx"]
    kept = Keys(CLUSTER)
    assert {kind: kept.states[kind]["keyGeneration"] for kind in ("mon", "mgr", "osd")} == dict.fromkeys(
        ("mon", "mgr", "osd"), 1
    )
    assert kept.states["admin"] == told["admin"] == {}
    assert [kind for kind in kept.states if kept.due(kind)] == []
    assert [kind for kind in kept.states if Keys(asking(2, policy="Disabled")).due(kind)] == []
    keys = Keys(asking(2, mgr={"keyGeneration": 2, "keyCephVersion": "20.2.4-0"}))
    assert [kind for kind in keys.states if keys.due(kind)] == ["mon", "osd", "admin"]
    keys.replaced("osd")
    assert keys.states["osd"] == {"keyGeneration": 2, "keyCephVersion": "20.2.4-0"}
    assert not keys.due("osd")


def answer(health: str, **checks: str) -> dict[str, Any]:
    """Of `ceph status`, what counts."""
    named = {name: {"severity": "HEALTH_WARN", "summary": {"message": text}} for name, text in checks.items()}
    sizes = {"bytes_total": 3, "bytes_used": 1, "bytes_avail": 2}
    return {"fsid": "f", "health": {"status": health, "checks": named}, "pgmap": sizes}


def test_the_status_has_the_fields_of_rooks() -> None:
    versions = {"osd": {VERSION: 1}, "overall": {VERSION: 3}}
    made = ceph_objects.ceph_part({"health": "HEALTH_OK"}, answer("HEALTH_WARN", OSD_DOWN="1 osds down"), versions, NOW)
    assert set(made) == set(CLUSTER["status"]["ceph"])
    assert made["details"] == {"OSD_DOWN": {"severity": "HEALTH_WARN", "message": "1 osds down"}}
    assert set(made["capacity"]) == set(CLUSTER["status"]["ceph"]["capacity"])
    assert ceph_objects.version_of(versions) == CLUSTER["status"]["version"]["version"]
    phase = ceph_objects.phase_part(CLUSTER, "Ready", "Cluster created successfully", NOW)
    true = CLUSTER["status"]
    plain = [name for name in phase if name != "conditions"]
    assert {name: true[name] for name in plain} == {name: phase[name] for name in plain}
    assert set(phase["conditions"][0]) == set(true["conditions"][0])


@pytest.mark.parametrize(
    ("health", "changed", "previous"), [("HEALTH_OK", "then", "HEALTH_ERR"), ("HEALTH_WARN", NOW, "HEALTH_OK")]
)
def test_a_change_of_health_is_dated(health: str, changed: str, previous: str) -> None:
    before = {"health": "HEALTH_OK", "lastChanged": "then", "previousHealth": "HEALTH_ERR"}
    made = ceph_objects.ceph_part(before, answer(health), {}, NOW)
    assert (made["lastChecked"], made["lastChanged"], made["previousHealth"]) == (NOW, changed, previous)


def test_daemons_are_counted_by_the_release_they_are_told_to_be() -> None:
    old = VERSION.replace("20.2.4", "20.2.2")
    assert ceph_objects.renamed(VERSION, {"20.2.2": 1, "20.2.4": 2}) == {old: 1, VERSION: 2}


def test_silence_of_ceph_is_an_error_with_the_word_error() -> None:
    made = ceph_objects.unreached({"fsid": "f", "health": "HEALTH_OK", "details": {}}, "timed out", NOW)
    assert (made["health"], list(made["details"]), made["fsid"], made["lastChecked"]) == ("HEALTH_ERR", ["error"], "f", NOW)


def test_a_program_at_the_other_end_runs_what_it_is_asked() -> None:
    remote = Remote([sys.executable, "-uc", RUNNER])
    try:
        assert remote.ask(["cat"], stdin="a\nb") == (0, "a\nb", "")
        assert remote.ask(["sh", "-c", "echo no >&2; exit 3"]) == (3, "", "no\n")
        assert remote.ask(["/no/such/program"])[0] == 255
        assert "TimeoutExpired" in remote.ask(["sleep", "9"], timeout=0.1)[2]
        assert remote.ask(["echo", "still here"])[1] == "still here\n"
    finally:
        remote.close()


def test_an_end_that_goes_away_is_told_and_started_again(tmp_path: Path) -> None:
    first = tmp_path / "first"
    script = f"import os, sys; p = {str(first)!r}\nif not os.path.exists(p):\n  open(p, 'w'); sys.exit()\n{RUNNER}"
    remote = Remote([sys.executable, "-uc", script])
    try:
        began = time.monotonic()
        with pytest.raises(Away):
            remote.ask(["true"])
        assert time.monotonic() - began < 10
        assert remote.ask(["true"]) == (0, "", "")
    finally:
        remote.close()


def test_what_rook_protects_names_its_cluster_as_owner() -> None:
    made = ceph_objects.protected(CLUSTER, "f")
    assert sorted(path.rpartition("/")[2] for path in made) == ["rook-ceph-mon", "rook-ceph-mon-endpoints"]
    for thing in made.values():
        assert thing["metadata"]["finalizers"] == ["ceph.rook.io/disaster-protection"]
        assert thing["metadata"]["ownerReferences"][0]["uid"] == CLUSTER["metadata"]["uid"]
