# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted and what was seen to a plan. Everything that is not surely blank or ours is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from .._core.errors import Refused
from .._core.plan import Step, Verdict, entry_key
from . import commands, model, partitioning, tags
from .assess import Assessed, assess, disk_facts, disk_job, effective_node_name
from .extents import Run
from .identity import describe, resolve
from .jobs import (
    FINISH,
    GROUP,
    PREPARE,
    RESIZE,
    VOLUME,
    Decision,
    DiskJob,
    Draft,
    FinishJob,
    GroupJob,
    VolumeJob,
    add_erase,
)
from .layout import Layout, lay_out, places_on
from .model import Device, LogicalVolume, Node
from .slices import slice_up
from .verdicts import judge
from .wanted import PARTITIONS, RAW, Wanted, WantedGroup


def layouts(wanted: Wanted, node: Node, devices: Mapping[str, Device]) -> dict[str, Layout]:
    """The layouts of all groups whose disks were all found."""
    node_name = effective_node_name(wanted, node)
    return {
        group.name: lay_out(group, devices, node, node_name)
        for group in wanted.groups
        if all(disk in devices for disk in group.disks)
    }


def resolved(wanted: Wanted, node: Node) -> dict[str, Device]:
    """The wanted disks that were found, by id."""
    devices: dict[str, Device] = {}
    for disk in wanted.disks:
        try:
            devices[disk.id] = resolve(disk.id, disk.path, disk.match, node)
        except Refused:  # told again, and kept, when the disk is assessed
            continue
    return devices


def targets(wanted: Wanted, node: Node) -> dict[str, tuple[tuple[int, int], ...]]:
    """The disks to look into, by kernel name, and where on them volumes and partitions are planned."""
    devices, node_name = resolved(wanted, node), effective_node_name(wanted, node)
    plans = layouts(wanted, node, devices)
    found = {
        device.kname: tuple(place for plan in plans.values() for place in places_on(plan, device.path))
        for device in devices.values()
    }
    for disk in wanted.disks:
        device = devices.get(disk.id)
        if disk.layout == PARTITIONS and device is not None:
            found[device.kname] = slice_up(disk, device, node.tables.get(device.kname), node_name).places
    return found


def unsettled(wanted: Wanted, node: Node) -> dict[str, tuple[tuple[int, int], ...]]:
    """The targets without the disks that are ours already and get nothing new: what lies on them decides nothing."""
    node_name = effective_node_name(wanted, node)
    return {
        kname: places
        for kname, places in targets(wanted, node).items()
        if places or judge(node.devices[kname], node, node_name).verdict != model.OURS
    }


def decide(wanted: Wanted, node: Node) -> Decision:
    """The plan for everything wanted."""
    draft = Draft()
    assessed = assess(wanted, node)
    devices = {disk_id: one.device for disk_id, one in assessed.items() if one.device is not None}
    plans = layouts(wanted, node, devices)
    members = {disk: group.name for group in wanted.groups for disk in group.disks}
    for one in assessed.values():
        layout = plans.get(members.get(one.disk.id, ""))
        if one.disk.layout == PARTITIONS:
            partitioning.plan_present(draft, one, node, effective_node_name(wanted, node))
        else:
            _plan_disk(draft, one, layout, members.get(one.disk.id, ""), effective_node_name(wanted, node), node)
    for group in wanted.groups:
        refused = [disk for disk in group.disks if assessed[disk].error is not None]
        layout = plans.get(group.name, Layout())
        _plan_group(draft, group, layout, node, effective_node_name(wanted, node), refused)
        _plan_volumes(draft, group, layout, wanted, effective_node_name(wanted, node), assessed, bool(refused))
    return draft.decision()


def _plan_disk(draft: Draft, one: Assessed, layout: Optional[Layout], group: str, node_name: str, node: Node) -> None:
    reason = one.judgement.reason if one.judgement else ""
    key = entry_key("disk", one.disk.id)
    if one.error is not None or one.device is None or one.judgement is None:
        draft.tell(Verdict("disk", one.disk.id, "failed", reason, disk_facts(one), one.error))
        return
    device, judgement = one.device, one.judgement
    if one.disk.layout == RAW or (judgement.verdict != model.BLANK and not one.must_erase):
        draft.tell(Verdict("disk", one.disk.id, "unchanged", reason, disk_facts(one)))
        return
    if layout is None or layout.problem is not None or device not in layout.joining:
        draft.tell(Verdict("disk", one.disk.id, "skipped", f"volume group {group} is refused", disk_facts(one)))
        return
    target = f"disk {one.disk.id} ({describe(device)})"
    job = disk_job(group, one, device, judgement, places_on(layout, device.path), node_name, node)
    if one.must_erase:
        add_erase(draft, target, key, judgement, job)
    after = {"type": "LVM physical volume", "uuid": tags.physical_uuid(node_name, device), "volume_group": group}
    draft.add(PREPARE, Step("prepare", target, key, {}, after), job)
    draft.tell(Verdict("disk", one.disk.id, "created", reason, disk_facts(one)))


def _plan_group(draft: Draft, group: WantedGroup, layout: Layout, node: Node, node_name: str, refused: Sequence[str]) -> None:
    facts = {"disks": list(group.disks), "extents": layout.extents, "size": layout.extents * layout.extent}
    if refused:
        reason = f"disk {', '.join(refused)} is refused"
        draft.tell(Verdict("volume_group", group.name, "skipped", reason, facts))
        return
    if layout.problem is not None:
        draft.tell(Verdict("volume_group", group.name, "failed", "", facts, layout.problem))
        return
    for device in layout.resized:
        job = DiskJob(group.name, device, "", (), node_name, argv=commands.grow_physical(device.path))
        draft.add(RESIZE, Step("resize", f"disk {describe(device)}", entry_key("volume_group", group.name)), job)
    known = node.groups.get(group.name)
    paths = [device.path for device in layout.joining]
    target, key = f"volume group {group.name}", entry_key("volume_group", group.name)
    if known is None:
        argv = commands.make_group(group.name, paths, tags.group_tags(node_name))
        draft.add(GROUP, Step("create", target, key, {}, facts), GroupJob(group.name, argv))
        draft.tell(Verdict("volume_group", group.name, "created", "missing", facts))
    elif paths:
        before = {"extents": known.extents, "size": known.extents * known.extent_size}
        argv = commands.extend_group(group.name, paths)
        draft.add(GROUP, Step("extend", target, key, before, facts), GroupJob(group.name, argv))
        draft.tell(Verdict("volume_group", group.name, "updated", f"{', '.join(paths)} joins", facts))
    elif layout.resized:
        grown = ", ".join(device.path for device in layout.resized)
        draft.tell(Verdict("volume_group", group.name, "updated", f"{grown} grew", facts))
    else:
        draft.tell(Verdict("volume_group", group.name, "unchanged", "", facts))


def _plan_volumes(
    draft: Draft,
    group: WantedGroup,
    layout: Layout,
    wanted: Wanted,
    node_name: str,
    assessed: Mapping[str, Assessed],
    blocked: bool,
) -> None:
    device_class = group.device_class or _common_class(group, assessed)
    disks = [assessed[disk] for disk in group.disks]
    for name, rule in group.volumes.items():
        full = f"{group.name}/{name}"
        volume, runs = layout.existing.get(name), layout.placed.get(name, ())
        runs = runs or layout.grown.get(name, ())
        extents = (volume.size // layout.extent if volume else 0) + sum(run.count for run in runs)
        facts: dict[str, object] = {"path": f"/dev/{full}", "size_rule": rule.text, "device_class": device_class}
        facts.update(extents=extents, size=extents * layout.extent, **_served_facts(wanted, full))
        if name in layout.problems:
            draft.tell(Verdict("volume", full, "failed", "", facts, layout.problems[name]))
        elif volume is not None and not tags.is_new(volume):
            _plan_existing(draft, group, volume, facts, runs, wanted.serves.get(full, ""))
        elif blocked or layout.problem is not None:
            draft.tell(Verdict("volume", full, "skipped", f"volume group {group.name} is refused", facts))
        else:
            consents = _consents(disks, wanted) if volume else _consents_on(disks, runs, wanted)
            if volume is None:
                served = wanted.serves.get(full, "")
                job = VolumeJob(group.name, name, runs, rule.text, device_class, node_name, served, consents)
                draft.add(VOLUME, Step("create", f"volume {full}", entry_key("volume", full), {}, facts), job)
            drop = (tags.NEW, *map(tags.wipe_tag, consents)) if volume is None else (tags.NEW, *sorted(tags.wipe_tags(volume)))
            known = volume is None or set(map(tags.wipe_tag, consents)) <= tags.wipe_tags(volume)
            size = volume.size if volume else extents * layout.extent
            inactive = volume is None or not volume.active
            finish = FinishJob(group.name, name, size, consents, known, drop, inactive)
            draft.add(FINISH, Step("finish", f"volume {full}", entry_key("volume", full)), finish)
            action, reason = ("updated", "made by a run that did not finish") if volume else ("created", "missing")
            draft.tell(Verdict("volume", full, action, reason, facts))


def _served_facts(wanted: Wanted, full: str) -> dict[str, object]:
    """Of a database volume, the volume it serves; of a data volume, the path of its database volume."""
    served_by = {data: db for db, data in wanted.serves.items()}
    facts: dict[str, object] = {"db_for": wanted.serves[full]} if full in wanted.serves else {}
    return {**facts, "metadata_device": f"/dev/{served_by[full]}"} if full in served_by else facts


def _plan_existing(
    draft: Draft, group: WantedGroup, volume: LogicalVolume, facts: dict[str, object], runs: Sequence[Run], serves: str
) -> None:
    """An existing volume: it may be inactive, may grow, and the device class remembered with it can differ."""
    key, target, reasons = entry_key("volume", volume.full_name), f"volume {volume.full_name}", []
    if tags.db_for(volume) != serves:
        told = f"{target} holds {_purpose(tags.db_for(volume))}, not {_purpose(serves)}."
        error = Refused(told, hint="That cannot change while an OSD may use it.")
        draft.tell(Verdict("volume", volume.full_name, "failed", "", facts, error))
        return
    if not volume.active:
        draft.add(VOLUME, Step("activate", target, key), GroupJob(volume.group, commands.activate([volume.full_name])))
        reasons.append("was inactive")
    if runs:
        argv = commands.extend_volume(volume.full_name, runs)
        draft.add(
            VOLUME, Step("extend", target, key, {"size": volume.size}, {"size": facts["size"]}), GroupJob(volume.group, argv)
        )
        reasons.append("grows")
    have, want = tags.device_class(volume), tags.encode(str(facts["device_class"]))
    gone = [tags.class_tag(have)] if have and have != want else []
    new = [tags.class_tag(str(facts["device_class"]))] if want and have != want else []
    if gone or new:
        reasons.append("device class changed")
    rule = tags.encode(str(facts["size_rule"]))
    if group.grow and tags.size_rule(volume) != rule:
        gone, new = [*gone, tags.size_tag(tags.size_rule(volume))], [*new, tags.size_tag(rule)]
        reasons = reasons or ["size rule changed"]
    if gone or new:
        before = {"device_class": have, "size_rule": tags.size_rule(volume)}
        argv = commands.retag([volume.full_name], remove=gone, add=new)
        draft.add(FINISH, Step("retag", target, key, before, {"tags": new}), GroupJob(volume.group, argv))
    draft.tell(Verdict("volume", volume.full_name, "updated" if reasons else "unchanged", " and ".join(reasons), facts))


def _purpose(served: str) -> str:
    return f"the database of {served}" if served else "data"


def _consents(disks: Sequence[Assessed], wanted: Wanted) -> tuple[str, ...]:
    """The consents given for any of these disks."""
    return tuple(dict.fromkeys(wanted.consent[one.disk.id].seen for one in disks if one.consented))


def _consents_on(disks: Sequence[Assessed], runs: Sequence[Run], wanted: Wanted) -> tuple[str, ...]:
    """The consents for the disks that these extents lie on; none unless all of those may be erased."""
    paths = {run.path for run in runs}
    here = [one for one in disks if one.device is not None and one.device.path in paths]
    return _consents(here, wanted) if all(one.consented for one in here) else ()


def _common_class(group: WantedGroup, assessed: Mapping[str, Assessed]) -> str:
    classes = {assessed[disk].disk.device_class for disk in group.disks}
    return classes.pop() if len(classes) == 1 else ""
