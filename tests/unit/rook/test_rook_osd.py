# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OSDs leave: with consent, when the rest can hold what is there, in order, and however often a run is ended."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import Clock
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.rook_osd import RookOsdFlow
from ansible_collections.kubestead.platform.plugins.module_utils._rook import ceph_job, pod_program

from .ceph_world import APPS, CLUSTER, NAMESPACE, OPERATOR, FakeCeph, FakeOsd, World, fsid

LEDGER = f"{NAMESPACE}/configmaps/kubestead-leaving-osds"
PARAMS: dict[str, Any] = {
    "namespace": "rook-ceph",
    "name": "rook-ceph",
    "operator_namespace": None,
    "osds": [],
    "devices": [],
    "nodes": [],
    "consent": [],
    "wait": 0,
    "state": "out",
}


def consent(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "fsid": fsid(number)} for number in numbers]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three nodes of two OSDs."""
    return World(FakeCeph({n: FakeOsd(n, f"n{n // 2 + 1}") for n in range(6)}), tmp_path, monkeypatch)


def run(world: World, *, check: bool = False, **options: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Actions by entry, and what is reported; an error of an entry is raised."""
    flow = RookOsdFlow.from_params({**PARAMS, **options}, world.api, Clock(lambda: world.seconds, world.sleep))
    plan = flow.decide(flow.observe())
    done = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=True)
    verdicts = settle(done)
    for verdict in verdicts:
        if verdict.error:
            raise verdict.error
    return {one.name: one.action for one in verdicts}, dict(flow.report(done))


def purge(world: World, **options: Any) -> dict[str, str]:
    """The whole way, as the role goes it."""
    _actions, told = run(world, **options)
    while not told["emptying"]["done"]:
        _actions, told = run(world, wait=30, **options)
    return run(world, **{**options, "state": "absent"})[0]


def test_an_osd_leaves_with_its_deployment_and_the_operator_is_held(world: World) -> None:
    world.ceph.crashes = [{"crash_id": "a", "entity_name": "osd.1"}, {"crash_id": "b", "entity_name": "osd.2"}]
    assert purge(world, osds=[1], consent=consent(1)) == {"osd.1": "removed", "rook-ceph-operator": "updated"}
    assert 1 not in world.ceph.osds
    assert f"{APPS}/rook-ceph-osd-1" not in world.api.objects
    operator = world.api.objects[OPERATOR]
    assert (operator["spec"]["replicas"], operator["metadata"]["annotations"]) == (0, {"kubestead.platform/held-replicas": "1"})
    assert [one["crash_id"] for one in world.ceph.crashes] == ["b"], "its crashes are no warning any more"
    assert json.loads(world.api.objects[LEDGER]["data"][fsid(1)]) == {"device": "/dev/osds/osd1", "id": 1, "node": "n1"}
    assert not [path for path in world.api.objects if "/jobs/" in path], "Jobs are taken away again"


def test_the_operator_is_held_before_anything_is_stopped(world: World) -> None:
    run(world, osds=[1], consent=consent(1))
    run(world, osds=[1], consent=consent(1), wait=30)
    world.api.calls.clear()
    run(world, osds=[1], consent=consent(1), state="absent")
    order = [path.rpartition("/")[2] for how, path in world.api.writes if "deployments" in path]
    assert order == ["rook-ceph-operator", "rook-ceph-osd-1", "rook-ceph-osd-1"]


def test_nothing_is_written_to_ceph_in_check_mode(world: World) -> None:
    actions, told = run(world, osds=[1], consent=consent(1), check=True)
    assert (actions, told["emptying"]["out"]) == ({"osd.1": "updated"}, ["osd.1"])
    assert not {"osd out", "osd purge", "osd down"} & set(world.ceph.commands)
    assert [path for _how, path in world.api.writes if "/jobs" not in path] == []


def test_without_consent_the_refusal_says_what_to_add(world: World) -> None:
    with pytest.raises(Refused) as caught:
        run(world, nodes=["n1"], consent=consent(0))
    assert f"add to the consent: [{{id: 1, fsid: {fsid(1)}}}]" in caught.value.hint
    assert "osd.1 (/dev/osds/osd1 on n1, 8 placement groups)" in str(caught.value)
    assert caught.value.facts["consent"] == consent(1)
    assert "osd out" not in world.ceph.commands


def test_consent_to_another_fsid_is_none(world: World) -> None:
    with pytest.raises(Refused, match=r"osd\.1"):
        run(world, osds=[1], consent=[{"id": 1, "fsid": fsid(9)}])


def test_a_second_run_leaves_the_successor_alone(world: World) -> None:
    """Ceph gives the number and the playbook the device to the next OSD."""
    purge(world, osds=[1], consent=consent(1))
    world.ceph.osds[1] = FakeOsd(1, "n1", uuid=fsid(99))
    world.give(1, "n1", "/dev/osds/osd1", fsid(99))
    for named in ({"osds": [1]}, {"devices": [{"node": "n1", "device": "/dev/osds/osd1"}]}):
        actions, told = run(world, **named, consent=consent(1))
        assert (actions, told["emptying"]["done"], told["emptying"]["leaving"]) == ({"osd.1": "unchanged"}, True, [])
        assert run(world, **named, consent=consent(1), state="absent")[0] == {"osd.1": "unchanged"}
    world.ceph.osds[6] = FakeOsd(6, "n1", uuid=fsid(98))
    world.give(6, "n1", "/dev/osds/osd1", fsid(98))
    del world.ceph.osds[1]
    world.api.drop(f"{APPS}/rook-ceph-osd-1")
    device = [{"node": "n1", "device": "/dev/osds/osd1"}]
    assert run(world, devices=device, consent=consent(1), state="absent")[0] == {"osd.6": "unchanged"}


def test_an_osd_that_is_in_or_not_empty_is_not_purged(world: World) -> None:
    with pytest.raises(Refused, match=r"osd\.1 .* is in"):
        run(world, osds=[1], consent=consent(1), state="absent")
    world.ceph.osds[1].empties_after = 100
    run(world, osds=[1], consent=consent(1))
    with pytest.raises(Refused, match="still counts for 8 placement groups"):
        run(world, osds=[1], consent=consent(1), state="absent")
    assert "osd purge" not in world.ceph.commands
    assert world.api.objects[OPERATOR]["spec"]["replicas"] == 1


def test_one_task_marks_out_and_waits(world: World) -> None:
    world.ceph.osds[1].empties_after = 5
    _actions, told = run(world, osds=[1], consent=consent(1), wait=30)
    assert told["emptying"]["done"]
    assert 0 < world.seconds < 30


def test_a_word_that_ceph_takes_back_for_a_moment_is_waited_for(world: World) -> None:
    """Safe when the role looked, and not any more when it purges: placement groups move once more."""
    run(world, osds=[1], consent=consent(1), wait=30)
    osd = world.ceph.osds[1]
    osd.pgs, osd.empties_after = 2, 3
    with pytest.raises(Refused, match="still counts for 2 placement groups"):
        run(world, osds=[1], consent=consent(1), state="absent")
    assert run(world, osds=[1], consent=consent(1), state="absent", wait=30)[0]["osd.1"] == "removed"


def test_what_is_in_is_not_waited_for(world: World) -> None:
    with pytest.raises(Refused, match=r"osd\.1 .* is in"):
        run(world, osds=[1], consent=consent(1), state="absent", wait=30)
    assert world.seconds < 5


def test_waiting_ends_with_the_time_and_tells_how_far_it_is(world: World) -> None:
    world.ceph.osds[1].empties_after = 100
    run(world, osds=[1], consent=consent(1))
    begun = world.seconds
    _actions, told = run(world, osds=[1], consent=consent(1), wait=30)
    assert not told["emptying"]["done"]
    assert 30 <= world.seconds - begun <= 34
    assert "8 placement groups on them; in the cluster 8 are not clean, 12.3 %" in told["emptying"]["line"]


def test_an_osd_that_does_not_stop_is_not_purged(world: World) -> None:
    run(world, osds=[1], consent=consent(1))
    run(world, osds=[1], consent=consent(1), wait=30)
    world.api.on_write.clear()
    with pytest.raises(BackendFailed, match=r"osd\.1 is still up"):
        run(world, osds=[1], consent=consent(1), state="absent")
    assert 1 in world.ceph.osds


def test_an_osd_that_comes_up_between_two_looks_is_purged_when_it_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged, refused = world.ceph._osd_purge, []

    def while_it_ends(asked: Any) -> Any:
        if not refused:
            world.ceph.osds[1].up = 1
            refused.append(asked["id"])
        return purged(asked)

    monkeypatch.setattr(world.ceph, "_osd_purge", while_it_ends)
    assert purge(world, osds=[1], consent=consent(1))["osd.1"] == "removed"
    assert refused == [1] and 1 not in world.ceph.osds


def test_a_node_leaves_with_its_host_in_the_map(world: World) -> None:
    assert purge(world, nodes=["n3"], consent=consent(4, 5)) == {
        "osd.4": "removed",
        "osd.5": "removed",
        "rook-ceph-operator": "updated",
    }
    assert world.ceph.hosts == ["n1", "n2"]
    assert sorted(world.ceph.osds) == [0, 1, 2, 3]
    assert purge(world, nodes=["n3"], consent=consent(4, 5)) == {}


def test_a_node_is_refused_when_the_copies_would_not_fit(world: World) -> None:
    world.ceph.pools = [("wide", 3, 0)]
    with pytest.raises(Refused, match="the pool wide keeps 3 copies on different hosts, and the rest has room for 2"):
        run(world, nodes=["n3"], consent=consent(4, 5))
    assert "osd out" not in world.ceph.commands
    run(world, osds=[4], consent=consent(4))  # its host stays


def test_a_node_is_refused_when_the_bytes_would_not_fit(world: World) -> None:
    for osd in world.ceph.osds.values():
        osd.used = 12 * (1 << 20)
    with pytest.raises(Refused, match=r"the OSDs of the class ssd would hold 72.0 GiB of 80.0 GiB, more than the 85% at which"):
        run(world, nodes=["n3"], consent=consent(4, 5))


@pytest.mark.parametrize("seed", range(25))
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(world: World, seed: int) -> None:
    """Any one write may be the last that was done."""
    dice = random.Random(seed)
    wanted: dict[str, Any] = {"nodes": ["n3"], "consent": consent(4, 5)}

    class Killed(BaseException):
        pass

    def kill(_how: str, _path: str, _thing: dict[str, Any]) -> None:
        if dice.random() < 0.15:
            raise Killed

    for _try in range(100):
        world.api.after_write[1:] = [kill]
        try:
            purge(world, **wanted)
            break
        except Killed:
            continue
    world.api.after_write[1:] = []
    assert purge(world, **wanted) == {}
    assert sorted(world.ceph.osds) == [0, 1, 2, 3]
    assert not [path for path in world.api.objects if path.startswith(f"{APPS}/rook-ceph-osd-") and path[-1] in "45"]
    assert world.api.objects[OPERATOR]["metadata"]["annotations"] == {"kubestead.platform/held-replicas": "1"}


def test_a_dead_osd_leaves_too(world: World) -> None:
    osd = world.ceph.osds[1]
    osd.up, osd.runs, osd.in_, osd.pgs = 0, False, 0, 0
    assert purge(world, osds=[1], consent=consent(1))["osd.1"] == "removed"
    assert "osd down" not in world.ceph.commands
    assert "osd out" not in world.ceph.commands


def test_an_osd_nobody_knows_is_no_work(world: World) -> None:
    assert run(world, osds=[77])[0] == {"osd.77": "unchanged"}
    assert run(world, devices=[{"node": "n1", "device": "/dev/none"}])[0] == {}


def test_an_osd_on_a_claim_is_refused(world: World) -> None:
    stored = world.api.objects[f"{APPS}/rook-ceph-osd-1"]
    stored["metadata"]["labels"]["ceph.rook.io/DeviceSet"] = "set1"
    with pytest.raises(Refused, match="stands on a claim of the set set1"):
        run(world, osds=[1], consent=consent(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"osds": [-1]},
        {"consent": [{"id": 1, "fsid": "x"}]},
        {"devices": [{"node": "n1", "device": "osds/osd1"}]},
        {"devices": [{"node": "", "device": "/dev/osds/osd1"}]},
        {"wait": -1},
        {"name": "other"},
        {"operator_namespace": "other"},
    ],
)
def test_malformed_input_ends_before_anything_is_done(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        run(world, **{"osds": [1], "consent": consent(1), **wrong})
    assert world.api.writes == []


def test_what_ceph_refuses_is_told_in_its_words(world: World) -> None:
    world.ceph.refuses["osd df"] = (-13, "access denied")
    with pytest.raises(BackendFailed, match="Ceph said no: RuntimeError: osd df: access denied"):
        run(world, osds=[1], consent=consent(1))
    assert not [path for path in world.api.objects if "/jobs/" in path]


def test_a_failed_mark_is_told(world: World) -> None:
    world.ceph.refuses["osd out"] = (-1, "not now")
    with pytest.raises(BackendFailed, match="osd out: not now"):
        run(world, osds=[1], consent=consent(1))


def test_the_job_is_one_that_rook_would_run(world: World) -> None:
    world.api.objects[CLUSTER]["spec"]["placement"] = {"all": {"tolerations": [{"key": "storage", "operator": "Exists"}]}}
    run(world, osds=[1], consent=consent(1), check=True)
    spec = world.jobs[0]["spec"]
    pod = spec["template"]["spec"]
    assert (spec["backoffLimit"], pod["restartPolicy"], pod["hostNetwork"]) == (0, "Never", True)
    assert pod["tolerations"] == [{"key": "storage", "operator": "Exists"}]
    assert pod["containers"][0]["image"] == "quay.io/ceph/ceph:v20.2.4"
    assert spec["activeDeadlineSeconds"] > 60


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}, 'secret "x" not found'),
        (
            {"terminated": {"exitCode": 1, "message": "Traceback\nModuleNotFoundError: No module named 'rados'"}},
            "No module named",
        ),
        ({"terminated": {"exitCode": 1, "message": ""}}, "said: nothing"),
    ],
)
def test_a_pod_that_cannot_work_is_told(state: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendFailed, match=words):
        ceph_job.answer([{"status": {"containerStatuses": [{"state": state}]}}])


def test_a_job_that_is_ended_by_its_deadline_is_told() -> None:
    with pytest.raises(BackendFailed, match="was active on the node longer"):
        ceph_job.answer([{"status": {"phase": "Failed", "message": "Pod was active on the node longer than the deadline"}}])


def test_a_pod_that_never_comes_is_given_up(world: World) -> None:
    world.api.after_write.clear()
    with pytest.raises(BackendFailed, match="has not ended after 240 s: it has no pod"):
        run(world, osds=[1], consent=consent(1))


def test_the_answer_of_a_large_cluster_fits_into_a_pods_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 nodes of 24 OSDs, no two alike, and 40 pools."""
    dice = random.Random(1)
    osds = {
        number: FakeOsd(
            number,
            f"storage-{number // 24:03d}",
            uuid=str(uuid.UUID(int=dice.getrandbits(128))),
            used=dice.randrange(1 << 30),
            size=1 << 31,
        )
        for number in range(60 * 24)
    }
    racks = {f"storage-{number:03d}": f"rack-{number % 12}" for number in range(60)}
    ceph = FakeCeph(osds, racks=racks, pools=[(f"pool-{number}", 3, 0) for number in range(40)], domain="rack")
    world = World(ceph, tmp_path, monkeypatch)
    with pytest.raises(Refused, match=r"To take osd\.168 "):
        run(world, nodes=["storage-007"])


def test_an_answer_that_does_not_fit_is_an_error(world: World) -> None:
    dice = random.Random(1)
    world.ceph.pools = [(f"{dice.random()}", 2, 0) for _number in range(1000)]
    with pytest.raises(BackendFailed, match="and a pod can tell 4096"):
        run(world, osds=[1], consent=consent(1))


def test_the_program_never_forces() -> None:
    assert "force" not in pod_program.PROGRAM
