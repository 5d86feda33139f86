# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part `ceph`: a program that stands in for Rook's operator and for the kubelets of Ceph's pods, in the lab only.

Containers cannot be run on the lab's nodes. This follows the same objects and starts the same daemons, from Debian's packages.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kubestead_lab import ceph_image, control_plane
from kubestead_lab.ceph_jobs import Jobs
from kubestead_lab.ceph_nodes import ENTER, Host
from kubestead_lab.ceph_operator import Operator
from kubestead_lab.ceph_pods import Pods
from kubestead_lab.commands import write
from kubestead_lab.kube_http import ApiError, KubeHttp
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import say
from kubestead_lab.remote import Away
from kubestead_lab.settings import NODES, Lab, lab_from

_PAUSE_SECONDS = 1.5


def daemon(lab: Lab) -> Daemon:
    return Daemon("rook-stand-in", lab.pids / "rook-stand-in.pid", lab.logs / "rook-stand-in.log")


def prepare(lab: Lab) -> None:
    """Ceph's programs, and commands of theirs for `lab exec`."""
    ceph_image.prepare(lab)
    for name in ("ceph", "rados", "rbd"):
        wrapper = f'#!/bin/bash\nexec "${{0%/*}}/ssh" {NODES[0].name} -- {ENTER} {name} "${{@@Q}}"\n'
        write(lab.wrappers / name, wrapper, 0o755)


def start(lab: Lab) -> None:
    """Start the program; it waits by itself for the API server and the nodes."""
    argv = ["env", f"PYTHONPATH={lab.source}", sys.executable, "-u", "-m", "kubestead_lab.rook_stand_in"]
    daemon(lab).start(argv, namespace=lab.name, cwd=lab.repo)


def stop(lab: Lab) -> None:
    """End the program; the daemons go on, as they do without Rook's operator."""
    daemon(lab).stop()


def wipe(lab: Lab) -> None:
    """It keeps nothing: clusters are the API server's, their data the nodes'."""


def follow(lab: Lab) -> None:
    """Look, rest, look again."""
    api = KubeHttp(control_plane.folder_of(lab))
    hosts = {node.name: Host(lab, node, ceph_image.root_of(lab)) for node in NODES}
    pods, jobs = Pods(api, hosts), Jobs(api, hosts)

    def kubelets() -> None:
        pods.look()
        jobs.look()

    operator = Operator(api, hosts, kubelets)
    complaint = ""
    while True:
        try:
            kubelets()
            operator.look()
            complaint = ""
        except (ApiError, Away, OSError) as problem:
            if str(problem) != complaint:
                complaint = str(problem)
                say(f"{type(problem).__name__}: {problem}")
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    follow(lab_from(os.environ, Path(__file__).resolve().parents[3]))
