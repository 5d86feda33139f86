# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the executor needs for each step of a plan, as values beside the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

from .._core.plan import Plan, Stage, Step, Verdict
from . import commands
from .extents import Run
from .findings import Region, seen_digest
from .model import Device, Table
from .verdicts import Judgement

RELEASE, BLANK, REMOVE, ERASE, PREPARE, RESIZE, GROUP, VOLUME, FINISH = (
    "release",
    "blank",
    "remove",
    "erase",
    "prepare",
    "resize",
    "group",
    "volume",
    "finish",
)
STAGES = (RELEASE, BLANK, REMOVE, ERASE, PREPARE, RESIZE, GROUP, VOLUME, FINISH)


@dataclass(frozen=True)
class DiskJob:
    """Work on one disk.

    ``seen`` is the consent it is done under, ``expect`` the digest of what must lie on it right before the first write,
    ``places`` where volumes or partitions will lie on it and ``partitions`` where partitions lie. ``script`` is what the
    command is told on its standard input, ``table`` the one of ours that it adds to, ``inside`` what is erased of volumes
    before they are removed.
    """

    group: str
    device: Device
    seen: str
    places: tuple[tuple[int, int], ...]
    node_name: str
    expect: str = ""
    partitions: tuple[tuple[int, int], ...] = ()
    discard: bool = False
    unlist: tuple[str, ...] = ()
    argv: commands.Argv = ()
    script: str = ""
    table: Optional[Table] = None
    inside: tuple[Region, ...] = ()


@dataclass(frozen=True)
class PartitionJob:
    """Seeing that a partition is there, under the path that udev gives it, or is gone."""

    group: str
    device: Device
    path: str
    start: int
    size: int
    there: bool = True


@dataclass(frozen=True)
class GroupJob:
    """One command about a volume group."""

    group: str
    argv: commands.Argv


@dataclass(frozen=True)
class VolumeJob:
    """Making one volume. Its tags name the group's UUID, which is not known before the group exists."""

    group: str
    name: str
    runs: tuple[Run, ...]
    rule: str
    device_class: str
    node_name: str
    db_for: str = ""
    consents: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinishJob:
    """Looking into a new volume. ``consents``: under which what older owners left there is erased; ``remembered``: whether
    they are in its tags already; ``drop``: the tags to take off in the end; ``inactive``: it has no device node yet."""

    group: str
    name: str
    size: int
    consents: tuple[str, ...]
    remembered: bool
    drop: tuple[str, ...]
    inactive: bool = True

    @property
    def full_name(self) -> str:
        """``group/volume``, as LVM writes it."""
        return f"{self.group}/{self.name}"


Job = Union[DiskJob, GroupJob, PartitionJob, VolumeJob, FinishJob]


@dataclass(frozen=True)
class Decision:
    """A plan, and beside it, by (verb, target), what the executor needs for each of its steps."""

    plan: Plan
    jobs: Mapping[tuple[str, str], Job]


class Draft:
    """A plan in the making."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.steps: dict[str, list[Step]] = {stage: [] for stage in STAGES}
        self.jobs: dict[tuple[str, str], Job] = {}

    def tell(self, verdict: Verdict) -> None:
        """Adds what becomes of an entry."""
        self.verdicts.append(verdict)

    def add(self, stage: str, step: Step, job: Job) -> None:
        """Adds a step and its job."""
        self.steps[stage].append(step)
        self.jobs[step.verb, step.target] = job

    def decision(self) -> Decision:
        """The finished plan; stages without steps are left out."""
        stages = tuple(Stage(name, tuple(steps)) for name, steps in self.steps.items() if steps)
        return Decision(Plan(tuple(self.verdicts), stages), self.jobs)


def add_erase(draft: Draft, target: str, key: str, judgement: Judgement, job: DiskJob) -> None:
    """Releasing what stale or idle volumes hold of a disk, and erasing it."""
    if judgement.deactivate:
        argv = commands.deactivate(judgement.deactivate)
        draft.add(
            RELEASE, Step("deactivate", f"volume group {judgement.deactivate} on {target}", key), GroupJob(job.group, argv)
        )
    for entry in job.device.stale:
        argv = commands.remove_mapping(entry.name)
        draft.add(RELEASE, Step("remove", f"device-mapper entry {entry.name} on {target}", key), GroupJob(job.group, argv))
    before = {"findings": [finding.as_dict() for finding in judgement.findings]}
    draft.add(ERASE, Step("erase", target, key, before, {"findings": []}), job)


def expected_digest(device: Device, judgement: Judgement, erased: Sequence[Region] = ()) -> str:
    """The digest of what will be seen on the disk itself once everything that holds it was released, and ``erased`` is zero."""
    volumes_aside = [finding for finding in judgement.findings if "/" not in finding.on and finding.type != "device-mapper"]
    left = [f for f in volumes_aside if f.on or not any(r.offset <= f.offset < r.offset + r.size for r in erased)]
    return seen_digest(device.identity, left)
