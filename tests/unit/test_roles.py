# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role has the same shape, and its documentation is the one its specification gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted((ROOT / "roles").iterdir())
BEATS = ["preflight.yml", "plan.yml", "apply.yml", "verify.yml"]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_readmes_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "role_readmes"), "--check"], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_has_four_beats(role: Path) -> None:
    assert {path.name for path in (role / "tasks").iterdir()} >= {"main.yml", *BEATS}
    text = (role / "tasks" / "main.yml").read_text(encoding="utf-8")
    positions = [text.index(f"import_tasks: {beat}") for beat in BEATS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_in_the_specification_and_named_after_the_role(role: Path) -> None:
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(role / "defaults" / "main.yml")
    assert set(defaults) <= set(options)
    assert all(name.startswith(f"{role.name}_") for name in options)
    without = {name for name in options if name not in defaults}
    assert without == {name for name in without if options[name].get("required")}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_internals_are_named_after_the_role(role: Path) -> None:
    variables = role / "vars" / "main.yml"
    names = set(load(variables)) if variables.exists() else set()
    for file in (role / "tasks").iterdir():
        for task in load(file) if file.name != "main.yml" else []:
            names |= {task["register"]} if "register" in task else set()
            names |= set(task.get("vars", {}))
    assert [name for name in names if not name.startswith(f"__{role.name}_")] == []


def test_connection_options_reach_our_own_modules_too() -> None:
    """The group of kubernetes.core does not hold them: they would speak to whatever cluster the environment names."""
    files = [file for role in ROLES for file in (role / "tasks").iterdir()]
    groups = {group for file in files for block in load(file) for group in block.get("module_defaults", {})}
    assert "group/kubestead.platform.k8s" in groups
    assert "group/kubernetes.core.k8s" not in groups


def test_every_role_has_a_scenario_that_converges_and_verifies_it() -> None:
    scenarios = {path.parent for path in (ROOT / "extensions" / "molecule").glob("*/molecule.yml")}
    assert {path.name for path in scenarios} == {role.name for role in ROLES}
    for scenario in scenarios:
        plays = load(scenario / "converge.yml")
        played = {role["role"] for play in plays for role in play.get("roles", [])}
        assert f"kubestead.platform.{scenario.name}" in played, scenario.name
        assert (scenario / "verify.yml").exists(), scenario.name
