# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs that are also in Secrets: where, who may read them, and whom a result is about."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._people import leaving, lists, report

CLUSTER = {"name": "lab", "server": "https://api:6443"}
ANNA: dict[str, Any] = {
    "name": "anna.b",
    "access": [{"role": "edit", "namespaces": ["team-red"]}],
    "expires": "2031-05-01T00:00:00Z",
}
BERT = {"name": "bert", "state": "disabled"}


def kubeconfigs(*people: dict[str, Any], namespace: str = "people") -> list[dict[str, Any]]:
    return lists.people_kubeconfigs(list(people), CLUSTER, "/c", "/k", namespace)


def test_the_secret_holds_what_the_file_holds() -> None:
    anna, bert, anna_in_secret, bert_in_secret = kubeconfigs(ANNA, BERT)
    assert anna.pop("path") == "/k/anna.b.kubeconfig" and bert == {"path": "/k/bert.kubeconfig", "state": "absent"}
    assert anna_in_secret.pop("secret") == {"namespace": "people", "name": "anna.b-kubeconfig"}
    assert anna_in_secret == anna
    assert bert_in_secret == {"secret": {"namespace": "people", "name": "bert-kubeconfig"}, "state": "absent"}
    assert [file for file in kubeconfigs(ANNA, BERT, namespace="") if "secret" in file] == []


def test_everybody_may_read_one_secret_as_long_as_they_are_there() -> None:
    *_rights, anna, bert = lists.people_grants([ANNA, BERT], namespace="people")
    assert anna == {
        "subjects": {"users": ["anna.b"]},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["anna.b-kubeconfig"], "verbs": ["get"]}],
        "scope": "namespaces",
        "namespaces": ["people"],
        "state": "present",
        "expires": "2031-05-01T00:00:00Z",
    }
    assert bert["state"] == "absent"
    assert len(lists.people_grants([ANNA, BERT])) == 1
    issued = {"entries": [{"name": "anna.b", "groups": ["anna.b-0123"]}, {"name": "bert"}]}
    right, reading = lists.people_grants([ANNA, BERT], issued, "people")
    assert right["subjects"] == reading["subjects"] == {"groups": ["anna.b-0123"]}


@pytest.mark.parametrize(
    ("person", "namespace", "said"),
    [
        (ANNA, "team-red", "rights in the namespace 'team-red'"),
        ({"name": "a_b"}, "people", "cannot name a Secret"),
        ({"name": "a@b"}, "people", "cannot name a Secret"),
        (ANNA, "People", "not the name of a namespace"),
        (ANNA, "a/../b", "not the name of a namespace"),
    ],
)
def test_what_would_open_them_to_others_or_has_no_name_is_refused(person: dict[str, Any], namespace: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        kubeconfigs(person, namespace=namespace)


def test_leavers_lose_both() -> None:
    assert leaving.leaver_kubeconfigs(["anna.b"], "/k", "people") == [
        {"path": "/k/anna.b.kubeconfig", "state": "absent"},
        {"secret": {"namespace": "people", "name": "anna.b-kubeconfig"}, "state": "absent"},
    ]
    assert len(leaving.leaver_kubeconfigs(["anna.b"], "/k")) == 1


def test_a_failure_of_either_is_the_persons() -> None:
    failed = {"kind": "kubeconfig", "action": "failed", "error": {"msg": "No such namespace."}}
    for name in ("/k/anna.b.kubeconfig", "secret people/anna.b-kubeconfig kubeconfig"):
        results = {"kubeconfig": {"entries": [{**failed, "name": name}]}}
        assert report.failed_people(results) == ["anna.b"]
        (row,) = report.people_report([ANNA], results)["rows"]
        assert (row["result"], row["why"]) == ("failed", "No such namespace.")
