# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a task is said before anything is read or written, and names the entry."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._directory.parse import wanted_from

PARAMS: dict[str, Any] = {
    "user_base": "ou=people,dc=example,dc=org", "group_base": "ou=groups,dc=example,dc=org", "profile": "posix",
    "group_kind": None, "accounts": [], "groups": [], "id_range": None, "default_gid_number": 100, "state": "present",
    "update_password": "on_create", "password_directory": "/pw", "max_deletes": 20, "concurrency": 4, "timeout": 30,
    "archive_base": None, "delete_policy": "delete", "empty_groups": "refuse", "password_secret": None,
}  # fmt: skip

BAD: list[tuple[dict[str, Any], str]] = [
    ({"accounts": [{"uid": "Anna"}]}, "not an allowed name"),
    ({"accounts": [{"uid": "anna"}, {"uid": "anna"}]}, "named twice"),
    ({"accounts": [{"uid": "system:admin"}]}, "system:"),
    ({"accounts": [{"uid": "anna", "uid_number": "x"}]}, "uid_number 'x' is not a number"),
    ({"accounts": [{"uid": "anna", "uid_number": "0"}]}, "not a number from 1"),
    ({"accounts": [{"uid": "a", "uid_number": "7"}, {"uid": "b", "uid_number": "7"}]}, "a and b have the same uid_number"),
    ({"accounts": [{"uid": "anna", "cn": ""}]}, "cn is empty"),
    ({"accounts": [{"uid": "anna", "cn": "a\nb"}]}, "line break"),
    ({"accounts": [{"uid": "anna", "password": "x" * 9, "generate_password": True}]}, "exclude each other"),
    ({"accounts": [{"uid": "anna", "password": ""}]}, "password is empty"),
    ({"accounts": [{"uid": "anna", "password": "ANNA"}]}, "public value"),
    ({"accounts": [{"uid": "anna", "mail": ["a@b"], "password": "a@b"}]}, "public value"),
    ({"accounts": [{"uid": "anna", "password_hash": "plain"}]}, "{SCHEME}"),
    ({"accounts": [{"uid": "anna", "generate_password": True}], "password_directory": None}, "password_directory"),
    ({"accounts": [{"uid": "anna", "home": "/x"}], "profile": "person"}, "needs profile: posix"),
    ({"accounts": [{"uid": "anna", "groups": ["dev"]}], "groups": [{"cn": "Dev", "state": "absent"}]}, "to be absent"),
    (
        {"accounts": [{"uid": "anna", "groups": ["d"]}], "groups": [{"cn": "d", "members": {"remove": ["anna"]}}]},
        "members.remove",
    ),
    ({"groups": [{"cn": "dev", "members": {"set": ["a"], "add": ["b"]}}]}, "members.set excludes"),
    ({"groups": [{"cn": "dev", "members": {"add": ["a"], "remove": ["a"]}}]}, "both in members.add"),
    ({"groups": [{"cn": "dev", "gid_number": 5}, {"cn": "ops", "gid_number": 5}]}, "same gid_number"),
    ({"groups": [{"cn": "a\tb"}]}, "is not a name"),
    ({"password_secret": {"namespace": "a/b", "name_template": "{name}"}}, "no name of a namespace"),
    ({"password_secret": {"namespace": "a", "name_template": "x"}}, "makes no name of a Secret"),
    ({"delete_policy": "archive"}, "needs archive_base"),
    ({"archive_base": "nowhere"}, "archive_base: 'nowhere' is not a DN"),
    ({"archive_base": "dc=example,dc=org"}, "archive_base holds user_base"),
    ({"accounts": [{"uid": "anna", "renamed_from": "anna"}]}, "is the same name"),
    ({"accounts": [{"uid": "anna", "parent": "ou=groups,dc=example,dc=org"}]}, "at or below user_base"),
    ({"accounts": [{"uid": "anna", "expires": "soon"}]}, "is not a day"),
    ({"user_base": "people"}, "user_base: 'people' is not a DN"),
    ({"id_range": {"min": 10, "max": 9}}, "id_range"),
    ({"concurrency": 0}, "concurrency"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=[text for _options, text in BAD])
def test_wrong_values_end_the_task_and_name_the_entry(options: dict[str, Any], text: str) -> None:
    with pytest.raises((BadInput, Refused)) as caught:
        wanted_from({**PARAMS, **options})
    assert text in str(caught.value)


def test_null_counts_as_left_out_so_that_lists_can_be_generated() -> None:
    names = ("cn", "mail", "groups", "uid_number", "password", "password_file", "enabled", "state", "ssh_keys")
    wanted = wanted_from({**PARAMS, "accounts": [{"uid": "anna", **dict.fromkeys(names)}]})
    (account,) = wanted.accounts
    assert account.given == {} and account.present and account.enabled is None and account.credential_from == ""
