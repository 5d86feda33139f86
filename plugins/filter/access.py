# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over a result of access_info; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter
from ..module_utils._report import page, tables

_filter = functools.partial(as_filter, error=AnsibleFilterError)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "access_csv": _filter(tables.as_csv),
            "access_json": _filter(tables.as_json),
            "access_page": _filter(page.page),
            "access_summary": _filter(tables.summary),
        }
