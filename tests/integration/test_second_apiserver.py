# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs flags of an API server, tried on one of its own: an authorizer that refuses, a CA for people, the audit log."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Denied
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import denials

from kubestead_lab import certs, second_apiserver
from kubestead_lab.second_apiserver import SecondApiServer
from kubestead_lab.settings import lab_from

from .certificate_operator import wait_until
from .certificate_runs import Runner
from .leaving_runs import COMMON, LOG_IN, READ, WRITE, Leaving, may

ROOT = Path(__file__).resolve().parents[2]
YES, AUTHORIZER = "allowed", "refused by the authorizer"
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "RequestResponse"}]}


class Flagged:
    """The server with its configuration, which it reads again when a file changes."""

    def __init__(self, server: SecondApiServer, first_ca: Path) -> None:
        self.server, self.first_ca = server, first_ca
        self.config = server.folder / "authorization"
        self.people_ca = server.folder / "people"
        self.clients = server.folder / "clients.crt"
        self.audit_log = server.folder / "audit.log"
        self.config.mkdir()
        self.write_config(denials.authorization_config((), self.nowhere, ["Node", "RBAC"]))
        (self.config / "nowhere.kubeconfig").write_text(json.dumps(denials.webhook_kubeconfig()))
        (server.folder / "audit.json").write_text(json.dumps(AUDIT))
        certs.make_ca(self.people_ca, "people")
        self.trust(self.people_ca / "ca.crt")

    @property
    def nowhere(self) -> str:
        return str(self.config / "nowhere.kubeconfig")

    def start(self) -> None:
        flags = {
            "--authorization-config": str(self.config / "authorization.json"),
            "--client-ca-file": str(self.clients),
            "--audit-policy-file": str(self.server.folder / "audit.json"),
            "--audit-log-path": str(self.audit_log),
        }
        second_apiserver.start(self.server, flags)

    def write_config(self, config: dict[str, Any]) -> None:
        """In one step, as Ansible's copy does."""
        fresh = self.config / "authorization.json.new"
        fresh.write_text(json.dumps(config))
        fresh.replace(self.config / "authorization.json")

    def trust(self, *people: Path) -> None:
        """The CAs whose certificates log in: the cluster's, and these."""
        fresh = self.clients.with_suffix(".new")
        fresh.write_text("".join(path.read_text() for path in (self.first_ca, *people)))
        fresh.replace(self.clients)


@pytest.fixture(scope="module")
def flagged(lab: Any) -> Iterator[Flagged]:
    """One start for all tests."""
    with second_apiserver.prepared(lab_from(os.environ, ROOT)) as server:
        one = Flagged(server, Path(lab.env["KUBECONFIG"]).parent / "ca.crt")
        one.start()
        yield one


@pytest.fixture
def leaving(flagged: Flagged, tmp_path: Path) -> Iterator[Leaving]:
    """People who log in at the second server."""
    one = Leaving(str(flagged.server.kubeconfig), tmp_path)
    yield one
    one.clean()


def in_force(flagged: Flagged, leaving: Leaving) -> None:
    """What the role does: bring the file to the control plane node."""
    config = leaving.cut(strategies=["authorizer"], webhook_kubeconfig=flagged.nowhere).told["authorization_config"]
    flagged.write_config(json.loads(config))


def test_the_authorizer_refuses_everything_reads_too(flagged: Flagged, leaving: Leaving) -> None:
    anna, bert = leaving.person("anna"), leaving.person("bert")
    old = leaving.client(anna)
    options = {"strategies": ["authorizer"], "servers": [flagged.server.server]}
    assert leaving.cut(anna, beats=["mark", "deny"], **options).failures() == []
    in_force(flagged, leaving)
    done = leaving.cut(anna, beats=["prove"], **options)
    refused = (YES, AUTHORIZER)
    assert done.matrix(anna) == {LOG_IN: refused, READ: refused, WRITE: refused, COMMON: refused}
    assert not [line for line in done.entries["proof", anna]["remaining"] if line.startswith("The old credential still")]
    assert may(leaving.client(bert), "GET", leaving.maps) and not may(old, "GET", leaving.maps)
    # By name: a newer certificate is refused as well. Without the key, the same answer comes from an access review.
    leaving.certificates.run({"name": anna, "groups": ["newer"]})
    assert not may(leaving.client(anna), "GET", leaving.maps)
    leaving.path(anna).unlink()
    leaving.cut(anna, beats=["rights", "prove"], foreign_bindings="remove", strategies=["authorizer", "grants"])
    record = leaving.record(anna)
    assert record["after"]["via"].startswith("asked of")
    assert {one["answer"] for one in record["after"]["probes"]} == {AUTHORIZER}


def test_the_authorizer_refuses_one_lost_device_within_seconds(flagged: Flagged, leaving: Leaving) -> None:
    anna = leaving.person("anna")
    old = leaving.client(anna)
    lost = {"credential_id": leaving.certificates.run(anna)[anna]["credential_id"], "name": anna}
    leaving.cut(strategies=["authorizer"], credentials=[lost])
    in_force(flagged, leaving)
    wait_until(lambda: not may(old, "GET", leaving.maps), 10)
    leaving.certificates.run({"name": anna, "groups": ["next"]})
    assert may(leaving.client(anna), "GET", leaving.maps)
    leaving.cut(strategies=["authorizer"], credentials=[{**lost, "state": "absent"}])
    in_force(flagged, leaving)
    wait_until(lambda: may(old, "GET", leaving.maps), 10)


def test_administrators_pass_and_a_configuration_that_is_too_long_leaves_the_one_before(
    flagged: Flagged, leaving: Leaving
) -> None:
    anna = leaving.person("anna")
    leaving.cut(anna, strategies=["authorizer"], beats=["mark", "deny"])
    in_force(flagged, leaving)
    wait_until(lambda: not may(leaving.client(anna), "GET", leaving.maps), 10)
    listed = [denials.Denial(f"X509SHA256={number:064x}", "x", 2**33, ("authorizer",)) for number in range(1500)]
    listed.append(denials.Denial(anna, anna, 2**33, ("authorizer",)))
    good = denials.authorization_config(listed, flagged.nowhere, ["Node", "RBAC"])
    assert len([one for one in good["authorizers"] if one["type"] == "Webhook"]) == 3
    ids = ", ".join(f"'{one.who}'" for one in listed)
    broken = json.loads(json.dumps(good))
    broken["authorizers"][0]["webhook"]["matchConditions"][0]["expression"] = f"request.user in [{ids}]"
    del broken["authorizers"][1:3]
    flagged.write_config(broken)
    time.sleep(2)
    assert not may(leaving.client(anna), "GET", leaving.maps) and may(leaving.admin, "GET", leaving.maps)
    flagged.write_config(good)
    time.sleep(2)
    assert not may(leaving.client(anna), "GET", leaving.maps) and may(leaving.admin, "GET", leaving.maps)
    metrics = leaving.admin.text("/metrics")
    assert re.search(r'authorization_config_controller_automatic_reloads_total\{[^}]*status="failure"\} [1-9]', metrics)
    assert re.search(r'authorization_config_controller_automatic_reloads_total\{[^}]*status="success"\} [1-9]', metrics)


def test_another_ca_for_people_ends_all_of_them_at_once_and_nobody_else(flagged: Flagged, leaving: Leaving) -> None:
    ca = {"cert": str(flagged.people_ca / "ca.crt"), "key": str(flagged.people_ca / "ca.key")}
    anna = leaving.person("anna", local_ca=ca)
    bert = leaving.person("bert")
    old, other = leaving.client(anna), leaving.client(bert)
    assert may(old, "GET", leaving.maps)
    fresh = flagged.server.folder / "people2"
    certs.make_ca(fresh, "people-2")
    flagged.trust(fresh / "ca.crt")

    def logged_out() -> bool:
        try:
            old.call("GET", "/version")  # on the connection that was open, too
        except Denied as exc:
            return exc.facts.get("status") == 401
        return False

    wait_until(logged_out, 30)
    assert may(other, "GET", leaving.maps) and may(leaving.admin, "GET", leaving.maps)
    renewed = {"cert": str(fresh / "ca.crt"), "key": str(fresh / "ca.key")}
    assert leaving.certificates.run(anna, local_ca=renewed)[anna]["reason"] == "CA changed"
    assert may(leaving.client(anna), "GET", leaving.maps)
    flagged.trust(flagged.people_ca / "ca.crt")


def test_no_key_and_no_token_is_in_the_audit_log(flagged: Flagged, leaving: Leaving, call_module: Callable[..., Any]) -> None:
    """Certificates and kubeconfigs in files and in Secrets, a login with each, all audited with requests and responses."""
    canary = f"canary{leaving.mark}token"
    for store in ({"directory": str(leaving.folder / "certificates")}, _secret(leaving)):
        runner = Runner(store, {"kubeconfig": leaving.kubeconfig})
        assert runner.run("cora", "dave", verify_login=True).errors() == []
    cluster = json.loads(Path(leaving.kubeconfig).read_text())["clusters"][0]
    folder = leaving.folder / "certificates"
    file = {
        "path": str(leaving.folder / "cora.kubeconfig"),
        "clusters": [cluster],
        "users": [
            {"name": "cora", "user": {"client-certificate": f"{folder}/cora.crt", "client-key": f"{folder}/cora.key"}},
            {"name": "robot", "user": {"token": canary}},
        ],
        "contexts": [{"name": "c", "context": {"cluster": cluster["name"], "user": "cora"}}],
        "current_context": "c",
    }
    rendered = call_module("kubeconfig_render", {"files": [file], "embed": True, "verify": "login"})
    assert rendered.status == 0, rendered.output
    assert rendered["entries"][0]["login"]["user"] == "cora"
    log = flagged.audit_log.read_text()
    assert log.count("certificatesigningrequests") > 8 and '"username":"cora"' in log
    keys = [path.read_text() for path in folder.rglob("tls.key")]
    assert len(keys) == 2
    assert [
        form for secret in [canary, *(line for key in keys for line in _lines(key))] for form in _forms(secret) if form in log
    ] == []
    assert "PRIVATE KEY" not in log
    # The one place that shows keys is a store of Secrets: a cluster that audits Secrets with their content has them in its log.
    found = [json.loads(line) for line in log.splitlines() if '"resource":"secrets"' in line and leaving.namespace in line]
    assert any("LS0tLS1CRUdJTiBQUklWQVRFIEtFW" in json.dumps(one) for one in found)


def _secret(leaving: Leaving) -> dict[str, Any]:
    return {"secret": {"namespace": leaving.namespace, "name_template": "{name}-certificate"}}


def _lines(pem: str) -> list[str]:
    """The lines of a key that say something."""
    return [line for line in pem.splitlines() if len(line) >= 20 and not line.startswith("-----")]


def _forms(secret: str) -> list[str]:
    """As it is, and inside of something that is written in base64, wherever it begins there."""
    shifted = [base64.b64encode(b"x" * shift + secret.encode()).decode() for shift in range(3)]
    return [secret, *(text[4:-4] for text in shifted)]
