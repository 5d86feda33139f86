# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared core: plans, carrying them out, the pool, units and names."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core import names, pool, run, units
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput, CollError, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Plan, Stage, Step, Verdict, render_diff
from hypothesis import given
from hypothesis import strategies as st


def step(entry: str, verb: str = "create") -> Step:
    return Step(verb, f"thing {entry}", f"thing/{entry}", None, {"name": entry})


def plan(*names_: str, refused: str = "") -> Plan:
    verdicts = tuple(Verdict("thing", n, "created", error=Refused("no") if n == refused else None) for n in names_)
    return Plan(verdicts, (Stage("one", tuple(map(step, names_))), Stage("two", tuple(step(n, "finish") for n in names_))))


def executor(fail_at: str, log: list[str]):
    def execute(stage: Stage):
        def call(one: Step):
            log.append(f"{one.verb} {one.entry}")
            if one.entry == fail_at and one.verb == "create":
                raise BackendFailed("broken", hint="mend it")
            return {"serial": one.entry}

        return run.each_step(stage.steps, call, concurrency=1, stop_on_error=stop_on_error)

    stop_on_error = False
    return execute


def test_a_failed_entry_is_left_out_of_later_stages_and_the_others_finish() -> None:
    log: list[str] = []
    result = run.carry_out(plan("a", "b"), executor("thing/a", log), stop_on_error=False)
    settled = {v.name: v for v in run.settle(result)}
    assert log == ["create thing/a", "create thing/b", "finish thing/b"]
    assert run.entry_dict(settled["a"])["action"] == "failed"
    assert settled["b"].action == "created" and settled["b"].facts["serial"] == "thing/b"


def test_with_stop_nothing_runs_after_a_refusal_known_from_the_plan() -> None:
    log: list[str] = []
    result = run.carry_out(plan("a", "b", refused="b"), executor("", log), stop_on_error=True)
    assert log == [] and result.done == ()
    assert [run.entry_dict(v)["action"] for v in run.settle(result)] == ["skipped", "failed"]


def test_with_stop_unfinished_entries_are_told_as_skipped_with_what_was_applied() -> None:
    log: list[str] = []
    result = run.carry_out(plan("a", "b"), executor("thing/b", log), stop_on_error=True)
    first = run.entry_dict(run.settle(result)[0])
    assert first["action"] == "skipped" and first["applied"] == ["create thing a"]


@pytest.mark.parametrize(("raised", "code"), [(BackendFailed("gone"), "backend_failed"), (KeyError("secret-value"), "bug")])
def test_an_error_that_ends_a_stage_is_told_of_the_steps_it_left(raised: Exception, code: str) -> None:
    def execute(stage: Stage):
        yield run.Outcome(stage.steps[0])
        raise raised

    result = run.carry_out(plan("a", "b"), execute, stop_on_error=True)
    first, second = (run.entry_dict(verdict) for verdict in run.settle(result))
    assert [s.target for s in result.done] == ["thing a"], "what was written stays told as written"
    assert first["action"] == "skipped"
    assert second["error"]["code"] == code
    assert "secret-value" not in str(second)


def test_check_mode_shows_the_planned_actions() -> None:
    planned = run.Run(plan("a"))
    assert [v.action for v in run.settle(planned)] == ["created"] and len(planned.done) == 2


def test_what_was_done_is_told_in_the_order_of_the_plan() -> None:
    planned = plan("a", "b")
    finished = tuple(run.Outcome(one) for one in reversed(planned.steps))
    assert run.Run(planned, finished, executed=True).done == planned.steps


def test_diff_leaves_out_steps_that_show_nothing() -> None:
    shown = render_diff((step("a"), Step("clean", "x", "thing/a")))
    assert [d["after_header"] for d in shown] == ["thing a (create)"]


def test_pool_never_runs_more_than_asked_and_handles_all() -> None:
    lock, now, peak = threading.Lock(), 0, 0

    def call(number: int) -> int:
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        with lock:
            now -= 1
        return number * 2

    got = dict(pool.each(range(200), call, concurrency=4))
    assert got == {n: n * 2 for n in range(200)} and peak <= 4


def test_pool_raises_what_is_no_error_of_ours_when_running_calls_are_done() -> None:
    ended = []

    def call(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError
        time.sleep(0.01)
        ended.append(number)
        return number

    got: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        got.extend(pool.each(range(1000), call, concurrency=4))
    assert len(ended) < 1000


def test_pool_starts_nothing_new_when_nobody_waits_any_more() -> None:
    begun, running = [], threading.active_count()

    def call(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    for _pair in pool.each(range(1000), call, concurrency=4):
        break
    gc.collect()
    assert len(begun) < 1000 and threading.active_count() == running


def test_pool_stops_starting_after_the_first_error() -> None:
    started: list[int] = []

    def call(number: int) -> int:
        started.append(number)
        raise Refused("no")

    got = list(pool.each(range(50), call, concurrency=1, stop_on_error=True))
    assert len(got) == 1 and started == [0] and isinstance(got[0][1], CollError)


@pytest.mark.parametrize(("text", "want"), [("600", 600), (600, 600), ("30d", 2592000), ("1h30m", 5400), ("2w", 1209600)])
def test_durations(text: object, want: int) -> None:
    assert units.seconds(text, "lifetime") == want  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "want"),
    [("10GiB", 10 << 30), ("10G", 10 << 30), ("10GB", 10**10), ("1.5T", 3 << 39), (512, 512), ("512B", 512), ("4m", 4 << 20)],
)
def test_sizes(text: object, want: int) -> None:
    assert units.size_bytes(text, "size") == want  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_open_text_gives_a_number_or_one_clear_error(text: str) -> None:
    for parse in (units.seconds, units.size_bytes, units.percent):
        try:
            assert parse(text, "x") >= 0
        except BadInput as exc:
            assert "x:" in str(exc)


@given(st.text(max_size=80))
def test_an_accepted_name_never_leaves_a_folder_nor_claims_system(text: str) -> None:
    try:
        name = names.check_principal(text, "user")
    except BadInput:
        return
    assert "/" not in name and not name.startswith(".") and not name.startswith("system:") and name == name.casefold()


@pytest.mark.parametrize("bad", ["system:masters", "System:x", "ｓystem:x", "../x", "a/b", ".", "", "a\0b", "Anna", "x" * 65])
def test_bad_names_are_refused(bad: str) -> None:
    with pytest.raises(BadInput):
        names.check_principal(bad, "user")


def test_names_equal_after_folding_are_duplicates() -> None:
    with pytest.raises(BadInput, match="twice"):
        names.check_distinct(["anna", "ben", "anna"], "user")


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3), st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_dns_names_are_valid_and_distinct(one: list[str], other: list[str]) -> None:
    name = names.dns_name(*one)
    assert len(name) <= 63 and name.strip("-") == name and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert one == other or name != names.dns_name(*other)
