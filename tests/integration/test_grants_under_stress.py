# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rbac_grant when the API server goes away in the middle of a batch, and when it refuses half of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grant_world import OWNER, RBAC, World
from kubestead_lab import second_apiserver
from kubestead_lab.settings import lab_from

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 300


@pytest.fixture
def world(lab: Any, serve_module: Callable[..., Any]) -> Iterator[World]:
    one = World(lab, serve_module)
    yield one
    one.end()


def spaces(world: World, number: int) -> list[str]:
    """Namespaces of this test; every other one carries a label."""
    names = [f"{world.namespace}-{count}" for count in range(number)]
    world.apply(
        *(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"test": world.owner, **({"closed": world.owner} if count % 2 else {})}},
            }
            for count, name in enumerate(names)
        )
    )
    return names


def standing(world: World) -> int:
    found = world.lab.kubectl("get", "rolebindings", "-A", "-l", f"{OWNER}={world.owner}", "-o", "name").stdout
    return len(found.splitlines())


@pytest.fixture
def second(lab: Any) -> Iterator[second_apiserver.SecondApiServer]:  # noqa: ARG001 - it needs the lab's etcd
    """An API server that may be ended: the same cluster, and nobody else's."""
    with second_apiserver.prepared(lab_from(os.environ, ROOT), "second-restart", 6446) as one:
        second_apiserver.start(one, {})
        yield one


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_an_api_server_that_ends_in_the_middle_is_told_and_the_next_run_finishes(
    world: World, second: second_apiserver.SecondApiServer, how: signal.Signals
) -> None:
    places = spaces(world, 10)
    grants = [world.grant(f"user{number}", namespaces=[places[number % 10]]) for number in range(PEOPLE)]
    login = {"kubeconfig": str(second.kubeconfig)}
    ended = {"at": ["POST", "/rolebindings"], "after": PEOPLE // 3, "pid": second.daemon.pid(), "signal": int(how)}
    entries = world.drive(*grants, options={**login, "on_error": "continue"}, end_server=ended)
    failed = [one for one in entries if one["action"] == "failed"]
    made = standing(world)
    assert PEOPLE // 3 <= made < PEOPLE and len(entries) == PEOPLE, made
    assert len(failed) >= PEOPLE - made and all(one["error"]["code"] == "backend_failed" for one in failed), failed[:2]
    assert all(second.server in one["error"]["msg"] for one in failed), failed[0]
    second_apiserver.start(second, {})
    done = world.run(*grants, **login)
    assert done.status == 0 and done["counts"]["created"] == PEOPLE - made and done["counts"]["unchanged"] == made
    assert standing(world) == PEOPLE and not world.run(*grants)["changed"]


def refusing(world: World) -> list[dict[str, Any]]:
    """The API server's own policy: no bindings in the labelled namespaces, answered with 403."""
    meta = {"name": f"closed-{world.owner}", "labels": {"test": world.owner}}
    kind = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [RBAC], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["rolebindings"]}
    chosen = {"namespaceSelector": {"matchLabels": {"closed": world.owner}}, "resourceRules": [rule]}
    said = {"expression": "false", "message": "this namespace is closed", "reason": "Forbidden"}
    policy = {"failurePolicy": "Fail", "matchConstraints": chosen, "validations": [said]}
    binding = {"policyName": meta["name"], "validationActions": ["Deny"]}
    return [
        {"apiVersion": kind, "kind": "ValidatingAdmissionPolicy", "metadata": meta, "spec": policy},
        {"apiVersion": kind, "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta, "spec": binding},
    ]


def in_effect(world: World, place: str) -> bool:
    probe = ("create", "rolebinding", "probe", "--clusterrole=view", "--user=x", "-n", place, "--dry-run=server")
    return "closed" in world.lab.kubectl(*probe, check=False).stderr


def test_half_of_the_objects_refused_at_the_write_leaves_the_other_half(world: World) -> None:
    places = spaces(world, 10)
    grants = [world.grant(f"user{number}", namespaces=[place]) for place in places for number in range(4)]
    policy = refusing(world)
    world.apply(*policy)
    try:
        while not in_effect(world, places[1]):
            pass
        half = world.run(*grants, on_error="continue")
        assert half.status != 0 and half["changed"] and half["failed"] and "Traceback" not in half.output
        assert (half["counts"]["created"], half["counts"]["failed"]) == (20, 20) and standing(world) == 20
        failed = [one for one in half["entries"] if one["action"] == "failed"]
        assert {one["name"].rpartition(" ")[2] for one in failed} == set(places[1::2])
        assert all(one["error"]["code"] == "denied" and "this namespace is closed" in one["error"]["msg"] for one in failed)
        again = world.run(*grants, on_error="continue")
        assert (again["counts"]["unchanged"], again["counts"]["failed"]) == (20, 20) and not again["changed"]
        first = world.run(*grants, concurrency=1)
        assert first.status != 0 and first["counts"]["failed"] == 1 and first["counts"]["skipped"] == 19, first["counts"]
    finally:
        for one in policy:
            world.lab.kubectl("delete", one["kind"], one["metadata"]["name"])
    while in_effect(world, places[1]):
        pass
    done = world.run(*grants)
    assert done["counts"]["created"] == done["counts"]["unchanged"] == 20 and not world.run(*grants)["changed"]
    assert json.loads(world.lab.kubectl("get", "rolebindings", "-n", places[1], "-o", "json").stdout)["items"]
