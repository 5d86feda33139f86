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
  - Nobody gets a certificate with a name or a group that holds rights already through a binding which
    M(kubestead.platform.rbac_grant) did not make, unless O(allow_users) or O(allow_groups) lists it. The names in a person's
    valid certificate are not asked about again.
  - Before anything is written it is checked, in one go, that the caller has all the rights the run needs, that the clocks
    agree, and whether the signer signs. A missing right is shown as the RBAC rule that grants it.
  - When nobody is due, the server is not asked at all, unless O(store.secret) or O(verify_login) need it.
notes:
  - Kubernetes cannot revoke a certificate. O(state=absent) removes the files and the requests, and returns which of the
    person's certificates are valid until when.
  - The caller needs the rights C(create), C(get), C(list), C(watch) and C(delete) on C(certificatesigningrequests), C(list) on
    C(rolebindings) and C(clusterrolebindings), and with O(approve=auto) also C(update) on
    C(certificatesigningrequests/approval) and C(approve) on the signer; with O(store.secret) also C(list), C(create),
    C(update) and C(delete) on C(secrets) of that namespace. The guide has the ClusterRole. Whoever may approve requests of
    this signer can become anybody in the cluster, so keep that credential as safe as an administrator's.
  - A key that is damaged, or encrypted with another passphrase than O(key_passphrase), is never overwritten, except with
    O(key_policy=always).
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
      own_group:
        description:
          - Gives the certificate one group that nobody else's carries, the name and 128 random bits, in the place of O(users[].groups).
            The result's C(groups) has it. Rights that are bound to it end for every certificate that carries it when they are
            bound to another one, and the person goes on with the next certificate.
          - V(keep) keeps the group of the present certificate; V(new) makes another one, in every run.
          - A check run announces other random bits than the run makes.
        type: str
        choices:
          - keep
          - new
      csr:
        description:
          - A signing request that the person made, as PEM. The private key then never leaves the person's hands, and there is
            no C(<name>.key).
          - Its subject must be exactly the name and the groups of this entry, in any order. Alternative names, extensions,
            other attributes and weak keys are refused before anything is sent.
          - Give it again in every run. Another request leads to a new certificate; a renewal uses this one.
          - O(key_type), O(key_policy=keep) and O(verify_login) do not concern such a person.
        type: str
      lifetime:
        description:
          - How long the certificate is to be valid. The default is O(lifetime).
        type: str
      expires:
        description:
          - A moment such as V(2027-01-31T18:00:00Z), or a date, which is that whole day in UTC. No certificate is asked for that
            would be valid after it, and one that would be is replaced by a shorter one. The longer one stays valid nevertheless.
          - The certificate ends up to six minutes before it, since the signer counts from its signing. From eleven minutes before it
            on nothing is issued any more, because Kubernetes issues nothing for less than ten.
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
      - Where keys and certificates are kept; exactly one of the two.
    type: dict
    required: true
    suboptions:
      directory:
        description:
          - A folder on the host the module runs on, made with mode V(0700) when it is missing. No other user than root may be
            able to write in it.
          - Each person has C(<name>.key) and C(<name>.crt) there, which are links to the present pair.
        type: path
      secret:
        description:
          - A namespace of the cluster that the task connects to, where each person has a Secret with C(tls.key) and C(tls.crt).
          - Whoever can read Secrets or create pods in that namespace has all of these keys, so give it to nobody else.
          - The ledger is in Secrets named C(kubestead-ledger-) and a number.
        type: dict
        suboptions:
          namespace:
            description:
              - The namespace; it has to exist.
            type: str
            required: true
          name_template:
            description:
              - The name of each Secret, with C({name}) for the user name. A name that is no DNS label is replaced by a readable
                form of it with a digest.
            type: str
            default: "{name}-certificate"
  local_ca:
    description:
      - A certificate authority on the host the module runs on, for clusters whose signer is off. It signs in place of the
        server, and nothing is asked of the server except with O(store.secret) and O(verify_login).
      - The API server must trust it for clients (C(--client-ca-file)). Whoever reads its key can become anybody in the cluster.
      - Rights that a name holds already (see O(allow_groups)) are not looked up.
      - Certificates that another CA signed are renewed.
    type: dict
    suboptions:
      cert:
        description:
          - Path of the CA's certificate. Certificates after it lead to the root and are added to those that are issued.
        type: path
        required: true
      key:
        description:
          - Path of the CA's private key, in any PEM format.
        type: path
        required: true
      passphrase:
        description:
          - The passphrase of an encrypted key.
        type: str
  signer_ca:
    description:
      - The certificates of the CAs by which the signer signs at present, as PEM. A certificate that none of them signed is
        renewed.
      - Without it a change of the cluster's CA is not noticed, except by O(verify_login).
    type: str
  allow_groups:
    description:
      - Groups that a certificate may name although they hold rights through bindings which M(kubestead.platform.rbac_grant) did
        not make.
    type: list
    elements: str
  allow_users:
    description:
      - The same for user names.
    type: list
    elements: str
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
  key_passphrase:
    description:
      - Encrypts the private keys in the store, in PKCS#8. A key that is there and not encrypted leads to a new certificate.
      - A key that is encrypted with another passphrase ends the entry with an error.
      - kubectl cannot read encrypted keys, and M(kubestead.platform.kubeconfig_render) does not embed them.
      - Reading an encrypted key takes some milliseconds, in every run.
    type: str
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
      - Whether each certificate is tried at the API server, which must see exactly the name and the groups. In check mode, and
        when nothing is due, those that are in place are tried.
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

- name: Keep them in the cluster, and the keys with the people
  kubestead.platform.k8s_user_cert:
    store:
      secret:
        namespace: people-certificates
    users:
      - name: anna
        groups: [team-red]
        csr: "{{ lookup('ansible.builtin.file', 'requests/anna.csr') }}"

- name: Sign with a CA on this host, because the cluster's signer is off
  kubestead.platform.k8s_user_cert:
    store:
      directory: /etc/kubestead/people
    local_ca:
      cert: /etc/kubestead/people-ca.crt
      key: /etc/kubestead/people-ca.key
      passphrase: "{{ people_ca_passphrase }}"
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
      description:
        - Why, such as V(missing), V(expiring), V(expired), V(not yet valid), V(groups changed), V(key changed),
          V(key type changed), V(key not encrypted), V(csr changed), V(signer changed), V(CA changed) or V(lifetime shortened).
      returned: always
      type: str
    key_path:
      description: Path of the private key; with O(store.secret) C(namespace/name:key) of the Secret.
      returned: unless the person gave a signing request
      type: str
    cert_path:
      description: Path of the certificate; with O(store.secret) C(namespace/name:key) of the Secret.
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
    granted_seconds:
      description: For how long the certificate was granted; less than asked leads to a warning.
      returned: when one was issued
      type: int
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
      returned: when O(verify_login) and there is a certificate to try
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
  description: Path of the ledger, or its Secrets.
  returned: always
  type: str
"""

import time
from typing import Any

from ..module_utils._adapters.keys import Keys
from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.kube_login import KubeLogin, login_from_params
from ..module_utils._adapters.local_ca import LocalCa
from ..module_utils._adapters.pair_login import PairLogin
from ..module_utils._adapters.pair_store import LedgerFile, PairStore
from ..module_utils._adapters.secret_pairs import SecretLedger, SecretPairs
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.cert_ports import Outside
from ..module_utils._flows.k8s_user_cert import UserCertFlow

SPEC: dict[str, dict[str, Any]] = {
    "users": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str"},
            "own_group": {"type": "str", "choices": ["keep", "new"]},
            "csr": {"type": "str"},
            "lifetime": {"type": "str"},
            "expires": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"]},
        },
    },
    "store": {
        "type": "dict",
        "required": True,
        "options": {
            "directory": {"type": "path"},
            "secret": {
                "type": "dict",
                "no_log": False,
                "options": {
                    "namespace": {"type": "str", "required": True},
                    "name_template": {"type": "str", "default": "{name}-certificate"},
                },
            },
        },
        "mutually_exclusive": [("directory", "secret")],
        "required_one_of": [("directory", "secret")],
    },
    "local_ca": {
        "type": "dict",
        "options": {
            "cert": {"type": "path", "required": True},
            "key": {"type": "path", "required": True, "no_log": False},
            "passphrase": {"type": "str", "no_log": True},
        },
    },
    "signer_ca": {"type": "str"},
    "allow_groups": {"type": "list", "elements": "str"},
    "allow_users": {"type": "list", "elements": "str"},
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
    "key_passphrase": {"type": "str", "no_log": True},
    "lifetime": {"type": "str", "default": "30d"},
    "renew_before": {"type": "str", "default": "33%"},
    "signer": {"type": "str", "default": "kubernetes.io/kube-apiserver-client"},
    "approve": {"type": "str", "choices": ["auto", "wait", "skip"], "default": "auto"},
    "wait_timeout": {"type": "str", "default": "60s"},
    "verify_login": {"type": "bool", "default": False},
}


def wire(params: dict[str, Any]) -> UserCertFlow:
    """The flow of one run. A CA on this host, files on this host and no login need no server."""
    need("cryptography", "urllib3", "yaml")
    store, ca = params["store"], params.get("local_ca")
    alone = ca and store.get("directory") and not params["verify_login"]
    login = KubeLogin(server="") if alone else login_from_params(params)
    kube = KubeApiClient(login)
    if store.get("directory"):
        places: Any = PairStore(store["directory"]), LedgerFile(store["directory"])
    else:
        secret = store["secret"]
        places = SecretPairs(kube, secret["namespace"], secret["name_template"]), SecretLedger(kube, secret["namespace"])
    outside = Outside(
        kube=kube,
        pairs=places[0],
        ledger=places[1],
        keys=Keys(params.get("key_passphrase")),
        login=PairLogin(login),
        clock=time.time,
        authority=LocalCa(ca["cert"], ca["key"], ca.get("passphrase")) if ca else None,
    )
    return UserCertFlow.from_params(params, outside)


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, BULK_SPEC, STATE_SPEC, spec=SPEC, mutually_exclusive=[("local_ca", "signer_ca")]), wire)


if __name__ == "__main__":
    main()
