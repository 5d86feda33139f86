# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's programs on the nodes: their tree in a mount namespace, as in a container of Rook's, and systemd units in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubestead_lab.ceph_objects import Osd
from kubestead_lab.nodes import ssh
from kubestead_lab.progress import say
from kubestead_lab.remote import MONITOR, RUNNER, Away, Remote
from kubestead_lab.settings import Lab, Node

ENTER = "/run/lab-ceph/enter"
# Like Rook's containers these see the node's devices and udev; the tree is read-only, and what Ceph keeps is in the data directory.
_SETUP = """\
set -eu
tree=$1 data=$2
if [ -x /run/lab-ceph/enter ]; then
  [ "$(cat /run/lab-ceph/data)" = "$data" ] && [ -d "$data/lib" ] && exit 0
  umount /run/lab-ceph/namespace /run/lab-ceph # what an earlier cluster left, its data directory gone
  rm -rf /run/lab-ceph
fi
mkdir -p /run/lab-ceph /opt/lab-ceph "$data/etc" "$data/log" /run/ceph
for name in osd mon mgr bootstrap-osd tmp crash; do mkdir -p "$data/lib/$name"; done
chown 64045:64045 "$data/log" "$data/lib/crash" "$data/lib/osd" /run/ceph
mountpoint -q /run/lab-ceph || mount --bind /run/lab-ceph /run/lab-ceph
mount --make-private /run/lab-ceph
: >/run/lab-ceph/namespace
unshare --mount=/run/lab-ceph/namespace --propagation slave sh -euc '
  mount -t hostfs -o "ro,$0" none /opt/lab-ceph
  for name in dev proc sys run tmp; do mount --rbind "/$name" "/opt/lab-ceph/$name"; done
  mount --bind /etc/lvm /opt/lab-ceph/etc/lvm
  mount --bind "$1/etc" /opt/lab-ceph/etc/ceph
  mount --bind "$1/lib" /opt/lab-ceph/var/lib/ceph
  mount --bind "$1/log" /opt/lab-ceph/var/log/ceph
' "$tree" "$data"
echo "$data" >/run/lab-ceph/data
printf '#!/bin/sh\\nexec nsenter --mount=/run/lab-ceph/namespace -- chroot /opt/lab-ceph "$@"\\n' >/run/lab-ceph/enter.new
chmod 755 /run/lab-ceph/enter.new
mv /run/lab-ceph/enter.new /run/lab-ceph/enter
"""
_END = """\
systemctl stop 'rook-ceph-*.service'
umount /run/lab-ceph/namespace
umount /run/lab-ceph
rm -rf /run/lab-ceph
"""


class CommandFailed(Exception):
    """A program on a node did not do what it was to do."""


class Host:
    """One node, and what runs there for Ceph."""

    def __init__(self, lab: Lab, node: Node, tree: Path) -> None:
        self.node, self._tree = node, tree
        self._shell = Remote(ssh(lab, node, "exec", "python3", "-uc", shlex.quote(RUNNER), patience=3))
        self._monitor = Remote(ssh(lab, node, "exec", ENTER, "python3", "-uc", shlex.quote(MONITOR), patience=3))

    def run(self, *argv: str, stdin: str = "", timeout: float = 60.0) -> str:
        """The output of a program on the node; raises CommandFailed and Away."""
        code, out, err = self._shell.ask(argv, stdin=stdin, timeout=timeout)
        if code:
            raise CommandFailed(f"{self.node.name}: {' '.join(argv[:6])}: {(err or out).strip()[-400:]}")
        return out

    def ceph(self, *argv: str, stdin: str = "", timeout: float = 60.0) -> str:
        """The output of one of Ceph's programs."""
        return self.run(ENTER, *argv, stdin=stdin, timeout=timeout)

    def monitor(self, prefix: str, *, stdin: str = "", **arguments: object) -> str:
        """The monitor's answer to a command; raises CommandFailed and Away."""
        code, out, err = self._monitor.ask({"prefix": prefix, "format": "json", **arguments}, stdin=stdin, timeout=15)
        if code:
            raise CommandFailed(f"{prefix}: {err}")
        return out

    def log_in_again(self) -> None:
        """With the keys that are there now."""
        self._monitor.close()

    def set_up(self, data: str) -> None:
        """The namespace with the tree; again after each boot."""
        self.run("sh", "-c", _SETUP, "sh", str(self._tree), data)

    def end(self) -> None:
        """Stop everything of Ceph's and take the namespace away."""
        self._monitor.close()
        self._shell.ask(["sh", "-c", _END], timeout=60)

    def units(self) -> dict[str, str] | None:
        """Units of pods and their states; None when the node is away."""
        try:
            told = self.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "rook-ceph-*.service", timeout=15)
        except (Away, CommandFailed):
            return None
        rows = [line.split() for line in told.splitlines()]
        return {row[0].removesuffix(".service"): row[2] for row in rows if row[1] != "masked"}

    def start(self, unit: str, first: Sequence[str], command: Sequence[str]) -> None:
        """Start a unit: what comes first, then the daemon."""
        words = f"exec {ENTER} {shlex.join(command)}"
        if first:
            words = f"{ENTER} {shlex.join(first)} && {words}"
        self._shell.ask(["systemctl", "reset-failed", f"{unit}.service"])
        self.run("systemd-run", f"--unit={unit}", "--property=TimeoutStopSec=10", "sh", "-c", words)

    def stop(self, unit: str) -> None:
        """Stop a unit, whether it runs or not."""
        self._shell.ask(["systemctl", "stop", f"{unit}.service"])

    def osds(self, fsid: str) -> list[Osd]:
        """The OSDs of a cluster on the node's volumes."""
        told = json.loads(self.ceph("ceph-volume", "--log-path", "/var/log/ceph", "lvm", "list", "--format", "json"))
        blocks = [part for parts in told.values() for part in parts if part["type"] == "block"]
        return [
            Osd(
                part["tags"]["ceph.osd_id"],
                part["tags"]["ceph.osd_fsid"],
                self.node.name,
                part["lv_path"],
                part["tags"].get("ceph.crush_device_class") or "",
            )
            for part in blocks
            if part["tags"]["ceph.cluster_fsid"] == fsid
        ]

    def prepare(self, device: str, config: Mapping[str, str]) -> str:
        """Make an OSD of one device; "" or why it was skipped, in the words of Rook's prepare job where there are any."""
        volumes = self.run("lvs", "--noheadings", "-o", "lv_path").split()
        if device not in volumes:
            return f'skipping device "{device}": no logical volume of this name is here'
        filesystem = self.run("lsblk", "--nodeps", "-no", "FSTYPE", device).strip()
        if filesystem:
            return f'skipping device "{device}" because it contains a filesystem "{filesystem}"'
        volume = ["ceph-volume", "--log-path", "/var/log/ceph", "lvm"]
        metadata = config.get("metadataDevice")
        if metadata:
            volume += ["prepare", "--bluestore", "--data", device.removeprefix("/dev/")]
            volume += ["--block.db", metadata.removeprefix("/dev/")]
        else:
            volume += ["batch", "--prepare", "--bluestore", "--yes", "--osds-per-device", "1", device]
        if config.get("deviceClass"):
            volume += ["--crush-device-class", config["deviceClass"]]
        try:
            say(f"{self.node.name}: {shlex.join(volume)}")
            self.ceph(*volume, timeout=240)
        except CommandFailed as problem:
            return f"failed to configure device {device}: {problem}"
        return ""
