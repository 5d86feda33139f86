# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which OSDs are to leave, and whether that was consented to by number and fsid.

A number alone is no name: Ceph gives it to the next OSD. What has begun to leave is remembered by its fsid, so that a later run
with the same words leaves its successor alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from .ceph_job import Question
from .osds import Osd

LEDGER = "kubestead-leaving-osds"
_FSID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True)
class Request:
    """The OSDs a task names, by number, by device and by node, and the fsids it consents to, by number."""

    osds: tuple[int, ...]
    devices: tuple[tuple[str, str], ...]
    nodes: tuple[str, ...]
    consent: Mapping[int, frozenset[str]]


@dataclass(frozen=True)
class Seen:
    """What is there. ``ledger`` are OSDs that earlier runs have begun to take away, by fsid; ``told`` is Ceph's answer."""

    deployments: Sequence[Osd]
    ledger: Mapping[str, Mapping[str, Any]]
    told: Mapping[str, Any]
    operator: Mapping[str, Any]


@dataclass(frozen=True)
class Leaving:
    """One OSD. ``state`` is Ceph's word about it, None when Ceph does not know it; ``gone`` says why there is nothing to do."""

    number: int
    fsid: str
    node: str
    path: str
    deployment: str
    state: Optional[Mapping[str, Any]]
    gone: str = ""

    @property
    def name(self) -> str:
        return f"osd.{self.number}"

    @property
    def is_in(self) -> bool:
        """Whether Ceph still gives it data."""
        return self.state is not None and bool(self.state["in"])

    @property
    def where(self) -> str:
        """For people."""
        return " ".join(word for word in (self.path or "an unknown device", f"on {self.node}" if self.node else "") if word)


def read_request(params: Mapping[str, Any]) -> Request:
    """The options of a task; raises BadInput."""
    consent: dict[int, set[str]] = {}
    for one in params.get("consent") or []:
        fsid = str(one["fsid"]).lower()
        if not _FSID.fullmatch(fsid):
            raise BadInput(f"The consent for osd.{one['id']} has the fsid {one['fsid']!r}.", hint="Copy it from the refusal.")
        consent.setdefault(int(one["id"]), set()).add(fsid)
    numbers = [int(number) for number in params.get("osds") or []]
    if any(number < 0 for number in (*numbers, *consent)):
        raise BadInput("An OSD has a negative number.", hint="Write it as ceph osd tree does.")
    devices = [(str(one["node"]), str(one["device"])) for one in params.get("devices") or []]
    for node, device in devices:
        if not node or not device.startswith("/dev/"):
            raise BadInput(f"The device {device!r} of node {node!r} is no full path.", hint="Write it as in the CephCluster.")
    return Request(
        tuple(sorted(set(numbers))),
        tuple(sorted(set(devices))),
        tuple(sorted({str(name) for name in params.get("nodes") or []})),
        {number: frozenset(fsids) for number, fsids in consent.items()},
    )


def read_ledger(thing: Optional[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Out of the ConfigMap; what is not ours in it is passed over."""
    found = {}
    for fsid, text in ((thing or {}).get("data") or {}).items():
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if _FSID.fullmatch(fsid) and isinstance(entry, dict):
            found[fsid] = entry
    return found


def question(request: Request, deployments: Sequence[Osd], ledger: Mapping[str, Mapping[str, Any]], seconds: int) -> Question:
    """What Ceph has to be asked about."""
    numbers = set(request.osds)
    numbers.update(osd.number for osd in deployments if _is_named(osd.node, osd.path, request) and osd.number >= 0)
    numbers.update(int(one["id"]) for one in ledger.values() if _is_named(str(one["node"]), str(one["device"]), request))
    by_number = {osd.number: osd.fsid for osd in deployments}
    asked = []
    for number in sorted(numbers):
        consented, here = request.consent.get(number, frozenset()), by_number.get(number, "")
        asked.append((number, here if here in consented or not consented else min(consented)))
    return Question("look", asked, [crush_name(node) for node in request.nodes], seconds)


def _is_named(node: str, path: str, request: Request) -> bool:
    return node in request.nodes or (node, path) in request.devices


def crush_name(node: str) -> str:
    """The name of a node's bucket in the CRUSH map, which has no dots."""
    return node.replace(".", "-")


def leaving(request: Request, seen: Seen) -> list[Leaving]:
    """The OSDs that are to leave, those that are gone marked so; raises Refused without consent to each of the others."""
    found = [_one(number, request, seen) for number in _numbers(request, seen)]
    missing = [one for one in found if not one.gone and one.fsid not in request.consent.get(one.number, ())]
    if missing:
        text = ", ".join(f"{{id: {one.number}, fsid: {one.fsid}}}" for one in missing)
        told = ", ".join(f"{one.name} ({one.where}, {_holding(one)})" for one in missing)
        raise Refused(
            f"To take {told} away wants consent.",
            hint=f"If meant, add to the consent: [{text}].",
            consent=[{"id": one.number, "fsid": one.fsid} for one in missing],
        )
    claimed = [
        osd for osd in seen.deployments for one in found if not one.gone and osd.name == one.deployment and osd.device_set
    ]
    if claimed:
        raise Refused(
            f"{claimed[0].name} stands on a claim of the set {claimed[0].device_set}, which the operator would fill again.",
            hint="Lower the count of the set and remove the claim as Rook's guide says.",
        )
    return found


def _holding(one: Leaving) -> str:
    return f"{one.state['pgs']} placement groups" if one.state else "unknown to Ceph"


def _numbers(request: Request, seen: Seen) -> list[int]:
    """Of devices and nodes those that are there; an OSD without a Deployment is found by its bucket or in the ledger."""
    numbers = set(request.osds)
    numbers.update(osd.number for osd in seen.deployments if _is_named(osd.node, osd.path, request) and osd.number >= 0)
    hosts = {crush_name(node) for node in request.nodes}
    for number, state in seen.told.get("osds", {}).items():
        entry = seen.ledger.get(str(state["fsid"]))
        if state["chain"].get("host") in hosts or (entry and _is_named(str(entry["node"]), str(entry["device"]), request)):
            numbers.add(int(number))
    return sorted(numbers)


def _one(number: int, request: Request, seen: Seen) -> Leaving:
    state = seen.told.get("osds", {}).get(str(number))
    osd = next((osd for osd in seen.deployments if osd.number == number), None)
    fsid = str(state["fsid"]) if state else (osd.fsid if osd else "")
    entry = seen.ledger.get(fsid, {})
    node = osd.node if osd else str(entry.get("node") or (state or {}).get("chain", {}).get("host", ""))
    path = osd.path if osd else str(entry.get("device") or "")
    gone = "is not there" if not fsid else _succeeds(number, fsid, node, path, request, seen)
    return Leaving(number, fsid, node, path, osd.name if osd else "", state, gone)


def _succeeds(number: int, fsid: str, node: str, path: str, request: Request, seen: Seen) -> str:
    """Whether an OSD came after one that was consented to and has left: by its number, or on its device."""
    consented = request.consent.get(number, frozenset())
    if fsid in consented:
        return ""
    for old in sorted(frozenset().union(*request.consent.values())):
        entry = seen.ledger.get(old, {})
        same_place = bool(path) and (entry.get("node"), entry.get("device")) == (node, path)
        if entry and (old in consented or same_place):
            return f"is another one since {old} left"
    return ""


def ledger_patch(leaving_now: Iterable[Leaving]) -> dict[str, Any]:
    """The change of the ConfigMap that remembers them."""
    data = {
        one.fsid: json.dumps({"id": one.number, "node": one.node, "device": one.path}, sort_keys=True) for one in leaving_now
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": LEDGER}, "data": data}
