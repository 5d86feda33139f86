# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deployments of Rook's operator and of that of the storage drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import Refused

OPERATOR = "rook-ceph-operator"


def image(deployment: Optional[Mapping[str, Any]]) -> Optional[str]:
    """What a Deployment is told to run."""
    return None if deployment is None else str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def read_operator(name: str, deployment: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """Name, image, whether it is available, and otherwise why not."""
    problem = "there is no such Deployment" if deployment is None else _problem(deployment)
    return {"name": name, "image": image(deployment) or "", "available": not problem, "problem": problem}


def _problem(deployment: Mapping[str, Any]) -> str:
    status = deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"].get("generation") or 0):
        return "its last change has not been seen yet"
    available = [one for one in status.get("conditions") or () if one["type"] == "Available"]
    if any(one["status"] == "True" for one in available):
        return ""
    return " ".join(str(one["message"]) for one in available if one.get("message")) or "it is not available"


def check_installed(manifests: Mapping[str, Any], told: Mapping[str, Any], wait: bool, seconds: int) -> None:
    """Raises Refused for an operator that is missing or of another image, and for a missing storage driver.

    ``told`` is what the module rook_info says. With ``wait`` all operators have to be available, ``seconds`` is how long
    that was waited for.
    """
    found: Sequence[Mapping[str, Any]] = told.get("operators") or []
    for one in found:
        if not one["available"] and (wait or not one["image"]):
            waited = f" after {seconds} s" if wait else ""
            raise Refused(
                f"The Deployment {one['name']} is not available{waited}: {one['problem']}.",
                hint="kubectl describe says more of its pods.",
            )
    running = {one["name"]: one["image"] for one in found}
    if running.get(OPERATOR) != manifests["image"]:
        raise Refused(
            f"The Deployment {OPERATOR} runs {running.get(OPERATOR)}, not {manifests['image']}.",
            hint="Somebody else changes it; see who applies it.",
        )
    missing = sorted(set(manifests["drivers"]) - set(told.get("drivers") or []))
    if missing:
        raise Refused(f"The storage drivers {', '.join(missing)} are missing.", hint="Somebody else takes them away.")
