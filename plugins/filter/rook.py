# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the Rook domain; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, problems_of
from ..module_utils._rook import cluster, manifests, storage

_filter = functools.partial(as_filter, error=AnsibleFilterError)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "ceph_cluster": _filter(cluster.ceph_cluster),
            "ceph_progress": _filter(cluster.ceph_progress),
            "crds_not_served": _filter(manifests.crds_not_served),
            "dropped_fields": _filter(cluster.dropped_fields),
            "rook_dry_run": _filter(manifests.split_by_dry_run),
            "rook_manifests": _filter(manifests.operator_manifests),
            "rook_storage_nodes": _filter(storage.storage_nodes),
            "rook_storage_problems": problems_of(storage.storage_nodes),
        }
