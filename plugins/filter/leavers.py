# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the list of people who leave; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later, problems_of

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _people() -> Iterable[Any]:
    from ..module_utils._people import leaving

    return (leaving,)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "leaver_accounts": _filter(later(_people, "leaving.leaver_accounts")),
            "leaver_certificates": _filter(later(_people, "leaving.leaver_certificates")),
            "leaver_entries": _filter(later(_people, "leaving.leaver_entries")),
            "leaver_kubeconfigs": _filter(later(_people, "leaving.leaver_kubeconfigs")),
            "leaver_problems": problems_of(later(_people, "leaving.leaver_kubeconfigs")),
            "leaver_report": _filter(later(_people, "leaving.leaver_report")),
            "people_returning": _filter(later(_people, "leaving.people_returning")),
            "people_leavers": _filter(later(_people, "leaving.people_leavers")),
        }
