# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which login results from options, kubeconfig files and the environment, and how the TLS side takes it."""

from __future__ import annotations

import base64
import datetime
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters import kube_login
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_login import (
    KubeLogin,
    login_from_kubeconfig,
    login_from_params,
)
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_tls import bypasses_proxy, tls_context
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def kubeconfig(name: str = "lab", **user: Any) -> dict[str, Any]:
    return {
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{name}.example:6443/", "certificate-authority-data": b64("CA")}}
        ],
        "users": [{"name": name, "user": user or {"token": f"token-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(path: Path, config: Any) -> str:
    path.write_text(yaml.safe_dump(config))
    return str(path)


def login(environ: dict[str, str] | None = None, **params: Any) -> KubeLogin:
    return login_from_params(params, environ or {})


def test_host_and_token_need_no_kubeconfig() -> None:
    found = login({"KUBECONFIG": "/nowhere"}, host="https://a/", api_key="t")
    assert (found.server, found.token, found.verify) == ("https://a", "t", True)


def test_options_win_over_the_kubeconfig(tmp_path: Path) -> None:
    path = write(tmp_path / "c", kubeconfig())
    found = login(kubeconfig=path, host="https://other", validate_certs=False, api_key="mine", ca_cert_content="PEM")
    assert (found.server, found.verify, found.token, found.ca) == ("https://other", False, "mine", "PEM")


def test_a_kubeconfig_may_be_a_dictionary_a_path_or_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path / "c", kubeconfig())
    for found in (login(kubeconfig=kubeconfig()), login(kubeconfig=path), login({"KUBECONFIG": path})):
        assert (found.server, found.ca, found.token) == ("https://lab.example:6443", "CA", "token-lab")


def test_of_several_files_the_first_mention_wins_and_missing_ones_do_not_matter(tmp_path: Path) -> None:
    second = kubeconfig("two")
    second["clusters"].append({"name": "one", "cluster": {"server": "https://wrong"}})
    paths = [str(tmp_path / "none"), write(tmp_path / "1", kubeconfig("one")), write(tmp_path / "2", second)]
    joined = os.pathsep.join(paths)
    assert login(kubeconfig=joined).server == "https://one.example:6443"
    assert login(kubeconfig=joined, context="two").token == "token-two"


def test_relative_paths_start_at_their_own_file(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "c.crt").write_text("CERT")
    (folder / "c.key").write_text("KEY")
    (folder / "token").write_text("from-file\n")
    path = write(folder / "config", kubeconfig(**{"client-certificate": "c.crt", "client-key": "c.key", "tokenFile": "token"}))
    found = login(kubeconfig=path)
    assert (found.cert, found.key, found.token) == ("CERT", "KEY", "from-file")


def test_what_a_kubeconfig_says_about_the_way_is_kept() -> None:
    config = kubeconfig(**{"username": "u", "password": "p", "as": "anna", "as-groups": ["red"]})
    config["clusters"][0]["cluster"].update(
        {"insecure-skip-tls-verify": True, "tls-server-name": "inner", "proxy-url": "http://proxy"}
    )
    found = login(kubeconfig=config)
    assert (found.basic, found.verify, found.server_name, found.proxy) == (("u", "p"), False, "inner", "http://proxy")
    assert (found.act_as, found.act_as_groups) == ("anna", ("red",))


def test_inside_a_pod_its_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "ca.crt").write_text("POD CA")
    monkeypatch.setattr(kube_login, "_POD_FOLDER", tmp_path)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = login(environ)
    assert (found.server, found.token, found.ca) == ("https://[fd00::1]:443", "pod-token", "POD CA")
    assert login(environ, kubeconfig=kubeconfig()).token == "token-lab"


def test_a_login_by_command_is_carried_out_by_the_library(tmp_path: Path) -> None:
    script = tmp_path / "plugin"
    script.write_text(
        '#!/bin/sh\necho \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "from-plugin"}}\'\n'
    )
    script.chmod(0o700)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "interactiveMode": "Never"}
    path = write(tmp_path / "c", kubeconfig(exec=command))
    assert login(kubeconfig=path).token == "from-plugin"
    with pytest.raises(BackendFailed, match="logs in by a command"):
        login_from_kubeconfig(kubeconfig(exec=command))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"kubeconfig": "/no/such/file"}, "No kubeconfig at /no/such/file"),
        ({"kubeconfig": {"clusters": [{}]}}, "an entry under clusters has no name"),
        ({"kubeconfig": kubeconfig(), "context": "nope"}, "no context 'nope'.*It has: lab"),
        ({"kubeconfig": {**kubeconfig(), "users": []}}, "no user 'lab', which context 'lab' names"),
        ({"kubeconfig": {**kubeconfig(), "current-context": ""}}, "no current-context"),
        ({"kubeconfig": kubeconfig(**{"client-certificate-data": "%%%é"})}, "client-certificate-data .* is not PEM"),
        ({"host": "https://a", "api_key": "t", "ca_cert": "/no/ca"}, "ca_cert: cannot read /no/ca"),
    ],
)
def test_mistakes_are_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        login(**params)
    assert re.search(said, caught.value.sentence()), caught.value.sentence()


def test_broken_yaml_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("users:\n - token: s3cr3t\n  x: [\n")
    with pytest.raises(BadInput) as caught:
        login(kubeconfig=str(path))
    assert str(path) in str(caught.value) and "line" in str(caught.value) and "s3cr3t" not in str(caught.value)


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(KubeLogin("https://a", key="s3cr3t", token="s3cr3t", basic=("u", "s3cr3t"), proxy="http://u:s3cr3t@p"))
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("host", "rule", "bypassed"),
    [
        ("api.example.org", "example.org", True),
        ("api.example.org", ".example.org", True),
        ("api.example.org", "ample.org", False),
        ("10.1.2.3", "localhost, 10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("anything", "*", True),
        ("anything", "", False),
    ],
)
def test_no_proxy(host: str, rule: str, bypassed: bool) -> None:
    assert bypasses_proxy(host, rule) is bypassed


def pair(password: bytes | None = None) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "anna")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return cert.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


def test_a_client_certificate_is_used_without_a_file() -> None:
    cert, key = pair()
    assert tls_context(KubeLogin("https://a", ca=cert, cert=cert, key=key)).cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("case", ["another key", "no key", "encrypted key", "no PEM", "bad CA"])
def test_a_certificate_that_cannot_be_used_is_bad_input(case: str) -> None:
    cert, key = pair()
    given = {
        "another key": KubeLogin("https://a", cert=cert, key=pair()[1]),
        "no key": KubeLogin("https://a", cert=cert),
        "encrypted key": KubeLogin("https://a", cert=cert, key=pair(b"pass")[1]),
        "no PEM": KubeLogin("https://a", cert="hello", key=key),
        "bad CA": KubeLogin("https://a", ca="hello"),
    }[case]
    with pytest.raises(BadInput) as caught:
        tls_context(given)
    assert caught.value.hint and "PRIVATE" not in caught.value.sentence()
