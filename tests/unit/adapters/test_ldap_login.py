# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a task's options become a login to an LDAP server, and which are refused before any connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_connect import Login
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_server import LdapServer
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, CollError


def params(**given: Any) -> dict[str, Any]:
    return {
        "server_uri": ["ldaps://ldap.example.org"], "bind_dn": "cn=m", "bind_pw": "secret-7391", "bind_pw_file": None,
        "start_tls": False, "validate_certs": True, "ca_path": None, "client_cert": None, "client_key": None,
        "timeout": 2, "allow_plaintext": False, "sasl_class": "external", "concurrency": 4, **given,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"server_uri": []}, "server_uri is empty"),
        ({"server_uri": ["ldap.example.org"]}, "is not an LDAP URI"),
        ({"server_uri": ["ldaps://:636"]}, "names no host"),
        ({"server_uri": ["ldaps://host:99999"]}, "Port out of range"),
        ({"server_uri": ["ldap://host"]}, "in clear text"),
        ({"server_uri": ["ldaps://host", "ldap://host"]}, "in clear text"),
        ({"bind_pw": ""}, "bind_dn needs a password"),
        ({"bind_pw": None}, "bind_dn needs a password"),
        ({"bind_dn": None, "bind_pw": None}, "no bind_dn"),
        ({"bind_pw": None, "bind_pw_file": "/nowhere/x"}, "/nowhere/x could not be read: No such file"),
    ],
)
def test_logins_that_cannot_work_or_would_leak_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(CollError) as caught:
        Login.from_params(params(**given))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("given", "protects"),
    [
        ({}, True),
        ({"server_uri": ["ldap://host"], "start_tls": True}, True),
        ({"server_uri": ["ldap://host"], "allow_plaintext": True}, True),
        ({"server_uri": ["ldapi:///"], "bind_dn": None, "bind_pw": None}, True),
    ],
)
def test_which_connections_protect_passwords(given: dict[str, Any], protects: bool) -> None:
    assert LdapServer.from_params(params(**given)).protects_secrets is protects


def test_the_password_is_the_first_line_of_its_file_and_in_no_text(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text("secret-7391\nignored\n", encoding="utf-8")
    login = Login.from_params(params(bind_pw=None, bind_pw_file=str(file)))
    assert login.password == "secret-7391" and "secret-7391" not in repr(login)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A server that takes a connection and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []
    threading.Thread(target=lambda: kept.append(listener.accept()[0]), daemon=True).start()
    yield listener.getsockname()[1]
    for one in (listener, *kept):
        one.close()


def test_a_server_that_never_answers_ends_within_the_timeout(silent_server: int) -> None:
    uri = f"ldap://127.0.0.1:{silent_server}"
    server = LdapServer.from_params(params(server_uri=[uri], allow_plaintext=True, timeout=1))
    with pytest.raises(BackendFailed) as caught:
        server.search("dc=x", "(objectClass=*)", ("cn",))
    assert str(caught.value).startswith(f"No LDAP server could be reached: {uri} (") and "\n" not in str(caught.value)


def test_a_bad_certificate_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("nothing", encoding="utf-8")
    with pytest.raises(CollError, match=r"ca\.crt"):
        LdapServer.from_params(params(ca_path=str(file))).search("dc=x", "(objectClass=*)", ("cn",))
