#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OSDs out of a cluster of Rook's, safely."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rook_osd
short_description: Take OSDs out of a Ceph cluster of Rook's, safely
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Marks OSDs out, tells how far their data has moved, and purges those that Ceph calls safe to destroy. It never forces Ceph.
  - An OSD goes only with consent that names its number and its fsid. Without it the task is refused, and says what to add.
  - Refused too, before anything is written, is a removal after which the other OSDs could not hold all copies of each pool, or
    would be fuller than the mark at which Ceph warns.
  - Before the first purge the operator is scaled to nothing, because it makes an OSD again as long as its device carries one. It
    stays so until it is scaled up again, which the role C(kubestead.platform.rook_purge) and the playbooks do once the device
    is erased. How many replicas it had stands in its annotation C(kubestead.platform/held-replicas).
notes:
  - Ceph is asked by Jobs in its own image, with the administrator's key that Rook keeps, in the cluster's namespace. Each is
    deleted once it has answered. In check mode, too, such a Job is made; it only reads.
  - The fsids of OSDs that have begun to leave are kept in the ConfigMap C(kubestead-leaving-osds). Ceph gives the number of a
    purged OSD to the next one, which the same task then leaves alone.
  - OSDs on claims (C(storageClassDeviceSets)) are refused.
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
  osds:
    description:
      - Numbers of OSDs.
    type: list
    elements: int
    default: []
  devices:
    description:
      - Devices whose OSDs are meant.
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description:
          - The node's name in Kubernetes.
        type: str
        required: true
      device:
        description:
          - Path of the device as the CephCluster names it, such as V(/dev/osds/osd1).
        type: str
        required: true
  nodes:
    description:
      - Names of nodes, in Kubernetes, all of whose OSDs are meant.
    type: list
    elements: str
    default: []
  consent:
    description:
      - The OSDs that may go. What a refusal prints can be put here as it is.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description:
          - Number of the OSD.
        type: int
        required: true
      fsid:
        description:
          - Its fsid, as C(ceph osd dump) shows it.
        type: str
        required: true
  wait:
    description:
      - How many seconds to wait at most, once the OSDs are out, until Ceph calls them safe to destroy and ok to stop. With
        O(state=out), what is reported then tells whether they are safe.
      - With O(state=absent), it bridges the moments in which Ceph takes its word back because placement groups move once more.
    type: int
    default: 0
  state:
    description:
      - With V(out) the OSDs get no data any more, and Ceph moves what they have. They go on serving meanwhile.
      - With V(absent) they are stopped and purged, and their Deployments deleted, each only if it is out and Ceph calls it safe to
        destroy and ok to stop. What Ceph says is asked again right before each purge.
    type: str
    choices:
      - out
      - absent
    default: out
seealso:
  - module: kubestead.platform.rook_info
  - module: kubestead.platform.lvm_ceph_disk
"""

EXAMPLES = r"""
- name: Let Ceph move the data away
  kubestead.platform.rook_osd:
    osds: [3]
    consent:
      - {id: 3, fsid: 3a0c8d3e-5f7b-4f0e-9c55-2f0b8a7f1f11}
    wait: 300
  register: leaving
  until: leaving.emptying.done
  retries: 100

- name: Purge it
  kubestead.platform.rook_osd:
    osds: [3]
    consent:
      - {id: 3, fsid: 3a0c8d3e-5f7b-4f0e-9c55-2f0b8a7f1f11}
    state: absent
"""

RETURN = r"""
entries:
  description:
    - One entry per OSD, and one for the operator when it is to be held.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: osd
      name: osd.3
      action: removed
      reason: is out
      id: 3
      fsid: 3a0c8d3e-5f7b-4f0e-9c55-2f0b8a7f1f11
      node: node1
      device: /dev/osds/osd1
      up: true
      placement_groups: 0
  contains:
    kind:
      description: C(osd) or C(operator).
      type: str
    name:
      description: Name of the OSD, or of the operator's Deployment.
      type: str
    action:
      description: C(updated), C(unchanged), C(removed), C(skipped) or C(failed).
      type: str
    reason:
      description: Why.
      type: str
    id:
      description: Number of the OSD.
      type: int
    fsid:
      description: Its fsid.
      type: str
    node:
      description: Its node, where it is known.
      type: str
    device:
      description: Its device, where it is known.
      type: str
    up:
      description: Whether it serves.
      type: bool
    placement_groups:
      description: How many placement groups are on it.
      type: int
    error:
      description: Of a failed entry, what went wrong, with a hint.
      type: dict
counts:
  description:
    - How many entries were created, updated, unchanged, removed, skipped and failed.
  returned: always
  type: dict
emptying:
  description:
    - How far the data has moved.
  returned: with O(state=out)
  type: dict
  contains:
    done:
      description: Whether Ceph calls each of the OSDs safe to destroy.
      type: bool
    line:
      description: The same for people.
      type: str
    leaving:
      description: Names of the OSDs that have not left yet.
      type: list
      elements: str
    out:
      description: Names of those that were still in when they were looked at.
      type: list
      elements: str
  sample:
    done: true
    line: "osd.3: safe to destroy"
    leaving: [osd.3]
    out: []
operator_held:
  description:
    - Whether the operator is held now, or, in check mode, would be.
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
from ..module_utils._flows.rook_osd import RookOsdFlow

DEVICE: dict[str, dict[str, Any]] = {
    "node": {"type": "str", "required": True},
    "device": {"type": "str", "required": True},
}
CONSENT: dict[str, dict[str, Any]] = {"id": {"type": "int", "required": True}, "fsid": {"type": "str", "required": True}}
SPEC: dict[str, dict[str, Any]] = {
    "osds": {"type": "list", "elements": "int", "default": []},
    "devices": {"type": "list", "elements": "dict", "default": [], "options": DEVICE},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "consent": {"type": "list", "elements": "dict", "default": [], "options": CONSENT},
    "wait": {"type": "int", "default": 0},
    "state": {"type": "str", "choices": ["out", "absent"], "default": "out"},
}


def wire(params: dict[str, Any]) -> RookOsdFlow:
    """The flow of one run."""
    need("urllib3", "yaml")
    return RookOsdFlow.from_params(params, KubeApiClient.from_params(params), Clock(time.time, time.sleep))


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, CEPH_CLUSTER_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
