#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who has which access: directory, certificates and rights in the cluster, by person."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access_info
short_description: Tell who may do what in a Kubernetes cluster, and until when
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Reads the rights in a cluster, the certificates that people hold and the accounts of a directory in one pass, and puts them
    together by person.
  - With O(people), it also says where access is not as the list has it, and what ends soon.
  - Each kind of object is one paged list request and each base of the directory one paged search, however many people there are.
  - People are known by one name, which is the account in the directory, the common name of the certificate and the user of the
    bindings. Rights are reckoned as Kubernetes' RBAC authorizer does; other authorizers are not asked.
  - Private keys in folders and passwords are not read. Secrets with pairs hold keys, which are neither kept nor returned.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_k8s
  - kubestead.platform.attributes.info_module
  - kubestead.platform.kube_auth
options:
  people:
    description:
      - The people as they should be, in the form of the list that M(kubestead.platform.rbac_grant) and the role
        C(user_onboarding) are served from, with C(name), C(full_name), C(groups), C(access) and C(state).
      - Without it, nothing is compared with a list.
    type: list
    elements: dict
  owner:
    description:
      - The value of the label C(kubestead.platform/owner) on the bindings that are made for O(people). Those of other owners were
        asked for by somebody else.
    type: str
    default: user-onboarding
  names:
    description:
      - Only these people are in the result. All of the cluster is read nevertheless.
    type: list
    elements: str
  cluster:
    description:
      - What the cluster is called in the result. The default is the URL of its API server.
    type: str
  directory:
    description:
      - Where the accounts are. Without it, no directory is read.
    type: dict
    suboptions:
      user_base:
        description:
          - The DN below which accounts are.
        type: str
        required: true
      group_base:
        description:
          - The DN below which groups are. Without it, no groups are read.
        type: str
      server_uri:
        description:
          - One or more LDAP URIs, as in M(kubestead.platform.ldap_account).
        type: list
        elements: str
        default:
          - ldapi:///
      bind_dn:
        description:
          - The DN to bind with; a password comes from O(directory.bind_pw) or O(directory.bind_pw_file).
          - Without it the bind is by O(directory.sasl_class).
        type: str
      bind_pw:
        description:
          - The password of O(directory.bind_dn).
          - Mutually exclusive with O(directory.bind_pw_file).
        type: str
      bind_pw_file:
        description:
          - Path of a file, on the host the module runs on, whose first line is the password of O(directory.bind_dn).
          - Mutually exclusive with O(directory.bind_pw).
        type: path
      sasl_class:
        description:
          - How to bind without O(directory.bind_dn).
        type: str
        choices:
          - external
        default: external
      start_tls:
        description:
          - Whether to switch a C(ldap://) connection to TLS before anything else is sent.
        type: bool
        default: false
      validate_certs:
        description:
          - Whether the server's certificate and host name are verified.
        type: bool
        default: true
      ca_path:
        description:
          - Path of a PEM file with the CA certificates to trust instead of the system's.
        type: path
      client_cert:
        description:
          - Path of a PEM file with the client certificate and its chain.
          - Needs O(directory.client_key).
        type: path
      client_key:
        description:
          - Path of a PEM file with the private key of O(directory.client_cert).
          - Needs O(directory.client_cert).
        type: path
      timeout:
        description:
          - Seconds to wait for the connection and for each answer, at least V(1).
        type: int
        default: 30
      allow_plaintext:
        description:
          - Whether the password may travel over C(ldap://) without TLS.
        type: bool
        default: false
  certificates:
    description:
      - Where certificates are looked for. Without it, only the requests in the cluster are read.
    type: dict
    suboptions:
      directories:
        description:
          - Folders in which M(kubestead.platform.k8s_user_cert) keeps C(*.crt) and the ledger.
        type: list
        elements: path
      namespaces:
        description:
          - Namespaces in which M(kubestead.platform.k8s_user_cert) keeps Secrets with certificates and the ledger.
        type: list
        elements: str
      requests:
        description:
          - Whether the C(CertificateSigningRequests) of the cluster are read. Those of kubelets are passed over.
        type: bool
        default: true
  groups_from:
    description:
      - Which sources decide in which groups a person is when rights are reckoned.
      - V(certificates) are the groups in valid certificates, which is what the API server sees of them; V(directory) counts where
        the API server asks the directory, such as through OpenID Connect; V(people) are the groups of the list.
    type: list
    elements: str
    choices: [certificates, directory, people]
    default: [certificates, directory, people]
  warn_before:
    description:
      - How long before its end a certificate or a right counts as ending soon, such as V(14d).
    type: str
    default: 14d
  known_accounts:
    description:
      - Names of accounts that belong to no person, such as those of services. A C(*) at the end stands for any rest.
    type: list
    elements: str
  known_bindings:
    description:
      - Names of bindings that are right although no owner is noted on them. A C(*) at the end stands for any rest.
    type: list
    elements: str
  as_text:
    description:
      - Whether all of it is returned as one text in RV(text), and RV(entries) and the others are empty or missing. Of thousands of
        people, Ansible handles a text in a fraction of the time; the filters P(kubestead.platform.access_page#filter) and the like
        take both.
    type: bool
    default: false
  questions:
    description:
      - Who may do this? Each question is answered in RV(answers).
    type: list
    elements: dict
    suboptions:
      verb:
        description:
          - Such as V(get), V(list), V(create) or V(delete).
        type: str
        required: true
      resource:
        description:
          - Such as V(pods) or V(pods/exec). Either this or O(questions[].path) is needed.
        type: str
      api_group:
        description:
          - The group of the resource, such as V(apps); left out for the core group.
        type: str
      name:
        description:
          - The name of one object. Without it, the question is about any object.
        type: str
      namespace:
        description:
          - Where. Without it, the question is about the whole cluster.
        type: str
      path:
        description:
          - A path that is no resource, such as V(/metrics).
        type: str
requirements:
  - cryptography >= 3.4
  - ldap3 >= 2.9 (with O(directory))
seealso:
  - module: kubestead.platform.rbac_grant
  - module: kubestead.platform.k8s_user_cert
  - module: kubestead.platform.ldap_account
"""

EXAMPLES = r"""
- name: Read everything
  kubestead.platform.access_info:
    people: "{{ kubestead_people }}"
    certificates:
      directories: [/srv/kubestead/people/certificates]
    directory:
      server_uri: ldaps://ldap.example.org
      bind_dn: cn=manager,dc=example,dc=org
      bind_pw_file: /root/ldap.password
      user_base: ou=people,dc=example,dc=org
      group_base: ou=groups,dc=example,dc=org
  register: access

- name: Nothing is there that nobody asked for
  ansible.builtin.assert:
    that: access.findings | selectattr('severity', 'equalto', 'problem') | length == 0

- name: Who may read the Secrets of a team?
  kubestead.platform.access_info:
    questions:
      - verb: get
        resource: secrets
        namespace: team-red
  register: access

- name: What does one person still have?
  kubestead.platform.access_info:
    names: [dora]
    certificates:
      directories: [/srv/kubestead/people/certificates]
  register: access
"""

RETURN = r"""
entries:
  description:
    - One for everybody on the list, with an account, with a certificate or with a right of their own, by name.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: Always V(person).
      type: str
      returned: always
      sample: person
    name:
      description: The name of the person.
      type: str
      returned: always
      sample: anna
    action:
      description: Always V(unchanged).
      type: str
      returned: always
      sample: unchanged
    full_name:
      description: The name people know, from the list or the directory.
      type: str
      returned: always
      sample: Anna Berg
    state:
      description: What the list says, V(present), V(disabled) or V(absent); V(unlisted) for somebody else.
      type: str
      returned: always
      sample: present
    account:
      description: The account, with C(dn), C(locked) and C(expires); V(null) when there is none or no directory was read.
      type: dict
      returned: always
      sample: {dn: "uid=anna,ou=people,dc=example,dc=org", locked: false, expires: null}
    groups:
      description: The groups, each with C(name) and C(sources), the places that say so.
      type: list
      elements: dict
      returned: always
      sample: [{name: team-red, sources: [certificates, directory, people]}]
    certificates:
      description:
        - The certificates, the one that ends last first. C(found_in) names V(file), V(secret), V(request) and V(ledger). One that
          is only in the ledger may still be held by somebody.
      type: list
      elements: dict
      returned: always
      sample:
        - not_before: "2027-01-01T00:00:00Z"
          not_after: "2027-01-31T00:00:00Z"
          seconds_left: 86400
          groups: [team-red]
          serial: 1f2e3d
          credential_id: X509SHA256=0a1b
          found_in: [file, ledger]
          place: /srv/kubestead/people/certificates/anna.crt
    certificate_end:
      description: When the last certificate ends; V(null) without one.
      type: str
      returned: always
      sample: "2027-01-31T00:00:00Z"
    rights:
      description:
        - The rights, one for each binding. C(group) is the one it comes through, V(null) for a right of the person's own.
          C(level) is V(everything), V(hands on) (can give rights to others), V(writes), V(reads) or V(nothing).
          C(standing) says who wants it to be there, V(list), C(owner NAME), V(system), V(known) or V(nobody).
      type: list
      elements: dict
      returned: always
      sample:
        - role: edit
          level: writes
          where: team-red
          group: null
          ends: null
          standing: list
          binding: rolebinding team-red/anna-edit-user-clusterrole-0a1b2c3d4e
counts:
  description: How many entries there are; none is ever anything but unchanged.
  returned: success
  type: dict
  sample: {created: 0, updated: 0, unchanged: 25, removed: 0, failed: 0, skipped: 0}
cluster:
  description: O(cluster), or the URL of the API server.
  returned: success
  type: str
  sample: production
taken_at:
  description: When all of this was read.
  returned: success
  type: str
  sample: "2027-01-30T00:00:00Z"
everybody:
  description: The rights of everybody who logs in (C(system:authenticated)) or who does not (C(system:unauthenticated)).
  returned: success
  type: list
  elements: dict
  sample:
    - {role: "system:discovery", level: reads, where: the whole cluster, group: "system:authenticated", ends: null,
       standing: system, binding: "clusterrolebinding system:discovery"}
roles:
  description: What the roles allow that are named above, with C(name), C(level) and C(rules).
  returned: success
  type: list
  elements: dict
  sample: [{name: edit, level: writes, rules: [{apiGroups: [""], resources: [pods], verbs: [create, get]}]}]
namespaces:
  description: The namespaces of the cluster.
  returned: success
  type: list
  elements: str
  sample: [default, team-red]
findings:
  description:
    - What is not as it was asked for or soon will not be, problems first, with C(severity) (V(problem) or V(notice)), C(kind),
      C(who) (a person or C(group NAME)), C(where), C(what) and C(until). The guide on the report lists all kinds.
  returned: success
  type: list
  elements: dict
  sample:
    - severity: problem
      kind: right_not_asked
      who: eve
      where: team-red
      what: admin by rolebinding team-red/by-hand
      until: null
text:
  description: With O(as_text=true), all of the above as JSON.
  returned: success, with O(as_text=true)
  type: str
  sample: "{…}"
answers:
  description: For each question C(question) in words, C(who), the names of those who may, and whether C(everybody) may.
  returned: success
  type: list
  elements: dict
  sample: [{question: get secrets in team-red, who: [anna], everybody: false}]
"""

import time
from functools import partial
from typing import Any

from ..module_utils._adapters.certificate_files import CertificateFiles
from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.ldap_server import LdapServer
from ..module_utils._ansible.argspec import KUBE_AUTH_SPEC, LDAP_AUTH_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.access_certificates import CertificateReader
from ..module_utils._flows.access_directory import AccountReader
from ..module_utils._flows.access_info import AccessInfoFlow, Sources
from ..module_utils._flows.access_people import list_of
from ..module_utils._flows.access_rights import RightsReader

_TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}
_SOURCES = ["certificates", "directory", "people"]
_ASKED = ("resource", "api_group", "name", "namespace", "path")

SPEC: dict[str, dict[str, Any]] = {
    "people": {"type": "list", "elements": "dict"},
    "owner": {"type": "str", "default": "user-onboarding"},
    "names": _TEXTS,
    "cluster": {"type": "str"},
    "directory": {
        "type": "dict",
        "options": {
            "user_base": {"type": "str", "required": True},
            "group_base": {"type": "str"},
            **LDAP_AUTH_SPEC.options,
        },
        "mutually_exclusive": LDAP_AUTH_SPEC.mutually_exclusive,
        "required_together": LDAP_AUTH_SPEC.required_together,
        "required_by": LDAP_AUTH_SPEC.required_by,
    },
    "certificates": {
        "type": "dict",
        "options": {
            "directories": {"type": "list", "elements": "path"},
            "namespaces": _TEXTS,
            "requests": {"type": "bool", "default": True},
        },
    },
    "groups_from": {**_TEXTS, "choices": _SOURCES, "default": _SOURCES},
    "warn_before": {"type": "str", "default": "14d"},
    "known_accounts": _TEXTS,
    "known_bindings": _TEXTS,
    "as_text": {"type": "bool", "default": False},
    "questions": {
        "type": "list",
        "elements": "dict",
        "options": {"verb": {"type": "str", "required": True}, **{name: {"type": "str"} for name in _ASKED}},
    },
}


def sources(params: dict[str, Any]) -> Sources:
    """Everything that is read."""
    api = KubeApiClient.from_params(params)
    places = params["certificates"] or {"directories": None, "namespaces": None, "requests": True}
    folders = [CertificateFiles(path) for path in places["directories"] or ()]
    where = params["directory"]
    accounts = None
    if where:
        need("ldap3")
        server = LdapServer.from_params({**where, "concurrency": 1})
        accounts = AccountReader(server, where["user_base"], where["group_base"] or "")
    listed, asked = list_of(params["people"], int(time.time()))
    certificates = CertificateReader(api, folders, places["namespaces"] or (), requests=places["requests"])
    return Sources(RightsReader(api), certificates, accounts, listed, asked, time.time, api.server)


def wire(params: dict[str, Any]) -> AccessInfoFlow:
    """The flow of one run."""
    need("urllib3", "yaml", "cryptography")
    return AccessInfoFlow.from_params(params, partial(sources, params))


def main() -> None:
    """Entry point."""
    converge(new_module(KUBE_AUTH_SPEC, spec=SPEC), wire)


if __name__ == "__main__":
    main()
