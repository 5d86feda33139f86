# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with everything on it in an API in memory, beside somebody else's, and an operator that takes finalizers away."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import Clock
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.rook_teardown import RookTeardownFlow
from ansible_collections.kubestead.platform.plugins.module_utils._rook.dependents import KINDS, OPERATOR

from fakes.kube_api import FakeKubeApi

NS = "rook-ceph"
CEPH = f"/apis/ceph.rook.io/v1/namespaces/{NS}"
CLUSTER = f"{CEPH}/cephclusters/rook-ceph"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NS}/deployments"
CLASS = "/apis/storage.k8s.io/v1/storageclasses/ceph-block"
CLAIM = "/api/v1/namespaces/team/persistentvolumeclaims/data"
VOLUME = "/api/v1/persistentvolumes/pvc-1"
SNAP = "/apis/snapshot.storage.k8s.io/v1"
BUCKET = "/apis/objectbucket.io/v1alpha1"
PROTECTED = ("secrets/rook-ceph-mon", "configmaps/rook-ceph-mon-endpoints")
CLAIMED = "PersistentVolumeClaim team/data"
PARAMS: dict[str, Any] = {
    "namespace": NS,
    "name": "rook-ceph",
    "operator_namespace": None,
    "confirm": "rook-ceph",
    "consumers": [],
    "cleanup_jobs": False,
    "force_deletion": False,
    "wait_timeout": 60,
    "concurrency": 4,
}


class Ended(BaseException):
    """The process was ended here."""


class World:
    """``runs``: whether the operator works. ``deleted`` are paths in the order in which they were gone."""

    def __init__(self, *, runs: bool = True) -> None:
        self.api = FakeKubeApi()
        self.seconds = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        self.api.put(CLUSTER, {"spec": {"dataDirHostPath": "/var/lib/rook"}, "status": {"ceph": {"fsid": "f-1"}}})
        self.keep(CLUSTER, "cephcluster.ceph.rook.io")
        self.put(f"{DEPLOYMENTS}/rook-ceph-operator", spec={"replicas": 1 if runs else 0})
        self.put(f"{DEPLOYMENTS}/ceph-csi-controller-manager", spec={"replicas": 0})
        for kind in PROTECTED:
            self.put(f"/api/v1/namespaces/{NS}/{kind}")
            self.keep(f"/api/v1/namespaces/{NS}/{kind}", "ceph.rook.io/disaster-protection")
        self.put(f"/api/v1/namespaces/{NS}/pods/rook-ceph-osd-0", labels={"rook_cluster": NS})

    def put(self, path: str, *, labels: dict[str, str] | None = None, **body: Any) -> None:
        self.api.put(path, {"metadata": {"labels": labels or {}}, **body})

    def keep(self, path: str, finalizer: str) -> None:
        self.api.objects[path]["metadata"]["finalizers"] = [finalizer]

    def furnish(self) -> World:
        """One of everything."""
        for plural in KINDS:
            self.put(f"{CEPH}/{plural}/one")
            self.keep(f"{CEPH}/{plural}/one", f"{plural[:-1]}.ceph.rook.io")
        driver = f"{NS}.rbd.csi.ceph.com"
        self.put(CLASS, provisioner=driver, parameters={"clusterID": NS})
        self.put(f"{SNAP}/volumesnapshotclasses/block", driver=driver, parameters={"clusterID": NS})
        bucket = {"provisioner": f"{NS}.ceph.rook.io/bucket", "parameters": {"objectStoreNamespace": NS}}
        self.put("/apis/storage.k8s.io/v1/storageclasses/bucket", **bucket)
        self.put(f"{DEPLOYMENTS}/rook-ceph-tools")
        self.put(f"/api/v1/namespaces/{NS}/configmaps/rook-config-override")
        csi = f"/apis/csi.ceph.io/v1/namespaces/{NS}"
        self.put(f"{csi}/cephconnections/{NS}")
        self.put(f"{csi}/clientprofiles/{NS}", spec={"cephConnectionRef": {"name": NS}})
        self.keep(f"{csi}/clientprofiles/{NS}", "csi.ceph.com/cleanup")
        return self

    def consume(self) -> World:
        """Somebody's claim with its volume."""
        self.put("/api/v1/namespaces/team")
        self.put(CLAIM, spec={"volumeName": "pvc-1", "storageClassName": "ceph-block"})
        csi = {"driver": f"{NS}.rbd.csi.ceph.com", "volumeAttributes": {"clusterID": NS}}
        self.put(VOLUME, spec={"csi": csi, "claimRef": {"namespace": "team", "name": "data"}, "storageClassName": "ceph-block"})
        return self

    def neighbours(self) -> set[str]:
        """Another cluster with the same drivers, and things that only look alike; their paths."""
        before = set(self.api.objects)
        other = "/apis/ceph.rook.io/v1/namespaces/other"
        self.put(f"{other}/cephclusters/other")
        for plural in KINDS:
            self.put(f"{other}/{plural}/one")
        driver = f"{NS}.rbd.csi.ceph.com"
        self.put("/apis/storage.k8s.io/v1/storageclasses/other", provisioner=driver, parameters={"clusterID": "other"})
        self.put("/apis/storage.k8s.io/v1/storageclasses/local", provisioner="kubernetes.io/no-provisioner")
        alike = {"provisioner": "rbd.csi.ceph.com", "parameters": {"clusterID": NS}}
        self.put("/apis/storage.k8s.io/v1/storageclasses/plain-ceph", **alike)
        csi = {"driver": driver, "volumeAttributes": {"clusterID": "other"}}
        self.put("/api/v1/persistentvolumes/theirs", spec={"csi": csi, "storageClassName": "ceph-block"})
        self.put("/api/v1/persistentvolumes/disk", spec={"local": {"path": "/dev/sda"}})
        self.put("/api/v1/namespaces/elsewhere")
        theirs = {"volumeName": "theirs", "storageClassName": "ceph-block"}
        self.put("/api/v1/namespaces/elsewhere/persistentvolumeclaims/data", spec=theirs)
        self.put("/api/v1/namespaces/other/secrets/rook-ceph-mon")
        self.put("/api/v1/namespaces/other/pods/rook-ceph-osd-0", labels={"rook_cluster": "other"})
        self.put(f"/apis/csi.ceph.io/v1/namespaces/{NS}/clientprofiles/other", spec={"cephConnectionRef": {"name": "other"}})
        return set(self.api.objects) - before

    def sleep(self, seconds: float) -> None:
        """Time passes: the operator and the garbage collector work."""
        with self.api.lock:
            self.seconds += seconds
            self.meanwhile()
            self._work()

    def _work(self) -> None:
        operator = self.api.objects.get(f"{DEPLOYMENTS}/{OPERATOR}")
        if operator is not None and operator["spec"]["replicas"]:
            self._operate()
        pods = [path for path in self.api.objects if path.startswith(f"/api/v1/namespaces/{NS}/pods/")]
        if CLUSTER not in self.api.objects:
            for path in pods:
                self.api.drop(path)

    def _operate(self) -> None:
        """As Rook: a cluster with dependents stays, and so does a pool that something stands on."""
        going = [path for path, one in self.api.objects.items() if "deletionTimestamp" in one["metadata"]]
        for path in sorted(going):
            blocked = [f"{plural}/one" for plural in KINDS if path == CLUSTER and f"{CEPH}/{plural}/one" in self.api.objects]
            if blocked:
                row = {"type": "DeletionIsBlocked", "status": "True", "message": f"dependents: {blocked[0]}"}
                self.api.objects[path]["status"] = {"conditions": [row]}
            elif "ceph.rook.io" in path:
                self.api.drop(path)
                if path == CLUSTER:
                    for kind in PROTECTED:
                        self.api.objects[f"/api/v1/namespaces/{NS}/{kind}"]["metadata"].pop("finalizers")

    def run(self, *, check: bool = False, **options: Any) -> Run:
        flow = self.flow(**options)
        plan = flow.decide(flow.observe())
        return Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)

    def flow(self, **options: Any) -> RookTeardownFlow:
        clock = Clock(lambda: self.seconds, self.sleep)
        return RookTeardownFlow.from_params({**PARAMS, **options}, self.api, clock)


def actions(run: Run) -> dict[str, str]:
    """The action of each entry, by kind and name."""
    return {f"{one.kind} {one.name}": "failed" if one.error else one.action for one in settle(run)}


def errors(run: Run) -> str:
    """All failures in one text."""
    return " ".join(one.error.sentence() for one in settle(run) if one.error)
