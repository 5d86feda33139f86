# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a fleet as lines of equal columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.units import human_bytes

_HEADINGS = ("host", "disk", "device", "serial or WWN", "size", "verdict", "what it is")


def disk_table(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line per disk of the hosts that carry ``node_disks_report``, sorted, below the headings."""
    rows = [
        (
            str(host.get("inventory_hostname", "")),
            str(entry.get("name", "")),
            str(entry.get("device", "")),
            str(entry.get("serial") or entry.get("wwn") or "none"),
            human_bytes(int(entry["size"])) if entry.get("size") else "",
            str(entry.get("verdict", "")),
            str(entry.get("reason", "")),
        )
        for host in hosts
        for entry in host.get("node_disks_report") or ()
    ]
    table = [_HEADINGS, *sorted(rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in table]
