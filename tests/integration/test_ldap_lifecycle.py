# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account over an account's whole life, on slapd and on 389 Directory Server, read back with OpenLDAP's own tools."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from directory_place import DS389, SLAPD, Place

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGv0h3c8n7J3Z0h1wqz6fXo0oCq3l6nD0m0m3Ww1tZ2k"
FIRST, SECOND, THIRD = "Canary-7391-first", "Canary-7391-second", "Canary-7391-third"


@pytest.fixture(params=[SLAPD, DS389], ids=["slapd", "389ds"])
def place(request: Any, lab: Any, serve_module: Callable[..., Any], tmp_path: Path) -> Iterator[Place]:
    one = Place(lab, serve_module, tmp_path, request.param)
    one.begin()
    left = f"ou=left,{one.top}"
    one.ldap("ldapadd", stdin=f"dn: {left}\nobjectClass: organizationalUnit\nou: left\n")
    one.options["archive_base"] = left
    yield one
    one.end()


def same_verdict(place: Place, *accounts: dict[str, Any], **more: Any) -> Any:
    """The run, once its check mode has foretold exactly that, and once a second run finds nothing to do."""
    foretold = place.run(*accounts, check=True, **more)
    done = place.run(*accounts, **more)
    assert foretold.actions() == done.actions(), (foretold.result, done.result)
    again = place.run(*accounts, **more)
    assert again.status == 0 and not again["changed"], again.result
    return done


def test_attributes_by_name_are_set_added_removed_and_compared_by_their_rules(place: Place) -> None:
    anna, boss = place.uid("anna"), place.uid("boss")
    dn, boss_dn = f"uid={anna},{place.people}", f"uid={boss},{place.people}"
    picture = bytes(range(256))
    edits = {
        "set": {
            "title": "Head of Sales",
            "manager": boss_dn,
            "telephoneNumber": ["+49 30 1234567"],
            "jpegPhoto": {"base64": base64.b64encode(picture).decode()},
        },
        "add": {"description": ["one", "two"]},
    }
    done = same_verdict(place, {"uid": boss}, {"uid": anna, "attributes": edits})
    assert {"title", "manager", "jpegPhoto"} <= set(done.entry(anna)["changed"])
    assert place.values_of(dn, "title") == ["Head of Sales"] and sorted(place.values_of(dn, "description")) == ["one", "two"]
    raw = place.ldap("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", dn, "-s", "base", "jpegPhoto").stdout
    assert base64.b64decode(raw.partition("jpegPhoto:: ")[2].split("\n")[0]) == picture
    other_spelling = {
        "set": {
            "title": "head of  sales",
            "manager": f"UID={boss.upper()}, {place.people.replace('ou=', 'OU = ')}",
            "telephoneNumber": "+493012 34-567",
        }
    }
    assert not place.run({"uid": anna, "attributes": other_spelling})["changed"]
    done = same_verdict(place, {"uid": anna, "attributes": {"remove": {"description": "two"}, "set": {"title": []}}})
    assert sorted(done.entry(anna)["changed"]) == ["description", "title"]
    assert place.values_of(dn, "description") == ["one"] and place.values_of(dn, "title") == []


def test_the_schema_decides_before_anything_is_written(place: Place) -> None:
    anna = place.uid("anna")
    for edit, text in (
        ({"preferredLanguage": ["de", "en"]}, "can have one value, not 2"),
        ({"noSuchThing": "x"}, "has no attribute noSuchThing"),
        ({"manager": "Anna"}, "is not a DN"),
        ({"createTimestamp": "20260101000000Z"}, "kept by the server itself"),
        ({"memberUid": "x"}, "no object class of the account allows memberUid"),
    ):
        foretold = place.run({"uid": anna, "attributes": {"set": edit}}, check=True)
        assert foretold.status != 0 and text in foretold.entry(anna)["error"]["msg"], foretold.result
    assert place.uids() == set()
    same_verdict(place, {"uid": anna, "attributes": {"set": {"shadowMax": "90"}}})
    assert "shadowAccount" in place.values_of(f"uid={anna},{place.people}", "objectClass")


def test_another_name_and_another_place_with_all_groups(place: Place) -> None:
    old, new, dev, names, unique = (place.uid(name) for name in ("old", "new", "dev", "names", "unique"))
    place.run({"uid": old, "cn": "Cleo Haas", "groups": [dev]})
    kinds = ((names, "groupOfNames"), (unique, "groupOfUniqueNames"))
    place.run(groups=tuple({"cn": cn, "kind": kind, "members": {"set": [old]}} for cn, kind in kinds))
    place.ldap("ldapadd", stdin=f"dn: ou=sales,{place.people}\nobjectClass: organizationalUnit\nou: sales\n")
    wanted = {"uid": new, "renamed_from": old, "sn": "Weber", "parent": f"ou=sales,{place.people}", "groups": [dev]}
    done = same_verdict(place, wanted)
    dn = f"uid={new},ou=sales,{place.people}"
    entry = done.entry(new)
    assert (entry["action"], entry["dn"], entry["moved_from"]) == ("updated", dn, f"uid={old},{place.people}")
    assert "another name" in entry["reason"] and place.uids() == {new}
    assert place.values_of(dn, "cn") == ["Cleo Haas"] and place.values_of(dn, "sn") == ["Weber"]
    assert place.values_of(f"cn={dev},{place.groups}", "memberUid") == [new]
    assert place.values_of(f"cn={names},{place.groups}", "member") == [dn]
    assert place.values_of(f"cn={unique},{place.groups}", "uniqueMember") == [dn]
    both = place.run({"uid": old}, {"uid": place.uid("x")})
    assert both.status == 0
    clash = place.run(wanted)
    assert clash.status != 0 and clash.entry(new)["error"]["code"] == "conflict"


def test_who_leaves_is_locked_kept_and_can_come_back_with_the_same_number(place: Place) -> None:
    anna, dev = place.uid("anna"), place.uid("dev")
    wanted = {"uid": anna, "groups": [dev], "ssh_keys": [f"{KEY} anna"], "password": FIRST}
    number = place.run(wanted).entry(anna)["uid_number"]
    archive = {"delete_policy": "archive"}
    gone = same_verdict(place, {"uid": anna, "state": "absent"}, **archive)
    kept = f"uid={anna},ou=left,{place.top}"
    assert gone.entry(anna)["reason"] == "archived" and gone.entry(anna)["dn"] == kept
    assert place.uids() == set() and place.values_of(f"cn={dev},{place.groups}", "memberUid") == []
    assert place.values_of(kept, place.lock_attribute) and place.values_of(kept, "shadowExpire") == ["1"]
    assert place.values_of(kept, "sshPublicKey") == [f"# disabled: {KEY} anna"]
    login = ("ldapwhoami", "-x", "-H", place.login["server_uri"], "-D", kept, "-w", FIRST)
    assert place.as_anybody(*login, check=False).returncode != 0
    assert place.run({"uid": place.uid("ben")}).entry(place.uid("ben"))["uid_number"] > number
    taken = place.run({"uid": place.uid("carl"), "uid_number": str(number)})
    assert taken.status != 0 and kept in taken["msg"]
    back = same_verdict(place, {**wanted, "enabled": True})
    assert back.entry(anna)["uid_number"] == number and "was archived" in back.entry(anna)["reason"]
    where = f"uid={anna},{place.people}"
    assert place.values_of(where, "sshPublicKey") == [f"{KEY} anna"] and place.values_of(where, "shadowExpire") == []
    assert place.may_log_in("anna", FIRST) and place.values_of(f"cn={dev},{place.groups}", "memberUid") == [anna]


def test_a_lock_also_stops_keys_and_is_undone_without_loss(place: Place) -> None:
    anna = place.uid("anna")
    where = f"uid={anna},{place.people}"
    same_verdict(place, {"uid": anna, "ssh_keys": [f"{KEY} anna"], "password": FIRST, "expires": "2031-05-01"})
    assert place.values_of(where, "shadowExpire") == ["22400"]
    done = same_verdict(place, {"uid": anna, "enabled": False})
    assert done.entry(anna)["enabled"] is False and not place.may_log_in("anna", FIRST)
    assert place.values_of(where, "shadowExpire") == ["1"]
    assert place.values_of(where, "sshPublicKey") == [f"# disabled: {KEY} anna"]
    edited = same_verdict(place, {"uid": anna, "cn": "Anna B", "ssh_keys": [f"{KEY} anna", f"{KEY}AAAA second"]})
    assert edited.entry(anna)["enabled"] is False and not place.may_log_in("anna", FIRST)
    assert all(key.startswith("# disabled: ") for key in place.values_of(where, "sshPublicKey"))
    same_verdict(place, {"uid": anna, "expires": "2031-05-02"})
    assert place.values_of(where, "shadowExpire") == ["1"]
    same_verdict(place, {"uid": anna, "enabled": True})
    assert place.values_of(where, "shadowExpire") == ["22401"] and place.values_of(where, "shadowFlag") == []
    assert len(place.values_of(where, "sshPublicKey")) == 2 and place.may_log_in("anna", FIRST)
    same_verdict(place, {"uid": anna, "expires": "never"})
    assert place.values_of(where, "shadowExpire") == []


def test_a_day_of_expiry_keeps_out_where_the_server_knows_one(place: Place) -> None:
    anna = place.uid("anna")
    place.run({"uid": anna, "password": FIRST})
    same_verdict(place, {"uid": anna, "expires": "2026-01-01"})
    assert place.may_log_in("anna", FIRST) is place.is_389
    same_verdict(place, {"uid": anna, "expires": "2035-01-01"})
    assert place.may_log_in("anna", FIRST)


def test_a_group_without_members_has_a_placeholder_where_one_is_needed(place: Place) -> None:
    anna, names = place.uid("anna"), place.uid("names")
    where, nobody = f"cn={names},{place.groups}", f"cn=kubestead-nobody,{place.groups}"
    stands_in = [] if place.is_389 else [nobody]
    option = {"empty_groups": "placeholder"}
    same_verdict(place, groups=({"cn": names, "kind": "groupOfNames"},), **option)
    assert place.values_of(where, "member") == stands_in
    same_verdict(place, {"uid": anna}, groups=({"cn": names, "members": {"add": [anna]}},), **option)
    assert place.values_of(where, "member") == [f"uid={anna},{place.people}"]
    same_verdict(place, {"uid": anna, "state": "absent"}, **option)
    assert place.values_of(where, "member") == stands_in
    if not place.is_389:
        refused = place.run(groups=({"cn": place.uid("other"), "kind": "groupOfNames"},))
        assert refused.status != 0 and "empty_groups" in refused["msg"]


def test_a_changed_password_is_told_without_any_login(place: Place) -> None:
    anna = {"uid": place.uid("anna")}
    when = {"update_password": "when_changed"}
    place.run({**anna, "password": FIRST})
    assert not place.run({**anna, "password": FIRST}, **when)["changed"]
    done = same_verdict(place, {**anna, "password": SECOND}, **when)
    assert done.entry(anna["uid"])["reason"] == "password differs" and place.may_log_in("anna", SECOND)
    where = f"uid={anna['uid']},{place.people}"
    place.ldap("ldappasswd", "-s", "Canary-7391-their own", where)
    assert not place.run({**anna, "password": SECOND}, **when)["changed"], "a password the person chose is no drift"
    same_verdict(place, {**anna, "password": THIRD}, **when)
    assert place.may_log_in("anna", THIRD)
    kept = place.passwords / ".last-set" / anna["uid"]
    assert kept.stat().st_mode & 0o777 == 0o600 and THIRD not in kept.read_text(encoding="utf-8")


def test_a_password_refused_by_the_policy_is_explained(place: Place) -> None:
    anna = place.uid("anna")
    short = place.run({"uid": anna, "password": "Sh0rt-"})
    error = short.entry(anna)["error"]
    assert short.status != 0 and error["ldap_result"] == "constraintViolation"
    assert "too short" in error["hint"] or "shorter" in error["hint"]
    assert error["password_policy"] in ("passwordTooShort", "insufficientPasswordQuality") and "Sh0rt-" not in short.output


def test_a_password_of_before_is_refused_where_the_policy_binds_managers_too(place: Place) -> None:
    anna = {"uid": place.uid("anna")}
    always = {"update_password": "always"}
    for password in (FIRST, SECOND):
        assert place.run({**anna, "password": password}, **always).status == 0
    old = place.run({**anna, "password": FIRST}, **always)
    if not place.is_389:  # ppolicy keeps a history for the person alone
        assert old.status == 0 and place.may_log_in("anna", FIRST)
        return
    error = old.entry(anna["uid"])["error"]
    assert old.status != 0 and error["ldap_result"] == "constraintViolation"
    assert error["password_policy"] == "passwordInHistory" and "had this password before" in error["hint"], error
    assert place.may_log_in("anna", SECOND)


def test_changing_the_password_can_be_demanded_only_where_it_has_an_effect(place: Place) -> None:
    done = place.run({"uid": place.uid("anna"), "password": FIRST, "must_change": True})
    assert done.status != 0 and "MustChange" in done["msg"] and place.uids() == set()


def test_a_lost_file_of_a_generated_password_brings_a_new_password(place: Place) -> None:
    anna = {"uid": place.uid("anna"), "generate_password": True}
    when = {"update_password": "when_changed"}
    place.run(anna, **when)
    first = place.password_of("anna")
    assert not place.run(anna, **when)["changed"]
    (place.passwords / f"{anna['uid']}.password").unlink()
    done = place.run(anna, **when)
    assert "file of the password is missing" in done.entry(anna["uid"])["reason"]
    assert place.password_of("anna") != first and place.may_log_in("anna", place.password_of("anna"))


def test_a_hash_is_stored_as_it_is_or_refused_with_the_servers_reason(place: Place) -> None:
    anna = place.uid("anna")
    raw = hashlib.sha1(THIRD.encode() + b"saltsalt").digest() + b"saltsalt"
    stored = "{SSHA}" + base64.b64encode(raw).decode()
    done = place.run({"uid": anna, "password_hash": stored})
    assert stored not in done.output
    if place.is_389:  # its policy lets nobody but its directory manager store hashes
        assert done.status != 0 and "storage scheme" in done.entry(anna)["error"]["ldap_text"]
        return
    assert place.may_log_in("anna", THIRD)
    when = {"update_password": "when_changed"}
    assert not place.run({"uid": anna, "password_hash": stored}, **when)["changed"]
    assert not place.run({"uid": anna, "password": THIRD}, **when)["changed"]


def test_generated_passwords_go_to_secrets_where_a_disk_would_vanish(place: Place) -> None:
    anna = {"uid": place.uid("anna"), "generate_password": True}
    space = f"passwords-{place.mark}"
    place.lab.kubectl("create", "namespace", space)
    try:
        more = {"password_directory": None, "password_secret": {"namespace": space, "kubeconfig": place.lab.env["KUBECONFIG"]}}
        done = same_verdict(place, anna, **more)
        where = done.entry(anna["uid"])["password_path"]
        assert where == f"{space}/{anna['uid']}-password:password"
        printed = place.lab.kubectl("get", "secret", "-n", space, f"{anna['uid']}-password", "-o", "jsonpath={.data.password}")
        secret = base64.b64decode(printed.stdout).decode()
        assert place.may_log_in("anna", secret) and secret not in done.output
        nowhere = {**more, "password_secret": {**more["password_secret"], "namespace": "nowhere-to-be-found"}}
        lost = place.run({"uid": place.uid("ben"), "generate_password": True}, **nowhere)
        assert lost.status != 0 and "nowhere-to-be-found" in lost["msg"] and "Traceback" not in lost.output
        assert place.run({"uid": place.uid("ben"), "generate_password": True}, **more).status == 0
    finally:
        place.lab.kubectl("delete", "namespace", space, "--wait=false")
