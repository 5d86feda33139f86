# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply would change, over the API in memory."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._flows.apply_preview import preview, read_objects

from fakes.kube_api import FakeKubeApi, forbid

CEPH = "/apis/ceph.rook.io/v1/namespaces/rook-ceph"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "cephclusters.ceph.rook.io"},
    "spec": {"group": "ceph.rook.io", "names": {"kind": "CephCluster"}, "versions": [{"name": "v1"}]},
}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "rook-ceph"}, "data": {"a": "1"}}
CLUSTER = {
    "apiVersion": "ceph.rook.io/v1",
    "kind": "CephCluster",
    "metadata": {"name": "c", "namespace": "rook-ceph"},
    "spec": {"mon": {"count": 3}},
}
OBJECTS = [CRD, MAP, CLUSTER]


def server(*, rook: bool = True, namespace: bool = True) -> FakeKubeApi:
    """One that serves what these tests send, with or without Rook's kinds and namespace."""
    api = FakeKubeApi()
    crds = {"name": "customresourcedefinitions", "kind": "CustomResourceDefinition", "namespaced": False}
    api.put("/apis/apiextensions.k8s.io/v1", {"resources": [crds, {**crds, "name": "customresourcedefinitions/status"}]})
    api.put("/api/v1", {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]})
    if rook:
        kind = {"name": "cephclusters", "kind": "CephCluster", "namespaced": True}
        api.put("/apis/ceph.rook.io/v1", {"resources": [kind]})
        api.put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cephclusters.ceph.rook.io", CRD)
    if namespace:
        api.put("/api/v1/namespaces/rook-ceph", {})
    return api


def furnished() -> FakeKubeApi:
    api = server()
    api.put("/api/v1/namespaces/rook-ceph/configmaps/m", MAP)
    api.put(f"{CEPH}/cephclusters/c", CLUSTER)
    return api


def changes(told: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(one["name"], one["judged"]) for one in told["changes"]]


def test_what_is_there_as_given_does_not_change_and_nothing_is_written() -> None:
    api = furnished()
    before = copy.deepcopy(api.objects)
    assert preview(api, OBJECTS) == {"changes": [], "dropped": [], "refused": []}
    assert api.objects == before
    assert len(api.calls) == 3 + 2 * len(OBJECTS), "one for each API version, two for each object"


def test_what_would_be_made_and_changed_is_told_in_order() -> None:
    api = furnished()
    api.drop("/api/v1/namespaces/rook-ceph/configmaps/m")
    api.objects[f"{CEPH}/cephclusters/c"]["spec"]["mon"]["count"] = 5
    told = preview(api, OBJECTS)
    assert changes(told) == [("ConfigMap m", True), ("CephCluster c", True)]
    assert [one["object"] for one in told["changes"]] == [MAP, CLUSTER]


def test_what_goes_on_beside_an_apply_is_no_change_of_its() -> None:
    """Between the two requests an operator writes a status; and the first apply notes who made the object before."""
    api = furnished()

    def meanwhile(_method: str, _path: str, thing: dict[str, Any]) -> None:
        thing["status"] = {"phase": "Ready"}
        thing["metadata"]["managedFields"] = [{"manager": "before-first-apply", "operation": "Update"}]

    api.on_write.append(meanwhile)
    assert preview(api, OBJECTS)["changes"] == []


def test_fields_that_were_applied_and_are_not_any_more_are_a_change() -> None:
    api = furnished()

    def gives_up(_method: str, path: str, thing: dict[str, Any]) -> None:
        thing["metadata"]["managedFields"] = [{"manager": "kubestead", "operation": "Apply"}] if "configmaps" in path else []

    api.on_write.append(gives_up)
    assert changes(preview(api, OBJECTS)) == [("ConfigMap m", True)]


def test_what_needs_a_kind_or_a_namespace_first_is_not_judged() -> None:
    assert changes(preview(server(rook=False), OBJECTS)) == [(CRD_NAME, True), ("ConfigMap m", True), ("CephCluster c", False)]
    fresh = preview(server(rook=False, namespace=False), OBJECTS)
    assert changes(fresh) == [(CRD_NAME, True), ("ConfigMap m", False), ("CephCluster c", False)]


CRD_NAME = "CustomResourceDefinition cephclusters.ceph.rook.io"


def test_a_definition_that_is_to_change_judges_nothing() -> None:
    """The one of today may refuse or drop what the next one takes."""
    api = furnished()
    api.on_write.append(forbid("PATCH", "cephclusters/c"))
    newer = copy.deepcopy(CRD)
    newer["spec"]["versions"] = [{"name": "v1", "schema": {}}]  # type: ignore[index]
    told = preview(api, [newer, MAP, CLUSTER])
    assert changes(told) == [(CRD_NAME, True), ("CephCluster c", False)]
    assert told["refused"] == []


def test_what_the_server_refuses_is_told_and_not_a_change() -> None:
    api = furnished()
    api.on_write.append(forbid("PATCH", "configmaps"))
    told = preview(api, OBJECTS)
    assert told["changes"] == []
    assert "ConfigMap m: " in told["refused"][0] and "forbidden" in told["refused"][0]


def test_fields_that_the_server_drops_are_told() -> None:
    api = furnished()

    def drops(_method: str, _path: str, thing: dict[str, Any]) -> None:
        thing.get("spec", {}).pop("mon", None)

    api.on_write.append(drops)
    assert preview(api, OBJECTS)["dropped"] == ["CephCluster c: spec.mon"]


def test_a_server_that_fails_is_an_error() -> None:
    api = furnished()

    def fails(_method: str, _path: str, _thing: dict[str, Any]) -> None:
        raise BackendFailed("It is away.", status=0)

    api.on_write.append(fails)
    with pytest.raises(BackendFailed):
        preview(api, OBJECTS)


def test_an_object_of_a_namespace_names_it() -> None:
    with pytest.raises(BadInput, match="names no namespace"):
        preview(server(), [{**MAP, "metadata": {"name": "m"}}])


def test_objects_are_read_from_json() -> None:
    assert read_objects(json.dumps(OBJECTS)) == OBJECTS
    assert read_objects("") == read_objects(None) == []
    for text in ("{", "{}", "[1]", '[{"kind": "A"}]', '[{"kind": "A", "apiVersion": "v1", "metadata": {}}]'):
        with pytest.raises(BadInput):
            read_objects(text)
