# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain Python values out of what a template hands over.

Since ansible-core 2.19 a template's strings, lists and dictionaries carry tags or are filled lazily; encoders refuse
some of them and comparisons by type miss all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """The same value made of exactly str, int, float, bool, None, list and dict."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(element) for element in value]
    return value
