# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles for people who leave, who are disabled and who come back, run on the lab as a user would.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient

from .certificate_operator import wait_until
from .leaving_runs import may
from .plays import PlayRun

ROOT = Path(__file__).resolve().parents[2]
ONE_MAP = {"metadata": {"generateName": "x-"}}


class Team:
    """Three people in the directory and in a namespace of their own."""

    def __init__(self, lab: Any, environment: dict[str, str], folder: Path) -> None:
        self.lab, self.environment, self.folder = lab, environment, folder
        self.mark = uuid.uuid4().hex[:6]
        self.namespace = f"off-{self.mark}"
        self.admin = KubeApiClient.from_params({"kubeconfig": lab.env["KUBECONFIG"]})
        self.people = [self.person(word) for word in ("anna", "bert", "cleo")]
        self.anna, self.bert, self.cleo = (str(one["name"]) for one in self.people)
        self.maps = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.variables = {
            "user_onboarding_directory": str(folder / "people"),
            "user_offboarding_directory": str(folder / "people"),
            "user_offboarding_user_base": lab.env["KUBESTEAD_LDAP_USER_BASE"],
            "user_offboarding_group_base": lab.env["KUBESTEAD_LDAP_GROUP_BASE"],
            "user_onboarding_owner": f"off-{self.mark}",
        }

    def person(self, word: str) -> dict[str, Any]:
        name = f"{word}-{self.mark}"
        access = [{"role": "edit", "namespaces": [self.namespace]}]
        return {"name": name, "mail": f"{name}@example.org", "generate_password": True, "access": access}

    def command(self, book: str, *options: str, **variables: Any) -> list[str]:
        given = self.folder / f"vars-{uuid.uuid4().hex}.yml"
        given.write_text(yaml.safe_dump({"kubestead_people": self.people, **self.variables, **variables}))
        files = ["-e", f"@{ROOT}/tests/lab/vars.yml", "-e", f"@{given}"]
        return [
            "ansible-playbook",
            f"kubestead.platform.{book}",
            "-i",
            self.lab.env["KUBESTEAD_LAB_INVENTORY"],
            *files,
            *options,
        ]

    def play(self, book: str, *options: str, **variables: Any) -> PlayRun:
        done = self.lab.exec(*self.command(book, *options, **variables), check=False, timeout=300, env=self.environment)
        return PlayRun.of(done)

    def offboard(self, *names: str, check: bool = False, **variables: Any) -> PlayRun:
        return self.play("offboard_users", *(["--check"] if check else []), user_offboarding_people=list(names), **variables)

    def kubeconfig(self, name: str) -> Path:
        return self.folder / "people" / "kubeconfigs" / f"{name}.kubeconfig"

    def in_hand(self, name: str) -> KubeApiClient:
        """The credential that somebody kept a copy of."""
        return KubeApiClient.from_kubeconfig(yaml.safe_load(self.kubeconfig(name).read_text()))

    def bind(self, name: str) -> int:
        """Log in to the directory; the exit status is the LDAP result."""
        password = (self.folder / "people" / "passwords" / f"{name}.password").read_text().splitlines()[0]
        who = ["-x", "-H", self.lab.env["KUBESTEAD_LDAP_URI"], "-D", f"uid={name},{self.lab.env['KUBESTEAD_LDAP_USER_BASE']}"]
        return int(self.lab.exec("ldapwhoami", *who, "-y", "/dev/stdin", stdin=password, check=False).returncode)

    def entry(self, name: str) -> str:
        """Everything the directory holds of somebody; that there may be an end to the account is not yet one."""
        base = self.lab.env["KUBESTEAD_LDAP_USER_BASE"]
        login = ["-D", self.lab.env["KUBESTEAD_LDAP_BIND_DN"], "-y", self.lab.env["KUBESTEAD_LDAP_BIND_PW_FILE"]]
        search = [
            "-x",
            "-LLL",
            "-H",
            self.lab.env["KUBESTEAD_LDAP_URI"],
            "-b",
            base,
            f"(uid={name})",
            "*",
            "pwdAccountLockedTime",
        ]
        return str(self.lab.exec("ldapsearch", *login, *search).stdout).replace("objectClass: shadowAccount\n", "")

    def bindings(self) -> list[tuple[str, str]]:
        found = self.admin.list_all(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/rolebindings").objects
        return sorted((one["metadata"]["name"], one["subjects"][0]["name"]) for one in found)


@pytest.fixture(scope="module")
def team(lab: Any, ansible_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    one = Team(lab, ansible_environment, tmp_path_factory.mktemp("off"))
    try:
        run = one.play("onboard_users")
        assert run.status == 0, run.failures()
        yield one
    finally:
        lab.kubectl("delete", "namespace", one.namespace, "--wait=false", "--ignore-not-found", check=False)
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            lab.kubectl("delete", kind, "kubestead-access-cutoff", "--ignore-not-found", check=False)


def test_leaving_is_announced_done_proved_and_printed_and_done_once(team: Team) -> None:
    old, other = team.in_hand(team.anna), team.in_hand(team.bert)
    announced = team.offboard(team.anna, check=True)
    assert announced.status == 0, announced.failures()
    assert team.kubeconfig(team.anna).exists() and may(old, "GET", team.maps)
    done = team.offboard(team.anna)
    assert done.status == 0, done.failures()
    assert team.bind(team.anna) == 49 and team.bind(team.bert) == 0
    assert not may(old, "GET", team.maps) and not may(old, "POST", team.maps, ONE_MAP)
    assert may(other, "POST", team.maps, ONE_MAP)
    assert not team.kubeconfig(team.anna).exists()
    assert not (team.folder / "people" / "certificates" / f"{team.anna}.key").exists()
    text = (team.folder / "people" / "offboarding" / f"{team.anna}.txt").read_text()
    for said in (
        f"list configmaps in {team.namespace} at https://127.0.0.1:6443: allowed -> refused by the authorizer",
        "account: locked",
        "certificate: removed",
        "kubeconfig: removed",
        "Refused by policy since",
        "Watches, exec sessions and port forwards",
    ):
        assert said in text
    (report,) = done.facts("user_offboarding_report")
    assert [line for line in text.splitlines() if line] == [line for line in report["table"] if line in text.splitlines()]
    again = team.offboard(team.anna)
    assert again.status == 0 and again.recap()["localhost"]["changed"] == 0, again.failures()
    assert again.facts("user_offboarding_report")[0]["table"][-5:] == report["table"][-5:]


def test_who_left_is_refused_and_who_is_disabled_is_the_same_when_present_again(team: Team) -> None:
    """The list still has anna, who left; everybody else on it is served."""
    before = team.entry(team.cleo), team.bindings(), yaml.safe_load(team.kubeconfig(team.cleo).read_text())
    old = team.in_hand(team.cleo)
    team.people[2]["state"] = "disabled"
    run = team.play("onboard_users")
    assert run.status != 0
    (report,) = run.facts("user_onboarding_report")
    assert report["failed"] == [team.anna] and "is valid until" in str(report["rows"][0]["why"])
    assert team.bind(team.anna) == 49 and team.anna not in str(team.bindings())
    assert team.bind(team.cleo) == 49 and not may(old, "GET", team.maps)
    assert not team.kubeconfig(team.cleo).exists() and len(team.bindings()) == 1
    team.people[0]["state"] = "absent"
    del team.people[2]["state"]
    run = team.play("onboard_users")
    assert run.status == 0, run.failures()
    assert (team.entry(team.cleo), team.bindings(), yaml.safe_load(team.kubeconfig(team.cleo).read_text())) == before
    assert team.bind(team.cleo) == 0 and may(old, "GET", team.maps)


def test_a_killed_run_is_continued_by_the_next(team: Team) -> None:
    """The whole playbook is ended right after the person was marked; this account is removed instead of locked."""
    old, record = team.in_hand(team.bert), team.folder / "people" / "offboarding" / f"{team.bert}.json"
    command = team.command("offboard_users", user_offboarding_people=[team.bert])
    environment = {**os.environ, **team.lab.env, **team.environment}
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not record.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    marked = json.loads(record.read_text())["marked_at"]
    done = team.offboard(team.bert, user_offboarding_account="remove")
    assert done.status == 0, done.failures()
    told = json.loads(record.read_text())
    assert told["marked_at"] == marked and told["before"]["via"] == told["after"]["via"] == "tried with it"
    assert team.entry(team.bert).strip() == "" and told["done"]["account"]["what"] == "removed"
    assert not may(old, "GET", team.maps) and not may(old, "POST", team.maps, ONE_MAP)


def test_rights_bound_to_the_issue_end_for_one_credential_and_go_on_with_the_next(team: Team) -> None:
    dora = team.person("dora")
    name = str(dora["name"])
    options = {"kubestead_people": [dora], "user_onboarding_owner": f"issue-{team.mark}", "user_onboarding_bound_to": "issue"}
    run = team.play("onboard_users", **options)
    assert run.status == 0, run.failures()
    old = team.in_hand(name)
    assert may(old, "POST", team.maps, ONE_MAP)
    run = team.play("onboard_users", user_onboarding_new_issue=[name], **options)
    assert run.status == 0, run.failures()
    fresh = team.in_hand(name)
    wait_until(lambda: may(fresh, "POST", team.maps, ONE_MAP) and not may(old, "GET", team.maps))
    assert sum(subject.startswith(f"{name}.") for _binding, subject in team.bindings()) == 1


def test_a_directory_that_is_down_keeps_nothing_else_from_being_done(team: Team) -> None:
    """Neither the rights from being taken nor the refusal from coming to the control plane nodes."""
    old = team.in_hand(team.cleo)
    login = {"bind_dn": "cn=x", "bind_pw": "y", "server_uri": "ldaps://127.0.0.1:1"}
    control_plane = {
        "user_offboarding_strategies": ["grants", "authorizer"],
        "user_offboarding_control_plane": ["localhost"],
        "user_offboarding_authorization_directory": str(team.folder),
        "user_offboarding_settle": 1,
    }
    run = team.offboard(team.cleo, user_offboarding_ldap=login, **control_plane)
    assert run.status != 0
    (report,) = run.facts("user_offboarding_report")
    assert not report["ok"] and report["failed"] == [] and "127.0.0.1:1" in str(report["problems"])
    wait_until(lambda: not may(old, "GET", team.maps))
    assert team.bind(team.cleo) == 0
    config = json.loads((team.folder / "authorization.json").read_text())
    assert team.cleo in config["authorizers"][0]["webhook"]["matchConditions"][0]["expression"]
    nowhere = Path(config["authorizers"][0]["webhook"]["connectionInfo"]["kubeConfigFile"])
    assert nowhere == team.folder / "nowhere.kubeconfig" and nowhere.stat().st_mode & 0o777 == 0o600
