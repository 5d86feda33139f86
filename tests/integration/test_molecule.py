# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario of each role in extensions/molecule, as `make molecule` runs them."""

from __future__ import annotations

import re

import pytest

from integration.conftest import ROOT, Lab

pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.timeout(1200)]

SCENARIOS = sorted(path.parent.name for path in (ROOT / "extensions" / "molecule").glob("*/molecule.yml"))
RECAP = re.compile(r"^(\w+) +: actions=(\d+) +successful=(\d+) ", re.M)
QUIET = {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "MOLECULE_COMMAND_BORDERS": "false"}


@pytest.fixture(scope="module")
def printed(lab: Lab) -> str:
    """What molecule says. It ends with the first scenario that fails."""
    done = lab.exec("env", f"--chdir={ROOT}", "molecule", "test", "--all", check=False, timeout=1100, env=QUIET)
    return done.stdout + done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_passes(printed: str, scenario: str) -> None:
    ran = {name: (int(actions), int(successful)) for name, actions, successful in RECAP.findall(printed)}
    assert scenario in ran, f"{scenario} was not reached:\n{printed[-6000:]}"
    actions, successful = ran[scenario]
    assert actions == successful > 2, printed[-6000:]
