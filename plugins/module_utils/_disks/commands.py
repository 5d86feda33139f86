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
    """A linear volume on exactly these extents. Neither wiped nor zeroed: what lies there must be seen first."""
    count = sum(run.count for run in runs)
    where = [f"{run.path}:{run.start}-{run.start + run.count - 1}" for run in runs]
    keep = ("--wipesignatures", "n", "--zero", "n", "--type", "linear")
    return ("lvcreate", *keep, "--name", name, "--extents", str(count), *_tags("--addtag", tags), group, *where)


def retag(volumes: Sequence[str], remove: Iterable[str] = (), add: Iterable[str] = ()) -> Argv:
    """Changes tags of volumes, named ``group/volume``."""
    return ("lvchange", *_tags("--deltag", remove), *_tags("--addtag", add), *volumes)


def mapper_path(group: str, volume: str) -> str:
    """The device-mapper node of a volume; its last part is unique on the node, which that of ``/dev/group/volume`` is not."""
    return f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _tags(option: str, tags: Iterable[str]) -> list[str]:
    return [word for tag in tags for word in (option, tag)]
