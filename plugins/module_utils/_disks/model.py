# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a node's disks and of the LVM on them, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECTOR = 512
MIB = 1 << 20
GIB = 1 << 30

# What a disk may be judged to be.
BLANK = "blank"
OURS = "ours"
INCOMPLETE = "ours-incomplete"
IN_USE = "in-use"
FOREIGN = "foreign"
UNKNOWN_DATA = "unknown-data"
UNSUITABLE = "unsuitable"

# What stands in place of a mount point where swap is used.
SWAP = "[SWAP]"

# lsblk's word for the device above the paths to one disk.
MULTIPATH = "mpath"

# Where a finding lies when it is in a place of a disk of ours that a volume will take.
PLANNED = "planned"

# Mount points that make a disk the one the node runs from.
ROOT_MOUNTS = frozenset({"/", "/boot", "/boot/efi", "/efi", "/usr"})


@dataclass(frozen=True)
class Identity:
    """What makes a disk this very disk. Empty strings where the hardware says nothing usable."""

    serial: str = ""
    wwn: str = ""
    model: str = ""
    size: int = 0

    @property
    def known(self) -> bool:
        """Whether the disk can be told from another one at all."""
        return bool(self.serial or self.wwn)


@dataclass(frozen=True)
class Partition:
    """A partition the kernel knows; ``start`` and ``size`` in bytes."""

    kname: str
    start: int
    size: int


@dataclass(frozen=True)
class Entry:
    """A line of a GUID partition table; ``start`` and ``size`` in bytes."""

    number: int
    start: int
    size: int
    guid: str
    name: str


@dataclass(frozen=True)
class Table:
    """A GUID partition table whose checksums are right. ``end`` is the first byte behind the room for partitions."""

    guid: str
    sector: int
    end: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Leg:
    """A disk below a multipath device or an md array: it is never used by itself."""

    kname: str
    identity: Identity


@dataclass(frozen=True)
class Mapper:
    """A device-mapper entry on a disk: its name and the UUID that tells who made it."""

    kname: str
    name: str
    uuid: str


@dataclass(frozen=True)
class Device:
    """A whole disk as the kernel shows it. ``mounts`` and ``holders`` include those of everything built on it.

    ``stale`` are mappings of volume groups that are gone; they are not among the ``holders``.
    """

    kname: str
    identity: Identity
    read_only: bool = False
    removable: bool = False
    rotational: bool = False
    partitions: tuple[Partition, ...] = ()
    holders: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    busy: bool = False
    kind: str = "disk"
    name: str = ""
    legs: tuple[Leg, ...] = ()
    mappings: tuple[Mapper, ...] = ()
    stale: tuple[Mapper, ...] = ()
    sector: int = SECTOR

    @property
    def path(self) -> str:
        """The device node; kernel names write ``!`` for ``/``. A multipath device is named by what survives a reboot."""
        return f"/dev/mapper/{self.name}" if self.kind == MULTIPATH else device_path(self.kname)

    @property
    def is_array(self) -> bool:
        """Whether this is an md array that spreads or repeats data. Rook takes none but ``linear``."""
        return self.kind.startswith("raid")

    @property
    def is_root(self) -> bool:
        """Whether the node runs from this disk."""
        return bool(ROOT_MOUNTS.intersection(self.mounts))


@dataclass(frozen=True)
class Finding:
    """Something that lies on a disk. ``offset`` in bytes, counted from the begin of ``on``.

    ``on`` is empty for the disk itself, else a partition's kernel name, ``group/volume``, or ``PLANNED`` with the offset
    counted on the disk.
    """

    offset: int
    type: str
    uuid: str = ""
    usage: str = ""
    on: str = ""

    def as_dict(self) -> dict[str, object]:
        """As it appears in a result."""
        shown: dict[str, object] = {"offset": self.offset, "type": self.type, "uuid": self.uuid}
        return {**shown, "on": self.on} if self.on else shown


@dataclass(frozen=True)
class Segment:
    """A run of extents on a physical volume; ``volume`` is empty where they are free, ``first`` where in it they begin."""

    start: int
    count: int
    volume: str = ""
    first: int = 0


@dataclass(frozen=True)
class PhysicalVolume:
    """A physical volume; ``group`` is empty while it belongs to none."""

    path: str
    uuid: str
    group: str
    group_uuid: str
    extents: int
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class VolumeGroup:
    """A volume group."""

    name: str
    uuid: str
    tags: frozenset[str]
    extent_size: int
    extents: int
    missing_disks: int = 0


@dataclass(frozen=True)
class LogicalVolume:
    """A logical volume; ``size`` in bytes."""

    group: str
    name: str
    size: int
    tags: frozenset[str]
    group_uuid: str = ""
    active: bool = True

    @property
    def full_name(self) -> str:
        """``group/volume``, as LVM writes it."""
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class EraseMark:
    """What an erase writes first onto its disk, so that a run that was ended is continued with the consent it had.

    ``found`` are short digests of what was on the disk then: anything else means that somebody used the disk since.
    """

    disk: tuple[str, str, int]
    seen: str
    found: frozenset[str]
    partitions: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Node:
    """Everything one look at a node found.

    ``findings``, ``marks`` and ``tables`` are keyed by the kernel name of the disk; ``resolved`` maps the paths the caller named to
    kernel names (empty when nothing is there). ``listed`` are the PVIDs in LVM's devices file. ``deep``: all volumes of
    ours were looked into, not the new ones alone. ``removing``: no volume is planned.
    """

    hostname: str
    devices: Mapping[str, Device]
    physical: tuple[PhysicalVolume, ...] = ()
    groups: Mapping[str, VolumeGroup] = field(default_factory=dict)
    volumes: Mapping[str, LogicalVolume] = field(default_factory=dict)
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    resolved: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, EraseMark] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    deep: bool = False
    removing: bool = False

    def physical_on(self, kname: str) -> tuple[PhysicalVolume, ...]:
        """The physical volumes on a disk (normally one)."""
        return tuple(pv for pv in self.physical if self.resolved.get(pv.path, kernel_name(pv.path)) == kname)

    def volumes_of(self, group: str) -> tuple[LogicalVolume, ...]:
        """The volumes of a group."""
        return tuple(volume for volume in self.volumes.values() if volume.group == group)


def device_path(kname: str) -> str:
    """``/dev/…`` of a kernel name."""
    return "/dev/" + kname.replace("!", "/")


def kernel_name(path: str) -> str:
    """The kernel name of a plain ``/dev/…`` path."""
    return path[len("/dev/") :].replace("/", "!") if path.startswith("/dev/") else path
