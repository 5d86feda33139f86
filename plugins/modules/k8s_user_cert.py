#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Client certificates of people, kept valid."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_user_cert
short_description: Issue and renew client certificates for people of a Kubernetes cluster
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Keeps a private key and a client certificate for each person of a list, and renews them in time. The person's name
    becomes the certificate's common name, each group an organization.
  - Makes the key, creates a C(CertificateSigningRequest), approves it, collects the certificate, checks it, puts key and
    certificate in place in one step, and removes the request. All requests of a run are collected with a single watch.
  - The key is on disk before its request leaves. A run that was ended at any moment is continued by the next one.
  - The object on the server is compared in whole with what was sent (signing request, signer, usages, lifetime and who
    created it) before it is approved, and the approval is valid for exactly that object.
  - A certificate that is not what was asked (key, subject, groups, usage, lifetime) is refused and not installed.
  - Every certificate that was issued is written to C(ledger.jsonl) in O(store.directory), with its end and credential id.
  - When nobody is due, the server is not asked at all.
notes:
  - Kubernetes cannot revoke a certificate. O(state=absent) removes the files and the requests, and returns which of the
    person's certificates are valid until when.
  - The caller needs the rights C(create), C(get), C(list), C(watch) and C(delete) on C(certificatesigningrequests), and with
    O(approve=auto) also C(update) on C(certificatesigningrequests/approval) and C(approve) on the signer. Whoever may approve
    requests of this signer can become anybody in the cluster, so keep that credential as safe as an administrator's.
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
      - No key is made and nothing is requested.
  diff_mode:
    support: full
    details:
      - Shown are groups, dates and credential ids.
  idempotent:
    support: partial
    details:
      - A certificate that is due is renewed, and with O(key_policy=always) every run issues a new one.
options:
  users:
    description:
      - The people. The same name twice, in any case of letters, ends the task before anything is written.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The user name, 1 to 64 of C(a-z), C(0-9), C(.), C(_), C(@) and C(-). Names that begin with C(system:) are refused.
        type: str
        required: true
      groups:
        description:
          - The groups that the certificate carries, with the same rules as the name.
          - A change of the groups leads to a new certificate; the old one goes on working until its end.
        type: list
        elements: str
      lifetime:
        description:
          - How long the certificate is to be valid. The default is O(lifetime).
        type: str
      state:
        description:
          - Whether the person is to have a certificate. The default is O(state).
        type: str
        choices:
          - present
          - absent
  store:
    description:
      - Where keys and certificates are kept, on the host the module runs on.
    type: dict
    required: true
    suboptions:
      directory:
        description:
          - A folder, made with mode V(0700) when it is missing. No other user than root may be able to write in it.
          - Each person has C(<name>.key) and C(<name>.crt) there, which are links to the present pair.
        type: path
        required: true
  key_type:
    description:
      - The type of new keys. When it changes, a certificate is renewed unless O(key_policy=keep).
    type: str
    choices:
      - ecdsa-p256
      - ecdsa-p384
      - ed25519
      - rsa-2048
      - rsa-3072
      - rsa-4096
    default: ecdsa-p256
  key_policy:
    description:
      - V(rotate_on_renew) makes a new key for each certificate.
      - V(keep) uses the key that is there, whatever its type, and refuses a key that cannot be read.
      - V(always) makes a new key and a new certificate in every run.
    type: str
    choices:
      - rotate_on_renew
      - keep
      - always
    default: rotate_on_renew
  lifetime:
    description:
      - How long certificates are to be valid from their issue, such as V(30d), V(12h) or V(1d12h); a bare number is seconds.
      - At least 600 seconds. The signer may grant less, never more.
    type: str
    default: 30d
  renew_before:
    description:
      - How long before its end a certificate is renewed, as a duration or as a percentage of the granted lifetime.
      - It counts as half of the granted lifetime at most.
    type: str
    default: 33%
  signer:
    description:
      - The signer that the requests are for.
    type: str
    default: kubernetes.io/kube-apiserver-client
  approve:
    description:
      - V(auto) approves the requests of this run.
      - V(wait) waits up to O(wait_timeout) until somebody else has approved them.
      - V(skip) leaves them to be approved; the next run collects the certificates.
    type: str
    choices:
      - auto
      - wait
      - skip
    default: auto
  wait_timeout:
    description:
      - How long to wait for the certificates of the whole list, as a duration.
      - A controller manager with default settings signs 20 certificates a second.
    type: str
    default: 60s
  verify_login:
    description:
      - Whether each new certificate is tried at the API server, which must see exactly the name and the groups.
    type: bool
    default: false
requirements:
  - cryptography >= 3.4
  - PyYAML >= 5.4
  - urllib3
"""

EXAMPLES = r"""
- name: Keep certificates for two people
  kubestead.platform.k8s_user_cert:
    store:
      directory: /etc/kubestead/people
    users:
      - name: anna
        groups: [team-red]
      - name: bert
        groups: [team-red, team-blue]
        lifetime: 7d
    verify_login: true

- name: Request certificates that somebody else approves
  kubestead.platform.k8s_user_cert:
    store:
      directory: /etc/kubestead/people
    approve: skip
    users: "{{ people }}"

- name: Remove what is kept of a person
  kubestead.platform.k8s_user_cert:
    store:
      directory: /etc/kubestead/people
    users:
      - name: anna
    state: absent
  register: left

- name: Say until when copies of the certificates go on working
  ansible.builtin.debug:
    var: left.entries[0].still_valid
"""

RETURN = r"""
entries:
  description: One element per person, in the order of O(users).
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: Always V(certificate).
      returned: always
      type: str
    name:
      description: The user name.
      returned: always
      type: str
    action:
      description: V(created), V(updated), V(unchanged), V(removed), V(failed), or V(skipped) when the run stopped before.
      returned: always
      type: str
    reason:
      description: Why, such as V(missing), V(expiring), V(groups changed), V(key type changed) or V(expired).
      returned: always
      type: str
    key_path:
      description: Path of the private key.
      returned: always
      type: str
    cert_path:
      description: Path of the certificate.
      returned: always
      type: str
    groups:
      description: The groups in the certificate, sorted.
      returned: when there is or will be a certificate
      type: list
      elements: str
    not_after:
      description: The end of the certificate, in UTC.
      returned: when there is a certificate
      type: str
      sample: "2026-12-31T00:00:00Z"
    seconds_left:
      description: Seconds until that end.
      returned: when there is a certificate
      type: int
    serial:
      description: The certificate's serial number in hexadecimal.
      returned: when there is a certificate
      type: str
    credential_id:
      description: How the API server names this certificate in its audit log and in C(kubectl auth whoami).
      returned: when there is a certificate
      type: str
      sample: X509SHA256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    still_valid:
      description: The person's issued certificates that have not ended, each with C(credential_id) and C(not_after).
      returned: when the state is V(absent)
      type: list
      elements: dict
    request:
      description: Name of the C(CertificateSigningRequest) that was created.
      returned: when one was created
      type: str
    login:
      description: The C(user) and the C(groups) that the API server saw.
      returned: when O(verify_login) and a new certificate was installed
      type: dict
    error:
      description: What went wrong, with C(code), C(msg) and C(hint).
      returned: when the entry failed
      type: dict
counts:
  description: How many entries took each action.
  returned: always
  type: dict
ledger_path:
  description: Path of the ledger.
  returned: always
  type: str
"""

import time
from typing import Any

from ..module_utils._adapters.keys import Keys
from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.kube_login import login_from_params
from ..module_utils._adapters.pair_login import PairLogin
from ..module_utils._adapters.pair_store import LedgerFile, PairStore
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.k8s_user_cert import Outside, UserCertFlow

SPEC: dict[str, dict[str, Any]] = {
    "users": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str"},
            "lifetime": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"]},
        },
    },
    "store": {"type": "dict", "required": True, "options": {"directory": {"type": "path", "required": True}}},
    "key_type": {
        "type": "str",
        "choices": ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"],
        "default": "ecdsa-p256",
        "no_log": False,
    },
    "key_policy": {
        "type": "str",
        "choices": ["rotate_on_renew", "keep", "always"],
        "default": "rotate_on_renew",
        "no_log": False,
    },
    "lifetime": {"type": "str", "default": "30d"},
    "renew_before": {"type": "str", "default": "33%"},
    "signer": {"type": "str", "default": "kubernetes.io/kube-apiserver-client"},
    "approve": {"type": "str", "choices": ["auto", "wait", "skip"], "default": "auto"},
    "wait_timeout": {"type": "str", "default": "60s"},
    "verify_login": {"type": "bool", "default": False},
}


def wire(params: dict[str, Any]) -> UserCertFlow:
    """The flow of one run."""
    need("cryptography", "urllib3", "yaml")
    login = login_from_params(params)
    directory = params["store"]["directory"]
    outside = Outside(
        kube=KubeApiClient(login),
        pairs=PairStore(directory),
        ledger=LedgerFile(directory),
        keys=Keys(),
        login=PairLogin(login),
        clock=time.time,
    )
    return UserCertFlow.from_params(params, outside)


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, BULK_SPEC, STATE_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
