# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions belong together, in one table with its sources, and the checks that use it.

Paths in ``SOURCES`` are in the repository github.com/rook/rook at the release's tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import BadInput, Refused

Version = tuple[int, ...]

SOURCES = {
    "kubernetes": "Documentation/Getting-Started/Prerequisites/prerequisites.md",
    "ceph": "Documentation/Upgrade/ceph-upgrade.md and pkg/operator/ceph/version/version.go",
    "images": "deploy/examples/images.txt",
    "drivers_chart": "deploy/charts/rook-ceph/Chart.yaml, the version of the subchart ceph-csi-operator",
    "key_type_from": "Documentation/CRDs/Cluster/ceph-cluster-crd.md and deploy/examples/crds.yaml",
    "charts_from": "Documentation/Upgrade/rook-upgrade.md",
    "keys_from": "Documentation/Storage-Configuration/Advanced/cephx-key-rotation.md",
    "checksums": "SHA-256 of deploy/examples/*.yaml in the Go module, whose sum Go's checksum database holds",
}


@dataclass(frozen=True)
class Release:
    """A release of Rook and what goes with it; other patches of its line share all but the operator image and checksums.

    One without checksums is there for clusters that come from it: this collection's tests do not install it. Charts take the
    step to this line from ``charts_from`` on only.
    """

    rook: str
    kubernetes: tuple[Version, Version]
    ceph_floors: Mapping[int, Version]
    drivers_chart: str
    key_type_from: Version
    images: Mapping[str, str]
    checksums: Mapping[str, str] = field(default_factory=dict)
    charts_from: Version = ()

    @property
    def line(self) -> Version:
        """Major and minor number."""
        return parse(self.rook, "Rook's version")[:2]


_SIDECARS = "registry.k8s.io/sig-storage/"
RELEASES = (
    Release(
        rook="1.20.6",
        kubernetes=((1, 31), (1, 36)),
        ceph_floors={19: (19, 2, 0), 20: (20, 2, 1)},
        drivers_chart="1.0.4",
        key_type_from=(1, 20, 5),
        images={
            "operator": "docker.io/rook/ceph:v1.20.6",
            "ceph": "quay.io/ceph/ceph:v20.2.4",
            "csi_operator": "quay.io/cephcsi/ceph-csi-operator:v1.0.4",
            "plugin": "quay.io/cephcsi/cephcsi:v3.17.0",
            "attacher": f"{_SIDECARS}csi-attacher:v4.12.0",
            "registrar": f"{_SIDECARS}csi-node-driver-registrar:v2.17.0",
            "provisioner": f"{_SIDECARS}csi-provisioner:v6.2.0",
            "resizer": f"{_SIDECARS}csi-resizer:v2.1.0",
            "snapshotter": f"{_SIDECARS}csi-snapshotter:v8.5.0",
            "addons": "quay.io/csiaddons/k8s-sidecar:v0.14.0",
        },
        checksums={
            "crds.yaml": "7fa7462d44b35d636703a03a88120030692a06a05ac91ec253200cb4ae8c37cf",
            "common.yaml": "2d59b3093446dcf7dd69c73ebaef2d41e8cdfd14af564c2e885d49ab8d190457",
            "csi-operator.yaml": "de0bf9160c8370220353d7140a4b60ee6d4b8eda5e260f395fd00cbdc1059ffb",
            "operator.yaml": "c69bb7309b6dfc34a1eeab658a1f9c825c7d156fb26dc1a6a824f6a9735761a4",
        },
        charts_from=(1, 19, 5),
    ),
    Release(
        rook="1.19.10",
        kubernetes=((1, 30), (1, 35)),
        ceph_floors={19: (19, 2, 0), 20: (20, 2, 1)},
        drivers_chart="",
        key_type_from=(1, 19, 9),
        images={"operator": "docker.io/rook/ceph:v1.19.10", "ceph": "quay.io/ceph/ceph:v19.2.6"},
    ),
)
DEFAULT = RELEASES[0].rook
# The first Ceph of each major whose keys of daemons cannot be forged from a ticket (CVE-2025-30156): older keys are replaced.
KEYS_FROM: Mapping[int, Version] = {19: (19, 2, 6), 20: (20, 2, 4)}
# From this line on Rook prepares volumes the way Ceph does, and a volume may have a database volume.
VOLUMES_FROM: Version = (1, 20)


def parse(text: object, what: str) -> Version:
    """``v1.20.6`` or ``1.20.6`` as numbers; raises BadInput."""
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})", str(text), re.ASCII)
    if not match:
        raise BadInput(f"{what} is {str(text)[:60]!r}.", hint="Write all three numbers, such as 1.20.6.")
    return tuple(int(number) for number in match.groups())


def shown(version: Version) -> str:
    """A version for people."""
    return ".".join(str(number) for number in version)


def release(version: str = "") -> Release:
    """The row of the table for a version, by default the tested one; raises BadInput and Refused."""
    wanted = parse(version or DEFAULT, "The Rook release")
    for row in RELEASES:
        if row.line == wanted[:2]:
            return row
    known = ", ".join(shown(row.line) for row in RELEASES)
    raise Refused(f"Rook {shown(wanted)} is of a line this collection has not been tested with.", hint=f"Known lines: {known}.")


def release_facts(version: str = "") -> dict[str, Any]:
    """What roles ask of a release: ``rook``, ``images``, ``drivers_chart``, ``checksums``, ``url``.

    A patch that is not in the table keeps the line's images but for the operator's own; its files have no known checksums.
    """
    row, wanted = release(version), shown(parse(version or DEFAULT, "The Rook release"))
    tested = wanted == row.rook and bool(row.checksums)
    return {
        "rook": wanted,
        "tested": tested,
        "images": {**row.images, "operator": f"docker.io/rook/ceph:v{wanted}"},
        "drivers_chart": row.drivers_chart,
        "checksums": dict(row.checksums) if tested else {},
        "url": f"https://raw.githubusercontent.com/rook/rook/v{wanted}/deploy/examples",
    }


def check_kubernetes(rook: str, kubernetes: str) -> None:
    """Raises Refused when this Rook is not made for the server; an unknown server version (empty) is not judged."""
    match = re.match(r"v?(\d+)\.(\d+)", kubernetes, re.ASCII)
    if not match:
        return
    served = (int(match.group(1)), int(match.group(2)))
    oldest, newest = release(rook).kubernetes
    if not oldest <= served <= newest:
        raise Refused(
            f"Kubernetes {shown(served)} does not go with Rook {rook or DEFAULT}.",
            hint=f"That Rook supports {shown(oldest)} to {shown(newest)}.",
        )


def ceph_version(image: str) -> Version:
    """The Ceph version an image's tag names; raises BadInput for a tag that moves or tells nothing."""
    name = image.partition("@")[0]
    tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
    match = re.fullmatch(r"v?(\d{2})\.(\d{1,2})\.(\d{1,3})(?:-[A-Za-z0-9._-]+)?", tag, re.ASCII)
    if not match:
        raise BadInput(
            f"The Ceph image {image!r} does not name one release.",
            hint="Give the full tag, such as quay.io/ceph/ceph:v20.2.4; a tag such as v20 changes the release by itself.",
        )
    return tuple(int(number) for number in match.groups())


def check_ceph(rook: str, image: str, *, allow_unsupported: bool = False) -> Version:
    """The version of the image, if this Rook accepts it; raises BadInput and Refused."""
    version = ceph_version(image)
    check_running_ceph(rook, version, allow_unsupported=allow_unsupported)
    return version


def check_running_ceph(rook: str, version: Version, *, allow_unsupported: bool = False) -> None:
    """Raises Refused for a Ceph that this Rook does not accept."""
    floor = release(rook).ceph_floors.get(version[0])
    if floor is None and not allow_unsupported:
        known = " and ".join(str(major) for major in release(rook).ceph_floors)
        raise Refused(
            f"Ceph {shown(version)} is not supported by Rook {rook or DEFAULT}.",
            hint=f"It takes Ceph {known}; rook_cluster_allow_unsupported_ceph takes others at your risk.",
        )
    if floor is not None and version < floor:
        raise Refused(
            f"Ceph {shown(version)} is older than Rook {rook or DEFAULT} takes.", hint=f"Use {shown(floor)} or newer."
        )


def operator_version(image: Optional[str]) -> Optional[Version]:
    """The release an operator's image is of; None without an image, or when its tag names no release."""
    tag = re.search(r":v?(\d+)\.(\d+)\.(\d+)(?![\w.])", image or "", re.ASCII)
    return tuple(int(part) for part in tag.groups()) if tag else None


def check_operator(rook: str, operator_image: Optional[str]) -> None:
    """Raises Refused when the running operator is of another line than this run is for; None: there is none yet."""
    running, wanted = operator_version(operator_image), parse(rook or DEFAULT, "The Rook release")
    if running is not None and running[:2] != wanted[:2]:
        raise Refused(
            f"The operator that runs is {operator_image}, and this run is for Rook {shown(wanted)}.",
            hint="Run rook_operator for this release first, or set kubestead_rook_release to the one that runs.",
        )


def check_kept(rook: str, operator_image: Optional[str]) -> None:
    """Raises Refused when this run would put another release of Rook over a cluster that exists."""
    running, wanted = operator_version(operator_image), parse(rook or DEFAULT, "The Rook release")
    if running is not None and running != wanted:
        raise Refused(
            f"Rook {shown(running)} looks after a CephCluster, and this run is for Rook {shown(wanted)}.",
            hint="Run the playbook kubestead.platform.upgrade_rook, or set kubestead_rook_release to the release that runs.",
        )


def check_step(operator_image: Optional[str], rook: str, *, charts: bool = False) -> None:
    """Raises Refused for a step of Rook back, or over more than one minor release."""
    running, wanted = operator_version(operator_image), parse(rook or DEFAULT, "The Rook release")
    if running is None:
        return
    if wanted < running:
        raise Refused(f"Rook {shown(running)} runs, which is newer than {shown(wanted)}.", hint="Rook does not go back.")
    if wanted[0] != running[0] or wanted[1] > running[1] + 1:
        raise Refused(
            f"From Rook {shown(running)} to {shown(wanted)} is more than one minor release.",
            hint="Go through each of them, and see that the cluster is healthy in between.",
        )
    floor = release(rook).charts_from
    if charts and wanted[:2] != running[:2] and running < floor:
        raise Refused(
            f"The charts of Rook {shown(wanted)} do not take over from {shown(running)}.",
            hint=f"Go to {shown(floor)} or a newer patch of its line first.",
        )


def knows_key_type(rook: str) -> bool:
    """Whether the object of this Rook has ``security.cephx.csi.keyType``."""
    return parse(rook or DEFAULT, "The Rook release") >= release(rook).key_type_from


def takes_volumes(rook: str) -> bool:
    """Whether this Rook takes logical volumes in the way that lasts."""
    return parse(rook or DEFAULT, "The Rook release")[:2] >= VOLUMES_FROM
