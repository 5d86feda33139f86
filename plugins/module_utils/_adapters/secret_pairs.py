# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key and certificate pairs of people as Secrets of one namespace, for hosts whose disk vanishes after a run.

One Secret holds all of a person: the present pair as ``tls.key`` and ``tls.crt``, the record of the request that led to
it, and what was begun and not finished as ``<version>.key`` and ``<version>.json``. A new pair takes its place in one
write that names the version it replaces, so that a kill, or a second run, never leaves halves of two pairs.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping
from typing import Any, Optional

from .._certs.pair import StoredPair, StoredVersion
from .._core.errors import BackendFailed, BadInput, Conflict, Refused
from .._core.names import dns_name
from .._core.ports import KubeApi

_STORE, _USER, _VERSION = "kubestead.platform/store", "kubestead.platform/user", "kubestead.platform/version"
_DNS = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_KEY, _CERTIFICATE, _RECORD = "tls.key", "tls.crt", "request.json"
_FULL = 700_000  # a Secret holds 1 MiB at most, its base64 counted
_TRIES = 5

Data = dict[str, bytes]


class SecretPairs:
    """The pairs of one namespace. One LIST answers all reads; writes carry the version that was read."""

    def __init__(self, kube: KubeApi, namespace: str, name_template: str) -> None:
        self.secrets_in = _namespace(namespace)
        self._kube = kube
        self._template = name_template
        self._secrets: dict[str, Mapping[str, Any]] = {}
        self._listed = False
        self._lock = threading.Lock()
        if "{name}" not in name_template or not _DNS.fullmatch(self._secret_name("a")):
            raise BadInput(
                f"store.secret.name_template: {name_template[:80]!r} makes no name of a Secret.",
                hint="Write lower-case letters, digits, '-' and '.', with {name} in its place, such as {name}-certificate.",
            )

    def read(self, name: str) -> StoredPair:
        """Everything stored for a person."""
        secret = self._found(name)
        place = f"{self.secrets_in}/{self._secret_name(name)}"
        if secret is None:
            return StoredPair(f"{place}:{_KEY}", f"{place}:{_CERTIFICATE}")
        data = _data(secret)
        version = str((secret["metadata"].get("annotations") or {}).get(_VERSION) or "")
        pending = sorted({key[: -len(".json")] for key in data if key.endswith(".json") and key != _RECORD}, reverse=True)
        current = StoredVersion(version, data.get(_KEY), data.get(_CERTIFICATE), data.get(_RECORD)) if version else None
        others = tuple(StoredVersion(one, data.get(f"{one}.key"), None, data.get(f"{one}.json")) for one in pending)
        return StoredPair(f"{place}:{_KEY}", f"{place}:{_CERTIFICATE}", current, others)

    def prepare(self, name: str, version: str, key_pem: Optional[bytes], record: bytes) -> None:
        """Store a key and the request made with it, beside the present pair."""
        data, present = self._data_of(name)
        if key_pem is not None:
            data[f"{version}.key"] = key_pem
        self._write(name, present, {**data, f"{version}.json": record})

    def keep(self, name: str, version: str) -> None:
        """Write the same once more, which changes nothing, but is refused when another run has gone on meanwhile."""
        del version
        data, present = self._data_of(name)
        self._write(name, present, data)

    def install(self, name: str, version: str, certificate_pem: str) -> None:
        """Make a prepared version the present pair; all others go in the same write."""
        old, _present = self._data_of(name)
        data = {_CERTIFICATE: certificate_pem.encode("ascii"), _RECORD: old[f"{version}.json"]}
        if f"{version}.key" in old:
            data[_KEY] = old[f"{version}.key"]
        self._write(name, version, data)

    def settle(self, name: str) -> None:
        """Forget the request that led to the present pair."""
        data, present = self._data_of(name)
        if data.pop(_RECORD, None) is not None:
            self._write(name, present, data)

    def drop(self, name: str, version: str = "") -> None:
        """Remove one unfinished version; without ``version`` the whole Secret."""
        data, present = self._data_of(name)
        kept = {key: value for key, value in data.items() if version and key not in (f"{version}.key", f"{version}.json")}
        if kept:
            self._write(name, present, kept)
            return
        secret = self._found(name)
        if secret is not None:
            meta = secret["metadata"]
            only = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
            options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
            self._kube.call("DELETE", f"{self._path}/{meta['name']}", options)
            del self._secrets[name]

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.secrets_in}/secrets"

    def _secret_name(self, user: str) -> str:
        return self._template.replace("{name}", user if _LABEL.fullmatch(user) else dns_name(user))

    def _found(self, name: str) -> Optional[Mapping[str, Any]]:
        with self._lock:
            if not self._listed:
                for secret in self._kube.list_all(self._path, {"labelSelector": f"{_STORE}=pair"}).objects:
                    user = (secret["metadata"].get("annotations") or {}).get(_USER)
                    if secret["metadata"]["name"] == self._secret_name(str(user)):
                        self._secrets[str(user)] = secret
                self._listed = True
        return self._secrets.get(name)

    def _data_of(self, name: str) -> tuple[Data, str]:
        secret = self._found(name)
        if secret is None:
            return {}, ""
        return _data(secret), str((secret["metadata"].get("annotations") or {}).get(_VERSION) or "")

    def _write(self, name: str, version: str, data: Data) -> None:
        old = self._found(name)
        secret = self._secret_name(name)
        body = _secret(secret, "pair", data, {_USER: name, **({_VERSION: version} if version else {})})
        try:
            if old is None:
                self._secrets[name] = self._kube.call("POST", self._path, body)
                return
            body["metadata"] = _kept(old["metadata"], body["metadata"])
            self._secrets[name] = self._kube.call("PUT", f"{self._path}/{secret}", body)
        except Conflict as exc:
            if old is None and exc.facts.get("reason") == "AlreadyExists":
                raise Refused(
                    f"user {name!r}: the Secret {secret!r} in namespace {self.secrets_in!r} is there already, and is not this"
                    " module's.",
                    hint="Remove it, or set another store.secret.name_template; or run again, if another run made it just now.",
                ) from None
            raise Conflict(
                f"user {name!r}: another run changed the Secret {secret!r} meanwhile.", hint="Run again to see where it stands."
            ) from None


class SecretLedger:
    """The ledger of a namespace: Secrets that only grow, a new one when the last is full."""

    def __init__(self, kube: KubeApi, namespace: str) -> None:
        self._path = f"/api/v1/namespaces/{_namespace(namespace)}/secrets"
        self.path = f"{namespace}/kubestead-ledger-*"
        self._kube = kube

    def read(self) -> bytes:
        """All of it."""
        return b"".join(_data(secret).get("ledger.jsonl", b"") for secret in self._secrets())

    def append(self, lines: bytes) -> None:
        """Add whole lines; when another run was faster, after its."""
        part: list[bytes] = []
        size = 0
        for line in lines.splitlines(keepends=True):
            if size + len(line) > _FULL:
                self._append_part(b"".join(part))
                part, size = [], 0
            part.append(line)
            size += len(line)
        self._append_part(b"".join(part))

    def _append_part(self, lines: bytes) -> None:
        for tries_left in reversed(range(_TRIES)):
            found = self._secrets()
            last = found[-1] if found else None
            content = _data(last).get("ledger.jsonl", b"") if last is not None else b""
            try:
                if last is None or len(content) + len(lines) > _FULL:
                    name = f"kubestead-ledger-{len(found) + 1:06d}"
                    self._kube.call("POST", self._path, _secret(name, "ledger", {"ledger.jsonl": lines}, {}))
                else:
                    body = _secret(last["metadata"]["name"], "ledger", {"ledger.jsonl": content + lines}, {})
                    body["metadata"] = _kept(last["metadata"], body["metadata"])
                    self._kube.call("PUT", f"{self._path}/{last['metadata']['name']}", body)
                return
            except Conflict:
                if not tries_left:
                    raise

    def _secrets(self) -> list[Mapping[str, Any]]:
        found = self._kube.list_all(self._path, {"labelSelector": f"{_STORE}=ledger"}).objects
        return sorted(found, key=lambda secret: str(secret["metadata"]["name"]))


def _kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """New metadata for the very object that was read, with labels and annotations of others left in place."""
    others = {key: value for key, value in (old.get("annotations") or {}).items() if key not in (_USER, _VERSION)}
    return {
        **new,
        "uid": old["uid"],
        "resourceVersion": old["resourceVersion"],
        "labels": {**(old.get("labels") or {}), **new["labels"]},
        "annotations": {**others, **new["annotations"]},
    }


def _namespace(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise BadInput(f"store.secret.namespace: {name[:80]!r} is not the name of a namespace.")
    return name


def _data(secret: Mapping[str, Any]) -> Data:
    try:
        return {str(key): base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (ValueError, TypeError):
        raise BackendFailed(f"The Secret {secret['metadata'].get('name')!r} holds what is not base64.") from None


def _secret(name: str, store: str, data: Data, annotations: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "kubestead.platform", _STORE: store},
            "annotations": dict(annotations),
        },
        "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
    }
