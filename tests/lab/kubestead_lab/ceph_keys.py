# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Ceph's daemons: their generations as the CephCluster's status tells them, and new keys when its spec asks for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubestead_lab.ceph_nodes import Host
from kubestead_lab.ceph_objects import ceph_of

_OF_DAEMONS = ("mon", "mgr", "osd")
_KEPT = """\
set -eu
umask 077
mkdir -p "${0%/*}"
cat >"$0.new"
mv "$0.new" "$0"
"""


class Keys:
    """The keys of one cluster; a new cluster's are of the first generation, and of its administrator's nothing is told."""

    def __init__(self, cluster: Mapping[str, Any]) -> None:
        daemon = cluster["spec"].get("security", {}).get("cephx", {}).get("daemon", {})
        self._asked = int(daemon.get("keyGeneration", 0)) if daemon.get("keyRotationPolicy") == "KeyGeneration" else 0
        self._made_by = f"{ceph_of(cluster['spec']['cephVersion']['image'])}-0"
        first = {"keyGeneration": 1, "keyCephVersion": self._made_by}
        told = (cluster.get("status") or {}).get("cephx") or {}
        self.states: dict[str, dict[str, Any]] = {kind: told.get(kind) or first for kind in _OF_DAEMONS}
        self.states["admin"] = told.get("admin") or {}

    def due(self, kind: str) -> bool:
        """Whether keys of this kind are older than what is asked for."""
        return self._asked > int(self.states[kind].get("keyGeneration", 0))

    def replaced(self, kind: str) -> None:
        """Keys of this kind are new."""
        self.states[kind] = {"keyGeneration": self._asked, "keyCephVersion": self._made_by}


def renew(home: Host, entity: str) -> str:
    """A keyring with a new key, which counts at once; the old one is worth nothing any more."""
    told = json.loads(home.monitor("auth rotate", entity=entity))[0]
    caps = "".join(f'\tcaps {name} = "{text}"\n' for name, text in told.get("caps", {}).items())
    return f"[{entity}]\n\tkey = {told['key']}\n{caps}"


def keep(host: Host, path: str, ring: str) -> None:
    """Put a keyring where the daemon looks for it."""
    host.ceph("sh", "-c", _KEPT, path, stdin=ring)
