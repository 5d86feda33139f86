# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects and statuses that Rook would write, from what Ceph itself tells; nothing here reads or writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GROUP = "ceph.rook.io/v1"
HOSTNAME = "kubernetes.io/hostname"
# The volume keeps the key it was made with; a newer one is laid over it, as Rook's pods do.
_ACTIVATE = """\
ceph-volume lvm activate --no-systemd --bluestore "$0" "$1" || exit
[ ! -e "/var/lib/ceph/keys/osd.$0" ] || install -o ceph -g ceph -m 600 "/var/lib/ceph/keys/osd.$0" "/var/lib/ceph/osd/ceph-$0/keyring"
"""
NOTE = "The lab runs no containers: its stand-in for Rook and the kubelet runs this on the node as a systemd unit."


@dataclass(frozen=True)
class Osd:
    """One OSD as ceph-volume lists it."""

    number: str
    fsid: str
    node: str
    path: str
    device_class: str


@dataclass(frozen=True)
class Program:
    """What a pod runs: what comes first, then the daemon."""

    first: Sequence[str]
    command: Sequence[str]
    account: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Make:
    """Whose work a daemon is: Rook's release as a tag says it, and the state of the daemon's key."""

    rook: str
    key: Mapping[str, Any]


def tag_of(image: str) -> str:
    """The tag of an image."""
    return image.rpartition(":")[2]


def ceph_of(image: str) -> str:
    """The Ceph an image's tag names: `quay.io/ceph/ceph:v20.2.4-20260818` -> 20.2.4."""
    return tag_of(image).removeprefix("v").partition("-")[0]


def deployment(cluster: Mapping[str, Any], kind: str, name: str, node: str, program: Program, make: Make) -> dict[str, Any]:
    """The Deployment of one daemon, of the shape Rook gives it: it is replaced with the image and the key, not with Rook."""
    meta, spec = cluster["metadata"], cluster["spec"]
    labels = {
        "app": f"rook-ceph-{kind}",
        "ceph_daemon_id": name,
        "ceph_daemon_type": kind,
        "rook_cluster": meta["namespace"],
        kind: name,
    }
    if kind == "osd":
        labels |= {"ceph-osd-id": name, "failure-domain": node, "topology-location-host": node}
    image, said = spec["cephVersion"]["image"], [{"name": key, "value": text} for key, text in program.environment.items()]
    mount = [{"name": "rook-data", "mountPath": "/var/lib/rook"}]
    pod: dict[str, Any] = {
        "serviceAccountName": program.account,
        "hostNetwork": True,
        "nodeSelector": {HOSTNAME: node},
        "volumes": [{"name": "rook-data", "hostPath": {"path": spec["dataDirHostPath"]}}],
        "containers": [
            {"name": kind, "image": image, "command": list(program.command), "env": said, "volumeMounts": mount},
        ],
    }
    if program.first:
        first = {"name": "activate", "image": image, "command": list(program.first), "volumeMounts": mount}
        pod["initContainers"] = [first]
    of_rook = {"rook-version": make.rook, "ceph-version": f"{ceph_of(image)}-0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"rook-ceph-{kind}-{name}",
            "namespace": meta["namespace"],
            "labels": labels | of_rook,
            "ownerReferences": [_owner(cluster)],
        },
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {key: labels[key] for key in ("app", "ceph_daemon_id", "rook_cluster")}},
            "template": {"metadata": {"labels": labels, "annotations": _key_annotation(kind, make.key)}, "spec": pod},
        },
    }


def _key_annotation(kind: str, key: Mapping[str, Any]) -> dict[str, str]:
    """What makes a pod begin anew with its key."""
    if kind == "osd":
        told = {name: key[name] for name in ("keyGeneration", "keyCephVersion")}
        return {"cephx-status": json.dumps(told, separators=(",", ":"))}
    return {"cephx-key-identifier": str(key["keyGeneration"])}


def osd_program(osd: Osd) -> Program:
    """Activation by ceph-volume, then the daemon in the foreground."""
    return Program(
        first=("sh", "-c", _ACTIVATE, osd.number, osd.fsid),
        command=("ceph-osd", "--foreground", "--id", osd.number, "--setuser", "ceph", "--setgroup", "ceph"),
        account="rook-ceph-osd",
        environment={
            "ROOK_NODE_NAME": osd.node,
            "ROOK_OSD_UUID": osd.fsid,
            "ROOK_OSD_ID": osd.number,
            "ROOK_BLOCK_PATH": osd.path,
            "ROOK_CV_MODE": "lvm",
            "ROOK_OSD_DEVICE_CLASS": osd.device_class,
        },
    )


def secrets(cluster: Mapping[str, Any], mon_host: str, keyring: str) -> dict[str, dict[str, Any]]:
    """What Rook keeps for pods that talk to Ceph, by path; it goes with the cluster."""
    namespace = cluster["metadata"]["namespace"]
    found = {
        "rook-ceph-config": {"mon_host": mon_host, "mon_initial_members": "a"},
        "rook-ceph-admin-keyring": {"keyring": keyring},
    }
    return {
        f"/api/v1/namespaces/{namespace}/secrets/{name}": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [_owner(cluster)]},
            "stringData": content,
        }
        for name, content in found.items()
    }


def _owner(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """What makes an object go when the cluster is gone."""
    meta = cluster["metadata"]
    owner = {"apiVersion": GROUP, "kind": "CephCluster", "name": meta["name"], "uid": meta["uid"]}
    return {**owner, "controller": True, "blockOwnerDeletion": True}


def pod_status(pod: Mapping[str, Any], *, runs: bool, reason: str, restarts: int, now: str) -> dict[str, Any]:
    """What a kubelet would say of a pod; without what changes by time alone."""
    container = pod["spec"]["containers"][0]
    told = {"name": container["name"], "image": container["image"], "imageID": "", "ready": runs, "restartCount": restarts}
    told["state"] = {"running": {}} if runs else {"waiting": {"reason": reason}}
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if runs else "False", "lastTransitionTime": now},
    ]
    return {"phase": "Running" if runs else "Pending", "message": NOTE, "conditions": conditions, "containerStatuses": [told]}


def protected(cluster: Mapping[str, Any], fsid: str) -> dict[str, dict[str, Any]]:
    """What Rook keeps of the monitors, by path: it stays until Rook itself ends the cluster. Keys are the nodes' secret here."""
    namespace, group = cluster["metadata"]["namespace"], GROUP.partition("/")[0]
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("Secret", "rook-ceph-mon", {"stringData": {"fsid": fsid}}),
        ("ConfigMap", "rook-ceph-mon-endpoints", {}),
    )
    return {
        f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}": {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "finalizers": [f"{group}/disaster-protection"],
                "ownerReferences": [_owner(cluster)],
            },
            **content,
        }
        for kind, name, content in kinds
    }


def blocked(left: Sequence[str]) -> dict[str, Any]:
    """The status of a cluster that is to go and may not yet."""
    message = f"CephCluster will not be deleted until all dependents are removed: {', '.join(left)}"
    condition = {"type": "DeletionIsBlocked", "status": "True", "reason": "ObjectHasDependents", "message": message}
    return {"phase": "Deleting", "message": message, "conditions": [condition]}


def ceph_part(before: Mapping[str, Any], status: Mapping[str, Any], versions: Mapping[str, Any], now: str) -> dict[str, Any]:
    """``status.ceph`` from `ceph status` and `ceph versions`."""
    health, sizes = status["health"], status["pgmap"]
    changed = health["status"] != before.get("health")
    made = {
        "health": health["status"],
        "details": {
            name: {"severity": check["severity"], "message": check["summary"]["message"]}
            for name, check in health["checks"].items()
        },
        "fsid": status["fsid"],
        "lastChecked": now,
        "lastChanged": now if changed else before.get("lastChanged", now),
        "versions": dict(versions),
        "capacity": {
            "bytesTotal": sizes["bytes_total"],
            "bytesUsed": sizes["bytes_used"],
            "bytesAvailable": sizes["bytes_avail"],
            "lastUpdated": now,
        },
    }
    previous = before.get("health") if changed else before.get("previousHealth")
    return made | ({"previousHealth": previous} if previous else {})


def unreached(before: Mapping[str, Any], message: str, now: str) -> dict[str, Any]:
    """``status.ceph`` when Ceph does not answer: Rook writes an error of its own."""
    told = {"health": "HEALTH_ERR", "details": {"error": {"severity": "Urgent", "message": message}}, "lastChecked": now}
    return {**before, **told}


def phase_part(cluster: Mapping[str, Any], phase: str, message: str, now: str) -> dict[str, Any]:
    """Phase, state and the condition that goes with them."""
    states = {"Ready": "Created", "Progressing": "Creating", "Failure": "Error", "Deleting": "Deleting"}
    reasons = {"Ready": "ClusterCreated", "Progressing": "ClusterProgressing", "Failure": "ClusterFailure"}
    condition = {
        "type": phase,
        "status": "True",
        "reason": reasons.get(phase, "ClusterDeleting"),
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {
        "phase": phase,
        "state": states[phase],
        "message": message,
        "conditions": [condition],
        "observedGeneration": cluster["metadata"]["generation"],
    }


def version_of(versions: Mapping[str, Any]) -> str:
    """`ceph version 20.2.4 (…)` -> 20.2.4-0, as Rook writes it."""
    found = sorted(text.split()[2] for text in versions.get("overall", {}))
    return f"{found[0]}-0" if found else ""


def renamed(text: str, counts: Mapping[str, int]) -> dict[str, int]:
    """`ceph version 20.2.4 (7f79) tentacle` with each of the other numbers in its place."""
    first, second, _number, rest = text.split(" ", 3)
    return {f"{first} {second} {number} {rest}": count for number, count in counts.items()}
