# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with disks and LVM in memory. It answers in the commands' own JSON and does what their options say, so that the
real parsers and the real command lines are what a test runs through."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._disks.findings import Region, Sample
from ansible_collections.kubestead.platform.plugins.module_utils._disks.identity import SysBlock
from ansible_collections.kubestead.platform.plugins.module_utils._disks.survey import Probe, Tables

from .gpt_bytes import Part, gpt_bytes

GIB = 1 << 30
MIB = 1 << 20
EXTENT = 4 * MIB


class Killed(BaseException):
    """The process was ended here."""


@dataclass
class FakeDisk:
    """``data`` maps offsets to bytes that are not zero; ``signatures`` are rows of wipefs (offset, type, uuid, usage)."""

    size: int = 20 * GIB
    serial: str = ""
    wwid: str = ""
    signatures: list[tuple[int, str, str, str]] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    read_only: bool = False
    removable: bool = False
    held: bool = False
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)
    guid: str = ""
    parts: list[Part] = field(default_factory=list)
    shown: bool = True
    # Whether the kernel goes on showing the partitions of a table that is erased, and those that it shows so.
    clings: bool = False
    stale: list[Part] = field(default_factory=list)

    def lay_table(self) -> None:
        """The bytes and signatures of the partition table."""
        self.data[0] = gpt_bytes(self.size, self.guid, self.parts)
        ends = [(510, "PMBR", "", "partition-table"), (512, "gpt", "", "partition-table")]
        self.signatures = [*ends, (self.size - 512, "gpt", "", "partition-table")]
        self.data[self.size - 512] = b"EFI PART"


@dataclass
class FakeGroup:
    uuid: str
    paths: list[str]
    tags: set[str]
    volumes: dict[str, tuple[list[tuple[str, int, int]], set[str]]] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    missing: int = 0


class FakeNode:
    """Implements the ports ``Commands`` and ``Blocks``. ``written`` lists what was changed, in order, ``processes``
    the commands that were started.

    ``before_write`` is called with the number and the words of each change before it happens, and may raise.
    """

    def __init__(self, disks: Mapping[str, FakeDisk], hostname: str = "node1") -> None:
        self.disks = dict(disks)
        self.hostname = hostname
        self.physical: dict[str, str] = {}
        self.groups: dict[str, FakeGroup] = {}
        self.inside: dict[str, list[tuple[int, str, str, str]]] = {}
        self.written: list[tuple[str, ...]] = []
        self.reports = 0
        self.processes: list[str] = []
        self.has_shell = True
        self._script = ""
        self.listed: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.before_write: Optional[Callable[[int, tuple[str, ...]], None]] = None
        self.after_write: Optional[Callable[[int, tuple[str, ...]], None]] = None

    # Commands

    def report(self, name: str) -> str:
        self.reports += 1
        self.processes.append(name)
        rows: dict[str, Callable[[], Any]] = {"lsblk": self._lsblk, "vgs": self._vgs, "lvs": self._lvs, "fullreport": self._all}
        return json.dumps(rows[name]())

    def signatures(self, paths: Sequence[str]) -> str:
        self.processes.append("wipefs")
        rows = [
            {"device": path.rsplit("/", 1)[-1], "offset": hex(offset), "type": kind, "uuid": uuid or None, "usage": usage}
            for path in paths
            for offset, kind, uuid, usage in self._signatures_on(path)
        ]
        return json.dumps({"signatures": rows})

    def write(self, argv: Sequence[str], script: str = "") -> None:
        self.processes.append(argv[0])
        self._write(argv, script)

    def _write(self, argv: Sequence[str], script: str = "") -> None:
        self._note(tuple(argv))
        self._script = script
        words = {"wipefs": self._wipefs, "pvcreate": self._pvcreate, "vgcreate": self._vgcreate, "vgextend": self._vgextend}
        more = {"vgchange": self._vgchange, "lvremove": self._lvremove, "lvextend": self._lvextend, "pvresize": self._pvresize}
        other = {"dmsetup": self._dmsetup, "lvm": self._lvmdevices, "blkdiscard": self._blkdiscard}
        table = {"sfdisk": self._sfdisk, "partx": self._partx}
        every = {**words, **more, **other, **table, "lvcreate": self._lvcreate, "lvchange": self._lvchange}
        every[argv[0]](list(argv[1:]))
        if self.after_write:
            self.after_write(len(self.written), tuple(argv))

    def write_all(self, lines: Sequence[Sequence[str]]) -> None:
        self.processes.append("lvm")
        for words in lines if self.has_shell else ():
            with contextlib.suppress(BackendFailed):
                self._write(words)

    def settle(self) -> None:
        """Here everything has its name at once."""

    # Blocks

    def tables(self) -> Tables:
        mounts = {f"98:{number}": disk.mounts for number, disk in enumerate(self.disks.values()) if disk.mounts}
        return Tables(self.hostname, mounts, (), frozenset(self.listed))

    def inventory(self, knames: Sequence[str]) -> Mapping[str, SysBlock]:
        numbers = {kname: f"98:{number}" for number, kname in enumerate(self.disks)}
        return {
            kname: SysBlock(
                {"serial": self.disks[kname].serial, "wwid": self.disks[kname].wwid},
                (*self._mapped(kname), *self.disks[kname].mappings, *(("dm-9",) if self.disks[kname].held else ())),
                partitions=self._partitions(kname),
                mappings={
                    **{name: (name, f"LVM-{self._group_of(name)}") for name in self._mapped(kname)},
                    **self.disks[kname].mappings,
                },
                size=self.disks[kname].size,
                numbers=(numbers[kname],),
                read_only=self.disks[kname].read_only,
            )
            for kname in knames
            if kname in self.disks
        }

    def resolve(self, paths: Sequence[str]) -> Mapping[str, str]:
        links = {
            f"/dev/disk/by-partuuid/{guid}": f"{kname}{number}"
            for kname, disk in self.disks.items()
            for number, (_start, _size, guid, _name) in enumerate(disk.parts if disk.shown else (), 1)
        }
        links.update((f"/dev/mapper/{mapped}", mapped) for kname in self.disks for mapped in self._mapped(kname))
        return {path: links.get(path, "") or (path[5:] if path[5:] in self.disks else "") for path in paths}

    def pause(self) -> None:
        """Here nothing happens by itself."""

    def appear(self, path: str) -> bool:
        return bool(self.resolve([path])[path])

    def probe(self, path: str, regions: Sequence[Region]) -> Probe:
        disk, base = self._located(path)
        if disk is None:
            return Probe(False, tuple(Sample(region, b"", -1, "") for region in regions))
        busy = bool(disk.mounts or disk.held or self._mapped(path[5:]) or disk.mappings)
        return Probe(busy, tuple(_sample(disk, region, base) for region in regions))

    def _located(self, path: str) -> tuple[Optional[FakeDisk], int]:
        """The disk behind a path, and where on it the path begins (of a volume, where its first segment does)."""
        for name, group in self.groups.items():
            for volume, (runs, _extents) in group.volumes.items():
                if path == f"/dev/mapper/{name}-{volume}" and volume not in group.inactive:
                    return self.disks[runs[0][0][5:]], MIB + runs[0][1] * EXTENT
        for kname, disk in self.disks.items():
            for name, (start, _size) in self._partitions(kname).items():
                if path == f"/dev/{name}":
                    return disk, start
        return self.disks.get(path[5:]), 0

    def _partitions(self, kname: str) -> dict[str, tuple[int, int]]:
        disk = self.disks[kname]
        parts = (disk.parts if disk.shown else []) or disk.stale
        return {f"{kname}{number}": (part[0], part[1]) for number, part in enumerate(parts, 1) if part[1]}

    def zero(self, path: str, regions: Sequence[Region]) -> None:
        disk = self._held_for_writing(path)
        self._note(("zero", path))
        for region in regions if disk else ():
            for offset in [at for at in disk.data if region.offset <= at < region.offset + region.size]:
                del disk.data[offset]
        if self.after_write:
            self.after_write(len(self.written), ("zero", path))

    def mark(self, path: str, text: bytes) -> None:
        disk = self._held_for_writing(path)
        self._note(("mark", path))
        disk.signatures = [row for row in disk.signatures if row[0] >= len(text)]
        self._forget(path)
        disk.data = {0: text, **{at: data for at, data in disk.data.items() if at >= len(text)}}
        disk.guid = ""
        if self.after_write:
            self.after_write(len(self.written), ("mark", path))

    def _held_for_writing(self, path: str) -> Any:
        disk = self.disks.get(path[5:])
        if disk is not None and (disk.mounts or disk.held or self._mapped(path[5:]) or disk.mappings):
            raise Conflict(f"{path} is in use; nothing was written to it.")
        return disk

    def _forget(self, path: str) -> None:
        """LVM's label is gone: the group loses the disk, and ends with its last one."""
        self.physical.pop(path, None)
        for name, group in list(self.groups.items()):
            if path in group.paths:
                group.paths.remove(path)
                group.missing += 1
            if not group.paths:
                del self.groups[name]

    # what the tests look at

    def state(self) -> dict[str, Any]:
        """Everything that a run may change, without the groups' random parts."""
        return {
            "physical": dict(self.physical),
            "groups": {name: (sorted(group.paths), sorted(group.tags)) for name, group in self.groups.items()},
            "volumes": {
                f"{name}/{volume}": (runs, sorted(tags))
                for name, group in self.groups.items()
                for volume, (runs, tags) in group.volumes.items()
            },
        }

    def _note(self, words: tuple[str, ...]) -> None:
        if self.before_write:
            self.before_write(len(self.written), words)
        self.written.append(words)

    def _signatures_on(self, path: str) -> list[tuple[int, str, str, str]]:
        if path.startswith("/dev/mapper/"):
            assert not any(path == f"/dev/mapper/{g}-{lv}" for g, group in self.groups.items() for lv in group.inactive)
            return self.inside.get(path.rsplit("/", 1)[-1], [])
        if path[5:] not in self.disks:
            return self.inside.get(path[5:], [])
        rows = list(self.disks[path[5:]].signatures)
        if path in self.physical:
            rows.append((536, "LVM2_member", self.physical[path], "raid"))
        return rows

    def _wipefs(self, args: list[str]) -> None:
        assert args[0] == "--all"
        if args[1].startswith("/dev/mapper/"):
            self.inside.pop(args[1].rsplit("/", 1)[-1], None)
            return
        if any(args[1] in group.paths for group in self.groups.values()):
            raise BackendFailed(f"{args[1]} is busy")
        self.disks[args[1][5:]].signatures.clear()
        disk = self.disks[args[1][5:]]
        disk.stale = list(disk.parts) if disk.clings else []
        disk.parts.clear()
        self.physical.pop(args[1], None)

    def _sfdisk(self, args: list[str]) -> None:
        disk, new = self.disks[args[-1][5:]], "label: gpt" in self._script
        assert new != ("--append" in args)
        if new:
            assert not disk.signatures
            assert not disk.mounts
            assert not disk.held
            disk.guid, disk.parts = _word(self._script, "label-id: ").lower(), []
        for line in self._script.splitlines():
            if line.startswith("start="):
                start, size = (int(_word(line, word)) * 512 for word in ("start=", "size="))
                assert start % MIB == 0
                assert all(start + size <= other or start >= other + length for other, length, _g, _n in disk.parts)
                disk.parts.append((start, size, _word(line, "uuid=").lower(), _word(line, 'name="')))
        disk.lay_table()

    def _partx(self, args: list[str]) -> None:
        disk = self.disks[args[1][5:]]
        if args[0] == "--delete":
            assert not disk.parts
            disk.stale.clear()
            return
        assert args[0] == "--update"
        disk.shown = True

    def _vgchange(self, args: list[str]) -> None:
        new, rest = _tags(args, "--addtag")
        group = self.groups[rest[-1]]
        group.tags.update(new)
        if rest[:2] == ["--activate", "y"]:
            group.inactive.clear()
        if rest[:2] == ["--activate", "n"]:
            if any(self.disks[path[5:]].mounts for path in group.paths):
                raise BackendFailed(f"{rest[-1]} has open volumes")
            group.inactive.update(group.volumes)

    def _lvremove(self, args: list[str]) -> None:
        for full in args:
            group, _slash, name = full.partition("/")
            assert name in self.groups[group].inactive
            del self.groups[group].volumes[name]

    def _lvextend(self, args: list[str]) -> None:
        group, _slash, name = args[2].partition("/")
        runs, tags = self.groups[group].volumes.pop(name)
        more = ["--name", "more", "--extents", args[1].lstrip("+"), group, *args[3:]]
        self._lvcreate(more)
        self.groups[group].volumes[name] = ([*runs, *self.groups[group].volumes.pop("more")[0]], tags)

    def _pvresize(self, args: list[str]) -> None:
        self.sizes[args[0]] = self.disks[args[0][5:]].size

    def _dmsetup(self, args: list[str]) -> None:
        assert args[0] == "remove"
        for disk in self.disks.values():
            disk.mappings = {kname: entry for kname, entry in disk.mappings.items() if entry[0] != args[1]}

    def _lvmdevices(self, args: list[str]) -> None:
        assert args[:2] == ["lvmdevices", "--delpvid"]
        self.listed.discard(args[2])

    def _blkdiscard(self, args: list[str]) -> None:
        self.disks[args[0][5:]].data.clear()

    def _pvcreate(self, args: list[str]) -> None:
        path, uuid = args[-1], args[args.index("--uuid") + 1]
        if self.disks[path[5:]].signatures or path in self.physical:
            raise BackendFailed("signature detected")
        self.physical[path] = uuid
        self.sizes[path] = self.disks[path[5:]].size

    def _vgcreate(self, args: list[str]) -> None:
        tags, rest = _tags(args, "--addtag")
        assert rest[:2] == ["--physicalextentsize", "4m"]
        name, paths = rest[2], rest[3:]
        assert all(path in self.physical for path in paths)
        self.groups[name] = FakeGroup(_uuid(name), paths, set(tags))

    def _vgextend(self, args: list[str]) -> None:
        assert all(path in self.physical for path in args[1:])
        self.groups[args[0]].paths += args[1:]

    def _lvcreate(self, args: list[str]) -> None:
        tags, rest = _tags(args, "--addtag")
        name, extents = rest[rest.index("--name") + 1], int(rest[rest.index("--extents") + 1])
        group, *where = rest[rest.index("--extents") + 2 :]
        runs = []
        for word in where:
            path, _colon, span = word.partition(":")
            first, last = (int(number) for number in span.split("-"))
            assert path in self.groups[group].paths
            runs.append((path, first, last - first + 1))
        assert sum(run[2] for run in runs) == extents
        taken = {(p, e) for other, _tags_ in self.groups[group].volumes.values() for p, s, c in other for e in range(s, s + c)}
        wanted = {(p, e) for p, s, c in runs for e in range(s, s + c)}
        if taken & wanted or any(e >= self._extents(p) for p, e in wanted):
            raise BackendFailed("extents are not free")
        self.groups[group].volumes[name] = (runs, set(tags))
        if "--activate" in rest:
            self.groups[group].inactive.add(name)

    def _lvchange(self, args: list[str]) -> None:
        gone, rest = _tags(args, "--deltag")
        new, volumes = _tags(rest, "--addtag")
        if volumes[:2] == ["--activate", "y"]:
            for full in volumes[2:]:
                group, _slash, name = full.partition("/")
                self.groups[group].inactive.discard(name)
            return
        for full in volumes:
            group, _slash, name = full.partition("/")
            self.groups[group].volumes[name][1].difference_update(gone)
            self.groups[group].volumes[name][1].update(new)

    def _extents(self, path: str) -> int:
        return (self.sizes.get(path, self.disks[path[5:]].size) - MIB) // EXTENT

    def _group_of(self, mapping: str) -> str:
        return next(g.uuid for name, g in self.groups.items() if mapping in {f"{name}-{lv}" for lv in g.volumes})

    def _mapped(self, kname: str) -> list[str]:
        return [
            f"{name}-{volume}"
            for name, group in self.groups.items()
            for volume, (runs, _tags_) in group.volumes.items()
            if volume not in group.inactive and any(run[0] == f"/dev/{kname}" for run in runs)
        ]

    def _lsblk(self) -> dict[str, Any]:
        return {
            "blockdevices": [
                {
                    "name": kname,
                    "kname": kname,
                    "type": "disk",
                    "size": disk.size,
                    "ro": disk.read_only,
                    "rm": disk.removable,
                    "rota": False,
                    "mountpoint": disk.mounts[0] if disk.mounts else None,
                    "maj:min": f"98:{number}",
                    "children": [
                        *({"name": name, "kname": name, "type": "lvm", "size": 1} for name in self._mapped(kname)),
                        *({"name": name, "kname": name, "type": "part", "size": 1} for name in self._partitions(kname)),
                    ],
                }
                for number, (kname, disk) in enumerate(self.disks.items())
            ]
        }

    def _all(self) -> dict[str, Any]:
        return {"report": [*self._pvs()["report"], *self._vgs()["report"], *self._lvs()["report"]]}

    def _pvs(self) -> dict[str, Any]:
        rows = []
        for path, uuid in self.physical.items():
            name = next((name for name, group in self.groups.items() if path in group.paths), "")
            head = {"pv_name": path, "pv_uuid": uuid, "vg_name": name, "vg_uuid": self.groups[name].uuid if name else ""}
            head["pv_pe_count"] = str(self._extents(path) if name else 0)
            spans = []
            if name:
                spans = [
                    (s, c, lv, sum(run[2] for run in runs[:number]))
                    for lv, (runs, _t) in self.groups[name].volumes.items()
                    for number, (p, s, c) in enumerate(runs)
                    if p == path
                ]
                spans += _gaps(spans, self._extents(path))
            rows += [
                {**head, "pvseg_start": str(start), "pvseg_size": str(count), "lv_name": volume, "seg_start_pe": str(first)}
                for start, count, volume, first in sorted(spans) or [(0, 0, "", 0)]
            ]
        return {"report": [{"pvseg": rows}]}

    def _vgs(self) -> dict[str, Any]:
        rows = [
            {
                "vg_name": name,
                "vg_uuid": group.uuid,
                "vg_tags": ",".join(sorted(group.tags)),
                "vg_extent_size": str(EXTENT),
                "vg_extent_count": str(sum(self._extents(path) for path in group.paths)),
                "vg_missing_pv_count": str(group.missing),
            }
            for name, group in self.groups.items()
        ]
        return {"report": [{"vg": rows}]}

    def _lvs(self) -> dict[str, Any]:
        rows = [
            {
                "vg_name": name,
                "vg_uuid": group.uuid,
                "lv_name": volume,
                "lv_size": str(sum(count for _p, _s, count in runs) * EXTENT),
                "lv_tags": ",".join(sorted(tags)),
                "lv_attr": "-wi-------" if volume in group.inactive else "-wi-a-----",
            }
            for name, group in self.groups.items()
            for volume, (runs, tags) in group.volumes.items()
        ]
        return {"report": [{"lv": rows}]}


def _uuid(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _sample(disk: FakeDisk, region: Region, base: int = 0) -> Sample:
    begin = base + region.offset
    written = {**{row[0]: b"\x01" for row in disk.signatures}, **disk.data}
    inside = {at: data for at, data in written.items() if begin <= at < begin + region.size}
    first = min(inside, default=-1)
    return Sample(region, inside.get(begin, b""), first, repr(sorted(inside.items())))


def _word(text: str, after: str) -> str:
    """What follows a word, up to the next separator."""
    return re.split(r'[",\n]', text.partition(after)[2], maxsplit=1)[0].strip()


def _tags(args: list[str], option: str) -> tuple[list[str], list[str]]:
    places = [number for number, word in enumerate(args) if word == option]
    rest = [word for number, word in enumerate(args) if number not in places and number - 1 not in places]
    return [args[number + 1] for number in places], rest


def _gaps(spans: Sequence[tuple[int, int, str, int]], extents: int) -> list[tuple[int, int, str, int]]:
    gaps, at = [], 0
    for start, count, _volume, _first in sorted(spans):
        if start > at:
            gaps.append((at, start - at, "", 0))
        at = start + count
    return [*gaps, (at, extents - at, "", 0)] if at < extents else gaps
