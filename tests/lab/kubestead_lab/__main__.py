# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Started by the script `lab`; finds the package without touching PYTHONPATH, which commands of `lab exec` would inherit."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from kubestead_lab.cli import main  # noqa: E402  (the path above must be set first)

sys.exit(main(sys.argv[1:]))
