# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on a disk: BlueStore labels, data without a signature, and the digest that a consent names.

libblkid knows most signatures, but sees a BlueStore label only at the begin; Ceph keeps copies farther in. And an
encrypted or raw database disk has no signature at all, so parts of the disk are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from .model import GIB, MIB, PLANNED, SECTOR, EraseMark, Finding, Identity

BLUESTORE = "ceph_bluestore"
UNKNOWN = "unknown-data"
STALE = "device-mapper"
LABEL_OFFSETS = (0, GIB, 10 * GIB, 100 * GIB, 1000 * GIB)
LABEL_SIZE = 4096
_LABEL = re.compile(rb"bluestore block device\n([0-9a-f-]{36})?")
# The begin of a disk as far as a GUID partition table of 128 entries can reach, for sectors of 512 and of 4096 bytes.
HEAD_SIZE = 32 << 10
_SPOTS = 64
MARK = "kubestead_erase"
MARK_SIZE = 2048
_MARK_BEGIN = b"kubestead erase\n"
_SPOT_SIZE = 4096


@dataclass(frozen=True)
class Region:
    """A stretch of a device in bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Sample:
    """What was read of a region: its first bytes (``HEAD_SIZE`` of a disk's begin, else ``LABEL_SIZE``), where the first non-zero
    byte lies (-1: nowhere), and a digest."""

    region: Region
    head: bytes
    first_nonzero: int
    digest: str


def label_regions(start: int, size: int) -> tuple[Region, ...]:
    """Where BlueStore would put its labels on a device or volume that begins at ``start`` and is ``size`` long."""
    return tuple(Region(start + at, LABEL_SIZE) for at in LABEL_OFFSETS if at + LABEL_SIZE <= size)


def edge_regions(start: int, size: int) -> tuple[Region, ...]:
    """The first and the last two MiB, where every format that libblkid knows keeps a signature (VMFS at the first MiB)."""
    length = min(2 * MIB, size)
    return tuple(dict.fromkeys((Region(start, length), Region(start + size - length, length))))


def far_regions(places: Iterable[tuple[int, int]]) -> tuple[Region, ...]:
    """Where libblkid looks beyond the edges: VMFS and bcachefs at 2 MiB, the second header of LUKS there and at 4 MiB."""
    return tuple(Region(start + at, LABEL_SIZE) for start, size in places for at in (2 * MIB, 4 * MIB) if at < size)


def spot_regions(size: int) -> tuple[Region, ...]:
    """Evenly spread spots over the disk, to notice data without a signature."""
    step = size // (_SPOTS + 1) // SECTOR * SECTOR
    return tuple(Region(number * step, _SPOT_SIZE) for number in range(1, _SPOTS + 1)) if step > _SPOT_SIZE else ()


def place_regions(places: Iterable[tuple[int, int]]) -> tuple[Region, ...]:
    """The telling parts of places (first byte and length) that volumes will take."""
    found = [region for start, size in places for region in (*edge_regions(start, size), *label_regions(start, size))]
    return tuple(dict.fromkeys(found))


def regions_in_segment(regions: Iterable[Region], first: int, size: int, place: int) -> tuple[Region, ...]:
    """Regions of a volume that lie in one segment of it (``first`` byte and ``size``), as places on the segment's disk."""
    found = []
    for region in regions:
        low, high = max(first, region.offset), min(first + size, region.offset + region.size)
        if low < high:
            found.append(Region(place + low - first, high - low))
    return tuple(found)


def probe_regions(size: int, places: Iterable[tuple[int, int]] = ()) -> tuple[Region, ...]:
    """Everything to read of a disk, and to zero besides the signatures libblkid knows: both GPT copies lie in the edges."""
    return tuple(dict.fromkeys((*place_regions([(0, size)]), *place_regions(places), *spot_regions(size))))


def from_samples(signatures: Sequence[Finding], samples: Sequence[Sample], *, unknown: bool = True) -> tuple[Finding, ...]:
    """All findings of one device: its signatures, the labels among the samples and, if nothing else, unknown data."""
    found = {(finding.offset, finding.type): finding for finding in signatures}
    for sample in samples:
        at, label = sample.region.offset, _LABEL.match(sample.head)
        if at == 0 and sample.head.startswith(_MARK_BEGIN):
            found[(0, MARK)] = Finding(0, MARK, hashlib.sha256(sample.head[:LABEL_SIZE]).hexdigest()[:16], "other")
        if label:
            known = found.get((at, BLUESTORE))
            uuid = (label.group(1) or b"").decode() or (known.uuid if known else "")
            found[(at, BLUESTORE)] = Finding(at, BLUESTORE, uuid, "other")
    if not found and unknown:
        data = sorted((sample.first_nonzero, sample.digest) for sample in samples if sample.first_nonzero >= 0)
        if data:
            digest = hashlib.sha256("".join(text for _at, text in data).encode()).hexdigest()[:16]
            return (Finding(data[0][0], UNKNOWN, f"sample-{digest}"),)
    return tuple(sorted(found.values(), key=lambda finding: (finding.offset, finding.type)))


def seen_digest(identity: Identity, findings: Sequence[Finding]) -> str:
    """The word a consent must give: it stands for this very disk with exactly these findings; empty when nothing is there."""
    if not findings:
        return ""
    rows = sorted([finding.on, finding.offset, finding.type, finding.uuid] for finding in findings)
    text = json.dumps([identity.serial, identity.wwn, identity.size, rows], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mark_text(identity: Identity, seen: str, findings: Iterable[Finding], partitions: Sequence[tuple[int, int]]) -> bytes:
    """The first bytes of a disk while it is erased. Too many findings are cut off: then a fresh consent is asked for."""
    found = sorted({short_digest(finding) for finding in findings})
    value = {"disk": [identity.serial, identity.wwn, identity.size], "seen": seen, "found": found[:60]}
    text = json.dumps({**value, "parts": [list(part) for part in partitions[:16]]}, separators=(",", ":"))
    return (_MARK_BEGIN + text.encode()).ljust(MARK_SIZE, b"\0")[:MARK_SIZE]


def read_mark(samples: Iterable[Sample]) -> Optional[EraseMark]:
    """The mark of an unfinished erase among samples; None when there is none, or it is damaged."""
    head = next((sample.head for sample in samples if sample.region.offset == 0 and sample.head), b"")
    if not head.startswith(_MARK_BEGIN):
        return None
    try:
        value = json.loads(head[len(_MARK_BEGIN) : MARK_SIZE].rstrip(b"\0"))
        serial, wwn, size = value["disk"]
        parts = tuple((int(start), int(length)) for start, length in value["parts"])
        return EraseMark((str(serial), str(wwn), int(size)), str(value["seen"]), frozenset(map(str, value["found"])), parts)
    except (ValueError, KeyError, TypeError):
        return None


def continues(mark: EraseMark, identity: Identity, findings: Iterable[Finding]) -> bool:
    """Whether a mark is of this very disk, and nothing was put onto it since."""
    fits = mark.disk == (identity.serial, identity.wwn, identity.size)
    return fits and all(finding.type == MARK or short_digest(finding) in mark.found for finding in findings)


def short_digest(finding: Finding) -> str:
    """Stands for one finding in a mark."""
    text = json.dumps([finding.on, finding.offset, finding.type, finding.uuid])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def part_regions(partitions: Iterable[tuple[int, int]], findings: Iterable[Finding] = ()) -> tuple[Region, ...]:
    """What to zero of partitions on the whole disk: ends, label places, and the places of what was found on them."""
    regions = [region for start, size in partitions for region in (*edge_regions(start, size), *label_regions(start, size))]
    for start, size in partitions:
        for finding in findings:
            at = finding.offset // LABEL_SIZE * LABEL_SIZE
            if at + LABEL_SIZE <= size:
                regions.append(Region(start + at, LABEL_SIZE))
    return tuple(dict.fromkeys(regions))


def beyond_mark(regions: Iterable[Region]) -> tuple[Region, ...]:
    """The regions without the bytes of the mark."""
    shifted = [Region(MARK_SIZE, r.size - MARK_SIZE) if r.offset == 0 and r.size > MARK_SIZE else r for r in regions]
    return tuple(region for region in shifted if region.offset >= MARK_SIZE)


def in_words(finding: Finding) -> str:
    """``an ext4 file system at offset 1080 (UUID …)``."""
    nouns = {
        "filesystem": "file system",
        "partition-table": "partition table",
        "raid": "member signature",
        "crypto": "container",
    }
    what = f"{finding.type} {nouns.get(finding.usage, 'signature')}"
    if finding.type == UNKNOWN:
        return f"data without any known signature (first seen at offset {finding.offset})"
    if finding.type == STALE:
        return f"the device-mapper entry {finding.uuid} of a volume group that is gone"
    if finding.type == MARK:
        return "an erase that was begun by this module for something else"
    if finding.type == BLUESTORE:
        what = "BlueStore label"
    article = "an" if what[0].lower() in "aeiox" else "a"
    place = " where a volume or partition is planned" if finding.on == PLANNED else f" of {finding.on}" if finding.on else ""
    uuid = f" (UUID {finding.uuid})" if finding.uuid else ""
    return f"{article} {what} at offset {finding.offset}{place}{uuid}"


def list_in_words(findings: Sequence[Finding], limit: int = 3) -> str:
    """Findings as part of a sentence."""
    told = [in_words(finding) for finding in findings[:limit]]
    if len(findings) > limit:
        told.append(f"{len(findings) - limit} more")
    return " and ".join((", ".join(told[:-1]), told[-1])) if len(told) > 1 else "".join(told)


def merge(parts: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
    """Findings of a disk and of what lies on it, each told where."""
    return tuple(
        Finding(finding.offset, finding.type, finding.uuid, finding.usage, on or finding.on)
        for on, findings in parts.items()
        for finding in findings
    )
