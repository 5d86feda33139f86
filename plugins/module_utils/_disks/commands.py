# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command lines that write, as values. None of them carries a force option or answers a question with yes:
a command that finds something unexpected gives up by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .extents import DATA_START, EXTENT, Run
from .model import MIB

Argv = tuple[str, ...]


def wipe_signatures(path: str) -> Argv:
    """Erases every signature libblkid knows, GPT copies included; fails on a device in use."""
    return "wipefs", "--all", path


def make_physical(path: str, uuid: str) -> Argv:
    """A physical volume of a known UUID, its data at the first MiB whatever the drive recommends."""
    return "pvcreate", "--uuid", uuid, "--norestorefile", "--dataalignment", f"{DATA_START // MIB}m", path


def make_group(name: str, paths: Sequence[str], tags: Iterable[str]) -> Argv:
    """A volume group of physical volumes that exist."""
    return ("vgcreate", "--physicalextentsize", f"{EXTENT // MIB}m", *_tags("--addtag", tags), name, *paths)


def extend_group(name: str, paths: Sequence[str]) -> Argv:
    """Adds physical volumes to a group."""
    return ("vgextend", name, *paths)


def make_volume(group: str, name: str, runs: Sequence[Run], tags: Iterable[str]) -> Argv:
    """A linear volume on exactly these extents. Neither wiped nor zeroed: what lies there must be seen first.

    It has no device node yet: one for all volumes of a group together costs a fraction of one for each.
    """
    count = sum(run.count for run in runs)
    where = [f"{run.path}:{run.start}-{run.start + run.count - 1}" for run in runs]
    keep = ("--activate", "n", "--wipesignatures", "n", "--zero", "n", "--type", "linear")
    return ("lvcreate", *keep, "--name", name, "--extents", str(count), *_tags("--addtag", tags), group, *where)


def grow_physical(path: str) -> Argv:
    """Lets a physical volume fill its disk."""
    return "pvresize", path


def extend_volume(volume: str, runs: Sequence[Run]) -> Argv:
    """Adds exactly these extents to a volume, named ``group/volume``."""
    where = [f"{run.path}:{run.start}-{run.start + run.count - 1}" for run in runs]
    return ("lvextend", "--extents", f"+{sum(run.count for run in runs)}", volume, *where)


def make_table(path: str) -> Argv:
    """Writes a partition table that is told on standard input; fails on a device in use. Nothing else is erased."""
    return ("sfdisk", "--quiet", "--wipe", "never", "--wipe-partitions", "never", path)


def add_partitions(path: str) -> Argv:
    """Adds partitions told on standard input to a table, leaving the others as they are, in use or not."""
    return ("sfdisk", "--quiet", "--append", "--no-reread", "--wipe", "never", "--wipe-partitions", "never", path)


def show_partitions(path: str) -> Argv:
    """Lets the kernel know the partitions that stand in a table."""
    return "partx", "--update", path


def forget_partitions(path: str) -> Argv:
    """Lets the kernel forget the partitions of a table that is gone; fails while one of them is in use."""
    return "partx", "--delete", path


def activate(volumes: Sequence[str]) -> Argv:
    """Brings the device nodes of volumes, named ``group/volume``."""
    return ("lvchange", "--activate", "y", *volumes)


def activate_group(group: str) -> Argv:
    """Brings the device nodes of all volumes of a group."""
    return "vgchange", "--activate", "y", group


def retag_group(group: str, add: Iterable[str]) -> Argv:
    """Adds tags to a volume group."""
    return ("vgchange", *_tags("--addtag", add), group)


def deactivate(group: str) -> Argv:
    """Takes away the device nodes of a group's volumes; fails while one is open."""
    return "vgchange", "--activate", "n", group


def remove_volumes(volumes: Sequence[str]) -> Argv:
    """Removes inactive volumes, which LVM does without a question."""
    return ("lvremove", *volumes)


def remove_mapping(name: str) -> Argv:
    """Removes a device-mapper entry; fails while it is open."""
    return "dmsetup", "remove", name


def unlist(pvid: str) -> Argv:
    """Takes a physical volume out of LVM's devices file."""
    return "lvm", "lvmdevices", "--delpvid", pvid  # not every system has it as a command of its own


def discard(path: str) -> Argv:
    """Tells the drive that nothing on it is needed."""
    return "blkdiscard", path


def retag(volumes: Sequence[str], remove: Iterable[str] = (), add: Iterable[str] = ()) -> Argv:
    """Changes tags of volumes, named ``group/volume``."""
    return ("lvchange", *_tags("--deltag", remove), *_tags("--addtag", add), *volumes)


def mapper_path(group: str, volume: str) -> str:
    """The device-mapper node of a volume; its last part is unique on the node, which that of ``/dev/group/volume`` is not."""
    return f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _tags(option: str, tags: Iterable[str]) -> list[str]:
    return [word for tag in tags for word in (option, tag)]
