# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of the nodes: Debian by debootstrap, made once and copied for each node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubestead_lab import uml_kernel
from kubestead_lab.cache import Artefact, ensure, recipe_key, remove_tree
from kubestead_lab.commands import build, write
from kubestead_lab.progress import step
from kubestead_lab.settings import DEBIAN_SUITE, Lab

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "lvm2",
    "gdisk",
    "fdisk",
    "mdadm",
    "parted",
    "iproute2",
    "kmod",
    "procps",
    "xfsprogs",
    "e2fsprogs",
    "cryptsetup-bin",
)
_ROOT_SIZE = "3G"

# The kernel's command line tells the image which node it is, so one image serves all and holds no key.
IDENTITY_SCRIPT = """\
#!/bin/sh
# Makes this copy of the image the node that the kernel command line names.
for word in $(cat /proc/cmdline); do
  case $word in
    lab.node=*) node=${word#*=} ;;
    lab.address=*) address=${word#*=} ;;
    lab.key=*) key=${word#*=} ;;
  esac
done
hostname "$node"
echo "$node" >/etc/hostname
printf '127.0.0.1 localhost\\n%s %s\\n' "${address%/*}" "$node" >/etc/hosts
ip link set lo up
ip addr replace "$address" dev vec0
ip link set vec0 up
mkdir -p -m 700 /root/.ssh
echo "ssh-ed25519 $key lab" >/root/.ssh/authorized_keys
# A key cut short by a power failure is no key.
if ! ssh-keygen -y -P '' -f /etc/ssh/ssh_host_ed25519_key >/dev/null 2>&1; then
  rm -f /etc/ssh/ssh_host_ed25519_key*
  ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
  sync
fi
"""

IDENTITY_UNIT = """\
[Unit]
Description=Name and address of this lab node
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=network.target ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-identity
[Install]
WantedBy=multi-user.target
"""

# UML shows a disk's serial in sysfs only; udev and lsblk learn it here, as they would from real hardware.
UDEV_RULE = """\
SUBSYSTEM!="block", GOTO="lab_end"
KERNEL!="ubd*", GOTO="lab_end"
ENV{DEVTYPE}=="disk", ATTR{serial}=="?*", ATTR{serial}!="(null)", ENV{ID_SERIAL}="$attr{serial}"
ENV{DEVTYPE}=="disk", ENV{ID_SERIAL}=="?*", ENV{ID_SERIAL_SHORT}="$env{ID_SERIAL}"
ENV{DEVTYPE}=="disk", ENV{ID_SERIAL}=="?*", SYMLINK+="disk/by-id/ubd-$env{ID_SERIAL}"
ENV{DEVTYPE}=="partition", IMPORT{parent}="ID_SERIAL*"
ENV{DEVTYPE}=="partition", ENV{ID_SERIAL}=="?*", SYMLINK+="disk/by-id/ubd-$env{ID_SERIAL}-part%n"
LABEL="lab_end"
"""

# A disk that carries an array's signature stays one; arrays are assembled by those who want one.
NO_ARRAYS = ("64-md-raid-assembly.rules", "# masked\n")

SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxSessions 50
MaxStartups 50
"""

# A node has no seat, no terminal and no way out to a mirror.
MASKED = (
    "systemd-logind.service",
    "getty@tty1.service",
    "getty.target",
    "console-getty.service",
    "serial-getty@tty0.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "mdcheck_start.timer",
    "mdcheck_continue.timer",
    "mdmonitor-oneshot.timer",
    "systemd-networkd-wait-online.service",
)


def artefact_of(lab: Lab) -> Artefact:
    """Its place in the cache: another package list, file or kernel is another image."""
    facts = {
        "suite": DEBIAN_SUITE,
        "packages": " ".join(PACKAGES),
        "masked": " ".join(MASKED),
        "size": _ROOT_SIZE,
        "files": IDENTITY_SCRIPT + IDENTITY_UNIT + UDEV_RULE + "".join(NO_ARRAYS) + SSHD_CONFIG,
        "kernel": uml_kernel.artefact_of(lab).folder.name,
    }
    return Artefact(lab.cache, f"node-root-{DEBIAN_SUITE}", recipe_key(facts))


def image_of(lab: Lab) -> Path:
    return artefact_of(lab).folder / "root.img"


def _configure(root: Path, modules: Path, log: Path) -> None:
    shutil.copytree(modules, root / "usr/lib/modules", dirs_exist_ok=True, symlinks=True)
    write(root / "etc/fstab", "/dev/ubda / ext4 defaults 0 1\n")
    write(root / "etc/udev/rules.d/59-lab-disks.rules", UDEV_RULE)
    write(root / "etc/udev/rules.d" / NO_ARRAYS[0], NO_ARRAYS[1])
    write(root / "etc/ssh/sshd_config.d/lab.conf", SSHD_CONFIG)
    write(root / "etc/systemd/system/lab-identity.service", IDENTITY_UNIT)
    write(root / "usr/local/sbin/lab-identity", IDENTITY_SCRIPT, 0o755)
    write(root / "etc/default/locale", "LANG=C.UTF-8\n")
    write(root / "etc/machine-id", "")
    write(root / "etc/hostname", "lab-node\n")
    # Each node draws a machine id of its own at its first boot.
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for version in os.listdir(modules):
        build(["chroot", str(root), "depmod", version], log=log, what="index the node's kernel modules")
    build(
        ["chroot", str(root), "systemctl", "enable", "ssh.service", "lab-identity.service"],
        log=log,
        what="enable the node's services",
    )
    build(["chroot", str(root), "systemctl", "mask", *MASKED], log=log, what="mask the node's needless services")
    build(["chroot", str(root), "apt-get", "clean"], log=log, what="empty the node's package cache")


def ensure_image(lab: Lab) -> None:
    """Make the image unless the cache has it whole."""

    def builder(folder: Path) -> None:
        root, log, packages = folder / "root", lab.logs / "build-node-root.log", lab.cache / "packages"
        packages.mkdir(exist_ok=True)
        mirror = os.environ.get("KUBESTEAD_LAB_DEBIAN_MIRROR", "")
        with step("making the nodes' root file system", "1 to 2 min the first time"):
            build(
                [
                    "debootstrap",
                    "--variant=minbase",
                    f"--cache-dir={packages}",
                    f"--include={','.join(PACKAGES)}",
                    DEBIAN_SUITE,
                    str(root),
                    *([mirror] if mirror else []),
                ],
                log=log,
                what="make the nodes' root file system",
            )
            _configure(root, uml_kernel.modules_of(lab), log)
            build(["truncate", "-s", _ROOT_SIZE, str(folder / "root.img")], log=log, what="make the nodes' disk image")
            build(
                ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(folder / "root.img")],
                log=log,
                what="fill the nodes' disk image",
            )
            remove_tree(root)

    ensure(artefact_of(lab), builder)
