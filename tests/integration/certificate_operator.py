# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody with exactly the rights that the guide of the certificates documents, or with fewer of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "docsite" / "rst" / "certificates.rst"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def documented(kind: str, guide: Path = GUIDE) -> dict[str, Any]:
    """The object of that kind in a guide."""
    blocks = guide.read_text(encoding="utf-8").split(".. code-block:: yaml\n")[1:]
    for block in blocks:
        indented = block.strip("\n").splitlines()
        end = next((at for at, line in enumerate(indented) if line and not line.startswith("    ")), len(indented))
        for document in yaml.safe_load_all("\n".join(line[4:] for line in indented[:end])):
            if isinstance(document, dict) and document.get("kind") == kind:
                return dict(document)
    raise AssertionError(f"the guide has no {kind}")


class Operator:
    """A user with those rules, by impersonation. Gone after ``with``."""

    def __init__(
        self, kubeconfig: str, rules: Sequence[Mapping[str, Any]], in_namespaces: Optional[Mapping[str, Any]] = None
    ) -> None:
        self.kubeconfig = kubeconfig
        self.user = f"cert-operator-{uuid.uuid4().hex[:8]}"
        self.admin = KubeApiClient.from_params({"kubeconfig": kubeconfig})
        self._rules, self._in_namespaces = list(rules), dict(in_namespaces or {})
        self._made: list[str] = []

    @property
    def login(self) -> dict[str, Any]:
        """The module's connection options."""
        return {"kubeconfig": self.kubeconfig, "impersonate_user": self.user}

    def __enter__(self) -> Operator:
        self.grant(*self._rules)
        for namespace, rules in self._in_namespaces.items():
            below = f"{RBAC}/namespaces/{namespace}"
            self._grant(f"{below}/roles", f"{below}/rolebindings", "Role", rules)
        return self

    def __exit__(self, *_error: object) -> None:
        for path in self._made:
            with suppress(BackendFailed):  # gone with its namespace
                self.admin.call("DELETE", path)

    def grant(self, *rules: Mapping[str, Any]) -> None:
        """More rights, in the whole cluster."""
        self._grant(f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings", "ClusterRole", rules)

    def grant_in(self, namespace: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """More rights, in one namespace."""
        below = f"{RBAC}/namespaces/{namespace}"
        self._grant(f"{below}/roles", f"{below}/rolebindings", "Role", rules)

    def _grant(self, roles: str, bindings: str, kind: str, rules: Sequence[Mapping[str, Any]]) -> None:
        name = f"{self.user}-{len(self._made)}"
        self.admin.call("POST", roles, {"kind": kind, "metadata": {"name": name}, "rules": list(rules)})
        binding = {
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.user}],
        }
        self.admin.call("POST", bindings, binding)
        self._made += [f"{bindings}/{name}", f"{roles}/{name}"]
        namespace = roles.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in roles else ""
        wait_until(lambda: all(self._has(rule, verb, namespace) for rule in rules for verb in rule["verbs"]))

    def _has(self, rule: Mapping[str, Any], verb: str, namespace: str) -> bool:
        resource, _slash, sub = rule["resources"][0].partition("/")
        asked = {
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": sub,
            "verb": verb,
            "name": (rule.get("resourceNames") or [""])[0],
            "namespace": namespace,
        }
        review = {"kind": "SubjectAccessReview", "spec": {"user": self.user, "resourceAttributes": asked}}
        answer = self.admin.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"].get("allowed"))


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that the cluster does on its own."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
