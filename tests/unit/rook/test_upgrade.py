# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps of an upgrade are left in each state a cluster can show, and which upgrades are refused."""

from __future__ import annotations

import copy
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, CollError, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import cluster as ceph_cluster
from ansible_collections.kubestead.platform.plugins.module_utils._rook import manifests, plan, upgrade, versions

from .presets import CLUSTERS
from .test_manifests import changed
from .worlds import VALUES, node, recorded, told

OLD, NEW = "quay.io/ceph/ceph:v20.2.2", "quay.io/ceph/ceph:v20.2.4"
NAMES = ("rook-ceph-mgr-a", "rook-ceph-mon-a", "rook-ceph-osd-0", "rook-ceph-osd-1")


def daemon(name: str, rook: str, ceph: str) -> dict[str, Any]:
    return {"name": name, "rook": rook, "ceph": ceph, "settled": True}


def keys(generation: int, made_by: str, *, admin: Optional[int] = None) -> dict[str, Any]:
    told = {kind: {"keyGeneration": generation, "keyCephVersion": made_by} for kind in ("mon", "mgr", "osd")}
    return {**told, "admin": {"keyGeneration": generation if admin is None else admin}}


def a_cluster(
    image: str = OLD,
    *,
    reported: str = "",
    cephx: Optional[dict[str, Any]] = None,
    asked: Optional[dict[str, Any]] = None,
    csi: str = "",
) -> dict[str, Any]:
    """The recorded one with another Ceph; its keys are those of a new cluster unless told otherwise."""
    ceph = reported or image.rpartition(":v")[2].partition("-")[0]
    found = copy.deepcopy(recorded("cluster_ready_but_osd_down.json"))
    found["spec"]["cephVersion"]["image"] = image
    found["spec"]["security"]["cephx"] = {"daemon": asked or {}, "csi": {"keyType": csi} if csi else {}}
    found["status"]["cephx"] = keys(1, f"{ceph}-0", admin=0) if cephx is None else cephx
    found["status"]["ceph"]["versions"]["overall"] = {f"ceph version {one} (7f) tentacle": 2 for one in ceph.split()}
    return found


def seen(
    operator: str = "1.20.4",
    rook: str = "",
    ceph: str = "20.2.2",
    cluster: Optional[dict[str, Any]] = None,
    toolbox: Optional[str] = OLD,
    **more: Any,
) -> dict[str, Any]:
    """What rook_info tells; ``rook`` and ``ceph`` are those of the daemons."""
    daemons = [daemon(name, rook or operator, ceph) for name in NAMES]
    return told(
        operator_image=f"docker.io/rook/ceph:v{operator}",
        cluster=a_cluster() if cluster is None else cluster,
        **{"daemons": daemons, "toolbox_image": toolbox, **more},
    )


def planned(world: dict[str, Any], **values: Any) -> dict[str, Any]:
    return upgrade.upgrade_plan({**VALUES, **values}, world)


ROTATED = keys(2, "20.2.4-0")
ASKED = {"keyRotationPolicy": "KeyGeneration", "keyGeneration": 2}
HALF = [daemon(name, "1.20.6", "20.2.4" if index < 2 else "20.2.2") for index, name in enumerate(NAMES)]
# Each state a run can be killed in: what the cluster shows then, and the beginnings of the steps that are left.
STATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "before the first": (
        seen(),
        ["resource definitions", "daemons to Rook", "Ceph's image", "daemons to Ceph", "keys of", "type of", "toolbox"],
    ),
    "the operator is new": (
        seen("1.20.6", rook="1.20.4"),
        ["daemons to Rook", "Ceph's image", "daemons to Ceph", "keys of", "type of", "toolbox"],
    ),
    "all daemons are of the new Rook": (
        seen("1.20.6"),
        ["Ceph's image", "daemons to Ceph", "keys of", "type of", "toolbox"],
    ),
    "the image is asked for": (
        seen("1.20.6", cluster=a_cluster(NEW, reported="20.2.2", asked=ASKED, csi="aes")),
        ["daemons to Ceph", "keys of", "toolbox"],
    ),
    "half of the daemons run it": (
        seen("1.20.6", daemons=HALF, cluster=a_cluster(NEW, reported="20.2.2 20.2.4", asked=ASKED, csi="aes")),
        ["daemons to Ceph 20.2.4: rook-ceph-osd-0, rook-ceph-osd-1", "keys of", "toolbox"],
    ),
    "keys are left": (
        seen("1.20.6", ceph="20.2.4", cluster=a_cluster(NEW, cephx=keys(1, "20.2.2-0"), asked=ASKED, csi="aes")),
        ["keys of the daemons: generation 2", "toolbox"],
    ),
    "the administrator's key is left": (
        seen("1.20.6", ceph="20.2.4", cluster=a_cluster(NEW, cephx=keys(2, "20.2.4-0", admin=1), asked=ASKED, csi="aes")),
        ["keys of the daemons: generation 2", "toolbox"],
    ),
    "the toolbox is left": (
        seen("1.20.6", ceph="20.2.4", cluster=a_cluster(NEW, cephx=ROTATED, asked=ASKED, csi="aes")),
        [f"toolbox: {OLD} to {NEW}"],
    ),
    "after the last": (
        seen("1.20.6", ceph="20.2.4", toolbox=NEW, cluster=a_cluster(NEW, cephx=ROTATED, asked=ASKED, csi="aes")),
        [],
    ),
    "a cluster that was made with this release": (
        seen("1.20.6", ceph="20.2.4", toolbox=None, cluster=a_cluster(NEW, csi="aes")),
        [],
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_the_steps_that_are_left_follow_from_what_is_seen(state: str) -> None:
    world, beginnings = STATES[state]
    made = planned(world)
    assert len(made["steps"]) == len(beginnings), made["steps"]
    assert [step for step, begin in zip(made["steps"], beginnings) if not step.startswith(begin)] == []
    assert made["begun"] is (state != "before the first")
    assert made["first"] == {"rook": "1.20.6", "ceph": "", "key_generation": 0}
    assert made["last"] == {"rook": "1.20.6", "ceph": "20.2.4", "key_generation": 2 if made["rotates"] else 0}
    assert made["toolbox"] is any(step.startswith("toolbox") for step in made["steps"])


def test_the_cluster_is_changed_once_for_image_and_keys() -> None:
    assert planned(seen())["change"] == {
        "cephVersion": {"image": NEW},
        "security": {"cephx": {"daemon": ASKED, "csi": {"keyType": "aes"}}},
    }
    assert planned(STATES["the image is asked for"][0])["change"] == {}


def test_the_drivers_keys_stay_what_old_kernels_can_mount_with() -> None:
    """With new kernels, or where the type is set, it is left alone."""
    assert planned(seen(nodes=[node("n1", kernel="7.1.0")]))["change"]["security"]["cephx"] == {"daemon": ASKED}
    assert "csi" not in planned(seen(cluster=a_cluster(csi="aes256k")))["change"]["security"]["cephx"]


@pytest.mark.parametrize(
    ("cephx", "asked", "generation", "ask"),
    [
        (keys(1, "20.2.2-0"), {}, 2, True),
        (keys(1, "19.2.3-0"), {}, 2, True),
        ({}, {}, 2, True),
        (keys(4, "20.2.2-0"), {}, 5, True),
        (keys(1, "20.2.2-0"), {"keyGeneration": 7}, 8, True),
        (keys(1, "20.2.2-0"), {"keyRotationPolicy": "KeyGeneration", "keyGeneration": 3}, 3, False),
        (keys(2, "20.2.4-0"), ASKED, 0, False),
        (keys(1, "20.2.4-0", admin=0), {}, 0, False),
    ],
    ids=["older", "older major", "undated", "fifth", "policy off", "asked for", "done", "new cluster"],
)
def test_keys_of_before_the_cure_are_replaced(
    cephx: dict[str, Any], asked: dict[str, Any], generation: int, *, ask: bool
) -> None:
    rotation = upgrade.wanted_keys(a_cluster(cephx=cephx, asked=asked), (20, 2, 4))
    assert (rotation.generation, rotation.ask) == (generation, ask)


def test_keys_are_left_alone_where_ceph_has_no_cure() -> None:
    assert upgrade.wanted_keys(a_cluster(), (20, 2, 2)) == upgrade.Rotation()
    assert upgrade.wanted_keys(a_cluster(), (18, 2, 7)) == upgrade.Rotation()
    assert planned(seen(), image="quay.io/ceph/ceph:v20.2.3")["rotates"] is False


def test_warnings_that_an_upgrade_brings_are_allowed() -> None:
    assert planned(seen())["allowed_warnings"] == sorted([*ceph_cluster.KEY_WARNINGS, ceph_cluster.ROTATION_WARNING])
    more = planned(seen(), allowed_warnings=["OSD_SLOW_PING_TIME_BACK"], block_pools=[{"name": "p", "replicas": 1}])
    assert {"OSD_SLOW_PING_TIME_BACK", "POOL_NO_REDUNDANCY"} < set(more["allowed_warnings"])
    assert planned(STATES["a cluster that was made with this release"][0])["allowed_warnings"] == sorted(
        ceph_cluster.KEY_WARNINGS
    )


def test_the_mirror_is_kept() -> None:
    made = planned(seen(), registry="mirror:5000")
    assert made["change"]["cephVersion"] == {"image": "mirror:5000/ceph/ceph:v20.2.4"}


def from_line(operator: str, ceph: str, kubernetes: str = "v1.33.1") -> dict[str, Any]:
    image = f"quay.io/ceph/ceph:v{ceph}"
    return seen(operator, ceph=ceph, cluster=a_cluster(image), kubernetes=kubernetes)


# From, Ceph that runs, to, Ceph that is wanted.
ALLOWED = [
    ("1.20.0", "20.2.1", "1.20.6", ""),
    ("1.20.4", "19.2.3", "1.20.6", ""),
    ("1.20.4", "20.2.2", "1.20.6", "quay.io/ceph/ceph:v20.2.4-20260818"),
    ("1.20.6", "20.2.4", "1.20.7", ""),
    ("1.20.6", "20.2.2", "1.20.6", "quay.io/ceph/ceph:v20.2.3"),
    ("1.19.4", "19.2.3", "1.20.6", "quay.io/ceph/ceph:v19.2.6"),
    ("1.19.10", "19.2.6", "1.20.6", ""),
    ("1.18.11", "19.2.3", "1.19.10", ""),
    ("1.19.2", "19.2.0", "1.19.10", ""),
]


@pytest.mark.parametrize(("operator", "ceph", "wanted", "image"), ALLOWED)
def test_a_pair_that_goes_together_is_allowed(operator: str, ceph: str, wanted: str, image: str) -> None:
    assert planned(from_line(operator, ceph), release=wanted, image=image)["steps"]


# From, Ceph that runs, to, Ceph that is wanted, words of the refusal.
REFUSED = [
    ("1.18.11", "19.2.3", "1.20.6", "", "more than one minor release"),
    ("1.17.9", "19.2.3", "1.19.10", "", "more than one minor release"),
    ("1.20.6", "20.2.4", "1.20.4", "quay.io/ceph/ceph:v20.2.4", "does not go back"),
    ("1.20.6", "20.2.4", "1.19.10", "", "does not go back"),
    ("1.21.0", "20.2.4", "1.20.6", "", "does not go back"),
    ("1.20.6", "20.2.4", "1.21.0", "", "has not been tested"),
    ("1.20.4", "20.2.4", "1.20.6", "quay.io/ceph/ceph:v20.2.2", "Ceph does not go back"),
    ("1.20.4", "20.2.4", "1.20.6", "quay.io/ceph/ceph:v19.2.6", "Ceph does not go back"),
    ("1.18.11", "18.2.7", "1.19.10", "", "Ceph 18.2.7 is not supported by Rook 1.19.10"),
    ("1.19.10", "20.2.0", "1.20.6", "", "Ceph 20.2.0 is older than Rook 1.20.6 takes"),
    ("1.20.4", "20.2.2", "1.20.6", "quay.io/ceph/ceph:v21.2.0", "Ceph 21.2.0 is not supported"),
    ("1.20.4", "20.2.2", "1.20.6", "quay.io/ceph/ceph:v20", "does not name one release"),
    ("1.20.2", "20.2.2", "1.20.4", "", "CVE-2025-30156"),
    ("1.20.4", "20.2.2", "1.20", "", "all three numbers"),
]


@pytest.mark.parametrize(("operator", "ceph", "wanted", "image", "words"), REFUSED)
def test_a_pair_that_does_not_go_together_is_refused(operator: str, ceph: str, wanted: str, image: str, words: str) -> None:
    with pytest.raises(CollError) as caught:
        planned(from_line(operator, ceph), release=wanted, image=image)
    assert words in caught.value.sentence()
    assert caught.value.hint


WORLDS: dict[str, tuple[dict[str, Any], str]] = {
    "no cluster": (seen() | {"cluster": None}, "no CephCluster 'rook-ceph'"),
    "being deleted": (
        seen(cluster={**a_cluster(), "metadata": {"deletionTimestamp": "2026-11-24T19:00:00Z"}}),
        "is being deleted",
    ),
    "no operator": (seen() | {"operator_image": None}, "operator is not there"),
    "an operator of no release": (seen() | {"operator_image": "rook/ceph:master"}, "names no release"),
    "an old Kubernetes": (seen(kubernetes="v1.30.9"), "1.31 to 1.36"),
    "a new Kubernetes": (seen(kubernetes="v1.37.0"), "1.31 to 1.36"),
    "an unfinished upgrade": (seen("1.19.10", rook="1.18.11"), "rook-ceph-mgr-a is still of Rook 1.18.11"),
    "a daemon from the future": (seen("1.20.6", rook="1.20.7"), "newer than 1.20.6"),
}


@pytest.mark.parametrize("world", WORLDS)
def test_a_cluster_that_cannot_take_the_step_is_refused(world: str) -> None:
    found, words = WORLDS[world]
    with pytest.raises(Refused) as caught:
        planned(found)
    assert words in caught.value.sentence()
    assert caught.value.hint


def test_another_major_of_ceph_can_be_consented_to() -> None:
    image = "quay.io/ceph/ceph:v21.2.0"
    assert planned(seen(), image=image, allow_unsupported_ceph=True)["change"]["cephVersion"] == {"image": image}


# A deployment is no upgrade.


@pytest.mark.parametrize("running", ["1.20.4", "1.19.10"])
def test_the_operator_is_not_replaced_under_a_cluster(running: str) -> None:
    made = changed("rook-ceph-operator", "rook/ceph:v1.20.6")
    world = {"operator_image": f"rook/ceph:v{running}", "clusters": ["ceph/mine"]}
    with pytest.raises(Refused) as caught:
        manifests.check_install(made, "", world)
    assert "upgrade_rook" in caught.value.sentence()
    manifests.check_install(made, "", world, upgrade=True)
    manifests.check_install(made, "", {**world, "clusters": []})
    manifests.check_install(made, "", {**world, "operator_image": "mirror:5000/rook/ceph:v1.20.6"})


def test_charts_take_over_from_a_patch_on_only() -> None:
    made = changed("rook-ceph-operator", "rook/ceph:v1.20.6")
    with pytest.raises(Refused, match=r"do not take over from 1\.19\.4"):
        manifests.check_install(made, "", {"operator_image": "rook/ceph:v1.19.4"}, charts=True)
    manifests.check_install(made, "", {"operator_image": "rook/ceph:v1.19.5"}, charts=True)
    manifests.check_install(made, "", {"operator_image": "rook/ceph:v1.19.4"})


@pytest.mark.parametrize(
    ("operator", "image", "words"),
    [("1.20.4", NEW, "looks after a CephCluster"), ("1.20.6", OLD, f"Ceph image is {OLD}")],
)
def test_a_deployment_refuses_to_be_an_upgrade(operator: str, image: str, words: str) -> None:
    values, found, world = copy.deepcopy(CLUSTERS["three nodes with everything"])
    made = plan.cluster_plan(values, found, world)["cluster"]
    made["spec"]["cephVersion"]["image"] = image
    world = {**world, "cluster": made, "operator_image": f"docker.io/rook/ceph:v{operator}"}
    with pytest.raises(Refused) as caught:
        plan.cluster_plan(values, found, world)
    assert words in caught.value.sentence()
    assert "upgrade_rook" in caught.value.sentence()


def test_a_deployment_may_move_to_a_mirror_and_keeps_the_warning_of_new_keys() -> None:
    values, found, world = copy.deepcopy(CLUSTERS["three nodes with everything"])
    made = plan.cluster_plan(values, found, world)["cluster"]
    made["spec"]["security"]["cephx"]["daemon"] = ASKED
    allowed = plan.cluster_plan({**values, "registry": "mirror:5000"}, found, {**world, "cluster": made})["allowed_warnings"]
    assert ceph_cluster.ROTATION_WARNING in allowed


def test_an_image_tells_its_release_only_by_a_whole_tag() -> None:
    read = versions.operator_version
    assert read("docker.io/rook/ceph:v1.20.6") == read("m:5000/rook/ceph:1.20.6") == (1, 20, 6)
    assert [read(one) for one in (None, "", "rook/ceph", "rook/ceph:v1.20", "rook/ceph:v1.20.6.1")] == [None] * 5
    with pytest.raises(BadInput):
        versions.parse("1.20", "The Rook release")
