# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices themselves: sysfs, reads of raw bytes, and zeros written under exclusive hold."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence

from .._core.errors import BackendFailed, Conflict
from .._disks import parsers
from .._disks.findings import HEAD_SIZE, LABEL_SIZE, Region, Sample
from .._disks.identity import SysBlock
from .._disks.model import kernel_name
from .._disks.survey import Probe, Tables

_ATTRIBUTES = (
    "serial",
    "wwid",
    "nguid",
    "eui",
    "device/serial",
    "device/wwid",
    "device/model",
    "device/name",
    "device/vpd_pg80",
    "dm/uuid",
    "md/uuid",
)
_SECTOR = 512
_CHUNK = 1 << 20


class BlockDevices:
    """Implements the ``Blocks`` port on the running kernel; the roots can be moved for tests."""

    def __init__(self, sys_block: str = "/sys/block", proc: str = "/proc", lvm: str = "/etc/lvm") -> None:
        self._sys_block = sys_block
        self._proc = proc
        self._lvm = lvm

    def tables(self) -> Tables:
        """The node's name, mounts and swap areas."""
        mountinfo = _text(f"{self._proc}/self/mountinfo")
        swaps = parsers.swaps(_text(f"{self._proc}/swaps"))
        listed = parsers.devices_file(_text(f"{self._lvm}/devices/system.devices"))
        return Tables(os.uname().nodename, parsers.mounts(mountinfo), swaps, listed)

    def inventory(self, knames: Sequence[str]) -> Mapping[str, SysBlock]:
        """Attributes, holders (of the partitions too) and partitions of disks."""
        loops = self._loops()
        return {kname: self._block(kname, loops) for kname in knames}

    def resolve(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Kernel names by following links."""
        return {path: _kernel_name(path) for path in paths}

    def appear(self, path: str) -> bool:
        """Looks for the link until it is there, or ten seconds are over."""
        end = time.monotonic() + 10
        while not _kernel_name(path):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def pause(self) -> None:
        """A moment for udev, which reads partition tables anew."""
        time.sleep(0.2)

    def probe(self, path: str, regions: Sequence[Region]) -> Probe:
        """Reads regions; a device that is held by somebody is read all the same."""
        busy = False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise BackendFailed(f"Could not open {path}: {exc.strerror}.") from exc
            busy = True
            with _attempting(f"open {path}"):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with _attempting(f"read {path}"):
                # What was written through a partition is not in the disk's own cache.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                busy = busy or _is_locked(descriptor)
                return Probe(busy, tuple(_sample(descriptor, region) for region in regions))
        finally:
            os.close(descriptor)

    def zero(self, path: str, regions: Sequence[Region]) -> None:
        """Writes zeros and waits until they are on the disk."""
        with _held_for_writing(path) as descriptor, _attempting(f"erase {path}"):
            for region in regions:
                _write_zeros(descriptor, region)
            os.fsync(descriptor)

    def mark(self, path: str, text: bytes) -> None:
        """Writes the first bytes of a device and waits until they are on it."""
        with _held_for_writing(path) as descriptor, _attempting(f"write to {path}"):
            os.pwrite(descriptor, text, 0)
            os.fsync(descriptor)

    def _loops(self) -> Mapping[str, str]:
        """Loop devices by the kernel name of the device behind them; those of plain files hold no disk."""
        backing = {name: _text(f"{self._sys_block}/{name}/loop/backing_file") for name in _names(self._sys_block)}
        return {kernel_name(path): name for name, path in backing.items() if path.startswith("/dev/")}

    def _block(self, kname: str, loops: Mapping[str, str]) -> SysBlock:
        root = f"{self._sys_block}/{kname}"
        attributes = {name: _text(f"{root}/{name}") for name in _ATTRIBUTES}
        partitions = {
            name: (_number(f"{root}/{name}/start") * _SECTOR, _number(f"{root}/{name}/size") * _SECTOR)
            for name in _names(root)
            if os.path.exists(f"{root}/{name}/partition")
        }
        holders = [*_names(f"{root}/holders"), *(held for part in partitions for held in _names(f"{root}/{part}/holders"))]
        holders += [loops[name] for name in (kname, *partitions) if name in loops]
        mappings = {
            name: (_text(f"{self._sys_block}/{name}/dm/name"), _text(f"{self._sys_block}/{name}/dm/uuid")) for name in holders
        }
        mappings = {name: entry for name, entry in mappings.items() if entry[0]}
        sector = _number(f"{root}/queue/logical_block_size") or _SECTOR
        present = {name: text for name, text in attributes.items() if text}
        numbers = [_text(f"{path}/dev") for path in (root, *(f"{root}/{part}" for part in partitions))]
        read_only = _text(f"{root}/ro") == "1"
        size = _number(f"{root}/size") * _SECTOR
        return SysBlock(present, tuple(holders), partitions, mappings, sector, size, tuple(numbers), read_only)


@contextlib.contextmanager
def _held_for_writing(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.EBUSY:
            raise Conflict(f"{path} is in use; nothing was written to it.") from exc
        raise BackendFailed(f"Could not open {path} for writing: {exc.strerror}.") from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Whether a program holds the exclusive lock that a running OSD keeps. udev's own, taken for a moment, is a shared one."""
    for wait in (0.05, 0.2, 0.5, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            return False
    return True


def _sample(descriptor: int, region: Region) -> Sample:
    first, digest, head, position = -1, hashlib.sha256(), b"", region.offset
    zeros = bytes(min(_CHUNK, region.size))
    end = region.offset + region.size
    while position < end:
        data = os.pread(descriptor, min(_CHUNK, end - position), position)
        if not data:
            break
        head = head or data[: HEAD_SIZE if region.offset == 0 else LABEL_SIZE]
        if data != zeros and data.strip(b"\0"):
            digest.update(b"%d:" % position + data)
            first = position + len(data) - len(data.lstrip(b"\0")) if first < 0 else first
        position += len(data)
    return Sample(region, head, first, digest.hexdigest())


def _write_zeros(descriptor: int, region: Region) -> None:
    position, end = region.offset, region.offset + region.size
    while position < end:
        position += os.pwrite(descriptor, bytes(min(_CHUNK, end - position)), position)


def _kernel_name(path: str) -> str:
    try:
        if not stat.S_ISBLK(os.stat(path).st_mode):
            return ""
    except OSError:
        return ""
    return os.path.realpath(path)[len("/dev/") :].replace("/", "!")


def _text(path: str) -> str:
    """A small file as text (binary pages byte by byte); empty when it is missing or not readable."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("latin-1").strip()
    except OSError:
        return ""


def _number(path: str) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


@contextlib.contextmanager
def _attempting(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise BackendFailed(f"Could not {what}: {exc.strerror}.") from exc
