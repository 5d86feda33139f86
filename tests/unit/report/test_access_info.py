# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info on a platform in memory: what is told about people, and where it is not as it was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects
from ansible_collections.kubestead.platform.plugins.module_utils._report.drift import KINDS

from access_world import DAY, Told, World, certificate
from rbac_world import NOW

PEOPLE: list[dict[str, Any]] = [
    {
        "name": "anna",
        "full_name": "Anna Berg",
        "groups": ["team"],
        "access": [{"role": "edit", "namespaces": ["red"]}, {"role": "view", "scope": "cluster"}],
    },
    {"name": "dora", "groups": ["team"], "state": "disabled"},
]


@pytest.fixture
def world() -> World:
    """All is as the list has it."""
    made = World()
    made.account("anna", "team")
    made.account("dora", "team", locked=True)
    made.pair("anna", "team")
    made.bind("anna", "edit", "red")
    made.bind("anna", "view")
    return made


def test_a_platform_as_it_was_asked_for_has_no_findings(world: World) -> None:
    told = Told(world, PEOPLE)
    assert told.findings == []
    assert told.rights("anna") == [("view", "the whole cluster", None, "list"), ("edit", "red", None, "list")]
    anna = told.people["anna"]
    assert anna["full_name"] == "Anna Berg"
    assert anna["groups"] == [{"name": "team", "sources": ["certificates", "directory", "people"]}]
    assert anna["account"] == {"dn": "uid=anna,ou=people,dc=example,dc=org", "locked": False, "expires": None}
    assert [one["found_in"] for one in anna["certificates"]] == [["file"]]
    assert anna["certificates"][0]["seconds_left"] == 30 * DAY
    assert told.people["dora"]["state"] == "disabled" and told.people["dora"]["account"]["locked"]
    assert told.steps == () and told.result["counts"]["unchanged"] == 2


def test_each_kind_is_listed_once_and_nothing_else_is_asked(world: World) -> None:
    told = Told(world, PEOPLE, namespaces=("people",))
    assert sorted(told.calls) == sorted(
        ("LIST", path)
        for path in (
            "/api/v1/namespaces",
            "/api/v1/namespaces/people/secrets",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            *(f"{objects.RBAC}/{kind}" for kind in ("rolebindings", "clusterrolebindings", "roles", "clusterroles")),
        )
    )
    assert world.api.writes == []


def test_without_a_list_nothing_is_compared(world: World) -> None:
    world.bind("eve", "view", "red", owner="auditors")
    told = Told(world)
    assert told.findings == []
    assert {name: one["state"] for name, one in told.people.items()} == dict.fromkeys(("anna", "dora", "eve"), "unlisted")
    assert told.rights("eve") == [("view", "red", None, "owner auditors")]
    assert told.people["anna"]["full_name"] == "anna of LDAP"


class TestDrift:
    """Every kind of finding, each made by the one thing that is wrong."""

    def test_bindings_nobody_asked_for(self, world: World) -> None:
        world.bind("eve", "edit", "red", owner="")
        world.bind("anna", "edit", "blue")  # the list's owner, but not on the list
        world.bind("ops", "edit", "blue", kind="Group", owner="")
        world.bind("bert", "view", "red", owner="auditors")
        told = Told(world, PEOPLE)
        assert told.problems == [
            ("right_not_asked", "anna", "blue"),
            ("right_not_asked", "eve", "red"),
            ("right_not_asked", "group ops", "blue"),
        ]
        assert ("group_without_members", "group ops", "blue") in told.findings
        assert told.rights("eve") == [("edit", "red", None, "nobody")]

    def test_known_bindings_and_those_of_kubernetes_are_right(self, world: World) -> None:
        world.bind("ops", "edit", "blue", kind="Group", owner="", name="kubeadm:cluster-admins")
        world.bind("masters", "edit", "", kind="Group", owner="", name="system:basic")
        world.bind("system:authenticated", "view", "", kind="Group", owner="", name="by-hand")
        told = Told(world, PEOPLE, known_bindings=["kubeadm:*"])
        assert told.findings == []
        assert [one["role"] for one in told.result["everybody"]] == ["view"]

    def test_accounts_without_a_person_and_people_without_an_account(self, world: World) -> None:
        world.account("backup")
        world.account("old", locked=True)
        world.account("svc-mail")
        people = [*PEOPLE, {"name": "nina"}]
        told = Told(world, people, known_accounts=["svc-*"])
        assert told.findings == [
            ("person_without_account", "nina", "directory"),
            ("account_without_person", "backup", "directory"),
            ("account_without_person", "old", "directory"),
            ("certificate_missing", "nina", "certificates"),
        ]
        assert told.problems == told.findings[:2]

    def test_locks_that_differ_from_the_list(self, world: World) -> None:
        world.account("anna", "team", locked=True)
        world.account("dora", "team")
        assert Told(world, PEOPLE).problems == [
            ("account_locked", "anna", "directory"),
            ("account_open", "dora", "directory"),
        ]

    def test_groups_that_differ_from_the_list(self, world: World) -> None:
        world.account("anna", "leads")
        told = Told(world, [{**PEOPLE[0], "groups": ["team", "more"]}, PEOPLE[1]])
        what = next(one for one in told.result["findings"] if one["kind"] == "groups_differ")
        assert what["what"] == "is not in more and is in leads, which the list does not say"
        assert told.problems == [("groups_differ", "anna", "directory")]

    def test_what_was_not_read_is_not_missed(self, world: World) -> None:
        people = [*PEOPLE, {"name": "nina"}]
        told = Told(world, people, directory=False, folder=False)
        assert told.findings == [] and told.people["anna"]["account"] is None
        assert Told(world, people, folder=False, groups=False).findings == [("person_without_account", "nina", "directory")]

    def test_a_right_of_the_list_that_is_not_there(self, world: World) -> None:
        world.api.drop(f"{objects.collection('red')}/anna-edit")
        assert Told(world, PEOPLE).findings == [("right_missing", "anna", "red")]

    def test_what_the_list_ends_is_not_asked_for_any_more(self, world: World) -> None:
        over = [{**PEOPLE[0]["access"][0], "expires": "2027-01-01"}, PEOPLE[0]["access"][1]]
        assert Told(world, [{**PEOPLE[0], "access": over}, PEOPLE[1]]).problems == [("right_not_asked", "anna", "red")]
        told = Told(world, [{**PEOPLE[0], "expires": "2027-01-01"}, PEOPLE[1]])
        assert told.people["anna"]["state"] == "disabled"
        assert ("right_of_leaver", "anna", "red") in told.problems and ("account_open", "anna", "directory") in told.problems

    def test_rights_of_those_who_left(self, world: World) -> None:
        world.bind("dora", "edit", "red")
        world.bind("team", "view", "blue", kind="Group", owner="groups")
        told = Told(world, PEOPLE)
        assert ("right_of_leaver", "dora", "red") in told.problems
        assert ("right_of_leaver", "dora", "blue") in told.problems
        assert told.rights("dora") == [("view", "blue", "team", "owner groups"), ("edit", "red", None, "nobody")]
        assert ("right_through_group", "anna", "blue") in told.findings

    def test_ends_of_rights(self, world: World) -> None:
        world.bind("anna", "view", "red", owner="more", ends="2027-01-01T00:00:00Z")
        world.bind("anna", "view", "blue", owner="more", ends="2027-01-20T00:00:00Z")
        now = 1_798_800_000  # 2027-01-01T10:40:00Z
        told = Told(world, PEOPLE, now=now, folder=False, requests=False, warn_before="30d")
        assert told.findings == [("right_overdue", "anna", "red"), ("right_ends", "anna", "blue")]
        assert told.findings[:1] == Told(world, PEOPLE, now=now, folder=False, requests=False, warn_before="1d").findings

    def test_a_role_that_does_not_exist_gives_nothing(self, world: World) -> None:
        world.bind("anna", "gone", "red", owner="more")
        told = Told(world, PEOPLE, questions=[{"verb": "get", "resource": "pods", "namespace": "red"}])
        assert told.findings == [("role_missing", "anna", "red")]
        assert next(one for one in told.people["anna"]["rights"] if one["role"] == "gone")["level"] == "nothing"

    def test_ends_of_certificates(self, world: World) -> None:
        world.pair("anna", "team", until=NOW + DAY)
        assert Told(world, PEOPLE).findings == [("certificate_ends", "anna", "certificates")]
        world.pair("anna", "team", until=NOW - DAY)
        assert Told(world, PEOPLE).problems == [("certificate_over", "anna", "certificates")]

    def test_certificates_of_others(self, world: World) -> None:
        world.pair("eve")
        world.pair("dora", "team")
        world.pair("anna", "team", "admins")
        assert Told(world, PEOPLE).findings == [
            ("certificate_without_person", "eve", "certificates"),
            ("certificate_groups", "anna", "certificates"),
            ("certificate_of_leaver", "dora", "certificates"),
        ]

    def test_requests_that_wait(self, world: World) -> None:
        world.request("eve", "admins")
        world.request("anna", approved=True)
        told = Told(world, PEOPLE)
        assert told.findings == [("request_open", "anna", ""), ("request_open", "eve", "")]

    def test_every_kind_is_explained(self) -> None:
        assert all(text and not text.endswith(".") for text in KINDS.values())


class TestCertificates:
    """Each certificate once, wherever it is found."""

    def test_a_ledger_tells_of_older_ones(self, world: World) -> None:
        line = {"name": "anna", "credential_id": "X509SHA256=old", "serial": "1", "groups": ["team"]}
        world.folder.lines = [
            {**line, "not_before": "2026-12-01T00:00:00Z", "not_after": "2027-01-20T00:00:00Z"},
            {
                **line,
                "credential_id": "X509SHA256=over",
                "not_before": "2026-01-01T00:00:00Z",
                "not_after": "2026-02-01T00:00:00Z",
            },
            {**line, "credential_id": "X509SHA256=odd", "not_before": "2026-01-01T00:00:00Z", "not_after": 7},
        ]
        anna = Told(world, PEOPLE).people["anna"]
        assert [one["found_in"] for one in anna["certificates"]] == [["file"], ["ledger"]]

    def test_secrets_and_requests(self, world: World) -> None:
        pem = certificate("anna", "team")
        world.secret("anna", tls_crt=pem.encode(), tls_key=b"PRIVATE KEY")
        world.request("anna", certificate_pem=pem)
        told = Told(world, PEOPLE, folder=False, namespaces=("people",))
        assert [one["found_in"] for one in told.people["anna"]["certificates"]] == [["secret", "request"]]
        assert "PRIVATE KEY" not in str(told.result)

    def test_what_is_no_certificate_is_named(self, world: World) -> None:
        world.folder.files["odd"] = b"nonsense"
        told = Told(world, PEOPLE)
        assert told.warnings == ("/people/odd.crt holds nothing that could be read.",)

    def test_the_groups_of_a_certificate_that_ended_count_no_more(self, world: World) -> None:
        world.account("anna")
        world.pair("anna", "admins", until=NOW - 1)
        assert [one["name"] for one in Told(world).people["anna"]["groups"]] == ["team"]


class TestGroups:
    """Rights through groups."""

    def test_a_group_of_one_certificate_stands_for_its_holder(self, world: World) -> None:
        issue = f"anna.{'0a1b' * 8}"
        for name, where in (("view", ""), ("edit", "red")):
            world.api.drop(f"{objects.collection(where)}/anna-{name}")
            world.bind(issue, name, where, kind="Group", name=f"bound-{name}")
        world.pair("anna", issue)
        told = Told(world, PEOPLE)
        assert told.findings == []
        assert told.rights("anna") == [("view", "the whole cluster", issue, "list"), ("edit", "red", issue, "list")]
        world.pair("anna", f"anna.{'ffff' * 8}")  # cut: rights still bound to the certificate from before are nobody's
        kinds = [kind for kind, _who, _where in Told(world, PEOPLE).problems]
        assert kinds == ["right_missing", "right_missing", "right_not_asked", "right_not_asked"]

    def test_the_sources_that_count_can_be_chosen(self, world: World) -> None:
        world.bind("team", "edit", "blue", kind="Group", owner="groups")
        right = ("edit", "blue", "team", "owner groups")
        assert right in Told(world, PEOPLE).rights("anna")
        world.pair("anna")
        assert right in Told(world, PEOPLE, groups_from=["directory"]).rights("anna")
        assert right not in Told(world, PEOPLE, groups_from=["certificates"]).rights("anna")

    def test_members_by_dn(self, world: World) -> None:
        dn = "UID=Anna , ou=people,dc=example,dc=org"
        world.directory.put(
            "cn=lead,ou=groups,dc=example,dc=org", objectClass=["groupOfNames"], cn=["lead"], member=[dn, "odd"]
        )
        assert {"name": "lead", "sources": ["directory"]} in Told(world).people["anna"]["groups"]


class TestDirectory:
    """What accounts tell."""

    def test_names_that_are_no_text_and_days_that_are_none(self, world: World) -> None:
        world.account("odd", displayName=["\udcff<b>"], shadowExpire=["soon"])
        odd = Told(world).people["odd"]
        assert (odd["full_name"], odd["account"]["expires"]) == ("\ufffd<b>", None)

    def test_the_end_of_a_locked_account_is_the_one_that_waits(self, world: World) -> None:
        world.account("anna", locked=True, shadowExpire=["1"], shadowFlag=["21000"])
        world.account("dora", shadowExpire=["21000"])
        told = Told(world)
        assert told.people["anna"]["account"]["expires"] == told.people["dora"]["account"]["expires"] == "2027-07-01"


class TestQuestions:
    """Who may do this?"""

    def test_answers(self, world: World) -> None:
        world.bind("system:authenticated", "view", "blue", kind="Group", owner="", name="all")
        rules = [{"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]}]
        world.api.put(f"{objects.CLUSTER_ROLES}/monitor", {"metadata": {}, "rules": rules})
        world.bind("dora", "monitor", owner="x")
        world.bind("anna", "monitor", "red", owner="x")  # paths belong to no namespace
        told = Told(
            world,
            PEOPLE,
            questions=[
                {"verb": "create", "resource": "pods", "namespace": "red"},
                {"verb": "get", "resource": "pods"},
                {"verb": "get", "resource": "pods", "namespace": "blue"},
                {"verb": "get", "path": "/metrics"},
                {"verb": "get", "path": "/logs/a/b"},
                {"verb": "get", "path": "/log"},
            ],
        )
        assert [(one["question"], one["who"], one["everybody"]) for one in told.result["answers"]] == [
            ("create pods in red", ["anna"], False),
            ("get pods in the whole cluster", ["anna"], False),
            ("get pods in blue", ["anna", "dora"], True),
            ("get /metrics", ["dora"], False),
            ("get /logs/a/b", ["dora"], False),
            ("get /log", [], False),
        ]

    @pytest.mark.parametrize(
        "question",
        [{"verb": "get"}, {"verb": "get", "resource": "a", "path": "/b"}, {"verb": "get", "path": "/b", "name": "c"}],
    )
    def test_a_question_about_nothing_is_refused(self, world: World, question: dict[str, str]) -> None:
        with pytest.raises(BadInput, match=r"questions\[0\]"):
            Told(world, questions=[question])


def test_only_the_named_people_are_told(world: World) -> None:
    world.bind("eve", "edit", "red", owner="")
    told = Told(world, PEOPLE, names=["eve"])
    assert list(told.people) == ["eve"]
    assert told.findings == [("right_not_asked", "eve", "red")]


def test_levels(world: World) -> None:
    world.api.put(f"{objects.CLUSTER_ROLES}/binder", {
        "metadata": {}, "rules": [{"apiGroups": [objects.RBAC.split("/")[2]], "resources": ["rolebindings"], "verbs": ["create"]}]
    })  # fmt: skip
    for role in ("cluster-admin", "binder", "edit", "view"):
        world.bind("eve", role, "red", owner="x")
    levels = {one["role"]: one["level"] for one in Told(world).people["eve"]["rights"]}
    assert levels == {"cluster-admin": "everything", "binder": "hands on", "edit": "writes", "view": "reads"}
