# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables for spreadsheets and programs: complete, and inert whatever people are called."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._report import tables
from hypothesis import given, settings
from hypothesis import strategies as st

from access_world import Told, World, result_of
from scale import scaled

BAD_CELLS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =cmd|' /C calc'!A0", "|x", "%x", "\uff1d1", "\0=1"]


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("cell", BAD_CELLS)
def test_a_formula_is_shown_and_not_reckoned(cell: str) -> None:
    for text in (tables.as_csv(result_of(cell)), tables.as_csv(result_of(what=cell), "findings")):
        found = [one for row in rows_of(text)[1:] for one in row if "'" in one[:1]]
        assert found == ["'" + cell.replace("\0", "")]


@given(name=st.text(max_size=30))
@settings(max_examples=scaled(300))
def test_any_name_comes_back_from_the_table(name: str) -> None:
    head, row = rows_of(tables.as_csv(result_of(name)))
    shown = dict(zip(head, row))["full_name"]
    assert shown.removeprefix("'") == name.replace("\0", "").removeprefix("'") or shown == name
    assert not shown.lstrip().startswith(tuple("=+-@\t\r|%"))


def test_whoever_has_no_right_is_in_the_table_too() -> None:
    world = World()
    world.account("nina")
    world.account("anna")
    world.bind("anna", "edit", "red")
    world.bind("anna", "view")
    rows = rows_of(tables.as_csv(Told(world).result))
    assert [row[:1] + row[5:7] for row in rows[1:]] == [
        ["anna", "the whole cluster", "view"],
        ["anna", "red", "edit"],
        ["nina", "", ""],
    ]


def test_the_report_for_programs_is_the_result_without_the_task() -> None:
    world = World()
    world.account("nina")
    result = {**Told(world).result, "changed": False, "failed": False, "invocation": {"module_args": {}}}
    made = json.loads(tables.as_json(result))
    assert made["entries"] == result["entries"]
    assert set(made) == set(result) - {"changed", "failed", "invocation", "counts"}


def test_a_result_as_text_gives_the_same_report() -> None:
    world = World()
    world.account("nina")
    world.bind("eve", "edit", "red", owner="")
    data, text = (Told(world, as_text=flag).result for flag in (False, True))
    assert text["entries"] == [] and set(text) == {"entries", "counts", "text"}
    for made in (tables.as_json, tables.as_csv, tables.summary):
        assert made(text) == made(data)
    numbers = tables.summary(text)
    assert (numbers["people"], numbers["rights"], numbers["problems"]) == (2, 1, 1)
    assert numbers["kinds"] == {"right_not_asked": 1}


def test_another_modules_result_is_refused() -> None:
    with pytest.raises(BadInput, match="no result of access_info"):
        tables.as_csv({"entries": []})
    with pytest.raises(BadInput, match="no table 'x'"):
        tables.as_csv(result_of("a"), "x")
