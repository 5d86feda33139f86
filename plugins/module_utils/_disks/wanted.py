# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller wants of the disks, read from a task's parameters and checked before anything is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import BadInput
from .._core.names import check_distinct
from .._core.units import human_bytes, is_percent, percent, size_bytes
from .extents import ABSOLUTE, PERCENT, REST, SMALLEST_DATABASE, SMALLEST_VOLUME, SPLIT, SizeRule
from .identity import Criteria

RAW = "raw"
PARTITIONS = "partitions"
VOLUMES = "volumes"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_LVM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}", re.ASCII)
_RESERVED = re.compile(
    r"^(snapshot|pvmove)|_(cdata|cmeta|corig|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin)"
)
# 36 characters fit into a GUID partition table.
_PARTITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,35}", re.ASCII)
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class WantedDisk:
    """A disk the caller named; ``partitions`` in the order they are made."""

    id: str
    path: str = ""
    match: Criteria = field(default_factory=Criteria)
    expect: Criteria = field(default_factory=Criteria)
    layout: str = VOLUMES
    device_class: str = ""
    discard: bool = False
    partitions: Mapping[str, SizeRule] = field(default_factory=dict)


@dataclass(frozen=True)
class WantedGroup:
    """A volume group with its volumes, in the order they are made. ``metadata_for`` names the group whose data it serves."""

    name: str
    disks: tuple[str, ...]
    volumes: Mapping[str, SizeRule]
    device_class: str = ""
    grow: bool = False
    metadata_for: str = ""


@dataclass(frozen=True)
class Consent:
    """A licence to erase one disk: the digest of what was seen on it, and the fsids of the OSDs that may be lost."""

    seen: str
    osd_fsids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """Everything a task asks for. ``consent`` is by the disk's id; ``serves`` maps volumes to those they hold databases for."""

    disks: tuple[WantedDisk, ...]
    groups: tuple[WantedGroup, ...] = ()
    consent: Mapping[str, Consent] = field(default_factory=dict)
    node_name: str = ""
    absent: bool = False
    serves: Mapping[str, str] = field(default_factory=dict)


def read_wanted(params: Mapping[str, Any]) -> Wanted:
    """The task's parameters as values; raises BadInput that names the entry."""
    disks = tuple(_disk(entry) for entry in params.get("disks") or ())
    check_distinct([disk.id for disk in disks], "disk")
    groups = tuple(_group(entry) for entry in params.get("volume_groups") or ())
    check_distinct([group.name for group in groups], "volume group")
    wipes = (params.get("consent") or {}).get("wipe") or ()
    check_distinct([str(entry["id"]) for entry in wipes], "consent.wipe: disk")
    consent = {str(entry["id"]): _consent(entry) for entry in wipes}
    _check_references(disks, groups, consent)
    absent = params.get("state") == "absent"
    return Wanted(disks, groups, consent, str(params.get("node_name") or ""), absent, _served(groups))


def read_named_disks(params: Mapping[str, Any]) -> Wanted:
    """Disks to look at alone, in no volume group."""
    disks = tuple(_disk(entry) for entry in params.get("disks") or ())
    check_distinct([disk.id for disk in disks], "disk")
    return Wanted(disks, node_name=str(params.get("node_name") or ""))


def _consent(entry: Mapping[str, Any]) -> Consent:
    return Consent(str(entry["seen"]), frozenset(str(fsid).strip().lower() for fsid in entry.get("osd_fsids") or ()))


def _served(groups: Sequence[WantedGroup]) -> dict[str, str]:
    """Which database volume serves which data volume: the first the first, the second the second, and so on."""
    by_name = {group.name: group for group in groups}
    serves: dict[str, str] = {}
    for group in groups:
        if not group.metadata_for:
            continue
        data = by_name.get(group.metadata_for)
        told = f"volume group {group.name}: metadata_for"
        if data is None or data is group or data.metadata_for:
            raise BadInput(f"{told} names {group.metadata_for!r}, which is no other group of the task that holds data.")
        if group.device_class and group.device_class == data.device_class:
            raise BadInput(f"{told}: both groups have the device class {data.device_class}.", hint="Ceph refuses such a pair.")
        if len(group.volumes) != len(data.volumes):
            raise BadInput(
                f"{told}: {len(group.volumes)} volumes for the {len(data.volumes)} volumes of {data.name}.",
                hint="Each data volume takes one database volume of its own.",
            )
        for name, served in zip(group.volumes, data.volumes):
            if f"{data.name}/{served}" in serves.values():
                raise BadInput(f"{told}: volume {data.name}/{served} has a database volume already.")
            serves[f"{group.name}/{name}"] = f"{data.name}/{served}"
    return serves


def _disk(entry: Mapping[str, Any]) -> WantedDisk:
    disk_id = str(entry["id"])
    if not _ID.fullmatch(disk_id):
        raise BadInput(f"disk id {disk_id[:80]!r} is not allowed.", hint="Use letters, digits, '_', '.' and '-'.")
    path, match = str(entry.get("device") or ""), entry.get("match")
    if bool(path) == bool(match):
        raise BadInput(f"disk {disk_id} needs either device or match.")
    if path and not path.startswith("/dev/"):
        raise BadInput(f"disk {disk_id}: device {path!r} is not a path below /dev.")
    criteria = _criteria(match, f"disk {disk_id}: match")
    if match and criteria == Criteria():
        raise BadInput(f"disk {disk_id}: match is empty.", hint="Give a serial, wwn, model, min_size, max_size or rotational.")
    device_class = _device_class(entry, f"disk {disk_id}")
    expect = _criteria(entry.get("expect"), f"disk {disk_id}: expect")
    layout = str(entry.get("layout") or VOLUMES)
    partitions = _partitions(entry.get("partitions") or (), disk_id)
    if bool(partitions) != (layout == PARTITIONS):
        raise BadInput(f"disk {disk_id}: the layout partitions and a list of partitions belong together.")
    return WantedDisk(disk_id, path, criteria, expect, layout, device_class, bool(entry.get("discard")), partitions)


def _partitions(entries: Sequence[Mapping[str, Any]], disk_id: str) -> dict[str, SizeRule]:
    names = [_partition_name(entry["name"], f"disk {disk_id}: partition") for entry in entries]
    return _sizes(names, entries, f"disk {disk_id}", "partition", SMALLEST_VOLUME)


def _partition_name(value: object, what: str) -> str:
    name = str(value)
    if not _PARTITION_NAME.fullmatch(name):
        raise BadInput(
            f"{what} name {name[:80]!r} is not allowed.",
            hint="Use at most 36 letters, digits, '_', '.', '-', a letter or digit first.",
        )
    if "ceph" in name.casefold():
        raise BadInput(
            f"{what} name {name!r} has 'ceph' in it.", hint="Ceph takes such partitions for its own. Choose another."
        )
    return name


def _criteria(entry: Optional[Mapping[str, Any]], where: str) -> Criteria:
    given = entry or {}
    sizes = {name: size_bytes(given[name], f"{where}.{name}") for name in ("min_size", "max_size") if given.get(name)}
    return Criteria(
        serial=str(given.get("serial") or "").strip(),
        wwn=str(given.get("wwn") or "").strip(),
        model=str(given.get("model") or "").strip(),
        min_size=sizes.get("min_size", 0),
        max_size=sizes.get("max_size", 0),
        rotational=given.get("rotational"),
    )


def _group(entry: Mapping[str, Any]) -> WantedGroup:
    name = _lvm_name(entry["name"], "volume group")
    if name.casefold().startswith("ceph"):
        raise BadInput(
            f"volume group {name!r} begins with 'ceph'.", hint="Ceph takes such groups for its own. Choose another name."
        )
    disks = tuple(str(disk) for disk in entry.get("disks") or ())
    check_distinct(disks, f"volume group {name}: disk")
    if not disks:
        raise BadInput(f"volume group {name} has no disks.")
    volumes, split = entry.get("volumes") or (), entry.get("split")
    if bool(volumes) == bool(split):
        raise BadInput(f"volume group {name} needs either volumes or split.")
    serves = str(entry.get("metadata_for") or "")
    least = SMALLEST_DATABASE if serves else SMALLEST_VOLUME
    rules = _split(int(split), name, "db" if serves else "osd") if split else _volumes(volumes, name, least)
    return WantedGroup(name, disks, rules, _device_class(entry, f"volume group {name}"), bool(entry.get("grow")), serves)


def _split(parts: int, group: str, prefix: str) -> dict[str, SizeRule]:
    if not 1 <= parts <= 100:
        raise BadInput(f"volume group {group}: split must be from 1 to 100, not {parts}.")
    return {f"{prefix}{number}": SizeRule(SPLIT, parts) for number in range(1, parts + 1)}


def _volumes(entries: Sequence[Mapping[str, Any]], group: str, least: int) -> dict[str, SizeRule]:
    names = [_lvm_name(entry["name"], f"volume group {group}: volume") for entry in entries]
    return _sizes(names, entries, f"volume group {group}", "volume", least)


def _sizes(
    names: Sequence[str], entries: Sequence[Mapping[str, Any]], owner: str, what: str, least: int
) -> dict[str, SizeRule]:
    check_distinct(names, f"{owner}: {what}")
    path = owner.rsplit(" ", 1)[-1]
    rules = {name: _size_rule(entry["size"], f"{what} {path}/{name}: size", least) for name, entry in zip(names, entries)}
    if sum(rule.kind == REST for rule in rules.values()) > 1:
        raise BadInput(f"{owner}: more than one {what} takes the rest.", hint="Use percentages instead.")
    if sum(rule.number for rule in rules.values() if rule.kind == PERCENT) > 100:
        raise BadInput(f"{owner}: the percentages of its {what}s add up to more than 100%.")
    return rules


def _size_rule(size: object, option: str, least: int) -> SizeRule:
    text = str(size).strip()
    if text.casefold() == REST:
        return SizeRule(REST)
    if is_percent(text):
        return SizeRule(PERCENT, percent(text, option))
    number = size_bytes(text, option)
    if number < least:
        raise BadInput(f"{option}: {text} is less than {human_bytes(least)}, the least that Ceph takes.")
    return SizeRule(ABSOLUTE, number)


def _lvm_name(value: object, what: str) -> str:
    name = str(value)
    if not _LVM_NAME.fullmatch(name) or _RESERVED.search(name):
        raise BadInput(
            f"{what} name {name[:80]!r} is not allowed.",
            hint="Use at most 63 letters, digits, '_', '.', '+', '-', a letter or digit first, and no name LVM reserves.",
        )
    return name


def _device_class(entry: Mapping[str, Any], what: str) -> str:
    text = str(entry.get("device_class") or "")
    if text and not _CLASS.fullmatch(text):
        raise BadInput(f"{what}: device_class {text[:80]!r} is not allowed.", hint="Use a name such as ssd, hdd or nvme.")
    return text


def _check_references(disks: Sequence[WantedDisk], groups: Sequence[WantedGroup], consent: Mapping[str, Consent]) -> None:
    known = {disk.id: disk for disk in disks}
    used: dict[str, str] = {}
    for group in groups:
        for disk_id in group.disks:
            if disk_id not in known:
                raise BadInput(f"volume group {group.name} names disk {disk_id!r}, which is not in disks.")
            if known[disk_id].layout != VOLUMES:
                raise BadInput(f"volume group {group.name} names disk {disk_id}, whose layout is {known[disk_id].layout}.")
            if disk_id in used:
                raise BadInput(f"disk {disk_id} is in two volume groups, {used[disk_id]} and {group.name}.")
            used[disk_id] = group.name
    for disk in disks:
        if disk.layout == VOLUMES and disk.id not in used:
            raise BadInput(
                f"disk {disk.id} is in no volume group.", hint="Add it to one, or set its layout to raw or partitions."
            )
    for disk_id, given in consent.items():
        if not given.seen:
            raise BadInput(f"consent.wipe: seen of disk {disk_id} is empty.", hint="Give the digest printed for the disk.")
        if disk_id not in known:
            raise BadInput(f"consent.wipe names disk {disk_id!r}, which is not in disks.")
