# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info and the role access_report on the lab: a real directory, real certificates, real rights."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from directory_place import DS389, SLAPD, Place
from integration.browser import Browser
from integration.certificate_operator import Operator, documented
from integration.conftest import ROOT, ansible_env
from integration.downloads import browser as install_browser
from scale import scaled

PYTHON = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}


@dataclass
class Platform:
    """People of one test, in a directory, with certificates and with rights."""

    lab: Any
    place: Place
    call: Callable[..., Any]
    folder: Path

    def __post_init__(self) -> None:
        self.namespace = f"{self.place.mark}-red"
        self.anna, self.bert, self.dora = (self.place.uid(name) for name in ("anna", "bert", "dora"))
        self.team, self.owner = f"{self.place.mark}-team", f"{self.place.mark}-owner"
        red = [{"role": "edit", "namespaces": [self.namespace]}]
        self.people = [
            {"name": self.anna, "full_name": "Anna Berg", "groups": [self.team], "access": red},
            {"name": self.bert, "full_name": "Bert", "groups": [self.team], "access": red},
            {"name": self.dora, "full_name": "<script>alert(1)</script>", "groups": [], "state": "disabled"},
        ]

    def begin(self) -> None:
        """All is as the list has it."""
        self.place.begin()
        grant = {"cluster_role": "edit", "namespaces": [self.namespace]}
        accounts = [
            {
                "uid": one["name"],
                "cn": one["full_name"],
                "sn": "x",
                "enabled": one.get("state") != "disabled",
                "groups": one["groups"],
            }
            for one in self.people
        ]
        self.done(self.place.run(*accounts))
        users = [{"name": name, "groups": [self.team]} for name in (self.anna, self.bert)]
        self.done(self.call("k8s_user_cert", {"users": users, "store": {"directory": str(self.folder)}, "lifetime": "1h"}))
        grants = [{"subjects": {"users": [name]}, **grant} for name in (self.anna, self.bert)]
        self.done(self.call("rbac_grant", {"owner": self.owner, "grants": grants, "create_namespaces": True}))

    def done(self, run: Any) -> None:
        assert not run["failed"], run.output

    def end(self) -> None:
        self.lab.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        self.place.end()

    def options(self) -> dict[str, Any]:
        """What access_info is told."""
        bases = {"user_base": self.place.people, "group_base": self.place.groups}
        return {
            "people": self.people,
            "owner": self.owner,
            "directory": {**self.place.login, **bases},
            "certificates": {"directories": [str(self.folder)]},
            "warn_before": "10m",
        }

    def read(self, **more: Any) -> Any:
        run = self.call("access_info", {**self.options(), **more})
        assert not run["failed"], run.output
        return run

    def findings(self, run: Any) -> list[tuple[str, str, str]]:
        """Those about our own; the lab serves other tests too."""
        ours = [one for one in run["findings"] if self.place.mark in f"{one['who']} {one['where']} {one['what']}"]
        return [(one["kind"], one["who"].removeprefix(f"{self.place.mark}-"), one["severity"]) for one in ours]


def platform_on(lab: Any, serve_module: Callable[..., Any], folder: Path, server: str) -> Platform:
    return Platform(lab, Place(lab, serve_module, folder, server), serve_module, folder / "certificates")


@pytest.fixture
def platform(lab: Any, serve_module: Callable[..., Any], tmp_path: Path) -> Iterator[Platform]:
    made = platform_on(lab, serve_module, tmp_path, SLAPD)
    made.begin()
    yield made
    made.end()


def test_rights_are_what_the_api_server_says(lab: Any) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    driver = str(Path(__file__).with_name("access_driver.py"))
    done = json.loads(lab.exec(sys.executable, driver, str(seed), str(scaled(2000)), env=PYTHON).stdout)
    assert done["differ"] == [], f"seed {seed}"
    assert done["asked"] >= scaled(2000) and done["asked"] // 50 < done["allowed"] < done["asked"]


def test_people_as_they_are(platform: Platform) -> None:
    run = platform.read(questions=[{"verb": "delete", "resource": "pods", "namespace": platform.namespace}])
    assert platform.findings(run) == [] and not run["changed"]
    anna = run.entry(platform.anna)
    assert anna["groups"] == [{"name": platform.team, "sources": ["certificates", "directory", "people"]}]
    (certificate,) = anna["certificates"]
    assert certificate["found_in"] == ["file", "ledger"] and 0 < certificate["seconds_left"] <= 3600
    assert [(one["role"], one["where"], one["standing"]) for one in anna["rights"]] == [("edit", platform.namespace, "list")]
    assert [name for name in run["answers"][0]["who"] if platform.place.mark in name] == [platform.anna, platform.bert]
    dora = run.entry(platform.dora)
    assert dora["account"]["locked"] and dora["rights"] == [] and dora["certificates"] == []
    assert "PRIVATE" not in run.output


def test_drift_is_found(platform: Platform) -> None:
    lab, place, red = platform.lab, platform.place, platform.namespace
    lab.kubectl("create", "rolebinding", "by-hand", "--clusterrole=admin", f"--user={place.uid('eve')}", "-n", red)
    lab.kubectl("create", "rolebinding", "group", "--clusterrole=view", f"--group={platform.team}", "-n", red)
    platform.done(place.run({"uid": place.uid("backup"), "cn": "b", "sn": "b"}))
    platform.done(place.run({"uid": platform.bert, "enabled": False}))
    (right,) = [one for one in platform.read().entry(platform.bert)["rights"] if one["standing"] == "list"]
    lab.kubectl("delete", "rolebinding", "-n", red, right["binding"].rpartition("/")[2])
    other = {"users": [{"name": place.uid("fred")}], "store": {"directory": str(platform.folder.parent / "other")}}
    platform.call("k8s_user_cert", {**other, "approve": "skip", "lifetime": "1h"})
    run = platform.read()
    mark = f"group {place.mark}-team"
    assert platform.findings(run) == [
        ("account_without_person", "backup", "problem"),
        ("account_locked", "bert", "problem"),
        ("right_missing", "bert", "problem"),
        ("right_not_asked", mark, "problem"),
        ("right_not_asked", "eve", "problem"),
        ("right_through_group", "anna", "notice"),
        ("right_through_group", "bert", "notice"),
        ("request_open", "fred", "notice"),
    ]
    assert next(one["level"] for one in run.entry(place.uid("eve"))["rights"]) == "hands on"
    platform.done(platform.call("k8s_user_cert", {**other, "state": "absent"}))


def test_certificates_in_secrets(platform: Platform) -> None:
    store = {"secret": {"namespace": platform.namespace, "name_template": "{name}-certificate"}}
    platform.done(platform.call("k8s_user_cert", {"users": [{"name": platform.dora}], "store": store, "lifetime": "1h"}))
    run = platform.read(certificates={"namespaces": [platform.namespace]})
    (one,) = run.entry(platform.dora)["certificates"]
    assert one["found_in"] == ["secret", "ledger"] and one["place"].startswith(f"secret {platform.namespace}/")
    assert ("certificate_of_leaver", "dora", "notice") in platform.findings(run)
    assert "PRIVATE" not in run.output and "LS0tLS1CRUdJTiBQ" not in run.output


def test_the_documented_rights_are_enough_and_all_needed(platform: Platform) -> None:
    rules = documented("ClusterRole", ROOT / "docs" / "docsite" / "rst" / "report.rst")["rules"]
    kubeconfig = platform.lab.env["KUBECONFIG"]
    with Operator(kubeconfig, rules) as operator:
        assert platform.findings(platform.read(**operator.login)) == []
    for rule in rules:
        with Operator(kubeconfig, [one for one in rules if one is not rule]) as weak:
            run = platform.call("access_info", {**platform.options(), **weak.login})
            assert run["failed"] and run["error"]["code"] == "denied", run.output


@pytest.mark.parametrize("server", [SLAPD, DS389])
def test_locks_of_both_servers_are_seen(lab: Any, serve_module: Callable[..., Any], tmp_path: Path, server: str) -> None:
    platform = platform_on(lab, serve_module, tmp_path, server)
    platform.place.begin()
    try:
        names = {platform.anna: True, platform.dora: False}
        accounts = [{"uid": name, "cn": "x", "sn": "x", "enabled": enabled} for name, enabled in names.items()]
        platform.done(platform.place.run(*accounts, {"uid": platform.bert, "cn": "x", "sn": "x", "expires": "2030-01-31"}))
        run = platform.read(certificates={"requests": False}, people=None)
        locked = {name: run.entry(name)["account"]["locked"] for name in (platform.anna, platform.bert, platform.dora)}
        assert locked == {platform.anna: False, platform.bert: False, platform.dora: True}
        assert run.entry(platform.bert)["account"]["expires"] in ("2030-01-31", "2030-02-01")
    finally:
        platform.place.end()


class TestRole:
    """The role, played as a user would."""

    @pytest.fixture
    def play(self, platform: Platform, tmp_path: Path) -> Callable[..., dict[str, Any]]:
        def run(*options: str, fails: bool = False, **more: Any) -> dict[str, Any]:
            told = platform.options()
            bases = {f"access_report_{name}": told["directory"].pop(name) for name in ("user_base", "group_base")}
            variables = {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "kubestead_people": platform.people,
                "kubestead_ldap": told["directory"],
                **bases,
                "access_report_directory": str(tmp_path / "report"),
                "access_report_certificates": told["certificates"],
                "access_report_grants_owner": platform.owner,
                "access_report_cluster": "lab",
                "access_report_warn_before": "10m",
                **more,
            }
            (tmp_path / "variables.yml").write_text(yaml.safe_dump(variables), encoding="utf-8")
            inventory = tmp_path / "inventory.yml"
            inventory.write_text("kubestead_control: {hosts: {control: {}}}\n", encoding="utf-8")
            command = [str(Path(sys.executable).parent / "ansible-playbook"), "kubestead.platform.report_access"]
            command += ["-i", str(inventory), "-e", f"@{tmp_path}/variables.yml", *options]
            done = platform.lab.exec(*command, check=False, env=ansible_env())
            assert (done.returncode != 0) == fails, done.stdout + done.stderr
            document, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.find("{\n") :])
            return dict(document)

        return run

    def test_the_files(self, platform: Platform, play: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
        folder = tmp_path / "report"
        assert play("--check")["stats"]["control"]["failures"] == 0
        assert not folder.exists()
        play()
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert modes == dict.fromkeys(("access.json", "access.csv", "findings.csv", "access.html"), 0o600)
        assert folder.stat().st_mode & 0o777 == 0o700
        told = json.loads((folder / "access.json").read_text(encoding="utf-8"))
        assert {platform.anna, platform.bert, platform.dora} <= {one["name"] for one in told["entries"]}
        with (folder / "access.csv").open(newline="", encoding="utf-8") as file:
            rows = {row["person"]: row for row in csv.DictReader(file)}
        assert (rows[platform.anna]["role"], rows[platform.anna]["where"]) == ("edit", platform.namespace)
        assert rows[platform.dora]["full_name"] == "<script>alert(1)</script>" and rows[platform.dora]["account"] == "locked"
        self.opened(platform, folder / "access.html", tmp_path)

    def opened(self, platform: Platform, path: Path, tmp_path: Path) -> None:
        """The page of real people in a real browser."""
        install_browser()
        browser = Browser(tmp_path / "browser")
        try:
            browser.open(path)
            browser.write("#search", platform.dora)
            browser.until(lambda: len(browser.texts("#rights tbody tr")) == 1)
            assert "<script>alert(1)</script>" in browser.texts("#rights tbody th")[0]
            assert browser.alert() == "" and browser.complaints() == []
        finally:
            browser.close()

    def test_it_fails_on_what_must_not_be(
        self, platform: Platform, play: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        hand = ("create", "rolebinding", "by-hand", "--clusterrole=view", f"--user={platform.dora}", "-n", platform.namespace)
        platform.lab.kubectl(*hand)
        document = play(fails=True, access_report_fail_on=["right_of_leaver"], access_report_formats=["json"])
        last = document["plays"][0]["tasks"][-1]["hosts"]["control"]
        assert last["msg"].startswith("right_of_leaver was found") and (tmp_path / "report" / "access.json").is_file()
        assert not (tmp_path / "report" / "access.html").exists()

    def test_a_report_for_everybody_is_refused(self, play: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
        document = play(fails=True, access_report_mode="0644")
        assert "Choose 0600" in str(document["plays"][0]["tasks"][-1]) and not (tmp_path / "report").exists()
