# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant on the lab's API server: own rules, replacement, ends, adoption, rights of the caller, review, second writers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grant_world import OWNER, PYTHON, RBAC, World
from scale import scaled

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@pytest.fixture
def world(lab: Any, serve_module: Callable[..., Any]) -> Iterator[World]:
    one = World(lab, serve_module)
    lab.kubectl("create", "namespace", one.namespace)
    lab.kubectl("label", "namespace", one.namespace, f"team={one.owner}", f"test={one.owner}")
    yield one
    one.end()


def test_what_rules_allow_is_what_the_api_server_says(lab: Any) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    driver = str(Path(__file__).with_name("permission_driver.py"))
    done = json.loads(lab.exec(sys.executable, driver, str(seed), str(scaled(2000)), env=PYTHON).stdout)
    assert done["differ"] == [], f"seed {seed}"
    assert done["asked"] >= scaled(2000) and done["asked"] // 20 < done["allowed"] < done["asked"]


def test_own_rules_are_compared_by_what_they_allow(world: World) -> None:
    wanted = world.grant(rules=[READ_PODS, {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}])
    predicted = world.run(wanted, check=True)
    made = world.run(wanted, verify="access_review")
    assert made.actions() == predicted.actions() and set(made.actions().values()) == {"created"}, made
    assert made["entries"][1]["access"][0]["allowed"] and world.may("list", "pods") and not world.may("create", "pods")
    (live,) = world.roles()
    kept = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": kept}
    regrouped = [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in (("apps", "deployments", "get"), ("", "pods", "list"), ("", "pods", "get"))
    ]
    world.apply({**role, "rules": regrouped})
    other = world.grant(rules=[*reversed(regrouped), READ_PODS])
    assert not world.run(wanted)["changed"] and not world.run(other)["changed"]
    world.apply({**role, "rules": [*regrouped, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]})
    mended = world.run(wanted, diff=True)
    assert mended["counts"]["updated"] == 1 and not world.may("get", "secrets"), mended
    gone = world.run(wanted, state="absent", prune=False)
    assert gone["counts"]["removed"] == 2 and world.roles() == [] and world.bindings() == {}
    assert not world.run(wanted, state="absent", prune=False)["changed"]


def test_selectors_and_presets_stay_out_of_the_systems_and_the_storages_namespaces(world: World) -> None:
    for name in ("rook-ceph", f"rook-{world.owner}"):
        world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": world.owner}}})
    world.lab.kubectl("label", "namespace", "kube-system", f"team={world.owner}", "--overwrite")
    try:
        chosen = world.run(world.grant(preset="pod-debugger", namespace_selector={"matchLabels": {"team": world.owner}}))
        places = {one["where"] for one in chosen["entries"] if one["kind"] == "grant"}
        assert places == {world.namespace} and world.may("create", "pods/exec") and not world.may("get", "secrets")
        for name in ("kube-system", "rook-ceph"):
            refused = world.run(world.grant(preset="view", namespaces=[name]), prune=False)
            assert refused.status != 0 and name in refused["msg"], refused
        wide = world.run(world.grant(preset="edit", scope="cluster"), prune=False)
        assert wide.status != 0 and "storage's namespaces" in wide["msg"]
        world.lab.kubectl("label", "namespace", world.namespace, "team-")
        left = world.run(world.grant(preset="pod-debugger", namespace_selector={"matchLabels": {"team": world.owner}}))
        assert left["counts"]["removed"] == 2 and world.bindings() == {}
    finally:
        world.lab.kubectl("label", "namespace", "kube-system", "team-")
        world.lab.kubectl("label", "namespace", "rook-ceph", "team-")
        world.lab.kubectl("delete", "namespace", f"rook-{world.owner}", "--wait=false")


def test_a_grant_ends_and_the_result_says_what_ends_next(world: World) -> None:
    running, coming = world.grant(expires="2100-01-01"), world.grant("bert", not_before="2099-01-01", expires="2099-06-01")
    first = world.run(running, coming)
    assert first.actions() == {
        f"{world.anna}: edit in {world.namespace}": "created",
        f"bert: edit in {world.namespace}": "unchanged",
    }
    assert first["next_end"]["at"] == "2100-01-02T00:00:00Z" and first["next_start"]["at"] == "2099-01-01T00:00:00Z"
    assert not world.run(running, coming)["changed"] and first["overdue"] == []
    name = next(iter(world.bindings()))
    world.lab.kubectl(
        "annotate", "rolebinding", name, "-n", world.namespace, "--overwrite", "kubestead.platform/expires=2020-01-01T00:00:00Z"
    )
    late = world.run(coming, prune=False)
    assert [(one["still_active"], one["ended"]) for one in late["overdue"]] == [(True, "2020-01-01T00:00:00Z")]
    ended = world.grant(expires="2020-01-01")
    told = world.run(ended, check=True)
    assert told["overdue"][0]["still_active"] and told["counts"]["removed"] == 1
    done = world.run(ended, verify="access_review")
    assert not done["overdue"][0]["still_active"] and done["entries"][0]["reason"] == "ended 2020-01-02T00:00:00Z", done
    assert not world.may("create", "pods") and done["entries"][0]["access"][0]["expected"] is False


def test_a_wider_role_comes_before_the_old_one_goes_and_a_narrower_one_after(world: World) -> None:
    view, edit = world.grant(cluster_role="view"), world.grant()
    world.run(view)
    world.drive(edit, die_before=["DELETE", "rolebindings"])
    assert sorted(world.bindings().values()) == ["edit", "view"]
    assert world.run(edit)["counts"]["removed"] == 1 and list(world.bindings().values()) == ["edit"]
    world.drive(view, die_after=["DELETE", "rolebindings"])
    assert world.bindings() == {}
    assert world.run(view)["counts"]["created"] == 1
    grown = world.run(edit)
    assert "in place of 'view'" in grown.entry(f"{world.anna}: edit in {world.namespace}")["reason"]


def test_what_is_replaced_stays_when_the_new_one_cannot_be_made(world: World) -> None:
    world.run(world.grant(cluster_role="view"))
    entries = world.drive(
        world.grant(),
        options={"on_error": "continue"},
        meddle={"at": ["POST", "/rolebindings"], "with": "POST", "patch": {"metadata": {"name": "x/y"}}},
    )
    assert {one["action"] for one in entries} == {"failed"} and len(entries) == 2
    assert list(world.bindings().values()) == ["view"]


def test_a_binding_of_a_given_name_is_adopted_and_made_anew_only_if_that_is_said(world: World) -> None:
    world.lab.kubectl("create", "rolebinding", "devs", "--clusterrole=view", "--user=old", "-n", world.namespace)
    wanted = world.grant(name="devs", subjects={"users": [world.anna], "groups": ["oidc:Devs"]})
    assert "adopt: true" in world.run(wanted)["msg"]
    assert "allow_recreate" in world.run(wanted, adopt=True)["msg"] and world.bindings() == {"devs": "view"}
    options = {"adopt": True, "allow_recreate": True}
    world.drive(wanted, options=options, die_after=["DELETE", "/devs"])
    assert world.bindings() == {}
    assert world.run(wanted, **options)["counts"]["created"] == 1
    again = world.run({**wanted, "cluster_role": "view"}, allow_recreate=True, diff=True)
    (entry,) = again["entries"]
    assert entry["action"] == "updated" and entry["recreated"] and 0 < entry["gap_seconds"] < 5
    assert world.bindings() == {"devs": "view"} and not world.run({**wanted, "cluster_role": "view"})["changed"]
    other = World(world.lab, world._serve)
    other.namespace = world.namespace
    assert "belongs to" in other.run({**wanted, "cluster_role": "view"}, adopt=True)["msg"]


def test_a_second_writer_is_noticed_and_nothing_of_theirs_is_lost(world: World) -> None:
    world.run(world.grant())
    (name,) = world.bindings()
    path = {"metadata": {"annotations": {"theirs": "kept"}}}
    entries = world.drive(
        world.grant(expires="2100-01-01"), meddle={"at": ["PUT", "rolebindings"], "with": "PATCH", "patch": path, "times": 2}
    )
    assert [one["action"] for one in entries] == ["updated"], entries
    live = json.loads(world.lab.kubectl("get", "rolebinding", name, "-n", world.namespace, "-o", "json").stdout)
    assert live["metadata"]["annotations"]["theirs"] == "kept"
    assert live["metadata"]["annotations"]["kubestead.platform/expires"] == "2100-01-02T00:00:00Z"
    taken = {"metadata": {"labels": {OWNER: None}}}
    entries = world.drive(meddle={"at": ["DELETE", "rolebindings"], "with": "PATCH", "patch": taken})
    assert [one["action"] for one in entries] == ["failed"] and name in world.bindings()


LISTS = [
    {"apiGroups": [RBAC], "resources": ["*"], "verbs": ["list", "get"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
]
WRITES = {"apiGroups": [RBAC], "resources": ["roles", "rolebindings"], "verbs": ["create", "update", "delete"]}


def test_who_may_not_grant_is_told_before_any_write_which_right_and_which_rule(world: World) -> None:
    other = f"{world.namespace}-b"
    world.lab.kubectl("create", "namespace", other)
    user = world.caller("half", LISTS, [WRITES, READ_PODS])
    edit = world.run(world.grant(), impersonate_user=user)
    error = edit["error"] if "error" in edit.result else edit["entries"][0]["error"]
    assert error["code"] == "denied" and "Nobody can grant more than they hold" in error["msg"] and not edit["changed"]
    assert error["missing"] == {
        "apiGroups": [RBAC],
        "resources": ["clusterroles"],
        "verbs": ["bind"],
        "resourceNames": ["edit"],
    }
    assert {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]} not in error["lacking"]
    held = world.run(world.grant(rules=[READ_PODS]), impersonate_user=user)
    assert held.status == 0 and held["counts"]["created"] == 2, held
    more = world.grant(rules=[{**READ_PODS, "verbs": ["get", "delete"]}])
    told = world.run(more, impersonate_user=user, prune=False)
    assert told.status != 0 and "delete pods" in told["msg"] and "get pods" not in told["msg"]
    both = world.grant("carla", rules=[READ_PODS], namespaces=[world.namespace, other])
    half = world.run(both, impersonate_user=user, prune=False, on_error="continue")
    assert half["counts"]["failed"] == 1 and half["counts"]["created"] == 1 and half["changed"], half
    assert f"create rolebindings.{RBAC} in namespace '{other}'" in half["msg"]
    world.lab.kubectl("delete", "namespace", other, "--wait=false")


def test_the_review_finds_rights_that_come_from_elsewhere(world: World) -> None:
    wanted = world.grant(subjects={"users": [world.anna], "groups": [f"Devs:{world.owner}"]})
    made = world.run(wanted, verify="access_review")
    rows = [row for entry in made["entries"] for row in entry["access"]]
    assert len(rows) == 10 and all(row["expected"] and row["allowed"] for row in rows)
    again = world.run(wanted, verify="access_review")
    assert not again["changed"] and all(entry["access"] for entry in again["entries"])
    world.lab.kubectl(
        "create", "rolebinding", "elsewhere", "--clusterrole=edit", f"--group=Devs:{world.owner}", "-n", world.namespace
    )
    gone = world.run(wanted, state="absent", verify="access_review")
    assert gone.status != 0 and gone["changed"] and f"group Devs:{world.owner} may still" in gone["msg"], gone
    assert gone["counts"] == {"created": 0, "updated": 0, "unchanged": 0, "removed": 1, "failed": 1, "skipped": 0}


def test_wildcards_and_ways_to_all_rights_need_an_option(world: World) -> None:
    for rule in (
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [RBAC], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
    ):
        refused = world.run(world.grant(rules=[rule]))
        assert refused.status != 0 and "allow_cluster_admin" in refused["msg"]
    assert world.run(world.grant(cluster_role="admin"))["admin_without_end"] == [f"{world.anna}: admin in {world.namespace}"]
    assert "set expires" in world.run(world.grant(cluster_role="admin"), allow_admin="with_end")["msg"].lower()
    assert world.run(world.grant(cluster_role="admin", expires="2100-01-01"), allow_admin="with_end")["changed"]
    assert "handed on" in world.run(world.grant(cluster_role="admin", expires="2100-01-01"), allow_admin="never")["msg"]
