# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server in a few lines, for the lab's own programs, which have no libraries."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubestead_lab.settings import API_PORT


class ApiError(Exception):
    """The server said no, or is not there (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KubeHttp:
    """One kept connection with the administrator's certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: http.client.HTTPSConnection | None = None

    def _connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
        context.load_cert_chain(str(self._folder / "admin.crt"), str(self._folder / "admin.key"))
        return http.client.HTTPSConnection("127.0.0.1", API_PORT, context=context, timeout=15)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, kind: str = "json") -> dict[str, Any]:
        """The server's answer; raises ApiError."""
        headers = {"Content-Type": f"application/{kind}"}
        try:
            self._connection = self._connection or self._connect()
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection = None
            raise ApiError(0, str(problem)) from problem
        told: dict[str, Any] = json.loads(text) if text else {}
        if answer.status >= 300:
            raise ApiError(answer.status, str(told.get("message")))
        return told

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list; none where the server does not know the kind."""
        try:
            return list(self.call("GET", path)["items"])
        except ApiError as problem:
            if problem.status == 404:
                return []
            raise

    def maybe(self, path: str) -> dict[str, Any] | None:
        """One object, or None."""
        try:
            return self.call("GET", path)
        except ApiError as problem:
            if problem.status == 404:
                return None
            raise

    def apply(self, path: str, thing: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply, of fields the server knows."""
        return self.call("PATCH", f"{path}?fieldManager=rook&force=true&fieldValidation=Strict", thing, kind="apply-patch+yaml")

    def merge(self, path: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """A merge patch, of fields the server knows."""
        return self.call("PATCH", f"{path}?fieldValidation=Strict", change, kind="merge-patch+json")
