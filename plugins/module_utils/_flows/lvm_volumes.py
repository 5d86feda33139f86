# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""New volumes, from the first command to the last look: as many of them by one process as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .._core.errors import BackendFailed, CollError, Refused
from .._disks import commands, parsers, tags
from .._disks.findings import list_in_words, probe_regions
from .._disks.jobs import FinishJob, VolumeJob
from .._disks.model import Finding, Node
from .disk_reader import Blocks, Commands, DiskReader


class NewVolumes:
    """Makes volumes, brings their device nodes and looks into them."""

    def __init__(self, commands_: Commands, blocks: Blocks, reader: DiskReader) -> None:
        self._commands = commands_
        self._blocks = blocks
        self._reader = reader
        self._known: frozenset[str] = frozenset()
        self._group_uuids: dict[str, str] = {}
        self._zeroed: set[str] = set()
        self._seen_empty: set[str] = set()
        self._activated: set[str] = set()

    def begin(self, seen: Node) -> None:
        """Takes the groups that are there already."""
        self._known = frozenset(seen.groups)
        self._group_uuids = {name: group.uuid for name, group in seen.groups.items()}

    def all_zero(self, path: str) -> None:
        """Takes it that this disk was looked at a moment ago, and nothing lies where the planned volumes will."""
        self._zeroed.add(path)

    def make_together(self, jobs: Mapping[str, VolumeJob]) -> set[str]:
        """Makes and activates volumes by one process; the targets of those that are there then.

        The others are left to ``make``, which tells why.
        """
        try:
            self._learn_groups(job.group for job in jobs.values())
        except CollError:
            return set()
        wanted = {target: (job, self._tags(job)) for target, job in jobs.items() if job.group in self._group_uuids}
        if not wanted:
            return set()
        lines = [commands.make_volume(job.group, job.name, job.runs, tags_) for job, tags_ in wanted.values()]
        self._commands.write_all([*lines, *self._activations([(job.group, _full(job)) for job, _tags in wanted.values()])])
        volumes = parsers.lvs(self._commands.report("lvs"))
        done: set[str] = set()
        for target, (job, tags_) in wanted.items():
            volume = volumes.get(_full(job))
            if volume is not None and set(tags_) <= volume.tags:
                done.add(target)
                self._note_made(job)
                if volume.active:
                    self._activated.add(_full(job))
        return done

    def make(self, job: VolumeJob) -> None:
        """Makes one volume."""
        self._learn_groups([job.group])
        if job.group not in self._group_uuids:
            raise BackendFailed(f"Volume group {job.group} is gone.", hint="Something else is at work on the node's disks.")
        self._commands.write(commands.make_volume(job.group, job.name, job.runs, self._tags(job)))
        self._note_made(job)

    def finish_together(self, jobs: Mapping[str, FinishJob]) -> set[str]:
        """New volumes with nothing inside are finished by one command per group; the targets of those that were."""
        try:
            self._activate(jobs.values())
            unknown = {target: job for target, job in jobs.items() if job.full_name not in self._seen_empty}
            found = self._reader.inside([(job.group, job.name, job.size) for job in unknown.values()])
        except CollError:
            return set()  # told by the volume's own step
        done = jobs.keys() - unknown.keys()
        clean = {target: job for target, job in unknown.items() if not found[job.group, job.name]}
        for group in dict.fromkeys(job.group for job in clean.values()):
            here = {target: job for target, job in clean.items() if job.group == group}
            drop = dict.fromkeys(tag for job in here.values() for tag in job.drop)
            try:
                self._commands.write(commands.retag([job.full_name for job in here.values()], remove=drop))
            except CollError:
                continue
            done |= here.keys()
        return done

    def finish(self, job: FinishJob) -> None:
        """What older owners left inside a new volume is seen, and erased only with consent."""
        full, path = job.full_name, commands.mapper_path(job.group, job.name)
        self._activate([job])
        if full in self._seen_empty:
            return
        found = self._inside(job)
        drop = dict.fromkeys((*job.drop, *map(tags.wipe_tag, job.consents)))
        if found and not job.consents:
            raise Refused(
                f"The new volume {full} carries {list_in_words(found)}, left on the disk by an earlier owner.",
                hint="Nothing was erased. Run again: the disk's entry then names the consent that erases it.",
            )
        if job.consents:
            if not job.remembered:
                self._commands.write(commands.retag([full], add=map(tags.wipe_tag, job.consents)))
            self._commands.write(commands.wipe_signatures(path))
            self._blocks.zero(path, probe_regions(job.size))
            left = self._inside(job)
            if left:
                raise BackendFailed(f"Volume {full} still carries {list_in_words(left)} after it was erased.")
        self._commands.write(commands.retag([full], remove=drop))

    def _learn_groups(self, names: Iterable[str]) -> None:
        """The UUIDs of groups that this run made."""
        if not set(names) <= self._group_uuids.keys():
            self._group_uuids.update(self._reader.group_uuids())

    def _tags(self, job: VolumeJob) -> tuple[str, ...]:
        """A volume that lies where all was zero a moment ago has nothing inside, so it is not marked as one to look into."""
        uuid = self._group_uuids[job.group]
        if self._is_empty(job):
            return tags.volume_tags(job.node_name, uuid, job.rule, job.device_class, job.db_for, new=False)
        return tags.volume_tags(job.node_name, uuid, job.rule, job.device_class, job.db_for, job.consents)

    def _is_empty(self, job: VolumeJob) -> bool:
        """In one piece, since the places that tell were looked at piece by piece."""
        return len(job.runs) == 1 and job.runs[0].path in self._zeroed

    def _note_made(self, job: VolumeJob) -> None:
        if self._is_empty(job):
            self._seen_empty.add(_full(job))

    def _activate(self, jobs: Iterable[FinishJob]) -> None:
        waiting = [job for job in jobs if job.inactive and job.full_name not in self._activated]
        for argv in self._activations([(job.group, job.full_name) for job in waiting]):
            self._commands.write(argv)
        nodes = self._blocks.resolve([commands.mapper_path(job.group, job.name) for job in waiting])
        missing = [job.full_name for job, kname in zip(waiting, nodes.values()) if not kname]
        if missing:
            told = f"Volume {', '.join(missing)} was activated, but has no device node."
            raise BackendFailed(told, hint="Does volume_list in the node's lvm.conf leave it out, or is udev not running?")
        self._activated.update(job.full_name for job in waiting)

    def _activations(self, volumes: Sequence[tuple[str, str]]) -> list[commands.Argv]:
        """All of a new group's volumes are ours, so the whole group is activated, which is faster than naming them."""
        groups = dict.fromkeys(group for group, _full_name in volumes)
        return [
            commands.activate([full for of, full in volumes if of == group])
            if group in self._known
            else commands.activate_group(group)
            for group in groups
        ]

    def _inside(self, job: FinishJob) -> Sequence[Finding]:
        return self._reader.inside([(job.group, job.name, job.size)])[job.group, job.name]


def _full(job: VolumeJob) -> str:
    return f"{job.group}/{job.name}"
