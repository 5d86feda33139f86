# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: etcd, kube-apiserver and kube-controller-manager with a real signer."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from kubestead_lab import certs, netns
from kubestead_lab.cache import remove_tree
from kubestead_lab.commands import output, succeeds, write
from kubestead_lab.errors import LabError
from kubestead_lab.golang import ETCD, KUBERNETES, ensure_programs, program
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import step
from kubestead_lab.settings import API_PORT, BRIDGE_ADDRESS, NODES, Lab, Node

SERVER_NAMES = ",".join(
    [f"DNS:{name}" for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")]
    + [f"IP:{address}" for address in ("127.0.0.1", BRIDGE_ADDRESS, "10.96.0.1")]
)
SECOND = "second-apiserver"  # a test's own, beside ours
_READY_SECONDS = 60.0


def folder_of(lab: Lab) -> Path:
    return lab.state / "control-plane"


def daemons(lab: Lab) -> tuple[Daemon, ...]:
    """In the order of starting; they are ended the other way round, the API server before etcd."""
    return tuple(
        Daemon(name, lab.pids / f"{name}.pid", lab.logs / f"{name}.log")
        for name in ("etcd", "kube-apiserver", "kube-controller-manager")
    )


def etcd_arguments(folder: Path) -> list[str]:
    return [
        "--data-dir",
        str(folder / "etcd"),
        "--listen-client-urls",
        "http://127.0.0.1:2379",
        "--advertise-client-urls",
        "http://127.0.0.1:2379",
        "--listen-peer-urls",
        "http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level",
        "warn",
    ]


def apiserver_arguments(folder: Path) -> list[str]:
    return [
        "--etcd-servers",
        "http://127.0.0.1:2379",
        "--bind-address",
        "0.0.0.0",
        "--advertise-address",
        BRIDGE_ADDRESS,
        "--secure-port",
        str(API_PORT),
        "--tls-cert-file",
        str(folder / "server.crt"),
        "--tls-private-key-file",
        str(folder / "server.key"),
        "--client-ca-file",
        str(folder / "ca.crt"),
        "--authorization-mode",
        "Node,RBAC",
        "--allow-privileged=true",
        "--service-account-issuer",
        "https://kubernetes.default.svc",
        "--service-account-key-file",
        str(folder / "sa.pub"),
        "--service-account-signing-key-file",
        str(folder / "sa.key"),
        "--service-cluster-ip-range",
        "10.96.0.0/16",
        "--cert-dir",
        str(folder / "serving"),
    ]


def controller_arguments(folder: Path) -> list[str]:
    """The client's rate is the signer's limit, so it is raised. No kubelet runs, so nobody judges the nodes' health."""
    config = str(folder / "controllers.conf")
    return [
        "--kubeconfig",
        config,
        "--authentication-kubeconfig",
        config,
        "--authorization-kubeconfig",
        config,
        "--leader-elect=false",
        "--kube-api-qps=2000",
        "--kube-api-burst=4000",
        "--controllers=*,-node-lifecycle-controller",
        "--cluster-signing-cert-file",
        str(folder / "ca.crt"),
        "--cluster-signing-key-file",
        str(folder / "ca.key"),
        "--service-account-private-key-file",
        str(folder / "sa.key"),
        "--root-ca-file",
        str(folder / "ca.crt"),
        "--use-service-account-credentials=false",
        "--bind-address",
        "127.0.0.1",
        "--cert-dir",
        str(folder / "serving"),
    ]


def kubeconfig(folder: Path, user: str) -> str:
    """A kubeconfig with everything inside; JSON is YAML too."""

    def data(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    cluster = {"server": f"https://127.0.0.1:{API_PORT}", "certificate-authority-data": data("ca.crt")}
    login = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    return (
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": f"{user}@lab",
                "clusters": [{"name": "lab", "cluster": cluster}],
                "users": [{"name": user, "user": login}],
                "contexts": [{"name": f"{user}@lab", "context": {"cluster": "lab", "user": user}}],
            },
            indent=1,
        )
        + "\n"
    )


def node_object(node: Node) -> dict[str, object]:
    """What a kubelet would have registered; nothing runs pods here, but objects may name the node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": node.address}, {"type": "Hostname", "address": node.name}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "LabNode", "message": "registered by the lab; no kubelet runs"}
            ],
        },
    }


def prepare(lab: Lab) -> None:
    """Programs, certificates and kubeconfigs."""
    ensure_programs(lab, KUBERNETES)
    ensure_programs(lab, ETCD)
    folder = folder_of(lab)
    certs.make_ca(folder, "kubestead-lab-ca")
    certs.make_pair(folder, "server", "/CN=kube-apiserver", SERVER_NAMES)
    certs.make_pair(folder, "admin", "/O=system:masters/CN=admin")
    certs.make_pair(folder, "controllers", "/O=system:masters/CN=kube-controller-manager")
    certs.make_token_key(folder)
    for user in ("admin", "controllers"):
        write(folder / f"{user}.conf", kubeconfig(folder, user), 0o600)


def kubectl(lab: Lab, *arguments: str) -> list[str]:
    """The command line that runs kubectl as the lab's administrator."""
    return netns.inside(lab, str(program(lab, KUBERNETES, "kubectl")), "--kubeconfig", str(lab.kubeconfig), *arguments)


def start(lab: Lab) -> None:
    """Start what does not run, in order: the controllers exit if they come before the API."""
    folder = folder_of(lab)
    etcd, apiserver, controllers = daemons(lab)
    if all(daemon.pid() for daemon in daemons(lab)) and succeeds(kubectl(lab, "get", "--raw", "/readyz")):
        return
    with step("starting the control plane", "5 s"):
        etcd.start([str(program(lab, ETCD, "etcd")), *etcd_arguments(folder)], namespace=lab.name, cwd=folder)
        apiserver.start(
            [str(program(lab, KUBERNETES, "kube-apiserver")), *apiserver_arguments(folder)], namespace=lab.name, cwd=folder
        )
        _await(lab, kubectl(lab, "get", "--raw", "/readyz"), (etcd, apiserver), "The API server is not ready")
        controllers.start(
            [str(program(lab, KUBERNETES, "kube-controller-manager")), *controller_arguments(folder)],
            namespace=lab.name,
            cwd=folder,
        )
        _register_nodes(lab)
        _await(lab, kubectl(lab, "get", "serviceaccount", "default"), (apiserver, controllers), "The controllers do nothing")


def _await(lab: Lab, probe: list[str], alive: tuple[Daemon, ...], complaint: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not succeeds(probe):
        for daemon in alive:
            daemon.must_live()
        if time.monotonic() > deadline:
            raise LabError(f"{complaint} after {_READY_SECONDS:.0f} s.", hint=f"See {lab.logs}.")
        time.sleep(0.1)


def _register_nodes(lab: Lab) -> None:
    known = output(kubectl(lab, "get", "nodes", "-o", "name"), what="list the nodes").split()
    fresh = [node_object(node) for node in NODES if f"node/{node.name}" not in known]
    if not fresh:
        return
    bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": fresh})
    output(kubectl(lab, "create", "-f", "-"), what="register the nodes", stdin=bundle)
    # Admission taints a new node until somebody calls it healthy; here that is us.
    output(
        kubectl(
            lab,
            "patch",
            "nodes",
            *(node["metadata"]["name"] for node in fresh),  # type: ignore[index]
            "--type=merge",
            "-p",
            '{"spec":{"taints":null}}',
        ),
        what="mark the nodes as usable",
    )


def stop(lab: Lab) -> None:
    for left in sorted(lab.pids.glob("second-*.pid")):  # what a killed test left running
        Daemon(left.stem, left, lab.logs / f"{left.stem}.log").stop()
    for daemon in reversed(daemons(lab)):
        daemon.stop()


def wipe(lab: Lab) -> None:
    """Forget every object and certificate, those of people too; the next start is a new cluster."""
    remove_tree(folder_of(lab))
    remove_tree(lab.people)
