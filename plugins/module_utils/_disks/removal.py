# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking away what this module made, and nothing else: volumes, their group, and the disks' content.

A group is not removed by LVM: erasing its last disk ends it. Until then its tags remember the consent of each disk, so
that a run that was ended is continued. What lies in volumes is erased while LVM still knows where they are: a volume made
later in the same place would show it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional

from .._core.errors import CollError, Refused
from .._core.plan import Step, Verdict, entry_key
from . import commands, consent, model, partitioning, tags
from .assess import Assessed, assess, disk_facts, disk_job, effective_node_name
from .extents import DATA_START
from .findings import Region, place_regions, regions_in_segment
from .identity import describe
from .jobs import BLANK, RELEASE, REMOVE, Decision, DiskJob, Draft, GroupJob, add_erase, expected_digest
from .model import LogicalVolume, Node, VolumeGroup
from .wanted import PARTITIONS, Wanted, WantedGroup


def decide(wanted: Wanted, node: Node) -> Decision:
    """The plan that removes the groups of a task."""
    draft = Draft()
    assessed = assess(wanted, node)
    node_name = effective_node_name(wanted, node)
    grouped = {disk for group in wanted.groups for disk in group.disks}
    for one in assessed.values():
        if one.disk.layout == PARTITIONS:
            half = _is_half_erased(one, wanted, node)
            partitioning.plan_absent(draft, one, wanted, node, node_name, half_erased=half)
        elif one.disk.id not in grouped:
            draft.tell(Verdict("disk", one.disk.id, "unchanged", "is left as it is", disk_facts(one)))
    for group in wanted.groups:
        _plan_group(draft, group, wanted, node, node_name, [assessed[disk] for disk in group.disks])
    return draft.decision()


def _plan_group(
    draft: Draft, group: WantedGroup, wanted: Wanted, node: Node, node_name: str, disks: Sequence[Assessed]
) -> None:
    known = node.groups.get(group.name)
    mine = known if known is not None and not tags.group_problem(known, node_name) else None
    problems = {one.disk.id: _disk_problem(one, group, wanted, node, mine) for one in disks}
    volumes = node.volumes_of(group.name) if mine else ()
    problem = _group_problem(group, mine, volumes, node, node_name, disks) if mine else None
    refused = problem is not None or any(problems.values())
    leaving = [one for one in disks if _is_to_go(one, group, wanted, node)]
    for one in disks:
        inside = _inside(one, mine, volumes, node) if mine else ()
        _plan_disk(draft, one, group, node_name, node, problems[one.disk.id], refused, one in leaving, inside)
    if problem is not None:
        draft.tell(Verdict("volume_group", group.name, "failed", "", {}, problem))
    elif mine is None:
        reason = "is not there" if known is None else tags.group_problem(known, node_name)
        draft.tell(Verdict("volume_group", group.name, "unchanged", reason))
    elif refused:
        draft.tell(Verdict("volume_group", group.name, "skipped", "a disk of it is refused"))
    else:
        _release(draft, group, mine, volumes, [wanted.consent[one.disk.id].seen for one in leaving])
        draft.tell(Verdict("volume_group", group.name, "removed", "with the last of its disks"))
    for volume in volumes:
        action, reason = ("skipped", f"volume group {group.name} is refused") if refused else ("removed", "")
        draft.tell(Verdict("volume", volume.full_name, action, reason, {"path": f"/dev/{volume.full_name}"}))


def _release(
    draft: Draft, group: WantedGroup, known: VolumeGroup, volumes: Sequence[LogicalVolume], consents: Sequence[str]
) -> None:
    """Remembers the consents, then removes the volumes; each command fails while a volume is open."""
    target, key = f"volume group {group.name}", entry_key("volume_group", group.name)
    new = sorted(set(map(tags.absent_tag, consents)) - known.tags)
    if new:
        job = GroupJob(group.name, commands.retag_group(group.name, new))
        draft.add(RELEASE, Step("retag", target, key), job)
    if volumes:
        draft.add(RELEASE, Step("deactivate", target, key), GroupJob(group.name, commands.deactivate(group.name)))
    for volume in volumes:
        job = GroupJob(group.name, commands.remove_volumes([volume.full_name]))
        step = Step("remove", f"volume {volume.full_name}", entry_key("volume", volume.full_name), {"size": volume.size}, {})
        draft.add(REMOVE, step, job)


def _plan_disk(
    draft: Draft,
    one: Assessed,
    group: WantedGroup,
    node_name: str,
    node: Node,
    problem: Optional[CollError],
    refused: bool,
    leaves: bool,
    inside: tuple[Region, ...],
) -> None:
    facts, reason = disk_facts(one), one.judgement.reason if one.judgement else ""
    if problem is not None:
        draft.tell(Verdict("disk", one.disk.id, "failed", reason, facts, problem))
    elif not leaves or one.device is None or one.judgement is None:
        draft.tell(Verdict("disk", one.disk.id, "unchanged", reason, facts))
    elif refused:
        draft.tell(Verdict("disk", one.disk.id, "skipped", f"volume group {group.name} is refused", facts))
    else:
        job: DiskJob = disk_job(group.name, one, one.device, one.judgement, (), node_name, node)
        job = replace(job, inside=inside, expect=expected_digest(one.device, one.judgement, inside))
        target, key = f"disk {one.disk.id} ({describe(one.device)})", entry_key("disk", one.disk.id)
        if inside:
            draft.add(BLANK, Step("blank", f"volumes on {target}", key), job)
        add_erase(draft, target, key, one.judgement, job)
        draft.tell(Verdict("disk", one.disk.id, "removed", reason, facts))


def _inside(one: Assessed, group: VolumeGroup, volumes: Sequence[LogicalVolume], node: Node) -> tuple[Region, ...]:
    """Where on a disk signatures and labels in its group's volumes would lie."""
    regions = {volume.name: place_regions([(0, volume.size)]) for volume in volumes}
    extent = group.extent_size
    return tuple(
        region
        for pv in (node.physical_on(one.device.kname) if one.device else ())
        for part in pv.segments
        if pv.group == group.name and part.volume in regions
        for region in regions_in_segment(
            regions[part.volume], part.first * extent, part.count * extent, DATA_START + part.start * extent
        )
    )


def _is_to_go(one: Assessed, group: WantedGroup, wanted: Wanted, node: Node) -> bool:
    """Whether a disk is proved ours, or half erased under the consent that is given."""
    if one.judgement is None or one.device is None:
        return False
    if one.judgement.verdict in (model.OURS, model.INCOMPLETE):
        return one.judgement.group in ("", group.name)
    return _is_half_erased(one, wanted, node)


def _is_half_erased(one: Assessed, wanted: Wanted, node: Node) -> bool:
    mark, given = node.marks.get(one.device.kname) if one.device else None, wanted.consent.get(one.disk.id)
    return bool(mark and given and one.judgement and mark.seen == given.seen == one.judgement.seen)


def _disk_problem(
    one: Assessed, group: WantedGroup, wanted: Wanted, node: Node, mine: Optional[VolumeGroup]
) -> Optional[CollError]:
    """Why a disk that is to be erased may not be; None also for a disk that is left alone."""
    if one.error is not None:
        return one.error
    if one.device is None or one.judgement is None or not _is_to_go(one, group, wanted, node):
        return None
    used = _use(one)
    if used:
        return consent.refused(one.disk, one.device, one.judgement, f"It {used}: end that first.")
    given = wanted.consent.get(one.disk.id)
    if mine is not None and given is not None and tags.absent_tag(given.seen) in mine.tags:
        return None
    if given is not None and _is_half_erased(one, wanted, node):
        return None
    return consent.erase_problem(one.disk, one.device, one.judgement, given)


def _use(one: Assessed) -> str:
    places: Sequence[str] = one.device.mounts if one.device else ()
    return f"is used at {', '.join(places)}" if places else ""


def _group_problem(
    group: WantedGroup,
    known: VolumeGroup,
    volumes: Sequence[LogicalVolume],
    node: Node,
    node_name: str,
    disks: Sequence[Assessed],
) -> Optional[CollError]:
    foreign = [volume.full_name for volume in volumes if not tags.volume_is_ours(volume, node_name)]
    if foreign:
        return Refused(
            f"volume group {group.name} holds {', '.join(foreign)}, not made by this module.", hint="Remove it first."
        )
    inactive = [volume.full_name for volume in volumes if not volume.active]
    if inactive and not any(tag.startswith(tags.absent_tag("")) for tag in known.tags):
        return Refused(
            f"volume group {group.name}: what {', '.join(inactive)} holds cannot be seen, since it is inactive.",
            hint=f"Run vgchange --activate y {group.name} first.",
        )
    named: Mapping[str, str] = {one.device.kname: one.disk.id for one in disks if one.device}
    others = [pv.path for pv in node.physical if pv.group == group.name and not _is_named(pv.path, named, node)]
    if others and not known.missing_disks:
        return Refused(f"volume group {group.name} also has {', '.join(others)}.", hint="Name all of its disks.")
    return None


def _is_named(path: str, named: Mapping[str, str], node: Node) -> bool:
    return (node.resolved.get(path) or model.kernel_name(path)) in named
