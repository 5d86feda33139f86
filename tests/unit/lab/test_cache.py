# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache tells a whole build from a half one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubestead_lab.cache import STAMP, Artefact, ensure, is_whole, recipe_key, remove_tree
from kubestead_lab.errors import LabError


class Builder:
    """Writes two files and counts how often it was asked."""

    def __init__(self, fail: bool = False) -> None:
        self.calls = 0
        self.fail = fail

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "program").write_bytes(b"x" * 1000)
        if self.fail:
            raise LabError("the compiler said no")
        (folder / "sub").mkdir()
        (folder / "sub" / "data").write_text("data")


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return Artefact(tmp_path / "cache", "thing-1.0", recipe_key({"version": "1.0"}))


def test_a_whole_build_is_made_once(artefact: Artefact) -> None:
    builder = Builder()
    first = ensure(artefact, builder)
    assert ensure(artefact, builder) == first
    assert builder.calls == 1
    assert (first / "sub" / "data").read_text() == "data"


@pytest.mark.parametrize("damage", ["no stamp", "empty stamp", "torn stamp", "missing file", "shorter file", "other bytes"])
def test_a_half_build_is_made_again(artefact: Artefact, damage: str) -> None:
    folder = ensure(artefact, Builder())
    program = folder / "program"
    if damage == "no stamp":
        (folder / STAMP).unlink()
    elif damage == "empty stamp":
        (folder / STAMP).write_text("{}")
    elif damage == "torn stamp":
        (folder / STAMP).write_text('{"program": {"si')
    elif damage == "missing file":
        program.unlink()
    elif damage == "shorter file":
        os.truncate(program, 500)
    else:
        program.write_bytes(b"y" * 1000)
    assert not is_whole(folder)
    builder = Builder()
    ensure(artefact, builder)
    assert builder.calls == 1
    assert is_whole(folder)
    assert program.read_bytes() == b"x" * 1000


def test_a_copied_file_with_another_time_still_counts_as_whole(artefact: Artefact) -> None:
    folder = ensure(artefact, Builder())
    os.utime(folder / "program", (1, 1))
    assert is_whole(folder)


def test_a_failed_build_leaves_nothing_that_looks_whole_and_its_remains_go_away(artefact: Artefact) -> None:
    with pytest.raises(LabError, match="the compiler said no"):
        ensure(artefact, Builder(fail=True))
    assert not artefact.folder.exists()
    assert len(list(artefact.root.glob(".thing-1.0.building-*"))) == 1
    ensure(artefact, Builder())
    assert list(artefact.root.glob(".thing-1.0.building-*")) == []


def test_another_recipe_is_another_place() -> None:
    assert recipe_key({"version": "1"}) != recipe_key({"version": "2"})
    assert recipe_key({"a": "1", "b": "2"}) == recipe_key({"b": "2", "a": "1"})


def test_old_builds_by_other_recipes_go_away_and_recent_ones_stay(artefact: Artefact) -> None:
    old, recent = (Artefact(artefact.root, artefact.name, recipe_key({"version": version})) for version in ("0.1", "0.9"))
    for one in (old, recent):
        ensure(one, Builder())
    os.utime(old.folder / STAMP, (1, 1))
    ensure(artefact, Builder())
    assert not old.folder.exists()
    assert is_whole(recent.folder)


def test_nothing_is_deleted_through_a_mount() -> None:
    with pytest.raises(LabError, match="still mounted"):
        remove_tree(Path("/dev"))
