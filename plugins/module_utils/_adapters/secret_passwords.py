# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated passwords as Secrets of one namespace, for hosts whose disk vanishes after a run.

A place is written ``namespace/name:password``; any other path is a file's.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import Any, Optional

from .._core.errors import Conflict, Refused
from .._core.ports import KubeApi, SecretStore, StoredFile

_STORE = "kubestead.platform/store"
_KEY = "password"


class SecretPasswords:
    """Files, and the Secrets of one namespace. One LIST answers all reads of Secrets."""

    def __init__(self, kube: KubeApi, namespace: str, files: SecretStore) -> None:
        self._kube = kube
        self._namespace = namespace
        self._files = files
        self._found: Optional[dict[str, Mapping[str, Any]]] = None
        self._lock = threading.Lock()

    def read(self, path: str) -> Optional[bytes]:
        """The content of a file or of a Secret; None when there is none."""
        name = self._name_in(path)
        if not name:
            return self._files.read(path)
        stored = self.find(path)
        return stored.content if stored else None

    def find(self, path: str) -> Optional[StoredFile]:
        """What stands there; None when nothing does."""
        name = self._name_in(path)
        if not name:
            return self._files.find(path)
        secret = self._secrets().get(name)
        text = ((secret or {}).get("data") or {}).get(_KEY)
        if text is None:
            return None
        try:
            return StoredFile(base64.b64decode(text, validate=True), 0o600, "", "", True)
        except (binascii.Error, ValueError) as exc:
            raise Refused(f"{path}: the Secret holds no base64.") from exc

    def write(self, path: str, content: bytes) -> None:
        """Put it there in one request."""
        name = self._name_in(path)
        if not name:
            self._files.write(path, content)
            return
        metadata: dict[str, Any] = {"name": name, "labels": {_STORE: "password"}}
        data = {_KEY: base64.b64encode(content).decode("ascii")}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        old = self._secrets().get(name)
        try:
            if old is None:
                self._kube.call("POST", self._path, body)
            else:
                metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
                self._kube.call("PUT", f"{self._path}/{name}", body)
        except Conflict as exc:
            raise Refused(
                f"{path}: a Secret of that name is there already and is not this module's, or another run changed it.",
                hint="Set another password_secret.name_template, or run again.",
            ) from exc

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets"

    def _name_in(self, path: str) -> str:
        begin, end = f"{self._namespace}/", f":{_KEY}"
        return path[len(begin) : -len(end)] if path.startswith(begin) and path.endswith(end) else ""

    def _secrets(self) -> Mapping[str, Mapping[str, Any]]:
        with self._lock:
            if self._found is None:
                listed = self._kube.list_all(self._path, {"labelSelector": f"{_STORE}=password"}).objects
                self._found = {str(secret["metadata"]["name"]): secret for secret in listed}
            return self._found
