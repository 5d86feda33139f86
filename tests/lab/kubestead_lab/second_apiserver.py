# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One more API server on the lab's etcd, with flags of its own, for the time of a test.

It shares all objects, both CAs and the signer with the first one, so what a test needs of flags (an audit log, an authorization
configuration, another CA for clients) can be tried without touching the server that everybody else uses.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab import control_plane, netns
from kubestead_lab.commands import succeeds, write
from kubestead_lab.errors import LabError
from kubestead_lab.golang import KUBERNETES, program
from kubestead_lab.procs import Daemon
from kubestead_lab.settings import API_PORT, Lab

PORT = 6444
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class SecondApiServer:
    """``folder`` is its own, for configuration that the flags name; it goes with the server."""

    lab: Lab
    name: str
    port: int
    folder: Path
    daemon: Daemon

    @property
    def server(self) -> str:
        """Its URL inside of the lab."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, leading here."""
        return self.folder / "admin.conf"


def arguments(lab: Lab, port: int, folder: Path, flags: Mapping[str, str]) -> list[str]:
    """The first server's command line with the port and the flags replaced; it leaves the endpoints to the first."""
    given = control_plane.apiserver_arguments(control_plane.folder_of(lab))
    pairs = [one.partition("=")[::2] if "=" in one else (one, None) for one in given if one.startswith("--")]
    values = {flag: value if value is not None else given[given.index(flag) + 1] for flag, value in pairs}
    values |= {"--secure-port": str(port), "--cert-dir": str(folder / "serving"), "--endpoint-reconciler-type": "none"}
    if "--authorization-config" in flags:
        del values["--authorization-mode"]
    return [f"{flag}={value}" for flag, value in {**values, **flags}.items()]


@contextmanager
def prepared(lab: Lab, name: str = control_plane.SECOND, port: int = PORT) -> Iterator[SecondApiServer]:
    """Its folder and an administrator's kubeconfig; what is started with ``start`` ends with the block."""
    folder = lab.state / name
    one = SecondApiServer(lab, name, port, folder, Daemon(name, lab.pids / f"{name}.pid", lab.logs / f"{name}.log"))
    one.daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    text = lab.kubeconfig.read_text(encoding="utf-8").replace(f"127.0.0.1:{API_PORT}", f"127.0.0.1:{port}")
    write(one.kubeconfig, text, 0o600)
    try:
        yield one
    finally:
        one.daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)


def start(one: SecondApiServer, flags: Mapping[str, str]) -> None:
    """Start it, or start it anew with other flags, and wait until it serves."""
    one.daemon.stop()
    command = [str(program(one.lab, KUBERNETES, "kube-apiserver")), *arguments(one.lab, one.port, one.folder, flags)]
    one.daemon.start(command, namespace=one.lab.name, cwd=one.folder)
    kubectl = str(program(one.lab, KUBERNETES, "kubectl"))
    probe = netns.inside(one.lab, kubectl, "--kubeconfig", str(one.kubeconfig), "get", "--raw", "/readyz")
    deadline = time.monotonic() + _READY_SECONDS
    while not succeeds(probe):
        one.daemon.must_live()
        if time.monotonic() > deadline:
            raise LabError(f"{one.name} is not ready after {_READY_SECONDS:.0f} s.", hint=f"See {one.daemon.log}.")
        time.sleep(0.1)
