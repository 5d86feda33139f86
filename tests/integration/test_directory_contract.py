# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Directory contract on the lab's slapd."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_connect import Login
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_server import LdapServer
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import Add, Delete

from contracts.directory import DirectoryContract


class TestRealDirectory(DirectoryContract):
    @pytest.fixture
    def directory(self, lab: Any) -> LdapServer:
        login = Login(
            uris=(lab.env["KUBESTEAD_LDAP_URI"],),
            bind_dn=lab.env["KUBESTEAD_LDAP_BIND_DN"],
            password=Path(lab.env["KUBESTEAD_LDAP_BIND_PW_FILE"]).read_text(encoding="utf-8"),
            start_tls=False,
            validate_certs=True,
            ca_path=lab.env["KUBESTEAD_LDAP_CA"],
            client_cert=None,
            client_key=None,
            timeout=30,
            allow_plaintext=False,
        )
        return LdapServer(login, window=8)

    @pytest.fixture
    def base(self, lab: Any, directory: LdapServer) -> Iterator[str]:
        name = f"contract-{uuid.uuid4().hex[:8]}"
        where = f"ou={name},{lab.env['KUBESTEAD_LDAP_BASE']}"
        assert dict(
            directory.apply([Add(where, {"objectClass": ("organizationalUnit",), "ou": (name,)})], stop_on_error=True)
        ) == {0: None}
        yield where
        found = directory.search(where, "(objectClass=*)", ("objectClass",))
        below = [Delete(entry.dn) for entry in found if entry.dn != where]
        assert not any(dict(directory.apply(below, stop_on_error=False)).values())
        assert dict(directory.apply([Delete(where)], stop_on_error=True)) == {0: None}
