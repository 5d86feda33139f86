# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of pods, which the API server answers as text and not as JSON."""

from __future__ import annotations

from .._core.errors import CollError
from .kube_api import KubeApiClient


class PodLogs:
    """Reads them over the client that everything else is read with."""

    def __init__(self, api: KubeApiClient) -> None:
        self._api = api

    def tail(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines; empty when the pod, its node or its log is gone: an explanation less is no error."""
        try:
            return self._api.text(
                f"/api/v1/namespaces/{namespace}/pods/{pod}/log", {"container": container, "tailLines": str(lines)}
            )
        except CollError:
            return ""
