# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded concurrency over a callable."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from queue import SimpleQueue
from typing import Callable, Generic, Optional, TypeVar, Union

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
    first = list(islice(queue, max(1, concurrency)))
    work = _Work(chain(first, queue), call, stop_on_error=stop_on_error)
    threads = [threading.Thread(target=work.go_on) for _worker in first]
    running = 0
    try:
        for thread in threads:
            thread.start()
            running += 1
        while running:
            pair = work.finished.get()
            if pair is None:
                running -= 1
            else:
                yield pair
    finally:
        work.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if work.broken is not None:
        raise work.broken


class _Work(Generic[T, R]):
    """Things that several threads take one after the other; each thread goes on by itself, because to hand every single
    thing over to it costs more than many a call. ``finished`` gets the pairs, and None for each thread that ends.
    """

    def __init__(self, things: Iterator[T], call: Callable[[T], R], *, stop_on_error: bool) -> None:
        self.finished: SimpleQueue[Optional[tuple[T, Union[R, CollError]]]] = SimpleQueue()
        self.broken: Optional[BaseException] = None
        self._things = things
        self._call = call
        self._stop_on_error = stop_on_error
        self._guard = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True

    def go_on(self) -> None:
        """What one thread does."""
        try:
            for thing in self._taken():
                self.finished.put((thing, self._result_or_error(thing)))
        except BaseException as exc:  # noqa: BLE001 - it is raised where the results are waited for
            self.broken = self.broken or exc
            self.stop()
        finally:
            self.finished.put(None)

    def _taken(self) -> Iterator[T]:
        while True:
            with self._guard:
                if self._stopped:
                    return
                try:
                    thing = next(self._things)
                except StopIteration:
                    return
            yield thing

    def _result_or_error(self, thing: T) -> Union[R, CollError]:
        try:
            return self._call(thing)
        except CollError as exc:
            if self._stop_on_error:
                self.stop()
            return exc


def together(calls: Mapping[str, Callable[[], R]], *, concurrency: int) -> dict[str, R]:
    """The result of each call by its name; raises the first ``CollError``."""
    made: dict[str, R] = {}
    for name, result in each(calls, lambda name: calls[name](), concurrency=concurrency):
        if isinstance(result, CollError):
            raise result
        made[name] = result
    return made
