# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' kernel: User-Mode Linux of a newer Debian than most machines have, with the C library it was linked to.

From Linux 6.16 on, a process of UML's catches its own system calls and page faults (seccomp) where an older UML traces it from
outside. Measured on two cores: a program starts in 8 ms on a node, not in 42 ms. It also runs on processors with AMX, whose
state an older one cannot restore.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubestead_lab.cache import Artefact, ensure, recipe_key, remove_tree
from kubestead_lab.commands import build, write
from kubestead_lab.errors import LabError
from kubestead_lab.progress import step
from kubestead_lab.settings import CEPH_SUITE, DEBIAN_MIRROR, Lab

_PACKAGES = ("user-mode-linux", "libc6")
_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
_HOST_LOADER = b"/lib64/ld-linux-x86-64.so.2\0"
# Relative, so that the folder may lie anywhere: the kernel is started inside it.
_LOADER = b"./ld.so\0"


def artefact_of(lab: Lab) -> Artefact:
    """Its place in the cache."""
    facts = {"suite": CEPH_SUITE, "packages": " ".join(_PACKAGES), "loader": _LOADER.decode()}
    return Artefact(lab.cache, f"uml-{CEPH_SUITE}", recipe_key(facts))


def folder_of(lab: Lab) -> Path:
    """What the kernel has to be started in."""
    return artefact_of(lab).folder


def modules_of(lab: Lab) -> Path:
    """Its modules, in a folder by version."""
    return folder_of(lab) / "modules"


def command(memory: Path) -> list[str]:
    """The program with its environment; ``memory`` is where the file lies that is the nodes' memory."""
    return ["env", "LD_LIBRARY_PATH=.", f"TMPDIR={memory}", "./linux.uml"]


def ensure_kernel(lab: Lab) -> None:
    """Fetch it unless the cache has it whole."""

    def builder(folder: Path) -> None:
        log, fetched = lab.logs / "build-uml.log", folder / "fetched"
        with step("fetching the nodes' kernel", "15 s the first time"):
            _fetch(fetched, log)
            for package in sorted(fetched.glob("*.deb")):
                build(["dpkg-deb", "--extract", str(package), str(fetched / "root")], log=log, what=f"unpack {package.name}")
        root = fetched / "root"
        for library in ("ld-linux-x86-64.so.2", "libc.so.6"):
            shutil.copy(root / _LIBRARIES / library, folder / library)
        (folder / "ld-linux-x86-64.so.2").rename(folder / "ld.so")
        (root / "usr/lib/uml/modules").rename(folder / "modules")
        program = folder / "linux.uml"
        program.write_bytes(_with_loader((root / "usr/bin/linux.uml").read_bytes()))
        program.chmod(0o755)
        remove_tree(fetched)

    ensure(artefact_of(lab), builder)


def _with_loader(program: bytes) -> bytes:
    """The program with a shorter name of its loader in the same place; it ends at the first zero byte."""
    if program.count(_HOST_LOADER) != 1:
        raise LabError("The nodes' kernel does not name its loader once.", hint="Has its package changed? See uml_kernel.py.")
    return program.replace(_HOST_LOADER, _LOADER.ljust(len(_HOST_LOADER), b"\0"))


def _fetch(folder: Path, log: Path) -> None:
    """The packages, by apt with lists and sources of its own; it trusts what the machine's apt trusts."""
    mirror = os.environ.get("KUBESTEAD_LAB_DEBIAN_MIRROR") or DEBIAN_MIRROR
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    write(folder / "sources.list", f"deb {mirror} {CEPH_SUITE} main\n")
    write(folder / "status", "")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        # A mirror may be a frozen one, whose lists are past their date.
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]
    build([*apt, "update"], log=log, what=f"read the package lists of {CEPH_SUITE}", cwd=folder)
    build([*apt, "download", *_PACKAGES], log=log, what="fetch the nodes' kernel", cwd=folder)
