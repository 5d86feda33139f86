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
from .extents import ABSOLUTE, PERCENT, REST, SMALLEST_VOLUME, SPLIT, SizeRule
from .identity import Criteria

RAW = "raw"
VOLUMES = "volumes"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_LVM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}", re.ASCII)
_RESERVED = re.compile(
    r"^(snapshot|pvmove)|_(cdata|cmeta|corig|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin)"
)
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class WantedDisk:
    """A disk the caller named."""

    id: str
    path: str = ""
    match: Criteria = field(default_factory=Criteria)
    expect: Criteria = field(default_factory=Criteria)
    layout: str = VOLUMES
    device_class: str = ""


@dataclass(frozen=True)
class WantedGroup:
    """A volume group with its volumes, in the order they are made."""

    name: str
    disks: tuple[str, ...]
    volumes: Mapping[str, SizeRule]
    device_class: str = ""


@dataclass(frozen=True)
class Wanted:
    """Everything a task asks for. ``consent`` maps a disk's id to the findings' digest it may be erased with."""

    disks: tuple[WantedDisk, ...]
    groups: tuple[WantedGroup, ...] = ()
    consent: Mapping[str, str] = field(default_factory=dict)
    node_name: str = ""


def read_wanted(params: Mapping[str, Any]) -> Wanted:
    """The task's parameters as values; raises BadInput that names the entry."""
    disks = tuple(_disk(entry) for entry in params.get("disks") or ())
    check_distinct([disk.id for disk in disks], "disk")
    groups = tuple(_group(entry) for entry in params.get("volume_groups") or ())
    check_distinct([group.name for group in groups], "volume group")
    consent = {str(entry["id"]): str(entry["seen"]) for entry in (params.get("consent") or {}).get("wipe") or ()}
    _check_references(disks, groups, consent)
    return Wanted(disks, groups, consent, str(params.get("node_name") or ""))


def read_named_disks(params: Mapping[str, Any]) -> Wanted:
    """Disks to look at alone, in no volume group."""
    disks = tuple(_disk(entry) for entry in params.get("disks") or ())
    check_distinct([disk.id for disk in disks], "disk")
    return Wanted(disks, node_name=str(params.get("node_name") or ""))


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
    return WantedDisk(disk_id, path, criteria, expect, str(entry.get("layout") or VOLUMES), device_class)


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
    rules = _split(int(split), name) if split else _volumes(volumes, name)
    return WantedGroup(name, disks, rules, _device_class(entry, f"volume group {name}"))


def _split(parts: int, group: str) -> dict[str, SizeRule]:
    if not 1 <= parts <= 100:
        raise BadInput(f"volume group {group}: split must be from 1 to 100, not {parts}.")
    return {f"osd{number}": SizeRule(SPLIT, parts) for number in range(1, parts + 1)}


def _volumes(entries: Sequence[Mapping[str, Any]], group: str) -> dict[str, SizeRule]:
    names = [_lvm_name(entry["name"], f"volume group {group}: volume") for entry in entries]
    check_distinct(names, f"volume group {group}: volume")
    rules = {name: _size_rule(entry["size"], f"volume {group}/{name}: size") for name, entry in zip(names, entries)}
    if sum(rule.kind == REST for rule in rules.values()) > 1:
        raise BadInput(f"volume group {group}: more than one volume takes the rest.", hint="Use percentages or split instead.")
    if sum(rule.number for rule in rules.values() if rule.kind == PERCENT) > 100:
        raise BadInput(f"volume group {group}: the percentages of its volumes add up to more than 100%.")
    return rules


def _size_rule(size: object, option: str) -> SizeRule:
    text = str(size).strip()
    if text.casefold() == REST:
        return SizeRule(REST)
    if is_percent(text):
        return SizeRule(PERCENT, percent(text, option))
    number = size_bytes(text, option)
    if number < SMALLEST_VOLUME:
        raise BadInput(f"{option}: {text} is less than {human_bytes(SMALLEST_VOLUME)}, the least that Ceph takes.")
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


def _check_references(disks: Sequence[WantedDisk], groups: Sequence[WantedGroup], consent: Mapping[str, str]) -> None:
    known = {disk.id: disk for disk in disks}
    used: dict[str, str] = {}
    for group in groups:
        for disk_id in group.disks:
            if disk_id not in known:
                raise BadInput(f"volume group {group.name} names disk {disk_id!r}, which is not in disks.")
            if known[disk_id].layout == RAW:
                raise BadInput(f"volume group {group.name} names disk {disk_id}, whose layout is raw.")
            if disk_id in used:
                raise BadInput(f"disk {disk_id} is in two volume groups, {used[disk_id]} and {group.name}.")
            used[disk_id] = group.name
    for disk in disks:
        if disk.layout == VOLUMES and disk.id not in used:
            raise BadInput(f"disk {disk.id} is in no volume group.", hint="Add it to one, or set its layout to raw.")
    for disk_id, seen in consent.items():
        if not seen:
            raise BadInput(f"consent.wipe: seen of disk {disk_id} is empty.", hint="Give the digest printed for the disk.")
        if disk_id not in known:
            raise BadInput(f"consent.wipe names disk {disk_id!r}, which is not in disks.")
