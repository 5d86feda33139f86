# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the list of people; each is documented in the file of its own name."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later, problems_of

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _people() -> Iterable[Any]:
    from ..module_utils._people import lists, report

    return lists, report


def _current(name: str) -> Callable[..., Any]:
    """A filter over those people of the list who count ``at`` a moment, ``without`` some.

    One filter instead of three in a row, because templates look at every single value on the way from one to the next. The list
    may come as JSON text for the same reason.
    """

    def call(raw: object, *rest: Any, at: object = "", without: Iterable[str] = (), **named: Any) -> Any:
        those = later(_people, "lists.those_who_count")(_listed(raw), at, without)
        return later(_people, name)(those, *rest, **named)

    return _filter(call)


def _listed(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except ValueError:
        return raw  # which is no list, as is then said


def _report(raw: object, results: Mapping[str, Any], **named: Any) -> Any:
    return _current("report.people_report")(raw, later(_people, "report.needed_of")(results), **named)


def _failed(results: Mapping[str, Any]) -> Any:
    """A result without any failure is left out, entries and all, before every single value of it is looked at."""
    troubled = {beat: told for beat, told in results.items() if beat == "kubeconfig" or not _is_clean(told)}
    return _filter(later(_people, "report.failed_people"))(troubled)


def _is_clean(told: Mapping[str, Any]) -> bool:
    counts = told.get("counts")
    return isinstance(counts, Mapping) and not counts.get("failed") and not counts.get("skipped")


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "people_accounts": _current("lists.people_accounts"),
            "people_certificate_files": _current("lists.certificate_files"),
            "people_certificates": _current("lists.people_certificates"),
            "people_failed": _failed,
            "people_grants": _current("lists.people_grants"),
            "people_kubeconfigs": _current("lists.people_kubeconfigs"),
            "people_problems": problems_of(later(_people, "lists.people_kubeconfigs")),
            "people_report": _report,
        }
