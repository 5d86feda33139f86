# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of k8s_user_cert inside of the test's process or of a fork of it: hundreds of them take seconds.

Everything is real but the shell around the module: its wiring, the store, the API server, the signer.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._adapters.folder_lock import FolderLock
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Stage
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Outcome, Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.k8s_user_cert import UserCertFlow
from ansible_collections.kubestead.platform.plugins.modules.k8s_user_cert import wire

DEFAULTS: dict[str, Any] = {
    "key_type": "ecdsa-p256",
    "key_policy": "rotate_on_renew",
    "lifetime": "1h",
    "renew_before": "33%",
    "signer": "kubernetes.io/kube-apiserver-client",
    "approve": "auto",
    "wait_timeout": "20s",
    "verify_login": False,
    "state": "present",
    "concurrency": 8,
    "on_error": "continue",
}
SIGNED = "signed"  # after the approvals, when the signer has signed them all
Hook = Callable[[Stage, int], None]


class Done(dict[str, dict[str, Any]]):
    """The entries of one run by name."""

    def __init__(self, run: Run, told: Mapping[str, Any]) -> None:
        entries = [entry_dict(verdict) for verdict in settle(run)]
        super().__init__({str(entry["name"]): entry for entry in entries})
        self.changed = bool(run.done)
        self.warnings = [*run.plan.warnings, *told.get("warnings", ())]

    def actions(self) -> set[str]:
        return {str(entry["action"]) for entry in self.values()}

    def errors(self) -> list[dict[str, Any]]:
        return [entry["error"] for entry in self.values() if "error" in entry]


class Runner:
    """Runs on one store. ``login`` are the connection options."""

    def __init__(self, store: Mapping[str, Any], login: Mapping[str, Any]) -> None:
        self.store, self.login = store, login

    def flow(self, *users: Any, **changes: Any) -> UserCertFlow:
        entries = [{"name": user} if isinstance(user, str) else user for user in users]
        return wire({**DEFAULTS, **self.login, "store": self.store, "users": entries, **changes})

    def run(
        self, *users: Any, check: bool = False, hook: Optional[Hook] = None, flow: Optional[UserCertFlow] = None, **changes: Any
    ) -> Done:
        """One run; ``hook`` is called after each outcome with its stage and its number."""
        flow = flow or self.flow(*users, **changes)
        plan = flow.decide(flow.observe())

        def execute(stage: Stage) -> Iterable[Outcome]:
            for number, outcome in enumerate(flow.execute(stage), 1):
                if hook is not None:
                    hook(stage, number)
                yield outcome

        try:
            run = Run(plan) if check else carry_out(plan, execute, stop_on_error=flow.stop_on_error)
            return Done(run, flow.report(run))
        finally:  # a process's end does that, but this one goes on
            let_go(flow._out.pairs)

    def killed(self, stage: str, after: int, *users: Any, **changes: Any) -> None:
        """A run in a fork that is ended by SIGKILL right after so many keys, requests, approvals and so on."""

        flow = self.flow(*users, **changes)
        calls = itertools.count(1)

        def die(at: str) -> None:
            if at == stage and next(calls) == after:
                if stage == SIGNED:
                    time.sleep(1)
                os.kill(os.getpid(), signal.SIGKILL)

        pairs, kube = flow._out.pairs, flow._out.kube
        prepare, install, call = pairs.prepare, pairs.install, kube.call
        pairs.prepare = lambda *given: (prepare(*given), die("keys"))  # type: ignore[method-assign]
        pairs.install = lambda *given: (install(*given), die("install"))  # type: ignore[method-assign]

        def dying_call(method: str, path: str, *rest: Any, **named: Any) -> Any:
            answer = call(method, path, *rest, **named)
            if "certificatesigningrequests" in path:
                point = {"POST": "request", "PUT": "approve", "DELETE": "clean"}.get(method, "")
                die(SIGNED if (point, stage) == ("approve", SIGNED) else point)
            return answer

        kube.call = dying_call  # type: ignore[method-assign]

        def hook(at: Stage, _number: int) -> None:
            if at.name == "collect":
                die("collect")

        status = forked(lambda: self.run(flow=flow, hook=hook))()
        assert os.WIFSIGNALED(status), f"the run came to its end before {stage} {after}"


def let_go(store: Any) -> None:
    """End the hold of a finished run on its folder; a store without one, such as that of Secrets, has none."""
    lock = getattr(store, "_lock", None)
    if isinstance(lock, FolderLock) and lock._held is not None:
        lock._held.close()


def forked(task: Callable[[], Any], result: Optional[Path] = None) -> Callable[[], int]:
    """Start ``task`` in a fork; the returned call waits for it and gives its status. What it returns goes to ``result``."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            answer = task()
            if result is not None:
                result.write_text(json.dumps(answer))
            code = 0
        except BaseException:  # noqa: BLE001 - a fork must not go on with its parent's test
            traceback.print_exc()
        finally:
            os._exit(code)
    return lambda: os.waitpid(pid, 0)[1]


def belongs_together(key: bytes, certificate: bytes) -> bool:
    facts = Keys().inspect(key)
    return facts is not None and facts.public_key_hash == read_certificate(certificate).public_key_hash


def whole_pairs(folder: Path, names: Iterable[str]) -> bool:
    """Whether the keys and the certificates of these people belong together, where both are in place."""
    for name in names:
        paths = folder / f"{name}.key", folder / f"{name}.crt"
        if all(os.path.lexists(path) for path in paths) and not belongs_together(*(path.read_bytes() for path in paths)):
            return False
    return True
