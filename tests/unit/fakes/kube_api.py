# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A KubeApi that holds its objects in memory and behaves, in what our flows rely on, as the real API server does.

The contract suite of the port runs on this class and on the real server, so that it cannot drift away from it.
"""

from __future__ import annotations

import copy
import functools
import itertools
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Conflict, Denied
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import Listing
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import Atom, Permissions

SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
SUBJECT_REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
REVIEWS = (SELF_REVIEW, ACCESS_REVIEW, RULES_REVIEW, SUBJECT_REVIEW)
RBAC = "/apis/rbac.authorization.k8s.io/v1"
Hook = Callable[[str, str, dict[str, Any]], None]


class FakeKubeApi:
    """``objects`` are keyed by their full path. ``writes`` lists (method, path) of all that would change the cluster.

    ``on_write`` hooks are called with (method, path, object) inside the write: what they change in the object is stored,
    what they raise refuses the request. ``after_write`` hooks are called once it is stored; they may write themselves.
    ``missing`` are rights (``verb resource``) that access reviews deny, ``held`` the rules a review of our own rules shows.
    Reviews of others are answered from the bindings and roles in memory. With ``lock`` nobody else reads or writes.
    """

    server = "https://fake.example:6443"

    def __init__(self, *, user: str = "admin", groups: tuple[str, ...] = ("system:masters",)) -> None:
        self.user = user
        self.groups = groups
        self.clock_offset: Optional[float] = 0.0
        self.missing: set[str] = set()
        self.held: list[dict[str, Any]] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.on_write: list[Hook] = []
        self.after_write: list[Hook] = []
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self._versions = itertools.count(1000)
        self._version = 999
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The calls that change something (a review of ourselves does not)."""
        return [(how, path) for how, path in self.calls if how not in ("GET", "LIST", "WATCH") and path not in REVIEWS]

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Place an object as somebody else would, without counting it as a call."""
        with self.lock:
            return self._store("ADDED", path, self._born(path, body))

    def change(self, path: str, obj: Mapping[str, Any]) -> None:
        """Store an object's new state as somebody else would."""
        with self.lock:
            self._store("MODIFIED", path, copy.deepcopy(dict(obj)))

    def drop(self, path: str) -> None:
        """Take an object away as somebody else would."""
        with self.lock:
            self._remove(path)

    def call(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        query: Optional[Mapping[str, str]] = None,
    ) -> dict[str, Any]:
        with self.lock:
            self.calls.append((method, path))
            if path == SELF_REVIEW:
                return {"status": {"userInfo": {"username": self.user, "groups": [*self.groups, "system:authenticated"]}}}
            if path == ACCESS_REVIEW:
                asked = (body or {})["spec"].get("resourceAttributes") or (body or {})["spec"]["nonResourceAttributes"]
                resource = "/".join(filter(None, (asked.get("resource"), asked.get("subresource"), asked.get("path"))))
                return {"status": {"allowed": f"{asked['verb']} {resource}" not in self.missing}}
            if path == RULES_REVIEW:
                return {"status": {"resourceRules": self.held, "nonResourceRules": [], "incomplete": False}}
            if path == SUBJECT_REVIEW:
                return {"status": {"allowed": self._allows((body or {})["spec"])}}
            verbs = {"GET": self._get, "POST": self._post, "PUT": self._put, "PATCH": self._patch, "DELETE": self._delete}
            verbs["APPLY"] = self._apply
            return copy.deepcopy(verbs[method](path, copy.deepcopy(dict(body or {})), dict(query or {})))

    def list_all(self, path: str, query: Optional[Mapping[str, str]] = None) -> Listing:
        with self.lock:
            self.calls.append(("LIST", path))
            found = tuple(
                copy.deepcopy(obj)
                for key, obj in sorted(self.objects.items())
                if _in_collection(key, path) and _selected(obj, query)
            )
            return Listing(found, str(self._version))

    def watch(
        self, path: str, resource_version: str, *, seconds: float, query: Optional[Mapping[str, str]] = None
    ) -> Iterator[dict[str, Any]]:
        self.calls.append(("WATCH", path))
        position = int(resource_version)
        while True:
            with self._changed:
                fresh = [event for event in self._events if event[0] > position]
                if not fresh and not self._changed.wait(min(seconds, 0.2)):
                    return
            for version, kind, obj in fresh:
                position = version
                key = obj["__path__"]
                shown = {name: value for name, value in obj.items() if name != "__path__"}
                if _in_collection(key, path) and _selected(shown, query):
                    yield {"type": kind, "object": copy.deepcopy(shown)}

    def _allows(self, spec: Mapping[str, Any]) -> bool:
        """RBAC's answer about a subject."""
        asked = spec.get("resourceAttributes")
        if asked:
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            request = Atom(asked["verb"], asked.get("group", ""), resource, asked.get("name", ""))
        else:
            request = Atom(spec["nonResourceAttributes"]["verb"], path=spec["nonResourceAttributes"]["path"])
        namespace = (asked or {}).get("namespace", "")
        places = [f"{RBAC}/clusterrolebindings/"]
        if namespace:
            places.append(f"{RBAC}/namespaces/{namespace}/rolebindings/")
        for key, one in self.objects.items():
            if key.startswith(tuple(places)) and any(_is_meant(subject, spec) for subject in one.get("subjects") or ()):
                role = one["roleRef"]
                where = f"{RBAC}/clusterroles" if role["kind"] == "ClusterRole" else f"{key.rsplit('/', 2)[0]}/roles"
                rules = self.objects.get(f"{where}/{role['name']}", {}).get("rules") or ()
                if Permissions.of(rules).allows(request):
                    return True
        return False

    def _get(self, path: str, _body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        if "limit" in query:
            return {"items": [obj for key, obj in sorted(self.objects.items()) if _in_collection(key, path)]}
        if path not in self.objects:
            raise _failed(404, "NotFound", f"{path} not found")
        return self.objects[path]

    def _post(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        meta = body.setdefault("metadata", {})
        if "generateName" in meta and "name" not in meta:
            meta["name"] = f"{meta['generateName']}{uuid.uuid4().hex[:5]}"
        key = f"{path}/{meta['name']}"
        self._check_namespace(path)
        if key in self.objects:
            raise _failed(409, "AlreadyExists", f"{key} already exists")
        created = self._born(key, body)
        for hook in self.on_write:
            hook("POST", key, created)
        return self._finish("POST", "ADDED", key, created, query)

    def _put(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        key, subresource = _split_subresource(path)
        current = self._get(key, {}, {})
        _check_preconditions(key, current, body.get("metadata", {}))
        if subresource == "approval":
            changed = {**copy.deepcopy(current), "metadata": {**body["metadata"], **_identity(current)}}
            changed["status"] = {**changed.get("status", {}), "conditions": body.get("status", {}).get("conditions", [])}
        elif subresource == "status":
            changed = {**copy.deepcopy(current), "status": body.get("status", {})}
        else:
            changed = {**body, "metadata": {**body.get("metadata", {}), **_identity(current)}}
        for hook in self.on_write:
            hook("PUT", path, changed)
        return self._finish("PUT", "MODIFIED", key, changed, query, requested=path)

    def _patch(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        key, _subresource = _split_subresource(path)
        current = self._get(key, {}, {})
        _check_preconditions(key, current, body.get("metadata", {}))
        changed = _merged(current, body)
        changed["metadata"].update(_identity(current))
        for hook in self.on_write:
            hook("PATCH", path, changed)
        return self._finish("PATCH", "MODIFIED", key, changed, query, requested=path)

    def _apply(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        """Server-side apply by the only manager there is, so no field has another owner."""
        if "fieldManager" not in query:
            raise _failed(400, "BadRequest", "fieldManager is required for apply patch")
        if path in self.objects:
            return self._patch(path, body, query)
        self._check_namespace(path.rsplit("/", 1)[0])
        created = self._born(path, body)
        for hook in self.on_write:
            hook("APPLY", path, created)
        return self._finish("APPLY", "ADDED", path, created, query)

    def _delete(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        current = self._get(path, {}, {})
        _check_preconditions(path, current, body.get("preconditions", {}))
        for hook in self.on_write:
            hook("DELETE", path, current)
        if "dryRun" not in query and current["metadata"].get("finalizers"):
            current["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            return self._store("MODIFIED", path, current)
        if "dryRun" not in query:
            self._remove(path)
        return current

    def _finish(
        self, method: str, kind: str, key: str, obj: dict[str, Any], query: dict[str, str], *, requested: str = ""
    ) -> dict[str, Any]:
        if "dryRun" in query:
            return obj
        answer = copy.deepcopy(self._store(kind, key, obj))
        if obj["metadata"].get("deletionTimestamp") and not obj["metadata"].get("finalizers"):
            self._remove(key)
        for hook in self.after_write:
            hook(method, requested or key, copy.deepcopy(answer))
        return answer

    def _born(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        obj = copy.deepcopy(dict(body))
        meta = obj.setdefault("metadata", {})
        meta.update(name=key.rsplit("/", 1)[1], uid=str(uuid.uuid4()), creationTimestamp="2026-01-01T00:00:00Z")
        if "/namespaces/" in key.rsplit("/", 2)[0]:
            meta["namespace"] = key.split("/namespaces/")[1].split("/")[0]
        return obj

    def _store(self, kind: str, key: str, obj: dict[str, Any]) -> dict[str, Any]:
        self._version = next(self._versions)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = obj
        self._events.append((self._version, kind, {**copy.deepcopy(obj), "__path__": key}))
        self._changed.notify_all()
        return obj

    def _remove(self, path: str) -> None:
        gone = self.objects.pop(path)
        self._version = next(self._versions)
        self._events.append((self._version, "DELETED", {**copy.deepcopy(gone), "__path__": path}))
        for inner in [key for key in self.objects if "/namespaces/" in path and key.startswith(path + "/")]:
            self.objects.pop(inner)
        self._changed.notify_all()

    def _check_namespace(self, collection: str) -> None:
        parts = collection.split("/namespaces/")
        if len(parts) == 2 and f"/api/v1/namespaces/{parts[1].split('/')[0]}" not in self.objects:
            raise _failed(404, "NotFound", f"namespaces {parts[1].split('/')[0]!r} not found")


def _is_meant(subject: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    if subject["kind"] == "ServiceAccount":
        return spec.get("user") == f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    return subject["name"] == spec.get("user") if subject["kind"] == "User" else subject["name"] in spec.get("groups", ())


def forbid(method: str, fragment: str) -> Hook:
    """An ``on_write`` hook that answers 403 to ``method`` on paths that contain ``fragment``."""

    def hook(got: str, path: str, _obj: dict[str, Any]) -> None:
        if got == method and fragment in path:
            raise Denied(f"{method} {path} is forbidden.", status=403, reason="Forbidden")

    return hook


def _failed(status: int, reason: str, message: str) -> BackendFailed | Conflict:
    kind = Conflict if status == 409 else BackendFailed
    return kind(message, status=status, reason=reason)


def _split_subresource(path: str) -> tuple[str, str]:
    for name in ("approval", "status", "finalize"):
        if path.endswith(f"/{name}"):
            return path[: -len(name) - 1], name
    return path, ""


def _identity(current: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: current["metadata"][name]
        for name in ("name", "namespace", "uid", "creationTimestamp")
        if name in current["metadata"]
    }


def _check_preconditions(path: str, current: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in ("uid", "resourceVersion"):
        if wanted.get(name) not in (None, "", current["metadata"][name]):
            raise _failed(409, "Conflict", f"{path}: {name} is {current['metadata'][name]}, not {wanted[name]}")


def _in_collection(key: str, collection: str) -> bool:
    parent = key.rsplit("/", 1)[0]
    if parent == collection:
        return True
    group, _slash, plural = collection.rpartition("/")
    prefix, _namespaces, rest = parent.partition("/namespaces/")
    return prefix == group and rest.count("/") == 1 and rest.endswith(f"/{plural}")


def _selected(obj: Mapping[str, Any], query: Optional[Mapping[str, str]]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, (query or {}).get("labelSelector", "").split(",")):
        name, equals, value = term.lstrip("!").partition("=")
        if (name in labels) == term.startswith("!") or (equals and labels[name] != value):
            return False
    for term in filter(None, (query or {}).get("fieldSelector", "").split(",")):
        path, _differs, value = term.partition("!=")
        if str(functools.reduce(lambda part, word: part[word], path.split("."), obj)) == value:
            return False
    return True


def _merged(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(current))
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = _merged(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result
