# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""renew_users on the lab: people and rights that end, begin later or have ended, and a directory that is down meanwhile.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from directory_place import Place

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400


def moment(seconds_from_now: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds_from_now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Office:
    """A list of people of its own, kept by the playbook for schedules."""

    def __init__(self, place: Place, folder: Path, environment: dict[str, str]) -> None:
        self.place, self.folder, self._environment = place, folder, environment
        self.end, self.minute_before, self.soon = "2031-05-01", moment(3 * 3600 - 61), moment(3 * 3600)
        self.name = f"{place.mark}-red"

    def person(self, name: str, **more: Any) -> dict[str, Any]:
        access = [{"role": "edit", "namespaces": [self.name]}]
        return {"name": self.place.uid(name), "generate_password": True, "access": access, **more}

    def renew(self, *people: dict[str, Any], **variables: Any) -> tuple[int, dict[str, Any], int]:
        """The status, the report, and how many tasks changed something."""
        own = {
            "kubestead_people": list(people),
            "user_onboarding_directory": str(self.folder),
            "user_onboarding_user_base": self.place.people,
            "user_onboarding_group_base": self.place.groups,
            "user_onboarding_profile": "person",
            "user_onboarding_owner": self.place.mark,
            **variables,
        }
        files = ("-e", f"@{ROOT}/tests/lab/vars.yml", "-e", json.dumps(own))
        command = ("ansible-playbook", "kubestead.platform.renew_users", "-i", self.place.lab.env["KUBESTEAD_LAB_INVENTORY"])
        done = self.place.lab.exec(*command, *files, check=False, env=self._environment)
        document, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.find("{\n") :])
        results = [told for play in document["plays"] for task in play["tasks"] for told in task["hosts"].values()]
        facts = [told["ansible_facts"] for told in results if "user_onboarding_report" in told.get("ansible_facts", {})]
        return done.returncode, facts[-1]["user_onboarding_report"], document["stats"]["localhost"]["changed"]

    def bindings(self) -> dict[str, str]:
        """The end of each binding, by its subject and role."""
        found = json.loads(self.place.lab.kubectl("get", "rolebindings", "-n", self.name, "-o", "json").stdout)["items"]
        return {
            f"{one['subjects'][0]['name']} {one['roleRef']['name']}": (one["metadata"].get("annotations") or {}).get(
                "kubestead.platform/expires", ""
            )
            for one in found
        }


@pytest.fixture(scope="module")
def office(
    lab: Any, serve_module: Callable[..., Any], tmp_path_factory: Any, ansible_environment: dict[str, str]
) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    folder.chmod(0o700)
    place = Place(lab, serve_module, folder)  # its passwords are where the role keeps them, too
    place.begin()
    one = Office(place, folder, ansible_environment)
    yield one
    place.end()
    lab.kubectl("delete", "namespace", one.name, "--ignore-not-found", "--wait=false")


def team(office: Office) -> list[dict[str, Any]]:
    rights = [
        {"role": "edit", "namespaces": [office.name]},
        {"role": "view", "namespaces": [office.name], "expires": office.soon},
    ]
    return [
        office.person("eve", expires=office.end, access=rights),
        office.person("fred", not_before="2099-01-01"),
        office.person("gus", expires="2020-01-31"),
    ]


def test_rights_certificate_and_account_have_the_end_of_the_list(office: Office) -> None:
    eve, fred, gus = (office.place.uid(name) for name in ("eve", "fred", "gus"))
    status, report, _changed = office.renew(*team(office))
    assert status == 0, report["text"]
    rows = {row["name"]: row for row in report["rows"]}
    assert [rows[name]["result"] for name in (eve, fred, gus)] == ["present", "disabled", "disabled"]
    assert rows[eve]["login"] == "ok" and office.minute_before <= rows[eve]["not_after"] <= office.soon
    assert office.bindings() == {f"{eve} edit": "2031-05-02T00:00:00Z", f"{eve} view": office.soon}
    where = f"uid={eve},{office.place.people}"
    assert office.place.values_of(where, "shadowExpire") == ["22401"]
    assert office.place.values_of(where, "pwdEndTime") == ["20310502000000Z"]
    following = report["next"]
    assert following["certificate_end"] == {"name": eve, "at": rows[eve]["not_after"]}
    assert (following["grant_end"]["name"], following["grant_end"]["at"]) == (f"{eve}: view in {office.name}", office.soon)
    assert following["grant_start"]["at"] == "2099-01-01T00:00:00Z" and following["overdue"] == []
    assert report["table"][-3:] == following["lines"]
    locked = office.place.lock_attribute
    assert [bool(office.place.values_of(f"uid={who},{office.place.people}", locked)) for who in (eve, fred, gus)] == [
        False, True, True,
    ]  # fmt: skip
    status, _report, changed = office.renew(*team(office))
    assert (status, changed) == (0, 0)


def test_a_directory_that_is_down_keeps_no_right_from_ending(office: Office) -> None:
    people = team(office)
    people[0]["expires"] = moment(-DAY)
    people[0]["access"][1]["expires"] = moment(-2 * DAY)
    nowhere = {"server_uri": "ldaps://127.0.0.1:9", "bind_dn": "cn=x", "bind_pw": "Canary-7391-x"}
    status, report, _changed = office.renew(*people, kubestead_ldap=nowhere)
    assert status != 0 and report["problems"][0].startswith("accounts: No LDAP server could be reached"), report
    assert office.bindings() == {}
    assert not (office.folder / "kubeconfigs" / f"{office.place.uid('eve')}.kubeconfig").exists()
    assert not office.place.values_of(f"uid={office.place.uid('eve')},{office.place.people}", office.place.lock_attribute)
    status, report, changed = office.renew(*people)
    assert status == 0 and changed == 1, report["text"]
    assert office.place.values_of(f"uid={office.place.uid('eve')},{office.place.people}", office.place.lock_attribute)
    assert report["next"]["certificate_end"] is None and report["next"]["grant_end"] is None


def test_who_gets_more_time_is_as_before(office: Office) -> None:
    eve = office.place.uid("eve")
    status, report, _changed = office.renew(*team(office))
    assert status == 0 and report["rows"][0]["login"] == "ok", report["text"]
    assert set(office.bindings()) == {f"{eve} edit", f"{eve} view"} and office.place.may_log_in_by_file("eve")
