# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""People with real certificates and rights, runs of access_cutoff on them, and what their old credentials can do."""

from __future__ import annotations

import base64
import json
import os
import signal
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_login import login_from_kubeconfig
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Denied
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.denials import NOWHERE
from ansible_collections.kubestead.platform.plugins.modules.access_cutoff import SPEC, wire

from .certificate_operator import RBAC, wait_until
from .certificate_runs import Runner, forked, let_go

DEFAULTS: dict[str, Any] = {
    **{name: option.get("default") for name, option in SPEC.items()},
    "state": "present",
    "concurrency": 8,
    "on_error": "continue",
}
LOG_IN, READ, WRITE, COMMON = "log in", "list configmaps", "create a configmap", "read /api"


class Leaving:
    """A namespace, people in it, a folder as user_onboarding keeps it, and a list of refusals of its own."""

    def __init__(self, kubeconfig: str, folder: Path) -> None:
        self.kubeconfig, self.folder = kubeconfig, folder
        self.admin = KubeApiClient.from_params({"kubeconfig": kubeconfig})
        self.mark = uuid.uuid4().hex[:8]
        self.namespace = f"leave-{self.mark}"
        self.records = folder / "offboarding"
        self.certificates = Runner({"directory": str(folder / "certificates")}, {"kubeconfig": kubeconfig})
        self.maps = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.list = f"cutoff-{self.mark}"
        self.admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def clean(self) -> None:
        """Take away what was made."""
        self.clean_policy()
        self.admin.call("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def clean_policy(self) -> None:
        """As if it had never been made."""
        policies = "/apis/admissionregistration.k8s.io/v1/validatingadmission"
        for path in (f"{policies}policybindings/{self.list}", f"{policies}policies/{self.list}"):
            with suppress(BackendFailed):
                self.admin.call("DELETE", path)

    def person(self, word: str, *, groups: tuple[str, ...] = (), bound: Optional[tuple[str, str]] = None, **cert: Any) -> str:
        """Somebody with a certificate, a kubeconfig, and ``edit`` by a binding of this collection."""
        name = f"{word}-{self.mark}"
        assert self.certificates.run({"name": name, "groups": list(groups)}, **cert).errors() == []
        self.save(name)
        self.bind(bound or ("User", name))
        wait_until(lambda: may(self.client(name), "GET", self.maps))
        return name

    def save(self, name: str, server: str = "") -> dict[str, Any]:
        """The kubeconfig of somebody with the pair as it is now."""
        cluster = dict(json.loads(Path(self.kubeconfig).read_text())["clusters"][0]["cluster"])
        pair = {
            part: base64.b64encode((self.folder / "certificates" / f"{name}.{part}").read_bytes()) for part in ("crt", "key")
        }
        config = {
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {**cluster, **({"server": server} if server else {})}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "users": [
                {
                    "name": name,
                    "user": {"client-certificate-data": pair["crt"].decode(), "client-key-data": pair["key"].decode()},
                }
            ],
        }
        path = self.path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return config

    def path(self, name: str) -> Path:
        """Where the kubeconfig is."""
        return self.folder / "kubeconfigs" / f"{name}.kubeconfig"

    def client(self, name: str, server: str = "") -> KubeApiClient:
        """The old credential in hand, whatever becomes of the files."""
        return KubeApiClient(login_from_kubeconfig(self.save(name, server)), repeats=False)

    def bind(self, subject: tuple[str, str], *, owner: str = "leaving", role: str = "edit") -> str:
        """A binding in the namespace; its path."""
        kind, name = subject
        path = f"{RBAC}/namespaces/{self.namespace}/rolebindings"
        body = {
            "metadata": {"generateName": "b-", "labels": {"kubestead.platform/owner": owner} if owner else {}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}],
        }
        return f"{path}/{self.admin.call('POST', path, body)['metadata']['name']}"

    def params(self, *names: str, **options: Any) -> dict[str, Any]:
        """The options of a run."""
        return {
            **DEFAULTS,
            "kubeconfig": self.kubeconfig,
            "people": [{"name": name, "kubeconfig": str(self.path(name))} for name in names],
            "directory": str(self.records),
            "certificates": str(self.folder / "certificates"),
            "list_name": self.list,
            **options,
        }

    def cut(self, *names: str, **options: Any) -> Done:
        """A run inside of this process."""
        flow = wire(self.params(*names, **options))
        plan = flow.decide(flow.observe())
        run = carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        let_go(flow._out.files)
        return Done(run, flow.report(run))

    def killed(self, number: int, name: str, **options: Any) -> bool:
        """A run in a fork that is gone right after that write to the cluster; whether it came so far."""

        def die() -> None:
            flow = wire(self.params(name, **options))
            kube: Any = flow._api
            call, left = kube.call, [number]

            def dying(method: str, path: str, *rest: Any, **named: Any) -> Any:
                answer = call(method, path, *rest, **named)
                if method != "GET" and "reviews" not in path:
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                return answer

            kube.call = dying
            carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=False)

        return os.WIFSIGNALED(forked(die)())

    def record(self, name: str) -> dict[str, Any]:
        """What is written down of somebody."""
        return dict(json.loads((self.records / f"{name}.json").read_text()))


class Done:
    """A run's entries by kind and name, and its proofs."""

    def __init__(self, run: Run, told: Mapping[str, Any]) -> None:
        self.entries = {(one.kind, one.name): entry_dict(one) for one in settle(run)}
        self.changed, self.told = bool(run.done), told

    def failures(self) -> list[Any]:
        return [entry["error"] for entry in self.entries.values() if entry["action"] == "failed"]

    def matrix(self, name: str) -> dict[str, tuple[str, str]]:
        """For each thing that was tried: the answer before and after."""
        proof = self.entries["proof", name]
        before = {one["what"]: one["answer"] for one in proof["before"]}
        after = {one["what"]: one["answer"] for one in proof["after"]}
        found = {}
        for word in (LOG_IN, READ, WRITE, COMMON):
            what = next(what for what in {**before, **after} if what.startswith(word))
            found[word] = (before.get(what, ""), after.get(what, ""))
        return found


def may(client: KubeApiClient, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> bool:
    """Whether the server lets them; a write has no effect."""
    try:
        client.call(method, path, body, {"dryRun": "All"} if method != "GET" else None)
    except Denied:
        return False
    except BackendFailed as exc:  # the answer of an API server whose authorizer asks nobody
        if NOWHERE not in str(exc):
            raise
        return False
    return True
