# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the Rook domain; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later, problems_of

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _cluster() -> Any:
    from ..module_utils._rook import cluster

    return cluster


def _health() -> Any:
    from ..module_utils._rook import health

    return health


def _helm() -> Any:
    from ..module_utils._rook import helm

    return helm


def _manifests() -> Any:
    from ..module_utils._rook import manifests

    return manifests


def _node_remains() -> Any:
    from ..module_utils._rook import node_remains

    return node_remains


def _operators() -> Any:
    from ..module_utils._rook import operators

    return operators


def _plan() -> Any:
    from ..module_utils._rook import plan

    return plan


def _upgrade() -> Any:
    from ..module_utils._rook import upgrade

    return upgrade


def _versions() -> Any:
    from ..module_utils._rook import versions

    return versions


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "ceph_placement_groups": _filter(later(_health, "placement_groups")),
            "crds_not_served": _filter(later(_manifests, "crds_not_served")),
            "rook_chart_values": _filter(later(_helm, "chart_values")),
            "rook_checksum_problems": problems_of(later(_manifests, "check_checksums")),
            "rook_cluster_plan": _filter(later(_plan, "cluster_plan")),
            "rook_cluster_problems": problems_of(later(_plan, "cluster_plan")),
            "rook_data_dir_plan": _filter(later(_node_remains, "data_dir_plan")),
            "rook_installed_problems": problems_of(later(_operators, "check_installed")),
            "rook_known_objects": _filter(later(_manifests, "known_objects")),
            "rook_manifests": _filter(later(_manifests, "operator_manifests")),
            "rook_operator_problems": problems_of(later(_manifests, "check_install")),
            "rook_release": _filter(later(_versions, "release_facts")),
            "rook_same_storage": _filter(later(_cluster, "same_storage")),
            "rook_shared_groups": _filter(later(_node_remains, "shared_groups")),
            "rook_upgrade_plan": _filter(later(_upgrade, "upgrade_plan")),
            "rook_upgrade_problems": problems_of(later(_upgrade, "upgrade_plan")),
        }
