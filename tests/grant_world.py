# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace and an owner of one test of grants, on the lab's API server."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import grant_options

ROOT = Path(__file__).resolve().parents[1]
PYTHON = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}
OWNER = "kubestead.platform/owner"
RBAC = "rbac.authorization.k8s.io"
DEFAULTS: dict[str, Any] = {**grant_options.DEFAULTS, "prune": True}


class World:
    """A namespace and an owner of one test."""

    def __init__(self, lab: Any, serve_module: Callable[..., Any]) -> None:
        self.lab = lab
        mark = uuid.uuid4().hex[:8]
        self.owner, self.namespace = f"test-{mark}", f"time-{mark}"
        self.anna = f"anna-{mark}"
        self._serve = serve_module

    def grant(self, user: str = "", **entry: Any) -> dict[str, Any]:
        who = {"subjects": {"users": [user or self.anna]}}
        place = {} if "scope" in entry or "namespace_selector" in entry else {"namespaces": [self.namespace]}
        role = {} if {"rules", "preset", "role"} & entry.keys() else {"cluster_role": "edit"}
        return {**who, **place, **role, **entry}

    def run(self, *grants: dict[str, Any], check: bool = False, diff: bool = False, **options: Any) -> Any:
        task = {"owner": self.owner, "grants": list(grants), "prune": True, "kubeconfig": self.lab.env["KUBECONFIG"], **options}
        return self._serve("rbac_grant", task, check=check, diff=diff)

    def drive(self, *grants: dict[str, Any], options: Any = None, **moment: Any) -> Any:
        params = {**DEFAULTS, "owner": self.owner, "grants": list(grants), "kubeconfig": self.lab.env["KUBECONFIG"]}
        task = {"params": {**params, **(options or {})}, **moment}
        driver = str(ROOT / "tests/integration/grant_driver.py")
        done = self.lab.exec(sys.executable, driver, stdin=json.dumps(task), check=False, env=PYTHON)
        return json.loads(done.stdout) if done.stdout.startswith("[") else done

    def end(self) -> None:
        """Remove all of it."""
        for label in (f"{OWNER}={self.owner}", f"test={self.owner}"):
            self.lab.kubectl("delete", "clusterrolebindings,clusterroles", "-l", label, "--ignore-not-found")
        self.lab.kubectl("delete", "namespaces", "-l", f"test={self.owner}", "--wait=false")

    def bindings(self) -> dict[str, str]:
        """The role each binding of the namespace refers to, by its name."""
        found = json.loads(self.lab.kubectl("get", "rolebindings", "-n", self.namespace, "-o", "json").stdout)["items"]
        return {one["metadata"]["name"]: one["roleRef"]["name"] for one in found}

    def roles(self) -> list[dict[str, Any]]:
        return list(json.loads(self.lab.kubectl("get", "roles", "-n", self.namespace, "-o", "json").stdout)["items"])

    def apply(self, *things: dict[str, Any]) -> None:
        self.lab.exec("kubectl", "apply", "-f", "-", stdin=yaml.safe_dump_all(things))

    def may(self, verb: str, what: str, user: str = "") -> bool:
        what, _slash, sub = what.partition("/")
        more = ["--subresource", sub] if sub else []
        asked = self.lab.kubectl(
            "auth", "can-i", verb, what, *more, "--as", user or self.anna, "-n", self.namespace, check=False
        )
        return bool(asked.stdout.strip() == "yes")

    def caller(self, name: str, rules: list[dict[str, Any]], namespaced: list[dict[str, Any]]) -> str:
        """A user who holds these rules in the whole cluster, and those in the namespace."""
        user = f"{name}-{self.owner}"
        subjects = [{"kind": "User", "name": user, "apiGroup": RBAC}]
        meta = {"name": user, "labels": {OWNER: self.owner}}
        for kind, held, place in (("ClusterRole", rules, {}), ("Role", namespaced, {"namespace": self.namespace})):
            head = {"apiVersion": f"{RBAC}/v1", "metadata": {**meta, **place, "labels": {"test": self.owner}}}
            ref = {"apiGroup": RBAC, "kind": kind, "name": user}
            self.apply(
                {**head, "kind": kind, "rules": held},
                {**head, "kind": f"{kind}Binding", "roleRef": ref, "subjects": subjects},
            )
        return user
