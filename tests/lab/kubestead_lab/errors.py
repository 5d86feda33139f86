# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error the lab raises on purpose: a sentence that says what cannot run and why, and a hint."""

from __future__ import annotations


class LabError(Exception):
    """Something the person at the keyboard can understand; printed without a traceback."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n  hint: {self.hint}" if self.hint else text
