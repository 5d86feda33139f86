# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server-side apply would make of objects, asked of the API server itself and without writing anything."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core import pool
from .._core.errors import BackendFailed, BadInput, Conflict
from .._core.ports import KubeApi, get_or_none
from .._rook.cluster import dropped_fields

# The manager as which the roles apply.
_MANAGER = "kubestead"
_APPLY = {"dryRun": "All", "fieldManager": _MANAGER, "force": "true"}
_AT_ONCE = 8
_CRD = "CustomResourceDefinition"
_REFUSALS = (400, 403, 409, 413, 422)
# The server counts these at every change; they say nothing about what the object is.
_COUNTERS = ("generation", "resourceVersion")


@dataclass(frozen=True)
class _Judged:
    """``differs`` is None where the server has neither the kind nor the namespace yet."""

    differs: Optional[bool]
    dropped: Sequence[str] = ()
    refusal: str = ""


def read_objects(text: Optional[str]) -> list[dict[str, Any]]:
    """The objects of a JSON text; raises BadInput."""
    try:
        objects = json.loads(text or "[]")
    except ValueError as exc:
        raise BadInput(f"objects is no JSON: {exc}.", hint="Give a list of objects, or such a list as JSON.") from None
    if not isinstance(objects, list) or not all(_is_object(one) for one in objects):
        raise BadInput("objects holds something without apiVersion, kind or metadata.name.", hint="Give whole objects.")
    return objects


def _is_object(thing: Any) -> bool:
    return isinstance(thing, dict) and all(
        (thing.get("apiVersion"), thing.get("kind"), (thing.get("metadata") or {}).get("name"))
    )


def preview(api: KubeApi, objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``changes`` in the given order, fields the server would drop, and what it would refuse."""
    groups = sorted({str(one["apiVersion"]) for one in objects})
    served = pool.together({group: functools.partial(_kinds, api, group) for group in groups}, concurrency=_AT_ONCE)
    calls = {str(index): functools.partial(_judge, api, one, served) for index, one in enumerate(objects)}
    judged = pool.together(calls, concurrency=_AT_ONCE)
    verdicts = [judged[str(index)] for index in range(len(objects))]
    moving = _kinds_that_change(objects, verdicts)
    # What a definition of today says about an object is worth nothing when the definition itself is to change.
    told = [
        (one, _Judged(None) if (_group(one), one["kind"]) in moving else verdict) for one, verdict in zip(objects, verdicts)
    ]
    return {
        "changes": [
            {"name": _name(one), "judged": verdict.differs is not None, "object": one}
            for one, verdict in told
            if verdict.differs is not False and not verdict.refusal
        ],
        "dropped": [f"{_name(one)}: {path}" for one, verdict in told for path in verdict.dropped],
        "refused": [f"{_name(one)}: {verdict.refusal}" for one, verdict in told if verdict.refusal],
    }


def _name(thing: Mapping[str, Any]) -> str:
    return f"{thing['kind']} {thing['metadata']['name']}"


def _group(thing: Mapping[str, Any]) -> str:
    return str(thing["apiVersion"]).rpartition("/")[0]


def _kinds_that_change(objects: Sequence[Mapping[str, Any]], verdicts: Sequence[_Judged]) -> set[tuple[str, str]]:
    return {
        (str(one["spec"]["group"]), str(one["spec"]["names"]["kind"]))
        for one, verdict in zip(objects, verdicts)
        if one["kind"] == _CRD and verdict.differs
    }


def _base(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _kinds(api: KubeApi, group_version: str) -> dict[str, Mapping[str, Any]]:
    """The resources of a group by kind; none where the server does not know the group."""
    found = get_or_none(api, _base(group_version)) or {}
    return {str(one["kind"]): one for one in found.get("resources") or () if "/" not in one["name"]}


def _judge(api: KubeApi, thing: Mapping[str, Any], served: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> _Judged:
    resource = served[str(thing["apiVersion"])].get(str(thing["kind"]))
    if resource is None:
        return _Judged(None)
    path = _path(thing, resource)
    present = get_or_none(api, path)
    try:
        made = api.call("APPLY", path, thing, _APPLY)
    except (BackendFailed, Conflict) as exc:
        status = exc.facts.get("status")
        if status == 404:  # the namespace is missing
            return _Judged(None)
        if status in _REFUSALS:
            return _Judged(differs=True, refusal=exc.sentence())
        raise
    return _Judged(differs=_essence(made) != _essence(present), dropped=dropped_fields(thing, made))


def _path(thing: Mapping[str, Any], resource: Mapping[str, Any]) -> str:
    base, name = _base(str(thing["apiVersion"])), thing["metadata"]["name"]
    if not resource["namespaced"]:
        return f"{base}/{resource['name']}/{name}"
    namespace = thing["metadata"].get("namespace")
    if not namespace:
        raise BadInput(f"{_name(thing)} names no namespace.", hint="Give its metadata.namespace.")
    return f"{base}/namespaces/{namespace}/{resource['name']}/{name}"


def _essence(thing: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """What an apply can change: not the status, which goes on changing by itself, nor what others say they manage."""
    if thing is None:
        return None
    meta = {key: value for key, value in thing["metadata"].items() if key not in _COUNTERS}
    meta["managedFields"] = [one for one in meta.get("managedFields") or () if one.get("manager") == _MANAGER]
    return {key: value for key, value in {**thing, "metadata": meta}.items() if key != "status"}
