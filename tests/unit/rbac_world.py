# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cluster in memory, and a run of rbac_grant on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import render_diff
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.rbac_grant import Outside, RbacGrantFlow
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects

import grant_options
from fakes.kube_api import FakeKubeApi

NOW = 1_800_000_000
VIEW = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
EDIT = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list"]}]
ALL = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
DEFAULTS: dict[str, Any] = {**grant_options.DEFAULTS, "owner": "teams", "prune": False}


def cluster() -> FakeKubeApi:
    api = FakeKubeApi()
    for name in ("red", "blue", "kube-system"):
        api.put(f"{objects.NAMESPACES}/{name}", {"metadata": {}, "status": {"phase": "Active"}})
    for name, rules in (("view", VIEW), ("edit", EDIT), ("cluster-admin", ALL), ("own-admin", ALL), ("system:node", [])):
        api.put(f"{objects.CLUSTER_ROLES}/{name}", {"metadata": {}, "rules": rules})
    api.put(f"{objects.RBAC}/namespaces/red/roles/deployer", {"metadata": {}, "rules": []})
    return api


def users(*names: str, **entry: Any) -> dict[str, Any]:
    return {"subjects": {"users": list(names)}, "cluster_role": "edit", "namespaces": ["red"], **entry}


def outside(api: FakeKubeApi, now: int = NOW) -> Callable[[Any], Outside]:
    """Time passes only while somebody waits."""
    waited: list[float] = []
    return lambda _params: Outside(api, lambda: now + sum(waited), waited.append)


class Result:
    """A run as the shell would tell it."""

    def __init__(self, api: FakeKubeApi, *grants: dict[str, Any], check: bool = False, now: int = NOW, **options: Any) -> None:
        flow = RbacGrantFlow.from_params({**DEFAULTS, "grants": list(grants), **options}, outside(api, now), check_mode=check)
        calls, writes = len(api.calls), len(api.writes)
        plan = flow.decide(flow.observe())
        self.run = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        self.verdicts = {verdict.name: verdict for verdict in settle(self.run)}
        self.actions = {name: "failed" if one.error else one.action for name, one in self.verdicts.items()}
        self.diff = render_diff(self.run.done)
        self.calls = api.calls[calls:]
        self.writes = [method for method, _path in api.writes[writes:]]
        self.told: Mapping[str, Any] = flow.report(self.run)

    def error(self, name: str) -> str:
        error = self.verdicts[name].error
        assert error is not None
        return error.sentence()


def bindings(api: FakeKubeApi) -> list[str]:
    return sorted(path for path in api.objects if "bindings/" in path)
