# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the operators are there as they were installed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import operators

MANIFESTS = {"image": "rook/ceph:v1.20.6", "drivers": ["rook-ceph.rbd.csi.ceph.com"]}
AVAILABLE = {"type": "Available", "status": "True"}


def deployment(*conditions: dict[str, Any], observed: int = 2, image: str = "rook/ceph:v1.20.6") -> dict[str, Any]:
    return {
        "metadata": {"name": operators.OPERATOR, "generation": 2},
        "spec": {"template": {"spec": {"containers": [{"name": "one", "image": image}]}}},
        "status": {"observedGeneration": observed, "conditions": [{"type": "Progressing", "status": "True"}, *conditions]},
    }


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (deployment(AVAILABLE), ""),
        (deployment(), "it is not available"),
        (deployment({"type": "Available", "status": "False", "message": "no minimum"}), "no minimum"),
        (deployment(AVAILABLE, observed=1), "its last change has not been seen yet"),
        (None, "there is no such Deployment"),
    ],
)
def test_an_operator_is_available_by_its_last_change(found: Any, problem: str) -> None:
    told = operators.read_operator(operators.OPERATOR, found)
    assert (told["available"], told["problem"]) == (not problem, problem)


def told(found: Any, *drivers: str) -> dict[str, Any]:
    return {"operators": [operators.read_operator(operators.OPERATOR, found)], "drivers": list(drivers)}


@pytest.mark.parametrize(
    ("found", "drivers", "wait", "words"),
    [
        (deployment(), MANIFESTS["drivers"], True, "not available after 600 s: it is not available"),
        (None, MANIFESTS["drivers"], False, "there is no such Deployment"),
        (deployment(AVAILABLE, image="rook/ceph:v1.19.1"), MANIFESTS["drivers"], True, "runs rook/ceph:v1.19.1"),
        (deployment(AVAILABLE), ["other.rbd.csi.ceph.com"], True, "rook-ceph.rbd.csi.ceph.com are missing"),
    ],
)
def test_what_is_not_as_installed_is_said(found: Any, drivers: list[str], wait: bool, words: str) -> None:
    with pytest.raises(Refused) as caught:
        operators.check_installed(MANIFESTS, told(found, *drivers), wait, 600)
    assert words in caught.value.sentence()
    assert caught.value.hint


@pytest.mark.parametrize(("found", "wait"), [(deployment(AVAILABLE), True), (deployment(), False)])
def test_what_is_as_installed_is_let_through(found: Any, wait: bool) -> None:
    operators.check_installed(MANIFESTS, told(found, *MANIFESTS["drivers"]), wait, 600)
