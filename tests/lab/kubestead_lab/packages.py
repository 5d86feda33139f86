# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of the lab, installed without starting any service of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubestead_lab.commands import build
from kubestead_lab.errors import LabError
from kubestead_lab.progress import say, step

PACKAGES: dict[str, tuple[str, ...]] = {
    "control-plane": ("iproute2", "openssl"),
    "directory": ("iproute2", "openssl", "slapd", "ldap-utils"),
    "directory389": ("iproute2", "openssl", "389-ds-base", "libnss3-tools", "ldap-utils"),
    "nodes": ("iproute2", "openssh-client", "uml-utilities", "debootstrap", "e2fsprogs"),
    "ceph": ("iproute2", "openssh-client", "debootstrap"),
    # Not parts that run. What tests fill the nodes' disks with, every file system and container Debian has a tool for.
    "signatures": (
        "bcache-tools",
        "btrfs-progs",
        "cryptsetup-bin",
        "dosfstools",
        "erofs-utils",
        "exfatprogs",
        "f2fs-tools",
        "gdisk",
        "genisoimage",
        "gfs2-utils",
        "hfsutils",
        "jfsutils",
        "nilfs-tools",
        "ntfs-3g",
        "ocfs2-tools",
        "reiser4progs",
        "reiserfsprogs",
        "squashfs-tools",
        "udftools",
        "xfsprogs",
    ),
    "javascript": ("npm",),
    "browser": ("chromium", "chromium-driver", "fonts-dejavu-core"),
}
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing(packages: list[str]) -> list[str]:
    """Those of the packages that are not installed."""
    seen = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages], capture_output=True, text=True, check=False
    )
    installed = {line.split()[0] for line in seen.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in packages if name not in installed]


@contextmanager
def _services_stay_down() -> Iterator[None]:
    # Debian's own switch: with it maintainer scripts start nothing. One that is there already belongs to the machine's owner.
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def install(parts: tuple[str, ...], log: Path) -> None:
    """Install what the parts need and do not have."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise LabError("The lab needs Debian packages, and this machine has no apt-get.", hint="Use Debian 12 or newer.")
    wanted = missing(sorted({package for part in parts for package in PACKAGES[part]}))
    if not wanted:
        return
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install", *wanted]
    with step(f"installing {' '.join(wanted)}", "half a minute"), _services_stay_down():
        if "slapd" in wanted:
            subprocess.run(
                ["debconf-set-selections"], input="slapd slapd/no_configuration boolean true\n", text=True, check=False
            )
        try:
            build(apt, log=log, what="install the packages", env=env, outlives_us=True)
        except LabError:
            say("finishing interrupted installations, refreshing the package lists, and trying once more")
            build(["dpkg", "--configure", "-a"], log=log, what="finish an interrupted installation", env=env, outlives_us=True)
            build(["apt-get", "-q", "update"], log=log, what="refresh the package lists", env=env, outlives_us=True)
            build(apt, log=log, what=f"install {' '.join(wanted)}", env=env, outlives_us=True)


def need_root() -> None:
    """Everything here makes namespaces, taps or bind mounts."""
    if os.geteuid() != 0:
        raise LabError("The lab cannot run: it makes a network namespace, which only root may.", hint="Run it with sudo.")
