# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted and what was seen to a plan. Everything that is not surely blank or ours is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

from .._core.errors import CollError, Refused
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from . import commands, model, tags
from .extents import Run
from .findings import BLUESTORE
from .identity import describe, identity_problem, resolve
from .layout import Layout, lay_out, places_on
from .model import Device, Node
from .verdicts import Judgement, judge
from .wanted import RAW, Wanted, WantedDisk, WantedGroup

ERASE, PREPARE, GROUP, VOLUME, FINISH = "erase", "prepare", "group", "volume", "finish"
STAGES = (ERASE, PREPARE, GROUP, VOLUME, FINISH)


@dataclass(frozen=True)
class DiskJob:
    """Work on one disk. ``seen`` is the digest it must still have, ``places`` where volumes will lie on it."""

    group: str
    device: Device
    seen: str
    places: tuple[tuple[int, int], ...]
    node_name: str


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


@dataclass(frozen=True)
class FinishJob:
    """Looking into a new volume. ``may_wipe``: what older owners left there is to be erased."""

    group: str
    name: str
    size: int
    may_wipe: bool


Job = Union[DiskJob, GroupJob, VolumeJob, FinishJob]


@dataclass(frozen=True)
class Decision:
    """A plan, and beside it, by (verb, target), what the executor needs for each of its steps."""

    plan: Plan
    jobs: Mapping[tuple[str, str], Job]


@dataclass(frozen=True)
class Assessed:
    """A wanted disk and what became of looking for it."""

    disk: WantedDisk
    device: Optional[Device] = None
    judgement: Optional[Judgement] = None
    error: Optional[CollError] = None
    consented: bool = False

    @property
    def must_erase(self) -> bool:
        """Whether the disk itself is to be erased first."""
        return self.consented and self.judgement is not None and self.judgement.verdict in (model.FOREIGN, model.UNKNOWN_DATA)


class _Draft:
    """A plan in the making."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.steps: dict[str, list[Step]] = {stage: [] for stage in STAGES}
        self.jobs: dict[tuple[str, str], Job] = {}

    def add(self, stage: str, step: Step, job: Job) -> None:
        self.steps[stage].append(step)
        self.jobs[step.verb, step.target] = job

    def decision(self) -> Decision:
        stages = tuple(Stage(name, tuple(steps)) for name, steps in self.steps.items() if steps)
        return Decision(Plan(tuple(self.verdicts), stages), self.jobs)


def effective_node_name(wanted: Wanted, node: Node) -> str:
    """The node's name in Kubernetes: as the caller says, else its host name."""
    return wanted.node_name or node.hostname


def assess(wanted: Wanted, node: Node) -> dict[str, Assessed]:
    """Every wanted disk: found, judged, and refused or not."""
    found: dict[str, Assessed] = {}
    taken: dict[str, str] = {}
    groups = {disk: group.name for group in wanted.groups for disk in group.disks}
    for disk in wanted.disks:
        one = _assess_one(disk, wanted, node, groups.get(disk.id, ""))
        if one.device is not None:
            other = taken.setdefault(one.device.kname, disk.id)
            if other != disk.id:
                told = f"disk {disk.id} ({describe(one.device)}) is the same device as disk {other}."
                one = Assessed(disk, one.device, one.judgement, Refused(told, hint="Name each device once."))
        found[disk.id] = one
    return found


def layouts(wanted: Wanted, node: Node, devices: Mapping[str, Device]) -> dict[str, Layout]:
    """The layouts of all groups whose disks were all found."""
    node_name = effective_node_name(wanted, node)
    return {
        group.name: lay_out(group, devices, node, node_name)
        for group in wanted.groups
        if all(disk in devices for disk in group.disks)
    }


def targets(wanted: Wanted, node: Node) -> dict[str, tuple[tuple[int, int], ...]]:
    """The disks to look into, by kernel name, and where on them volumes are planned."""
    devices: dict[str, Device] = {}
    for disk in wanted.disks:
        try:
            devices[disk.id] = resolve(disk.id, disk.path, disk.match, node)
        except Refused:  # told again, and kept, when the disk is assessed
            continue
    plans = layouts(wanted, node, devices)
    return {
        device.kname: tuple(place for plan in plans.values() for place in places_on(plan, device.path))
        for device in devices.values()
    }


def decide(wanted: Wanted, node: Node) -> Decision:
    """The plan for everything wanted."""
    draft = _Draft()
    assessed = assess(wanted, node)
    devices = {disk_id: one.device for disk_id, one in assessed.items() if one.device is not None}
    plans = layouts(wanted, node, devices)
    members = {disk: group.name for group in wanted.groups for disk in group.disks}
    for one in assessed.values():
        layout = plans.get(members.get(one.disk.id, ""))
        _plan_disk(draft, one, layout, members.get(one.disk.id, ""), effective_node_name(wanted, node))
    for group in wanted.groups:
        refused = [disk for disk in group.disks if assessed[disk].error is not None]
        layout = plans.get(group.name, Layout())
        _plan_group(draft, group, layout, node, effective_node_name(wanted, node), refused)
        _plan_volumes(draft, group, layout, effective_node_name(wanted, node), assessed, bool(refused))
    return draft.decision()


def disk_facts(one: Assessed) -> dict[str, object]:
    """What a result says about a disk besides its action."""
    if one.device is None or one.judgement is None:
        return {}
    identity, judgement = one.device.identity, one.judgement
    return {
        "device": one.device.path,
        "serial": identity.serial,
        "wwn": identity.wwn,
        "model": identity.model,
        "size": identity.size,
        "verdict": judgement.verdict,
        "findings": [finding.as_dict() for finding in judgement.findings],
        "seen": judgement.seen,
        "layout": one.disk.layout,
        "device_class": one.disk.device_class,
    }


def _assess_one(disk: WantedDisk, wanted: Wanted, node: Node, group: str) -> Assessed:
    try:
        device = resolve(disk.id, disk.path, disk.match, node)
    except Refused as exc:
        return Assessed(disk, error=exc)
    judgement = judge(device, node, effective_node_name(wanted, node))
    consent = wanted.consent.get(disk.id)
    error = (
        _never(disk, device, judgement)
        or identity_problem(disk.id, device, disk.path, disk.expect, node)
        or _content_problem(disk, device, judgement, group, consent)
    )
    return Assessed(disk, device, judgement, error, consented=consent is not None and consent == judgement.seen)


def _never(disk: WantedDisk, device: Device, judgement: Judgement) -> Optional[CollError]:
    """Refusals that no consent lifts."""
    if judgement.verdict not in (model.UNSUITABLE, model.IN_USE):
        return None
    hints = {model.UNSUITABLE: "Name another disk.", model.IN_USE: "Unmount, close or deactivate what uses it first."}
    return _refused(disk, device, judgement, f"{hints[judgement.verdict]} No consent makes this module touch such a disk.")


def _content_problem(
    disk: WantedDisk, device: Device, judgement: Judgement, group: str, consent: Optional[str]
) -> Optional[CollError]:
    if judgement.verdict == model.BLANK:
        return None
    if disk.layout == RAW:
        if judgement.findings and all(finding.type == BLUESTORE for finding in judgement.findings):
            return None  # what a raw disk looks like once Ceph has taken it
        return _refused(disk, device, judgement, "A raw disk is handed over as it is, never erased. Erase it yourself.")
    if judgement.verdict in (model.OURS, model.INCOMPLETE) and judgement.group not in ("", group):
        return _refused(disk, device, judgement, f"Name it in that group, not in {group}.")
    if not judgement.findings:
        return None if judgement.verdict in (model.OURS, model.INCOMPLETE) else _refused(disk, device, judgement, "")
    if consent is None:
        entry = f"consent: {{wipe: [{{id: {disk.id}, seen: {judgement.seen}}}]}}"
        return _refused(disk, device, judgement, f"If all of it may be destroyed, add `{entry}` to the task.")
    if consent != judgement.seen:
        what = f"The consent was given for other findings (seen: {consent}); these are {judgement.seen}."
        return _refused(disk, device, judgement, f"{what} Look at the disk again before consenting to them.")
    return None


def _refused(disk: WantedDisk, device: Device, judgement: Judgement, hint: str) -> Refused:
    return Refused(f"disk {disk.id} ({describe(device)}) {judgement.reason}.", hint=hint, verdict=judgement.verdict)


def _plan_disk(draft: _Draft, one: Assessed, layout: Optional[Layout], group: str, node_name: str) -> None:
    reason = one.judgement.reason if one.judgement else ""
    key = entry_key("disk", one.disk.id)
    if one.error is not None or one.device is None or one.judgement is None:
        draft.verdicts.append(Verdict("disk", one.disk.id, "failed", reason, disk_facts(one), one.error))
        return
    device, judgement = one.device, one.judgement
    if one.disk.layout == RAW or (judgement.verdict != model.BLANK and not one.must_erase):
        draft.verdicts.append(Verdict("disk", one.disk.id, "unchanged", reason, disk_facts(one)))
        return
    if layout is None or layout.problem is not None or device not in layout.joining:
        draft.verdicts.append(Verdict("disk", one.disk.id, "skipped", f"volume group {group} is refused", disk_facts(one)))
        return
    target = f"disk {one.disk.id} ({describe(device)})"
    job = DiskJob(group, device, judgement.seen, places_on(layout, device.path), node_name)
    if one.must_erase:
        before = {"findings": [finding.as_dict() for finding in judgement.findings]}
        draft.add(ERASE, Step("erase", target, key, before, {"findings": []}), job)
    after = {"type": "LVM physical volume", "uuid": tags.physical_uuid(node_name, device), "volume_group": group}
    draft.add(PREPARE, Step("prepare", target, key, {}, after), job)
    draft.verdicts.append(Verdict("disk", one.disk.id, "created", reason, disk_facts(one)))


def _plan_group(draft: _Draft, group: WantedGroup, layout: Layout, node: Node, node_name: str, refused: Sequence[str]) -> None:
    facts = {"disks": list(group.disks), "extents": layout.extents, "size": layout.extents * layout.extent}
    if refused:
        reason = f"disk {', '.join(refused)} is refused"
        draft.verdicts.append(Verdict("volume_group", group.name, "skipped", reason, facts))
        return
    if layout.problem is not None:
        draft.verdicts.append(Verdict("volume_group", group.name, "failed", "", facts, layout.problem))
        return
    known = node.groups.get(group.name)
    paths = [device.path for device in layout.joining]
    target, key = f"volume group {group.name}", entry_key("volume_group", group.name)
    if known is None:
        argv = commands.make_group(group.name, paths, tags.group_tags(node_name))
        draft.add(GROUP, Step("create", target, key, {}, facts), GroupJob(group.name, argv))
        draft.verdicts.append(Verdict("volume_group", group.name, "created", "missing", facts))
    elif paths:
        before = {"extents": known.extents, "size": known.extents * known.extent_size}
        argv = commands.extend_group(group.name, paths)
        draft.add(GROUP, Step("extend", target, key, before, facts), GroupJob(group.name, argv))
        draft.verdicts.append(Verdict("volume_group", group.name, "updated", f"{', '.join(paths)} joins", facts))
    else:
        draft.verdicts.append(Verdict("volume_group", group.name, "unchanged", "", facts))


def _plan_volumes(
    draft: _Draft, group: WantedGroup, layout: Layout, node_name: str, assessed: Mapping[str, Assessed], blocked: bool
) -> None:
    device_class = group.device_class or _common_class(group, assessed)
    disks = [assessed[disk] for disk in group.disks]
    for name, rule in group.volumes.items():
        full = f"{group.name}/{name}"
        volume, runs = layout.existing.get(name), layout.placed.get(name, ())
        extents = volume.size // layout.extent if volume else sum(run.count for run in runs)
        facts: dict[str, object] = {"path": f"/dev/{full}", "size_rule": rule.text, "device_class": device_class}
        facts.update(extents=extents, size=extents * layout.extent)
        if name in layout.problems:
            draft.verdicts.append(Verdict("volume", full, "failed", "", facts, layout.problems[name]))
        elif volume is not None and not tags.is_new(volume):
            _plan_class(draft, volume, facts, device_class)
        elif blocked or layout.problem is not None:
            draft.verdicts.append(Verdict("volume", full, "skipped", f"volume group {group.name} is refused", facts))
        else:
            if volume is None:
                job = VolumeJob(group.name, name, runs, rule.text, device_class, node_name)
                draft.add(VOLUME, Step("create", f"volume {full}", entry_key("volume", full), {}, facts), job)
            may_wipe = any(one.consented for one in disks) if volume else _all_consented(disks, runs)
            finish = FinishJob(group.name, name, extents * layout.extent, may_wipe)
            draft.add(FINISH, Step("finish", f"volume {full}", entry_key("volume", full)), finish)
            action, reason = ("updated", "made by a run that did not finish") if volume else ("created", "missing")
            draft.verdicts.append(Verdict("volume", full, action, reason, facts))


def _plan_class(draft: _Draft, volume: model.LogicalVolume, facts: dict[str, object], device_class: str) -> None:
    """An existing volume: only the device class remembered with it can differ."""
    have = tags.device_class(volume)
    if have == tags.encode(device_class):
        draft.verdicts.append(Verdict("volume", volume.full_name, "unchanged", "", facts))
        return
    argv = commands.retag(
        [volume.full_name],
        remove=[tags.class_tag(have)] if have else [],
        add=[tags.class_tag(device_class)] if device_class else [],
    )
    step = Step(
        "retag",
        f"volume {volume.full_name}",
        entry_key("volume", volume.full_name),
        {"device_class": have},
        {"device_class": device_class},
    )
    draft.add(FINISH, step, GroupJob(volume.group, argv))
    draft.verdicts.append(Verdict("volume", volume.full_name, "updated", "device class changed", facts))


def _all_consented(disks: Sequence[Assessed], runs: Sequence[Run]) -> bool:
    """Whether every disk that these extents lie on may be erased."""
    paths = {run.path for run in runs}
    return all(one.consented for one in disks if one.device is not None and one.device.path in paths)


def _common_class(group: WantedGroup, assessed: Mapping[str, Assessed]) -> str:
    classes = {assessed[disk].disk.device_class for disk in group.disks}
    return classes.pop() if len(classes) == 1 else ""
