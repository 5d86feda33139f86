# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The KubeApi contract on the lab's API server."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient

from contracts.kube_api import KubeApiContract


class TestRealKubeApi(KubeApiContract):
    @pytest.fixture
    def api(self, lab) -> KubeApiClient:
        return KubeApiClient.from_params({"kubeconfig": lab.env["KUBECONFIG"]})
