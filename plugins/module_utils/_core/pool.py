# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded concurrency over a callable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Callable, TypeVar, Union

from .errors import CollError

T = TypeVar("T")
R = TypeVar("R")


def each(
    things: Iterable[T],
    call: Callable[[T], R],
    *,
    concurrency: int,
    stop_on_error: bool = False,
) -> Iterator[tuple[T, Union[R, CollError]]]:
    """Call ``call`` for every thing, at most ``concurrency`` at a time; yield pairs as they finish.

    A ``CollError`` is yielded in place of the result; with ``stop_on_error`` nothing new is started after the first
    one, and things never started are not yielded. Any other exception ends the iteration once running calls are done.
    """
    queue = iter(things)
    stopped = False
    with ThreadPoolExecutor(max_workers=max(1, concurrency)) as executor:
        running: dict[Future[R], T] = {executor.submit(call, thing): thing for thing in islice(queue, concurrency)}
        while running:
            done, _pending = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                thing = running.pop(future)
                result = _result_or_error(future)
                stopped = stopped or (stop_on_error and isinstance(result, CollError))
                yield thing, result
            if not stopped:
                for thing in islice(queue, concurrency - len(running)):
                    running[executor.submit(call, thing)] = thing


def together(calls: Mapping[str, Callable[[], R]], *, concurrency: int) -> dict[str, R]:
    """The result of each call by its name; raises the first ``CollError``."""
    made: dict[str, R] = {}
    for name, result in each(calls, lambda name: calls[name](), concurrency=concurrency):
        if isinstance(result, CollError):
            raise result
        made[name] = result
    return made


def _result_or_error(future: Future[R]) -> Union[R, CollError]:
    try:
        return future.result()
    except CollError as exc:
        return exc
