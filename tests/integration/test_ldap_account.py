# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account on the lab's slapd and 389 Directory Server. Every test has a place of its own there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from directory_place import DS389, SLAPD, Place

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGv0h3c8n7J3Z0h1wqz6fXo0oCq3l6nD0m0m3Ww1tZ2k"
CANARY = "Canary-7391-hidden"


@pytest.fixture(params=[SLAPD, DS389], ids=["slapd", "389ds"])
def place(request: Any, lab: Any, serve_module: Callable[..., Any], tmp_path: Path) -> Iterator[Place]:
    one = Place(lab, serve_module, tmp_path, request.param)
    one.begin()
    yield one
    one.end()


def team(place: Place, size: int = 25) -> list[dict[str, Any]]:
    return [
        {
            "uid": place.uid(f"p{n:02}"),
            "cn": f"Person {n}",
            "mail": [f"{place.uid(str(n))}@example.org"],
            "ssh_keys": [f"{KEY} person{n}"],
            "groups": [place.uid(f"team{n % 4}")],
            "generate_password": True,
        }
        for n in range(size)
    ]


def test_25_people_in_4_groups_are_foretold_made_and_left_alone(place: Place) -> None:
    people = team(place)
    foretold = place.run(*people, check=True, diff=True)
    assert foretold.status == 0 and place.uids() == set() and not place.passwords.exists()
    done = place.run(*people, diff=True)
    assert done.status == 0 and done["changed"]
    assert done.actions() == foretold.actions() and set(done.actions().values()) == {"created"}
    assert done["counts"]["created"] == 29
    assert place.uids() == {person["uid"] for person in people}
    assert len(place.values_of(f"cn={place.uid('team0')},{place.groups}", "memberUid")) == 7
    numbers = {entry["uid_number"] for entry in done["entries"] if entry["kind"] == "account"}
    assert len(numbers) == 25 and min(numbers) == place.options["id_range"]["min"]
    assert place.may_log_in("p07", place.password_of("p07")) and not place.may_log_in("p07", place.password_of("p08"))
    assert place.may_log_in_by_file("p07")
    again = place.run(*people)
    assert again.status == 0 and not again["changed"] and set(again.actions().values()) == {"unchanged"}
    secrets = [place.password_of(f"p{n:02}") for n in range(25)]
    assert not any(secret in run.output for secret in secrets for run in (foretold, done, again))


def test_one_mail_the_directory_refuses_does_not_stop_the_others(place: Place) -> None:
    people = team(place)
    people[3]["mail"] = ["jürgen@exämple.org"]
    done = place.run(*people, on_error="continue")
    assert done.status != 0 and done["failed"] and done["changed"]
    bad = done.entry(people[3]["uid"])
    assert bad["action"] == "failed" and bad["error"]["ldap_result"] == "invalidAttributeSyntax"
    assert people[3]["uid"] in done["msg"] and "mail" in bad["error"]["msg"] and "Traceback" not in done.output
    assert done["counts"] == {"created": 28, "updated": 0, "unchanged": 0, "removed": 0, "failed": 1, "skipped": 0}
    assert place.uids() == {person["uid"] for person in people} - {people[3]["uid"]}
    members = place.values_of(f"cn={place.uid('team3')},{place.groups}", "memberUid")
    assert len(members) == 5 and people[3]["uid"] not in members
    assert done.entry(place.uid("team3"))["left_out"] == [people[3]["uid"]]


def test_a_locked_account_cannot_log_in_until_it_is_unlocked(place: Place) -> None:
    anna = {"uid": place.uid("anna"), "generate_password": True}
    place.run({**anna, "enabled": False})
    assert not place.may_log_in("anna", place.password_of("anna"))
    assert place.run({**anna, "enabled": False})["changed"] is False
    place.run({"uid": anna["uid"], "password": f"{CANARY}-2"}, update_password="always")
    assert not place.may_log_in("anna", f"{CANARY}-2")
    done = place.run({"uid": anna["uid"], "enabled": True})
    assert done.entry(anna["uid"])["changed"] == ["shadowExpire", place.lock_attribute] and place.may_log_in(
        "anna", f"{CANARY}-2"
    )


def test_no_password_is_shown_anywhere(place: Place, run_module: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "ben.password"
    source.write_text(f"{CANARY}-file\n", encoding="utf-8")
    source.chmod(0o600)
    people = [
        {"uid": place.uid("anna"), "password": f"{CANARY}-inline"},
        {"uid": place.uid("ben"), "password_file": str(source)},
        {"uid": place.uid("carl"), "generate_password": True},
    ]
    done = place.run(*people, diff=True, options=["-vvvv"], run=run_module)
    assert done.status == 0 and place.may_log_in("anna", f"{CANARY}-inline") and place.may_log_in("ben", f"{CANARY}-file")
    assert CANARY not in done.output and place.password_of("carl") not in done.output
    manager = Path(place.login["bind_pw_file"]).read_text(encoding="utf-8")
    assert manager not in done.output
    short = place.run({"uid": place.uid("dora"), "password": f"{CANARY[:5]}"}, options=["-vvvv"], run=run_module)
    assert short.status != 0 and short.entry(place.uid("dora"))["error"]["ldap_result"] == "constraintViolation"
    again = place.run({"uid": place.uid("dora"), "password": f"{CANARY}-longer"}, update_password="on_create")
    assert again.entry(place.uid("dora"))["reason"] == "no password yet" and place.may_log_in("dora", f"{CANARY}-longer")


@pytest.mark.parametrize("how", ["ldaps", "start_tls"])
def test_a_server_with_another_ca_is_not_believed(place: Place, tmp_path: Path, how: str) -> None:
    other = tmp_path / "other.crt"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {tmp_path}/key -out {other} -subj /CN=other"
    subprocess.run(make.split(), check=True, capture_output=True)
    where = {"server_uri": place.env["KUBESTEAD_LDAP_PLAIN_URI"], "start_tls": True} if how == "start_tls" else {}
    anna = {"uid": place.uid("anna")}
    done = place.run(anna, ca_path=str(other), **where)
    assert done.status != 0 and "certificate verify failed" in done["msg"] and "Traceback" not in done.output
    assert done["msg"].count("\n") == 0 and place.uids() == set()
    assert place.run(anna, **where).status == 0 and place.uids() == {anna["uid"]}


def test_clear_text_and_unreachable_and_wrong_logins_are_one_sentence(place: Place, tmp_path: Path) -> None:
    anna = {"uid": place.uid("anna")}
    plain = place.env["KUBESTEAD_LDAP_PLAIN_URI"]
    refused = place.run(anna, server_uri=plain)
    assert "clear text" in refused["msg"] and refused["error"]["code"] == "refused"
    nobody = place.run(anna, server_uri=["ldaps://127.0.0.1:9", "ldap://127.0.0.1:10"], start_tls=True)
    assert nobody["msg"].startswith("No LDAP server could be reached: ldaps://127.0.0.1:9 (Connection refused), ldap://")
    wrong = tmp_path / "wrong"
    wrong.write_text("not it", encoding="utf-8")
    denied = place.run(anna, bind_pw_file=str(wrong))
    assert denied["error"]["code"] == "denied" and place.login["bind_dn"] in denied["msg"]
    nowhere = place.run(anna, user_base=f"ou=nowhere,{place.top}")
    assert f"ou=nowhere,{place.top} does not exist" in nowhere["msg"]
    for run in (refused, nobody, denied, nowhere):
        assert run.status != 0 and "Traceback" not in run.output and not run["changed"]
    assert place.uids() == set()
    assert place.run(anna, server_uri=["ldaps://127.0.0.1:9", place.login["server_uri"]]).status == 0


def test_eight_runs_side_by_side_give_every_account_its_own_number(place: Place, call_module: Callable[..., Any]) -> None:
    def one(index: int) -> Any:
        return place.run(*({"uid": place.uid(f"r{index}x{n}")} for n in range(10)), run=call_module)

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(one, range(8)))
    assert [run.status for run in runs] == [0] * 8
    numbers = [entry["uid_number"] for run in runs for entry in run["entries"]]
    assert len(numbers) == len(set(numbers)) == 80 and len(place.uids()) == 80


def test_who_leaves_is_taken_out_of_all_groups_and_the_last_member_is_kept(place: Place) -> None:
    anna, ben, names = place.uid("anna"), place.uid("ben"), place.uid("names")
    place.run({"uid": anna, "groups": [place.uid("dev")]}, {"uid": ben})
    made = place.run(groups=({"cn": names, "kind": "groupOfNames", "members": {"set": [anna, ben]}},))
    assert made.entry(names)["action"] == "created"
    gone = {"uid": anna, "state": "absent"}
    foretold, done = place.run(gone, check=True), place.run(gone)
    assert foretold.actions() == done.actions() == {anna: "removed", names: "updated", place.uid("dev"): "updated"}
    assert place.values_of(f"cn={names},{place.groups}", "member") == [f"uid={ben},{place.people}"]
    assert place.values_of(f"cn={place.uid('dev')},{place.groups}", "memberUid") == []
    if place.is_389:  # its groups may be empty
        return
    kept = place.run({"uid": ben, "state": "absent"})
    assert kept.status != 0 and kept.entry(ben)["error"]["code"] == "refused" and place.uids() == {ben}
    ended = place.run({"uid": ben}, groups=({"cn": names},), state="absent")
    assert ended.actions() == {ben: "removed", names: "removed"} and place.uids() == set()


def test_more_than_a_server_gives_at_once_is_read_whole_or_not_at_all(place: Place, tmp_path: Path) -> None:
    people = [{"uid": place.uid(f"n{n:03}"), "groups": [place.uid(f"g{n % 3}")]} for n in range(600)]
    assert place.run(*people)["counts"]["created"] == 603
    assert place.run(*people)["counts"]["unchanged"] == 603
    file = tmp_path / "limited"
    file.write_text("Canary-7391-other", encoding="utf-8")
    file.chmod(0o600)
    limited = f"cn=limited,{place.top}"
    classes = "objectClass: organizationalRole\nobjectClass: simpleSecurityObject"
    limit = "nsSizeLimit: 500\nnsPagedSizeLimit: 500\n" if place.is_389 else ""
    place.ldap("ldapadd", stdin=f"dn: {limited}\n{classes}\ncn: limited\nuserPassword: Canary-7391-other\n{limit}")
    new = place.uid("new")
    short = place.run({"uid": new}, bind_dn=limited, bind_pw_file=str(file))
    error = short.entry(new)["error"]
    assert short.status != 0 and error["ldap_result"] == "sizeLimitExceeded" and "size.prtotal" in error["hint"]
    assert "Only 500 entries were received" in error["msg"]
    if place.is_389:
        limits = ("nsLookThroughLimit", "nsPagedLookThroughLimit")
        change = f"dn: {limited}\nchangetype: modify\n" + "-\n".join(f"replace: {name}\n{name}: 5\n" for name in limits)
        place.ldap("ldapmodify", stdin=change)
        looked = place.run({"uid": new}, bind_dn=limited, bind_pw_file=str(file))
        assert looked.status != 0 and "look-through" in looked["msg"], looked["msg"]
        return
    assert place.run(people[0], bind_dn=limited, bind_pw_file=str(file)).actions()[people[0]["uid"]] == "unchanged"
    denied = place.run({**people[0], "cn": "Other"}, bind_dn=limited, bind_pw_file=str(file))
    assert denied.entry(people[0]["uid"])["error"]["code"] == "denied"


def test_mistakes_end_the_task_before_any_write_and_name_the_entry(place: Place) -> None:
    anna = {"uid": place.uid("anna")}
    twice = place.run(anna, anna)
    assert f"{place.uid('anna')!r} is named twice" in twice["msg"] and twice["error"]["code"] == "bad_input"
    system = place.run(anna, {"uid": "system:masters"})
    assert "system:masters" in system["msg"]
    unknown = place.run({**anna, "shel": "/bin/sh"})
    assert "shel" in unknown["msg"]
    public = place.run({**anna, "password": place.uid("anna")})
    assert "is equal to a public value" in public["msg"]
    empty = place.run({**anna, "password": ""})
    assert "password is empty" in empty["msg"]
    assert all(run.status != 0 for run in (twice, system, unknown, public, empty)) and place.uids() == set()
