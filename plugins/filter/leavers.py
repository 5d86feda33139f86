# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the list of people who leave; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, problems_of
from ..module_utils._people import leaving

_filter = functools.partial(as_filter, error=AnsibleFilterError)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "leaver_accounts": _filter(leaving.leaver_accounts),
            "leaver_certificates": _filter(leaving.leaver_certificates),
            "leaver_entries": _filter(leaving.leaver_entries),
            "leaver_kubeconfigs": _filter(leaving.leaver_kubeconfigs),
            "leaver_problems": problems_of(leaving.leaver_kubeconfigs),
            "leaver_report": _filter(leaving.leaver_report),
            "people_returning": _filter(leaving.people_returning),
            "people_leavers": _filter(leaving.people_leavers),
        }
