# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for disks of the layout partitions: made in one table, added to it, or erased with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from .._core.errors import CollError
from .._core.plan import Step, Verdict, entry_key
from . import commands, consent, gpt, model
from .assess import Assessed, disk_facts, disk_job
from .identity import describe
from .jobs import ERASE, PREPARE, VOLUME, DiskJob, Draft, PartitionJob, add_erase
from .model import Device, Entry, Node
from .slices import Slices, slice_up
from .verdicts import Judgement, in_use
from .wanted import Wanted


def slices_of(one: Assessed, node: Node, node_name: str) -> Slices:
    """The partitions of an assessed disk; none when the disk was not found."""
    return slice_up(one.disk, one.device, node.tables.get(one.device.kname), node_name) if one.device else Slices()


def plan_present(draft: Draft, one: Assessed, node: Node, node_name: str) -> None:
    """A disk and its partitions as they are to be."""
    slices, reason = slices_of(one, node, node_name), one.judgement.reason if one.judgement else ""
    error = one.error or slices.problem
    if error is not None or one.device is None or one.judgement is None:
        draft.tell(Verdict("disk", one.disk.id, "failed", reason, disk_facts(one), error))
    elif not slices.new:
        draft.tell(Verdict("disk", one.disk.id, "unchanged", reason, disk_facts(one)))
    else:
        _plan_table(draft, one, one.device, one.judgement, slices, node, node_name)
    for name in one.disk.partitions:
        _plan_partition(draft, one, name, slices, refused=error is not None)


def _plan_table(
    draft: Draft, one: Assessed, device: Device, judgement: Judgement, slices: Slices, node: Node, node_name: str
) -> None:
    target, key = f"disk {one.disk.id} ({describe(device)})", entry_key("disk", one.disk.id)
    base = disk_job(_group(one), one, device, judgement, slices.places, node_name, node)
    if one.must_erase:
        add_erase(draft, target, key, judgement, base)
    elif judgement.verdict == model.INCOMPLETE and judgement.findings:
        before = {"findings": [finding.as_dict() for finding in judgement.findings]}
        draft.add(ERASE, Step("clear", target, key, before, {"findings": []}), base)
    guid = "" if slices.table else gpt.table_guid(node_name, device)
    script = gpt.script(tuple(slices.new.values()), slices.table.sector if slices.table else device.sector, guid)
    argv = commands.add_partitions(device.path) if slices.table else commands.make_table(device.path)
    job = DiskJob(base.group, device, "", slices.places, node_name, argv=argv, script=script, table=slices.table)
    after = {"type": "GUID partition table", "uuid": guid or (slices.table.guid if slices.table else "")}
    before_table = {} if guid else {**after, "partitions": len(slices.existing)}
    count = len(slices.existing) + len(slices.new)
    draft.add(PREPARE, Step("partition", target, key, before_table, {**after, "partitions": count}), job)
    draft.tell(Verdict("disk", one.disk.id, "created" if guid else "updated", judgement.reason, disk_facts(one)))


def _plan_partition(draft: Draft, one: Assessed, name: str, slices: Slices, *, refused: bool) -> None:
    full, entry, slot = f"{one.disk.id}/{name}", slices.existing.get(name), slices.new.get(name)
    key, target = entry_key("partition", full), f"partition {one.disk.id}/{name}"
    facts = _facts(one, name, entry, slot)
    if name in slices.problems:
        draft.tell(Verdict("partition", full, "failed", "", facts, slices.problems[name]))
    elif one.error is not None or one.device is None or (entry is None and (refused or slot is None)):
        draft.tell(Verdict("partition", full, "skipped", f"disk {one.disk.id} is refused", facts))
    elif entry is None and slot is not None:
        job = PartitionJob(_group(one), one.device, str(facts["path"]), slot.start, slot.size)
        draft.add(VOLUME, Step("create", target, key, {}, facts), job)
        draft.tell(Verdict("partition", full, "created", "missing", facts))
    elif entry is not None and not _is_shown(entry, one.device):
        job = PartitionJob(_group(one), one.device, str(facts["path"]), entry.start, entry.size)
        draft.add(VOLUME, Step("show", target, key), job)
        draft.tell(Verdict("partition", full, "updated", "was not known to the kernel", facts))
    else:
        draft.tell(Verdict("partition", full, "unchanged", "", facts))


def plan_absent(draft: Draft, one: Assessed, wanted: Wanted, node: Node, node_name: str, *, half_erased: bool) -> None:
    """A disk whose partitions are to go, and its table with them."""
    slices, reason = slices_of(one, node, node_name), one.judgement.reason if one.judgement else ""
    goes = slices.table is not None or half_erased
    error = one.error or (_removal_problem(one, slices, wanted, node_name, half_erased=half_erased) if goes else None)
    if error is not None or one.device is None or one.judgement is None:
        draft.tell(Verdict("disk", one.disk.id, "failed", reason, disk_facts(one), error))
    elif not goes:
        draft.tell(Verdict("disk", one.disk.id, "unchanged", reason, disk_facts(one)))
    else:
        job = disk_job(_group(one), one, one.device, one.judgement, (), node_name, node)
        target = f"disk {one.disk.id} ({describe(one.device)})"
        add_erase(draft, target, entry_key("disk", one.disk.id), one.judgement, job)
        draft.tell(Verdict("disk", one.disk.id, "removed", reason, disk_facts(one)))
    for entry in slices.existing.values():
        _plan_leaving(draft, one, entry, refused=error is not None)


def _plan_leaving(draft: Draft, one: Assessed, entry: Entry, *, refused: bool) -> None:
    full, facts = f"{one.disk.id}/{entry.name}", _facts(one, entry.name, entry, None)
    if refused or one.device is None:
        draft.tell(Verdict("partition", full, "skipped", f"disk {one.disk.id} is refused", facts))
        return
    job = PartitionJob(_group(one), one.device, str(facts["path"]), entry.start, entry.size, there=False)
    draft.add(VOLUME, Step("remove", f"partition {full}", entry_key("partition", full), facts, {}), job)
    draft.tell(Verdict("partition", full, "removed", "", facts))


def _removal_problem(
    one: Assessed, slices: Slices, wanted: Wanted, node_name: str, *, half_erased: bool
) -> Optional[CollError]:
    if one.device is None or one.judgement is None:
        return None
    used = in_use(one.device)
    if used:
        return consent.refused(one.disk, one.device, one.judgement, f"It {used}: end that first.")
    entries = slices.table.entries if slices.table else ()
    foreign = [str(entry.number) for entry in entries if not gpt.entry_is_ours(entry, one.device, node_name)]
    if foreign:
        told = f"Its partition {', '.join(foreign)} was not made by this module. Remove that first."
        return consent.refused(one.disk, one.device, one.judgement, told)
    if half_erased:
        return None
    return consent.erase_problem(one.disk, one.device, one.judgement, wanted.consent.get(one.disk.id))


def offered(one: Assessed, node: Node, node_name: str) -> list[str]:
    """The paths of a disk's partitions of ours that the kernel knows."""
    device = one.device
    entries = slices_of(one, node, node_name).existing.values()
    return [gpt.path_of(entry.guid) for entry in entries if device is not None and _is_shown(entry, device)]


def _is_shown(entry: Entry, device: Device) -> bool:
    return any((part.start, part.size) == (entry.start, entry.size) for part in device.partitions)


def _facts(one: Assessed, name: str, entry: Optional[Entry], slot: Optional[gpt.Slot]) -> Mapping[str, object]:
    rule = gpt.rule_text(one.disk.partitions[name]) if name in one.disk.partitions else ""
    facts: dict[str, object] = {"size_rule": rule, "device_class": one.disk.device_class}
    there = entry or slot
    if there is not None:
        facts.update(path=gpt.path_of(there.guid), start=there.start, size=there.size, partuuid=there.guid)
    return facts


def _group(one: Assessed) -> str:
    """What a failure of the disk ends besides: its own partitions."""
    return f"disk {one.disk.id}"
