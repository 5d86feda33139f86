# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `lab exec` gives a command: the namespace, and where everything is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from kubestead_lab import directory, directory389, golang
from kubestead_lab.cache import remove_tree
from kubestead_lab.commands import succeeds, write
from kubestead_lab.settings import LDAP_BASE, NODES, Lab

# With KUBESTEAD_LAB_EXTERNAL=1 these are the user's own and reach the command as they are.
REPLACEABLE = (
    "KUBECONFIG",
    "KUBESTEAD_LDAP_URI",
    "KUBESTEAD_LDAP_CA",
    "KUBESTEAD_LDAP_BIND_DN",
    "KUBESTEAD_LDAP_BIND_PW_FILE",
    "KUBESTEAD_LDAP_BASE",
    "KUBESTEAD_LDAP_USER_BASE",
    "KUBESTEAD_LDAP_GROUP_BASE",
    *(f"KUBESTEAD_LDAP389_{name}" for name in ("URI", "CA", "BIND_DN", "BIND_PW_FILE", "BASE", "USER_BASE", "GROUP_BASE")),
    "KUBESTEAD_LAB_INVENTORY",
    "LDAPTLS_CACERT",
    "ANSIBLE_SSH_CONTROL_PATH_DIR",
)


def is_external(environment: Mapping[str, str]) -> bool:
    """Whether a cluster, directory and machines of the user stand in for the lab."""
    return environment.get("KUBESTEAD_LAB_EXTERNAL", "") not in ("", "0")


def ssh_config(lab: Lab) -> str:
    """Host aliases for the nodes. Their host keys are new after each reset, so they are not remembered."""
    hosts = "\n".join(f"Host {node.name} {node.address}\n  HostName {node.address}\n" for node in NODES)
    return f"""{hosts}
Host *
  User root
  IdentityFile {lab.nodes / "id"}
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  ConnectTimeout 10
  ServerAliveInterval 5
  ServerAliveCountMax 3
"""


def inventory(lab: Lab, python: str) -> str:
    """The inventory of the lab. The nodes are reached through the lab's ssh configuration."""
    nodes = "\n".join(f"        {node.name}:\n          ansible_host: {node.address}" for node in NODES)
    return f"""\
# Written by `lab up`; changes here are lost.
all:
  children:
    kubestead_nodes:
      hosts:
{nodes}
      vars:
        ansible_user: root
        ansible_python_interpreter: /usr/bin/python3
        ansible_ssh_common_args: "-F '{ssh_config_path(lab)}'"
    kubestead_control:
      hosts:
        localhost:
          ansible_connection: local
          ansible_python_interpreter: "{python}"
"""


def ssh_config_path(lab: Lab) -> Path:
    return lab.nodes / "ssh_config"


def control_python(lab: Lab) -> str:
    """The Python with the libraries: the repository's, or the one that runs this."""
    own = lab.venv / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def write_files(lab: Lab) -> None:
    """Inventory, ssh configuration and the ssh wrappers that `lab exec` puts first on PATH."""
    write(lab.inventory, inventory(lab, control_python(lab)))
    lab.ssh_sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(ssh_config_path(lab), ssh_config(lab))
    for name in ("ssh", "scp", "sftp"):
        write(lab.wrappers / name, f"#!/bin/sh\nexec /usr/bin/{name} -F '{ssh_config_path(lab)}' \"$@\"\n", 0o755)


def end_shared_connections(lab: Lab) -> None:
    """End the ssh masters that Ansible left for later use: after a reset they would lead to a machine that is gone."""
    for socket in lab.ssh_sockets.glob("*"):
        succeeds(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "node"])
    remove_tree(lab.ssh_sockets.parent)


def variables(lab: Lab) -> dict[str, str]:
    """What a command learns about the lab."""
    ca = str(directory.folder_of(lab) / "ca.crt")
    return {
        "KUBECONFIG": str(lab.kubeconfig),
        "KUBESTEAD_LAB_DIR": str(lab.state),
        "KUBESTEAD_LAB_NAME": lab.name,
        "KUBESTEAD_LAB_INVENTORY": str(lab.inventory),
        "KUBESTEAD_ROOK_MANIFESTS": str(golang.rook_manifests(lab)),
        "KUBESTEAD_ROOK_CHART": str(golang.rook_chart(lab)),
        "KUBESTEAD_LDAP_URI": directory.URI,
        "KUBESTEAD_LDAP_PLAIN_URI": directory.PLAIN_URI,
        "KUBESTEAD_LDAP_CA": ca,
        "KUBESTEAD_LDAP_BASE": LDAP_BASE,
        "KUBESTEAD_LDAP_USER_BASE": directory.PEOPLE,
        "KUBESTEAD_LDAP_GROUP_BASE": directory.GROUPS,
        "KUBESTEAD_LDAP_BIND_DN": directory.MANAGER,
        "KUBESTEAD_LDAP_BIND_PW_FILE": str(directory.password_file(lab, "manager")),
        "KUBESTEAD_LDAP389_URI": directory389.URI,
        "KUBESTEAD_LDAP389_PLAIN_URI": directory389.PLAIN_URI,
        "KUBESTEAD_LDAP389_CA": str(directory389.folder_of(lab) / "ca.crt"),
        "KUBESTEAD_LDAP389_BASE": LDAP_BASE,
        "KUBESTEAD_LDAP389_USER_BASE": directory389.PEOPLE,
        "KUBESTEAD_LDAP389_GROUP_BASE": directory389.GROUPS,
        "KUBESTEAD_LDAP389_BIND_DN": directory389.MANAGER,
        "KUBESTEAD_LDAP389_BIND_PW_FILE": str(directory389.password_file(lab, "manager")),
        "LDAPTLS_CACERT": ca,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(lab.ssh_sockets),
    }


def search_path(lab: Lab, current: str) -> str:
    """The lab's wrappers and kubectl first, then the repository's tools, then what the user has."""
    built = (golang.artefact_of(lab, recipe).folder for recipe in (golang.KUBERNETES, golang.HELM))
    ours = (lab.wrappers, *built, lab.venv / "bin")
    return os.pathsep.join([*map(str, ours), current])


def for_command(lab: Lab, environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command of `lab exec`."""
    given = variables(lab)
    if is_external(environment):
        for name in REPLACEABLE:
            given.pop(name)
    path = search_path(lab, environment.get("PATH", os.defpath))
    return {**environment, **given, "PATH": path}
