# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stock modules need and this collection does not: python-ldap, in an environment of the benchmark's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from measure import ROOT

PACKAGES = ("libldap2-dev", "libsasl2-dev", "gcc")
LIBRARIES = ("python-ldap", "kubernetes", "cryptography", "PyYAML")


def stock_python() -> Path:
    """The interpreter the stock modules run with; made on first use."""
    folder = ROOT / ".cache" / "bench-venv"
    python, stamp = folder / "bin" / "python", folder / "complete"
    if not stamp.exists():
        print("  preparing the stock modules' environment (usually 1 min)", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["apt-get", "install", "-qy", *PACKAGES], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *LIBRARIES], check=True)
        stamp.touch()
    return python
