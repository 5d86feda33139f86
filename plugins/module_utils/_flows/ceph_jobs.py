# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph asked by Jobs, one for each question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.errors import BackendFailed
from .._core.ports import Clock, KubeApi, get_or_none
from .._rook import ceph_job
from .._rook.ceph_job import Question

_PAUSE_SECONDS = 1.0


class CephJobs:
    """Runs one Job after the other in the cluster's namespace, and takes each away again."""

    def __init__(self, api: KubeApi, clock: Clock, namespace: str) -> None:
        self._api, self._clock, self._namespace = api, clock, namespace

    def ask(self, cluster: Mapping[str, Any], question: Question) -> dict[str, Any]:
        """The answer; raises BackendFailed when Ceph, or the way to it, says no."""
        jobs = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        name = str(self._api.call("POST", jobs, ceph_job.manifest(cluster, question))["metadata"]["name"])
        try:
            return self._await(name, question)
        finally:
            if get_or_none(self._api, f"{jobs}/{name}"):
                self._api.call("DELETE", f"{jobs}/{name}", {"propagationPolicy": "Background"})

    def _await(self, name: str, question: Question) -> dict[str, Any]:
        end = self._clock.seconds() + question.limit
        pods = f"/api/v1/namespaces/{self._namespace}/pods"
        while True:
            found = self._api.list_all(pods, {"labelSelector": f"job-name={name}"}).objects
            told = ceph_job.answer(found)
            if told is not None:
                return told
            if self._clock.seconds() > end:
                raise BackendFailed(
                    f"The Job {name} that asks Ceph has not ended after {question.limit} s: {ceph_job.standing(found)}.",
                    hint="See that pods start in the cluster's namespace, and that its monitors answer.",
                )
            self._clock.sleep(_PAUSE_SECONDS)
