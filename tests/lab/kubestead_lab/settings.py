# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything is and what it is called. All paths, addresses, ports and versions of the lab are here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab.errors import LabError

KUBERNETES_VERSION = "1.36.3"
ETCD_VERSION = "3.6.5"
ROOK_VERSION = "1.20.6"
# What an upgrade to it begins from.
ROOK_BEFORE = "1.20.4"
HELM_VERSION = "3.19.0"
DEBIAN_SUITE = "bookworm"
# The first suite with the Ceph that this Rook runs, 20.2.
CEPH_SUITE = "forky"
DEBIAN_MIRROR = "http://deb.debian.org/debian"

DEFAULT_NAME = "kubestead-lab"
PARTS = ("control-plane", "directory", "directory389", "nodes", "ceph")

BRIDGE = "br-lab"
BRIDGE_ADDRESS = "10.77.0.1"
NETWORK_PREFIX = 24
API_PORT = 6443
LDAP_PORT = 3389
LDAPS_PORT = 3636
LDAP389_PORT = 3390
LDAPS389_PORT = 3637
LDAP_BASE = "dc=example,dc=org"

NODE_MEMORY_MIB = 1024
DATA_DISKS_PER_NODE = 2
DATA_DISK_GIB = 20


@dataclass(frozen=True)
class Node:
    """One User-Mode-Linux machine."""

    name: str
    address: str

    def serial(self, number: int) -> str:
        """The serial of its data disk, counted from 1; UML keeps it in sysfs."""
        return f"{self.name.upper()}-DISK{number}"


NODES = (Node("node1", "10.77.0.11"), Node("node2", "10.77.0.12"))


@dataclass(frozen=True)
class Lab:
    """One lab: its name is its network namespace; its run state and its caches are apart."""

    name: str
    repo: Path
    state: Path
    cache: Path

    @property
    def source(self) -> Path:
        return self.repo / "tests" / "lab"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        return self.state / "pids"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "control-plane" / "admin.conf"

    @property
    def directory(self) -> Path:
        return self.state / "directory"

    @property
    def directory389(self) -> Path:
        return self.state / "directory389"

    @property
    def nodes(self) -> Path:
        return self.state / "nodes"

    @property
    def ssh_sockets(self) -> Path:
        """Ansible's shared ssh connections; a short path, because a socket's name has room for 107 bytes only."""
        return Path("/run") / self.name / "ssh"

    @property
    def wrappers(self) -> Path:
        return self.state / "bin"

    @property
    def people(self) -> Path:
        """Keys, certificates, kubeconfigs and passwords of the people of the demonstration."""
        return self.state / "people"

    @property
    def inventory(self) -> Path:
        return self.state / "inventory.yml"

    @property
    def venv(self) -> Path:
        return self.repo / ".cache" / "venv"


def lab_from(environment: Mapping[str, str], repo: Path) -> Lab:
    """The lab this environment means. KUBESTEAD_LAB_NAME gives a second one beside the first."""
    name = environment.get("KUBESTEAD_LAB_NAME") or DEFAULT_NAME
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(
            f"KUBESTEAD_LAB_NAME is {name!r}, which cannot name a network namespace.",
            hint="Use small letters, digits and dashes, at most 31.",
        )
    folder = "lab" if name == DEFAULT_NAME else f"lab-{name}"
    return Lab(name=name, repo=repo, state=repo / ".cache" / folder, cache=_cache_folder(environment))


def _cache_folder(environment: Mapping[str, str]) -> Path:
    chosen = environment.get("KUBESTEAD_LAB_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "kubestead-lab"
