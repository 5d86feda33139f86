# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""People who leave, in the words of each module, and what became of them; rights bound to the issue of a certificate."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._people import leaving, lists, report
from hypothesis import given
from hypothesis import strategies as st

PEOPLE: list[dict[str, Any]] = [
    {"name": "anna", "groups": ["team-red"], "access": [{"role": "edit", "namespaces": ["red"]}]},
    {"name": "bert", "state": "disabled", "access": [{"role": "view", "scope": "cluster"}]},
    {"name": "cleo", "state": "absent"},
]


def entry(kind: str, name: str, action: str, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "action": action, "reason": "", **facts}


def failed(kind: str, name: str, msg: str) -> dict[str, Any]:
    return entry(kind, name, "failed", error={"msg": msg, "hint": "Try again."})


def test_who_leaves_and_who_may_come_back_is_in_the_list() -> None:
    assert leaving.people_leavers(PEOPLE) == ["cleo"]
    assert leaving.people_returning(PEOPLE) == [{"name": "anna"}]


@pytest.mark.parametrize("wrong", ["anna", [1], ["Anna"], ["system:x"], ["anna", "anna"], ["../x"], [None]])
def test_a_wrong_name_is_said_before_anything_is_done(wrong: Any) -> None:
    with pytest.raises(BadInput):
        leaving.leaver_kubeconfigs(wrong, "/k")


def test_the_list_in_the_words_of_each_module() -> None:
    names = ["anna", "bert"]
    assert leaving.leaver_certificates(names) == [{"name": "anna"}, {"name": "bert"}]
    assert leaving.leaver_kubeconfigs(names, "/k")[0] == {"path": "/k/anna.kubeconfig", "state": "absent"}
    assert leaving.leaver_accounts(names) == [{"uid": "anna"}, {"uid": "bert"}]


def test_only_accounts_that_are_there_are_locked() -> None:
    found = {
        "entries": [
            entry("account", "anna", "removed"),
            entry("account", "bert", "unchanged"),
            failed("account", "cleo", "a group would keep the name"),
            entry("group", "dora", "removed"),
        ]
    }
    locked = leaving.leaver_accounts(["anna", "bert", "cleo", "dora"], found)
    assert locked == [{"uid": "anna", "enabled": False}, {"uid": "cleo", "enabled": False}]


def test_what_was_done_is_said_and_what_had_not_to_be_done_is_not() -> None:
    results = {
        "account": {"entries": [entry("account", "anna", "unchanged")]},
        "certificate": {"entries": [entry("certificate", "anna", "removed"), entry("certificate", "bert", "unchanged")]},
        "kubeconfig": {"entries": [failed("kubeconfig", "/k/anna.kubeconfig", "The disk is full.")]},
    }
    anna, bert = leaving.leaver_entries(["anna", "bert"], "/k", "lock", results)
    assert anna["kubeconfig"] == "/k/anna.kubeconfig"
    assert anna["done"] == {
        "account": "locked",
        "certificate": "removed",
        "kubeconfig": "failed: The disk is full. Try again.",
    }
    assert bert["done"] == {}
    removed = leaving.leaver_entries(["anna"], "/k", "remove", results)[0]["done"]
    assert "account" not in removed  # it had been removed by an earlier run, which said so


def test_the_report_tells_failures_of_people_of_others_and_of_whole_steps() -> None:
    results: dict[str, Any] = {
        "cut": {"entries": [entry("denial", "anna", "created"), failed("denial_list", "cutoff", "No such kind.")]},
        "control_plane": {"msg": "The refusals could not be brought to every control plane node."},
        "account": {"msg": "The directory is down."},
        "end": {
            "entries": [
                entry("rights", "anna", "removed"),
                failed("rights", "bert", "Forbidden."),
                entry("proof", "anna", "created", remaining=["A watch."]),
            ]
        },
        "record": {"entries": [], "evidence": [{"name": "anna", "path": "/r/anna.txt", "lines": ["Offboarding of anna"]}]},
        "kubeconfig": {},
    }
    told = leaving.leaver_report(["anna", "bert"], results)
    assert told["failed"] == ["bert"] and not told["ok"]
    assert told["problems"] == [
        "denial_list cutoff: No such kind. Try again.",
        "The refusals could not be brought to every control plane node.",
        "The directory is down.",
    ]
    anna = told["rows"][0]
    assert (anna["refused"], anna["rights"], anna["account"], anna["remaining"]) == ("created", "removed", "-", ["A watch."])
    assert told["table"][-2:] == ["Offboarding of anna", "  (/r/anna.txt)"]
    assert told["text"].startswith("1 of 2 people are cut off as asked.")


@given(st.lists(st.from_regex(r"[a-z][a-z0-9.@-]{0,20}", fullmatch=True), unique=True, max_size=20))
def test_nobody_is_in_two_minds(names: list[str]) -> None:
    told = leaving.leaver_report(names, {})
    assert told["ok"] and [row["name"] for row in told["rows"]] == names
    assert len(leaving.leaver_entries(names, "/k", "lock", {})) == len(names)


def test_rights_are_bound_to_the_name_or_to_the_issue() -> None:
    assert lists.people_certificates(PEOPLE)[0] == {"name": "anna", "groups": ["team-red"]}
    assert lists.people_certificates(PEOPLE, "issue") == [
        {"name": "anna", "own_group": "keep"},
        {"name": "cleo", "state": "absent"},
    ]
    assert lists.people_certificates(PEOPLE, "issue", ["anna"])[0]["own_group"] == "new"
    issued = {
        "entries": [entry("certificate", "anna", "created", groups=["anna.0"]), entry("certificate", "bert", "unchanged")]
    }
    (grant,) = lists.people_grants(PEOPLE, issued)
    assert grant["subjects"] == {"groups": ["anna.0"]}
    assert [one["subjects"] for one in lists.people_grants(PEOPLE)] == [{"users": ["anna"]}, {"users": ["bert"]}]


def test_a_login_is_judged_by_the_groups_that_the_certificate_carries() -> None:
    login = {"user": "anna", "groups": ["anna.0", "system:authenticated"]}
    results = {
        "certificate": {"entries": [entry("certificate", "anna", "created", groups=["anna.0"])]},
        "kubeconfig": {"entries": [entry("kubeconfig", "/k/anna.kubeconfig", "created", login=login)]},
    }
    assert report.people_report(PEOPLE[:1], results)["rows"][0]["login"] == "ok"
    results["certificate"]["entries"][0]["groups"] = ["anna.1"]
    assert report.people_report(PEOPLE[:1], results)["failed"] == ["anna"]
