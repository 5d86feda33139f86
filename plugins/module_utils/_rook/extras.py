# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands beside the cluster: Ceph's own settings, the toolbox, the way to the dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._core.errors import BadInput, Refused
from . import pod

_SECTION = re.compile(r"(?:global|(?:mon|mgr|osd|mds|client)(?:\.[A-Za-z0-9._-]+)?)", re.ASCII)
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,79}", re.ASCII)
# Rook sets these itself; another value would part the daemons from it.
_OWNED = {"fsid", "keyring", "mon_host", "mon_initial_members", "public_addr", "cluster_addr"}
_DASHBOARD_KEYS = {"enabled", "ssl", "port", "expose", "host", "path", "class_name", "tls_secret", "annotations", "parent_refs"}


def config_override(given: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The ConfigMap with Ceph's settings, from ``{section: {setting: value}}``; raises BadInput."""
    lines: list[str] = []
    for section in sorted(given, key=lambda name: (name != "global", str(name))):
        if not _SECTION.fullmatch(str(section)):
            raise BadInput(
                f"rook_cluster_ceph_config has the section {section!r}.",
                hint="Use global, mon, mgr, osd, mds, client or osd.0.",
            )
        if not isinstance(given[section], Mapping):
            raise BadInput(f"Section {section!r} of rook_cluster_ceph_config is not a mapping.", hint="Write setting: value.")
        lines.append(f"[{section}]")
        lines += [f"{name} = {_value(section, name, given[section][name])}" for name in sorted(given[section], key=str)]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "rook-config-override", "namespace": namespace},
        "data": {"config": "\n".join([*lines, ""])},
    }


def _value(section: str, name: object, value: object) -> str:
    what = f"Setting {name!r} in section {section!r} of rook_cluster_ceph_config"
    if not isinstance(name, str) or not _SETTING.fullmatch(name):
        raise BadInput(f"{what} is no name of a setting.", hint="Write it with underscores, as in osd_pool_default_size.")
    if name in _OWNED:
        raise BadInput(f"{what} belongs to Rook.", hint="Leave it out.")
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if isinstance(value, (str, int, float)) else ""
    if not text.strip() or re.search(r"[\r\n#;]", text):
        raise BadInput(f"{what} has the value {value!r}.", hint="Give a number, a truth value or one line of text.")
    return text


def toolbox(namespace: str, image: str) -> dict[str, Any]:
    """A Deployment in which ``ceph`` works. The image is the cluster's own, so that an upgrade takes it along."""
    labels = {"app": "rook-ceph-tools"}
    pod_spec = pod.around(pod.client("rook-ceph-tools", image, ["sleep", "infinity"], {}))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "rook-ceph-tools", "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec},
        },
    }


def dashboard(given: Mapping[str, Any], namespace: str, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """An Ingress or an HTTPRoute to the dashboard, or nothing; raises BadInput and Refused. ``kinds``: CRDs that exist."""
    unknown = sorted(str(key) for key in given.keys() - _DASHBOARD_KEYS)
    if unknown:
        known = ", ".join(sorted(_DASHBOARD_KEYS))
        raise BadInput(f"rook_cluster_dashboard has the unknown key {unknown[0]!r}.", hint=f"Known are {known}.")
    expose = given.get("expose") or "none"
    if expose not in ("none", "ingress", "route"):
        raise BadInput(f"rook_cluster_dashboard, expose is {expose!r}.", hint="Choose none, ingress or route.")
    port = given.get("port", 0)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise BadInput(f"rook_cluster_dashboard, port is {port!r}.", hint="Give a number from 1 to 65535.")
    if expose == "none":
        return []
    if not given.get("enabled", True):
        raise BadInput("rook_cluster_dashboard is to be exposed but not enabled.", hint="Set enabled: true, or expose: none.")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", str(given.get("host") or ""), re.ASCII):
        raise BadInput(f"rook_cluster_dashboard, host is {given.get('host')!r}.", hint="Give the name people will type.")
    if expose == "ingress":
        return [_ingress(given, namespace)]
    if "httproutes.gateway.networking.k8s.io" not in set(kinds):
        raise Refused("The server does not know HTTPRoutes.", hint="Install the Gateway API, or use expose: ingress.")
    return [_route(given, namespace)]


def _meta(given: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "rook-ceph-mgr-dashboard", "namespace": namespace}
    if given.get("annotations"):
        meta["annotations"] = {str(key): str(value) for key, value in given["annotations"].items()}
    return meta


def _ingress(given: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    port = {"name": "https-dashboard" if given.get("ssl", True) else "http-dashboard"}
    service = {"name": "rook-ceph-mgr-dashboard", "port": port}
    path = {"path": str(given.get("path") or "/"), "pathType": "Prefix", "backend": {"service": service}}
    spec: dict[str, Any] = {"rules": [{"host": given["host"], "http": {"paths": [path]}}]}
    if given.get("class_name"):
        spec["ingressClassName"] = given["class_name"]
    if given.get("tls_secret"):
        spec["tls"] = [{"hosts": [given["host"]], "secretName": given["tls_secret"]}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": _meta(given, namespace), "spec": spec}


def _route(given: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    parents: Sequence[Mapping[str, Any]] = given.get("parent_refs") or []
    if not parents:
        raise BadInput("rook_cluster_dashboard has no parent_refs.", hint="Name the Gateway the route belongs to.")
    port = given.get("port") or (8443 if given.get("ssl", True) else 7000)
    rule = {
        "backendRefs": [{"name": "rook-ceph-mgr-dashboard", "port": port}],
        "matches": [{"path": {"type": "PathPrefix", "value": str(given.get("path") or "/")}}],
    }
    spec = {"hostnames": [given["host"]], "parentRefs": [dict(one) for one in parents], "rules": [rule]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _meta(given, namespace),
        "spec": spec,
    }
