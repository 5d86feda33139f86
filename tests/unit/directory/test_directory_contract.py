# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Directory contract on the in-memory fake."""

from __future__ import annotations

import pytest

from contracts.directory import DirectoryContract
from fakes.directory import FakeDirectory


class TestFakeDirectory(DirectoryContract):
    @pytest.fixture
    def directory(self) -> FakeDirectory:
        return FakeDirectory()

    @pytest.fixture
    def base(self) -> str:
        return "ou=people,dc=example,dc=org"
