# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one release of Rook and Ceph to the next: what is refused, and which steps are left.

Nothing is remembered between runs. Each step follows from what the cluster shows, so that a run that was killed anywhere is
finished by the next one, and a run after the last step finds none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from . import cluster as ceph_cluster
from . import versions
from .daemons import Daemon, Key, Target, read_keys, reported_ceph
from .mirror import mirrored
from .nodes import old_kernels, read_nodes
from .versions import Version, shown

# Kinds of keys whose age is known; that of the administrator's is not before it is replaced for the first time.
_DATED = ("mon", "mgr", "osd")
_POOLS = ("block_pools", "filesystems", "object_stores")


@dataclass(frozen=True)
class Ground:
    """What there is, and what is wanted of it."""

    rook: str
    running: Version
    image: str
    ceph: Version
    cluster: Mapping[str, Any]
    daemons: Sequence[Daemon]
    toolbox: Optional[str]
    kubernetes_nodes: Sequence[Mapping[str, Any]]

    @property
    def present_image(self) -> str:
        """The image the cluster asks for now."""
        return str(((self.cluster.get("spec") or {}).get("cephVersion") or {}).get("image") or "")


@dataclass(frozen=True)
class Rotation:
    """The generation that the daemons' keys are to reach (0: they are left alone), and whether it has to be asked for."""

    generation: int = 0
    ask: bool = False


def upgrade_plan(values: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """The steps that are left, as sentences, and what they need; raises BadInput and Refused before anything is written.

    ``values`` are the options of rook_cluster without their prefix, ``told`` what the module rook_info says. ``begun`` tells
    whether the wanted operator is there, so that the cluster may be in the middle of it; ``rotates`` whether the keys of
    the daemons will be replaced; ``change`` is what to patch the CephCluster with.
    """
    ground = _ground(values, told)
    _check(ground, values, told)
    rotation = wanted_keys(ground.cluster, ground.ceph)
    change = _change(ground, rotation)
    key_type = str(((change.get("security") or {}).get("cephx") or {}).get("csi", {}).get("keyType") or "")
    key_type = key_type or str(ceph_cluster.cephx_of(ground.cluster, "csi").get("keyType") or "")
    asked = {"spec": ceph_cluster.laid_over(ground.cluster["spec"], change)}
    allowed = set(values.get("allowed_warnings") or []) | ceph_cluster.warnings_of_keys(key_type, asked)
    return {
        "steps": list(_steps(ground, rotation)),
        "begun": versions.shown(ground.running) == ground.rook,
        "image": ground.image,
        "change": change,
        "rotates": rotation.generation > 0,
        "toolbox": ground.toolbox not in (None, ground.image),
        "first": asdict(Target(rook=ground.rook)),
        "last": asdict(Target(ground.rook, shown(ground.ceph), rotation.generation)),
        "allowed_warnings": sorted(allowed | ({"POOL_NO_REDUNDANCY"} if _has_single_copies(values) else set())),
    }


def _ground(values: Mapping[str, Any], told: Mapping[str, Any]) -> Ground:
    name, namespace = values["name"], values["namespace"]
    cluster, image = told.get("cluster"), told.get("operator_image")
    if not cluster:
        raise Refused(f"There is no CephCluster {name!r} in {namespace!r} to upgrade.", hint="Make one with deploy_rook.")
    if (cluster.get("metadata") or {}).get("deletionTimestamp"):
        raise Refused(f"The CephCluster {name} is being deleted.", hint="Wait until it is gone.")
    running = versions.operator_version(image)
    if running is None:
        raise Refused(
            f"The operator's image is {image!r}, which names no release." if image else "Rook's operator is not there.",
            hint="Only a release of Rook can be upgraded: set kubestead_rook_namespace to where its operator is.",
        )
    rook = shown(versions.parse(values.get("release") or versions.DEFAULT, "The Rook release"))
    ceph_image = str(values.get("image") or versions.release_facts(rook)["images"]["ceph"])
    ceph_image = mirrored(ceph_image, str(values.get("registry") or ""))
    return Ground(
        rook=rook,
        running=running,
        image=ceph_image,
        ceph=versions.check_ceph(rook, ceph_image, allow_unsupported=bool(values.get("allow_unsupported_ceph"))),
        cluster=cluster,
        daemons=[Daemon(**one) for one in told.get("daemons") or []],
        toolbox=told.get("toolbox_image"),
        kubernetes_nodes=told.get("nodes") or [],
    )


def _check(ground: Ground, values: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    versions.check_step(told.get("operator_image"), ground.rook)
    versions.check_kubernetes(ground.rook, str(told.get("kubernetes") or ""))
    _check_unfinished(ground)
    running = [version for version in reported_ceph(ground.cluster) if version]
    for version in running:
        if version > ground.ceph:
            raise Refused(
                f"Ceph {shown(version)} runs, which is newer than {shown(ground.ceph)}.",
                hint="Ceph does not go back: set rook_cluster_image to this release or a newer one.",
            )
        versions.check_running_ceph(ground.rook, version, allow_unsupported=bool(values.get("allow_unsupported_ceph")))
    floor = versions.KEYS_FROM.get(ground.ceph[0])
    if floor and ground.ceph >= floor and not versions.knows_key_type(ground.rook):
        raise Refused(
            f"Rook {ground.rook} cannot replace the keys that Ceph {shown(ground.ceph)} wants replaced (CVE-2025-30156).",
            hint=f"Go to Rook {shown(versions.release(ground.rook).key_type_from)} or newer.",
        )


def _check_unfinished(ground: Ground) -> None:
    """A daemon two minor releases back is one that the upgrade before has left behind."""
    wanted = versions.parse(ground.rook, "The Rook release")
    for one in ground.daemons:
        version = versions.parse(one.rook, f"The release of {one.name}")
        if version > wanted:
            raise Refused(
                f"{one.name} is of Rook {one.rook}, which is newer than {ground.rook}.", hint="Rook does not go back."
            )
        if version[0] != wanted[0] or version[1] + 1 < wanted[1]:
            raise Refused(
                f"{one.name} is still of Rook {one.rook}: the upgrade to {shown(ground.running)} is not finished.",
                hint=f"Finish it with kubestead_rook_release: {shown(ground.running)}, then go to {ground.rook}.",
            )


def wanted_keys(cluster: Mapping[str, Any], ceph: Version) -> Rotation:
    """Keys that were made by a Ceph before CVE-2025-30156 was known are replaced with the upgrade to one that has the cure."""
    floor, keys = versions.KEYS_FROM.get(ceph[0]), read_keys(cluster)
    daemon = ceph_cluster.cephx_of(cluster, "daemon")
    asked = int(daemon.get("keyGeneration") or 0) if daemon.get("keyRotationPolicy") == "KeyGeneration" else 0
    if floor is None or ceph < floor:
        return Rotation()
    if asked > min(key.generation for key in keys.values()):
        return Rotation(asked)
    if any(_made_before(keys[kind], floor) for kind in _DATED):
        newest = max(key.generation for key in keys.values())
        return Rotation(max(newest, int(daemon.get("keyGeneration") or 0), 1) + 1, ask=True)
    return Rotation()


def _made_before(key: Key, floor: Version) -> bool:
    """Of a key without a date Rook knows only that it is older than its own count."""
    try:
        return versions.parse(key.made_by.partition("-")[0], "The Ceph of a key") < floor
    except BadInput:
        return True


def _change(ground: Ground, rotation: Rotation) -> dict[str, Any]:
    """One patch for all of it, because each change of the object makes the operator begin anew.

    The type of the drivers' keys is pinned to what old kernels can mount with, before the new Ceph makes any.
    """
    change: dict[str, Any] = {}
    cephx: dict[str, Any] = {}
    if ground.present_image != ground.image:
        change["cephVersion"] = {"image": ground.image}
    if rotation.ask:
        cephx["daemon"] = {"keyRotationPolicy": "KeyGeneration", "keyGeneration": rotation.generation}
    pinned = ceph_cluster.cephx_of(ground.cluster, "csi").get("keyType")
    if not pinned and versions.knows_key_type(ground.rook) and old_kernels(read_nodes(ground.kubernetes_nodes)):
        cephx["csi"] = {"keyType": "aes"}
    return {**change, **({"security": {"cephx": cephx}} if cephx else {})}


def _steps(ground: Ground, rotation: Rotation) -> list[str]:
    """In the order in which they are taken."""
    steps, wanted = [], f"Rook {ground.rook}"
    if shown(ground.running) != ground.rook:
        steps.append(
            f"resource definitions, roles, operators and storage drivers: Rook {shown(ground.running)} to {ground.rook}"
        )
    steps += _of_daemons(wanted, [one.name for one in ground.daemons if one.rook != ground.rook])
    if ground.present_image != ground.image:
        steps.append(f"Ceph's image: {ground.present_image or 'none'} to {ground.image}")
    ceph = shown(ground.ceph)
    steps += _of_daemons(f"Ceph {ceph}", [one.name for one in ground.daemons if one.ceph and one.ceph != ceph])
    if rotation.generation:
        steps.append(f"keys of the daemons: generation {rotation.generation}")
    if "csi" in ((_change(ground, rotation).get("security") or {}).get("cephx") or {}):
        steps.append("type of the storage drivers' keys: aes, for kernels below 7.0")
    if ground.toolbox not in (None, ground.image):
        steps.append(f"toolbox: {ground.toolbox} to {ground.image}")
    return steps


def _of_daemons(wanted: str, names: Sequence[str]) -> list[str]:
    return [f"daemons to {wanted}: {', '.join(names)}"] if names else []


def _has_single_copies(values: Mapping[str, Any]) -> bool:
    return any(_is_single(values.get(name)) for name in _POOLS)


def _is_single(thing: Any) -> bool:
    if isinstance(thing, Mapping):
        alone = thing.get("replicas") == 1 or thing.get("size") == 1
        return alone or any(_is_single(one) for one in thing.values())
    return isinstance(thing, list) and any(_is_single(one) for one in thing)
