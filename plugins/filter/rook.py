# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the Rook domain; each is documented in the file of its own name."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import CollError
from ..module_utils._core.plain import plain
from ..module_utils._rook import cluster, manifests, storage


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*plain(args), **plain(kwargs))
        except CollError as exc:
            raise AnsibleFilterError(exc.sentence()) from None

    return call


def _problems(function: Callable[..., Any]) -> Callable[..., list[str]]:
    """What ``function`` would complain about, as text: an assertion tells it better than a failed filter."""

    def call(*args: Any, **kwargs: Any) -> list[str]:
        try:
            function(*plain(args), **plain(kwargs))
        except CollError as exc:
            return [exc.sentence()]
        return []

    return call


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
            "rook_storage_problems": _problems(storage.storage_nodes),
        }
