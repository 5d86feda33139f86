# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ceph is asked: a Job in Ceph's own image, whose pod tells the answer in its termination message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BackendFailed, Refused
from . import pod, pod_program
from .nodes import storage_tolerations

LABEL = "kubestead-ceph"
_CONTAINER = "ceph"
# A pod that waits for one of these waits for good; others, such as an image that is being pulled, go away.
_HOPELESS = ("CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull")
_MARGIN_SECONDS = 240


@dataclass(frozen=True)
class Question:
    """What a Job does: ``look`` or ``out`` (and wait up to ``seconds`` until the OSDs are safe to destroy), or ``purge``.

    ``osds`` are numbers with fsids; a purge takes them in this order. ``hosts`` are told about with all of their OSDs.
    """

    verb: str
    osds: Sequence[tuple[int, str]]
    hosts: Sequence[str] = ()
    seconds: int = 0

    @property
    def limit(self) -> int:
        """Seconds after which the Job is taken for lost."""
        return self.seconds + _MARGIN_SECONDS + 60 * len(self.osds) * (self.verb == "purge")


def manifest(cluster: Mapping[str, Any], question: Question) -> dict[str, Any]:
    """The Job. It has a name of its own each time, is tried once, and goes away by itself if nobody removes it."""
    spec = cluster.get("spec") or {}
    asked = {
        "verb": question.verb,
        "osds": [[number, fsid] for number, fsid in question.osds],
        "hosts": list(question.hosts),
        "seconds": question.seconds,
    }
    container = pod.client(
        _CONTAINER, image_of(cluster), ["python3", "-c", pod_program.PROGRAM], {"KUBESTEAD_ASKED": json.dumps(asked)}
    )
    # When the program cannot even begin, the end of its log stands in for the message.
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    around = pod.around(container)
    around.update(restartPolicy="Never", automountServiceAccountToken=False)
    if (spec.get("network") or {}).get("provider") == "host":
        around["hostNetwork"] = True
    tolerations = storage_tolerations(spec.get("placement") or {})
    if tolerations:
        around["tolerations"] = [dict(one) for one in tolerations]
    labels = {"app": LABEL}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": f"{LABEL}-{question.verb}-", "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": question.limit,
            "ttlSecondsAfterFinished": 600,
            "template": {"metadata": {"labels": labels}, "spec": around},
        },
    }


def image_of(cluster: Mapping[str, Any]) -> str:
    """The image the daemons run; raises Refused for a cluster that has none yet."""
    runs = ((cluster.get("status") or {}).get("version") or {}).get("image")
    image = runs or ((cluster.get("spec") or {}).get("cephVersion") or {}).get("image")
    if not image:
        raise Refused("The CephCluster names no Ceph image.", hint="Wait until the operator has looked at it.")
    return str(image)


def answer(pods: Sequence[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """What the pod of a Job told; None while it runs. Raises BackendFailed when it cannot begin, or said no."""
    for one in pods:
        status = one.get("status") or {}
        for container in status.get("containerStatuses") or []:
            state = container.get("state") or {}
            if "terminated" in state:
                return pod_program.unpacked(str(state["terminated"].get("message") or ""))
            if (state.get("waiting") or {}).get("reason") in _HOPELESS:
                raise BackendFailed(f"The Job that asks Ceph does not begin: {standing([one])}.")
        if status.get("phase") == "Failed":
            raise BackendFailed(
                f"The Job that asks Ceph failed: {status.get('message') or status.get('reason') or 'no reason'}."
            )
    return None


def standing(pods: Sequence[Mapping[str, Any]]) -> str:
    """How far a Job is that has not ended, in words."""
    if not pods:
        return "it has no pod"
    status = pods[0].get("status") or {}
    waiting = [(one.get("state") or {}).get("waiting") or {} for one in status.get("containerStatuses") or []]
    told = [f"{one.get('reason')} {one.get('message') or ''}".strip() for one in waiting if one]
    conditions = [str(one["message"]) for one in status.get("conditions") or [] if one.get("message")]
    return "; ".join(told or conditions) or f"its pod is {status.get('phase') or 'new'}"
