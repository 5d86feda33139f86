# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is requested: who we are, whether we may do all of it, and who holds the new names already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._certs import rights
from .._certs.holders import OTHERS, Holders, holders_of
from .._certs.rights import Right
from .._certs.wanted import Wanted
from .._core import pool
from .._core.errors import CollError
from .cert_ports import CertApi

REQUESTS = f"/apis/{rights.CERTIFICATES}/v1/{rights.REQUESTS}"
SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_BINDINGS = f"/apis/{rights.RBAC}/v1"
_RECENT = "200"  # enough to see whether a signer signs


@dataclass(frozen=True)
class Preflight:
    """All questions before a run, in one answer: an error that names everything missing, or who we are."""

    kube: CertApi
    wanted: Wanted
    concurrency: int

    def check(self, needed: Sequence[Right]) -> tuple[str, tuple[str, ...]]:
        """The caller's name and warnings; raises Denied or BackendFailed before anything is written."""
        review = self.kube.call("POST", SELF_REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        requester = str(review["status"]["userInfo"]["username"])
        error, warning = rights.clock_problem(self.kube.clock_offset)
        if error is not None:
            raise error
        answers = dict(pool.each(needed, self._allowed, concurrency=self.concurrency))
        for answer in answers.values():
            if isinstance(answer, CollError):
                raise answer
        missing = [right for right in needed if not answers[right]]
        if missing:
            raise rights.refused(missing, requester)
        return requester, (warning,) if warning else ()

    def holders(self) -> Holders:
        """Names with rights that were not granted with this collection: one LIST of each kind of binding, ours left out."""
        kinds = ("clusterrolebindings", "rolebindings")
        query = {"labelSelector": OTHERS}
        return holders_of(obj for kind in kinds for obj in self.kube.list_all(f"{_BINDINGS}/{kind}", query).objects)

    def signer_doubt(self, now: int) -> tuple[str, ...]:
        """A warning when the signer seems to be off, from what it did with the requests that stand on the server."""
        query = {"fieldSelector": f"spec.signerName={self.wanted.signer}", "limit": _RECENT}
        items = self.kube.call("GET", REQUESTS, query=query).get("items") or ()
        doubt = rights.signer_doubt(items, self.wanted.signer, now)
        return (doubt,) if doubt else ()

    def _allowed(self, right: Right) -> bool:
        return any(self._yes(review) for review in right.reviews())

    def _yes(self, review: dict[str, Any]) -> bool:
        return bool((self.kube.call("POST", ACCESS_REVIEW, review).get("status") or {}).get("allowed"))
