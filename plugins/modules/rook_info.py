#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Rook and Ceph are, and whether they serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rook_info
short_description: Tell whether a Ceph cluster of Rook's serves as planned, and why not
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Reads a CephCluster and what stands beside it, and judges it by several witnesses. Its phase C(Ready) alone is not enough,
    since it stands while OSDs crash.
  - Healthy means that the operator has seen the present object and its phase is C(Ready), that its status is fresh, that each
    planned device has an OSD that is ready and as many OSDs answer as are planned, that Ceph complains of nothing but
    allowed warnings, that no check is about placement groups or objects, and that the storage drivers are ready.
  - Can wait for that. If the time is over it adds what the operator reported, what was reported about pods of OSDs, and what
    the prepare jobs say about devices without an OSD.
  - Changes nothing, and an unhealthy cluster is no failure of the module.
notes:
  - One look at the health takes two requests, four with O(drivers); a look for O(gather=plan) takes ten, one for
    O(gather=operators) two, one for O(gather=daemons) or O(gather=toolbox) one. O(gather=changes) takes two for each object
    and one for each API version among them. Nothing is asked of the pods.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_k8s
  - kubestead.platform.attributes.info_module
  - kubestead.platform.kube_auth
  - kubestead.platform.ceph_cluster
options:
  gather:
    description:
      - V(health) judges the cluster. V(plan) reads what a new CephCluster has to be checked against. V(daemons) reads which
        Rook and which Ceph each daemon is of. V(operators) reads the Deployments of O(operators), and V(toolbox) the pod to
        ask Ceph in.
      - V(changes) asks the server what a server-side apply of O(objects) would change. That is a dry run, which takes the
        rights to apply them.
    type: list
    elements: str
    choices:
      - health
      - plan
      - daemons
      - operators
      - toolbox
      - changes
    default:
      - health
  objects:
    description:
      - The objects for O(gather=changes), as a list or as the same in JSON.
    type: json
    default: "[]"
  operators:
    description:
      - Names of Deployments in O(operator_namespace) for O(gather=operators).
    type: list
    elements: str
    default:
      - rook-ceph-operator
      - ceph-csi-controller-manager
  allowed_warnings:
    description:
      - Names of health checks that may stand, such as V(AUTH_INSECURE_KEYS_ALLOWED). Errors, and checks about placement groups
        and objects, are never allowed.
    type: list
    elements: str
    default: []
  drivers:
    description:
      - Names of storage drivers that have to be ready, such as V(rook-ceph.rbd.csi.ceph.com).
    type: list
    elements: str
    default: []
  max_status_age:
    description:
      - How many seconds ago the operator may have asked Ceph. It does so once a minute unless told otherwise.
    type: int
    default: 300
  wait_timeout:
    description:
      - Seconds to wait until the cluster is healthy, and until the O(operators) are available. By default there is one look.
    type: int
    default: 0
  interval:
    description:
      - Seconds between two looks.
    type: int
    default: 5
  wanted_daemons:
    description:
      - What each daemon has to be of for the cluster to be healthy, by the labels of its Deployment and by its own word.
    type: dict
    suboptions:
      rook:
        description:
          - Release of Rook, such as V(1.20.6).
        type: str
        default: ""
      ceph:
        description:
          - Release of Ceph, such as V(20.2.4).
        type: str
        default: ""
      key_generation:
        description:
          - Generation that the keys of the daemons and of the administrator must have reached.
        type: int
        default: 0
  rotating_keys:
    description:
      - Whether Ceph's two errors about old keys of daemons may stand, because these keys are about to be replaced.
    type: bool
    default: false
  known_line:
    description:
      - A line of progress, RV(ceph.line), that is known already. The module then returns as soon as there is another one,
        so that a caller can show it and ask again; with V("") at once, otherwise not before 15 seconds.
    type: str
seealso:
  - module: kubestead.platform.lvm_ceph_disk_info
"""

EXAMPLES = r"""
- name: Wait until Ceph serves
  kubestead.platform.rook_info:
    allowed_warnings: [AUTH_INSECURE_KEYS_ALLOWED]
    drivers: [rook-ceph.rbd.csi.ceph.com]
    wait_timeout: 1800
  register: rook
  failed_when: not rook.ceph.healthy
"""

RETURN = r"""
entries:
  description:
    - Always empty.
  returned: always
  type: list
  elements: dict
  sample: []
counts:
  description:
    - Always zero.
  returned: always
  type: dict
ceph:
  description:
    - The judgement.
  returned: when O(gather) has V(health)
  type: dict
  contains:
    healthy:
      description: Whether all is as planned.
      type: bool
    line:
      description: The state in one line, with the first problem.
      type: str
    problems:
      description: All that is wrong, in the order in which it goes away.
      type: list
      elements: str
    phase:
      description: The phase of the CephCluster.
      type: str
    health:
      description: Ceph's own word.
      type: str
    osds_planned:
      description: How many OSDs the object asks for.
      type: int
    osds_running:
      description: How many OSDs answer.
      type: int
    expired:
      description: Whether the time to wait is over.
      type: bool
    explanations:
      description: What the operator, the pods and the prepare jobs say.
      returned: when the time is over and the cluster is not healthy
      type: list
      elements: str
    next_steps:
      description: What can be done about it.
      returned: when the time is over and the cluster is not healthy
      type: list
      elements: str
  sample:
    healthy: false
    line: phase Ready, 1 of 2 OSDs running, health HEALTH_ERR; 1 of 2 OSDs answer
    problems:
      - 1 of 2 OSDs answer
      - "/dev/stead/osd0 on n1: rook-ceph-osd-0 is not ready"
kubernetes:
  description:
    - Version of the API server.
  returned: when O(gather) has V(plan)
  type: str
  sample: v1.36.3
nodes:
  description:
    - The Node objects, each with name, labels, taints and kernel only.
  returned: when O(gather) has V(plan)
  type: list
  elements: dict
kinds:
  description:
    - Names of those resource definitions that exist, of CephClusters, storage drivers, ServiceMonitors and HTTPRoutes.
  returned: when O(gather) has V(plan)
  type: list
  elements: str
namespace_exists:
  description:
    - Whether there is the namespace O(namespace).
  returned: when O(gather) has V(plan)
  type: bool
operator_image:
  description:
    - Image of the operator's Deployment, or nothing when there is none.
  returned: when O(gather) has V(plan)
  type: str
clusters:
  description:
    - Namespace and name of each CephCluster of the server.
  returned: when O(gather) has V(plan)
  type: list
  elements: str
  sample: [rook-ceph/rook-ceph]
changes:
  description:
    - Those of O(objects) that a server-side apply would create or change, in the order of O(objects).
  returned: when O(gather) has V(changes)
  type: list
  elements: dict
  contains:
    name:
      description: Kind and name.
      type: str
    judged:
      description:
        - Whether the server could judge it. It cannot while it lacks the namespace or the kind, or when O(objects) change the
          definition of the kind.
      type: bool
    object:
      description: The object as it was given.
      type: dict
dropped:
  description:
    - Fields of O(objects) that the server does not know and would drop, each behind the name of its object.
  returned: when O(gather) has V(changes)
  type: list
  elements: str
  sample: ["CephCluster rook-ceph: spec.mon.cuont"]
refused:
  description:
    - What the server would refuse, and why.
  returned: when O(gather) has V(changes)
  type: list
  elements: str
operators:
  description:
    - The Deployments of O(operators).
  returned: when O(gather) has V(operators)
  type: list
  elements: dict
  sample:
    - name: rook-ceph-operator
      image: docker.io/rook/ceph:v1.20.6
      available: true
      problem: ""
drivers:
  description:
    - Names of the storage drivers in O(operator_namespace).
  returned: when O(gather) has V(operators)
  type: list
  elements: str
toolbox_pod:
  description:
    - Name of the newest running pod of the toolbox, or nothing when there is none.
  returned: when O(gather) has V(toolbox)
  type: str
daemons:
  description:
    - The daemons of the cluster, by their Deployments.
  returned: when O(gather) has V(daemons)
  type: list
  elements: dict
  sample:
    - name: rook-ceph-osd-0
      rook: 1.20.6
      ceph: 20.2.4
      settled: true
toolbox_image:
  description:
    - Image of the toolbox, or nothing when there is none.
  returned: when O(gather) has V(daemons)
  type: str
storage_classes:
  description:
    - The StorageClass objects.
  returned: when O(gather) has V(plan)
  type: list
  elements: dict
cluster:
  description:
    - The CephCluster, or nothing when there is none.
  returned: when O(gather) has V(health) or V(plan)
  type: dict
"""

import time
from typing import Any

from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.pod_logs import PodLogs
from ..module_utils._ansible.argspec import CEPH_CLUSTER_SPEC, KUBE_AUTH_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._core.ports import Clock
from ..module_utils._flows.rook_info import RookInfoFlow

SPEC: dict[str, dict[str, Any]] = {
    "gather": {
        "type": "list",
        "elements": "str",
        "choices": ["health", "plan", "daemons", "operators", "toolbox", "changes"],
        "default": ["health"],
    },
    "objects": {"type": "json", "default": "[]"},
    "operators": {"type": "list", "elements": "str", "default": ["rook-ceph-operator", "ceph-csi-controller-manager"]},
    "allowed_warnings": {"type": "list", "elements": "str", "default": []},
    "drivers": {"type": "list", "elements": "str", "default": []},
    "max_status_age": {"type": "int", "default": 300},
    "wait_timeout": {"type": "int", "default": 0},
    "interval": {"type": "int", "default": 5},
    "wanted_daemons": {
        "type": "dict",
        "options": {
            "rook": {"type": "str", "default": ""},
            "ceph": {"type": "str", "default": ""},
            "key_generation": {"type": "int", "default": 0, "no_log": False},
        },
    },
    "rotating_keys": {"type": "bool", "default": False, "no_log": False},
    "known_line": {"type": "str", "no_log": False},
}


def wire(params: dict[str, Any]) -> RookInfoFlow:
    """The flow of one run."""
    need("urllib3", "yaml")
    api = KubeApiClient.from_params(params)
    return RookInfoFlow.from_params(params, api, PodLogs(api), Clock(time.time, time.sleep))


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, CEPH_CLUSTER_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
