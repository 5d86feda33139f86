# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a module from option groups, and what the environment adds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubestead.platform.plugins.module_utils._ansible import deps
from ansible_collections.kubestead.platform.plugins.module_utils._ansible.argspec import (
    BULK_SPEC,
    KUBE_AUTH_SPEC,
    LDAP_AUTH_SPEC,
    STATE_SPEC,
    new_module,
    read_environment,
)
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed


@pytest.fixture(autouse=True)
def no_kube_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in KUBE_AUTH_SPEC.environment.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


def build(given: dict[str, Any], *groups: Any, **kwargs: Any) -> basic.AnsibleModule:
    with patch_module_args(given):
        return new_module(*groups, **kwargs)


def refusal(capsys: pytest.CaptureFixture[str], given: dict[str, Any], *groups: Any) -> str:
    with pytest.raises(SystemExit):
        build(given, *groups)
    return str(json.loads(capsys.readouterr().out)["msg"])


def test_groups_and_own_options_are_joined() -> None:
    module = build({"users": ["ann"]}, KUBE_AUTH_SPEC, BULK_SPEC, STATE_SPEC, spec={"users": {"type": "list"}})
    assert module.params["users"] == ["ann"]
    assert (module.params["concurrency"], module.params["on_error"], module.params["state"]) == (8, "stop", "present")
    assert module.supports_check_mode


def test_an_option_of_two_groups_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="validate_certs"):
        build({}, KUBE_AUTH_SPEC, LDAP_AUTH_SPEC)


def test_one_uri_is_a_list_of_one() -> None:
    assert build({"server_uri": "ldaps://a"}, LDAP_AUTH_SPEC).params["server_uri"] == ["ldaps://a"]


@pytest.mark.parametrize(
    ("given", "group", "named"),
    [
        ({"client_key": "/k", "client_key_content": "PEM"}, KUBE_AUTH_SPEC, "client_key|client_key_content"),
        ({"bind_dn": "cn=a", "bind_pw": "x", "bind_pw_file": "/f"}, LDAP_AUTH_SPEC, "bind_pw|bind_pw_file"),
        ({"bind_pw": "x"}, LDAP_AUTH_SPEC, "bind_dn"),
        ({"client_cert": "/c"}, LDAP_AUTH_SPEC, "client_key"),
        ({"colour": "red"}, LDAP_AUTH_SPEC, "colour"),
        ({"on_error": "shrug"}, BULK_SPEC, "on_error"),
    ],
)
def test_wrong_combinations_name_the_option(
    capsys: pytest.CaptureFixture[str], given: dict[str, Any], group: Any, named: str
) -> None:
    assert named in refusal(capsys, given, group)


def test_the_task_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", "https://from-environment")
    monkeypatch.setenv("K8S_AUTH_CONTEXT", "from-environment")
    module = build({"host": "https://from-task"}, KUBE_AUTH_SPEC)
    assert (module.params["host"], module.params["context"]) == ("https://from-task", "from-environment")


def test_an_alias_in_the_task_wins_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "true")
    assert build({"verify_ssl": False}, KUBE_AUTH_SPEC).params["validate_certs"] is False


def test_a_secret_from_the_environment_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_API_KEY", "s3cr3t-token")
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_BASIC_AUTH", "ann:pa55word")
    module = build({}, KUBE_AUTH_SPEC)
    assert {"s3cr3t-token", "ann:pa55word"} <= module.no_log_values
    assert module.params["proxy_headers"]["basic_auth"] == "ann:pa55word"


@pytest.mark.parametrize(
    ("environ", "params", "found"),
    [
        ({}, {}, {}),
        ({"K8S_AUTH_VERIFY_SSL": "No"}, {}, {"validate_certs": False}),
        ({"K8S_AUTH_VALIDATE_CERTS": "", "K8S_AUTH_VERIFY_SSL": "1"}, {}, {"validate_certs": True}),
        ({"K8S_AUTH_CA_CERT": "/a", "K8S_AUTH_SSL_CA_CERT": "/b"}, {}, {"ca_cert": "/a"}),
        ({"K8S_AUTH_CERT_FILE": "/c"}, {"client_cert_content": "PEM"}, {}),
        ({"K8S_AUTH_IMPERSONATE_GROUPS": "a,b,"}, {}, {"impersonate_groups": ["a", "b"]}),
        (
            {"K8S_AUTH_PROXY_HEADERS_USER_AGENT": "kubestead"},
            {},
            {"proxy_headers": {"proxy_basic_auth": None, "basic_auth": None, "user_agent": "kubestead"}},
        ),
    ],
)
def test_environment(environ: dict[str, str], params: dict[str, Any], found: dict[str, Any]) -> None:
    assert read_environment(KUBE_AUTH_SPEC, params, environ) == found


def test_a_missing_library_is_one_sentence_with_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps._PACKAGES, "no_such_library", "no-such-library >= 1")
    deps.need("yaml")
    with pytest.raises(BackendFailed, match=r"no-such-library >= 1.*python"):
        deps.need("no_such_library")
