# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of people is checked once and said in the words of each module."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._people import lists, report
from ansible_collections.kubestead.platform.plugins.module_utils._people.person import people_from
from hypothesis import given
from hypothesis import strategies as st

ANNA = {
    "name": "anna",
    "full_name": "Anna Maria Berg",
    "mail": "anna@example.org",
    "groups": ["team-red"],
    "access": [{"role": "edit", "namespaces": ["team-red", "team-blue"]}],
}
CLUSTER = {"name": "lab", "server": "https://api:6443", "ca_path": "/ca.crt"}
LAB_PEOPLE = Path(__file__).resolve().parents[2] / "lab" / "people.yml"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "system:admin"}, "system:admin"),
        ({"name": "Anna"}, "Anna"),
        ({"name": False}, "quotes"),
        ({"name": None}, "no name"),
        ({"colour": "red"}, "colour"),
        ({"groups": "team-red"}, "groups"),
        ({"groups": ["system:masters"]}, "system:masters"),
        ({"groups": ["a", "a"]}, "twice"),
        ({"mail": 5}, "mail"),
        ({"mail": [""]}, "mail"),
        ({"full_name": ["Anna"]}, "full_name"),
        ({"state": "gone"}, "gone"),
        ({"state": True}, "state"),
        ({"generate_password": "yes"}, "generate_password"),
        ({"generate_password": True, "password_file": "/x"}, "password_file"),
        ({"access": {"role": "edit"}}, "access"),
        ({"access": ["edit"]}, "access"),
        ({"access": [{"namespaces": ["a"]}]}, "role"),
        ({"access": [{"role": "edit", "namespaces": []}]}, "edit"),
        ({"access": [{"role": "edit", "namespaces": ["Team"]}]}, "Team"),
        ({"access": [{"role": "edit", "scope": "cluster", "namespaces": ["a"]}]}, "cluster"),
        ({"access": [{"role": "edit", "scope": "world"}]}, "world"),
        ({"access": [{"role": "edit", "namespaces": ["a"], "until": "x"}]}, "until"),
        ({"access": [{"role": "edit", "namespaces": ["a"]}, {"role": "edit", "namespaces": ["a"]}]}, "edit in a"),
        ({"expires": "soon"}, "expires 'soon'"),
        ({"expires": 20270131}, "expires is neither"),
        ({"expires": "2027-01-31T18:00:00"}, "time zone"),
        ({"not_before": "never"}, "not_before 'never'"),
        ({"not_before": "2027-02-01", "expires": "2027-01-31"}, "ends before it begins"),
        (
            {"expires": "2027-01-31", "access": [{"role": "edit", "namespaces": ["a"], "not_before": "2027-02-01"}]},
            "access ends",
        ),
    ],
)
def test_a_wrong_person_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        people_from([{**ANNA, **change}])
    assert named in caught.value.sentence()


@pytest.mark.parametrize("raw", [None, "anna", {"name": "anna"}, ["anna"], [5]])
def test_a_wrong_list_is_refused(raw: object) -> None:
    with pytest.raises(BadInput):
        people_from(raw)


def test_the_same_person_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="anna"):
        people_from([ANNA, ANNA])


def test_null_counts_as_left_out() -> None:
    full = dict.fromkeys(["full_name", "mail", "groups", "ssh_keys", "password_file", "generate_password", "access", "state"])
    assert people_from([{"name": "bo", **full}]) == people_from([{"name": "bo"}])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ANNA, "role", "state", "x"]), inner),
    )
)
def test_anything_is_either_people_or_a_clear_refusal(raw: object) -> None:
    try:
        people_from(raw)
    except BadInput as exc:
        assert str(exc)


def test_an_account() -> None:
    assert lists.people_accounts([ANNA]) == [
        {
            "uid": "anna",
            "cn": "Anna Maria Berg",
            "sn": "Berg",
            "given_name": "Anna Maria",
            "display_name": "Anna Maria Berg",
            "mail": ["anna@example.org"],
            "groups": ["team-red"],
            "enabled": True,
        }
    ]


def test_a_person_of_one_word_has_a_surname() -> None:
    assert lists.people_accounts([{"name": "bo"}]) == [
        {"uid": "bo", "cn": "bo", "sn": "bo", "display_name": "bo", "groups": [], "enabled": True}
    ]


def test_a_disabled_person_keeps_a_locked_account_and_nothing_else() -> None:
    gone = [{**ANNA, "state": "disabled"}]
    assert lists.people_accounts(gone)[0]["enabled"] is False
    assert lists.people_certificates(gone) == []
    assert lists.people_kubeconfigs(gone, CLUSTER, "/c", "/k") == [{"path": "/k/anna.kubeconfig", "state": "absent"}]
    assert lists.certificate_files(gone, "/c") == []
    assert [grant["state"] for grant in lists.people_grants(gone)] == ["absent"]


def test_an_absent_person_is_absent_everywhere() -> None:
    gone = [{**ANNA, "state": "absent"}]
    for made in (lists.people_accounts, lists.people_certificates, lists.people_grants):
        assert [entry["state"] for entry in made(gone)] == ["absent"]


def test_a_kubeconfig_begins_in_the_first_namespace() -> None:
    (file,) = lists.people_kubeconfigs([ANNA], CLUSTER, "/c", "/k")
    assert file == {
        "path": "/k/anna.kubeconfig",
        "clusters": [{"name": "lab", "cluster": {"server": "https://api:6443", "certificate-authority": "/ca.crt"}}],
        "users": [{"name": "anna", "user": {"client-certificate": "/c/anna.crt", "client-key": "/c/anna.key"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "anna", "namespace": "team-red"}}],
        "current_context": "lab",
    }
    assert lists.certificate_files([ANNA], "/c") == ["/c/anna.crt", "/c/anna.key"]


TEMPORARY = {
    **ANNA,
    "not_before": "2027-01-01",
    "expires": date(2027, 1, 31),
    "access": [
        {"role": "edit", "namespaces": ["team-red"]},
        {"role": "view", "namespaces": ["team-blue"], "expires": "2027-01-10T18:00:00Z"},
        {"role": "admin", "namespaces": ["team-gold"], "not_before": "2027-01-20", "expires": "2028-01-01"},
    ],
}


def test_an_end_of_the_person_bounds_everything_that_is_made_for_them() -> None:
    bounds = [(one.get("not_before"), one.get("expires")) for one in lists.people_grants([TEMPORARY])]
    assert bounds == [
        ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"),
        ("2027-01-01T00:00:00Z", "2027-01-10T18:00:00Z"),
        ("2027-01-20T00:00:00Z", "2027-02-01T00:00:00Z"),
    ]
    assert lists.people_accounts([TEMPORARY])[0]["expires"] == "2027-02-01"
    within_a_day = {**ANNA, "expires": "2027-01-31T18:00:00+02:00"}
    assert lists.people_accounts([within_a_day])[0]["expires"] == "2027-02-01"
    assert lists.people_accounts([{**ANNA, "expires": "never"}])[0]["expires"] == "never"
    assert "expires" not in lists.people_certificates([{**ANNA, "expires": "never"}])[0]


@pytest.mark.parametrize(
    ("now", "state", "places", "certificate"),
    [
        ("2026-12-31T23:59:59Z", "disabled", None, None),
        ("2027-01-01T00:00:00Z", "present", ["team-red", "team-blue"], "2027-01-10T18:00:00Z"),
        ("2027-01-10T18:00:00Z", "present", ["team-red"], "2027-02-01T00:00:00Z"),
        ("2027-01-20T00:00:00Z", "present", ["team-red", "team-gold"], "2027-02-01T00:00:00Z"),
        ("2027-01-31T23:59:59Z", "present", ["team-red", "team-gold"], "2027-02-01T00:00:00Z"),
        ("2027-02-01T00:00:00Z", "disabled", None, None),
    ],
)
def test_the_list_as_it_counts_at_a_moment(now: str, state: str, places: Any, certificate: Any) -> None:
    current = lists.people_at([TEMPORARY], now)
    (anna,) = people_from(current)
    assert anna.state == state and lists.people_accounts(current)[0]["enabled"] is (state == "present")
    assert [one["expires"] for one in lists.people_certificates(current)] == ([certificate] if certificate else [])
    (file,) = lists.people_kubeconfigs(current, CLUSTER, "/c", "/k")
    assert ("contexts" in file) is (state == "present")
    assert places is None or list(anna.namespaces) == places


def test_who_is_not_present_stays_so_at_every_moment() -> None:
    gone = [{**TEMPORARY, "state": "absent"}, {**TEMPORARY, "name": "bo", "state": "disabled"}]
    assert lists.people_at(gone, "2027-01-15") == gone


def test_what_ends_next_is_told_and_so_is_what_should_have_ended() -> None:
    results = {
        "certificate": {
            "entries": [
                {"kind": "certificate", "name": "anna", "action": "unchanged", "not_after": "2027-01-20T00:00:00Z"},
                {"kind": "certificate", "name": "bo", "action": "updated", "not_after": "2027-01-11T00:00:00Z"},
                {"kind": "certificate", "name": "cy", "action": "removed", "not_after": "2027-01-01T00:00:00Z"},
            ]
        },
        "grant": {
            "entries": [],
            "next_end": {"name": "anna: edit in a", "at": "2027-01-31T00:00:00Z", "seconds_left": 5},
            "next_start": None,
            "overdue": [
                {"name": "dee: edit in a", "ended": "2026-01-01T00:00:00Z", "still_active": True},
                {"name": "eve: edit in a", "ended": "2026-01-01T00:00:00Z", "still_active": False},
            ],
        },
    }
    told = report.people_report([ANNA], results)
    assert told["next"]["certificate_end"] == {"name": "bo", "at": "2027-01-11T00:00:00Z"}
    assert told["next"]["grant_end"]["at"] == "2027-01-31T00:00:00Z" and told["next"]["grant_start"] is None
    assert (
        told["table"][-3:]
        == told["next"]["lines"]
        == [
            "The next certificate to end is of bo, 2027-01-11T00:00:00Z.",
            "The next right to end: anna: edit in a, 2027-01-31T00:00:00Z.",
            "Ended 2026-01-01T00:00:00Z and still active: dee: edit in a.",
        ]
    )


def test_a_step_that_failed_as_a_whole_is_a_problem() -> None:
    told = report.people_report([ANNA], {"account": {"msg": "No LDAP server could be reached."}, "grant": {"skipped": True}})
    assert not told["ok"] and told["problems"] == ["accounts: No LDAP server could be reached."]


def test_a_cluster_without_a_server_is_refused() -> None:
    with pytest.raises(BadInput, match="server"):
        lists.people_kubeconfigs([ANNA], {"name": "lab"}, "/c", "/k")


def test_who_failed_leaves_the_list_unless_they_are_being_shut_out() -> None:
    people = [ANNA, {"name": "bo"}, {"name": "cy", "state": "disabled"}]
    assert lists.people_except(people, ["anna", "cy"]) == people[1:]


def test_the_people_of_the_lab_are_sound() -> None:
    raw = yaml.safe_load(LAB_PEOPLE.read_text(encoding="utf-8"))["kubestead_people"]
    people = people_from(raw)
    assert len(people) == 25
    assert [person.name for person in people if person.state == "disabled"] == ["xaver"]
    assert len({group for person in people for group in person.groups if group.startswith("team-")}) == 4


def entry(kind: str, name: str, action: str = "created", **facts: object) -> dict[str, Any]:
    return {"kind": kind, "name": name, "action": action, "reason": "", **facts}


def results(**beats: list[dict[str, Any]]) -> dict[str, Any]:
    return {beat: {"entries": beats.get(beat, [])} for beat in report.BEATS}


def test_failures_are_found_in_every_beat() -> None:
    found = results(
        account=[entry("account", "anna", "failed"), entry("group", "team-red", "failed")],
        certificate=[entry("certificate", "bo", "failed")],
        kubeconfig=[entry("kubeconfig", "/k/cy.d.kubeconfig", "failed"), entry("kubeconfig", "/k/dee.kubeconfig")],
        grant=[entry("grant", "eve: edit in team-red", "failed"), entry("namespace", "team-red", "failed")],
    )
    assert report.failed_people(found) == ["anna", "bo", "cy.d", "eve"]


def test_before_the_first_beat_nobody_has_failed() -> None:
    assert report.failed_people(results()) == []


def test_the_report_tells_why() -> None:
    error = {"code": "backend_failed", "msg": "The directory refuses mail.", "hint": "Write an address."}
    found = results(
        account=[entry("account", "anna", "failed", error=error), entry("account", "bo")],
        certificate=[entry("certificate", "bo", not_after="2027-01-01T00:00:00Z")],
        grant=[entry("grant", "bo: edit in a"), entry("grant", "bo: edit in b", "unchanged")],
        kubeconfig=[entry("kubeconfig", "/k/bo.kubeconfig", login={"user": "bo", "groups": ["x"]})],
    )
    told = report.people_report([ANNA, {"name": "bo", "groups": ["x"]}], found)
    anna, bo = told["rows"]
    assert (anna["result"], anna["why"]) == ("failed", "The directory refuses mail. Write an address.")
    assert (bo["result"], bo["login"], bo["not_after"], bo["path"]) == (
        "present",
        "ok",
        "2027-01-01T00:00:00Z",
        "/k/bo.kubeconfig",
    )
    assert bo["grants"] == "1 created, 1 unchanged"
    assert told["failed"] == ["anna"]
    assert not told["ok"]
    assert len(told["table"]) == 4
    assert told["text"].startswith("1 of 2 people are served as asked. 1 failed:\nname ")


@pytest.mark.parametrize(
    ("action", "login", "complaint"),
    [
        ("unchanged", {"user": "mallory", "groups": ["x"]}, "mallory"),
        ("created", {"user": "bo", "groups": []}, "group x"),
    ],
)
def test_a_login_that_is_not_the_persons_is_a_failure(action: str, login: dict[str, Any], complaint: str) -> None:
    found = results(kubeconfig=[entry("kubeconfig", "/k/bo.kubeconfig", action, login=login)])
    told = report.people_report([{"name": "bo", "groups": ["x"]}], found)
    assert complaint in told["rows"][0]["why"] and told["rows"][0]["login"] == "failed"
    assert not told["ok"]


def test_what_belongs_to_nobody_is_a_problem() -> None:
    found = results(account=[entry("group", "team-red", "failed", error={"msg": "Refused."})])
    told = report.people_report([ANNA], found)
    assert told["problems"] == ["group team-red: Refused."]
    assert not told["ok"]
