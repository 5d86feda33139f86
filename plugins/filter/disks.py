# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over disks; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _disks() -> Iterable[Any]:
    from ..module_utils._disks import returning, table

    return returning, table


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "disk_table": _filter(later(_disks, "table.disk_table")),
            "disks_given_back": _filter(later(_disks, "returning.disks_given_back")),
        }
