# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the suites of the certificates share: a task's options, a cluster in memory, runs as the shell makes them."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.local_ca import LocalCa
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.pair_store import LedgerFile, PairStore
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_pairs import SecretLedger, SecretPairs
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Wanted, read_wanted
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Plan, Verdict
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Outcome, Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.cert_ports import Outside
from ansible_collections.kubestead.platform.plugins.module_utils._flows.k8s_user_cert import UserCertFlow

from fakes.csr_signer import REQUESTS, CsrSigner
from fakes.kube_api import FakeKubeApi

SECRETS = "/api/v1/namespaces/people/secrets"
NOW = datetime.datetime(2026, 11, 24, 12, 0, 0, tzinfo=datetime.timezone.utc)


def options(*users: Any, **changes: Any) -> dict[str, Any]:
    """A task's options as AnsibleModule hands them over."""
    entries = [{"name": user} if isinstance(user, str) else user for user in users]
    blank = {"groups": None, "lifetime": None, "expires": None, "state": None, "csr": None}
    return {
        "users": [{**blank, **entry} for entry in entries],
        "key_type": "ecdsa-p256",
        "key_policy": "rotate_on_renew",
        "lifetime": "30d",
        "renew_before": "33%",
        "signer": "kubernetes.io/kube-apiserver-client",
        "approve": "auto",
        "wait_timeout": "1s",
        "verify_login": False,
        "state": "present",
        "concurrency": 4,
        "on_error": "continue",
        **changes,
    }


def wanted(*users: Any, **changes: Any) -> Wanted:
    return read_wanted(options(*users, **changes))


class Killed(BaseException):
    """Stands for a SIGKILL: nothing catches it."""


@dataclass
class LoginAs:
    """A login that answers as it is told; by default as the certificate says."""

    answer: Optional[tuple[str, tuple[str, ...]]] = None
    tried: list[str] = field(default_factory=list)

    def who(self, cert_pem: str, key_pem: bytes) -> tuple[str, tuple[str, ...]]:
        from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate

        assert b"PRIVATE KEY" in key_pem
        certificate = read_certificate(cert_pem)
        self.tried.append(certificate.name)
        return self.answer or (certificate.name, (*certificate.groups, "system:authenticated"))


@dataclass
class Done:
    """What one run planned and did."""

    plan: Plan
    run: Run
    verdicts: tuple[Verdict, ...]
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.run.done)

    def __getitem__(self, name: str) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    def action(self, name: str) -> tuple[str, str]:
        return self[name].action, self[name].reason

    def error(self, name: str) -> str:
        error = self[name].error
        assert error is not None, self[name]
        return error.sentence()


class World:
    """A cluster, a folder and a clock that tests may set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.api = FakeKubeApi()
        self.signer = CsrSigner(self.api)
        self.login = LoginAs()
        self.now = NOW.timestamp()
        self.die_after = ""
        self.in_secrets = False
        self.authority: Optional[LocalCa] = None

    def keep_in_secrets(self) -> None:
        """From now on the store is a namespace."""
        self.in_secrets = True
        self.api.put(SECRETS.rsplit("/", 1)[0], {"kind": "Namespace"})

    def pass_time(self, **amount: float) -> None:
        self.now += datetime.timedelta(**amount).total_seconds()

    def flow(self, params: Mapping[str, Any]) -> UserCertFlow:
        self.signer.now = datetime.datetime.fromtimestamp(self.now, datetime.timezone.utc)
        pairs: Any = PairStore(str(self.folder), patience=0.3)
        ledger: Any = LedgerFile(str(self.folder))
        if self.in_secrets:
            pairs, ledger = SecretPairs(self.api, "people", "{name}-certificate"), SecretLedger(self.api, "people")
        keys = Keys(params.get("key_passphrase"))
        outside = Outside(self.api, pairs, ledger, keys, self.login, lambda: self.now, self.authority)
        return UserCertFlow.from_params(params, outside)

    def run(self, *users: Any, check: bool = False, **changes: Any) -> Done:
        params = options(*users, **changes)
        flow = self.flow(params)
        plan = flow.decide(flow.observe())

        def execute(stage: Any) -> list[Outcome]:
            outcomes = list(flow.execute(stage))
            if stage.name == self.die_after:
                raise Killed
            return outcomes

        run = Run(plan) if check else carry_out(plan, execute, stop_on_error=flow.stop_on_error)
        return Done(plan, run, settle(run), flow.report(run))

    def killed_run(self, after: str, *users: Any, **changes: Any) -> None:
        self.die_after = after
        with pytest.raises(Killed):
            self.run(*users, **changes)
        self.die_after = ""

    def requests(self) -> dict[str, dict[str, Any]]:
        return {path: obj for path, obj in self.api.objects.items() if path.startswith(REQUESTS)}

    def certificate(self, name: str) -> str:
        return (self.folder / f"{name}.crt").read_text()

    def key(self, name: str) -> bytes:
        return (self.folder / f"{name}.key").read_bytes()

    def secret(self, name: str) -> dict[str, bytes]:
        """What the Secret of a person holds."""
        data = self.api.objects[f"{SECRETS}/{name}-certificate"]["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def ledger(self) -> list[dict[str, Any]]:
        from ansible_collections.kubestead.platform.plugins.module_utils._certs.ledger import parse

        if self.in_secrets:
            return list(parse(SecretLedger(self.api, "people").read()))
        return list(parse((self.folder / "ledger.jsonl").read_bytes()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
