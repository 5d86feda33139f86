# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over disks; each is documented in the file of its own name."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter
from ..module_utils._disks.returning import disks_given_back
from ..module_utils._disks.table import disk_table


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "disk_table": as_filter(disk_table, error=AnsibleFilterError),
            "disks_given_back": as_filter(disks_given_back, error=AnsibleFilterError),
        }
