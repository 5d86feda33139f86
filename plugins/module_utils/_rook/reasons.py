# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a cluster does not come up: the operator's own error, and what its prepare jobs say about each device.

A prepare job that skipped a device still ends with success; only its log tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_STAMP = re.compile(
    r"^(?:\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP] )?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ([A-Z]) \| (\S+?): ?(.*)$"
)
_SKIPPED = re.compile(r"^skipping device \"?([^\" ]+)\"?:? ?(.*)$")
_LINKS = re.compile(r"^&\{Name:(\S+) .*?DevLinks:(.*?) Size:")
_REFUSED = re.compile(r"(?:RuntimeError: )?(Device /\S+ (?:has|must|is (?:not|too|in use|busy|mounted)) ?.*)")
_LINES = 12
_ADVICE = (
    ("bluestore signature", "it holds an old OSD: erase it with lvm_ceph_disk and consent, or give another device"),
    ("contains a filesystem", "it is not empty: erase it with lvm_ceph_disk and consent, or give another device"),
    ("does not match the device filter", "it is not in the list of devices"),
    ("until the admin specifies", "it is not in the list of devices"),
    ("insufficient space", "it is too small: an OSD wants 5 GiB at the least"),
    ("has child", "something is on it: name what is on it, or empty it"),
    ("mountpoint", "it is mounted"),
)


def operator_errors(events: Iterable[Mapping[str, Any]], cluster: str) -> list[str]:
    """What the operator reported last about the CephCluster, if that was a failure."""
    own = [
        event
        for event in events
        if (event.get("involvedObject") or {}).get("kind") == "CephCluster"
        and (event.get("involvedObject") or {}).get("name") == cluster
    ]
    last = sorted(own, key=_when)[-1:]
    return [_one_line(str(event.get("message") or event.get("reason"))) for event in last if event.get("type") == "Warning"]


def pod_errors(events: Iterable[Mapping[str, Any]], owners: Sequence[str]) -> list[str]:
    """The last warning about each pod whose name begins with one of ``owners``."""
    told: dict[str, str] = {}
    for event in sorted(events, key=_when):
        thing = event.get("involvedObject") or {}
        name = str(thing.get("name") or "")
        owner = next((one for one in owners if name.startswith(f"{one}-")), None)
        if owner and thing.get("kind") == "Pod" and event.get("type") == "Warning":
            told[owner] = f"{owner}: {_one_line(str(event.get('message') or event.get('reason')))}"
    return [told[owner] for owner in sorted(told)]


def _when(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((stamp for stamp in stamps if stamp), (event.get("metadata") or {}).get("creationTimestamp") or ""))[:19]


def prepare_lines(log: str, devices: Sequence[str] = ()) -> list[str]:
    """Why devices were refused, one line each, from the log of a prepare job.

    ``devices`` are those that are to be explained: what was skipped on purpose is left out, and the kernel's names become
    theirs. Without them every device is told.
    """
    names: dict[str, str] = {}
    found: list[str] = []
    for line in log.splitlines():
        match = _STAMP.match(line)
        text = match.group(3) if match else line.strip()
        links = _LINKS.match(text)
        if links:
            names.update({links.group(1): device for device in devices if device in links.group(2).split()})
        told = _told(text, names, devices) or (text if match and match.group(1) in "EC" else "")
        if told and _advised(told) not in found:
            found.append(_advised(told))
    return found[-_LINES:]


def _told(text: str, names: Mapping[str, str], devices: Sequence[str]) -> str:
    refused = _REFUSED.search(text)
    if refused:
        return refused.group(1)
    skipped = _SKIPPED.match(text)
    if not skipped:
        return ""
    device = names.get(skipped.group(1), skipped.group(1))
    planned = not devices or device in devices or f"/dev/{device}" in devices
    return f"{device}: {skipped.group(2)}" if planned and skipped.group(2) else ""


def _advised(text: str) -> str:
    advice = next((advice for sign, advice in _ADVICE if sign in text.lower()), "")
    return f"{text} ({advice})" if advice else text


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).strip()


def unexplained(problems: Iterable[str]) -> list[str]:
    """The devices without an OSD, out of the problems of the health check."""
    found = (re.match(r"(/dev/\S+) on \S+: there is no OSD", problem) for problem in problems)
    return [match.group(1) for match in found if match]


def next_steps(problems: Sequence[str], namespace: str) -> list[str]:
    """What a person can do, by what is wrong."""
    operator = f"-n {namespace} deploy/rook-ceph-operator"
    steps = {
        "has not looked at the object": f"See that the operator runs: kubectl logs {operator}.",
        "s old": f"See why the operator does not ask Ceph: kubectl logs {operator}.",
        "there is no OSD": "When a device is repaired, restart the operator: it looks at disks again only then.",
        "is not ready": f"See why its pod does not stay up: kubectl -n {namespace} describe pod, and its log with --previous.",
        "storage driver": "Install the storage drivers: run rook_operator.",
        "PG_": "Wait for the recovery, or see ceph health detail in the toolbox.",
    }
    found = [step for sign, step in steps.items() if any(sign in problem for problem in problems)]
    return found or ["See ceph health detail in the toolbox, and the operator's log."]
