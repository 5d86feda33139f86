# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a real API server can answer: TLS, logins that are refused, rights that are missing, versions that expired."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Denied
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
def admin(lab: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(Path(lab.env["KUBECONFIG"]).read_text(encoding="utf-8")))


def who(api: KubeApiClient) -> dict[str, Any]:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return dict(api.call("POST", REVIEW, body)["status"]["userInfo"])


def stranger() -> tuple[str, str]:
    """A certificate that the lab's CA did not sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mallory")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(days=1))
    cert = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return cert.decode(), pem.decode()


def test_a_kubeconfig_as_a_value_logs_in(admin: dict[str, Any]) -> None:
    assert "system:masters" in who(KubeApiClient.from_kubeconfig(admin))["groups"]


def test_acting_as_somebody_else_is_told_to_the_server(lab: Any) -> None:
    params = {"kubeconfig": lab.env["KUBECONFIG"], "impersonate_user": "anna", "impersonate_groups": ["red", "blue"]}
    user = who(KubeApiClient.from_params(params))
    assert user["username"] == "anna" and user["groups"] == ["red", "blue", "system:authenticated"]


def test_pem_as_text_logs_in_like_a_kubeconfig(admin: dict[str, Any]) -> None:
    user, cluster = admin["users"][0]["user"], admin["clusters"][0]["cluster"]
    params = {
        "host": cluster["server"],
        "ca_cert_content": base64.b64decode(cluster["certificate-authority-data"]).decode(),
        "client_cert_content": base64.b64decode(user["client-certificate-data"]).decode(),
        "client_key_content": base64.b64decode(user["client-key-data"]).decode(),
    }
    assert "system:masters" in who(KubeApiClient.from_params(params))["groups"]


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_a_login_the_server_does_not_know_is_denied(admin: dict[str, Any], kind: str) -> None:
    cert, key = stranger()
    login = {"token": {"api_key": "s3cr3t"}, "certificate": {"client_cert_content": cert, "client_key_content": key}}[kind]
    params = {"host": admin["clusters"][0]["cluster"]["server"], "validate_certs": False, **login}
    with pytest.raises(Denied) as caught:
        KubeApiClient.from_params(params).call("GET", NAMESPACES)
    assert caught.value.facts["status"] == 401 and kind in caught.value.hint
    assert "s3cr3t" not in caught.value.sentence()


def test_an_unknown_ca_and_a_foreign_name_are_told_apart(admin: dict[str, Any]) -> None:
    server = admin["clusters"][0]["cluster"]["server"]
    with pytest.raises(BackendFailed, match="not trusted") as caught:
        KubeApiClient.from_params({"host": server, "api_key": "s3cr3t"}).call("GET", NAMESPACES)
    assert "ca_cert" in caught.value.hint
    admin["clusters"][0]["cluster"]["tls-server-name"] = "elsewhere.example"
    with pytest.raises(BackendFailed, match="for another name") as caught:
        KubeApiClient.from_kubeconfig(admin).call("GET", NAMESPACES)
    assert caught.value.facts == {"status": 0, "reason": "Tls"}


def test_a_missing_right_is_named(lab: Any) -> None:
    api = KubeApiClient.from_params({"kubeconfig": lab.env["KUBECONFIG"], "impersonate_user": "anna"})
    with pytest.raises(Denied) as caught:
        api.call("DELETE", "/api/v1/namespaces/default/secrets/nope")
    assert "'delete' on 'secrets' in namespace 'default'" in caught.value.hint


def test_a_watch_from_a_version_of_the_future_does_not_hang(lab: Any) -> None:
    api = KubeApiClient.from_params({"kubeconfig": lab.env["KUBECONFIG"]})
    assert list(api.watch(NAMESPACES, "99999999999", seconds=1.5)) == []
