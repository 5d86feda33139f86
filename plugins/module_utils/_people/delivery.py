# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs that people also find in the cluster: a Secret for each, in a namespace in which nobody works."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .._core.errors import BadInput
from .._core.window import rfc3339
from .person import Person

KUBECONFIG_SUFFIX = ".kubeconfig"
SECRET_SUFFIX = "-kubeconfig"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)


def secret_of(name: str, namespace: str) -> dict[str, str]:
    """Where a person's kubeconfig is, in the words of kubeconfig_render; raises BadInput for what cannot name a Secret."""
    if not _NAMESPACE.fullmatch(namespace):
        raise BadInput(f"{namespace[:80]!r} is not the name of a namespace for kubeconfigs.")
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"Person {name!r} cannot name a Secret, and the kubeconfig is to be in one.",
            hint="Use a-z, 0-9, '-' and '.', or leave the namespace for kubeconfigs out.",
        )
    return {"namespace": namespace, "name": f"{name}{SECRET_SUFFIX}"}


def check_nobody_works_in(namespace: str, people: Iterable[Person]) -> None:
    """Whoever may make pods or read Secrets in the namespace would have everybody's kubeconfig."""
    for person in people:
        if namespace in person.namespaces:
            raise BadInput(
                f"Person {person.name!r} has rights in the namespace {namespace!r}, where everybody's kubeconfig is.",
                hint="Keep kubeconfigs in a namespace in which nobody works.",
            )


def reading_grant(person: Person, subjects: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The right to read that one Secret, in the words of rbac_grant."""
    name = secret_of(person.name, namespace)["name"]
    bounds = {"not_before": person.not_before, "expires": person.expires}
    return {
        "subjects": dict(subjects),
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}],
        "scope": "namespaces",
        "namespaces": [namespace],
        "state": "present" if person.state == "present" else "absent",
        **{key: rfc3339(at) for key, at in bounds.items() if at is not None},
    }


def owner_of(kubeconfig: str) -> str:
    """Whose kubeconfig it is, by its name in a result of kubeconfig_render."""
    last = kubeconfig.rpartition("/")[2]
    if kubeconfig.startswith("secret "):
        return last.partition(" ")[0][: -len(SECRET_SUFFIX)]
    return last[: -len(KUBECONFIG_SUFFIX)]
