# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a task holds: it is carried out and then found done, or it is refused in words, with nothing written for what is bad."""

from __future__ import annotations

import random
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Bug, CollError
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Verdict
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.ldap_account import LdapAccountFlow

from fakes.directory import FakeDirectory
from scale import scaled

INPUTS = 20_000
NASTY = "*()\\\0,=+<>#;\"' \n\t\r\u00e4\u05d0\u0301\u202e\ud800\U0001f980aB0{}$%&/"
GOOD = ("anna", "ben", "carl", "dora")
USERS, GROUPS = "ou=people,dc=example,dc=org", "ou=groups,dc=example,dc=org"


class NoFiles:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def read(self, path: str) -> Optional[bytes]:
        return self.content.get(path)

    def find(self, path: str) -> None:
        return None

    def write(self, path: str, content: bytes) -> None:
        self.content[path] = content


class Inputs:
    """Tasks out of one seed: sound ones, odd ones and wrong ones."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)

    def text(self) -> str:
        if self.pick.random() < 0.6:
            return self.pick.choice(
                ("Anna Meyer", " two  spaces ", "a,b=c", "*)(uid=*", "\u05e9\u05dc\u05d5\u05dd", "x" * 300, f"uid=a,{USERS}")
            )
        length = self.pick.choice((0, 1, 1, 2, 3, 8, 40))
        return "".join(self.pick.choice(NASTY) for _place in range(length))

    def word(self, good: tuple[str, ...]) -> str:
        return self.text() if self.pick.random() < 0.03 else self.pick.choice(good)

    def maybe(self, value: Any, chance: float = 0.3) -> Any:
        return value if self.pick.random() < chance else None

    def account(self) -> dict[str, Any]:
        pick = self.pick
        value = {"base64": "//79"} if pick.random() < 0.2 else self.text()
        edits = {pick.choice(("set", "add", "remove")): {self.word(("title", "description", "manager")): value}}
        return {
            "uid": self.word(GOOD),
            "cn": self.maybe(self.text()),
            "sn": self.maybe(self.text()),
            "mail": self.maybe([self.text() for _one in range(pick.randrange(3))]),
            "uid_number": self.maybe(self.word(("auto", "7", "8", "0", "-1", "99999999999", "x")), 0.15),
            "home": self.maybe(self.text(), 0.1),
            "ssh_keys": self.maybe([self.text()], 0.2),
            "groups": self.maybe([self.word(("dev", "ops")) for _one in range(pick.randrange(3))]),
            "password": self.maybe(self.text(), 0.1),
            "password_hash": self.maybe(self.word(("{SSHA}abc", "abc")), 0.05),
            "generate_password": pick.random() < 0.1,
            "enabled": self.maybe(pick.random() < 0.5),
            "expires": self.maybe(self.word(("2031-01-01", "never", "1970-01-01", "20310101")), 0.15),
            "attributes": self.maybe(edits, 0.3),
            "renamed_from": self.maybe(self.word((*GOOD, "old")), 0.05),
            "parent": self.maybe(self.word((USERS, f"ou=x,{USERS}", GROUPS)), 0.05),
            "state": self.maybe(pick.choice(("present", "absent")), 0.2),
        }

    def group(self) -> dict[str, Any]:
        pick = self.pick
        members = {how: [self.word((*GOOD, f"uid=ext,{USERS}")) for _one in range(pick.randrange(3))] for how in ("set", "add")}
        how = pick.choice((("set",), ("add",), ("set", "add"), ()))
        return {
            "cn": self.word(("dev", "ops", "names")),
            "kind": self.maybe(pick.choice(("posixGroup", "groupOfNames", "groupOfUniqueNames"))),
            "gid_number": self.maybe(pick.choice((5, 6, -1)), 0.1),
            "members": {name: members[name] for name in how},
            "state": self.maybe(pick.choice(("present", "absent")), 0.2),
        }

    def params(self) -> dict[str, Any]:
        pick = self.pick
        return {
            "user_base": self.word((USERS,)) if pick.random() < 0.02 else USERS, "group_base": GROUPS,
            "profile": pick.choice(("posix", "posix", "person")), "group_kind": None,
            "accounts": [self.account() for _one in range(pick.randrange(4))],
            "groups": [self.group() for _one in range(pick.randrange(3))],
            "id_range": None, "default_gid_number": 100, "max_deletes": 20, "state": "present", "concurrency": 1, "timeout": 30,
            "password_secret": None, "update_password": pick.choice(("on_create", "when_changed", "always")), "password_directory": "/pw",
            "delete_policy": pick.choice(("delete", "archive")), "archive_base": pick.choice((None, f"ou=left,{USERS}")),
            "empty_groups": pick.choice(("refuse", "placeholder")), "on_error": "continue",
        }  # fmt: skip


def carried_out(params: dict[str, Any], directory: FakeDirectory) -> Optional[tuple[Verdict, ...]]:
    """The verdicts; None when the task was refused as a whole, with nothing written."""
    before = len(directory.writes)
    numbers = iter(range(1000))
    try:
        flow = LdapAccountFlow(params, directory, NoFiles(), lambda: f"Gen3rated-{next(numbers)}")
        plan = flow.decide(flow.observe())
    except CollError as error:
        assert str(error) and not isinstance(error, Bug)
        assert len(directory.writes) == before
        return None
    return settle(carry_out(plan, flow.execute, stop_on_error=False)) if plan.stages else settle(Run(plan))


def test_twenty_thousand_tasks_end_in_words() -> None:
    refused = written = 0
    directory = FakeDirectory()
    for seed in range(scaled(INPUTS)):
        if seed % 8 == 0:
            directory = FakeDirectory()
            for ou in ("left", "x"):
                directory.put(f"ou={ou},{USERS}", objectClass=["organizationalUnit"], ou=[ou])
        params = Inputs(seed).params()
        verdicts = carried_out(params, directory)
        if verdicts is None:
            refused += 1
            continue
        for verdict in verdicts:
            assert not isinstance(verdict.error, Bug), (seed, str(verdict.error))
            assert entry_dict(verdict)["action"] in ("created", "updated", "unchanged", "removed", "failed", "skipped")
        written += any(verdict.action in ("created", "updated", "removed") for verdict in verdicts)
    if scaled(INPUTS) >= 1000:
        assert refused > scaled(INPUTS) // 10 and written > scaled(INPUTS) // 10, (refused, written)


def test_what_was_carried_out_is_found_done() -> None:
    settled = 0
    for seed in range(scaled(3000)):
        directory = FakeDirectory()
        for ou in ("left", "x"):
            directory.put(f"ou={ou},{USERS}", objectClass=["organizationalUnit"], ou=[ou])
        params = {**Inputs(seed).params(), "update_password": "on_create"}
        verdicts = carried_out(params, directory)
        if verdicts is None or any(verdict.error for verdict in verdicts):
            continue
        writes = len(directory.writes)
        again = carried_out(params, directory)
        assert again is not None
        assert [v.action for v in again if v.action != "unchanged"] == [], (seed, params, again)
        assert len(directory.writes) == writes
        settled += 1
    assert settled > scaled(3000) // 20
