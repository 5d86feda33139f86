# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible starts it: what it prints and what it tells the system's log holds no secret."""

from __future__ import annotations

import base64
import json
import syslog
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubestead.platform.plugins.modules import kubeconfig_render

SECRETS = {name: f"canary-{name}-93ab7c" for name in ("token", "password", "env", "oidc", "proxy", "key", "old")}


def users() -> list[dict[str, Any]]:
    key = f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key']}\n-----END PRIVATE KEY-----\n"
    data = {"client-certificate-data": "eA==", "client-key-data": base64.b64encode(key.encode()).decode()}
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "env": [{"name": "A", "value": SECRETS["env"]}]}
    oidc = {"issuer_url": "https://sso.example", "client_id": "k", "client_secret": SECRETS["oidc"]}
    values = [
        {"token": SECRETS["token"]},
        {"username": "u", "password": SECRETS["password"]},
        {"exec": command},
        {"oidc": oidc},
    ]
    return [{"name": f"user{number}", "user": value} for number, value in enumerate([*values, data])]


def test_no_secret_is_printed_or_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(syslog, "syslog", lambda *words: logged.append(words))
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(kubeconfig_render.certificate_check, "AVAILABLE", False)
    path = tmp_path / "config"
    path.write_text(f"users: [{{name: user0, user: {{token: {SECRETS['old']}}}}}]\n")
    server = {"server": "https://x", "proxy-url": f"http://u:{SECRETS['proxy']}@proxy:1"}
    file = {"path": str(path), "users": users(), "clusters": [{"name": "c", "cluster": server}]}
    for broken in ({}, {"minify": "nowhere"}, {"users": [*users(), {"name": "user0", "user": {"token": SECRETS["token"]}}]}):
        arguments = {"files": [{**file, **broken}], "backup": True, "_ansible_diff": True, "_ansible_verbosity": 4}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            kubeconfig_render.main()
    printed = capsys.readouterr().out
    results = [json.loads(line) for line in printed.splitlines() if line]
    assert [result.get("failed", False) for result in results] == [False, True, True]
    assert len(logged) >= 3
    assert "Invoked with" in repr(logged)
    for secret in SECRETS.values():
        assert secret in path.read_text() or secret in (SECRETS["old"], SECRETS["key"])
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[:-2], secret.encode().hex()):
            assert form not in printed + repr(logged), secret
