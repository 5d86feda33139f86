# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In Rook's place: follows the CephCluster and its pools, and does with real daemons what Rook's pods would do.

It takes one monitor, one manager, and OSDs on the logical volumes that `storage.nodes` names. As with Rook a skipped device
is no failure: the phase becomes Ready without it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubestead_lab import ceph_objects
from kubestead_lab.ceph_keys import Keys, keep, renew
from kubestead_lab.ceph_nodes import CommandFailed, Host
from kubestead_lab.ceph_objects import Make, Osd, Program, deployment, osd_program, tag_of
from kubestead_lab.ceph_pods import stamp
from kubestead_lab.kube_http import KubeHttp
from kubestead_lab.progress import say
from kubestead_lab.remote import Away

# Objects in other namespaces are nobody's here, so that tests may make some.
NAMESPACE = "rook-ceph"
_KINDS = f"/apis/ceph.rook.io/v1/namespaces/{NAMESPACE}"
_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
# What Rook waits for before it ends a cluster.
_DEPENDENTS = (
    "cephblockpools",
    "cephrbdmirrors",
    "cephfilesystems",
    "cephfilesystemmirrors",
    "cephobjectstores",
    "cephobjectstoreusers",
    "cephobjectzones",
    "cephobjectzonegroups",
    "cephobjectrealms",
    "cephnfses",
    "cephclients",
    "cephbuckettopics",
    "cephbucketnotifications",
    "cephfilesystemsubvolumegroups",
    "cephblockpoolradosnamespaces",
)
_FINALIZER = "cephcluster.ceph.rook.io"
_POOL_FINALIZER = "cephblockpool.ceph.rook.io"
_REFRESH_SECONDS = 10.0
_WAIT_SECONDS = 180.0
# Small machines: one CPU, no spare memory. A busy host makes them stall, of which Ceph would complain for a day.
_SMALL = """
osd_memory_target = 939524096
bluestore_cache_autotune = false
bluestore_cache_size = 33554432
mon_data_avail_warn = 5
bluestore_slow_ops_warn_lifetime = 30
log_file =
mon_cluster_log_file =
"""
# Keyrings and the monitor's first map; what is there already stays, so that a restarted node finds its own.
_BEGIN = """\
set -eu
[ -e /etc/ceph/begun ] && exit 0
rm -rf /etc/ceph/*keyring /var/lib/ceph/mon/ceph-a
ring() { file=$1; shift; ceph-authtool --create-keyring "$file" --gen-key "$@" >/dev/null; }
ring /etc/ceph/mon.keyring -n mon. --cap mon 'allow *'
ring /etc/ceph/ceph.client.admin.keyring -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ring /etc/ceph/bootstrap.keyring -n client.bootstrap-osd --cap mon 'profile bootstrap-osd' --cap mgr 'allow r'
for one in ceph.client.admin bootstrap; do
  ceph-authtool /etc/ceph/mon.keyring --import-keyring "/etc/ceph/$one.keyring" >/dev/null
done
monmaptool --create --clobber --addv a "$2" --fsid "$1" /tmp/lab-monmap >/dev/null
ceph-mon --mkfs -i a --monmap /tmp/lab-monmap --keyring /etc/ceph/mon.keyring
: >/etc/ceph/begun
"""


class NotYet(Exception):
    """What has to be there first is not there; the next look tries again."""


class Operator:
    """The stand-in for Rook's operator."""

    def __init__(self, api: KubeHttp, hosts: Mapping[str, Host], meanwhile: Callable[[], None]) -> None:
        self._api, self._hosts, self._meanwhile = api, hosts, meanwhile
        self._done: dict[str, tuple[object, ...]] = {}
        self._asked = 0.0
        self._complaint = ""

    def look(self) -> None:
        """One look at everything, if Rook's operator is installed and not scaled down."""
        rook = self._api.maybe(f"{_DEPLOYMENTS}/rook-ceph-operator")
        if rook is None or not rook["spec"]["replicas"]:
            return
        for cluster in self._api.items(f"{_KINDS}/cephclusters"):
            try:
                self._cluster(cluster, rook)
                self._complaint = ""
            except (NotYet, CommandFailed) as problem:
                if str(problem) != self._complaint:
                    self._complaint = str(problem)
                    say(f"CephCluster {cluster['metadata']['name']}: {problem}")
                    self._tell(cluster, **ceph_objects.phase_part(cluster, "Failure", str(problem), stamp()))

    @staticmethod
    def _path(thing: Mapping[str, Any], plural: str) -> str:
        return f"{_KINDS}/{plural}/{thing['metadata']['name']}"

    def _tell(self, cluster: Mapping[str, Any], **status: Any) -> None:
        """Write a part of the status; the server refuses what its resource definition does not know."""
        self._api.merge(f"{self._path(cluster, 'cephclusters')}/status", {"status": status})

    def _progress(self, cluster: Mapping[str, Any], message: str) -> None:
        say(f"CephCluster {cluster['metadata']['name']}: {message}")
        self._tell(cluster, **ceph_objects.phase_part(cluster, "Progressing", message, stamp()))

    def _cluster(self, cluster: dict[str, Any], rook: Mapping[str, Any]) -> None:
        if "deletionTimestamp" in cluster["metadata"]:
            self._end(cluster)
            return
        meta = cluster["metadata"]
        now = (meta["generation"], rook["metadata"]["generation"])
        if self._done.get(meta["uid"]) != now:
            self._reconcile(cluster, tag_of(rook["spec"]["template"]["spec"]["containers"][0]["image"]))
            self._done = {meta["uid"]: now}
            self._asked = 0.0
        self._pools(cluster)
        if time.monotonic() - self._asked > _REFRESH_SECONDS:
            self._asked = time.monotonic()
            self._refresh(cluster)

    def _reconcile(self, cluster: dict[str, Any], rook: str) -> None:
        """One daemon after the other, as by Rook: the next one when this one serves again."""
        if _FINALIZER not in cluster["metadata"].get("finalizers", []):
            self._api.merge(self._path(cluster, "cephclusters"), {"metadata": {"finalizers": [_FINALIZER]}})
        nodes, keys = self._nodes(cluster), Keys(cluster)
        self._progress(cluster, "Configuring Ceph Mons")
        fsid = self._monitor(cluster, rook, keys)
        for path, thing in ceph_objects.protected(cluster, fsid).items():
            self._api.apply(path, thing)
        self._progress(cluster, "Configuring Ceph Mgr(s)")
        self._manager(cluster, rook, keys)
        self._progress(cluster, "Configuring Ceph OSDs")
        with ThreadPoolExecutor(len(nodes)) as pool:
            found = list(pool.map(lambda node: self._osds(cluster, node, fsid), nodes))
        self._storage(cluster, rook, keys, [osd for osds in found for osd in osds])
        self._tell(cluster, **ceph_objects.phase_part(cluster, "Ready", "Cluster created successfully", stamp()))

    def _storage(self, cluster: dict[str, Any], rook: str, keys: Keys, osds: list[Osd]) -> None:
        home, due = self._home(cluster), keys.due("osd")
        if due:
            keys.replaced("osd")
        for osd in osds:
            if due:
                keep(self._hosts[osd.node], f"/var/lib/ceph/keys/osd.{osd.number}", renew(home, f"osd.{osd.number}"))
            thing = deployment(cluster, "osd", osd.number, osd.node, osd_program(osd), Make(rook, keys.states["osd"]))
            if self._apply(thing):
                self._wait("clean placement groups", lambda: _is_clean(json.loads(home.monitor("status"))))
        self._tell(cluster, cephx=keys.states)

    def _apply(self, thing: Mapping[str, Any]) -> bool:
        """Whether a daemon that ran is another one now. Server-side apply leaves replicas alone that somebody has set."""
        path = f"{_DEPLOYMENTS}/{thing['metadata']['name']}"
        before = self._api.maybe(path)
        after = self._api.apply(path, thing)
        if not before or before["metadata"]["generation"] == after["metadata"]["generation"]:
            return False
        say(f"{thing['metadata']['name']} is replaced")
        self._wait(f"new {thing['metadata']['name']}", lambda: _is_rolled(self._api.call("GET", path)))
        return True

    def _nodes(self, cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The listed nodes that exist; the others are passed over without a word, as by Rook."""
        nodes = [node for node in cluster["spec"]["storage"].get("nodes") or [] if node["name"] in self._hosts]
        if not nodes:
            raise NotYet("the lab's stand-in for Rook takes storage.nodes only, and none of them is here")
        return nodes

    def _home(self, cluster: Mapping[str, Any]) -> Host:
        """The node of monitor and manager: the first in the list."""
        return self._hosts[min(node["name"] for node in self._nodes(cluster))]

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        """Until it is ready; the pods are looked after meanwhile."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            self._meanwhile()
            try:
                if ready():
                    return
            except (Away, CommandFailed):
                pass
            time.sleep(0.5)
        raise NotYet(f"no {what} after {_WAIT_SECONDS:.0f} s")

    def _monitor(self, cluster: dict[str, Any], rook: str, keys: Keys) -> str:
        home, data = self._home(cluster), f"{cluster['spec']['dataDirHostPath']}/{NAMESPACE}"
        home.set_up(data)
        fsid = home.run("sh", "-c", f"cat {data}/fsid 2>/dev/null || true").strip() or str(uuid.uuid4())
        address = f"[v2:{home.node.address}:3300,v1:{home.node.address}:6789]"
        config = f"[global]\nfsid = {fsid}\nmon_host = {address}\n{_SMALL}{self._override()}"
        home.run("tee", f"{data}/fsid", stdin=fsid)
        home.run("tee", f"{data}/etc/ceph.conf", stdin=config)
        home.ceph("sh", "-c", _BEGIN, "sh", fsid, address)
        if keys.due("mon"):
            keep(home, "/var/lib/ceph/mon/ceph-a/keyring", renew(home, "mon."))
            keys.replaced("mon")
        program = Program((), ("ceph-mon", "--foreground", "--id", "a"), "rook-ceph-default", {})
        self._apply(deployment(cluster, "mon", "a", home.node.name, program, Make(rook, keys.states["mon"])))
        self._wait("monitor", lambda: "a" in json.loads(home.monitor("quorum_status"))["quorum_names"])
        if keys.due("admin"):
            keep(home, "/etc/ceph/ceph.client.admin.keyring", renew(home, "client.admin"))
            home.log_in_again()
            keys.replaced("admin")
        self._tell(cluster, cephx=keys.states)
        for node in self._nodes(cluster):
            host = self._hosts[node["name"]]
            host.set_up(data)
            for file in ("etc/ceph.conf", "etc/ceph.client.admin.keyring"):
                host.run("tee", f"{data}/{file}", stdin=home.run("cat", f"{data}/{file}"))
            host.run("tee", f"{data}/lib/bootstrap-osd/ceph.keyring", stdin=home.run("cat", f"{data}/etc/bootstrap.keyring"))
        keyring = home.run("cat", f"{data}/etc/ceph.client.admin.keyring")
        for path, secret in ceph_objects.secrets(cluster, address, keyring).items():
            self._api.apply(path, secret)
        self._settings(home, cluster)
        return fsid

    def _override(self) -> str:
        """What the user adds to Ceph's configuration, as Rook takes it."""
        found = self._api.maybe(f"/api/v1/namespaces/{NAMESPACE}/configmaps/rook-config-override")
        return str(((found or {}).get("data") or {}).get("config") or "")

    @staticmethod
    def _settings(home: Host, cluster: Mapping[str, Any]) -> None:
        wanted = {"mon_allow_pool_delete": "true", "auth_allow_insecure_global_id_reclaim": "false"}
        kind = cluster["spec"].get("security", {}).get("cephx", {}).get("csi", {}).get("keyType")
        if kind == "aes":
            wanted["mon_auth_allow_insecure_key"] = "true"
            home.monitor("mon set", name="auth_allowed_ciphers", value="aes,aes256k")
        for name, value in wanted.items():
            home.monitor("config set", who="mon", name=name, value=value)
        there = {one["entity"] for one in json.loads(home.monitor("auth ls"))["auth_dump"]}
        # Another type makes no other key of one that is there.
        for user in sorted({"client.csi-rbd-node", "client.csi-rbd-provisioner"} - there):
            caps = ["mon", "profile rbd", "osd", "profile rbd"]
            home.monitor("auth get-or-create", entity=user, caps=caps, **({"key_type": kind} if kind else {}))

    def _manager(self, cluster: dict[str, Any], rook: str, keys: Keys) -> None:
        home = self._home(cluster)
        if keys.due("mgr"):
            renew(home, "mgr.a")
            keys.replaced("mgr")
        caps = ["mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"]
        key = json.loads(home.monitor("auth get-or-create", entity="mgr.a", caps=caps))[0]["key"]
        ring = f"[mgr.a]\n\tkey = {key}\n"
        home.ceph("sh", "-c", "mkdir -p /var/lib/ceph/mgr/ceph-a && cat >/var/lib/ceph/mgr/ceph-a/keyring", stdin=ring)
        program = Program((), ("ceph-mgr", "--foreground", "--id", "a"), "rook-ceph-mgr", {})
        self._apply(deployment(cluster, "mgr", "a", home.node.name, program, Make(rook, keys.states["mgr"])))
        self._tell(cluster, cephx=keys.states)
        # It goes on starting while the OSDs are prepared.
        self._wait("manager", lambda: "rook-ceph-mgr-a" in (home.units() or {}))

    def _osds(self, cluster: Mapping[str, Any], node: Mapping[str, Any], fsid: str) -> list[Osd]:
        """What the prepare job of a node does: OSDs on the listed devices that have none."""
        host, spec = self._hosts[node["name"]], cluster["spec"]["storage"]
        osds = host.osds(fsid)
        fresh = [device for device in node.get("devices") or [] if device["name"] not in {osd.path for osd in osds}]
        for device in fresh:
            config = {**(spec.get("config") or {}), **(node.get("config") or {}), **(device.get("config") or {})}
            skipped = host.prepare(device["name"], config)
            if skipped:
                say(f"rook-ceph-osd-prepare-{node['name']}: {skipped}")
        return host.osds(fsid) if fresh else osds

    def _refresh(self, cluster: dict[str, Any]) -> None:
        """Ask Ceph, and tell."""
        home, now = self._home(cluster), stamp()
        before = (cluster.get("status") or {}).get("ceph") or {}
        try:
            told, versions = json.loads(home.monitor("status")), self._versions(home)
            classes = json.loads(home.monitor("osd crush class ls"))
            planned = len(json.loads(home.monitor("osd ls")))
        except (Away, CommandFailed) as problem:
            self._tell(cluster, ceph=ceph_objects.unreached(before, f"failed to get status. {problem}", now))
            return
        image = {"image": cluster["spec"]["cephVersion"]["image"], "version": ceph_objects.version_of(versions)}
        storage = {"deviceClasses": [{"name": name} for name in classes], "osd": {"storeType": {"bluestore": planned}}}
        part = ceph_objects.ceph_part(before, told, versions, now)
        # A merge patch takes away a warning that is over only if it is told to.
        part["details"] = {**dict.fromkeys(before.get("details") or {}), **part["details"]}
        for kind, counted in (before.get("versions") or {}).items():
            part["versions"][kind] = {**dict.fromkeys(counted), **part["versions"].get(kind, {})}
        self._tell(cluster, ceph=part, version=image, storage=storage)

    @staticmethod
    def _versions(home: Host) -> dict[str, dict[str, int]]:
        """`ceph versions`, with the numbers by which the daemons call themselves."""
        told: dict[str, dict[str, int]] = json.loads(home.monitor("versions"))
        for kind in set(told) - {"overall"}:
            short = json.loads(home.monitor(f"{kind} count-metadata", property="ceph_version_short"))
            told[kind] = ceph_objects.renamed(next(iter(told[kind])), short) if told[kind] else {}
        every = [one for kind in set(told) - {"overall"} for one in told[kind].items()]
        return {**told, "overall": {text: sum(count for name, count in every if name == text) for text, _count in every}}

    def _pools(self, cluster: Mapping[str, Any]) -> None:
        home = self._home(cluster)
        for pool in self._api.items(f"{_KINDS}/cephblockpools"):
            meta, name = pool["metadata"], pool["spec"].get("name") or pool["metadata"]["name"]
            if "deletionTimestamp" in meta:
                if name in json.loads(home.monitor("osd pool ls")):
                    home.monitor("osd pool delete", pool=name, pool2=name, yes_i_really_really_mean_it=True)
                self._api.merge(self._path(pool, "cephblockpools"), {"metadata": {"finalizers": None}})
            elif self._done.get(meta["uid"]) != (meta["generation"],):
                self._pool(home, pool, name)
                self._done[meta["uid"]] = (meta["generation"],)

    def _pool(self, home: Host, pool: Mapping[str, Any], name: str) -> None:
        spec, meta = pool["spec"], pool["metadata"]
        if _POOL_FINALIZER not in meta.get("finalizers", []):
            self._api.merge(self._path(pool, "cephblockpools"), {"metadata": {"finalizers": [_POOL_FINALIZER]}})
        rule = {"root": spec.get("crushRoot") or "default", "type": spec.get("failureDomain") or "host"}
        if spec.get("deviceClass"):
            rule["class"] = spec["deviceClass"]
        home.monitor("osd crush rule create-replicated", name=name, **rule)
        home.monitor("osd pool create", pool=name, pool_type="replicated", rule=name)
        size = spec.get("replicated", {}).get("size", 3)
        home.monitor("osd pool set", pool=name, var="size", val=str(size), yes_i_really_mean_it=True)
        home.monitor("osd pool application enable", pool=name, app="rbd", yes_i_really_mean_it=True)
        told = {"phase": "Ready", "observedGeneration": meta["generation"]}
        self._api.merge(f"{self._path(pool, 'cephblockpools')}/status", {"status": told})
        say(f"pool {name}: ready")

    def _end(self, cluster: Mapping[str, Any]) -> None:
        """Deletion waits for what depends on the cluster; then the daemons end, and what they wrote stays."""
        left = self._dependents()
        if left:
            self._pools(cluster)
            self._tell(cluster, **ceph_objects.blocked(left))
            return
        selector = f"labelSelector=rook_cluster={NAMESPACE},ceph_daemon_type"
        for one in self._api.items(f"{_DEPLOYMENTS}?{selector}"):
            self._api.call("DELETE", f"{_DEPLOYMENTS}/{one['metadata']['name']}")
        if self._api.items(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}"):
            return  # a pod would be started again, as by its kubelet
        for host in self._hosts.values():
            host.end()
        for path in ceph_objects.protected(cluster, ""):
            if self._api.maybe(path):
                self._api.merge(path, {"metadata": {"finalizers": None}})
        self._api.merge(self._path(cluster, "cephclusters"), {"metadata": {"finalizers": None}})
        say(f"CephCluster {cluster['metadata']['name']}: ended")

    def _dependents(self) -> list[str]:
        """Objects that stand on the cluster, and volumes of its drivers, in all namespaces."""
        found = [
            f"{plural}/{one['metadata']['name']}" for plural in _DEPENDENTS for one in self._api.items(f"{_KINDS}/{plural}")
        ]
        for one in self._api.items("/api/v1/persistentvolumes"):
            csi = one["spec"].get("csi") or {}
            if (
                csi.get("driver", "").endswith(".csi.ceph.com")
                and csi.get("volumeAttributes", {}).get("clusterID") == NAMESPACE
            ):
                found.append(f"persistentvolumes/{one['metadata']['name']}")
        return found


def _is_rolled(thing: Mapping[str, Any]) -> bool:
    """Whether all pods of a Deployment are its present ones and ready."""
    wanted, told = thing["spec"]["replicas"], thing.get("status") or {}
    current = told.get("observedGeneration", 0) >= thing["metadata"]["generation"]
    return bool(current and min(told.get(name, 0) for name in ("updatedReplicas", "readyReplicas")) >= wanted)


def _is_clean(told: Mapping[str, Any]) -> bool:
    """From `ceph status`: all OSDs are up, and all placement groups active and clean."""
    osds, groups = told["osdmap"], told["pgmap"].get("pgs_by_state", [])
    return bool(osds["num_up_osds"] == osds["num_osds"] and all(one["state_name"] == "active+clean" for one in groups))
