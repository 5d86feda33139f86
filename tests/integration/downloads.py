# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the suites on the lab need beside the lab. The lab's namespace reaches no network, so `tests/run` starts this file before.

Each function is also called where its result is used, and does nothing when all is there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from kubestead_lab import golang
from kubestead_lab.packages import install
from kubestead_lab.settings import ROOK_BEFORE, lab_from

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "javascript"
CLIENT = "@kubernetes/client-node@1.4.0"
# A connection on which nothing comes is given up after 30 s and made anew; npm would wait for 5 minutes.
NPM_INSTALL = (
    "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-timeout=30000", "--fetch-retries=4",
)  # fmt: skip


def signature_tools() -> None:
    """Debian's tools that fill the disks of the signature matrix."""
    install(("signatures",), FOLDER.parent / "signature-tools.log")


def javascript_client() -> Path:
    """A folder with the JavaScript client of Kubernetes; Debian's npm fetches it where the machine has none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = FOLDER / "installed"
        if not wanted.is_file() or wanted.read_text() != CLIENT:
            if shutil.which("npm") is None:
                install(("javascript",), FOLDER / "npm.log")
            command = [*NPM_INSTALL, "--prefix", str(FOLDER), CLIENT]
            subprocess.run(command, check=True, capture_output=True, timeout=600)
            wanted.write_text(CLIENT)
    return FOLDER


def browser() -> None:
    """Debian's Chromium with its driver, for the page of the access report."""
    install(("browser",), FOLDER.parent / "browser.log")


def rook_before() -> Path:
    """The manifests of the release that an upgrade begins from."""
    lab = lab_from(os.environ, ROOT)
    lab.logs.mkdir(parents=True, exist_ok=True)
    golang.ensure_rook(lab, ROOK_BEFORE)
    return golang.rook_manifests(lab, ROOK_BEFORE)


if __name__ == "__main__":
    signature_tools()
    javascript_client()
    browser()
    rook_before()
