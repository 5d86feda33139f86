# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may become of a disk between the look and the write."""

from __future__ import annotations

from .disk_node import GIB, FakeNode


def replaced(node: FakeNode) -> None:
    node.disks["ubdb"].serial = "SOMETHING-ELSE"


def grown(node: FakeNode) -> None:
    node.disks["ubdb"].size += GIB


def formatted(node: FakeNode) -> None:
    node.disks["ubdb"].signatures.append((0, "xfs", "new", "filesystem"))


def mounted(node: FakeNode) -> None:
    node.disks["ubdb"].mounts = ("/srv",)


def renumbered(node: FakeNode) -> None:
    node.disks["ubdb"], node.disks["ubdc"] = node.disks["ubdc"], node.disks["ubdb"]
