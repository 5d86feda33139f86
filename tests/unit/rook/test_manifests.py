# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's manifests: checked, made for other namespaces and another registry, sorted, and of one release."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from typing import Any, Optional

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._rook import helm, manifests, mirror, versions


def thing(kind: str, name: str, namespace: str = "", group: str = "") -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": meta}


def deployment(name: str, image: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "one", "image": image}]}
    return {**thing("Deployment", name, "rook-ceph", "apps"), "spec": {"template": {"spec": pod}}}


CRD = {
    **thing("CustomResourceDefinition", "drivers.csi.ceph.io", group="apiextensions.k8s.io"),
    "spec": {"group": "csi.ceph.io"},
}
IMAGES = {
    **thing("ConfigMap", "rook-csi-operator-image-set-configmap", "rook-ceph"),
    "data": {"plugin": "quay.io/cephcsi/cephcsi:v3.17.0"},
}
DRIVER = thing("Driver", "rook-ceph.rbd.csi.ceph.com", "rook-ceph", "csi.ceph.io")
DOCUMENTS = [
    CRD,
    None,
    thing("ClusterRole", "r"),
    deployment("rook-ceph-operator", "docker.io/rook/ceph:v1.20.6"),
    deployment("ceph-csi-controller-manager", "quay.io/cephcsi/ceph-csi-operator:v1.0.4"),
    IMAGES,
    DRIVER,
]
MARKED = """\
metadata:
  name: rook-ceph.rbd.csi.ceph.com # csi-provisioner-name
  namespace: rook-ceph # namespace:operator
subjects:
  - name: rook-ceph-osd
    namespace: rook-ceph # namespace:cluster
provisioner: rook-ceph.ceph.rook.io/bucket # driver:namespace:cluster
user: system:serviceaccount:rook-ceph:rook-ceph-system # serviceaccount:namespace:operator
app: rook-ceph
"""


def manifests_of(
    documents: Iterable[Optional[dict[str, Any]]], namespace: str = "rook-ceph", cluster: str = "rook-ceph", registry: str = ""
) -> dict[str, Any]:
    """As of a file with these documents."""
    return manifests.operator_manifests([yaml.safe_dump_all(documents)], namespace, cluster, registry)


def test_manifests_are_sorted() -> None:
    made = manifests_of(DOCUMENTS)
    objects = json.loads(made["objects"])
    assert objects[:2] == [CRD, thing("Namespace", "rook-ceph")]
    assert [one["kind"] for one in objects[2:]] == ["ClusterRole", "Deployment", "Deployment", "ConfigMap", "Driver"]
    assert made["image"] == "docker.io/rook/ceph:v1.20.6"
    assert made["drivers"] == ["rook-ceph.rbd.csi.ceph.com"]


@pytest.mark.parametrize(
    "documents",
    [
        [CRD],
        [*DOCUMENTS, thing("Role", "r", "elsewhere")],
        [*DOCUMENTS, {**thing("ClusterRoleBinding", "b"), "subjects": [{"kind": "User", "namespace": "elsewhere"}]}],
        [*DOCUMENTS, thing("Driver", "elsewhere.rbd.csi.ceph.com", "rook-ceph")],
        [{"kind": "Role"}],
    ],
)
def test_odd_manifests_are_refused(documents: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput):
        manifests_of(documents)


@pytest.mark.parametrize("text", ["a: [", "just a text", "- 1"])
def test_files_that_hold_no_objects_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"no YAML|without kind"):
        manifests.operator_manifests([text], "rook-ceph", "rook-ceph")


def test_what_looks_like_a_date_stays_a_text() -> None:
    dated = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {day: 2026-01-31}\n"
    texts = [yaml.safe_dump_all(DOCUMENTS), dated]
    objects = json.loads(manifests.operator_manifests(texts, "rook-ceph", "rook-ceph")["objects"])
    assert objects[-1]["data"] == {"day": "2026-01-31"}


def test_marked_lines_are_made_for_other_namespaces() -> None:
    assert manifests.localise(MARKED, "rook-ceph", "rook-ceph") == MARKED
    lines = [line.partition(" # ")[0].strip() for line in manifests.localise(MARKED, "op", "ceph").splitlines()]
    assert lines == [
        "metadata:",
        "name: op.rbd.csi.ceph.com",
        "namespace: op",
        "subjects:",
        "- name: rook-ceph-osd",
        "namespace: ceph",
        "provisioner: ceph.ceph.rook.io/bucket",
        "user: system:serviceaccount:op:rook-ceph-system",
        "app: rook-ceph",
    ]


def test_namespaces_that_nobody_makes_are_added() -> None:
    own: list[Any] = [copy.deepcopy(one) for one in DOCUMENTS if one and one is not DRIVER]
    for one in own:
        one["metadata"].update({"namespace": "op"} if "namespace" in one["metadata"] else {})
    made = json.loads(manifests_of([*own, thing("Namespace", "ceph")], "op", "ceph")["objects"])
    assert [one["metadata"]["name"] for one in made if one["kind"] == "Namespace"] == ["ceph", "op"]


def test_a_mirror_serves_every_image() -> None:
    made = manifests_of(DOCUMENTS, registry="mirror:5000/x")
    assert made["images"] == [
        "mirror:5000/x/cephcsi/ceph-csi-operator:v1.0.4",
        "mirror:5000/x/cephcsi/cephcsi:v3.17.0",
        "mirror:5000/x/rook/ceph:v1.20.6",
    ]
    manifests.check_install(made, "", {})


@pytest.mark.parametrize(
    ("image", "moved"),
    [
        ("docker.io/rook/ceph:v1", "m/rook/ceph:v1"),
        ("rook/ceph:v1", "m/rook/ceph:v1"),
        ("registry:5000/a/b", "m/a/b"),
        ("localhost/a", "m/a"),
        ("m/a/b:v1", "m/a/b:v1"),
        ("busybox", "m/busybox"),
    ],
)
def test_the_host_of_an_image_is_replaced_once(image: str, moved: str) -> None:
    assert mirror.mirrored(image, "m") == moved
    assert mirror.mirrored(moved, "m") == moved
    assert mirror.mirrored(image, "") == image


def changed(name: str, image: str) -> dict[str, Any]:
    others = [one for one in DOCUMENTS if one and one["metadata"]["name"] != name]
    return manifests_of([*others, deployment(name, image)])


@pytest.mark.parametrize(
    ("made", "told", "words"),
    [
        (changed("rook-ceph-operator", "rook/ceph:v1.19.3"), {}, "v1.20.6"),
        (changed("ceph-csi-controller-manager", "quay.io/cephcsi/ceph-csi-operator:v0.9.0"), {}, "v1.0.4"),
        (changed("rook-ceph-operator", "rook/ceph:v1.20.6"), {"kubernetes": "v1.29.1"}, "1.31 to 1.36"),
        (changed("rook-ceph-operator", "rook/ceph:v1.20.6"), {"operator_image": "rook/ceph:v1.18.11"}, "one minor"),
        (changed("rook-ceph-operator", "rook/ceph:v1.20.6"), {"operator_image": "rook/ceph:v1.21.0"}, "back"),
    ],
)
def test_what_does_not_go_together_is_refused(made: dict[str, Any], told: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        manifests.check_install(made, "", told)
    assert words in caught.value.sentence()
    assert caught.value.hint


def test_the_step_from_the_line_before_is_allowed() -> None:
    manifests.check_install(changed("rook-ceph-operator", "rook/ceph:v1.20.6"), "", {"operator_image": "rook/ceph:v1.19.10"})


def test_another_patch_has_the_images_of_its_line() -> None:
    facts = versions.release_facts("v1.20.7")
    assert (facts["tested"], facts["images"]["operator"], facts["checksums"]) == (False, "docker.io/rook/ceph:v1.20.7", {})
    assert facts["url"].endswith("/v1.20.7/deploy/examples")
    manifests.check_install(changed("rook-ceph-operator", "rook/ceph:v1.20.7"), "1.20.7", {})


def test_checksums() -> None:
    text = "a: 1\n"
    right = hashlib.sha256(text.encode()).hexdigest()
    manifests.check_checksums({"x.yaml": text}, {"x.yaml": right.upper()}, required=True)
    manifests.check_checksums({"x.yaml": text}, {"x.yaml": ""}, required=False)
    with pytest.raises(Refused, match=right):
        manifests.check_checksums({"x.yaml": text}, {"x.yaml": "0" * 64}, required=False)
    with pytest.raises(Refused, match="No checksum"):
        manifests.check_checksums({"x.yaml": text}, {}, required=True)


def test_a_server_is_asked_only_of_what_it_can_have() -> None:
    objects = manifests_of(DOCUMENTS)["objects"]
    assert [one["kind"] for one in manifests.known_objects(objects, [], ["default"])] == ["ClusterRole"]
    all_of_them = manifests.known_objects(objects, ["drivers.csi.ceph.io"], ["rook-ceph"])
    assert [one["kind"] for one in all_of_them] == ["ClusterRole", "Deployment", "Deployment", "ConfigMap", "Driver"]


def test_only_an_established_definition_is_served() -> None:
    established = {**CRD, "status": {"conditions": [{"type": "Established", "status": "True"}]}}
    assert manifests.crds_not_served([CRD], [CRD]) == ["drivers.csi.ceph.io"]
    assert manifests.crds_not_served([CRD], [established]) == []


def test_values_of_charts_have_the_versions_of_the_table() -> None:
    made = helm.chart_values(
        "", "op", "mirror:5000/x", {"rook-ceph": {"image": {"pullPolicy": "Always"}, "csi": {"installCsiOperator": False}}}
    )
    operator, drivers = made["rook-ceph"], made["ceph-csi-drivers"]
    assert operator["image"] == {"repository": "mirror:5000/x/rook/ceph", "tag": "v1.20.6", "pullPolicy": "Always"}
    assert operator["crds"] == {"enabled": True}
    assert operator["csi"]["cephcsi"] == {"repository": "mirror:5000/x/cephcsi/cephcsi", "tag": "v3.17.0"}
    assert operator["csi"]["installCsiOperator"] is False
    assert drivers["drivers"]["rbd"] == {"enabled": True, "name": "op.rbd.csi.ceph.com"}
    assert drivers["drivers"]["nfs"]["enabled"] is False
    assert all(image.startswith("mirror:5000/x/") for image in made["images"])
    assert len(made["images"]) == 9


def test_charts_of_a_line_without_pinned_drivers_keep_their_own() -> None:
    assert set(helm.chart_values("1.19.10", "op", "", {})["rook-ceph"]) == {"image", "crds"}
