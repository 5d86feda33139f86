# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's operator by its own chart and a real helm, on a control plane that has nothing of Rook yet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from integration.conftest import LAB, Lab
from integration.role_driver import Roles

CHARTS = {"rook_operator_method": "helm", "rook_operator_wait": False}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """A control plane of its own: what a chart made and what manifests made cannot stand in one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBESTEAD_LAB_NAME", "kubestead-charts")
        subprocess.run([str(LAB), "reset", "--only", "control-plane"], check=True, timeout=1200)
        try:
            lab = Lab()
            options = {
                **CHARTS,
                "kubestead_kubernetes": {"kubeconfig": lab.env["KUBECONFIG"]},
                # The chart's own subchart comes from a registry; without it there is no operator of the storage drivers.
                "rook_operator_charts": {"rook-ceph": {"ref": lab.env["KUBESTEAD_ROOK_CHART"]}},
                "rook_operator_values": {"rook-ceph": {"csi": {"installCsiOperator": False}}},
            }
            yield Roles(lab, tmp_path_factory.mktemp("charts"), options)
        finally:
            subprocess.run([str(LAB), "down"], check=True, timeout=300)


def operator(roles: Roles) -> Any:
    return json.loads(roles.lab.kubectl("get", "deployment", "rook-ceph-operator", "-n", "rook-ceph", "-o", "json").stdout)


def test_the_chart_is_installed_once_and_follows_the_registry(fresh: Roles) -> None:
    status, changed, failed, _shown = fresh.play("rook_operator", "--check")
    assert (status, changed) == (0, 1), failed
    assert fresh.lab.kubectl("get", "namespace", "rook-ceph", check=False).returncode != 0
    status, changed, failed, _shown = fresh.play("rook_operator")
    assert (status, changed) == (0, 1), failed
    assert operator(fresh)["spec"]["template"]["spec"]["containers"][0]["image"] == "docker.io/rook/ceph:v1.20.6"
    assert fresh.lab.kubectl("get", "crd", "cephclusters.ceph.rook.io").returncode == 0
    status, changed, failed, _shown = fresh.play("rook_operator")
    assert (status, changed) == (0, 0), failed
    status, changed, failed, _shown = fresh.play("rook_operator", kubestead_image_registry="mirror.example.org:5000")
    assert (status, changed) == (0, 1), failed
    assert operator(fresh)["spec"]["template"]["spec"]["containers"][0]["image"] == "mirror.example.org:5000/rook/ceph:v1.20.6"
    images = json.loads(fresh.lab.kubectl("get", "configmap", "-n", "rook-ceph", "-o", "json").stdout)
    sets = [one["data"] for one in images["items"] if one["metadata"]["name"] == "rook-csi-operator-image-set-configmap"]
    assert all(image.startswith("mirror.example.org:5000/") for one in sets for image in one.values())


def test_a_cluster_in_another_namespace_wants_manifests(fresh: Roles) -> None:
    status, changed, failed, _shown = fresh.play("rook_operator", kubestead_ceph_namespace="ceph")
    assert (status != 0, changed) == (True, 0)
    assert "rook_operator_method: manifests" in failed
