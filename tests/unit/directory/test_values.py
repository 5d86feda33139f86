# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, filters, comparison, messages and numbers, for whatever people type."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._directory import compare, dn, ids, policy, wire
from ansible_collections.kubestead.platform.plugins.module_utils._directory.answers import refusal
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    Add,
    Change,
    Delete,
    Entry,
    Modify,
    SetPassword,
    Settings,
)
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc3062 import PasswdModifyRequestValue
from ldap3.protocol.rfc4511 import LDAPMessage
from ldap3.utils.asn1 import decoder

from fakes.directory import _filter

BASE = "ou=people,dc=example,dc=org"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)
SETTINGS = Settings(BASE, "ou=groups,dc=example,dc=org", True, "posixGroup", (100, 110), 100, "on_create", 20)


@given(TEXT)
def test_a_value_survives_its_way_into_a_dn_and_back(value: str) -> None:
    where = dn.child("uid", value, BASE)
    assert dn.first_value(where) == value
    assert dn.within(where, BASE) and not dn.within(BASE, where)


@given(TEXT, TEXT)
def test_no_value_reaches_beyond_its_place_in_a_dn(value: str, other: str) -> None:
    depth = len(dn._split(dn.child("cn", value, dn.child("uid", other, BASE)), ",;"))
    assert depth == 5


@given(TEXT)
def test_normal_is_the_same_twice(value: str) -> None:
    once = dn.normal(dn.child("uid", value, BASE))
    assert dn.normal(once) == once


@pytest.mark.parametrize(
    "other",
    [
        "UID=Anna,OU=People,DC=example,DC=org",
        "uid = anna , ou = people , dc = example , dc = org",
        "uid=\\61nna,ou=people;dc=example,dc=org",
        "uid=anna,ou=people,dc=EXAMPLE,dc=org",
    ],
)
def test_other_spellings_of_a_dn_are_the_same(other: str) -> None:
    assert dn.normal(other) == dn.normal("uid=anna,ou=people,dc=example,dc=org")


def test_parts_of_one_rdn_come_in_any_order() -> None:
    assert dn.normal("cn=a+uid=b,dc=x") == dn.normal("uid=b+CN=a,dc=x")


@pytest.mark.parametrize("text", ["", "people", "=x,dc=org", "ou people,dc=org", "ou=a,,dc=org", "1=a"])
def test_what_is_no_dn_is_said_to_be_none(text: str) -> None:
    assert not dn.is_dn(text)
    with pytest.raises(BadInput):
        dn.normal(text)


@given(TEXT, TEXT)
def test_a_filter_matches_its_value_and_nothing_else(value: str, other: str) -> None:
    matches = _filter(f"(&(objectClass=*){dn.any_of([dn.equals('title', value), dn.equals('title', 'x')])})")
    held = {"objectclass": ["top"]}
    assert matches({**held, "title": [value]})
    assert matches({**held, "title": [other]}) == (other in (value, "x"))


@pytest.mark.parametrize(
    ("attribute", "one", "another", "equal"),
    [
        ("cn", "Anna  Meyer ", "anna meyer", True),
        ("mail", "Anna@Example.org", "anna@example.org", True),
        ("homeDirectory", "/home/Anna", "/home/anna", False),
        ("uidNumber", "0100", "100", True),
        ("member", "uid=Anna, dc=x", "UID=anna,dc=x", True),
        ("memberUid", "Anna", "anna", False),
        ("sshPublicKey", "ssh-ed25519 AAAA anna@home", "ssh-ed25519  AAAA", True),
        ("sshPublicKey", "ssh-ed25519 AAAA", "ssh-ed25519 AAAB", False),
        ("sshPublicKey", "no-pty ssh-ed25519 AAAA x", "ssh-ed25519 AAAA x", False),
    ],
)
def test_values_are_compared_by_their_attribute(attribute: str, one: str, another: str, equal: bool) -> None:
    assert compare.same(attribute, [one], [another]) is equal
    assert (compare.missing(attribute, [one], [another]) == ()) is equal


@given(st.lists(TEXT), st.randoms())
def test_the_order_of_values_never_counts(values: list[str], random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert compare.same("mail", values, shuffled)
    assert compare.missing("mail", values, shuffled) == ()


VALUES = st.dictionaries(st.sampled_from(["cn", "sn", "mail"]), st.lists(TEXT, max_size=3).map(tuple), max_size=3)


@given(st.integers(0, 2**31 - 1), TEXT, VALUES)
def test_an_add_is_read_back_by_a_full_decoder(number: int, name: str, values: dict[str, tuple[str, ...]]) -> None:
    where = dn.child("uid", name, BASE)
    message, rest = decoder.decode(wire.message(number, Add(where, values)), asn1Spec=LDAPMessage())
    assert rest == b"" and int(message["messageID"]) == number
    request = message["protocolOp"]["addRequest"]
    assert bytes(request["entry"]).decode() == where
    read = {str(one["type"]): tuple(bytes(v).decode() for v in one["vals"]) for one in request["attributes"]}
    assert read == values


@given(TEXT, st.lists(TEXT, max_size=200).map(tuple), st.sampled_from(["add", "delete", "replace"]))
def test_a_modify_is_read_back_by_a_full_decoder(name: str, values: tuple[str, ...], how: str) -> None:
    where = dn.child("uid", name, BASE)
    sent = wire.message(7, Modify(where, (Change(how, "mail", values), Change("replace", "sn", ("x",)))))
    message, rest = decoder.decode(sent, asn1Spec=LDAPMessage())
    request = message["protocolOp"]["modifyRequest"]
    first, second = request["changes"]
    assert rest == b"" and bytes(request["object"]).decode() == where
    assert int(first["operation"]) == {"add": 0, "delete": 1, "replace": 2}[how] and int(second["operation"]) == 2
    assert tuple(bytes(v).decode() for v in first["modification"]["vals"]) == values


@given(TEXT, TEXT)
def test_delete_and_password_are_read_back_by_a_full_decoder(name: str, password: str) -> None:
    where = dn.child("uid", name, BASE)
    message, _rest = decoder.decode(wire.message(1, Delete(where)), asn1Spec=LDAPMessage())
    assert bytes(message["protocolOp"]["delRequest"]).decode() == where
    message, _rest = decoder.decode(wire.message(1, SetPassword(where, password)), asn1Spec=LDAPMessage())
    request = message["protocolOp"]["extendedReq"]
    assert str(request["requestName"]) == "1.3.6.1.4.1.4203.1.11.1"
    value, _rest = decoder.decode(bytes(request["requestValue"]), asn1Spec=PasswdModifyRequestValue())
    assert bytes(value["userIdentity"]).decode() == where and bytes(value["newPasswd"]).decode() == password


def test_no_value_of_a_write_is_part_of_its_text() -> None:
    hidden = "Canary-7391"
    ops = (SetPassword("dc=x", hidden), Add("dc=x", {"userPassword": (hidden,)}))
    assert hidden not in repr((*ops, Modify("dc=x", (Change("replace", "userPassword", (hidden,)),))))


@given(st.sets(st.integers(90, 115)), st.integers(1, 11))
def test_numbers_are_free_in_range_and_the_counter_passes_them(used: set[int], count: int) -> None:
    start = ids.next_number(None, SETTINGS, used)
    try:
        numbers, following = ids.pick(start, count, SETTINGS, used)
    except Refused as error:
        assert "id_range" in str(error)
        return
    assert len(set(numbers)) == count and not used & set(numbers)
    assert all(100 <= number <= 110 for number in numbers) and following == max(numbers) + 1


def test_a_broken_counter_is_not_guessed_at() -> None:
    counter = Entry(ids.counter_dn(SETTINGS), {"serialnumber": ("many",)})
    with pytest.raises(Refused, match="not a number"):
        ids.next_number(counter, SETTINGS, ())


@pytest.mark.parametrize(
    ("policies", "own", "effect"),
    [
        ({"cn=default,dc=x": True}, (), True),
        ({"cn=default,dc=x": False, "cn=other,dc=x": True}, (), False),
        ({"cn=default,dc=x": True, "cn=other,dc=x": False}, ("CN=other,dc=x",), False),
        ({"cn=a,dc=x": True, "cn=b,dc=x": False}, (), None),
        ({}, (), None),
        ({"cn=default,dc=x": True}, ("cn=hidden,dc=x",), None),
    ],
)
def test_which_policy_decides_about_a_lock(policies: dict[str, bool], own: tuple[str, ...], effect: object) -> None:
    entry = Entry("uid=a,dc=x", {"pwdpolicysubentry": own})
    assert policy.effect(policies, entry) is effect


def test_a_refusal_of_the_server_is_one_sentence_with_its_own_words() -> None:
    error = refusal("add uid=a,dc=x", 21, "invalidAttributeSyntax", "mail: value #0 invalid per syntax\n")
    assert str(error) == ("Could not add uid=a,dc=x: invalidAttributeSyntax (result 21): mail: value #0 invalid per syntax.")
    assert error.facts["ldap_text"] == "mail: value #0 invalid per syntax"
