# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: one namespace with a bridge and a tap for each node. It has no way out and no address of the host."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kubestead_lab.commands import output, succeeds, write
from kubestead_lab.errors import LabError
from kubestead_lab.settings import BRIDGE, BRIDGE_ADDRESS, NETWORK_PREFIX, NODES, Lab


def path_of(lab: Lab) -> Path:
    return Path("/run/netns") / lab.name


def exists(lab: Lab) -> bool:
    return path_of(lab).exists()


def inside(lab: Lab, *argv: str) -> list[str]:
    """The command line that runs argv in the namespace, in the same process and with the same file systems."""
    return ["nsenter", f"--net={path_of(lab)}", "--", *argv]


def _claim_file(lab: Lab) -> Path:
    return lab.state / "namespace.json"


def _inode(lab: Lab) -> int:
    return path_of(lab).stat().st_ino


def _claimed(lab: Lab) -> bool:
    """Whether this checkout made the namespace; inode null means it was killed while making it."""
    try:
        claim = json.loads(_claim_file(lab).read_text())
    except (OSError, ValueError):
        return False
    return claim["inode"] in (None, _inode(lab))


def ensure(lab: Lab) -> None:
    """Make the namespace and its bridge; what is there already stays."""
    if exists(lab) and not _claimed(lab):
        _clear_away_abandoned(lab)
    if not exists(lab):
        write(_claim_file(lab), json.dumps({"inode": None}))
        output(["ip", "netns", "add", lab.name], what=f"make the network namespace {lab.name}")
    _make_bridge(lab)
    write(_claim_file(lab), json.dumps({"inode": _inode(lab)}))


def _clear_away_abandoned(lab: Lab) -> None:
    """Remove another checkout's namespace if nothing runs in it any more, as after a machine that ended every process."""
    if strangers(lab):
        raise LabError(
            f"The network namespace {lab.name} exists, but this checkout did not make it.",
            hint="Another checkout's lab is up: run `lab down` there, or set KUBESTEAD_LAB_NAME for a second lab.",
        )
    output(["ip", "netns", "delete", lab.name], what=f"remove the abandoned network namespace {lab.name}")


def _make_bridge(lab: Lab) -> None:
    ip = ["ip", "-n", lab.name]
    output([*ip, "link", "set", "lo", "up"], what="start the loopback device")
    if not succeeds([*ip, "link", "show", BRIDGE]):
        output([*ip, "link", "add", BRIDGE, "type", "bridge"], what="make the bridge")
    output([*ip, "addr", "replace", f"{BRIDGE_ADDRESS}/{NETWORK_PREFIX}", "dev", BRIDGE], what="give the bridge its address")
    # UML's network driver drops frames that hold several TCP segments; sent so, 3 MB took a minute instead of two seconds.
    output([*ip, "link", "set", BRIDGE, "gso_max_segs", "1"], what="keep the bridge to single segments")
    output([*ip, "link", "set", BRIDGE, "up"], what="start the bridge")


def tap_of(node: str) -> str:
    return f"tap-{node}"


def ensure_taps(lab: Lab) -> None:
    """One tap a node, on the bridge."""
    for node in NODES:
        tap = tap_of(node.name)
        if not succeeds(["ip", "-n", lab.name, "link", "show", tap]):
            output(inside(lab, "ip", "tuntap", "add", "dev", tap, "mode", "tap"), what=f"make {tap}")
        output(["ip", "-n", lab.name, "link", "set", tap, "master", BRIDGE, "up"], what=f"put {tap} on the bridge")


def leave(lab: Lab, argv: list[str]) -> None:
    """Inside `lab exec` become the same command outside again: from within, nothing could be downloaded."""
    if exists(lab) and os.stat("/proc/self/ns/net").st_ino == _inode(lab):
        outside = _ancestor_outside(lab)
        if outside:
            os.execvp("nsenter", ["nsenter", f"--net=/proc/{outside}/ns/net", "--", *argv])


def _ancestor_outside(lab: Lab) -> int:
    """The nearest process above us that is not in the namespace; 0 if there is none whose namespace we may enter."""
    pid = os.getppid()
    while pid > 1:
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino != _inode(lab):
                return pid
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return 0
    return 0


def strangers(lab: Lab) -> list[int]:
    """Processes still in the namespace, such as a shell of `lab exec`."""
    if not exists(lab):
        return []
    return [int(pid) for pid in output(["ip", "netns", "pids", lab.name], what="list the namespace's processes").split()]


def remove(lab: Lab) -> None:
    """Take the namespace away, and bridge and taps with it."""
    if exists(lab):
        if not _claimed(lab):
            return
        output(["ip", "netns", "delete", lab.name], what=f"remove the network namespace {lab.name}")
    _claim_file(lab).unlink(missing_ok=True)
