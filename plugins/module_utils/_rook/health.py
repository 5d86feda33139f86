# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Ceph cluster is what was planned, from several witnesses: its phase alone stands while OSDs crash.

The object's own status may be old or not about the present object; ``storage.osd.storeType`` counts planned OSDs; only
``ceph.versions.osd`` and the ready Deployments tell of those that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional

from .daemons import Daemon, Target, daemon_problems
from .osds import osd_problems, running_osds
from .storage import planned_osds

# Ceph says about placement groups and objects what no list of allowed warnings may hide, but that they wait for a scrub.
_DATA_CHECKS = ("PG_", "OBJECT_", "SLOW_OPS")
_HARMLESS = ("PG_NOT_SCRUBBED", "PG_NOT_DEEP_SCRUBBED")
_UNREACHED = "error"
# Errors about old keys of daemons, which go away when these keys are replaced.
_KEY_ERRORS = ("AUTH_INSECURE_SERVICE_KEY_TYPE", "AUTH_INSECURE_SERVICE_TICKETS")


@dataclass(frozen=True)
class Witnesses:
    """What was read at one moment; ``now`` in seconds since the epoch. ``daemons`` are of interest only with a target."""

    cluster: Mapping[str, Any]
    osds: Sequence[Mapping[str, Any]]
    drivers: Sequence[Mapping[str, Any]]
    now: float
    daemons: Sequence[Daemon] = ()


@dataclass(frozen=True)
class Rules:
    """What is asked: warnings that may stand, the age a status may have in seconds, storage drivers that must be ready.

    In an upgrade also what each daemon has to be, and that errors about keys may stand which are about to be replaced.
    """

    allowed_warnings: frozenset[str] = frozenset()
    max_age: float = 300.0
    drivers: tuple[str, ...] = ()
    target: Optional[Target] = None
    rotating_keys: bool = False


def judge(seen: Witnesses, rules: Rules) -> dict[str, Any]:
    """``healthy``, ``problems`` (all of them, in the order in which they go away) and ``line``, one for people."""
    status = seen.cluster.get("status") or {}
    ceph = status.get("ceph") or {}
    checks: tuple[Iterable[str], ...] = (
        daemon_problems(seen.cluster, seen.daemons, rules.target) if rules.target else (),
        _phase(seen.cluster, status),
        _freshness(ceph, seen.now, rules.max_age),
        osd_problems(seen.cluster, seen.osds),
        _health(ceph, rules),
        _drivers(seen.drivers, rules.drivers),
    )
    problems = [problem for check in checks for problem in check]
    return {
        "healthy": not problems,
        "problems": problems,
        "line": _line(seen.cluster, status, problems),
        "phase": str(status.get("phase") or "none yet"),
        "health": str(ceph.get("health") or "unknown"),
        "osds_planned": planned_osds((seen.cluster.get("spec") or {}).get("storage") or {}),
        "osds_running": running_osds(ceph),
    }


def _phase(cluster: Mapping[str, Any], status: Mapping[str, Any]) -> Iterable[str]:
    generation = (cluster.get("metadata") or {}).get("generation")
    observed = status.get("observedGeneration")
    if not status:
        yield "the operator has not looked at the object yet"
        return
    if observed != generation:
        yield f"the operator has seen generation {observed} of the object, not {generation}"
    phase = status.get("phase")
    if phase != "Ready":
        yield f"phase {phase}: {status.get('message') or 'no message'}"
    wanted, runs = _image(cluster), (status.get("version") or {}).get("image")
    if runs and wanted and runs != wanted:
        yield f"the daemons' image is {runs}, not {wanted}"


def _image(cluster: Mapping[str, Any]) -> str:
    return str(((cluster.get("spec") or {}).get("cephVersion") or {}).get("image") or "")


def _freshness(ceph: Mapping[str, Any], now: float, max_age: float) -> Iterable[str]:
    checked = str(ceph.get("lastChecked") or "")
    try:
        age = now - datetime.strptime(checked, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        yield "the operator has not asked Ceph yet"
        return
    if age > max_age:
        yield f"Ceph's status is {age:.0f} s old: the operator does not run, or cannot reach Ceph"


def _health(ceph: Mapping[str, Any], rules: Rules) -> Iterable[str]:
    health, details = ceph.get("health"), ceph.get("details") or {}
    if _UNREACHED in details:
        yield f"the operator cannot reach Ceph: {details[_UNREACHED].get('message')}"
        return
    stands = [name for name in sorted(details) if _stands(name, details[name], rules)]
    for name in stands:
        yield f"{name}: {details[name].get('message')}"
    if health not in ("HEALTH_OK", "HEALTH_WARN"):
        if not stands and not (rules.rotating_keys and set(details) & set(_KEY_ERRORS)):
            yield f"health {health or 'unknown'}"
    elif health == "HEALTH_WARN" and not details:
        yield "health HEALTH_WARN without a reason"


def _stands(name: str, detail: Mapping[str, Any], rules: Rules) -> bool:
    """Whether a check keeps the cluster from being healthy; an error always does, and so does data that is not safe."""
    if rules.rotating_keys and name in _KEY_ERRORS:
        return False
    if detail.get("severity") != "HEALTH_WARN":
        return True
    about_data = name.startswith(_DATA_CHECKS) and name not in _HARMLESS
    return about_data or name not in rules.allowed_warnings


def _drivers(workloads: Iterable[Mapping[str, Any]], wanted: Iterable[str]) -> Iterable[str]:
    """Of each storage driver the Deployment of its controller and the DaemonSet on the nodes have to be ready."""
    by_name = {str(one["metadata"]["name"]): one for one in workloads}
    for driver in wanted:
        for part in ("ctrlplugin", "nodeplugin"):
            name = f"{driver}-{part}"
            if name not in by_name:
                yield f"the storage driver's {name} is missing: the drivers are not installed"
            elif not _ready(by_name[name]):
                yield f"the storage driver's {name} is not ready"


def _ready(workload: Mapping[str, Any]) -> bool:
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if (workload.get("metadata") or {}).get("generation", 0) > status.get("observedGeneration", 0):
        return False
    if "desiredNumberScheduled" in status:
        return int(status.get("numberReady") or 0) >= int(status["desiredNumberScheduled"])
    return int(status.get("readyReplicas") or 0) >= int(spec.get("replicas", 1)) > 0


def _line(cluster: Mapping[str, Any], status: Mapping[str, Any], problems: Sequence[str]) -> str:
    ceph = status.get("ceph") or {}
    planned = planned_osds((cluster.get("spec") or {}).get("storage") or {})
    head = (
        f"phase {status.get('phase') or 'none yet'}, {running_osds(ceph)} of {planned} OSDs running, "
        f"health {ceph.get('health') or 'unknown'}"
    )
    return f"{head}; {problems[0]}" if problems else head


def placement_groups(told: Mapping[str, Any]) -> list[str]:
    """From ``ceph status -f json``: what is wrong with the placement groups and OSDs, by Ceph's own count."""
    groups, osds = told.get("pgmap") or {}, told.get("osdmap") or {}
    clean = sum(int(one["count"]) for one in groups.get("pgs_by_state") or [] if _clean(str(one["state_name"])))
    total = int(groups.get("num_pgs") or 0)
    problems = [f"{total - clean} of {total} placement groups are not active and clean"] if clean < total else []
    if osds.get("num_up_osds", 0) < osds.get("num_osds", 0):
        problems.append(f"{osds.get('num_up_osds', 0)} of {osds['num_osds']} OSDs are up")
    return problems


def _clean(state: str) -> bool:
    return {"active", "clean"} <= set(state.split("+"))
