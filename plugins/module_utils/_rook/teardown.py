# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a CephCluster may be torn down, and in which order what stands on it goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .._core.errors import Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from . import dependents
from .dependents import CLUSTER, CONSUMERS, DATA, FORCIBLE, OPERATOR, REMAINS, STAGES, Obj, Place, Thing, World

DELETE, SET, AWAIT = "delete", "set", "await"
YES = "yes-really-destroy-data"
DAEMONS, JOBS = "daemons", "clean-up jobs"
_SHOWN = 12
_JOBS_WARNING = (
    "The operator's clean-up jobs will zap the disks of the OSDs, removing volume groups and physical volumes with everything "
    "on them, and will remove the data directories."
)


@dataclass(frozen=True)
class Wanted:
    """The options of a run; ``consumers`` are the words of those whose data may go."""

    place: Place
    confirm: str
    consumers: frozenset[str]
    cleanup_jobs: bool = False
    force: bool = False


@dataclass(frozen=True)
class Seen:
    """Everything one look found. ``gone`` are the keepers that do not run, ``daemons`` pods of the cluster that are not at
    their end, ``jobs`` clean-up jobs that are not, ``users`` the words of pods by claim (namespace, name)."""

    world: World
    gone: frozenset[str] = frozenset()
    daemons: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    users: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)


Job = Union[Thing, str]


@dataclass(frozen=True)
class Decision:
    """A plan, and beside it, by (verb, target), what a step is about: an object, or what is waited for or set."""

    plan: Plan
    jobs: Mapping[tuple[str, str], Job]


def decide(wanted: Wanted, seen: Seen) -> Decision:
    """The plan; raises Refused when the cluster itself may not go."""
    place, cluster = wanted.place, dependents.cluster_of(wanted.place, seen.world)
    found = dependents.things(place, seen.world)
    _check_name(wanted, seen, found)
    if wanted.cleanup_jobs and cluster is not None and OPERATOR in seen.gone:
        raise Refused(
            "The clean-up jobs are the operator's, and it does not run.",
            hint="Start it, or leave them out: the disks are erased by lvm_ceph_disk in any case.",
        )
    refused = {one.word: problem for one in found for problem in [_problem(one, wanted, seen)] if problem}
    verdicts = [_verdict(one, refused, wanted) for one in found]
    if cluster is None:
        verdicts.append(Verdict("CephCluster", f"{place.namespace}/{place.name}", "unchanged", "is not there"))
    if refused:
        return Decision(Plan(tuple(verdicts)), {})
    stages, jobs = _stages(wanted, seen, found, cluster)
    waits = tuple(_wait_verdict(stages, word) for word in (DAEMONS, JOBS) if _is_awaited(stages, word))
    return Decision(Plan((*verdicts, *waits), stages, _warnings(wanted, cluster)), jobs)


def _check_name(wanted: Wanted, seen: Seen, found: Sequence[Thing]) -> None:
    place = wanted.place
    here = [name for name in dependents.other_clusters(place, seen.world) if name.startswith(f"{place.namespace}/")]
    if here:
        raise Refused(
            f"The namespace {place.namespace} holds the CephCluster {here[0].partition('/')[2]}, not {place.name} alone.",
            hint="What stands on the one cannot be told from what stands on the other: check the name.",
        )
    if wanted.confirm == place.name:
        return
    counts: dict[str, int] = {}
    for one in found:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "nothing of it that is left"
    raise Refused(
        f"This destroys the CephCluster {place.name} in the namespace {place.namespace} and all data in it ({told}), "
        f"and confirm is {wanted.confirm!r}.",
        hint=f"If that is meant, set confirm: {place.name} (in the role, rook_teardown_confirm: {place.name}).",
    )


def _problem(one: Thing, wanted: Wanted, seen: Seen) -> Optional[Refused]:
    """Why a consumer keeps the cluster; None for everything else."""
    if one.stage not in (CONSUMERS, DATA):
        return None
    if not {one.word, one.claim} & wanted.consumers:
        told = f" (of {one.claim})" if one.claim else ""
        return Refused(
            f"{one.word}{told} holds data in this cluster.",
            hint=f"Move or delete it, or name it in consumers: ['{one.claim or one.word}'], and its data is lost.",
        )
    users = seen.users.get((one.namespace, one.name), ()) if one.kind == "PersistentVolumeClaim" else ()
    if users:
        shown = ", ".join(users[:_SHOWN])
        return Refused(f"{one.word} is mounted by {shown}.", hint="End these pods first: a claim in use is never taken away.")
    return None


def _verdict(one: Thing, refused: Mapping[str, Refused], wanted: Wanted) -> Verdict:
    facts = {"forced": True} if wanted.force and one.kind in FORCIBLE else {}
    if one.word in refused:
        return Verdict(one.kind, one.label, "failed", "", facts, refused[one.word])
    if refused:
        return Verdict(one.kind, one.label, "skipped", "the teardown is refused", facts)
    return Verdict(one.kind, one.label, "removed", one.stage, facts)


def _stages(
    wanted: Wanted, seen: Seen, found: Sequence[Thing], cluster: Optional[Obj]
) -> tuple[tuple[Stage, ...], dict[tuple[str, str], Job]]:
    jobs: dict[tuple[str, str], Job] = {}
    stages: list[Stage] = []
    for name in STAGES:
        if name == CLUSTER and cluster is not None:
            stages += _policy(wanted, cluster, jobs)
        steps = [_delete(one, jobs) for one in found if one.stage == name]
        if name == REMAINS:
            stages += _waits(wanted, seen, cluster, jobs)
        if steps:
            stages.append(Stage(name, tuple(steps)))
    return tuple(stages), jobs


def _delete(one: Thing, jobs: dict[tuple[str, str], Job]) -> Step:
    step = Step(DELETE, one.word, entry_key(one.kind, one.label), {"kind": one.kind, "name": one.label}, {})
    jobs[step.verb, step.target] = one
    return step


def _policy(wanted: Wanted, cluster: Obj, jobs: dict[tuple[str, str], Job]) -> list[Stage]:
    """The operator's own clean-up is switched on or off right before the cluster goes: until then that can be taken back."""
    have = confirmation_of(cluster)
    want = YES if wanted.cleanup_jobs else ""
    if have == want or cluster["metadata"].get("deletionTimestamp"):
        return []
    place = wanted.place
    target = f"cleanupPolicy of CephCluster {place.namespace}/{place.name}"
    key = entry_key("CephCluster", f"{place.namespace}/{place.name}")
    jobs[SET, target] = want
    return [Stage("clean-up policy", (Step(SET, target, key, {"confirmation": have}, {"confirmation": want}),))]


def _waits(wanted: Wanted, seen: Seen, cluster: Optional[Obj], jobs: dict[tuple[str, str], Job]) -> list[Stage]:
    """Until nothing of the cluster runs any more: OSDs hold their disks, and clean-up jobs work on them."""
    stages = []
    for word, left, asked in ((DAEMONS, seen.daemons, False), (JOBS, seen.jobs, wanted.cleanup_jobs)):
        if left or (cluster is not None and (word == DAEMONS or asked)):
            target = f"the {word} of {wanted.place.namespace}"
            jobs[AWAIT, target] = word
            stages.append(Stage(word, (Step(AWAIT, target, entry_key(word, wanted.place.namespace)),)))
    return stages


def _is_awaited(stages: Sequence[Stage], word: str) -> bool:
    return any(stage.name == word for stage in stages)


def _wait_verdict(stages: Sequence[Stage], word: str) -> Verdict:
    namespace = next(stage.steps[0].entry.partition("/")[2] for stage in stages if stage.name == word)
    return Verdict(word, namespace, "removed", "awaited")


def _warnings(wanted: Wanted, cluster: Optional[Obj]) -> tuple[str, ...]:
    if cluster is not None and wanted.cleanup_jobs:
        return (_JOBS_WARNING,)
    if cluster is not None and cluster["metadata"].get("deletionTimestamp") and confirmation_of(cluster) == YES:
        return ("The CephCluster was deleted with a clean-up policy: the operator's jobs zap its disks by themselves.",)
    return ()


def confirmation_of(cluster: Obj) -> str:
    """What the CephCluster says about clean-up jobs."""
    return str(((cluster.get("spec") or {}).get("cleanupPolicy") or {}).get("confirmation") or "")


def may_release(finalizer: str, keeper: str) -> bool:
    """Whether a finalizer is one that this keeper would have taken away."""
    if keeper == OPERATOR:
        domain = finalizer.partition("/")[0]
        return domain == "ceph.rook.io" or domain.endswith(".ceph.rook.io") or finalizer == "objectbucket.io/finalizer"
    if keeper == dependents.CSI_OPERATOR:
        return finalizer.startswith("csi.ceph.com/")
    return bool(keeper) and finalizer.startswith(("external-provisioner.volume.kubernetes.io/", "external-attacher/"))


def is_gone(deployment: Optional[Obj]) -> bool:
    """Whether a keeper is known not to run: there is none, or it is scaled down and its pods are gone."""
    if deployment is None:
        return True
    replicas = (deployment.get("spec") or {}).get("replicas", 1)
    return replicas == 0 and not (deployment.get("status") or {}).get("replicas")


def what_holds(one: Obj) -> str:
    """In words, why an object that is to go is still there."""
    status = one.get("status") or {}
    told = [str(row.get("message")) for row in _conditions(status) if _blocks(row)]
    if not told and status.get("message"):
        told = [str(status["message"])]
    finalizers = one["metadata"].get("finalizers") or []
    if finalizers:
        told.append(f"finalizers: {', '.join(map(str, finalizers))}")
    return "; ".join(told)


def _conditions(status: Mapping[str, Any]) -> Collection[Mapping[str, Any]]:
    found = status.get("conditions")
    return found if isinstance(found, list) else ()


def _blocks(row: Mapping[str, Any]) -> bool:
    return str(row.get("type", "")).endswith("DeletionIsBlocked") and row.get("status") == "True"


def users_of_claims(pods: Sequence[Obj]) -> dict[tuple[str, str], list[str]]:
    """The pods that mount each claim; those at their end mount nothing."""
    found: dict[tuple[str, str], list[str]] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        namespace = str(pod["metadata"].get("namespace"))
        for volume in (pod.get("spec") or {}).get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                found.setdefault((namespace, str(claim)), []).append(f"pod {namespace}/{pod['metadata']['name']}")
    return found


def running(pods: Sequence[Obj]) -> tuple[str, ...]:
    """The names of pods that are not at their end."""
    return tuple(
        str(pod["metadata"]["name"]) for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )


def unfinished(jobs: Sequence[Obj]) -> tuple[str, ...]:
    """The names of jobs that are neither complete nor failed."""
    return tuple(
        str(job["metadata"]["name"])
        for job in jobs
        if not any(
            row.get("type") in ("Complete", "Failed") and row.get("status") == "True"
            for row in _conditions(job.get("status") or {})
        )
    )
