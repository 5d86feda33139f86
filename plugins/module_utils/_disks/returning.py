# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks and groups go together when some disks of a node are given back, and which devices Ceph loses by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import BadInput, Refused


def disks_given_back(
    disks: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    ids: Sequence[str] = (),
    missing: Sequence[str] = (),
    node: str = "",
) -> dict[str, Any]:
    """The ``disks`` and ``volume_groups`` for a task with state absent, and the ``devices`` of ``node`` that Ceph loses.

    ``ids`` are the disks that are meant, by default all. A volume lies on any disk of its group, so all of them go.
    ``missing`` are those that are not in the node any more: only their devices are told.
    """
    known = {str(disk["id"]) for disk in disks}
    unknown = sorted(set(ids) - known)
    if unknown:
        raise BadInput(f"There is no disk {unknown[0]!r} in the list.", hint=f"There are {', '.join(sorted(known))}.")
    named = set(ids) or known
    touched = [group for group in groups if named & set(group["disks"])]
    _refuse_shared_databases(groups, touched)
    named = named.union(*(group["disks"] for group in touched))
    here = [disk for disk in disks if disk["id"] in named and disk["id"] not in missing]
    left = [{**group, "disks": [one for one in group["disks"] if one not in missing]} for group in touched]
    return {
        "disks": [dict(disk) for disk in here],
        "volume_groups": [group for group in left if group["disks"]],
        "devices": [
            {"node": node, "device": path} for group in touched if not group.get("metadata_for") for path in _devices(group)
        ],
    }


def _devices(group: Mapping[str, Any]) -> list[str]:
    names = [str(one["name"]) for one in group.get("volumes") or []]
    names = names or [f"osd{number}" for number in range(1, int(group.get("split") or 0) + 1)]
    return [f"/dev/{group['name']}/{name}" for name in names]


def _refuse_shared_databases(groups: Sequence[Mapping[str, Any]], touched: Sequence[Mapping[str, Any]]) -> None:
    """The database volume of an OSD that leaves would keep what is in it."""
    leaving = {str(group["name"]) for group in touched}
    for group in groups:
        served = group.get("metadata_for")
        if served and (served in leaving) != (group["name"] in leaving):
            raise Refused(
                f"The databases of the volume group {served} are in the volume group {group['name']}, on other disks.",
                hint="Give the disks of both groups back together.",
            )
