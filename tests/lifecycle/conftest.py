# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the integration tests, for tests of Rook's whole life that take many minutes each."""

from integration.conftest import fresh_lab, lab

__all__ = ["fresh_lab", "lab"]
