# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in with a new key and certificate at the same API server, to see who it takes us for."""

from __future__ import annotations

from dataclasses import replace

from .kube_api import KubeApiClient
from .kube_login import KubeLogin

_SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class PairLogin:
    """Logins with other pairs where ``login`` leads."""

    def __init__(self, login: KubeLogin, *, timeout: float = 10.0) -> None:
        self._login = replace(login, token=None, basic=None, act_as=None, act_as_groups=(), source="the new certificate")
        self._timeout = timeout

    def who(self, cert_pem: str, key_pem: bytes) -> tuple[str, tuple[str, ...]]:
        """The user and the groups that the server sees."""
        login = replace(self._login, cert=cert_pem, key=key_pem.decode("ascii"))
        client = KubeApiClient(login, timeout=self._timeout, connections=1)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        info = client.call("POST", _SELF_REVIEW, review)["status"]["userInfo"]
        return str(info["username"]), tuple(info.get("groups") or ())
