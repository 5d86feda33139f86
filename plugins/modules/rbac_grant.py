#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may do what, where, in a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rbac_grant
short_description: Grant and take back rights in a Kubernetes cluster
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Keeps a list of grants (who, which role, where) true in one or more namespaces or in the whole cluster.
  - Each grant of one subject in one place is one C(RoleBinding) or C(ClusterRoleBinding), named by its content and labelled
    C(kubestead.platform/owner) with O(owner). Nothing without that label is ever changed or removed.
  - The cluster is read with one list request per kind, however long the list of grants is. Only differences are written.
  - Grants in C(kube-system), C(kube-public) and C(kube-node-lease), and grants of roles whose names begin with C(system:), are
    refused. Users and groups whose names begin with C(system:) end the task before anything is written.
  - The roles that are granted must exist; this module does not make roles.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_k8s
  - kubestead.platform.kube_auth
  - kubestead.platform.bulk
  - kubestead.platform.bulk.state
attributes:
  check_mode:
    support: full
    details:
      - Grants in namespaces that the same run would create are reported as V(created).
  diff_mode:
    support: full
    details:
      - Shown as who, which role, where.
  idempotent:
    support: full
options:
  owner:
    description:
      - Whose grants these are; becomes the value of the label C(kubestead.platform/owner).
      - Two lists that are managed apart need two owners, or O(prune) of one removes the grants of the other.
      - 1 to 63 letters, digits, C(-), C(_) and C(.).
    type: str
    required: true
  grants:
    description:
      - The grants. An option of an entry that is V(null) counts as left out, so that lists can be generated.
      - The same grant said twice ends the task before anything is written.
    type: list
    elements: dict
    required: true
    suboptions:
      subjects:
        description:
          - Who is meant; at least one subject is needed.
        type: dict
        required: true
        suboptions:
          users:
            description:
              - Names of users, in lower case.
            type: list
            elements: str
          groups:
            description:
              - Names of groups, in lower case.
            type: list
            elements: str
          service_accounts:
            description:
              - Service accounts, each written as C(namespace/name).
            type: list
            elements: str
      role:
        description:
          - Name of a C(Role), which must exist in each of the namespaces.
          - Exactly one of O(grants[].role) and O(grants[].cluster_role) is needed.
        type: str
      cluster_role:
        description:
          - Name of a C(ClusterRole), such as V(view) or V(edit).
        type: str
      scope:
        description:
          - Where the grant is valid, V(cluster) or V(namespaces). The default is V(namespaces) if O(grants[].namespaces) is
            given; without it, V(cluster) has to be said.
        type: str
      namespaces:
        description:
          - Names of the namespaces in which the grant is valid.
        type: list
        elements: str
      state:
        description:
          - Whether the grant is to exist (V(present)) or to be removed (V(absent)). The default is O(state).
        type: str
  prune:
    description:
      - Whether grants of O(owner) that are not in O(grants) are removed.
    type: bool
    default: false
  max_deletes:
    description:
      - How many grants O(prune) may remove in one run. If there are more, the task fails before anything is written, because
        the list is probably not complete. Grants whose state is V(absent) are not counted.
    type: int
    default: 20
  create_namespaces:
    description:
      - Whether missing namespaces are created. They get the label C(pod-security.kubernetes.io/enforce=baseline), because
        whoever may create privileged pods owns the node that runs them.
      - Without it, a grant in a missing namespace is refused.
    type: bool
    default: false
  allow_cluster_admin:
    description:
      - Whether the cluster role V(cluster-admin), and other roles with a rule that allows everything, may be granted.
    type: bool
    default: false
seealso:
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: Give two teams their namespaces
  kubestead.platform.rbac_grant:
    owner: teams
    create_namespaces: true
    prune: true
    grants:
      - subjects:
          users: [anna, bert]
        cluster_role: edit
        namespaces: [team-red]
      - subjects:
          groups: [blue]
        cluster_role: edit
        namespaces: [team-blue, team-blue-test]

- name: Let an auditor read everything, and take a right back
  kubestead.platform.rbac_grant:
    owner: audit
    grants:
      - subjects:
          users: [carla]
        cluster_role: view
        scope: cluster
      - subjects:
          users: [dora]
        cluster_role: view
        scope: cluster
        state: absent

- name: Let a pipeline deploy
  kubestead.platform.rbac_grant:
    owner: pipelines
    grants:
      - subjects:
          service_accounts: [ci/deployer]
        role: deployer
        namespaces: [team-red]
"""

RETURN = r"""
entries:
  description: What became of each grant, and of each namespace that was missing.
  returned: success and partial failure
  type: list
  elements: dict
  contains:
    kind:
      description: V(grant) or V(namespace).
      type: str
      returned: always
      sample: grant
    name:
      description: The grant as a sentence, or the name of the namespace.
      type: str
      returned: always
      sample: "anna: edit in team-red"
    action:
      description: V(created), V(updated), V(unchanged), V(removed), V(failed) or V(skipped).
      type: str
      returned: always
      sample: created
    reason:
      description: Why, in words.
      type: str
      returned: always
      sample: missing
    who:
      description: The subject.
      type: str
      returned: for grants
      sample: anna
    role:
      description: The role.
      type: str
      returned: for grants
      sample: edit
    where:
      description: The namespace, or V(the whole cluster).
      type: str
      returned: for grants
      sample: team-red
    object:
      description: The object that stands for the grant.
      type: str
      returned: for grants
      sample: rolebinding team-red/anna-edit-user-clusterrole-teams-0a1b2c3d4e
    error:
      description: What went wrong, with C(code), C(msg) and C(hint).
      type: dict
      returned: when the entry failed
      sample: {code: refused, msg: "Cluster role 'edti' does not exist.", hint: "Create it before granting it."}
counts:
  description: How many entries took each action.
  returned: success and partial failure
  type: dict
  sample: {created: 2, updated: 0, unchanged: 23, removed: 0, failed: 0, skipped: 0}
owner:
  description: The value of O(owner).
  returned: success and partial failure
  type: str
  sample: teams
"""

from typing import Any

from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.rbac_grant import RbacGrantFlow

_NAMES = {"type": "list", "elements": "str"}

SPEC: dict[str, dict[str, Any]] = {
    "owner": {"type": "str", "required": True},
    "grants": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "subjects": {
                "type": "dict",
                "required": True,
                "options": {"users": _NAMES, "groups": _NAMES, "service_accounts": _NAMES},
            },
            "role": {"type": "str"},
            "cluster_role": {"type": "str"},
            # Without choices, which would refuse null; the words are checked with the rest of the entry.
            "scope": {"type": "str"},
            "namespaces": _NAMES,
            "state": {"type": "str"},
        },
    },
    "prune": {"type": "bool", "default": False},
    "max_deletes": {"type": "int", "default": 20},
    "create_namespaces": {"type": "bool", "default": False},
    "allow_cluster_admin": {"type": "bool", "default": False},
}


def wire(params: dict[str, Any]) -> RbacGrantFlow:
    """The flow for a task's options."""
    need("urllib3", "yaml")
    return RbacGrantFlow.from_params(params, KubeApiClient.from_params)


def main() -> None:
    """Run the module."""
    converge(new_module(KUBE_AUTH_SPEC, STATE_SPEC, BULK_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
