# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of device a path below ``/dev`` names, as far as its name tells."""

from __future__ import annotations

import re

from .._core.errors import BadInput

VOLUME, PARTITION, DISK = "logical volume", "partition", "disk"
_FOLDERS = ("disk", "mapper", "bus", "char", "block", "dri", "fd", "input", "net", "pts", "shm", "snd", "usb", "vfio")
_PARTITION = re.compile(
    r"/dev/(?:(?:[shv]d|xvd)[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+)p\d+|disk/.+-part\d+|disk/by-part.+)", re.ASCII
)
_MAPPED = re.compile(r"/dev/(?:mapper/(?!mpath)|disk/by-id/dm-(?:name|uuid-LVM)-)", re.ASCII)


def kind_of(path: str) -> str:
    """Volume, partition or disk."""
    parts = path.split("/")
    if _MAPPED.match(path) or (len(parts) == 4 and parts[2] not in _FOLDERS):
        return VOLUME
    return PARTITION if _PARTITION.fullmatch(path) else DISK


def check_path(path: object, what: str) -> str:
    """A device path that Rook matches and that names the same device after a reboot; raises BadInput."""
    if not isinstance(path, str) or not path:
        raise BadInput(f"{what} is missing or not text.", hint="Give the full path, such as /dev/osds/osd1.")
    if not re.fullmatch(r"/dev/[^\s/]+(?:/[^\s/]+)*", path) or "/../" in f"{path}/":
        raise BadInput(f"{what} is {path!r}, not a path under /dev/.", hint="Rook matches only full paths.")
    if re.fullmatch(r"/dev/dm-\d+", path, re.ASCII):
        raise BadInput(f"{what} is {path!r}, a number that changes at boot.", hint="Name a volume /dev/GROUP/VOLUME.")
    if re.fullmatch(r"/dev/r?bd\d+(?:p\d+)?", path, re.ASCII):
        raise BadInput(f"{what} is {path!r}; Rook takes no RBD image.", hint="Name a disk, a partition or a volume.")
    if path.startswith("/dev/disk/by-partlabel/") and "ceph" in path:
        raise BadInput(f"{what} is {path!r}.", hint="Ceph takes a partition whose label contains 'ceph' for one in use.")
    return path


def volume_link(path: str) -> str:
    """The udev link of a volume ``/dev/GROUP/VOLUME``: hyphens within a name are doubled."""
    group, volume = path.split("/")[2:4]
    return f"/dev/disk/by-id/dm-name-{group.replace('-', '--')}-{volume.replace('-', '--')}"
