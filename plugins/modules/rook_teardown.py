#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A CephCluster and all that stands on it, taken away in the order that does not hang."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rook_teardown
short_description: Take a Ceph cluster of Rook's away, with all data in it
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Lists everything that stands on a CephCluster - claims and volumes, snapshots, bucket claims, users, clients, pools,
    filesystems, object stores, storage classes - and takes it away in the order that does not hang, each stage gone before the
    next one begins. The CephCluster comes last, and then its daemons are waited for.
  - Nothing happens without O(confirm), and nothing happens while somebody's claim or volume holds data in the cluster that
    O(consumers) does not name. A claim that a pod mounts is refused in any case.
  - What belongs to another CephCluster is never touched, and an object that took the name of one that was seen is left alone.
  - While the operator runs, only it takes finalizers away. Where its Deployment is missing or scaled to 0, the module takes
    the operator's own finalizers from the very objects it deletes; it looks at the Deployment again right before.
  - A run that was ended is finished by the next one, and a run after that changes nothing.
  - The disks stay as they are; see M(kubestead.platform.lvm_ceph_disk). The operator, the resource definitions and the
    namespace stay too. The role C(kubestead.platform.rook_teardown) does all of it.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_k8s
  - kubestead.platform.kube_auth
  - kubestead.platform.ceph_cluster
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  confirm:
    description:
      - The name of the CephCluster once more. Without it the module refuses, and says what would be lost.
    type: str
    default: ""
  consumers:
    description:
      - Claims, volumes, snapshots and bucket claims whose data may go, each as its kind and name, such as
        C(PersistentVolumeClaim team/data) or C(PersistentVolume pvc-1). A claim stands for its volume too.
      - Those that are gone already do no harm.
    type: list
    elements: str
    default: []
  cleanup_jobs:
    description:
      - Whether the operator's own clean-up jobs erase disks and data directories.
      - They zap the disk below an OSD's volume with everything else on it, so a volume group that holds anything besides OSDs
        of this cluster would be lost. Leave it off, and erase the disks with M(kubestead.platform.lvm_ceph_disk).
      - When it is off and the CephCluster asks for them, that is taken back first.
    type: bool
    default: false
  force_deletion:
    description:
      - Whether Rook is told to delete pools, RADOS namespaces and subvolume groups with images or subvolumes inside that no
        claim knows of.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait for what one stage deletes.
    type: int
    default: 600
  concurrency:
    description:
      - How many objects of one stage are deleted at the same time.
    type: int
    default: 8
seealso:
  - module: kubestead.platform.lvm_ceph_disk
  - module: kubestead.platform.rook_info
"""

EXAMPLES = r"""
- name: What would go, and what keeps it from going
  kubestead.platform.rook_teardown:
    confirm: rook-ceph
  check_mode: true

- name: Take the cluster away, with the data of one claim
  kubestead.platform.rook_teardown:
    confirm: rook-ceph
    consumers:
      - PersistentVolumeClaim team/data
"""

RETURN = r"""
entries:
  description:
    - One entry per object in the order in which they go, then C(daemons) and C(clean-up jobs) if they are waited for. A
      CephCluster that is not there is an entry too.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: The object's kind.
      type: str
    name:
      description: Its namespace and name.
      type: str
    action:
      description: C(removed), C(unchanged), C(skipped) or C(failed).
      type: str
    reason:
      description: The stage in which it goes.
      type: str
    forced:
      description: Whether Rook is told to delete it with what is inside.
      returned: for what O(force_deletion) is about
      type: bool
    released:
      description: The finalizers that were taken from it since their operator does not run.
      returned: when there were any
      type: list
      elements: str
    error:
      description: Code, sentence and hint.
      returned: when the entry failed
      type: dict
counts:
  description:
    - How many entries took each action.
  returned: always
  type: dict
fsid:
  description:
    - The cluster's fsid, empty if it was not there any more.
  returned: always
  type: str
data_dir:
  description:
    - The folder on the nodes that the CephCluster names, empty if it was not there any more.
  returned: always
  type: str
storage:
  description:
    - The CephCluster's C(spec.storage), empty if it was not there any more.
  returned: always
  type: dict
other_clusters:
  description:
    - All other CephClusters, as namespace and name.
  returned: always
  type: list
  elements: str
operator_runs:
  description:
    - Whether the operator's Deployment was there and not scaled to 0.
  returned: always
  type: bool
"""

import time
from typing import Any

from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._ansible.argspec import CEPH_CLUSTER_SPEC, KUBE_AUTH_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._core.ports import Clock
from ..module_utils._flows.rook_teardown import RookTeardownFlow

SPEC: dict[str, dict[str, Any]] = {
    "confirm": {"type": "str", "default": ""},
    "consumers": {"type": "list", "elements": "str", "default": []},
    "cleanup_jobs": {"type": "bool", "default": False},
    "force_deletion": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 600},
    "concurrency": {"type": "int", "default": 8},
}


def wire(params: dict[str, Any]) -> RookTeardownFlow:
    """The flow of one run."""
    need("urllib3", "yaml")
    return RookTeardownFlow.from_params(params, KubeApiClient.from_params(params), Clock(time.time, time.sleep))


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, CEPH_CLUSTER_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
