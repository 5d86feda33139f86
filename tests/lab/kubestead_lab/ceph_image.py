# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for the Ceph image: a tree with Debian's Ceph packages. The nodes see it read-only through UML's hostfs."""

from __future__ import annotations

import os
from pathlib import Path

from kubestead_lab.cache import Artefact, ensure, recipe_key
from kubestead_lab.commands import build, need_commands, write
from kubestead_lab.progress import step
from kubestead_lab.settings import CEPH_SUITE, DEBIAN_MIRROR, Lab

PACKAGES = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-volume")
# Manuals would double the number of files.
_DPKG = "force-unsafe-io\n" + "".join(f"path-exclude=/usr/share/{name}/*\n" for name in ("doc", "man", "info", "locale"))
# No service starts in a build. A mirror may be a frozen one, whose lists are past their date.
_INSTALL = """\
set -eu
export DEBIAN_FRONTEND=noninteractive
mount -t proc proc /proc
apt-get -q -o Acquire::Check-Valid-Until=false update
apt-get -q -y --no-install-recommends install "$@"
python3 -m compileall -q /usr/share/ceph/mgr
rm -rf /var/cache/apt/* /var/lib/apt/lists/*
"""
# debootstrap knows suites by name, and an older one than the suite has no script of that name; all of Debian share one.
_SCRIPT = "/usr/share/debootstrap/scripts/sid"


def artefact_of(lab: Lab) -> Artefact:
    """Its place in the cache."""
    facts = {"suite": CEPH_SUITE, "packages": " ".join(PACKAGES), "install": _INSTALL, "dpkg": _DPKG}
    return Artefact(lab.cache, f"ceph-{CEPH_SUITE}", recipe_key(facts))


def root_of(lab: Lab) -> Path:
    return artefact_of(lab).folder / "root"


def prepare(lab: Lab) -> None:
    """Make the tree unless the cache has it whole."""
    need_commands("ceph", "debootstrap")

    def builder(folder: Path) -> None:
        root, log, packages = folder / "root", lab.logs / "build-ceph-image.log", lab.cache / f"packages-{CEPH_SUITE}"
        packages.mkdir(exist_ok=True)
        mirror = os.environ.get("KUBESTEAD_LAB_DEBIAN_MIRROR") or DEBIAN_MIRROR
        with step("making the tree of Ceph's programs", "2 min the first time"):
            bootstrap = ["debootstrap", "--variant=minbase", f"--cache-dir={packages}", "--include=python3-minimal"]
            build([*bootstrap, CEPH_SUITE, str(root), mirror, _SCRIPT], log=log, what="make the root of Ceph's programs")
            write(root / "etc/dpkg/dpkg.cfg.d/lab", _DPKG)
            write(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
            build(["chroot", str(root), "sh", "-c", _INSTALL, "sh", *PACKAGES], log=log, what="install Ceph's packages")

    ensure(artefact_of(lab), builder)
