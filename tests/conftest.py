# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets every suite import the collection by its full name, also when pytest is started without the Makefile."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Make the link that `pythonpath` in pyproject.toml relies on."""
    link = ROOT / ".cache" / "collections" / "ansible_collections" / "kubestead" / "platform"
    if link.resolve() != ROOT:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))
