# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a CephCluster and beside it, recognised in whole lists: nothing of another cluster is ever taken for its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

Obj = Mapping[str, Any]

OPERATOR = "rook-ceph-operator"
CSI_OPERATOR = "ceph-csi-controller-manager"
CEPH = "/apis/ceph.rook.io/v1"
CLUSTERS = f"{CEPH}/cephclusters"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = "/api/v1/persistentvolumeclaims"
SNAPSHOT_CLASSES = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"
CONTENTS = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents"
SNAPSHOTS = "/apis/snapshot.storage.k8s.io/v1/volumesnapshots"
BUCKETS = "/apis/objectbucket.io/v1alpha1/objectbuckets"
BUCKET_CLAIMS = "/apis/objectbucket.io/v1alpha1/objectbucketclaims"
CSI = "/apis/csi.ceph.io/v1"

# The order in which things go; each stage is gone before the next one begins.
CONSUMERS, DATA, USERS, ACCOUNTS, POOLS, ZONES, GROUPS, REALMS, STORAGE_CLASSES, BESIDE, CLUSTER, REMAINS, LOCAL = STAGES = (
    "consumers",
    "volumes",
    "users",
    "accounts",
    "pools",
    "zones",
    "zone groups",
    "realms",
    "storage classes",
    "beside the cluster",
    "cluster",
    "remains",
    "local volumes",
)
# Kinds of ceph.rook.io in the cluster's namespace: what uses a pool, a filesystem or a store goes before it.
KINDS = {
    "cephobjectstoreusers": ("CephObjectStoreUser", USERS),
    "cephbucketnotifications": ("CephBucketNotification", USERS),
    "cephbuckettopics": ("CephBucketTopic", USERS),
    "cephclients": ("CephClient", USERS),
    "cephcosidrivers": ("CephCOSIDriver", USERS),
    "cephblockpoolradosnamespaces": ("CephBlockPoolRadosNamespace", USERS),
    "cephfilesystemsubvolumegroups": ("CephFilesystemSubVolumeGroup", USERS),
    "cephrbdmirrors": ("CephRBDMirror", USERS),
    "cephfilesystemmirrors": ("CephFilesystemMirror", USERS),
    "cephnfses": ("CephNFS", USERS),
    "cephnvmeofgateways": ("CephNVMeOFGateway", USERS),
    "cephobjectstoreaccounts": ("CephObjectStoreAccount", ACCOUNTS),
    "cephobjectstores": ("CephObjectStore", POOLS),
    "cephfilesystems": ("CephFilesystem", POOLS),
    "cephblockpools": ("CephBlockPool", POOLS),
    "cephobjectzones": ("CephObjectZone", ZONES),
    "cephobjectzonegroups": ("CephObjectZoneGroup", GROUPS),
    "cephobjectrealms": ("CephObjectRealm", REALMS),
}
# What Rook deletes with data inside if an annotation says so.
FORCIBLE = frozenset({"CephBlockPool", "CephBlockPoolRadosNamespace", "CephFilesystemSubVolumeGroup"})
# Of our role's own making, without an owner.
_BESIDE = (
    ("Deployment", "/apis/apps/v1", "deployments", "rook-ceph-tools"),
    ("Ingress", "/apis/networking.k8s.io/v1", "ingresses", "rook-ceph-mgr-dashboard"),
    ("HTTPRoute", "/apis/gateway.networking.k8s.io/v1", "httproutes", "rook-ceph-mgr-dashboard"),
    ("ConfigMap", "/api/v1", "configmaps", "rook-config-override"),
)
# Protected by Rook from being deleted by mistake.
_REMAINS = (
    ("Secret", "/api/v1", "secrets", "rook-ceph-mon"),
    ("ConfigMap", "/api/v1", "configmaps", "rook-ceph-mon-endpoints"),
)
# Rook's drivers are called after the namespace of an operator. Which cluster they speak to says the cluster id, so also
# one of another operator than the teardown was told of holds data in this cluster.
_DRIVER = re.compile(r"[a-z0-9-]+\.(?:rbd|cephfs|nfs)\.csi\.ceph\.com", re.ASCII)
_CLAIM_OF = {"PersistentVolume": "claimRef", "VolumeSnapshotContent": "volumeSnapshotRef", "ObjectBucket": "claimRef"}


@dataclass(frozen=True)
class Place:
    """The cluster, and the namespace of the operators."""

    namespace: str
    name: str
    operator_namespace: str

    @property
    def drivers(self) -> tuple[str, ...]:
        """The storage drivers of this operator."""
        return tuple(f"{self.operator_namespace}.{kind}.csi.ceph.com" for kind in ("rbd", "cephfs", "nfs"))

    @property
    def keepers(self) -> tuple[str, ...]:
        """The Deployments that take finalizers away."""
        return (OPERATOR, CSI_OPERATOR, *(f"{driver}-ctrlplugin" for driver in self.drivers))

    def single(self) -> dict[str, tuple[str, str]]:
        """Single objects to read: kind and stage by path."""
        rows = [*((*row, BESIDE) for row in _BESIDE), *((*row, REMAINS) for row in _REMAINS)]
        return {
            f"{base}/namespaces/{self.namespace}/{plural}/{name}": (kind, stage) for kind, base, plural, name, stage in rows
        }

    def lists(self) -> tuple[str, ...]:
        """The collections to read, each whole."""
        everywhere = (CLUSTERS, CLASSES, VOLUMES, CLAIMS, SNAPSHOT_CLASSES, CONTENTS, SNAPSHOTS, BUCKETS, BUCKET_CLAIMS)
        csi = (f"{CSI}/namespaces/{self.operator_namespace}/{plural}" for plural in ("cephconnections", "clientprofiles"))
        return (*everywhere, *(f"{CEPH}/namespaces/{self.namespace}/{plural}" for plural in KINDS), *csi)


@dataclass(frozen=True)
class Thing:
    """One object that is to go. ``claim`` is the word for the consumer whose data it is; ``keeper`` the Deployment that
    takes its finalizers away."""

    kind: str
    namespace: str
    name: str
    path: str
    uid: str
    stage: str
    keeper: str = ""
    claim: str = ""

    @property
    def label(self) -> str:
        """``team/data``, or the name of what is in no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def word(self) -> str:
        """``PersistentVolumeClaim team/data``: what a consent says."""
        return f"{self.kind} {self.label}"


@dataclass(frozen=True)
class World:
    """The lists by path, single objects by path."""

    lists: Mapping[str, tuple[Obj, ...]]
    single: Mapping[str, Obj] = field(default_factory=dict)

    def of(self, path: str) -> tuple[Obj, ...]:
        """The objects of a collection."""
        return self.lists.get(path, ())


def cluster_of(place: Place, world: World) -> Optional[Obj]:
    """The CephCluster itself."""
    mine = (one for one in world.of(CLUSTERS) if _namespace(one) == place.namespace and _name(one) == place.name)
    return next(mine, None)


def other_clusters(place: Place, world: World) -> list[str]:
    """All others, as namespace/name."""
    named = (f"{_namespace(one)}/{_name(one)}" for one in world.of(CLUSTERS))
    return sorted(name for name in named if name != f"{place.namespace}/{place.name}")


def things(place: Place, world: World) -> list[Thing]:
    """Everything that goes with the cluster, by stages."""
    found = [
        *_consumers(place, world),
        *_kinds(place, world),
        *_classes(place, world),
        *_single(place, world),
        *_cluster(place, world),
        *_csi(place, world),
        *_local_volumes(place, world),
    ]
    return sorted(found, key=lambda one: (STAGES.index(one.stage), one.kind, one.label))


def _consumers(place: Place, world: World) -> Iterator[Thing]:
    """Claims, and the volumes with their data."""
    ours, names = _own_classes(place, world), _class_names(place, world)
    volumes = [one for one in world.of(VOLUMES) if _is_own_volume(one, place, world, names)]
    snapshots = {_name(one) for one in _snapshot_classes(place, world)}
    contents = [one for one in world.of(CONTENTS) if _is_own_content(one, snapshots)]
    stores = {_name(one) for one in ours if _is_bucket_class(one)}
    buckets = [one for one in world.of(BUCKETS) if (one.get("spec") or {}).get("storageClassName") in stores]
    rows = (
        ("PersistentVolumeClaim", CLAIMS, "volumeName", "storageClassName", volumes, names),
        ("VolumeSnapshot", SNAPSHOTS, "", "volumeSnapshotClassName", contents, snapshots),
        ("ObjectBucketClaim", BUCKET_CLAIMS, "objectBucketName", "storageClassName", buckets, stores),
    )
    for kind, path, volume_key, class_key, data, classes in rows:
        bound = {_name(one) for one in data}
        for one in world.of(path):
            spec = one.get("spec") or {}
            volume = str(spec.get(volume_key) or (one.get("status") or {}).get("boundVolumeSnapshotContentName") or "")
            if volume in bound or (not volume and spec.get(class_key) in classes):
                yield _thing(kind, one, path, CONSUMERS, OPERATOR if kind == "ObjectBucketClaim" else "")
    for one in volumes:
        driver = one["spec"]["csi"]["driver"]
        yield _thing("PersistentVolume", one, VOLUMES, DATA, f"{driver}-ctrlplugin" if driver in place.drivers else "")
    for one in contents:
        yield _thing("VolumeSnapshotContent", one, CONTENTS, DATA)
    for one in buckets:
        yield _thing("ObjectBucket", one, BUCKETS, DATA, OPERATOR)


def _kinds(place: Place, world: World) -> Iterator[Thing]:
    for plural, (kind, stage) in KINDS.items():
        path = f"{CEPH}/namespaces/{place.namespace}/{plural}"
        for one in world.of(path):
            yield _thing(kind, one, f"{CEPH}/{plural}", stage, OPERATOR)


def _classes(place: Place, world: World) -> Iterator[Thing]:
    for one in _own_classes(place, world):
        yield _thing("StorageClass", one, CLASSES, STORAGE_CLASSES)
    for one in _snapshot_classes(place, world):
        yield _thing("VolumeSnapshotClass", one, SNAPSHOT_CLASSES, STORAGE_CLASSES)


def _single(place: Place, world: World) -> Iterator[Thing]:
    for path, (kind, stage) in place.single().items():
        if path in world.single:
            one = world.single[path]
            keeper = OPERATOR if stage == REMAINS else ""
            yield Thing(kind, place.namespace, _name(one), path, _uid(one), stage, keeper)


def _cluster(place: Place, world: World) -> Iterator[Thing]:
    one = cluster_of(place, world)
    if one is not None:
        yield _thing("CephCluster", one, CLUSTERS, CLUSTER, OPERATOR)


def _csi(place: Place, world: World) -> Iterator[Thing]:
    """What Rook tells the drivers of the cluster: the connection bears the name of its namespace."""
    base = f"{CSI}/namespaces/{place.operator_namespace}"
    for one in world.of(f"{base}/clientprofiles"):
        if ((one.get("spec") or {}).get("cephConnectionRef") or {}).get("name") == place.namespace:
            yield _thing("ClientProfile", one, f"{CSI}/clientprofiles", REMAINS, CSI_OPERATOR)
    for one in world.of(f"{base}/cephconnections"):
        if _name(one) == place.namespace:
            yield _thing("CephConnection", one, f"{CSI}/cephconnections", REMAINS, CSI_OPERATOR)


def _local_volumes(place: Place, world: World) -> Iterator[Thing]:
    """Volumes that the role made of the nodes' devices for OSDs on claims, if this cluster or nobody has claimed them."""
    for one in world.of(VOLUMES):
        spec = one.get("spec") or {}
        made = "kubestead.platform/device-class" in (one["metadata"].get("labels") or {}) and "local" in spec
        if made and (spec.get("claimRef") or {}).get("namespace", place.namespace) == place.namespace:
            yield _thing("PersistentVolume", one, VOLUMES, LOCAL)


def _own_classes(place: Place, world: World) -> list[Obj]:
    return [one for one in world.of(CLASSES) if _is_own_class(one, "provisioner", place, world)]


def _snapshot_classes(place: Place, world: World) -> list[Obj]:
    return [one for one in world.of(SNAPSHOT_CLASSES) if _is_own_class(one, "driver", place, world)]


def _is_own_class(one: Obj, key: str, place: Place, world: World) -> bool:
    parameters = one.get("parameters") or {}
    if _is_bucket_class(one):
        return parameters.get("objectStoreNamespace") == place.namespace
    return _is_rooks(one.get(key)) and parameters.get("clusterID") in _cluster_ids(place, world)


def _is_rooks(driver: object) -> bool:
    return isinstance(driver, str) and _DRIVER.fullmatch(driver) is not None


def _is_bucket_class(one: Obj) -> bool:
    return str(one.get("provisioner") or "").endswith(".ceph.rook.io/bucket")


def _class_names(place: Place, world: World) -> set[str]:
    return {_name(one) for one in _own_classes(place, world) if not _is_bucket_class(one)}


def _cluster_ids(place: Place, world: World) -> set[str]:
    """By what classes and volumes name the cluster: its namespace, and the ids of parts of its pools and filesystems."""
    parts = ("cephblockpoolradosnamespaces", "cephfilesystemsubvolumegroups")
    found = (one for plural in parts for one in world.of(f"{CEPH}/namespaces/{place.namespace}/{plural}"))
    ids = (((one.get("status") or {}).get("info") or {}).get("clusterID") for one in found)
    return {place.namespace, *(str(one) for one in ids if one)}


def _is_own_volume(one: Obj, place: Place, world: World, classes: Iterable[str]) -> bool:
    spec = one.get("spec") or {}
    csi = spec.get("csi") or {}
    if not _is_rooks(csi.get("driver")):
        return False
    cluster = (csi.get("volumeAttributes") or {}).get("clusterID")
    return cluster in _cluster_ids(place, world) if cluster else spec.get("storageClassName") in set(classes)


def _is_own_content(one: Obj, classes: Iterable[str]) -> bool:
    spec = one.get("spec") or {}
    return _is_rooks(spec.get("driver")) and spec.get("volumeSnapshotClassName") in set(classes)


def _thing(kind: str, one: Obj, collection: str, stage: str, keeper: str = "") -> Thing:
    base, _slash, plural = collection.rpartition("/")
    namespace, name = _namespace(one), _name(one)
    path = f"{base}/namespaces/{namespace}/{plural}/{name}" if namespace else f"{collection}/{name}"
    claim = (one.get("spec") or {}).get(_CLAIM_OF.get(kind, "")) or {}
    word = ""
    if claim.get("name"):
        word = f"{_CLAIM_KINDS[kind]} {claim.get('namespace')}/{claim['name']}"
    return Thing(kind, namespace, name, path, _uid(one), stage, keeper, word)


_CLAIM_KINDS = {
    "PersistentVolume": "PersistentVolumeClaim",
    "VolumeSnapshotContent": "VolumeSnapshot",
    "ObjectBucket": "ObjectBucketClaim",
}


def _name(one: Obj) -> str:
    return str(one["metadata"]["name"])


def _namespace(one: Obj) -> str:
    return str(one["metadata"].get("namespace") or "")


def _uid(one: Obj) -> str:
    return str(one["metadata"].get("uid") or "")
