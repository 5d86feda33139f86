# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deployments an operator makes for OSDs, with pods that are told to be ready: the server's controllers do the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from integration.conftest import Lab

READY = json.dumps({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})


def run_osds(lab: Lab, namespace: str, devices: Sequence[tuple[str, str]]) -> None:
    """One OSD on each device of a node, all of them ready."""
    objects = [osd_deployment(number, namespace, *device) for number, device in enumerate(devices)]
    lab.exec("kubectl", "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    osds = ("--namespace", namespace, "-l", "app=rook-ceph-osd")
    names: list[str] = []
    for _attempt in range(60):
        names = lab.kubectl("get", "pods", *osds, "-o", "name").stdout.split()
        if len(names) == len(devices):
            break
        time.sleep(1)
    for name in names:
        lab.kubectl("patch", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", READY)
    lab.kubectl("wait", "--for=condition=Available", "deployment", *osds, "--timeout=60s")


def osd_deployment(number: int, namespace: str, node: str, device: str) -> dict[str, Any]:
    labels = {"app": "rook-ceph-osd", "ceph-osd-id": str(number)}
    container = {"name": "osd", "image": "none", "env": [{"name": "ROOK_BLOCK_PATH", "value": device}]}
    pod = {"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"rook-ceph-osd-{number}", "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
