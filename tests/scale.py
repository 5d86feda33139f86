# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the tests with many inputs try: KUBESTEAD_TEST_SCALE multiplies their counts (default 1, such as 0.1 or 10)."""

from __future__ import annotations

import os


def scaled(number: int) -> int:
    """That many, times the scale; at least one."""
    return max(1, round(number * float(os.environ.get("KUBESTEAD_TEST_SCALE", "1"))))
