# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster leaves on its nodes: which parts of a data directory are surely its own, and which volume groups are not its alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MARKS = frozenset({"log", "crash"})
_OF_ROOK = re.compile(r"exporter|mon-[a-z]+|[a-z0-9.-]+\.csi\.ceph\.com")
_HARMLESS = "lost+found"


def data_dir_plan(
    entries: Sequence[Mapping[str, Any]],
    path: str,
    inside: Iterable[str],
    config: str,
    cluster: Mapping[str, Any],
    *,
    mounted: bool = False,
) -> dict[str, Any]:
    """What to remove of a data directory, in order: the part that proves whose it is goes last, so that a run that was ended
    is continued.

    ``entries`` are the files in it as ansible.builtin.find tells them, ``inside`` the names in the cluster's own folder,
    ``config`` its Ceph configuration, ``cluster`` its namespace and, if known, its fsid; ``mounted``: it is a mount point.
    """
    namespace = str(cluster["namespace"])
    folders = {_base(one): bool(one.get("isdir")) and not one.get("islnk") for one in entries}
    if not folders.get(namespace, False):
        problem = f"{path}/{namespace} is no folder of Rook's." if namespace in folders else ""
        return {"remove": [], "keep": sorted(folders), "problem": problem}
    problem = _foreign(path, inside, config, cluster)
    if problem:
        return {"remove": [], "keep": sorted(folders), "problem": problem}
    others = sorted(name for name in folders if name != namespace and not _OF_ROOK.fullmatch(name) and name != _HARMLESS)
    shared = any(folders[name] for name in others)
    parts = [] if shared else sorted(name for name in folders if _OF_ROOK.fullmatch(name) and folders[name])
    gone = [*parts, namespace]
    keep = sorted(set(folders) - set(gone))
    whole = [] if keep or mounted else [path]
    return {"remove": [*(f"{path}/{name}" for name in gone), *whole], "keep": keep, "problem": ""}


def _base(entry: Mapping[str, Any]) -> str:
    return str(entry["path"]).rstrip("/").rpartition("/")[2]


def _foreign(path: str, inside: Iterable[str], config: str, cluster: Mapping[str, Any]) -> str:
    """Why the cluster's folder is not surely the cluster's; empty when it is."""
    namespace, names = str(cluster["namespace"]), set(inside)
    if names and not names & (_MARKS | {f"{namespace}.config"}):
        return f"{path}/{namespace} does not look like Rook's: it has neither a log nor a crash folder."
    found = re.search(r"^\s*fsid\s*=\s*(\S+)", config, flags=re.M)
    fsid = str(cluster.get("fsid") or "")
    if found and fsid and found.group(1) != fsid:
        return f"{path}/{namespace} is of the Ceph cluster {found.group(1)}, not of {fsid}."
    return ""


def shared_groups(storage: Mapping[str, Any], volumes: Mapping[str, Sequence[str]]) -> list[str]:
    """Volume groups that hold a device of the cluster and something else too, as ``group on node (volume)``.

    ``storage`` is ``spec.storage`` of the CephCluster, ``volumes`` the paths ``/dev/group/volume`` of all volumes of each node.
    """
    found = []
    for node in storage.get("nodes") or []:
        named = set(_devices(storage, node))
        here = [str(one) for one in volumes.get(str(node["name"])) or []]
        groups = {_group(path) for path in here if path in named}
        found += [f"{_group(path)} on {node['name']} ({path})" for path in here if _group(path) in groups and path not in named]
    return sorted(found)


def _devices(storage: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """The devices of a node for data and for databases."""
    found = []
    for device in node.get("devices") or []:
        config = {**(storage.get("config") or {}), **(node.get("config") or {}), **(device.get("config") or {})}
        found += [str(device.get("fullpath") or device.get("name")), str(config.get("metadataDevice") or "")]
    return found


def _group(path: str) -> str:
    return path.rpartition("/")[0]
