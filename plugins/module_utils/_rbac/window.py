# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a grant as its binding carries it."""

from __future__ import annotations

from typing import Optional

from .._core.errors import BadInput
from .._core.window import moment


def noted(text: object) -> Optional[int]:
    """The moment that an annotation holds; None when it holds none."""
    try:
        return None if text is None else moment(text, "annotation")
    except BadInput:
        return None
