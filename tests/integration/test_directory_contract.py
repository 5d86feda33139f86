# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Directory contract on the lab's two servers: slapd and 389 Directory Server."""

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


class TestSlapd(DirectoryContract):
    prefix = "KUBESTEAD_LDAP"

    @pytest.fixture
    def directory(self, lab: Any) -> LdapServer:
        login = Login(
            uris=(lab.env[f"{self.prefix}_URI"],),
            bind_dn=lab.env[f"{self.prefix}_BIND_DN"],
            password=Path(lab.env[f"{self.prefix}_BIND_PW_FILE"]).read_text(encoding="utf-8"),
            start_tls=False,
            validate_certs=True,
            ca_path=lab.env[f"{self.prefix}_CA"],
            client_cert=None,
            client_key=None,
            timeout=30,
            allow_plaintext=False,
        )
        return LdapServer(login, window=8)

    @pytest.fixture
    def base(self, lab: Any, directory: LdapServer) -> Iterator[str]:
        name = f"contract-{uuid.uuid4().hex[:8]}"
        where = f"ou={name},{lab.env[f'{self.prefix}_BASE']}"
        assert dict(
            directory.apply([Add(where, {"objectClass": ("organizationalUnit",), "ou": (name,)})], stop_on_error=True)
        ) == {0: None}
        yield where
        found = directory.search(where, "(objectClass=*)", ("objectClass",))
        deepest_first = sorted((entry.dn for entry in found if entry.dn != where), key=lambda one: -one.count(","))
        below = [Delete(one) for one in deepest_first]
        assert not any(error for one in below for _index, error in directory.apply([one], stop_on_error=False))
        assert dict(directory.apply([Delete(where)], stop_on_error=True)) == {0: None}


class Test389(TestSlapd):
    prefix = "KUBESTEAD_LDAP389"
    means = "nsaccountlock"
    needs_members = False
    tells_rights = True
