# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes: User-Mode-Linux kernels with systemd, udev and LVM, and sparse files as disks."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubestead_lab import environment, netns, uml_kernel
from kubestead_lab.cache import remove_tree
from kubestead_lab.commands import need_commands, output, succeeds
from kubestead_lab.errors import LabError
from kubestead_lab.node_image import ensure_image, image_of
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import say, step
from kubestead_lab.settings import DATA_DISK_GIB, DATA_DISKS_PER_NODE, NETWORK_PREFIX, NODE_MEMORY_MIB, NODES, Lab, Node

_BOOT_SECONDS = 120.0
_POWEROFF_SECONDS = 25.0


def folder_of(lab: Lab) -> Path:
    return lab.nodes


def daemon(lab: Lab, node: Node) -> Daemon:
    return Daemon(node.name, lab.pids / f"{node.name}.pid", lab.logs / f"{node.name}.log")


def daemons(lab: Lab) -> tuple[Daemon, ...]:
    return tuple(daemon(lab, node) for node in NODES)


def by_name(name: str) -> Node:
    for node in NODES:
        if node.name == name:
            return node
    raise LabError(f"There is no node {name!r}.", hint=f"The nodes are {', '.join(node.name for node in NODES)}.")


def root_disk(lab: Lab, node: Node) -> Path:
    return lab.nodes / f"{node.name}-root.img"


def data_disk(lab: Lab, node: Node, number: int) -> Path:
    return lab.nodes / f"{node.name}-disk{number}.img"


def kernel_arguments(lab: Lab, node: Node, key: str) -> list[str]:
    """UML's command line: memory, disks with serials, one network device on the node's tap, the console to the log."""
    letters = "bcdefgh"
    disks = [
        f"ubd{letters[number - 1]}={data_disk(lab, node, number)},,{node.serial(number)}"
        for number in range(1, DATA_DISKS_PER_NODE + 1)
    ]
    return [
        f"mem={NODE_MEMORY_MIB}M",
        f"umid={node.name}",
        f"uml_dir={lab.nodes / 'uml'}",
        f"ubda={root_disk(lab, node)},,{node.name.upper()}-ROOT",
        *disks,
        "seccomp=auto",
        "root=/dev/ubda",
        "rw",
        f"vec0:transport=tap,ifname={netns.tap_of(node.name)},depth=64,gro=0",
        "con=null",
        "con0=null,fd:1",
        f"lab.node={node.name}",
        f"lab.address={node.address}/{NETWORK_PREFIX}",
        f"lab.key={key}",
    ]


def check_machine() -> None:
    """Say at once why no node can run here."""
    if platform.machine() != "x86_64":
        raise LabError(f"The nodes cannot run: User-Mode Linux needs an x86_64 machine, and this is {platform.machine()}.")
    if not Path("/dev/net/tun").exists():
        raise LabError(
            "The nodes cannot run: /dev/net/tun is missing.", hint="Try `modprobe tun`; a container needs the device passed in."
        )


def _memory_folder(lab: Lab) -> Path:
    # UML's memory is a file it maps as code: a small or noexec /dev/shm (containers) would kill the kernel at some later time.
    shared = Path("/dev/shm")
    if shared.is_dir():
        state = os.statvfs(shared)
        roomy = state.f_bavail * state.f_frsize > len(NODES) * NODE_MEMORY_MIB * 2**20
        if roomy and not state.f_flag & 8:  # 8 is ST_NOEXEC, which the os module does not name everywhere
            return shared
    return lab.nodes


def prepare(lab: Lab) -> None:
    """Image, login key and disks; what exists stays as it is."""
    check_machine()
    need_commands("nodes", "debootstrap", "mke2fs", "ssh-keygen")
    uml_kernel.ensure_kernel(lab)
    ensure_image(lab)
    lab.nodes.mkdir(parents=True, exist_ok=True)
    if not (lab.nodes / "id.pub").exists():
        (lab.nodes / "id").unlink(missing_ok=True)
        output(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(lab.nodes / "id")],
            what="make the login key of the nodes",
        )
    for node in NODES:
        _make_disks(lab, node)


def _make_disks(lab: Lab, node: Node) -> None:
    root = root_disk(lab, node)
    if not root.exists():
        fresh = root.with_suffix(".new")
        output(
            ["cp", "--sparse=always", str(image_of(lab)), str(fresh)], what=f"copy the root disk of {node.name}", timeout=300
        )
        fresh.rename(root)
    for number in range(1, DATA_DISKS_PER_NODE + 1):
        with data_disk(lab, node, number).open("ab") as disk:
            disk.truncate(DATA_DISK_GIB * 2**30)


def ssh(lab: Lab, node: Node, *command: str, patience: int = 10) -> list[str]:
    """The command line that runs a command on a node."""
    options = ["-F", str(environment.ssh_config_path(lab)), "-o", f"ConnectTimeout={patience}"]
    return netns.inside(lab, "ssh", *options, node.name, *command)


def start(lab: Lab) -> None:
    """Boot what does not run, both at once, and wait until each takes a login."""
    netns.ensure_taps(lab)
    asleep = [node for node in NODES if not (daemon(lab, node).pid() and succeeds(ssh(lab, node, "true")))]
    if asleep:
        with step(f"booting {' and '.join(node.name for node in asleep)}", "15 s"), ThreadPoolExecutor(len(asleep)) as pool:
            list(pool.map(lambda node: boot(lab, node), asleep))


def boot(lab: Lab, node: Node) -> None:
    """Start one node and wait for its SSH."""
    machine = daemon(lab, node)
    if machine.pid() is None:
        remove_tree(lab.nodes / "uml" / node.name)
    key = (lab.nodes / "id.pub").read_text().split()[1]
    kernel = uml_kernel.command(_memory_folder(lab))
    machine.start([*kernel, *kernel_arguments(lab, node, key)], namespace=lab.name, cwd=uml_kernel.folder_of(lab))
    deadline = time.monotonic() + _BOOT_SECONDS
    while not succeeds(ssh(lab, node, "true", patience=1), timeout=8):
        machine.must_live()
        if time.monotonic() > deadline:
            raise LabError(
                f"{node.name} takes no login after {_BOOT_SECONDS:.0f} s.",
                hint=f"Its console is in {machine.log}; `lab reset --only nodes` starts with blank disks.",
            )
        time.sleep(0.2)


def halt(lab: Lab, node: Node) -> None:
    """Shut one node down in order; if it does not answer, end its process."""
    machine = daemon(lab, node)
    if machine.pid() is not None:
        succeeds(ssh(lab, node, "systemctl", "poweroff", "--no-block", patience=3), timeout=8)
        if not machine.ended_within(_POWEROFF_SECONDS):
            say(f"{node.name} does not shut down; ending its process")
    machine.stop(grace=3.0)


def stop(lab: Lab) -> None:
    environment.end_shared_connections(lab)
    with ThreadPoolExecutor(len(NODES)) as pool:
        list(pool.map(lambda node: halt(lab, node), NODES))


def kill(lab: Lab) -> None:
    """Cut the power: for a reset, where nothing on the disks is kept."""
    environment.end_shared_connections(lab)
    for machine in daemons(lab):
        machine.stop(grace=0.0)


def wipe(lab: Lab) -> None:
    """Blank data disks and fresh root disks."""
    remove_tree(lab.nodes)
