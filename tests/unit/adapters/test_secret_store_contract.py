# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SecretStore contract on the fake and on a real folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles

from contracts.secret_store import SecretStoreContract
from fakes.secret_store import FakeSecretStore


class TestFakeSecretStore(SecretStoreContract):
    @pytest.fixture
    def store(self) -> FakeSecretStore:
        return FakeSecretStore()

    @pytest.fixture
    def base(self) -> str:
        return "/srv/people"


class TestRealFolder(SecretStoreContract):
    @pytest.fixture
    def store(self) -> SecretFiles:
        return SecretFiles()

    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        return str(tmp_path)
