# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the unit tests: property tests are the same on every machine, and a slow one is not a failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kubestead", deadline=None, derandomize=True, database=None)
settings.load_profile("kubestead")
