# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares access_info with the lab's API server: ``access_driver.py SEED NUMBER``.

Makes random roles and bindings for some users and groups in two namespaces and in the cluster, asks access_info who may do
what, asks the API server the same by SubjectAccessReviews, and prints how many answers differ.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects, review
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.draft import Question
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.grants import Subject
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import Atom, Permissions
from ansible_collections.kubestead.platform.plugins.modules import access_info
from permission_driver import anywhere, near, rule

PEOPLE = 12
MARK = f"access-{os.getpid()}"
GROUP = "rbac.authorization.k8s.io"
LABELS = {"kubestead.platform/test": MARK}
NAMESPACES = [f"{MARK}-{name}" for name in ("a", "b")]
NAMES = [f"{MARK}-user{number}" for number in range(PEOPLE)]
GROUPS = [f"{MARK}-group{number}" for number in range(5)]


def subject(dice: random.Random) -> dict[str, str]:
    if dice.random() < 0.15:
        return {"kind": "ServiceAccount", "name": "default", "namespace": dice.choice(NAMESPACES)}
    if dice.random() < 0.4:
        return {"kind": "Group", "name": dice.choice(GROUPS), "apiGroup": GROUP}
    return {"kind": "User", "name": dice.choice(NAMES), "apiGroup": GROUP}


def make(api: KubeApiClient, dice: random.Random) -> list[Atom]:
    """The namespaces, roles and bindings; returns the permissions of the roles."""
    held: set[Atom] = set()
    for name in NAMESPACES:
        api.call("POST", objects.NAMESPACES, {"metadata": {"name": name, "labels": LABELS}})
    places = ["", *NAMESPACES]
    for number in range(15):
        place, name = dice.choice(places), f"{MARK}-role{number}"
        rules = [rule(dice) for _number in range(dice.randint(1, 3))]
        if place:
            rules = [one for one in rules if "nonResourceURLs" not in one]
        held |= Permissions.of(rules).atoms
        body = {"metadata": {"name": name, "labels": LABELS}, "rules": rules}
        api.call("POST", objects.role_collection(place), body)
    cluster_roles = [f"{MARK}-role{number}" for number in range(15)] + ["view", "edit", "admin", "gone"]
    for number in range(60):
        place = dice.choice(places)
        kind = "ClusterRole" if not place else dice.choice(["ClusterRole", "Role"])
        body = {
            "metadata": {"name": f"{MARK}-{number}", "labels": LABELS},
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": dice.choice(cluster_roles)},
            "subjects": [subject(dice) for _number in range(dice.randint(0, 3))],
        }
        api.call("POST", objects.collection(place), body)
    return sorted(held)


def asked_of(atom: Atom, namespace: str) -> dict[str, Any]:
    """A question as a task has it."""
    if atom.path:
        return {"verb": atom.verb, "resource": None, "api_group": None, "name": None, "namespace": None, "path": atom.path}
    told = {"resource": atom.resource, "api_group": atom.group, "name": atom.name, "namespace": namespace, "path": None}
    return {"verb": atom.verb, **told}


def told_by_us(people: list[dict[str, Any]], questions: list[tuple[Atom, str]]) -> Any:
    """What access_info answers."""
    spec = {name: option.get("default") for name, option in access_info.SPEC.items()}
    auth = dict.fromkeys(access_info.KUBE_AUTH_SPEC.options)
    params = {**auth, **spec, "kubeconfig": os.environ["KUBECONFIG"], "people": people, "names": NAMES}
    flow = access_info.wire({**params, "questions": [asked_of(*one) for one in questions]})
    return flow.report(Run(flow.decide(flow.observe())))["answers"]


def told_by_server(api: KubeApiClient, person: dict[str, Any], atom: Atom, namespace: str) -> bool:
    body = review.subject_review(Question(Subject("User", person["name"]), atom, namespace))
    body["spec"]["groups"] += person["groups"]
    return bool(api.call("POST", review.SUBJECT_REVIEWS, body)["status"].get("allowed"))


def compare(api: KubeApiClient, dice: random.Random, held: list[Atom], number: int) -> dict[str, Any]:
    """Half of the questions are near what some role permits, so that by no dice nearly all answers are no."""
    people = [{"name": name, "groups": dice.sample(GROUPS, dice.randint(0, 3))} for name in NAMES]
    atoms = [near(dice, held) if turn % 2 else anywhere(dice) for turn in range(-(-number // PEOPLE))]
    drawn = [(atom, dice.choice(["", *NAMESPACES])) for atom in atoms]
    questions = [(atom, "" if atom.path else place) for atom, place in drawn]
    time.sleep(1)  # the authorizer learns of new objects within milliseconds
    ours = told_by_us(people, questions)
    pairs = [(person, question, one) for question, one in zip(questions, ours) for person in people]
    with ThreadPoolExecutor(8) as pool:
        theirs = list(pool.map(lambda pair: told_by_server(api, pair[0], *pair[1]), pairs))
    differ = [
        [person["name"], one["question"], answer]
        for (person, _question, one), answer in zip(pairs, theirs)
        if (person["name"] in one["who"]) != answer
    ]
    return {"asked": len(pairs), "allowed": sum(theirs), "differ": differ}


def main() -> None:
    seed, number = int(sys.argv[1]), int(sys.argv[2])
    with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:
        api = KubeApiClient.from_kubeconfig(yaml.safe_load(file))
    dice = random.Random(seed)
    try:
        held = make(api, dice)
        print(json.dumps(compare(api, dice, held, number)))
    finally:
        for kind in (objects.CLUSTER_ROLE_BINDINGS, objects.CLUSTER_ROLES):
            api.call("DELETE", kind, query={"labelSelector": f"kubestead.platform/test={MARK}"})
        for name in NAMESPACES:
            api.call("DELETE", f"{objects.NAMESPACES}/{name}")


if __name__ == "__main__":
    main()
