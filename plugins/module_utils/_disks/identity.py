# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk is which: serial numbers and WWNs from the kernel, and the one device that a caller's words mean.

udev's and lsblk's answers are a cache; the values here come from sysfs and the drive's own pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from .._core.errors import CollError, Refused
from .._core.units import human_bytes
from .model import SECTOR, Device, Identity, Node

_PLACEHOLDERS = frozenset(
    {
        "(null)",
        "null",
        "none",
        "n/a",
        "na",
        "unknown",
        "default string",
        "to be filled by o.e.m.",
        "0123456789abcdef",
        "123456789",
        "1234567890",
    }
)
_BY_ID = "/dev/disk/by-id/"


@dataclass(frozen=True)
class SysBlock:
    """What sysfs says about a block device: small files by their path below it, and the partitions' places in bytes.

    ``mappings`` are name and UUID of the device-mapper entries among the holders, by kernel name; ``sector`` is the size of a
    logical sector, ``numbers`` are the device numbers of the disk and its partitions.
    """

    attributes: Mapping[str, str] = field(default_factory=dict)
    holders: tuple[str, ...] = ()
    partitions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    mappings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    sector: int = SECTOR
    size: int = 0
    numbers: tuple[str, ...] = ()
    read_only: bool = False


@dataclass(frozen=True)
class Criteria:
    """Properties a disk must have; ``None`` and empty ones are not asked for."""

    serial: str = ""
    wwn: str = ""
    model: str = ""
    min_size: int = 0
    max_size: int = 0
    rotational: object = None

    @property
    def tells_disks_apart(self) -> bool:
        """Whether these criteria can name one single disk of the world."""
        return bool(self.serial or self.wwn)


def identity_of(block: SysBlock, size: int) -> Identity:
    """The identity from sysfs. An NVMe namespace's own id is its WWN; its serial is that of the controller."""
    texts = block.attributes
    page80 = texts.get("device/vpd_pg80", "")[4:]
    serial = _first_usable(texts.get("serial", ""), page80, texts.get("device/serial", ""))
    wwn = _first_usable(texts.get("wwid", ""), texts.get("nguid", ""), texts.get("eui", ""), texts.get("device/wwid", ""))
    model = _first_usable(texts.get("device/model", ""), texts.get("device/name", ""))
    return Identity(serial=serial, wwn=wwn, model=model, size=size)


def identity_above(block: SysBlock, size: int, legs: Iterable[Identity]) -> Identity:
    """The identity of a multipath device (that of the disk it leads to) or of an md array (its own UUID)."""
    known = set(legs)
    array = block.attributes.get("md/uuid", "")
    if array:
        return Identity(wwn=f"md.{array}", size=size)
    uuid = block.attributes.get("dm/uuid", "")
    if not uuid.startswith("mpath-"):
        return Identity(size=size)
    if len({(leg.serial, leg.wwn) for leg in known}) == 1 and next(iter(known)).known:
        leg = next(iter(known))
        return Identity(leg.serial, leg.wwn, leg.model, size)
    return Identity(wwn=uuid[len("mpath-") :], size=size)


def is_usable(value: str) -> bool:
    """Whether a serial or WWN is more than a placeholder of the vendor's."""
    text = value.strip().casefold()
    bare = text.partition(".")[2] if text[:4] in ("naa.", "eui.") else text
    letters = set(bare.replace("-", "").replace(" ", ""))
    return len(letters) > 1 and text not in _PLACEHOLDERS


def mismatches(device: Device, wanted: Criteria) -> list[str]:
    """What speaks against this device, in words; empty when everything fits."""
    identity = _closest(device, wanted)
    wrong = []
    for name, want, have in (
        ("serial", wanted.serial, identity.serial),
        ("wwn", _bare_wwn(wanted.wwn), _bare_wwn(identity.wwn)),
        ("model", wanted.model, identity.model),
    ):
        if want and want != have:
            wrong.append(f"{name} is {have or 'unknown'}, not {want}")
    if wanted.min_size and identity.size < wanted.min_size:
        wrong.append(f"size is {human_bytes(identity.size)}, less than {human_bytes(wanted.min_size)}")
    if wanted.max_size and identity.size > wanted.max_size:
        wrong.append(f"size is {human_bytes(identity.size)}, more than {human_bytes(wanted.max_size)}")
    if wanted.rotational is not None and device.rotational is not bool(wanted.rotational):
        wrong.append(f"rotational is {device.rotational}, not {wanted.rotational}")
    return wrong


def _closest(device: Device, wanted: Criteria) -> Identity:
    """The identity to compare with: the device's own, or that of the leg below it that is named."""
    named = [
        leg.identity
        for leg in device.legs
        if (wanted.serial and wanted.serial == leg.identity.serial)
        or (wanted.wwn and _bare_wwn(wanted.wwn) == _bare_wwn(leg.identity.wwn))
    ]
    return replace(named[0], size=device.identity.size) if named else device.identity


def resolve(disk_id: str, path: str, match: Criteria, node: Node) -> Device:
    """The one device that is meant; raises Refused with the candidates when it is none or several."""
    if path:
        return _by_path(disk_id, path, node)
    fitting = [device for device in node.devices.values() if not mismatches(device, match)]
    if len(fitting) == 1:
        return fitting[0]
    candidates = [describe(device) for device in (fitting or node.devices.values())]
    found = "no disk of this node fits its match" if not fitting else f"its match fits {len(fitting)} disks"
    raise Refused(
        f"disk {disk_id}: {found}.",
        hint=f"{'The fitting disks are' if fitting else 'The disks of the node are'}: {'; '.join(candidates) or 'none'}.",
        candidates=candidates,
    )


def identity_problem(disk_id: str, device: Device, path: str, expect: Criteria, node: Node) -> Optional[CollError]:
    """Why this device must not be written to although it was found; None when it is surely the one meant."""
    told = f"disk {disk_id} ({describe(device)})"
    wrong = mismatches(device, expect)
    if wrong:
        return Refused(f"{told} is not the expected one: {', '.join(wrong)}.", hint="Correct expect, or the device it names.")
    problem = weak_identity(device, node.devices.values())
    if problem:
        return Refused(f"{told} {problem}.", hint="Only a disk that can be told from every other one is written to.")
    if path and not path.startswith(_BY_ID) and not expect.tells_disks_apart:
        own = f"serial: {device.identity.serial}" if device.identity.serial else f"wwn: {device.identity.wwn}"
        return Refused(
            f"{told} is named by {path}, a name that can move to another disk at the next boot.",
            hint=f"Add `expect: {{{own}}}` to the disk, or name it by match or by /dev/disk/by-id.",
        )
    return None


def weak_identity(device: Device, others: Iterable[Device]) -> str:
    """Why a disk cannot be told from others, in words; empty when it can."""
    mine = device.identity
    if not mine.known:
        return "has no usable serial number or WWN"
    twins = [
        o.kname for o in others if o.kname != device.kname and (o.identity.serial, o.identity.wwn) == (mine.serial, mine.wwn)
    ]
    return f"shares its serial number and WWN with {', '.join(sorted(twins))}" if twins else ""


def describe(device: Device) -> str:
    """A disk in brackets of a sentence: ``serial NODE1D1, /dev/ubdb``."""
    identity = device.identity
    name = f"serial {identity.serial}" if identity.serial else f"WWN {identity.wwn}" if identity.wwn else "no serial"
    return f"{name}, {device.path}"


def _by_path(disk_id: str, path: str, node: Node) -> Device:
    kname = node.resolved.get(path, "")
    above = [device for device in node.devices.values() if kname in {device.kname, *(leg.kname for leg in device.legs)}]
    if kname and above:
        return above[0]
    what = f"{path} is no block device of this node" if not kname else f"{path} ({kname}) is not a whole disk"
    candidates = [describe(device) for device in node.devices.values()]
    raise Refused(
        f"disk {disk_id}: {what}.", hint=f"The disks of the node are: {'; '.join(candidates)}.", candidates=candidates
    )


def _first_usable(*values: str) -> str:
    cleaned = (" ".join(value.replace("\0", " ").split()) for value in values)
    return next((value for value in cleaned if is_usable(value)), "")


def _bare_wwn(text: str) -> str:
    lowered = text.strip().casefold()
    for prefix in ("naa.", "eui.", "0x"):
        if lowered.startswith(prefix):
            return lowered[len(prefix) :]
    return lowered
