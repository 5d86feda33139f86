# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the lab's API server about random rules and compares its answers with our own: ``permission_driver.py SEED NUMBER``.

Each round makes one ClusterRole of a few rules for a user of its own, bound in the whole cluster or in a namespace, and
asks a number of questions about it. Prints how many were asked and where the answers differ.
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
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects, review
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.draft import Question
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.grants import Subject
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import (
    EVERY_NAME,
    Atom,
    Permissions,
    rules_of,
)

GROUPS = ["", "apps", "batch", "example.org"]
RESOURCES = ["pods", "pods/log", "pods/exec", "deployments", "deployments/scale", "secrets", "things"]
VERBS = ["get", "list", "create", "delete", "deletecollection"]
NAMES = ["web", "db", "*"]
PATHS = ["/healthz", "/healthz/etcd", "/metrics", "/custom", "/custom/a/b", "/cust"]
ROUND = 50
MARK = "permission-algebra"


def some(dice: random.Random, words: list[str], wild: list[str]) -> list[str]:
    return dice.sample(words, dice.randint(1, min(3, len(words)))) + ([dice.choice(wild)] if dice.random() < 0.2 else [])


def rule(dice: random.Random) -> dict[str, Any]:
    verbs = some(dice, VERBS, ["*"])
    if dice.random() < 0.2:
        return {"nonResourceURLs": some(dice, PATHS, ["*", "/custom/*", "/healthz*", "/c**"]), "verbs": verbs}
    made = {
        "apiGroups": some(dice, GROUPS, ["*"]),
        "resources": some(dice, RESOURCES, ["*", "*/scale", "*/log", "*/*"]),
        "verbs": verbs,
    }
    return {**made, "resourceNames": some(dice, NAMES, ["ab"])} if dice.random() < 0.3 else made


def near(dice: random.Random, held: list[Atom]) -> Atom:
    """A question about one of the permissions, or about one that differs in a part."""
    atom, other = dice.choice(held), anywhere(dice)
    if dice.random() < 0.5 and bool(atom.path) == bool(other.path):
        part = dice.choice(["verb", "path"] if atom.path else ["verb", "group", "resource", "name"])
        atom = atom._replace(**{part: getattr(other, part)})
    return atom._replace(name=dice.choice(["", *NAMES])) if atom.name == EVERY_NAME and not atom.path else atom


def anywhere(dice: random.Random) -> Atom:
    verb = dice.choice([*VERBS, "*", "watch"])
    if dice.random() < 0.2:
        return Atom(verb, path=dice.choice([*PATHS, "/healthz*", "/custom/*", "*"]))
    resource = dice.choice([*RESOURCES, "*", "*/log", "jobs/scale"])
    return Atom(verb, dice.choice([*GROUPS, "*", "other.org"]), resource, dice.choice(["", *NAMES]))


def bound(api: KubeApiClient, name: str, rules: list[dict[str, Any]], namespace: str) -> None:
    meta = {"name": name, "labels": {"kubestead.platform/test": MARK}}
    api.call("POST", objects.CLUSTER_ROLES, {"metadata": meta, "rules": rules})
    subject = {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    api.call("POST", objects.collection(namespace), {"metadata": meta, "roleRef": ref, "subjects": [subject]})


def ask(api: KubeApiClient, user: str, atom: Atom, namespace: str) -> bool:
    body = review.subject_review(Question(Subject("User", user), atom, namespace))
    body["spec"]["groups"] = []  # what everybody may do is not part of the rules
    return bool(api.call("POST", review.SUBJECT_REVIEWS, body)["status"].get("allowed"))


def one_round(api: KubeApiClient, dice: random.Random, name: str, namespace: str) -> tuple[list[Any], int]:
    """The questions that our code and the server answer differently, and how many the server answered with yes."""
    rules = [rule(dice) for _number in range(dice.randint(1, 4))]
    canonical = Permissions.of(rules).canonical()
    # Half of the rounds make the role from our own way of writing it, which must mean the same.
    bound(api, name, rules_of(canonical) if dice.random() < 0.5 else rules, namespace)
    ours = Permissions.of(rules)
    if namespace:
        ours = Permissions(atom for atom in ours.atoms if not atom.path)
    proof = next(iter(sorted(ours.atoms)), None)
    end = time.monotonic() + 10
    while proof is not None and not ask(
        api, name, proof._replace(name="" if proof.name == EVERY_NAME else proof.name), namespace
    ):
        if time.monotonic() > end:
            return [("never in effect", proof)], 0
        time.sleep(0.01)
    held = sorted(Permissions.of(rules).atoms)
    asked = [near(dice, held) if number % 2 else anywhere(dice) for number in range(ROUND)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda atom: ask(api, name, atom, namespace), asked))
    differ = [(rules, atom, theirs) for atom, theirs in zip(asked, answers) if ours.allows(atom) != theirs]
    return differ, sum(answers)


def main() -> None:
    seed, number = int(sys.argv[1]), int(sys.argv[2])
    with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:
        api = KubeApiClient.from_kubeconfig(yaml.safe_load(file))
    dice = random.Random(seed)
    differ: list[Any] = []
    yes, rounds = 0, -(-number // ROUND)
    for turn in range(rounds):
        namespace = "default" if dice.random() < 0.5 else ""
        wrong, allowed = one_round(api, dice, f"algebra-{os.getpid()}-{turn}", namespace)
        differ, yes = [*differ, *wrong], yes + allowed
    for kind in (objects.CLUSTER_ROLE_BINDINGS, objects.collection("default"), objects.CLUSTER_ROLES):
        api.call("DELETE", kind, query={"labelSelector": f"kubestead.platform/test={MARK}"})
    print(json.dumps({"asked": rounds * ROUND, "allowed": yes, "differ": differ}))


if __name__ == "__main__":
    main()
