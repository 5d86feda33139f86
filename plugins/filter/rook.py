# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the Rook domain; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.filters import as_filter, problems_of
from ..module_utils._rook import cluster, health, helm, manifests, node_remains, operators, plan, upgrade, versions

_filter = functools.partial(as_filter, error=AnsibleFilterError)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names and functions."""
        return {
            "ceph_placement_groups": _filter(health.placement_groups),
            "crds_not_served": _filter(manifests.crds_not_served),
            "rook_chart_values": _filter(helm.chart_values),
            "rook_checksum_problems": problems_of(manifests.check_checksums),
            "rook_cluster_plan": _filter(plan.cluster_plan),
            "rook_cluster_problems": problems_of(plan.cluster_plan),
            "rook_data_dir_plan": _filter(node_remains.data_dir_plan),
            "rook_installed_problems": problems_of(operators.check_installed),
            "rook_known_objects": _filter(manifests.known_objects),
            "rook_manifests": _filter(manifests.operator_manifests),
            "rook_operator_problems": problems_of(manifests.check_install),
            "rook_release": _filter(versions.release_facts),
            "rook_same_storage": _filter(cluster.same_storage),
            "rook_shared_groups": _filter(node_remains.shared_groups),
            "rook_upgrade_plan": _filter(upgrade.upgrade_plan),
            "rook_upgrade_problems": problems_of(upgrade.upgrade_plan),
        }
