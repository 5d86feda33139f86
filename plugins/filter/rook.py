# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the Rook domain; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, later, problems_of

_filter = functools.partial(as_filter, error=AnsibleFilterError)


def _rook() -> Iterable[Any]:
    from ..module_utils._rook import cluster, health, helm, manifests, node_remains, operators, plan, upgrade, versions

    return cluster, health, helm, manifests, node_remains, operators, plan, upgrade, versions


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "ceph_placement_groups": _filter(later(_rook, "health.placement_groups")),
            "crds_not_served": _filter(later(_rook, "manifests.crds_not_served")),
            "rook_chart_values": _filter(later(_rook, "helm.chart_values")),
            "rook_checksum_problems": problems_of(later(_rook, "manifests.check_checksums")),
            "rook_cluster_plan": _filter(later(_rook, "plan.cluster_plan")),
            "rook_cluster_problems": problems_of(later(_rook, "plan.cluster_plan")),
            "rook_data_dir_plan": _filter(later(_rook, "node_remains.data_dir_plan")),
            "rook_installed_problems": problems_of(later(_rook, "operators.check_installed")),
            "rook_known_objects": _filter(later(_rook, "manifests.known_objects")),
            "rook_manifests": _filter(later(_rook, "manifests.operator_manifests")),
            "rook_operator_problems": problems_of(later(_rook, "manifests.check_install")),
            "rook_release": _filter(later(_rook, "versions.release_facts")),
            "rook_same_storage": _filter(later(_rook, "cluster.same_storage")),
            "rook_shared_groups": _filter(later(_rook, "node_remains.shared_groups")),
            "rook_upgrade_plan": _filter(later(_rook, "upgrade.upgrade_plan")),
            "rook_upgrade_problems": problems_of(later(_rook, "upgrade.upgrade_plan")),
        }
