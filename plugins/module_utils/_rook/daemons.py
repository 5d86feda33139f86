# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Rook and which Ceph each daemon is of, by the labels Rook puts on its Deployment, and which generation its keys are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .versions import Version, shown

TOOLBOX = "rook-ceph-tools"
# Keys that Rook replaces together, by their names in the status. The other ones depend on parts that may be turned off.
KEYS = ("mon", "mgr", "osd", "admin")


@dataclass(frozen=True)
class Target:
    """What every daemon has to be of, and the generation its key must have reached; an empty value asks nothing."""

    rook: str = ""
    ceph: str = ""
    key_generation: int = 0


@dataclass(frozen=True)
class Daemon:
    """One Deployment of a cluster; ``settled`` while all its pods are the present ones and ready."""

    name: str
    rook: str
    ceph: str
    settled: bool


@dataclass(frozen=True)
class Key:
    """One kind of keys: its generation (0: made before Rook counted) and the Ceph that made it (empty: unknown)."""

    generation: int
    made_by: str


def read_daemons(deployments: Iterable[Mapping[str, Any]], namespace: str) -> list[Daemon]:
    """The daemons of the cluster in a namespace among its Deployments, sorted by name."""
    return sorted((_read(one) for one in deployments if _is_daemon(one, namespace)), key=lambda one: one.name)


def _labels(deployment: Mapping[str, Any]) -> Mapping[str, str]:
    return deployment["metadata"].get("labels") or {}


def _is_daemon(deployment: Mapping[str, Any], namespace: str) -> bool:
    labels = _labels(deployment)
    return labels.get("rook_cluster") == namespace and "rook-version" in labels


def _read(deployment: Mapping[str, Any]) -> Daemon:
    meta, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    current = int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
    pods = min(int(status.get(name) or 0) for name in ("updatedReplicas", "readyReplicas"))
    labels = _labels(deployment)
    return Daemon(
        name=str(meta["name"]),
        rook=str(labels["rook-version"]).removeprefix("v"),
        ceph=str(labels.get("ceph-version") or "").partition("-")[0],
        settled=current and pods >= wanted,
    )


def toolbox_image(deployments: Iterable[Mapping[str, Any]]) -> Optional[str]:
    """The image of the toolbox; None where there is none."""
    for one in deployments:
        if one["metadata"]["name"] == TOOLBOX:
            return str(one["spec"]["template"]["spec"]["containers"][0]["image"])
    return None


def reported_ceph(cluster: Mapping[str, Any]) -> dict[Version, int]:
    """How many daemons of each Ceph answer, by their own word."""
    told = (((cluster.get("status") or {}).get("ceph") or {}).get("versions") or {}).get("overall") or {}
    counts: dict[Version, int] = {}
    for text, number in told.items():
        match = re.search(r"\bversion (\d+)\.(\d+)\.(\d+)", str(text), re.ASCII)
        version = tuple(int(part) for part in match.groups()) if match else ()
        counts[version] = counts.get(version, 0) + int(number)
    return counts


def read_keys(cluster: Mapping[str, Any]) -> dict[str, Key]:
    """The state of each kind of keys."""
    told = (cluster.get("status") or {}).get("cephx") or {}
    states = {kind: told.get(kind) or {} for kind in KEYS}
    return {kind: Key(int(one.get("keyGeneration") or 0), str(one.get("keyCephVersion") or "")) for kind, one in states.items()}


def daemon_problems(cluster: Mapping[str, Any], daemons: Sequence[Daemon], target: Target) -> list[str]:
    """What keeps the daemons from being of the target, in the order in which it goes away."""
    problems = ["the operator has made no daemon"] if not daemons else []
    problems += _others(f"Rook {target.rook}", [one for one in daemons if target.rook and one.rook != target.rook], daemons)
    old = [one for one in daemons if target.ceph and one.ceph and one.ceph != target.ceph]
    problems += _others(f"Ceph {target.ceph}", old, daemons)
    reported = reported_ceph(cluster)
    for version, number in sorted(reported.items()):
        if target.ceph and shown(version) != target.ceph:
            what = f"Ceph {shown(version) or 'of no release'}"
            problems.append(f"{number} of {sum(reported.values())} daemons say that they are {what}")
    problems += [f"{one.name} is being replaced" for one in daemons if not one.settled]
    for kind, key in read_keys(cluster).items():
        if key.generation < target.key_generation:
            problems.append(f"the key of {kind} is of generation {key.generation}, not {target.key_generation}")
    return problems


def _others(wanted: str, others: Sequence[Daemon], all_of_them: Sequence[Daemon]) -> list[str]:
    if not others:
        return []
    return [f"{len(others)} of {len(all_of_them)} daemons are not of {wanted}, such as {others[0].name}"]
