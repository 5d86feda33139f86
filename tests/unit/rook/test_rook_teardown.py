# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that takes a cluster away: what it refuses, in which order it goes, and that nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import teardown
from ansible_collections.kubestead.platform.plugins.module_utils._rook.dependents import (
    CSI_OPERATOR,
    KINDS,
    OPERATOR,
    STAGES,
    Place,
    things,
)
from ansible_collections.kubestead.platform.plugins.module_utils._rook.dependents import World as Lists
from hypothesis import given
from hypothesis import strategies as st

from .teardown_world import (
    BUCKET,
    CEPH,
    CLAIM,
    CLAIMED,
    CLASS,
    CLUSTER,
    DEPLOYMENTS,
    NS,
    SNAP,
    VOLUME,
    Ended,
    World,
    actions,
    errors,
)


def deleted(world: World) -> list[str]:
    """What was asked to go, in order, each once."""
    return list(dict.fromkeys(path for how, path in world.api.writes if how == "DELETE"))


def stage_of(path: str) -> int:
    plural = path.split("/")[-2]
    if plural in KINDS:
        return STAGES.index(KINDS[plural][1])
    words = {
        "persistentvolumeclaims": "consumers",
        "persistentvolumes": "volumes",
        "storageclasses": "storage classes",
        "volumesnapshotclasses": "storage classes",
        "cephclusters": "cluster",
        "secrets": "remains",
        "cephconnections": "remains",
        "clientprofiles": "remains",
    }
    if plural == "configmaps":
        return STAGES.index("remains" if path.endswith("endpoints") else "beside the cluster")
    return STAGES.index(words.get(plural, "beside the cluster"))


@pytest.mark.parametrize("runs", [True, False], ids=["the operator works", "the operator is gone"])
def test_everything_of_the_cluster_goes_in_order_and_nothing_else(runs: bool) -> None:
    world = World(runs=runs).furnish().consume()
    others = world.neighbours()
    before = {path: dict(world.api.objects[path]) for path in others}
    foretold = world.run(check=True, consumers=[CLAIMED])
    assert world.api.writes == []
    done = world.run(consumers=[CLAIMED])
    assert errors(done) == ""
    assert actions(done) == actions(foretold)
    assert set(actions(done).values()) == {"removed"}
    order = [stage_of(path) for path in deleted(world)]
    assert order == sorted(order)
    assert CLUSTER not in world.api.objects
    left = set(world.api.objects) - others
    assert left == {"/api/v1/namespaces/team", *(f"{DEPLOYMENTS}/{name}" for name in (OPERATOR, CSI_OPERATOR))}
    assert {path: world.api.objects[path] for path in others} == before
    again = world.run(consumers=[CLAIMED])
    assert actions(again) == {"CephCluster rook-ceph/rook-ceph": "unchanged"}
    assert not again.done


def test_while_the_operator_works_no_finalizer_of_its_is_touched() -> None:
    world = World().furnish()
    world.run()
    patched = [path for how, path in world.api.writes if how == "PATCH"]
    assert patched == [f"/apis/csi.ceph.io/v1/namespaces/{NS}/clientprofiles/{NS}"]  # the other operator is gone


def test_an_operator_that_comes_back_meanwhile_is_left_its_work() -> None:
    """It was gone when the run began; the Deployment is read again right before each finalizer."""
    world = World(runs=False).furnish()
    flow = world.flow()
    plan = flow.decide(flow.observe())
    world.api.objects[f"{DEPLOYMENTS}/{OPERATOR}"]["spec"]["replicas"] = 1
    for stage in plan.stages:
        assert [one.error for one in flow.execute(stage) if one.error] == []
    assert not [path for how, path in world.api.writes if how == "PATCH" and "ceph.rook.io/v1" in path]


def test_only_finalizers_that_are_known_are_taken() -> None:
    world = World(runs=False)
    world.api.objects[CLUSTER]["metadata"]["finalizers"].append("example.com/audit")
    told = errors(world.run(wait_timeout=5))
    assert "CephCluster rook-ceph/rook-ceph is still there after 5 s (finalizers: example.com/audit)" in told
    assert world.api.objects[CLUSTER]["metadata"]["finalizers"] == ["example.com/audit"]


@pytest.mark.parametrize(
    ("deployment", "gone"),
    [
        (None, True),
        ({"spec": {"replicas": 0}, "status": {}}, True),
        ({"spec": {"replicas": 0}, "status": {"replicas": 1}}, False),
        ({"spec": {"replicas": 1}, "status": {"replicas": 1, "unavailableReplicas": 1}}, False),
        ({"spec": {}}, False),
    ],
    ids=["missing", "scaled down", "still ending", "crashing", "default"],
)
def test_an_operator_is_gone_only_for_sure(deployment: Any, gone: bool) -> None:
    assert teardown.is_gone(deployment) is gone


@pytest.mark.parametrize(
    ("finalizer", "keeper", "may"),
    [
        ("cephblockpool.ceph.rook.io", OPERATOR, True),
        ("ceph.rook.io/disaster-protection", OPERATOR, True),
        ("objectbucket.io/finalizer", OPERATOR, True),
        ("kubernetes.io/pvc-protection", OPERATOR, False),
        ("notceph.rook.io.example.com", OPERATOR, False),
        ("csi.ceph.com/cleanup", CSI_OPERATOR, True),
        ("cephcluster.ceph.rook.io", CSI_OPERATOR, False),
        ("external-provisioner.volume.kubernetes.io/finalizer", "rook-ceph.rbd.csi.ceph.com-ctrlplugin", True),
        ("external-attacher/rook-ceph-rbd-csi-ceph-com", "rook-ceph.rbd.csi.ceph.com-ctrlplugin", True),
        ("kubernetes.io/pv-protection", "rook-ceph.rbd.csi.ceph.com-ctrlplugin", False),
        ("external-provisioner.volume.kubernetes.io/finalizer", "", False),
    ],
)
def test_each_keeper_has_its_own_finalizers(finalizer: str, keeper: str, may: bool) -> None:
    assert teardown.may_release(finalizer, keeper) is may


def refuse(world: World, **options: Any) -> str:
    """What the run says; nothing may have been written."""
    try:
        run = world.run(**options)
    except (Refused, BadInput) as exc:
        told = exc.sentence()
    else:
        told = errors(run)
        assert set(actions(run).values()) <= {"failed", "skipped"}
        assert actions(run) == actions(world.run(check=True, **options))
    assert world.api.writes == []
    return told


@pytest.mark.parametrize("confirm", ["", "rook", "Rook-Ceph", "rook-ceph ", "yes", "true"])
def test_without_the_name_it_refuses_and_says_what_would_be_lost(confirm: str) -> None:
    told = refuse(World().furnish().consume(), confirm=confirm, consumers=[CLAIMED])
    assert "destroys the CephCluster rook-ceph in the namespace rook-ceph and all data in it" in told
    assert "1 CephBlockPool, " in told
    assert "1 PersistentVolumeClaim" in told
    assert "confirm: rook-ceph" in told


CONSUMERS: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "bound claim": ({}, CLAIMED),
    "claim not yet bound": ({CLAIM: {"spec": {"storageClassName": "ceph-block"}}, VOLUME: {}}, CLAIMED),
    "kept volume": ({CLAIM: {}}, "PersistentVolume pvc-1 (of PersistentVolumeClaim team/data)"),
    "bucket claim": (
        {f"{BUCKET}/namespaces/team/objectbucketclaims/b": {"spec": {"storageClassName": "bucket"}}, CLAIM: {}, VOLUME: {}},
        "ObjectBucketClaim team/b",
    ),
    "kept bucket": (
        {f"{BUCKET}/objectbuckets/b": {"spec": {"storageClassName": "bucket"}}, CLAIM: {}, VOLUME: {}},
        "ObjectBucket b",
    ),
    "snapshot": (
        {
            f"{SNAP}/volumesnapshotcontents/c": {
                "spec": {"driver": "rook-ceph.rbd.csi.ceph.com", "volumeSnapshotClassName": "block"}
            },
            f"{SNAP}/namespaces/team/volumesnapshots/s": {"status": {"boundVolumeSnapshotContentName": "c"}},
            CLAIM: {},
            VOLUME: {},
        },
        "VolumeSnapshot team/s",
    ),
}


@pytest.mark.parametrize("case", CONSUMERS)
def test_somebodys_data_keeps_the_cluster_until_it_is_named(case: str) -> None:
    changes, word = CONSUMERS[case]
    world = World().furnish().consume()
    for path, body in changes.items():
        if path in world.api.objects:
            world.api.drop(path)
        if body:
            world.put(path, **body)
    told = refuse(world)
    assert f"{word} holds data in this cluster" in told
    assert "name it in consumers: ['" in told
    named = {part.partition("'")[0] for part in told.split("consumers: ['")[1:]}
    done = world.run(consumers=sorted(named))
    assert errors(done) == ""
    assert CLUSTER not in world.api.objects


def test_naming_another_ones_data_is_no_consent() -> None:
    world = World().furnish().consume()
    assert "holds data" in refuse(world, consumers=["PersistentVolumeClaim team/other", "PersistentVolumeClaim data"])


def test_a_claim_that_is_mounted_is_refused_even_when_named() -> None:
    world = World().furnish().consume()
    mounts = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    world.put("/api/v1/namespaces/team/pods/web", spec=mounts, status={"phase": "Running"})
    assert "is mounted by pod team/web" in refuse(world, consumers=[CLAIMED])
    world.api.objects["/api/v1/namespaces/team/pods/web"]["status"]["phase"] = "Succeeded"
    assert errors(world.run(consumers=[CLAIMED])) == ""


def test_another_cluster_in_the_namespace_is_refused() -> None:
    world = World()
    world.put(f"{CEPH}/cephclusters/second")
    assert "holds the CephCluster second, not rook-ceph alone" in refuse(world)
    assert "holds the CephCluster rook-ceph, not typo alone" in refuse(World(), name="typo", confirm="typo")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"consumers": ["team/data"]}, "Name each as in 'PersistentVolumeClaim team/data'."),
        ({"consumers": ["PersistentVolumeClaim team data"]}, "Name each as in"),
        ({"wait_timeout": 0}, "wait_timeout is 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], words: str) -> None:
    world = World().furnish()
    assert words in refuse(world, **options)
    assert world.api.calls == []


def test_volumes_of_parts_of_a_pool_are_known_by_their_own_cluster_id() -> None:
    world = World().furnish().consume()
    world.api.objects[f"{CEPH}/cephblockpoolradosnamespaces/one"]["status"] = {"info": {"clusterID": "80fc"}}
    world.api.objects[VOLUME]["spec"]["csi"]["volumeAttributes"]["clusterID"] = "80fc"
    assert "holds data" in refuse(world)


def test_clean_up_jobs_are_off_unless_asked_for() -> None:
    world = World()
    world.api.objects[CLUSTER]["spec"]["cleanupPolicy"] = {"confirmation": teardown.YES}
    first = world.run()
    assert first.plan.stages[0].name == "clean-up policy"
    assert world.api.writes[0] == ("PATCH", CLUSTER)
    asked = World()
    run = asked.run(check=True, cleanup_jobs=True)
    assert "zap the disks" in run.plan.warnings[0]
    assert [stage.name for stage in run.plan.stages][-2:] == ["clean-up jobs", "remains"]
    assert "The clean-up jobs are the operator's, and it does not run." in refuse(World(runs=False), cleanup_jobs=True)


def test_clean_up_jobs_are_waited_for() -> None:
    world = World()
    job = f"/apis/batch/v1/namespaces/{NS}/jobs/cluster-cleanup-job-n1"
    world.put(job, labels={"app": "rook-ceph-cleanup"})

    def finish() -> None:
        if world.seconds > 20 and job in world.api.objects:
            world.api.objects[job]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    world.meanwhile = finish
    assert errors(world.run(cleanup_jobs=True)) == ""
    assert world.seconds > 20
    assert world.api.objects[job]


def test_force_tells_rook_so_and_nobody_else() -> None:
    world = World().furnish()
    world.run(force_deletion=True)
    patched = {path.split("/")[-2] for how, path in world.api.writes if how == "PATCH" and "ceph.rook.io/v1" in path}
    assert patched == {"cephblockpools", "cephblockpoolradosnamespaces", "cephfilesystemsubvolumegroups"}


def test_what_blocks_a_deletion_is_told() -> None:
    """A kind that this release of the collection does not know would block it so."""
    world = World()
    row = {"type": "DeletionIsBlocked", "status": "True", "message": "CephNew/one depends on it"}

    def block() -> None:
        if CLUSTER in world.api.objects:
            world.api.objects[CLUSTER]["status"] = {"conditions": [row]}

    world.api.objects[f"{DEPLOYMENTS}/{OPERATOR}"]["spec"]["replicas"] = 1
    world.meanwhile = block
    world._operate = lambda: None  # type: ignore[method-assign]
    told = errors(world.run(wait_timeout=7))
    assert "is still there after 7 s (CephNew/one depends on it; finalizers: cephcluster.ceph.rook.io)" in told
    assert "rook-ceph-operator has to take it away" in told


def test_an_object_made_anew_under_an_old_name_is_left_alone() -> None:
    world = World().furnish()
    flow = world.flow()
    plan = flow.decide(flow.observe())
    world.api.drop(CLASS)
    world.put(CLASS, provisioner="somebody.else")
    for stage in plan.stages:
        list(flow.execute(stage))
    assert world.api.objects[CLASS]["provisioner"] == "somebody.else"


@pytest.mark.parametrize("runs", [True, False], ids=["the operator works", "the operator is gone"])
def test_a_run_ended_after_any_write_is_finished_by_the_next(runs: bool) -> None:
    whole = World(runs=runs).furnish().consume()
    whole.run(consumers=[CLAIMED], concurrency=1)
    for point in range(1, len(whole.api.writes) + 1):
        world = World(runs=runs).furnish().consume()
        others = world.neighbours()

        def end(*_write: object, world: World = world, point: int = point) -> None:
            if len(world.api.writes) >= point:
                raise Ended

        world.api.on_write.append(end)
        with pytest.raises(Ended):
            world.run(consumers=[CLAIMED], concurrency=1)
        world.api.on_write.clear()
        assert errors(world.run(consumers=[CLAIMED])) == "", point
        assert set(world.api.objects) - others == set(whole.api.objects), point


def drivers_of_another_operator() -> World:
    """The cluster's classes and a volume, by drivers of an operator that the teardown was not told of."""
    world, driver = World().consume(), "operators.rbd.csi.ceph.com"
    world.put(CLASS, provisioner=driver, parameters={"clusterID": NS})
    world.put(f"{SNAP}/volumesnapshotclasses/block", driver=driver, parameters={"clusterID": NS})
    world.api.objects[VOLUME]["spec"]["csi"]["driver"] = driver
    return world


def test_classes_of_the_cluster_go_whichever_operators_drivers_they_name() -> None:
    world = drivers_of_another_operator()
    others = world.neighbours()
    announced = world.run(check=True, consumers=[CLAIMED])
    told = actions(announced)
    assert (told["StorageClass ceph-block"], told["VolumeSnapshotClass block"]) == ("removed", "removed")
    assert errors(world.run(consumers=[CLAIMED])) == ""
    assert {CLASS, f"{SNAP}/volumesnapshotclasses/block", CLUSTER} & set(world.api.objects) == set()
    assert others <= set(world.api.objects)


def test_data_in_the_cluster_is_seen_whichever_operators_drivers_hold_it() -> None:
    world = drivers_of_another_operator()
    assert f"{CLAIMED} holds data in this cluster" in refuse(world)


def test_a_driver_of_another_operator_may_run_so_its_finalizers_stay() -> None:
    world = drivers_of_another_operator()
    finalizer = "external-provisioner.volume.kubernetes.io/finalizer"
    world.keep(VOLUME, finalizer)
    assert "PersistentVolume pvc-1 is still there" in errors(world.run(consumers=[CLAIMED]))
    assert world.api.objects[VOLUME]["metadata"]["finalizers"] == [finalizer]


def test_a_look_is_a_bounded_number_of_requests() -> None:
    world = World().furnish()
    world.run(check=True)
    assert len(world.api.calls) <= 50


NAMESPACES = st.sampled_from([NS, "other", "team"])
IDS = st.sampled_from([NS, "other", "80fc", None])
DRIVERS = st.sampled_from(["rook-ceph.rbd.csi.ceph.com", "rook-ceph.cephfs.csi.ceph.com", "other.rbd.csi.ceph.com", "x"])


@given(
    rows=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), NAMESPACES), max_size=6),
    classes=st.lists(st.tuples(DRIVERS, IDS), max_size=4),
    volumes=st.lists(st.tuples(DRIVERS, IDS, st.integers(0, 4)), max_size=5),
    claims=st.lists(st.tuples(NAMESPACES, st.integers(0, 5), st.integers(0, 4)), max_size=5),
)
def test_nothing_of_another_cluster_is_ever_listed(rows: Any, classes: Any, volumes: Any, claims: Any) -> None:
    """Whatever there is: what is listed names this cluster itself, or something that does."""
    world = World()
    for number, (plural, namespace) in enumerate(rows):
        world.put(f"/apis/ceph.rook.io/v1/namespaces/{namespace}/{plural}/n{number}")
    for number, (driver, cluster) in enumerate(classes):
        world.put(f"/apis/storage.k8s.io/v1/storageclasses/c{number}", provisioner=driver, parameters={"clusterID": cluster})
    for number, (driver, cluster, of) in enumerate(volumes):
        csi = {"driver": driver, "volumeAttributes": {"clusterID": cluster} if cluster else {}}
        world.put(f"/api/v1/persistentvolumes/v{number}", spec={"csi": csi, "storageClassName": f"c{of}"})
    for number, (namespace, volume, of) in enumerate(claims):
        spec = {"volumeName": f"v{volume}" if volume else "", "storageClassName": f"c{of}"}
        world.put(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/p{number}", spec=spec)
    place = Place(NS, "rook-ceph", NS)
    lists = Lists({path: world.api.list_all(path).objects for path in place.lists()})
    found = {one.path: one for one in things(place, lists)}
    ours = {f"c{n}" for n, (driver, cluster) in enumerate(classes) if driver.endswith(".csi.ceph.com") and cluster == NS}
    held = {
        f"v{n}"
        for n, (driver, cluster, of) in enumerate(volumes)
        if driver.endswith(".csi.ceph.com") and (cluster == NS or (cluster is None and f"c{of}" in ours))
    }
    assert {one.name for one in found.values() if one.kind == "StorageClass"} == ours
    assert {one.name for one in found.values() if one.kind == "PersistentVolume"} == held
    for path in found:
        if "ceph.rook.io" in path:
            assert f"/namespaces/{NS}/" in path
        if "persistentvolumeclaims" in path:
            spec = world.api.objects[path]["spec"]
            assert spec["volumeName"] in held or (not spec["volumeName"] and spec["storageClassName"] in ours)
    order = [STAGES.index(one.stage) for one in things(place, lists)]
    assert order == sorted(order)
