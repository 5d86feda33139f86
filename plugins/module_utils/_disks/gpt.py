# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GUID partition tables: read from a disk's first bytes, and how ownership and a size's rule are written into them.

A table has no room for tags, but a GUID of its own and one for each partition. Ours are derived from the node and the disk's
identity, so that the table of a cloned or moved disk is not taken for ours. A partition's GUID ends in the rule of its size.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from . import tags
from .extents import ABSOLUTE, PERCENT, REST, Run, SizeRule
from .findings import HEAD_SIZE
from .model import MIB, Device, Entry, Table

LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
_HEADER = struct.Struct("<8sIIII4Q16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_KINDS = (ABSOLUTE, PERCENT, REST)
_NUMBER_BITS = 40


@dataclass(frozen=True)
class Slot:
    """A partition that is to be made; ``start`` and ``size`` in bytes."""

    name: str
    start: int
    size: int
    guid: str


def read_table(head: bytes) -> Optional[Table]:
    """The primary table among a disk's first bytes; None when there is none or it is damaged."""
    for sector in (512, 4096):
        if head[sector : sector + 8] == b"EFI PART":
            return _read(head, sector)
    return None


def _read(head: bytes, sector: int) -> Optional[Table]:
    if len(head) < sector + _HEADER.size:
        return None
    _magic, _rev, length, crc, _zero, _at, _copy, _first, last, guid, where, number, size, entries_crc = _HEADER.unpack_from(
        head, sector
    )
    header = head[sector : sector + length]
    begin, end = where * sector, where * sector + number * size
    if length < _HEADER.size or zlib.crc32(header[:16] + bytes(4) + header[20:]) != crc:
        return None
    if size < _ENTRY.size or end > len(head) or zlib.crc32(head[begin:end]) != entries_crc:
        return None
    found = (_entry(head, begin + place * size, place + 1, sector) for place in range(number))
    return Table(_text(guid), sector, (last + 1) * sector, tuple(entry for entry in found if entry))


def _entry(head: bytes, offset: int, number: int, sector: int) -> Optional[Entry]:
    kind, guid, first, last, _flags, name = _ENTRY.unpack_from(head, offset)
    if not any(kind):
        return None
    text = name.decode("utf-16-le", "replace").partition("\0")[0]
    return Entry(number, first * sector, (last - first + 1) * sector, _text(guid), text)


def _text(guid: bytes) -> str:
    return str(uuid.UUID(bytes_le=guid))


def table_guid(node: str, device: Device) -> str:
    """The GUID of a table of ours on this disk of this node."""
    return _own_guid(_digest(node, device, "")[:15] + bytes(1))


def partition_guid(node: str, device: Device, name: str, rule: SizeRule) -> str:
    """The GUID of a partition of ours: ten bytes that prove it, then the rule its size was made by."""
    number = rule.number if rule.kind != ABSOLUTE else -(-rule.number // MIB)
    code = _KINDS.index(rule.kind) << _NUMBER_BITS | number
    return _own_guid(_digest(node, device, name)[:10] + code.to_bytes(6, "big"))


def _digest(node: str, device: Device, name: str) -> bytes:
    identity = device.identity
    text = "\0".join((tags.OWNER, "gpt", node, identity.serial, identity.wwn, name))
    return hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest()


def _own_guid(raw: bytes) -> str:
    """Sixteen bytes as a GUID of version 8, the one for values of one's own making. Six bits of the proof give way."""
    value = bytearray(raw)
    value[6], value[8] = 0x80 | value[6] & 0x0F, 0x80 | value[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(value)))


def is_ours(table: Table, device: Device, node: str) -> bool:
    """Whether a table was made by this module on this very disk of this very node."""
    return device.identity.known and table.guid == table_guid(node, device)


def entry_is_ours(entry: Entry, device: Device, node: str) -> bool:
    """Whether a partition was made by this module on this very disk of this very node."""
    return entry.guid[:23] == partition_guid(node, device, entry.name, SizeRule(REST))[:23] and _rule(entry) is not None


def size_rule(entry: Entry) -> str:
    """The rule by which a partition of ours was made, as ``rule_text`` writes it."""
    rule = _rule(entry)
    return rule_text(rule) if rule else "unknown"


def rule_text(rule: SizeRule) -> str:
    """A rule for people. Bytes are told in MiB, since partitions begin and end there."""
    return {ABSOLUTE: f"{-(-rule.number // MIB)}MiB", PERCENT: f"{rule.number}%"}.get(rule.kind, rule.text)


def _rule(entry: Entry) -> Optional[SizeRule]:
    code = int.from_bytes(uuid.UUID(entry.guid).bytes[10:], "big")
    kind, number = code >> _NUMBER_BITS, code & ((1 << _NUMBER_BITS) - 1)
    if kind >= len(_KINDS):
        return None
    return SizeRule(_KINDS[kind], number * MIB if _KINDS[kind] == ABSOLUTE else number)


def path_of(guid: str) -> str:
    """The path of a partition that stays the same at every boot."""
    return f"/dev/disk/by-partuuid/{guid}"


def room(size: int, table: Optional[Table]) -> int:
    """The whole MiB that partitions may take, counted from the first MiB on."""
    end = table.end if table else size - HEAD_SIZE
    return max(0, end // MIB - 1)


def free_runs(total: int, entries: Sequence[Entry], path: str) -> tuple[Run, ...]:
    """The stretches of free MiB, counted from the first MiB on."""
    found, at = [], 0
    for entry in sorted(entries, key=lambda entry: entry.start):
        first, behind = entry.start // MIB - 1, -(-(entry.start + entry.size) // MIB) - 1
        if first > at:
            found.append(Run(path, at, first - at))
        at = max(at, behind)
    return (*found, Run(path, at, total - at)) if total > at else tuple(found)


def script(slots: Sequence[Slot], sector: int, guid: str = "") -> str:
    """What sfdisk is told: partitions in exact sectors and, with ``guid``, a new table for them."""
    lines = ["label: gpt", f"label-id: {guid.upper()}"] if guid else []
    lines += ["unit: sectors"] if guid else []
    for slot in slots:
        place = f"start={slot.start // sector}, size={slot.size // sector}"
        lines.append(f'{place}, type={LINUX_DATA.upper()}, uuid={slot.guid.upper()}, name="{slot.name}"')
    return "\n".join(lines) + "\n"


def by_name(table: Optional[Table], device: Device, node: str) -> Mapping[str, Entry]:
    """The partitions of ours in a table."""
    entries = table.entries if table else ()
    return {entry.name: entry for entry in entries if entry_is_ours(entry, device, node)}
