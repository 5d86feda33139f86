# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How ownership is written into LVM, so that a later run knows its own work and takes nobody else's.

A physical volume can't carry a tag before it is in a group. Its UUID is therefore derived from the node and the disk's
identity: a cloned or moved disk doesn't fit its own UUID, and one left by a killed run does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from .model import Device, LogicalVolume, PhysicalVolume, VolumeGroup

OWNER = "kubestead.owner=platform"
NEW = "kubestead.new"
_NODE = "kubestead.node="
_GROUP = "kubestead.vg="
_SIZE = "kubestead.size="
_CLASS = "kubestead.class="
_WIPE = "kubestead.wipe="
_ABSENT = "kubestead.absent="
_DB_FOR = "kubestead.db-for="
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UUID_PARTS = (6, 4, 4, 4, 4, 4, 6)
_ENCODED = re.compile(r"(?:\+[0-9a-f]{2})+")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.\-/=!:#&]")


def encode(value: str) -> str:
    """A tag value: LVM allows neither ``%`` nor spaces nor commas. A percent sign is spelled out, the rest is ``+hex``."""
    return _NOT_ALLOWED.sub(lambda match: "".join(f"+{byte:02x}" for byte in match.group().encode()), value.replace("%", "pct"))


def physical_uuid(node: str, device: Device) -> str:
    """The UUID that a physical volume of ours has on this disk of this node."""
    identity = device.identity
    text = "\0".join((OWNER, node, identity.serial, identity.wwn))
    number = int.from_bytes(hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest(), "big")
    letters = []
    for _position in range(sum(_UUID_PARTS)):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    parts, start = [], 0
    for length in _UUID_PARTS:
        parts.append("".join(letters[start : start + length]))
        start += length
    return "-".join(parts)


def group_tags(node: str) -> tuple[str, ...]:
    """The tags of a volume group of ours."""
    return OWNER, _NODE + encode(node)


def volume_tags(
    node: str,
    group_uuid: str,
    rule: str,
    device_class: str,
    db_for: str = "",
    consents: Iterable[str] = (),
    *,
    new: bool = True,
) -> tuple[str, ...]:
    """The tags of a volume of ours. ``NEW`` and the consents are taken off once it was looked into."""
    tags = (*group_tags(node), _GROUP + group_uuid, _SIZE + encode(rule), *((NEW,) if new else ()))
    tags = (*tags, _CLASS + encode(device_class)) if device_class else tags
    tags = (*tags, _DB_FOR + encode(db_for)) if db_for else tags
    return (*tags, *map(wipe_tag, consents))


def wipe_tag(seen: str) -> str:
    """Remembers the consent under which leftovers inside a new volume are erased."""
    return _WIPE + encode(seen)


def wipe_tags(volume: LogicalVolume) -> frozenset[str]:
    """The consents remembered with a new volume."""
    return frozenset(tag for tag in volume.tags if tag.startswith(_WIPE))


def absent_tag(seen: str) -> str:
    """Remembers with a group the consent under which a disk of it is being removed."""
    return _ABSENT + encode(seen)


def size_tag(rule: str) -> str:
    """The tag that keeps the rule of a volume's size, given as text or encoded."""
    return _SIZE + encode(rule)


def db_for(volume: LogicalVolume) -> str:
    """The volume whose database this one holds; empty for a volume that holds data."""
    text = _value(volume.tags, _DB_FOR)
    return _ENCODED.sub(lambda match: bytes.fromhex(match.group().replace("+", "")).decode("utf-8", "replace"), text)


def ceph_osd(volume: LogicalVolume) -> tuple[str, str, str]:
    """OSD number, OSD fsid and cluster fsid that ceph-volume wrote into a volume's tags; empty when it did not."""
    number, fsid, cluster = (_value(volume.tags, f"ceph.{name}=") for name in ("osd_id", "osd_fsid", "cluster_fsid"))
    return number, fsid, cluster


def class_tag(device_class: str) -> str:
    """The tag that keeps a volume's device class."""
    return _CLASS + encode(device_class)


def device_class(volume: LogicalVolume) -> str:
    """The device class remembered with a volume; empty without one."""
    return _value(volume.tags, _CLASS)


def size_rule(volume: LogicalVolume) -> str:
    """The rule a volume's size was made by, encoded as in its tag."""
    return _value(volume.tags, _SIZE)


def is_new(volume: LogicalVolume) -> bool:
    """Whether a volume was made but not yet looked into."""
    return NEW in volume.tags


def group_problem(group: VolumeGroup, node: str) -> str:
    """Why a group is not ours on this node, in words; empty when it is."""
    if OWNER not in group.tags:
        return "carries no tag of this module"
    owner_node = _value(group.tags, _NODE)
    return "" if owner_node == encode(node) else f"was made for node {owner_node or '(none)'}"


def volume_is_ours(volume: LogicalVolume, node: str) -> bool:
    """Whether a volume was made by this module, on this node, in the very group it lies in."""
    return set(group_tags(node)) <= volume.tags and _value(volume.tags, _GROUP) == volume.group_uuid


def physical_is_ours(pv: PhysicalVolume, device: Device, node: str) -> bool:
    """Whether a physical volume was made by this module on this very disk of this very node."""
    return device.identity.known and pv.uuid == physical_uuid(node, device)


def _value(tags: Iterable[str], prefix: str) -> str:
    return next((tag[len(prefix) :] for tag in sorted(tags) if tag.startswith(prefix)), "")
