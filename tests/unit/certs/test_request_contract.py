# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of certificate requests on the in-memory server and signer."""

from __future__ import annotations

import pytest

from contracts.certificate_requests import CertificateRequestContract
from fakes.csr_signer import CsrSigner
from fakes.kube_api import FakeKubeApi


class TestFakeCertificateRequests(CertificateRequestContract):
    @pytest.fixture
    def api(self) -> FakeKubeApi:
        fake = FakeKubeApi()
        CsrSigner(fake)
        return fake
