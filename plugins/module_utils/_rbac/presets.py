# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready sets of rights by name."""

from __future__ import annotations

from .permissions import Atom, Permissions

_READ = ["get", "list", "watch"]
_PODS = {"apiGroups": [""], "resources": ["pods", "pods/log", "pods/status", "events"], "verbs": _READ}

# Roles that every cluster has.
BUILT_IN = ("view", "edit", "admin")
# These only read, so they may be granted in the whole cluster too.
READING = ("view", "secretless-view")

_RULES = {
    "pod-debugger": [
        _PODS,
        {"apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"], "verbs": ["create", "get"]},
        {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["get", "patch", "update"]},
    ],
    # A fixed list, unlike `view`, to which every installed operator may add.
    "secretless-view": [
        _PODS,
        {
            "apiGroups": [""],
            "resources": ["services", "endpoints", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas"],
            "verbs": _READ,
        },
        {"apiGroups": [""], "resources": ["limitranges", "namespaces"], "verbs": _READ},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"],
            "verbs": _READ,
        },
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": _READ},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": _READ},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": _READ},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    ],
}

NAMES = (*BUILT_IN, *_RULES)


def permissions(name: str) -> tuple[Atom, ...]:
    """What a preset that is not a built-in role allows."""
    return Permissions.of(_RULES[name]).canonical()
