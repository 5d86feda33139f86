# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks run on a whole lab as a user would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.conftest import ROOT, Lab, ansible_env
from integration.plays import PlayRun

MODULES = ("lvm_ceph_disk", "ldap_account", "k8s_user_cert", "kubeconfig_render", "rbac_grant")


class SiteRun(PlayRun):
    """One run of a playbook, and what our modules report in it."""

    def results(self, module: str) -> list[tuple[str, dict[str, Any]]]:
        """Host and result of every task of a module that is not the login check."""
        return [
            (host, result)
            for play in self.document["plays"]
            for task in play["tasks"]
            for host, result in task["hosts"].items()
            if result.get("action", "").endswith(f".{module}") and "Verify |" not in task["task"]["name"]
        ]

    def entries(self) -> list[tuple[str, str, str, str, str]]:
        """Module, host, kind, name and action of everything our modules report."""
        return [
            (module, host, entry["kind"], entry["name"], entry["action"])
            for module in MODULES
            for host, result in self.results(module)
            for entry in result["entries"]
        ]

    def report(self) -> dict[str, Any]:
        """What user_onboarding says about each person."""
        return dict(self.facts("user_onboarding_report")[-1])


@dataclass(frozen=True)
class Books:
    """The lab, and a folder for the variables of each run."""

    lab: Lab
    folder: Path

    def command(self, book: str, *options: str, inventory: str = "", **variables: Any) -> list[str]:
        """The command that runs a playbook of the collection with these variables beside the lab's own."""
        values = self.folder / "values.json"
        values.write_text(json.dumps(variables), encoding="utf-8")
        files = [str(ROOT / "tests/lab/vars.yml"), str(ROOT / "tests/lab/people.yml"), str(values)]
        given = [word for path in files for word in ("-e", f"@{path}")]
        where = ["-i", inventory or self.lab.env["KUBESTEAD_LAB_INVENTORY"]]
        return ["ansible-playbook", f"kubestead.platform.{book}", *where, *given, *options]

    def play(self, book: str, *options: str, inventory: str = "", **variables: Any) -> SiteRun:
        """One run of it."""
        command = self.command(book, *options, inventory=inventory, **variables)
        return SiteRun.of(self.lab.exec(*command, check=False, timeout=900, env=ansible_env()))
