# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas as servers publish them, what is concluded from them, and passwords told from hashes."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._directory import accounts, compare, groups, passwords, policy
from ansible_collections.kubestead.platform.plugins.module_utils._directory.edits import edits_from, expiry_from, shown
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    Account,
    Edits,
    Entry,
    Seen,
    Server,
    Settings,
)
from ansible_collections.kubestead.platform.plugins.module_utils._directory.schema import Schema, schema_from
from ansible_collections.kubestead.platform.plugins.module_utils._directory.wire import policy_error
from hypothesis import given
from hypothesis import strategies as st

ATTRIBUTES = (
    "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
    "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'SINGLE names (EQUALITY of all)' SUP name )",
    "( 2.5.4.10 NAME 'o' SUP name )",
    "( 0.9.2342.19200300.100.1.10 NAME 'manager' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
    "( 2.16.840.1.113730.3.1.39 NAME 'preferredLanguage' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
    "( 2.5.18.1 NAME 'createTimestamp' SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE NO-USER-MODIFICATION USAGE dSAOperation )",
    "( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) SUP name )",
    "( 2.5.4.4 NAME 'sn' SUP name )",
    "( 2.5.4.20 NAME 'telephoneNumber' EQUALITY telephoneNumberMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.50 )",
    "( 1.1.1 NAME 'badge' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )",
    "( 1.1.2 NAME 'room' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
    "( 1.1.3 NAME 'nsSshPublicKey' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
    "( 1.1.4 NAME 'member' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
)  # fmt: skip
CLASSES = (
    "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY telephoneNumber )",
    "( 2.16.840.1.113730.3.2.2 NAME 'inetOrgPerson' SUP person STRUCTURAL MAY ( manager $ preferredLanguage ) )",
    "( 1.2.1 NAME 'badged' SUP top AUXILIARY MUST badge )",
    "( 1.2.2 NAME 'roomy' SUP top AUXILIARY MAY ( room ) )",
    "( 1.2.3 NAME 'roomier' SUP top AUXILIARY MAY ( room $ badge ) )",
    "( 1.2.4 NAME 'posixGroup' SUP top AUXILIARY MUST gidNumber MAY memberUid )",
    "( 1.2.5 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( cn $ member ) )",
    "( 1.2.6 NAME 'organizationalRole' SUP top STRUCTURAL MUST cn )",
)
SCHEMA = schema_from(ATTRIBUTES, CLASSES)
SETTINGS = Settings("ou=p,dc=x", "ou=g,dc=x", False, "groupOfNames", (1, 9), 1, "on_create", 1)


def test_definitions_are_found_by_any_name_and_inherit() -> None:
    cn = SCHEMA.attribute("COMMONNAME;lang-de")
    assert cn is not None and (cn.name, cn.equality, cn.single, cn.writable) == ("cn", "caseignorematch", False, True)
    created = SCHEMA.attribute("createTimestamp")
    assert created is not None and created.single and not created.writable and created.operational
    person = SCHEMA.object_class("INETORGPERSON")
    assert (
        person is not None and person.must == {"sn", "cn"} and person.may == {"manager", "preferredlanguage", "telephonenumber"}
    )
    assert SCHEMA.attribute("unknown") is None and not SCHEMA.has_attribute("unknown") and Schema().has_attribute("unknown")
    assert SCHEMA.auxiliaries_for("room") == ("roomy", "roomier")


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_definition_is_read_without_a_complaint(one: str, other: str) -> None:
    schema = schema_from([f"( 1.1 NAME 'a' {one} )", one], [f"( 1.2 NAME 'b' SUP b {other} )", other])
    schema.attribute("a")
    schema.auxiliaries_for("a")
    schema.classes_of_group("b2")


@pytest.mark.parametrize(
    ("attribute", "one", "another", "equal"),
    [
        ("o", "Some  Firm", "some firm", True),
        ("manager", "uid=a, dc=x", "UID=A,dc=X", True),
        ("telephoneNumber", "+49 30-12", "+493012", True),
        ("badge", "007", "7", True),
        ("room", "A 1", "a 1", False),
        ("room", "A 1", "A 1", True),
        ("o", "ﬁrm", "firm", True),
    ],
)
def test_the_servers_matching_rules_decide(attribute: str, one: str, another: str, equal: bool) -> None:
    assert compare.same(attribute, [one], [another], SCHEMA) is equal


def wanted(edits: Edits) -> dict[str, tuple[str, ...]]:
    account = Account("anna", True, {}, edits=edits)
    return accounts.wanted_attributes(account, SETTINGS, None, Seen(schema=SCHEMA))


def test_the_class_that_allows_an_attribute_is_added_only_when_there_is_one() -> None:
    schema_wide = {"room": ("1",), "manager": ("uid=b,dc=x",)}
    with pytest.raises(Refused, match="several do: roomy, roomier"):
        wanted(Edits(exact={"room": ("1",), "badge": ("7",)}))
    assert "roomy" in wanted(Edits(exact=schema_wide, extra={"objectClass": ("roomy",)}))["objectClass"]
    with pytest.raises(Refused, match="none of the server's auxiliary classes"):
        wanted(Edits(exact={"member": ("uid=b,dc=x",)}))


@pytest.mark.parametrize(
    ("edits", "text"),
    [
        ({"preferredLanguage": ("de", "en")}, "one value, not 2"),
        ({"nothing": ("x",)}, "no attribute nothing"),
        ({"createTimestamp": ("x",)}, "by the server itself"),
        ({"manager": ("Anna",)}, "is not a DN"),
    ],
)
def test_what_the_schema_cannot_hold_is_refused_in_words(edits: dict[str, tuple[str, ...]], text: str) -> None:
    with pytest.raises(Refused, match=text):
        wanted(Edits(exact=edits))


def test_what_groups_need_comes_from_the_schema() -> None:
    assert SCHEMA.classes_of_group("posixGroup") == ("posixGroup", "organizationalRole")
    assert SCHEMA.classes_of_group("groupOfNames") == ("groupOfNames",) and Schema().classes_of_group("posixGroup") == (
        "posixGroup",
    )
    assert SCHEMA.needs_member("groupOfNames", "member") and not SCHEMA.needs_member("posixGroup", "memberUid")
    assert Schema().needs_member("groupOfUniqueNames", "uniqueMember") and not Schema().needs_member("posixGroup", "memberUid")
    assert SCHEMA.ssh == ("nsSshPublicKey", "nsAccount") and Schema().ssh == ("sshPublicKey", "ldapPublicKey")


@pytest.mark.parametrize(
    ("root", "schema", "means"),
    [
        ({"supportedcontrol": (policy.CONTROL,)}, Schema(), "ppolicy"),
        ({"supportedcontrol": (policy.CONTROL,), "vendorname": ("389 Project",)}, Schema(), "nsaccountlock"),
        ({"supportedcontrol": (policy.CONTROL,)}, schema_from(["( 1.9 NAME 'nsAccountLock' )"], []), "nsaccountlock"),
        ({}, Schema(), "shadow"),
    ],
)
def test_the_means_of_locking_are_the_servers_own(root: dict[str, tuple[str, ...]], schema: Schema, means: str) -> None:
    assert policy.server_from(Entry("", root), schema, ()).lock == means


def test_a_lock_without_means_of_its_own_is_the_day_of_expiry() -> None:
    seen = Entry("uid=a,dc=x", {"objectclass": ("posixAccount",), "shadowexpire": ("20000",)})
    settings = Settings("ou=p,dc=x", "ou=g,dc=x", True, "posixGroup", (1, 9), 1, "on_create", 1)
    off = accounts.disabling(Account("a", False, {}), settings, seen, Seen(server=Server("shadow")))
    assert off == {"objectClass": ("shadowAccount",), "shadowExpire": ("1",), "shadowFlag": ("20000",)}
    assert accounts.lock(True, "shadow") == () and accounts.is_disabled(Entry("", {"shadowexpire": ("1",)}), "shadow")


def test_new_names_take_the_place_of_old_ones_in_groups() -> None:
    group = Entry("cn=g,dc=x", {"memberuid": ("old", "b"), "member": ("UID=old, dc=x", "uid=b,dc=x")})
    after = groups.renamed(group, {"old": "new"}, {"uid=old,dc=x": "uid=new,dc=y"})
    assert after.values_of("memberUid") == ("new", "b") and after.values_of("member") == ("uid=new,dc=y", "uid=b,dc=x")
    assert groups.renaming(after, {"old": "new"}, {"uid=old,dc=x": "uid=new,dc=y"}) is None


def hashed(scheme: str, name: str, password: str, salt: bytes) -> str:
    return f"{{{scheme}}}" + base64.b64encode(hashlib.new(name, password.encode() + salt).digest() + salt).decode()


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.binary(min_size=1, max_size=16))
def test_a_hash_tells_the_password_from_every_other(password: str, other: str, salt: bytes) -> None:
    for scheme, name in (("SSHA", "sha1"), ("SSHA512", "sha512"), ("ssha256", "sha256"), ("SMD5", "md5")):
        stored = hashed(scheme, name, password, salt)
        assert passwords.against_hashes(password, [stored]) == passwords.SAME
        assert passwords.against_hashes(other, [stored]) == (passwords.SAME if other == password else passwords.OTHER)
    plain = hashed("SHA", "sha1", password, b"")
    assert passwords.against_hashes(password, ["{CRYPT}x", plain]) == passwords.SAME


def test_stretched_hashes_and_those_nobody_can_read() -> None:
    key = hashlib.pbkdf2_hmac("sha512", b"secret", b"salty", 1000, 64)
    parts = [base64.b64encode(raw).decode().rstrip("=").replace("+", ".") for raw in (b"salty", key)]
    stored = f"{{PBKDF2-SHA512}}1000${parts[0]}${parts[1]}"
    assert passwords.against_hashes("secret", [stored]) == passwords.SAME
    assert passwords.against_hashes("other", [stored]) == passwords.OTHER
    for unreadable in (
        "{CRYPT}$6$x",
        "{SSHA}***",
        "{SSHA}",
        "{PBKDF2-SHA512}x$y$z",
        "{ARGON2}x",
        "{PBKDF2-SHA512}9999999999$a$b",
    ):
        assert passwords.against_hashes("secret", [unreadable]) == passwords.UNVERIFIABLE
    assert passwords.against_hashes("secret", []) == passwords.UNVERIFIABLE


def test_a_remembered_password_is_known_again_and_not_readable() -> None:
    text = passwords.remembered("secret one", "salt")
    assert "secret" not in text and passwords.against_remembered("secret one", f"{text}\n") is True
    assert passwords.against_remembered("secret two", text) is False
    for broken in ("", "x", "pbkdf2-sha256$x$y$z", "pbkdf2-sha256$10$y"):
        assert passwords.against_remembered("secret one", broken) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"set": {"uid": "x"}}, "Use uid and renamed_from"),
        ({"set": {"userPassword": "x"}}, "Use password"),
        ({"add": {"nsAccountLock": "true"}}, "Use enabled"),
        ({"set": {"objectClass": "x"}}, "Classes are only added"),
        ({"set": {"cn": "x"}}, "option of its own"),
        ({"set": {"a b": "x"}}, "not the name of an attribute"),
        ({"set": {"title": "x", "TITLE": "y"}}, "named twice"),
        ({"set": {"title": "x"}, "add": {"title": "y"}}, "attributes.set names title"),
        ({"add": {"title": "x"}, "remove": {"title": "x"}}, "in add and remove"),
        ({"add": {"title": []}}, "names no value"),
        ({"set": {"photo": {"base64": "?"}}}, "not base64"),
        ({"set": {"photo": {"b64": "eA=="}}}, "base64 alone"),
        ({"set": {"title": "\ud800"}}, "no valid Unicode"),
        ({"set": {"title": [None]}}, "base64 alone"),
    ],
)
def test_wrong_edits_are_said_before_anything_is_read(raw: dict[str, object], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        edits_from("anna", raw, {"cn": ("Anna",)})
    assert text in caught.value.sentence() and "anna" in str(caught.value)


def test_bytes_are_kept_and_shown_by_their_size() -> None:
    edits = edits_from("anna", {"set": {"jpegPhoto": {"base64": "//79"}, "flag": True, "number": 7}}, {})
    assert shown(edits.exact["jpegPhoto"]) == ["(binary, 3 bytes)"]
    assert edits.exact["flag"] == ("TRUE",) and edits.exact["number"] == ("7",)


def test_days_of_expiry() -> None:
    assert expiry_from("a", "2031-05-01") == 22400 and accounts.expiry_text(22400) == "2031-05-01"
    assert expiry_from("a", "never") == expiry_from("a", "") == 0 and expiry_from("a", None) is None
    for wrong in ("1970-01-02", "20310501", "31.5.2031", "2031-02-30", "soon"):
        with pytest.raises(BadInput, match="is not a day"):
            expiry_from("a", wrong)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x30\x03\x81\x01\x06", "passwordTooShort"),
        (b"\x30\x84\x00\x00\x00\x03\x81\x01\x05", "insufficientPasswordQuality"),
        (b"\x30\x08\xa0\x03\x81\x01\x02\x81\x01\x08", "passwordInHistory"),
        (b"\x30\x00", ""),
        (b"", ""),
        (b"\x81\x01", ""),
    ],
)
def test_the_policys_reason_is_read(value: bytes, reason: str) -> None:
    assert policy_error(value) == reason
