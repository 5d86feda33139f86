#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""End people's access to a Kubernetes cluster, and prove it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access_cutoff
short_description: End people's access to a Kubernetes cluster, and prove it
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Kubernetes cannot revoke a client certificate. This module does, for any number of people at once, what can be done instead,
    and writes down for each what was taken and when, what the old credential could do before and still can, and what remains.
  - The work has beats, in this order - V(mark) keeps a record that somebody leaves; V(deny) refuses the person; V(rights) takes
    the bindings; V(requests) removes certificate requests; V(tokens) makes service accounts anew; V(prove) tries the old
    credential. O(beats) chooses some of them, so that work of other modules can lie between.
  - Every beat may be repeated. A run that was killed is continued by the next one, and a run after the last beat changes nothing.
  - With O(on_error=continue) a beat is also done for those for whom an earlier one failed.
  - Somebody who comes back (O(people[].state) V(absent)) is refused while a certificate from before is valid, because it would
    have the new rights too. See O(bound_to).
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
      - Nothing is tried with the old credential.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  people:
    description:
      - Who leaves, or with the state V(absent) comes back.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The user name in the person's certificates.
        type: str
        required: true
      kubeconfig:
        description:
          - File with the person's old kubeconfig, which is used to try what it can still do. Without it the API server is asked
            by SubjectAccessReview, once per valid certificate, which tells what its authorizers say and nothing of admission.
        type: path
      done:
        description:
          - What was done elsewhere, as a dictionary of part and words, such as C(account=locked). It is noted in the record with
            the time at which it was first said.
        type: dict
      state:
        description:
          - V(present) for somebody who leaves, V(absent) for somebody who comes back. Defaults to O(state).
        type: str
        choices: [present, absent]
  credentials:
    description:
      - Single certificates to refuse, such as the one of a lost device. The person goes on with the next certificate.
    type: list
    elements: dict
    default: []
    suboptions:
      credential_id:
        description:
          - The certificate's id, C(X509SHA256=) and 64 hexadecimal digits, as in the ledger and in results of
            M(kubestead.platform.k8s_user_cert).
        type: str
        required: true
      name:
        description:
          - Whose it is.
        type: str
        required: true
      until:
        description:
          - When the certificate ends, as C(2027-01-31) or C(2027-01-31T18:00:00Z). Defaults to what the ledger says, else to 366
            days from now.
        type: str
      state:
        description:
          - V(absent) takes the refusal back. Defaults to O(state).
        type: str
        choices: [present, absent]
  directory:
    description:
      - Folder for the records, one per person as C(<name>.json) and in words as C(<name>.txt), and for C(denials.json), the list
        of who is refused. Made with mode 0700. Whoever loses it lets those people in again.
    type: path
    required: true
  certificates:
    description:
      - The folder of O(kubestead.platform.k8s_user_cert#module:store.directory), where the ledger says which certificates a person
        holds and until when. Of somebody the ledger does not know it is assumed that a certificate is valid for 366 days.
    type: path
  strategies:
    description:
      - How access is ended. None means that certificates are only not renewed (short lifetimes end access by themselves).
      - V(grants) takes the bindings of the name, and of groups that only this person's certificates carry, out of RBAC.
      - V(policy) keeps a ValidatingAdmissionPolicy with a list of names and credential ids. It refuses writes, exec and
        port-forward, but no reads. Kubernetes 1.30 or newer.
      - V(authorizer) puts them into RV(authorization_config), for API servers whose flags are yours. It refuses everything.
        Kubernetes 1.32 or newer. The file has to be brought to every control plane node, which the role
        C(kubestead.platform.user_offboarding) does.
    type: list
    elements: str
    choices: [grants, policy, authorizer]
    default: [grants, policy]
  beats:
    description:
      - Which parts of the work to do.
    type: list
    elements: str
    choices: [mark, deny, rights, requests, tokens, prove]
    default: [mark, deny, rights, requests, prove]
  foreign_bindings:
    description:
      - What to do with bindings of the person that this collection did not make. V(keep) names them in the evidence; V(remove)
        takes the person out of them, and removes those that name nobody else. Those of Kubernetes itself are always kept.
    type: str
    choices: [keep, remove]
    default: keep
  bound_to:
    description:
      - What rights are bound to when somebody comes back. With V(name) they have to wait until every certificate from before has
        ended. With V(issue), a group that only the new certificate carries, they may come back at once; the certificates
        from before are then refused by their ids.
    type: str
    choices: [name, issue]
    default: name
  max_offboardings:
    description:
      - How many people may be marked in one run. With more, nothing is done at all.
    type: int
    default: 5
  list_name:
    description:
      - Name of the policy and of its binding.
    type: str
    default: kubestead-access-cutoff
  authorizers:
    description:
      - The authorizers that follow the refusals in RV(authorization_config), as in the API server's C(--authorization-mode).
    type: list
    elements: str
    default: [Node, RBAC]
  webhook_kubeconfig:
    description:
      - Where RV(webhook_kubeconfig_content) is on the control plane nodes, as the API server sees it.
    type: str
    default: /etc/kubernetes/authorization/nowhere.kubeconfig
  servers:
    description:
      - URLs of the API servers at which the old credential is tried, to see each control plane node refuse it. Defaults to the
        one in the old kubeconfig.
    type: list
    elements: str
    default: []
  settle:
    description:
      - How many seconds to wait at most until refusals are in effect, before the answer counts.
    type: int
    default: 15
"""

EXAMPLES = r"""
- name: Anna leaves
  kubestead.platform.access_cutoff:
    people:
      - name: anna
        kubeconfig: /srv/kubestead/people/kubeconfigs/anna.kubeconfig
    directory: /srv/kubestead/people/offboarding
    certificates: /srv/kubestead/people/certificates
  register: left

- name: What the old credential could do, and can
  ansible.builtin.debug:
    msg: "{{ left.evidence[0].lines }}"

- name: Bela lost the notebook
  kubestead.platform.access_cutoff:
    credentials:
      - credential_id: X509SHA256=2f1c8c0e3a6cb1f9a1f0a4a30c5a9ac9f9c5bd9b1c7f7d1f0f3a8f6a7f0e1d2c
        name: bela
    directory: /srv/kubestead/people/offboarding
    certificates: /srv/kubestead/people/certificates
"""

RETURN = r"""
entries:
  description:
    - One entry per person and beat (none for somebody who comes back and never left), of the kinds C(marker), C(rights),
      C(requests), C(tokens), C(proof) and C(evidence); one C(denial) per name or certificate on the list that was asked for or
      changed; and C(denial_list), the policy.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: What the entry is about.
      type: str
      returned: always
    name:
      description: The person, the credential id, or the policy.
      type: str
      returned: always
    action:
      description: C(created), C(updated), C(unchanged), C(removed), C(failed) or C(skipped).
      type: str
      returned: always
    reason:
      description: Why.
      type: str
      returned: always
    bindings:
      description: The bindings that went.
      type: list
      elements: str
      returned: for C(rights)
    staying:
      description: Bindings that give the person rights and are kept, with what they name.
      type: list
      elements: str
      returned: for C(rights)
    requests:
      description: The certificate requests that went.
      type: list
      elements: str
      returned: for C(requests)
    service_accounts:
      description: The service accounts that were made anew.
      type: list
      elements: str
      returned: for C(tokens)
    before:
      description: What the old credential could do when the person was marked; each element has C(what), C(answer), C(server).
      type: list
      elements: dict
      returned: for a C(proof) that was made
    after:
      description: The same now.
      type: list
      elements: dict
      returned: for a C(proof) that was made
    remaining:
      description: What is not ended, in sentences.
      type: list
      elements: str
      returned: for a C(proof) that was made
    until:
      description: Until when somebody is refused; the entry goes by itself in a run after that.
      type: str
      returned: for C(denial)
    means:
      description: Where the refusal stands, C(policy) and C(authorizer).
      type: list
      elements: str
      returned: for C(denial)
    error:
      description: Code, sentence and hint.
      type: dict
      returned: when the entry failed
counts:
  description: How many entries took each action.
  returned: always
  type: dict
evidence:
  description: For each person that leaves, what the record says in words (C(lines)) and where it is (C(path)).
  returned: always
  type: list
  elements: dict
denials:
  description: Everybody and everything on the list after this run, with C(who), C(person) and C(until).
  returned: always
  type: list
  elements: dict
authorization_config:
  description: An AuthorizationConfiguration with the list, as text for the file of the API server's C(--authorization-config).
  returned: always
  type: str
webhook_kubeconfig_content:
  description: The kubeconfig that its refusing authorizers name. It leads nowhere.
  returned: always
  type: str
"""

import time
from typing import Any

from ..module_utils._adapters.issued_certificates import IssuedCertificates
from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.leaver_files import LeaverFiles
from ..module_utils._adapters.old_logins import OldLogins
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.access_cutoff import AccessCutoffFlow, Outside

_STATE = {"type": "str", "choices": ["present", "absent"]}
_WORDS = {"type": "list", "elements": "str"}

SPEC: dict[str, dict[str, Any]] = {
    "people": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "done": {"type": "dict"},
            "state": _STATE,
        },
    },
    "credentials": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "credential_id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "until": {"type": "str"},
            "state": _STATE,
        },
    },
    "directory": {"type": "path", "required": True},
    "certificates": {"type": "path"},
    "strategies": {**_WORDS, "choices": ["grants", "policy", "authorizer"], "default": ["grants", "policy"]},
    "beats": {
        **_WORDS,
        "choices": ["mark", "deny", "rights", "requests", "tokens", "prove"],
        "default": ["mark", "deny", "rights", "requests", "prove"],
    },
    "foreign_bindings": {"type": "str", "choices": ["keep", "remove"], "default": "keep"},
    "bound_to": {"type": "str", "choices": ["name", "issue"], "default": "name"},
    "max_offboardings": {"type": "int", "default": 5},
    "list_name": {"type": "str", "default": "kubestead-access-cutoff"},
    "authorizers": {**_WORDS, "default": ["Node", "RBAC"]},
    "webhook_kubeconfig": {"type": "str", "default": "/etc/kubernetes/authorization/nowhere.kubeconfig"},
    "servers": {**_WORDS, "default": []},
    "settle": {"type": "int", "default": 15},
}


def wire(params: dict[str, Any]) -> AccessCutoffFlow:
    """The flow for a task's options."""
    need("cryptography", "urllib3", "yaml")
    outside = Outside(
        api=KubeApiClient.from_params(params),
        files=LeaverFiles(params["directory"]),
        certificates=IssuedCertificates(params["certificates"]),
        logins=OldLogins(params["servers"]),
        clock=time.time,
        pause=time.sleep,
    )
    return AccessCutoffFlow(params, outside)


def main() -> None:
    """Run the module."""
    converge(new_module(KUBE_AUTH_SPEC, STATE_SPEC, BULK_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
