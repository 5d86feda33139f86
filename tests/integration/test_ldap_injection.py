# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and values that mean something in a DN, in a filter or in LDIF: they arrive as they are, read back with ldapsearch."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from directory_place import DS389, SLAPD, Place

NAMES = [
    "*", "a*b", "(cn=*)", ")(uid=*", "*)(objectClass=*", "\\2a", "back\\slash", "trailing\\", "a,b", "a, b", "cn=x", "a+b",
    "#hash", "<tag>", "semi;colon", 'quo"te', "a=b=c", "per%20cent", "&amp|", "!not", "äöü ß", "שלום", "مرحبا", "e\u0301 combined",
    "日本語", "🦀", "a/b", "tab-like", "'single'", "{SSHA}abc", "dn: uid=x", "${jndi:ldap://x}", "{{ lookup }}", "a" * 200,
]  # fmt: skip
VALUES = [
    *NAMES, "x" * 10_000, "ü" * 5_000, "line\nbreak", "two\r\nlines", "nul\0inside", "\n", "tab\tinside", ": colon", ":: double",
    "< file:///etc/passwd", " lead", "trail ", "- dash",
]  # fmt: skip


@pytest.fixture(params=[SLAPD, DS389], ids=["slapd", "389ds"])
def place(request: Any, lab: Any, serve_module: Callable[..., Any], tmp_path: Path) -> Iterator[Place]:
    one = Place(lab, serve_module, tmp_path, request.param)
    one.begin()
    yield one
    one.end()


def read_back(place: Place, base: str, attribute: str) -> dict[str, list[str]]:
    """By DN as it was printed, the values of an attribute, taken out of LDIF."""
    printed = place.ldap(
        "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-E", "pr=500/noprompt", "-b", base, f"({attribute}=*)", attribute
    )
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in printed.stdout.splitlines():
        name, _colon, rest = line.partition(":")
        if not rest:
            continue
        raw = base64.b64decode(rest[1:].strip()) if rest.startswith(":") else rest.removeprefix(" ").encode()
        if name == "dn":
            current = found.setdefault(raw.decode(), [])
        elif name == attribute:
            current.append(raw.decode())
    return found


def test_groups_of_any_name_hold_whom_they_should(place: Place) -> None:
    anna, ben = place.uid("anna"), place.uid("ben")
    groups = tuple({"cn": name, "kind": "groupOfNames", "members": {"set": [anna]}} for name in NAMES)
    done = place.run({"uid": anna}, {"uid": ben}, groups=groups)
    assert done.status == 0, done["msg"]
    assert not place.run({"uid": anna}, groups=groups)["changed"]
    stored = read_back(place, place.groups, "cn")
    assert sorted(value for values in stored.values() for value in values) == sorted(NAMES)
    members = read_back(place, place.groups, "member")
    assert all(values == [f"uid={anna},{place.people}"] for values in members.values()) and len(members) == len(NAMES)
    swapped = place.run(groups=tuple({"cn": name, "members": {"set": [ben]}} for name in NAMES))
    assert swapped.status == 0 and swapped["counts"]["updated"] == len(NAMES)
    removed = place.run(groups=tuple({"cn": name} for name in NAMES), state="absent", max_deletes=100)
    assert removed["counts"]["removed"] == len(NAMES) and read_back(place, place.groups, "cn") == {}
    assert place.uids() == {anna, ben}


def test_values_of_any_kind_arrive_as_they_are_or_not_at_all(place: Place) -> None:
    uids = [place.uid(f"v{index}") for index in range(len(VALUES))]
    people = [{"uid": uid, "attributes": {"set": {"description": value}}} for uid, value in zip(uids, VALUES)]
    done = place.run(*people, on_error="continue")
    made = {entry["name"] for entry in done["entries"] if entry["action"] == "created"}
    stored = read_back(place, place.people, "description")
    for uid, value in zip(uids, VALUES):
        held = [values for where, values in stored.items() if where.startswith(f"uid={uid},")]
        if uid in made:
            assert held == [[value]], value[:40]
        else:
            assert not held and done.entry(uid)["error"]["ldap_result"], value[:40]
    assert len(made) >= len(VALUES) - 3
    again = place.run(*[person for person in people if person["uid"] in made])
    assert again.status == 0 and not again["changed"], [e for e in again["entries"] if e["action"] != "unchanged"][:3]


@pytest.mark.parametrize("uid", ["*", "anna)(uid=*", "a,ou=x", "a\0b", "a\nb", " a", "a ", "", "ä", "a" * 65, "A", "#a", "a=b"])
def test_a_name_that_is_no_login_name_is_refused_before_anything_is_sent(place: Place, uid: str) -> None:
    done = place.run({"uid": uid}, {"uid": place.uid("fine")})
    assert done.status != 0 and done["error"]["code"] == "bad_input" and not done["changed"]
    assert "Traceback" not in done.output and place.uids() == set()


PASSWORDS = [
    "*()\\,=+<>#;\"'9a",
    " lead and trail ",
    "p\u00e4\u00df\u05d0\U0001f980 w0rd",
    "{SSHA}looks like 1",
    "{{ not }} a ${template} 1",
    "x1" * 60,
]


def test_passwords_of_any_kind_are_the_ones_that_open(place: Place, tmp_path: Path) -> None:
    people, files = [], []
    for index, password in enumerate(PASSWORDS):
        path = tmp_path / f"p{index}"
        path.write_text(password, encoding="utf-8")
        path.chmod(0o600)
        files.append(path)
        people.append({"uid": place.uid(f"v{index}"), "password_file": str(path)})
    done = place.run(*people, on_error="continue")
    for person, path, password in zip(people, files, PASSWORDS):
        if done.entry(person["uid"])["action"] == "failed":
            assert place.is_389 and password.startswith("{"), done.entry(person["uid"])
            continue
        who = (
            "ldapwhoami",
            "-x",
            "-H",
            place.login["server_uri"],
            "-D",
            f"uid={person['uid']},{place.people}",
            "-y",
            str(path),
        )
        assert place.as_anybody(*who, check=False).returncode == 0, password
        assert password not in done.output
