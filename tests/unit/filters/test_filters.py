# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters hand plain values to the domain, are documented, and complain in one sentence."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.kubestead.platform.plugins.module_utils._core.plain import plain

FOLDER = Path(__file__).resolve().parents[3] / "plugins" / "filter"
PACKAGE = "ansible_collections.kubestead.platform.plugins.filter"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))


def filters(file: str) -> dict[str, Callable[..., Any]]:
    return dict(importlib.import_module(f"{PACKAGE}.{file}").FilterModule().filters())


def test_every_filter_is_documented_under_its_own_name() -> None:
    names = {name for file in FILES for name in filters(file)}
    documented = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.yml")}
    assert set(documented) == names
    assert all(document["DOCUMENTATION"]["name"] == name for name, document in documented.items())


@pytest.mark.parametrize(("file", "name"), [(file, name) for file in FILES for name in filters(file)])
def test_what_is_imported_at_the_first_call_is_there(file: str, name: str) -> None:
    with pytest.raises(TypeError, match=r"takes .* positional arguments? but"):
        filters(file)[name]([], *[None] * 12)


def test_the_people_who_count_at_a_moment_and_without_some() -> None:
    people = [{"name": "anna", "expires": "2027-01-31"}, {"name": "bo"}, {"name": "cy", "state": "disabled"}]
    accounts = filters("people")["people_accounts"](people, at="2027-06-01T00:00:00Z", without=["bo", "cy"])
    assert [(one["uid"], one["enabled"]) for one in accounts] == [("anna", False), ("cy", False)]
    assert len(filters("people")["people_accounts"](people)) == 3


def test_the_list_may_come_as_text() -> None:
    people = [{"name": "anna", "full_name": "Anna Ärmel", "groups": ["red"]}, {"name": "bo", "state": "absent"}]
    accounts = filters("people")["people_accounts"]
    assert accounts(json.dumps(people)) == accounts(people)
    for text in ("", "anna", '{"name": "anna"}'):
        with pytest.raises(AnsibleFilterError, match="The list of people is not a list"):
            accounts(text)


def test_a_report_needs_only_a_part_of_the_results() -> None:
    entry = {
        "kind": "certificate",
        "name": "anna",
        "action": "created",
        "reason": "",
        "groups": ["red"],
        "not_after": "2027-01-31T00:00:00Z",
    }
    login = {
        "kind": "kubeconfig",
        "name": "/k/anna.kubeconfig",
        "action": "created",
        "login": {"user": "anna", "groups": ["red"]},
    }
    broken = {"kind": "grant", "name": "anna:edit", "action": "failed", "error": {"msg": "No.", "hint": "Ask."}}
    results = {
        "left": {},
        "account": {"msg": "There is no server."},
        "certificate": {"entries": [{**entry, "serial": "1", "seconds_left": 2}]},
        "kubeconfig": {"entries": [{**login, "logins": []}]},
        "grant": {"entries": [broken], "next_end": {"name": "anna:view", "at": "2027-01-01T00:00:00Z"}},
    }
    whole = importlib.import_module(f"{PACKAGE.replace('filter', 'module_utils._people')}.report").people_report
    people = [{"name": "anna", "groups": ["red"]}]
    assert filters("people")["people_report"](people, results) == whole(people, results)


def test_only_results_with_a_failure_are_looked_through() -> None:
    def told(kind: str, action: str, **counts: int) -> dict[str, Any]:
        return {"counts": counts, "entries": [{"kind": kind, "name": "anna", "action": action, "error": {"msg": "no"}}]}

    failed = filters("people")["people_failed"]
    assert failed({"left": {}, "account": told("account", "failed", failed=1, skipped=0)}) == ["anna"]
    assert failed({"certificate": told("certificate", "skipped", failed=0, skipped=1)}) == ["anna"]
    assert failed({"account": told("account", "created", failed=0, skipped=0)}) == []
    elsewhere = {"kind": "kubeconfig", "name": "/k/anna.kubeconfig", "action": "unchanged", "login": {"user": "bo"}}
    assert failed({"kubeconfig": {"counts": {"failed": 0, "skipped": 0}, "entries": [elsewhere]}}) == ["anna"]


def kinds(value: Any) -> set[type]:
    """The types of a value and of everything in it."""
    inside = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return {type(value)}.union(*(kinds(one) for one in inside))


def test_templated_values_become_plain() -> None:
    raw = {"name": "anna", "groups": ["{{ team }}"], "n": 1, "yes": True, "none": None, "half": 0.5}
    variables = {"team": trust_as_template("red"), "person": {key: _trusted(value) for key, value in raw.items()}}
    lazy = Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ person }}"))
    made = plain(lazy)
    assert made == {**raw, "groups": ["red"]}
    assert kinds(made) <= {dict, list, str, int, bool, float, type(None)}
    assert json.loads(json.dumps(made)) == made


def _trusted(value: Any) -> Any:
    if isinstance(value, list):
        return [_trusted(one) for one in value]
    return trust_as_template(value) if isinstance(value, str) else value


def test_a_refusal_is_one_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="system:boss") as caught:
        filters("people")["people_accounts"]([{"name": "system:boss"}])
    assert caught.value.__cause__ is None


def test_problems_are_told_instead_of_raised() -> None:
    problems = filters("people")["people_problems"]
    cluster = {"name": "lab", "server": "https://api"}
    assert problems([{"name": "anna"}], cluster, "/c", "/k") == []
    assert len(problems([{"name": "anna"}, {"name": "anna"}], cluster, "/c", "/k")) == 1
    values = {"release": "", "preset": "single-node", "csi_key_type": "auto"}
    assert "prepared" in filters("rook")["rook_cluster_problems"](values, [], {})[0]
