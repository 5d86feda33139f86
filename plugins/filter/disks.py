# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over what the disk modules found; it is documented in the file of its own name."""

from __future__ import annotations

from typing import Any, Callable

from ..module_utils._core.plain import plain
from ..module_utils._disks.table import disk_table


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {"disk_table": lambda hosts: disk_table(plain(hosts))}
