# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of rbac_grant as Ansible hands them over when a task names none of them."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "state": "present",
    "max_deletes": 20,
    "create_namespaces": False,
    "allow_cluster_admin": False,
    "allow_admin": "always",
    "adopt": False,
    "allow_recreate": False,
    "protected_namespaces": None,
    "verify": "none",
    "concurrency": 4,
    "on_error": "stop",
}
