# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything outside kubeconfig_render in memory, and a way to run the module's work in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._adapters import certificate_check
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Denied
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.kubeconfig_render import Outside, RenderFlow
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec

from fakes.kube_api import FakeKubeApi
from fakes.secret_store import FakeBackups, FakeLeftovers, FakeLocks, FakeSecretStore

NOW = 1_900_000_000.0
DEFAULTS: Mapping[str, Any] = {
    "state": "present",
    "embed": False,
    "expected_files": [],
    "expected_secrets": [],
    "verify": "none",
    "manager": None,
    "allow_plain": False,
    "backup": False,
    "backup_count": 5,
    "warn_before": "7d",
    "concurrency": 4,
    "on_error": "continue",
}


class World:
    """A host with files and locks, a cluster with objects, and the API servers that kubeconfigs point to."""

    def __init__(self) -> None:
        self.store = FakeSecretStore()
        self.locks = FakeLocks()
        self.leftovers = FakeLeftovers()
        self.backups = FakeBackups()
        self.kube = FakeKubeApi()
        self.now = NOW
        self.judge_pairs = False
        self.asked: list[tuple[Mapping[str, Any], str]] = []
        self.denied: set[str] = set()

    def connect(self, config: Mapping[str, Any], context: str) -> FakeKubeApi:
        self.asked.append((config, context))
        user = next(each["context"]["user"] for each in config["contexts"] if each["name"] == context)
        if user in self.denied:
            raise Denied(f"The server does not let {user} in.")
        return FakeKubeApi(user=user, groups=("team",))

    def flow(self, files: list[dict[str, Any]], *, check: bool = False, **options: Any) -> RenderFlow:
        outside = Outside(
            store=self.store,
            locks=self.locks,
            leftovers=self.leftovers,
            backups=self.backups,
            kube=lambda: self.kube,
            connect=self.connect,
            clock=lambda: self.now,
            end_of=certificate_check.end_of if self.judge_pairs else None,
            pair_problem=certificate_check.pair_problem if self.judge_pairs else None,
        )
        return RenderFlow.from_params({"files": files, **DEFAULTS, **options}, outside, check_mode=check)

    def run(self, files: list[dict[str, Any]], *, check: bool = False, **options: Any) -> tuple[Run, dict[str, dict[str, Any]]]:
        flow = self.flow(files, check=check, **options)
        plan = flow.decide(flow.observe())
        run = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        return run, {entry["name"]: entry for entry in map(entry_dict, settle(run))}

    def document(self, path: str) -> dict[str, Any]:
        return codec.load(self.store.files[path].content)


def person(name: str, user: Optional[dict[str, Any]] = None, **more: Any) -> dict[str, Any]:
    """One wanted file in which the person's user and context stand beside the cluster ``prod``."""
    return {
        "path": f"/k/{name}.config",
        "clusters": [{"name": "prod", "behavior": "merge", "cluster": {"server": "https://x:6443"}}],
        "users": [{"name": name, "behavior": "merge", "user": user or {"token": f"secret-{name}"}}],
        "contexts": [{"name": f"{name}@prod", "behavior": "merge", "context": {"cluster": "prod", "user": name}}],
        "current_context": f"{name}@prod",
        **more,
    }
