# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pure function becomes a template filter: plain values in, the error tree out as what templates expect."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable

from .errors import CollError
from .plain import plain


def later(imported: Callable[[], Iterable[Any]], name: str) -> Callable[..., Any]:
    """The function ``name``, such as ``lists.people_at``, of the modules that ``imported`` gives, which are imported at the call.

    Every task with any filter of a collection loads all files with filters in a process of its own. With all that these need, it
    would cost a tenth of a second each time.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        module, _dot, function = name.partition(".")
        found = next(one for one in imported() if one.__name__.endswith(f".{module}"))
        return getattr(found, function)(*args, **kwargs)

    return call


def as_filter(function: Callable[..., Any], error: Callable[[str], Exception]) -> Callable[..., Any]:
    """``function`` over plain values; what it refuses is raised as ``error`` with one sentence."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*plain(args), **plain(kwargs))
        except CollError as exc:
            raise error(exc.sentence()) from None

    return call


def problems_of(function: Callable[..., Any]) -> Callable[..., list[str]]:
    """What ``function`` would complain about, as text: an assertion tells it better than a failed filter."""

    def call(*args: Any, **kwargs: Any) -> list[str]:
        try:
            function(*plain(args), **plain(kwargs))
        except CollError as exc:
            return [exc.sentence()]
        return []

    return call
