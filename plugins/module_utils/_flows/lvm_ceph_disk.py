# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From disks to Ceph-ready volumes: the order of the work, and the second look before every write that destroys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable, Optional, Union

from .._core.errors import BackendFailed, CollError, Conflict, Refused
from .._core.plan import Plan, Stage, Step
from .._core.run import Outcome, Run, settle
from .._disks import commands, model, planner, removal, report, tags
from .._disks.assess import effective_node_name
from .._disks.findings import (
    MARK_SIZE,
    Region,
    beyond_mark,
    mark_text,
    part_regions,
    place_regions,
    probe_regions,
    seen_digest,
)
from .._disks.identity import describe
from .._disks.jobs import DiskJob, FinishJob, GroupJob, Job, PartitionJob, VolumeJob
from .._disks.model import Device, Node
from .._disks.survey import new_volumes, own_volumes
from .._disks.verdicts import Judgement, judge
from .._disks.wanted import PARTITIONS, Wanted, read_wanted
from .disk_reader import Blocks, Commands, DiskReader
from .lvm_volumes import NewVolumes

# Blank, too: all that was on the disk may have been a mapping that is gone by then.
_ERASABLE = (model.FOREIGN, model.UNKNOWN_DATA, model.BLANK)
# After a write udev lets the kernel read the whole table anew, and for that moment there are no partitions.
_LOOKS = 25


class LvmCephDiskFlow:
    """observe → decide → execute → report for one node."""

    def __init__(self, wanted: Wanted, commands_: Commands, blocks: Blocks, *, stop_on_error: bool) -> None:
        self.stop_on_error = stop_on_error
        self._wanted = wanted
        self._commands = commands_
        self._blocks = blocks
        self._reader = DiskReader(commands_, blocks)
        self._jobs: Mapping[tuple[str, str], Job] = {}
        self._node_name = ""
        self._broken: set[str] = set()
        self._volumes = NewVolumes(commands_, blocks, self._reader)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], commands_: Commands, blocks: Blocks) -> LvmCephDiskFlow:
        """The flow of a task; raises BadInput before anything is looked at."""
        return cls(read_wanted(params), commands_, blocks, stop_on_error=params["on_error"] == "stop")

    def observe(self) -> Node:
        """One report per command, then the named disks are looked into."""
        wanted = self._wanted
        node = self._reader.node([disk.path for disk in wanted.disks if disk.path])
        self._node_name = effective_node_name(wanted, node)
        node = self._reader.with_tables(node, planner.resolved(wanted, node).values())
        if wanted.absent:
            node = replace(node, deep=True, removing=True)
            return self._reader.with_findings(node, planner.targets(wanted, node), own_volumes(node, self._node_name))
        fresh = new_volumes(node, self._node_name, [group.name for group in wanted.groups])
        return self._reader.with_findings(node, planner.unsettled(wanted, node), fresh)

    def decide(self, seen: Node) -> Plan:
        """The planner's decision; its jobs are kept for ``execute``."""
        decision = removal.decide(self._wanted, seen) if self._wanted.absent else planner.decide(self._wanted, seen)
        self._jobs = decision.jobs
        self._volumes.begin(seen)
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """First together what can be, then step by step, since LVM locks a group anyway.

        A failure ends the work on its volume group only.
        """
        steps = [(step, self._jobs[step.verb, step.target]) for step in stage.steps]
        steps = [(step, job) for step, job in steps if job.group not in self._broken]
        done = self._together(steps)
        yield from (Outcome(step) for step, _job in steps if step.target in done)
        for step, job in steps:
            if step.target in done or job.group in self._broken:
                continue
            error = self._try(step, job)
            yield Outcome(step, error=error)
            if error is not None:
                if not isinstance(job, (VolumeJob, FinishJob, PartitionJob)):
                    self._broken.add(job.group)
                if self.stop_on_error:
                    return

    def report(self, run: Run) -> Mapping[str, object]:
        """The node's entry for Rook, as it is or, in check mode, as it would be."""
        return {"storage_node": report.storage_node(self._node_name, report.devices_of_run(settle(run)))}

    def _together(self, steps: Sequence[tuple[Step, Job]]) -> set[str]:
        """The targets of the steps that one process did for all of them."""
        new = {step.target: job for step, job in steps if isinstance(job, VolumeJob)}
        unseen = {step.target: job for step, job in steps if isinstance(job, FinishJob) and not job.consents}
        return self._volumes.make_together(new) | self._volumes.finish_together(unseen)

    def _try(self, step: Step, job: Job) -> Optional[CollError]:
        try:
            if isinstance(job, DiskJob):
                work = {"erase": self._erase, "clear": self._clear, "prepare": self._prepare, "blank": self._blank}
                {**work, "partition": self._partition, "resize": self._resize}[step.verb](step, job)
            elif isinstance(job, PartitionJob):
                self._check_partition(step, job)
            elif isinstance(job, GroupJob):
                self._commands.write(job.argv)
            elif isinstance(job, VolumeJob):
                self._volumes.make(job)
            else:
                self._volumes.finish(job)
        except CollError as exc:
            return exc
        return None

    def _erase(self, step: Step, job: DiskJob) -> None:
        """The mark goes first and last, so that a run ended in between is continued with the consent this one had."""
        found, path = self._look_again(step, job, whole=True), job.device.path
        if found.verdict not in _ERASABLE or seen_digest(job.device.identity, found.findings) != job.expect:
            raise _changed(step, found)
        if not (found.is_marked and found.seen == job.seen):
            self._blocks.mark(path, mark_text(job.device.identity, job.seen, found.findings, job.partitions))
        inside = [finding for finding in found.findings if finding.on]
        if job.partitions:
            self._blocks.zero(path, beyond_mark(part_regions(job.partitions, inside)))
        self._commands.write(commands.wipe_signatures(path))
        everything = probe_regions(job.device.identity.size, job.places)
        self._blocks.zero(path, beyond_mark(everything))
        if job.discard:
            self._commands.write(commands.discard(path))
        for pvid in job.unlist:
            self._commands.write(commands.unlist(pvid))
        self._blocks.zero(path, [Region(0, MARK_SIZE)])
        # udev lets the kernel read the table that is gone, but only once, and in vain while it looks at a partition itself.
        if not self._comes_true(lambda: not self._shown(job)):
            with contextlib.suppress(BackendFailed):  # what is there is seen now
                self._commands.write(commands.forget_partitions(path))
        self._expect_blank(step, job)

    def _blank(self, step: Step, job: DiskJob) -> None:
        """Erases what is inside volumes. They are inactive by now; were one not, the disk could not be held exclusively."""
        self._same_disk(step, job, self._reader.device(job.device))
        self._blocks.zero(job.device.path, job.inside)

    def _clear(self, step: Step, job: DiskJob) -> None:
        """Erases what lies in the places of new partitions, on a disk with others of ours."""
        found = self._look_again(step, job)
        if found.verdict != model.INCOMPLETE or found.seen != job.seen:
            raise _changed(step, found)
        self._blocks.zero(job.device.path, place_regions(job.places))

    def _partition(self, step: Step, job: DiskJob) -> None:
        """A new table on a blank disk, or more partitions in the very table that was looked at."""
        node = self._fresh(step, job)
        found = judge(node.devices[job.device.kname], node, job.node_name)
        leftovers = found.verdict == model.INCOMPLETE and bool(found.findings)
        ready = found.verdict == model.BLANK if job.table is None else found.layout == PARTITIONS and not leftovers
        if not ready or node.tables.get(job.device.kname) != job.table:
            raise _changed(step, found)
        self._commands.write(job.argv, job.script)
        # Because the disk was written to, udev lets the kernel read the table once more, and the names go and come again.
        self._commands.settle()
        self._same_disk(step, job, self._reader.device(job.device))

    def _check_partition(self, step: Step, job: PartitionJob) -> None:
        """The kernel has the partition exactly where it was planned, under its lasting name; or has it no longer.

        While another partition of the disk is in use, the kernel does not read a table anew and has to be told.
        """
        if job.there and not self._is_shown(job):
            self._commands.write(commands.show_partitions(job.device.path))
        if not self._comes_true(lambda: self._is_right(job)):
            told = "is not where it was written to" if job.there else "is still known to the kernel"
            raise BackendFailed(
                f"{step.target} {told}.", hint="Is udev running on the node, and is nothing else at work on the disk?"
            )

    def _comes_true(self, question: Callable[[], bool]) -> bool:
        """Asks until the answer is yes or the looks are used up: after a write, kernel and udev need a moment."""
        for look in range(_LOOKS):
            if look:
                self._blocks.pause()
            if question():
                return True
        return False

    def _is_right(self, job: PartitionJob) -> bool:
        return self._is_shown(job) == job.there and (not job.there or self._blocks.appear(job.path))

    def _is_shown(self, job: PartitionJob) -> bool:
        return (job.start, job.size) in self._shown(job)

    def _shown(self, job: Union[DiskJob, PartitionJob]) -> set[tuple[int, int]]:
        """Where the kernel has partitions of the disk now."""
        device = self._reader.device(job.device)
        return {(part.start, part.size) for part in device.partitions} if device is not None else set()

    def _prepare(self, step: Step, job: DiskJob) -> None:
        if self._reader.is_zeroed(job.device, job.places):
            self._volumes.all_zero(job.device.path)
        else:
            self._expect_blank(step, job)  # tells what it is now
        self._commands.write(commands.make_physical(job.device.path, tags.physical_uuid(job.node_name, job.device)))
        self._same_disk(step, job, self._reader.device(job.device))  # no lock is held across pvcreate: see that it is still it

    def _resize(self, step: Step, job: DiskJob) -> None:
        self._same_disk(step, job, self._reader.device(job.device))
        self._commands.write(job.argv)

    def _expect_blank(self, step: Step, job: DiskJob) -> None:
        found = self._look_again(step, job)
        if found.verdict != model.BLANK:
            raise _changed(step, found)

    def _look_again(self, step: Step, job: DiskJob, *, whole: bool = False) -> Judgement:
        """What is on a disk now; with ``whole`` a partition table of ours is a signature like any other."""
        node = self._fresh(step, job)
        node = replace(node, tables={}) if whole else node
        return judge(node.devices[job.device.kname], node, job.node_name)

    def _fresh(self, step: Step, job: DiskJob) -> Node:
        node = self._reader.again(job.device, job.places)
        self._same_disk(step, job, node.devices[job.device.kname] if node else None)
        return node or Node("", {})

    def _same_disk(self, step: Step, job: DiskJob, device: Optional[Device]) -> Device:
        if device is None or device.identity != job.device.identity:
            now = f"it is now {describe(device)}" if device else "it is gone"
            raise Conflict(f"{step.target} was replaced after it was looked at: {now}.", hint="Run again to look at it anew.")
        return device


def _changed(step: Step, found: Judgement) -> Refused:
    return Refused(
        f"{step.target} changed after it was looked at: it {found.reason}.",
        hint="Nothing more was written to it. Look at it again, then run again.",
        verdict=found.verdict,
        seen=found.seen,
    )
