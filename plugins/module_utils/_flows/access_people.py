# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""access_info: the list of people, as far as it is about access."""

from __future__ import annotations

from typing import Optional

from .._core.access import Asked, Listed
from .._people.asked import said


def list_of(raw: object, now: int) -> tuple[Optional[tuple[Listed, ...]], tuple[Asked, ...]]:
    """The people and the rights that the list gives now; None without a list. Raises BadInput."""
    return (None, ()) if raw is None else said(raw, now)
