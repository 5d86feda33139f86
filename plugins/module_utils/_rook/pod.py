# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod in which Ceph's programs work: the administrator's key and the monitors' addresses are those Rook keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KEYRING = "/etc/ceph/admin-keyring-store"


def client(name: str, image: str, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The container."""
    monitors = {"secretKeyRef": {"name": "rook-ceph-config", "key": "mon_host"}}
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "env": [
            {"name": "ROOK_CEPH_MON_HOST", "valueFrom": monitors},
            {"name": "CEPH_ARGS", "value": f"-m $(ROOK_CEPH_MON_HOST) -k {_KEYRING}/keyring"},
            *({"name": key, "value": value} for key, value in environment.items()),
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 2016,
            "runAsGroup": 2016,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "keyring", "mountPath": _KEYRING, "readOnly": True}],
    }


def around(container: Mapping[str, Any]) -> dict[str, Any]:
    """The pod's ``spec`` around it."""
    return {
        "serviceAccountName": "rook-ceph-default",
        "dnsPolicy": "ClusterFirstWithHostNet",
        "terminationGracePeriodSeconds": 1,
        "containers": [dict(container)],
        "volumes": [{"name": "keyring", "secret": {"secretName": "rook-ceph-admin-keyring"}}],
    }
