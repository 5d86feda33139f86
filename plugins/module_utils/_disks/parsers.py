# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in, facts out: the JSON reports of lsblk, LVM and wipefs, and two tables of the kernel.

LVM's full report has a part for each volume group, with rows of every kind; ``vgs`` and ``lvs`` write one part with one kind.
Old versions write every value as text, newer ones numbers and booleans; both are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BackendFailed
from .model import Finding, LogicalVolume, PhysicalVolume, Segment, VolumeGroup

# Begins the table of a device where wipefs writes no JSON.
TABLE_OF = "device: "
_PVID = re.compile(r"\bPVID=([A-Za-z0-9]{32})\b")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class BlockRow:
    """A line of lsblk. ``below`` names everything built on the device, at any depth."""

    kname: str
    name: str
    kind: str
    size: int
    number: str
    read_only: bool
    removable: bool
    rotational: bool
    mountpoint: str
    children: tuple[str, ...]
    below: tuple[str, ...]


def lsblk(text: str) -> dict[str, BlockRow]:
    """All block devices by kernel name. A device with several parents stands in several places of the tree."""
    rows: dict[str, BlockRow] = {}
    for node in _lsblk_nodes(_load("lsblk", text).get("blockdevices") or ()):
        children = tuple(str(child["kname"]) for child in node.get("children") or ())
        below = tuple(dict.fromkeys(str(child["kname"]) for child in _lsblk_nodes(node.get("children") or ())))
        kname = str(node["kname"])
        rows[kname] = BlockRow(
            kname=kname,
            name=str(node.get("name") or kname),
            kind=str(node.get("type") or ""),
            size=_number(node.get("size")),
            number=str(node.get("maj:min") or "").strip(),
            read_only=_flag(node.get("ro")),
            removable=_flag(node.get("rm")),
            rotational=_flag(node.get("rota")),
            mountpoint=str(node.get("mountpoint") or ""),
            children=children,
            below=below,
        )
    return rows


def pvs(text: str) -> tuple[PhysicalVolume, ...]:
    """Physical volumes from rows for each, and for each segment."""
    heads: dict[str, Mapping[str, Any]] = {}
    segments: dict[str, list[Segment]] = {}
    for row in _lvm_rows("pvs", text, ("pvseg", "pv")):
        path = str(row["pv_name"])
        heads.setdefault(path, row)
        if _number(row.get("pvseg_size")):
            where = _number(row["pvseg_start"]), _number(row["pvseg_size"])
            segment = Segment(*where, str(row.get("lv_name") or ""), _number(row.get("seg_start_pe")))
            segments.setdefault(path, []).append(segment)
    return tuple(
        PhysicalVolume(
            path=path,
            uuid=str(row["pv_uuid"]),
            group=str(row.get("vg_name") or ""),
            group_uuid=str(row.get("vg_uuid") or ""),
            extents=_number(row.get("pv_pe_count")),
            segments=tuple(sorted(segments.get(path, ()), key=lambda segment: segment.start)),
        )
        for path, row in heads.items()
    )


def vgs(text: str) -> dict[str, VolumeGroup]:
    """Volume groups by name; two groups of one name are an error, since no command could tell them apart."""
    groups: dict[str, VolumeGroup] = {}
    for row in _lvm_rows("vgs", text, ("vg",)):
        name = str(row["vg_name"])
        if name in groups:
            raise BackendFailed(
                f"The node has two volume groups named {name!r} ({groups[name].uuid} and {row['vg_uuid']}).",
                hint="Rename one of them with vgrename and its UUID, or detach the copied disk.",
            )
        groups[name] = VolumeGroup(
            name=name,
            uuid=str(row["vg_uuid"]),
            tags=_tags(row.get("vg_tags")),
            extent_size=_number(row["vg_extent_size"]),
            extents=_number(row["vg_extent_count"]),
            missing_disks=_number(row.get("vg_missing_pv_count")),
        )
    return groups


def lvs(text: str) -> dict[str, LogicalVolume]:
    """Logical volumes by ``group/volume``."""
    volumes = (
        LogicalVolume(
            group=str(row["vg_name"]),
            name=str(row["lv_name"]),
            size=_number(row["lv_size"]),
            tags=_tags(row.get("lv_tags")),
            group_uuid=str(row.get("vg_uuid") or ""),
            active=str(row.get("lv_attr") or "----a")[4:5] == "a",
        )
        for row in _lvm_rows("lvs", text, ("lv",))
    )
    return {volume.full_name: volume for volume in volumes}


def wipefs(text: str) -> dict[str, tuple[Finding, ...]]:
    """Signatures by the name of the device as wipefs writes it (without ``/dev/``).

    Versions that know no JSON print a table per device; the tables come with a line ``device: /dev/...`` before each.
    """
    if text.startswith(TABLE_OF):
        return _wipefs_tables(text)
    found: dict[str, list[Finding]] = {}
    for row in (_load("wipefs", text).get("signatures") or ()) if text.strip() else ():
        finding = Finding(
            offset=int(str(row["offset"]), 0),
            type=str(row.get("type") or "unknown"),
            uuid=str(row.get("uuid") or ""),
            usage=str(row.get("usage") or ""),
        )
        found.setdefault(str(row["device"]), []).append(finding)
    return {device: tuple(sorted(rows, key=lambda row: (row.offset, row.type))) for device, rows in found.items()}


def _wipefs_tables(text: str) -> dict[str, tuple[Finding, ...]]:
    """``offset,uuid,label,type`` below a comment that names the columns, as ``wipefs --parsable`` writes it."""
    found: dict[str, list[Finding]] = {}
    device, columns = "", ["offset", "uuid", "label", "type"]
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith(TABLE_OF):
            device = line[len(TABLE_OF) :].rsplit("/", 1)[-1]
        elif line.startswith("#"):
            columns = [word.strip().lower() for word in line.lstrip("# ").split(",")]
        else:
            row = dict(zip(columns, line.split(",")))
            offset = int(row["offset"], 0)
            found.setdefault(device, []).append(Finding(offset, row.get("type") or "unknown", row.get("uuid") or ""))
    return {name: tuple(sorted(rows, key=lambda row: (row.offset, row.type))) for name, rows in found.items()}


def devices_file(text: str) -> frozenset[str]:
    """The PVIDs in LVM's devices file."""
    return frozenset(_PVID.findall("\n".join(line for line in text.splitlines() if not line.startswith("#"))))


def mounts(mountinfo: str) -> dict[str, tuple[str, ...]]:
    """Mount points by device number and, for file systems without one of their own (btrfs), by source path."""
    found: dict[str, list[str]] = {}
    for line in mountinfo.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, source = left.split(), right.split()
        if len(fields) < 5 or len(source) < 2:
            continue
        where = _unescaped(fields[4])
        found.setdefault(fields[2], []).append(where)
        if source[1].startswith("/dev/"):
            found.setdefault(_unescaped(source[1]), []).append(where)
    return {device: tuple(dict.fromkeys(where)) for device, where in found.items()}


def swaps(text: str) -> tuple[str, ...]:
    """Paths of the swap areas in use."""
    return tuple(_unescaped(line.split()[0]) for line in text.splitlines()[1:] if line.strip())


def _lsblk_nodes(nodes: Any) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        yield node
        yield from _lsblk_nodes(node.get("children") or ())


def _lvm_rows(command: str, text: str, sections: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for report in _load(command, text).get("report") or ():
        for section in sections:
            yield from report.get(section) or ()


def _load(command: str, text: str) -> Mapping[str, Any]:
    try:
        loaded = json.loads(text)
    except ValueError as exc:
        raise BackendFailed(
            f"{command} did not write a JSON report: {text.strip()[:80]!r}.",
            hint="The node needs util-linux 2.33 and LVM 2.02.158 or newer.",
        ) from exc
    return loaded if isinstance(loaded, dict) else {}


def _number(value: object) -> int:
    text = str(value if value is not None else "").strip().rstrip("B")
    return int(text) if text.lstrip("-").isdigit() else 0


def _flag(value: object) -> bool:
    return str(value).strip().lower() in ("1", "true")


def _tags(value: object) -> frozenset[str]:
    return frozenset(tag for tag in str(value or "").split(",") if tag)


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
