# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The KubeApi contract on the in-memory fake."""

from __future__ import annotations

import pytest

from contracts.kube_api import KubeApiContract
from fakes.kube_api import FakeKubeApi


class TestFakeKubeApi(KubeApiContract):
    @pytest.fixture
    def api(self) -> FakeKubeApi:
        return FakeKubeApi()
