# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a search that ended badly becomes: an error in words, never a part taken for the whole."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_connect import Login
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.ldap_server import LdapServer
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, CollError

LOGIN = Login(("ldaps://x",), "cn=m", "pw", False, True, None, None, None, 30, False)
FOUND = {"type": "searchResEntry", "dn": "uid=a,dc=x", "raw_attributes": {"uid": [b"a"], "photo": [b"\xff\x00"]}}


class Connection:
    """Answers searches as told; what ldap3's connection looks like from here."""

    def __init__(self, *answers: tuple[list[Any], dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.response: list[Any] = []
        self.result: dict[str, Any] = {}

    def search(self, base: str, filter_: str, scope: str, **_more: Any) -> None:
        self.asked.append((filter_, scope))
        self.response, self.result = self.answers.pop(0)


def server(*answers: tuple[list[Any], dict[str, Any]]) -> tuple[LdapServer, Connection]:
    one, connection = LdapServer(LOGIN, window=4), Connection(*answers)
    one._open, one._uri = connection, "ldaps://x"
    return one, connection


def result(code: int = 0, name: str = "success", cookie: bytes = b"") -> dict[str, Any]:
    paged = {"1.2.840.113556.1.4.319": {"value": {"cookie": cookie}}}
    return {"result": code, "description": name, "message": "", "controls": paged}


@pytest.mark.parametrize(
    ("code", "name", "hint"),
    [
        (3, "timeLimitExceeded", "time limit"),
        (4, "sizeLimitExceeded", "size.prtotal"),
        (11, "adminLimitExceeded", "look-through"),
    ],
)
def test_a_search_that_a_limit_ended_is_an_error_with_what_to_raise(code: int, name: str, hint: str) -> None:
    one, _connection = server(([FOUND], result(cookie=b"next")), ([FOUND], result(code, name)))
    with pytest.raises(BackendFailed, match="Only 2 entries were received") as caught:
        one.search("dc=x", "(uid=*)", ("uid",))
    assert hint in caught.value.hint and caught.value.facts["ldap_code"] == code


def test_pages_are_put_together_and_bytes_are_kept() -> None:
    one, connection = server(([FOUND], result(cookie=b"next")), ([FOUND, {"type": "searchResRef"}], result()))
    first, _second = one.search("dc=x", "(uid=*)", ("uid",))
    assert first.values_of("photo") == ("\udcff\0",) and len(connection.asked) == 2


def test_where_nothing_is_found_the_base_is_looked_for() -> None:
    one, connection = server(([], result()), ([], result(32, "noSuchObject")))
    with pytest.raises(BackendFailed, match="does not exist on ldaps://x"):
        one.search("ou=typo,dc=x", "(uid=*)", ("uid",))
    assert connection.asked[1] == ("(objectClass=*)", "BASE")


def test_another_result_is_told_with_its_code() -> None:
    one, _connection = server(([], result(10, "referral")))
    with pytest.raises(CollError, match="referral") as caught:
        one.search("dc=x", "(uid=*)", ("uid",))
    assert "writable" in caught.value.hint
