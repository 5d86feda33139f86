# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of a cluster: how many daemons, and how copies are spread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from .nodes import KubeNode

STRETCH = "stretch"
_ZONES = 3


@dataclass(frozen=True)
class Shape:
    """The numbers of a preset, as the user changed them."""

    preset: str
    mons: int
    mgrs: int
    shared_nodes: bool
    replicas: int
    failure_domain: str


PRESETS = {
    "single-node": Shape("single-node", 1, 1, True, 2, "osd"),
    "three-node": Shape("three-node", 3, 2, False, 3, "host"),
    STRETCH: Shape(STRETCH, 5, 2, False, 4, "zone"),
}


def shape(preset: str, mons: int, mgrs: int) -> Shape:
    """The preset with the numbers that were given (0: as the preset says); raises BadInput."""
    if preset not in PRESETS:
        raise BadInput(f"rook_cluster_preset is {preset!r}.", hint=f"Choose one of {', '.join(PRESETS)}.")
    made = PRESETS[preset]
    made = replace(made, mons=mons or made.mons, mgrs=mgrs or made.mgrs)
    if not 1 <= made.mons <= 9 or made.mons % 2 == 0:
        raise BadInput(f"rook_cluster_mons is {made.mons}.", hint="Choose an odd number from 1 to 9: a majority has to remain.")
    if not 1 <= made.mgrs <= 2:
        raise BadInput(f"rook_cluster_mgrs is {made.mgrs}.", hint="Choose 1 or 2.")
    if preset == STRETCH and made.mons not in (3, 5):
        raise BadInput(f"rook_cluster_mons is {made.mons} in a stretch cluster.", hint="Rook takes 5, or 3 at the least.")
    return made


def check_room(made: Shape, kube_nodes: Sequence[KubeNode]) -> None:
    """Raises Refused when the daemons cannot all be placed: Rook would wait for ever."""
    wanted = max(made.mons, made.mgrs)
    if not made.shared_nodes and len(kube_nodes) < wanted:
        raise Refused(
            f"{made.mons} monitors and {made.mgrs} managers, one on a node, do not fit on {len(kube_nodes)} nodes.",
            hint="Set rook_cluster_mons and rook_cluster_mgrs, or use the preset single-node.",
        )


def stretch(given: Mapping[str, Any], kube_nodes: Iterable[KubeNode], storage: Iterable[str]) -> dict[str, Any]:
    """``spec.mon.stretchCluster``; raises BadInput and Refused."""
    unknown = sorted(given.keys() - {"label", "sub_domain", "zones"})
    if unknown:
        raise BadInput(f"rook_cluster_stretch has the unknown key {unknown[0]!r}.", hint="Known are label, sub_domain, zones.")
    label = str(given.get("label") or "topology.kubernetes.io/zone")
    zones = _zones(given.get("zones") or [])
    by_zone: dict[Optional[str], list[str]] = {}
    for node in kube_nodes:
        by_zone.setdefault(node.labels.get(label), []).append(node.hostname)
    empty = [zone["name"] for zone in zones if not by_zone.get(zone["name"])]
    if empty:
        raise Refused(f"No node has the label {label}={empty[0]}.", hint="Label the nodes of each zone.")
    arbiter = next(zone["name"] for zone in zones if zone.get("arbiter"))
    for name in storage:
        zone = next((one for one, names in by_zone.items() if name in names), None)
        if zone == arbiter or zone not in {one["name"] for one in zones}:
            raise Refused(
                f"The storage node {name} is in the zone {zone}, not in one of the two zones that hold data.",
                hint="Give its disks to another cluster, or label it.",
            )
    return {"failureDomainLabel": label, "subFailureDomain": str(given.get("sub_domain") or "host"), "zones": zones}


def _zones(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = {str(zone.get("name") or "") for zone in given}
    if len(given) != _ZONES or len(names) != _ZONES or "" in names:
        raise BadInput(
            "rook_cluster_stretch does not name three zones.", hint="Give {name}, three times, one with arbiter: true."
        )
    if sum(1 for zone in given if zone.get("arbiter") is True) != 1:
        raise BadInput("rook_cluster_stretch does not name one arbiter.", hint="Set arbiter: true at one of the zones.")
    return [{"name": str(zone["name"]), **({"arbiter": True} if zone.get("arbiter") else {})} for zone in given]
