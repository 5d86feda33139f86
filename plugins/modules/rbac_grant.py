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
    C(kubestead.platform/owner) with O(owner). Nothing without that label is ever changed or removed, unless O(adopt) says so.
  - The cluster is read with one list request per kind, however long the list of grants is. Only differences are written.
    Before the first write the API server is asked whether the caller may make them; a grant that the caller may not make fails
    with the missing right and the rule that gives it.
  - Grants in C(kube-system), C(kube-public) and C(kube-node-lease), and grants of roles whose names begin with C(system:), are
    refused. Users and groups whose names begin with C(system:) end the task before anything is written.
  - Roles that are named must exist. For O(grants[].rules) and for some presets the module makes roles itself, one per place;
    their rules are compared by what they allow, so another order or grouping is no difference. It never writes a role of
    anybody else, nor one that Kubernetes aggregates.
  - When the list gives a person another role in a place and takes the old one away in the same run (with O(prune), or with an
    entry whose state is V(absent)), a wider role is given before the old one is taken, once the API server says that it is in
    effect. In all other cases the old one is taken first, so that a run that breaks off never leaves both.
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
              - Names of users as the API server sees them, such as V(anna) or V(oidc:Anna). Upper and lower case are different.
            type: list
            elements: str
          groups:
            description:
              - Names of groups as the API server sees them, such as V(oidc:Devs). Upper and lower case are different.
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
          - Exactly one of O(grants[].role), O(grants[].cluster_role), O(grants[].rules) and O(grants[].preset) is needed.
        type: str
      cluster_role:
        description:
          - Name of a C(ClusterRole), such as V(view) or V(edit).
        type: str
      rules:
        description:
          - What is allowed, as in a C(Role) of Kubernetes, with its keys C(apiGroups), C(resources), C(resourceNames), C(verbs)
            and C(nonResourceURLs) (the last only with O(grants[].scope=cluster)).
        type: list
        elements: dict
      preset:
        description:
          - A ready set of rights. V(view), V(edit) and V(admin) are the cluster roles of these names; V(pod-debugger) may read
            pods and their logs, run commands in them, forward ports and add ephemeral containers; V(secretless-view) may read the
            common kinds, by a fixed list without Secrets and ConfigMaps.
          - Presets are refused in C(kube-*) and C(rook-*) namespaces and in O(protected_namespaces). With
            O(grants[].scope=cluster) only V(view) and V(secretless-view) are possible.
          - Whoever may run commands in a pod can read the Secrets that are mounted in it.
        type: str
      scope:
        description:
          - Where the grant is valid, V(cluster) or V(namespaces). The default is V(namespaces) if O(grants[].namespaces) or
            O(grants[].namespace_selector) is given; without them, V(cluster) has to be said.
        type: str
      namespaces:
        description:
          - Names of the namespaces in which the grant is valid.
        type: list
        elements: str
      namespace_selector:
        description:
          - The namespaces in which the grant is valid, by their labels, with C(matchLabels) and C(matchExpressions) as Kubernetes
            writes them. It never selects C(kube-*) and C(rook-*) namespaces, O(protected_namespaces), and namespaces that are
            being deleted.
          - An entry that names a namespace counts more than one that selects it. A namespace that matches no more keeps its
            grant unless O(prune) is set.
        type: dict
      not_before:
        description:
          - When the grant begins, as a date (V(2027-01-31), from its beginning in UTC) or as a moment
            (V(2027-01-31T18:00:00Z)). Before it the grant is absent.
        type: str
      expires:
        description:
          - When the grant ends, as a date (V(2027-01-31), with the end of that day in UTC) or as a moment. After it the grant is
            absent.
          - A grant ends when the module runs and not by itself; RV(next_end) says when the next run is due.
        type: str
      name:
        description:
          - A name for the binding, instead of one that follows from its content, such as that of a binding that is to be
            adopted. The binding then holds all subjects of the entry.
        type: str
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
      - Whether the cluster role V(cluster-admin) may be granted, and other roles that allow everything or a way to it, which are
        C(escalate) and C(bind) on roles and C(impersonate) on users and groups.
    type: bool
    default: false
  allow_admin:
    description:
      - Whether users and groups may be given roles with which they can hand on rights, such as V(admin), which may write
        C(RoleBindings).
      - V(with_end) allows it for grants with O(grants[].expires). V(never) refuses it.
      - The default is the widest, so that lists of team leads work without an end; RV(admin_without_end) names what is open.
        V(with_end) is the better choice wherever people come and go.
    type: str
    choices: [always, with_end, never]
    default: always
  adopt:
    description:
      - Whether a binding that stands under the name of a wanted one and has no owner is taken over, with its subjects changed to
        the wanted ones. Bindings of other owners and of Kubernetes itself are refused nevertheless.
    type: bool
    default: false
  allow_recreate:
    description:
      - Whether a binding that refers to another role than the wanted one, which Kubernetes does not let anybody change, is
        deleted and made anew. The entry then says RV(entries[].recreated) and RV(entries[].gap_seconds).
    type: bool
    default: false
  protected_namespaces:
    description:
      - Namespaces, beside C(kube-*) and C(rook-*), that no selector and no preset reaches.
    type: list
    elements: str
  verify:
    description:
      - V(access_review) asks the API server about each subject of each grant, by up to five permissions of the role, whether it
        is allowed what it should be. For grants that are absent the right answer is no, except for what other grants in the list
        allow. Other answers fail the entry. RV(entries[].access) holds questions and answers.
      - Groups are asked about without their members. C(system:authenticated), to which everybody belongs, is always included.
      - In check mode only if nothing would be changed.
    type: str
    choices: [none, access_review]
    default: none
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

- name: Let a contractor debug pods until the end of January, and prove it
  kubestead.platform.rbac_grant:
    owner: contractors
    prune: true
    verify: access_review
    grants:
      - subjects:
          users: [oidc:Eve]
        preset: pod-debugger
        namespace_selector:
          matchLabels:
            stage: test
        expires: 2027-01-31
      - subjects:
          users: [oidc:Eve]
        rules:
          - apiGroups: [apps]
            resources: [deployments/scale]
            verbs: [get, update, patch]
        namespaces: [team-red]
        expires: 2027-01-31T18:00:00Z

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
  description: What became of each grant, and of each namespace and role that was missing or is no longer used.
  returned: success and partial failure
  type: list
  elements: dict
  contains:
    kind:
      description: V(grant), V(namespace) or V(role).
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
    expires:
      description: When the grant ends.
      type: str
      returned: if it has an end
      sample: "2027-02-01T00:00:00Z"
    not_before:
      description: When the grant begins.
      type: str
      returned: if it has a beginning
      sample: "2027-01-01T00:00:00Z"
    replaces:
      description: The role that the same subject had in the same place and that this run takes away.
      type: str
      returned: if there is one
      sample: view
    recreated:
      description: Whether the binding was deleted and made anew.
      type: bool
      returned: if it was
      sample: true
    gap_seconds:
      description: How long the binding was away.
      type: float
      returned: if it was recreated
      sample: 0.009
    access:
      description: The questions to the API server, with C(who), C(what), C(expected) and C(allowed).
      type: list
      elements: dict
      returned: with O(verify=access_review), for grants
      sample: [{who: anna, what: create pods, expected: true, allowed: true}]
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
next_end:
  description: The grant that ends next, with C(name), C(at) and C(seconds_left). It ends when the module runs after that.
  returned: success and partial failure
  type: dict
  sample: {name: "oidc:Eve: pod-debugger in test", at: "2027-02-01T00:00:00Z", seconds_left: 86400}
next_start:
  description: The grant that begins next, in the same words.
  returned: success and partial failure
  type: dict
overdue:
  description:
    - Grants of the owner that stood after their end when the cluster was read, with C(name), C(ended) and C(still_active), which
      is false if this run took them away.
  returned: success and partial failure
  type: list
  elements: dict
  sample: [{name: "eve: edit in team-red", ended: "2027-01-31T18:00:00Z", still_active: false}]
admin_without_end:
  description: Grants to users and groups with which rights can be handed on and that have no end.
  returned: success and partial failure
  type: list
  elements: str
  sample: ["anna: admin in team-red"]
owner:
  description: The value of O(owner).
  returned: success and partial failure
  type: str
  sample: teams
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.rbac_grant import Outside, RbacGrantFlow

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
            "rules": {"type": "list", "elements": "dict"},
            "preset": {"type": "str"},
            # Without choices, which would refuse null; the words are checked with the rest of the entry.
            "scope": {"type": "str"},
            "namespaces": _NAMES,
            "namespace_selector": {"type": "dict"},
            "not_before": {"type": "str"},
            "expires": {"type": "str"},
            "name": {"type": "str"},
            "state": {"type": "str"},
        },
    },
    "prune": {"type": "bool", "default": False},
    "max_deletes": {"type": "int", "default": 20},
    "create_namespaces": {"type": "bool", "default": False},
    "allow_cluster_admin": {"type": "bool", "default": False},
    "allow_admin": {"type": "str", "choices": ["always", "with_end", "never"], "default": "always"},
    "adopt": {"type": "bool", "default": False},
    "allow_recreate": {"type": "bool", "default": False},
    "protected_namespaces": _NAMES,
    "verify": {"type": "str", "choices": ["none", "access_review"], "default": "none"},
}


def outside(params: Mapping[str, Any]) -> Outside:
    """The cluster and the clock."""
    return Outside(KubeApiClient.from_params(params), time.time, time.sleep)


def wire(params: dict[str, Any], *, check_mode: bool = False) -> RbacGrantFlow:
    """The flow for a task's options."""
    need("urllib3", "yaml")
    return RbacGrantFlow.from_params(params, outside, check_mode=check_mode)


def main() -> None:
    """Run the module."""
    module = new_module(KUBE_AUTH_SPEC, STATE_SPEC, BULK_SPEC, spec=SPEC)
    converge(module, partial(wire, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
