# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig that lives in a Secret or a ConfigMap: where, and what the API is sent for it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._core.errors import BadInput, Conflict

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_KINDS = {"secret": ("Secret", "secrets"), "configmap": ("ConfigMap", "configmaps")}
_OURS = {"app.kubernetes.io/managed-by": "kubestead.platform"}


@dataclass(frozen=True)
class ObjectPlace:
    """One key of one object. ``word`` is ``secret`` or ``configmap``."""

    word: str
    namespace: str
    name: str
    key: str

    @property
    def label(self) -> str:
        """What a person would call it."""
        return f"{self.word} {self.namespace}/{self.name} {self.key}"

    def with_key(self, key: str) -> ObjectPlace:
        """Another key of the same object."""
        return replace(self, key=key)

    @property
    def collection(self) -> str:
        """Path of the list that the object is in."""
        return f"/api/v1/namespaces/{self.namespace}/{_KINDS[self.word][1]}"

    @property
    def path(self) -> str:
        """Path of the object."""
        return f"{self.collection}/{self.name}"


def place_from_params(word: str, raw: Mapping[str, Any]) -> ObjectPlace:
    """The place a task names; raises BadInput for names the API would refuse."""
    for option, rule in (("namespace", _LABEL), ("name", _NAME), ("key", _KEY)):
        if not rule.fullmatch(str(raw[option])):
            raise BadInput(f"files: {word}: {option} {str(raw[option])[:80]!r} is not a name that Kubernetes allows.")
    return ObjectPlace(word, raw["namespace"], raw["name"], raw["key"])


def content_of(place: ObjectPlace, found: Mapping[str, Any]) -> Optional[bytes]:
    """The kubeconfig in an object; None when the key is not there."""
    text = (found.get("data") or {}).get(place.key)
    if text is None:
        binary = (found.get("binaryData") or {}).get(place.key)
        return None if binary is None else _decoded(place, binary)
    return _decoded(place, text) if place.word == "secret" else str(text).encode("utf-8")


def new_object(place: ObjectPlace, content: bytes) -> dict[str, Any]:
    """The object to create."""
    return {
        "apiVersion": "v1",
        "kind": _KINDS[place.word][0],
        "metadata": {"name": place.name, "namespace": place.namespace, "labels": dict(_OURS)},
        "data": _data(place, content),
    }


def patch(place: ObjectPlace, found: Mapping[str, Any], content: Optional[bytes]) -> dict[str, Any]:
    """A merge patch of one key (None removes it), which the API refuses when the object changed since it was read."""
    change: dict[str, Any] = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}
    change["data"] = {place.key: None} if content is None else _data(place, content)
    return change


def preconditions(found: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a DELETE that means this state of this object."""
    meta = found["metadata"]
    return {"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}


def only_ours(place: ObjectPlace, found: Mapping[str, Any]) -> bool:
    """Whether an object was made by this module and holds nothing but this key."""
    labels = found["metadata"].get("labels") or {}
    held = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
    return set(held) <= {place.key} and all(labels.get(name) == text for name, text in _OURS.items())


def _data(place: ObjectPlace, content: bytes) -> dict[str, str]:
    text = base64.b64encode(content).decode("ascii") if place.word == "secret" else content.decode("utf-8")
    return {place.key: text}


def _decoded(place: ObjectPlace, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Conflict(f"{place.label} is not base64.") from None
