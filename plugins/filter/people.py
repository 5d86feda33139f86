# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the list of people; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later, problems_of

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _lists() -> Any:
    from ..module_utils._people import lists

    return lists


def _report() -> Any:
    from ..module_utils._people import report

    return report


def _current(room: Callable[[], Any], name: str) -> Callable[..., Any]:
    """A filter over those people of the list who count ``at`` a moment, ``without`` some.

    One filter instead of three in a row, because templates look at every single value on the way from one to the next.
    """

    def call(raw: object, *rest: Any, at: object = "", without: Iterable[str] = (), **named: Any) -> Any:
        return getattr(room(), name)(_lists().those_who_count(raw, at, without), *rest, **named)

    return _filter(call)


def _failed(results: Mapping[str, Any]) -> Any:
    """A result without any failure is left out, entries and all, before every single value of it is looked at."""
    troubled = {beat: told for beat, told in results.items() if beat == "kubeconfig" or not _is_clean(told)}
    return _filter(later(_report, "failed_people"))(troubled)


def _is_clean(told: Mapping[str, Any]) -> bool:
    counts = told.get("counts")
    return isinstance(counts, Mapping) and not counts.get("failed") and not counts.get("skipped")


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "people_accounts": _current(_lists, "people_accounts"),
            "people_certificate_files": _current(_lists, "certificate_files"),
            "people_certificates": _current(_lists, "people_certificates"),
            "people_failed": _failed,
            "people_grants": _current(_lists, "people_grants"),
            "people_kubeconfigs": _current(_lists, "people_kubeconfigs"),
            "people_problems": problems_of(later(_lists, "people_kubeconfigs")),
            "people_report": _current(_report, "people_report"),
        }
