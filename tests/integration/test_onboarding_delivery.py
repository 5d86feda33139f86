# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""user_onboarding on the lab: kubeconfigs that people fetch out of the cluster, and groups with rights of others.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from directory_place import Place

from .plays import PlayRun

ROOT = Path(__file__).resolve().parents[2]


class Office:
    """Two people, a namespace for their kubeconfigs, and a group that somebody bound by hand."""

    def __init__(self, place: Place, folder: Path, environment: dict[str, str]) -> None:
        self.place, self.folder, self._environment = place, folder, environment
        self.anna, self.bert = place.uid("anna"), place.uid("bert")
        self.vault, self.team, self.crew = f"{place.mark}-vault", f"{place.mark}-team", f"{place.mark}-crew"

    def onboard(self, *, bert: str = "present", **variables: Any) -> tuple[PlayRun, dict[str, Any]]:
        """The run and its report."""
        access = [{"role": "view", "namespaces": [self.team]}]
        own = {
            "kubestead_people": [
                {"name": self.anna, "groups": [self.crew], "access": access},
                {"name": self.bert, "access": access, "state": bert},
            ],
            "user_onboarding_directory": str(self.folder),
            "user_onboarding_user_base": self.place.people,
            "user_onboarding_group_base": self.place.groups,
            "user_onboarding_profile": "person",
            "user_onboarding_owner": self.place.mark,
            "user_onboarding_kubeconfig_namespace": self.vault,
            **variables,
        }
        files = ("-e", f"@{ROOT}/tests/lab/vars.yml", "-e", json.dumps(own))
        command = ("ansible-playbook", "kubestead.platform.onboard_users", "-i", self.place.lab.env["KUBESTEAD_LAB_INVENTORY"])
        run = PlayRun.of(self.place.lab.exec(*command, *files, check=False, env=self._environment))
        return run, run.facts("user_onboarding_report")[-1]

    def kubectl(self, kubeconfig: Path, *arguments: str) -> Any:
        return self.place.lab.exec("kubectl", "--kubeconfig", str(kubeconfig), *arguments, check=False)

    def fetched(self, who: str, whose: str) -> bytes:
        """The kubeconfig out of a Secret, read with a person's own file; empty when the server refuses."""
        own = self.folder / "kubeconfigs" / f"{who}.kubeconfig"
        done = self.kubectl(own, "get", "secret", "-n", self.vault, f"{whose}-kubeconfig", "-o", "json")
        return base64.b64decode(json.loads(done.stdout)["data"]["kubeconfig"]) if done.returncode == 0 else b""


@pytest.fixture(scope="module")
def office(
    lab: Any, serve_module: Callable[..., Any], tmp_path_factory: Any, ansible_environment: dict[str, str]
) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("delivery")
    folder.chmod(0o700)
    place = Place(lab, serve_module, folder)
    place.begin()
    one = Office(place, folder, ansible_environment)
    lab.kubectl("create", "clusterrolebinding", one.crew, "--clusterrole=view", f"--group={one.crew}")
    yield one
    lab.kubectl("delete", "clusterrolebinding", one.crew)
    for namespace in (one.vault, one.team):
        lab.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
    place.end()


def test_a_group_with_rights_of_others_fails_its_people_only(office: Office) -> None:
    run, report = office.onboard()
    assert run.status != 0 and report["failed"] == [office.anna]
    (why,) = (row["why"] for row in report["rows"] if row["name"] == office.anna)
    assert office.crew in why and "allow_groups" in why
    assert office.fetched(office.bert, office.bert)


def test_everybody_fetches_their_own_kubeconfig_and_no_other(office: Office, tmp_path: Path) -> None:
    run, report = office.onboard(user_onboarding_allow_groups=[office.crew])
    assert run.status == 0 and report["ok"], run.failures()
    for who, other in ((office.anna, office.bert), (office.bert, office.anna)):
        content = office.fetched(who, who)
        assert content == (office.folder / "kubeconfigs" / f"{who}.kubeconfig").read_bytes()
        (tmp_path / who).write_bytes(content)
        (tmp_path / who).chmod(0o600)
        assert who in office.kubectl(tmp_path / who, "auth", "whoami").stdout
        assert office.fetched(who, other) == b""
    assert office.kubectl(tmp_path / office.bert, "get", "secrets", "-n", office.vault).returncode != 0
    again, _report = office.onboard(user_onboarding_allow_groups=[office.crew])
    assert again.recap()["localhost"]["changed"] == 0


def test_who_is_disabled_loses_the_secret_and_the_right(office: Office) -> None:
    run, _report = office.onboard(bert="disabled", user_onboarding_allow_groups=[office.crew])
    assert run.status == 0
    names = office.place.lab.kubectl("get", "secrets", "-n", office.vault, "-o", "name").stdout.split()
    assert names == [f"secret/{office.anna}-kubeconfig"]
    asked = ("auth", "can-i", "get", f"secret/{office.bert}-kubeconfig", "-n", office.vault, f"--as={office.bert}")
    assert office.place.lab.kubectl(*asked, check=False).returncode != 0
