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

from .model import GIB, MIB, PLANNED, SECTOR, Finding, Identity

BLUESTORE = "ceph_bluestore"
UNKNOWN = "unknown-data"
LABEL_OFFSETS = (0, GIB, 10 * GIB, 100 * GIB, 1000 * GIB)
LABEL_SIZE = 4096
_LABEL = re.compile(rb"bluestore block device\n([0-9a-f-]{36})?")
_SPOTS = 64
_SPOT_SIZE = 4096


@dataclass(frozen=True)
class Region:
    """A stretch of a device in bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Sample:
    """What was read of a region: its first bytes, where the first non-zero byte lies (-1: nowhere), and a digest."""

    region: Region
    head: bytes
    first_nonzero: int
    digest: str


def label_regions(start: int, size: int) -> tuple[Region, ...]:
    """Where BlueStore would put its labels on a device or volume that begins at ``start`` and is ``size`` long."""
    return tuple(Region(start + at, LABEL_SIZE) for at in LABEL_OFFSETS if at + LABEL_SIZE <= size)


def edge_regions(start: int, size: int) -> tuple[Region, ...]:
    """The first and the last MiB, where nearly every format keeps its signature."""
    length = min(MIB, size)
    return tuple(dict.fromkeys((Region(start, length), Region(start + size - length, length))))


def spot_regions(size: int) -> tuple[Region, ...]:
    """Evenly spread spots over the disk, to notice data without a signature."""
    step = size // (_SPOTS + 1) // SECTOR * SECTOR
    return tuple(Region(number * step, _SPOT_SIZE) for number in range(1, _SPOTS + 1)) if step > _SPOT_SIZE else ()


def place_regions(places: Iterable[tuple[int, int]]) -> tuple[Region, ...]:
    """The telling parts of places (first byte and length) that volumes will take."""
    found = [region for start, size in places for region in (*edge_regions(start, size), *label_regions(start, size))]
    return tuple(dict.fromkeys(found))


def erase_regions(size: int, places: Iterable[tuple[int, int]] = ()) -> tuple[Region, ...]:
    """Everything to zero on a disk besides the signatures libblkid knows; both GPT copies lie in the edges."""
    return tuple(dict.fromkeys((*place_regions([(0, size)]), *place_regions(places))))


def probe_regions(size: int, places: Iterable[tuple[int, int]] = ()) -> tuple[Region, ...]:
    """Everything to read of a disk."""
    return tuple(dict.fromkeys((*erase_regions(size, places), *spot_regions(size))))


def from_samples(signatures: Sequence[Finding], samples: Sequence[Sample], *, unknown: bool = True) -> tuple[Finding, ...]:
    """All findings of one device: its signatures, the labels among the samples and, if nothing else, unknown data."""
    found = {(finding.offset, finding.type): finding for finding in signatures}
    for sample in samples:
        label = _LABEL.match(sample.head)
        if label:
            at = sample.region.offset
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
    if finding.type == BLUESTORE:
        what = "BlueStore label"
    article = "an" if what[0].lower() in "aeiox" else "a"
    place = " where a volume is planned" if finding.on == PLANNED else f" of {finding.on}" if finding.on else ""
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
