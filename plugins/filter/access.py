# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over a result of access_info; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _report() -> Iterable[Any]:
    from ..module_utils._report import page, tables

    return page, tables


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "access_csv": _filter(later(_report, "tables.as_csv")),
            "access_json": _filter(later(_report, "tables.as_json")),
            "access_page": _filter(later(_report, "page.page")),
            "access_summary": _filter(later(_report, "tables.summary")),
        }
