# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the list of people; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, problems_of
from ..module_utils._people import lists, report

_filter = functools.partial(as_filter, error=AnsibleFilterError)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "people_accounts": _filter(lists.people_accounts),
            "people_at": _filter(lists.people_at),
            "people_certificate_files": _filter(lists.certificate_files),
            "people_certificates": _filter(lists.people_certificates),
            "people_except": _filter(lists.people_except),
            "people_failed": _filter(report.failed_people),
            "people_grants": _filter(lists.people_grants),
            "people_kubeconfigs": _filter(lists.people_kubeconfigs),
            "people_problems": problems_of(lists.people_kubeconfigs),
            "people_report": _filter(report.people_report),
        }
