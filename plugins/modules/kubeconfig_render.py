#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubeconfig files, merged safely, many at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig_render
short_description: Write many kubeconfigs, merging safely with what is in them
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Puts clusters, users and contexts into kubeconfigs, one or thousands in a single task. A kubeconfig is a file on the host,
    or a key of a Secret or ConfigMap.
  - What the task does not name stays value for value, unknown keys and extensions included. A file in which nothing changes
    is not rewritten. Comments do not survive a rewrite.
  - A file that is not valid YAML is left as it is, and the line is reported.
  - A file is born with mode V(0600) and replaces the old one in a single rename, under the same lock file that kubectl uses, so
    that parallel runs lose nothing. The lock of a killed run of this module is recognised and removed, and so are the temporary
    files it left; a lock of somebody else is waited for, 10 seconds long, and never removed.
  - The new file keeps the owner, the group and the extended attributes (such as the SELinux context) of the one it replaces.
  - Missing folders are made with mode V(0700). A folder in which others can write, or that belongs to somebody else than root,
    the user the module runs as, or the file's owner, is refused. Links that root or the user the module runs as made are
    followed, also when the kubeconfig itself is one; links of others are refused.
  - An object is changed by a patch of its one key that the API refuses when the object changed meanwhile; it is then read and
    merged again.
  - Names that YAML readers would take for something else, such as V(n), V(no) or V(1e3), are quoted.
  - Each context of the task must end up with a cluster and a user that exist in the kubeconfig.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_k8s
  - kubestead.platform.kube_auth
  - kubestead.platform.bulk
  - kubestead.platform.bulk.state
  - kubestead.platform.secret_file
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Keys, certificates and tokens are shown as the beginning of their SHA-256. Passwords, arguments and variables of login
        commands, and values of unknown keys are hidden.
  idempotent:
    support: full
options:
  files:
    description:
      - The kubeconfigs. Each can be named once.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of a file on the host.
          - Exactly one of O(files[].path), O(files[].secret) and O(files[].configmap) says where the kubeconfig is.
        type: path
      secret:
        description:
          - A key of a Secret, at the API server that the connection options name. The namespace must exist; check mode does not ask
            for it, because an earlier task may make it.
          - Who can read Secrets in the namespace, or make pods in it, has this kubeconfig. Keep those of people in a namespace
            of their own.
        type: dict
        suboptions: &object
          namespace:
            description:
              - Namespace of the object.
            type: str
            required: true
          name:
            description:
              - Name of the object.
            type: str
            required: true
          key:
            description:
              - The key that holds the kubeconfig. Other keys stay as they are.
            type: str
            default: kubeconfig
      configmap:
        description:
          - A key of a ConfigMap, as with O(files[].secret). It is refused when the result would hold anything private, unless
            O(allow_plain) is set.
        type: dict
        suboptions: *object
      owner:
        description:
          - Name or numeric id of the user who is to own the file; the default is the option O(owner). For files only.
        type: str
      group:
        description:
          - Name or numeric id of the file's group; the default is the option O(group). For files only.
        type: str
      mode:
        description:
          - Mode of the file in octal digits, with quotes. V(0600), V(0400), V(0640) and V(0440) are allowed.
        type: str
        default: '0600'
      state:
        description:
          - V(present) brings the entries into the file.
          - V(absent) removes the whole file, whatever it holds, and ignores the entries. Without O(backup) the backups of the
            file are removed as well.
          - Of an object, V(absent) removes the key, and the object itself if this module made it and no other key is left.
          - The default is the option O(state).
        type: str
        choices:
          - present
          - absent
      clusters:
        description:
          - Cluster entries. A name can be used once.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - Name of the cluster entry.
            type: str
            required: true
          behavior:
            description:
              - V(merge) sets the given keys and leaves the others. Data drops the path it stands for, and the other way round.
              - V(replace) makes the entry what is given.
              - V(keep) adds the entry if there is none of that name.
              - V(remove) removes the entry.
            type: str
            choices:
              - merge
              - replace
              - keep
              - remove
            default: merge
          unset:
            description:
              - Keys to remove from the entry, with V(merge) only. (A null cannot say it, because Ansible does not tell it from
                an option that was left out.)
            type: list
            elements: str
          cluster:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless the entry or some of its keys are removed.
            type: dict
            suboptions:
              server:
                description:
                  - URL of the API server.
                type: str
              certificate-authority:
                description:
                  - Path of a PEM file with the CA certificates.
                type: path
              certificate-authority-data:
                description:
                  - The CA certificates, PEM in base64.
                type: str
              insecure-skip-tls-verify:
                description:
                  - Whether the server's certificate is not verified. Excludes a certificate authority.
                type: bool
              tls-server-name:
                description:
                  - Name to expect in the server's certificate instead of the host of the URL.
                type: str
              proxy-url:
                description:
                  - URL of the proxy to the server.
                type: str
              disable-compression:
                description:
                  - Whether answers are not compressed.
                type: bool
              extensions:
                description:
                  - Extensions, as a list of C(name) and C(extension). With V(merge), those of other names stay.
                type: list
                elements: dict
      users:
        description:
          - User entries. A name can be used once.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - Name of the user entry.
            type: str
            required: true
          behavior:
            description:
              - V(merge) sets the given keys and leaves the others. Another way to log in drops the keys of the old one.
              - V(replace) makes the entry what is given.
              - V(keep) adds the entry if there is none of that name.
              - V(remove) removes the entry.
            type: str
            choices:
              - merge
              - replace
              - keep
              - remove
            default: merge
          unset:
            description:
              - Keys to remove from the entry, with V(merge) only. (A null cannot say it, because Ansible does not tell it from
                an option that was left out.)
            type: list
            elements: str
          user:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless the entry or some of its keys are removed.
              - Only one way to log in can be given (certificate and key, tls_secret, token, user name and password, exec, or
                oidc).
            type: dict
            suboptions:
              client-certificate:
                description:
                  - Path of a PEM file with the client certificate.
                type: path
              client-certificate-data:
                description:
                  - The client certificate, PEM in base64.
                type: str
              client-key:
                description:
                  - Path of a PEM file with the private key.
                type: path
              client-key-data:
                description:
                  - The private key, PEM in base64.
                type: str
              token:
                description:
                  - Bearer token.
                type: str
              tokenFile:
                description:
                  - Path of a file with a bearer token.
                type: path
              username:
                description:
                  - User name for basic authentication.
                type: str
              password:
                description:
                  - Password for basic authentication.
                type: str
              exec:
                description:
                  - A command that prints a credential, with the keys of kubeconfig. This module never runs it.
                type: dict
                suboptions:
                  apiVersion:
                    description:
                      - Version of the credential API, such as V(client.authentication.k8s.io/v1).
                    type: str
                    required: true
                  command:
                    description:
                      - The command.
                    type: str
                    required: true
                  args:
                    description:
                      - Its arguments. Secrets belong into O(files[].users[].user.exec.env) instead.
                    type: list
                    elements: str
                  env:
                    description:
                      - Environment variables for it.
                    type: list
                    elements: dict
                    suboptions:
                      name:
                        description:
                          - Name of the variable.
                        type: str
                        required: true
                      value:
                        description:
                          - Value of the variable.
                        type: str
                        required: true
                  interactiveMode:
                    description:
                      - Whether the command may talk to the person.
                    type: str
                    choices:
                      - Never
                      - IfAvailable
                      - Always
                  provideClusterInfo:
                    description:
                      - Whether the command is told about the cluster.
                    type: bool
                  installHint:
                    description:
                      - What to say when the command is missing.
                    type: str
              tls_secret:
                description:
                  - A Secret with C(tls.crt) and C(tls.key), such as those that M(kubestead.platform.k8s_user_cert) keeps with
                    O(kubestead.platform.k8s_user_cert#module:store.secret). It is read at the API server that the connection
                    options name, and its certificate and key are written as data, whatever O(embed) says.
                type: dict
                suboptions:
                  namespace:
                    description:
                      - Namespace of the Secret.
                    type: str
                    required: true
                  name:
                    description:
                      - Name of the Secret.
                    type: str
                    required: true
              oidc:
                description:
                  - Logs in at an OpenID Connect provider through kubelogin, a plugin of kubectl that each person installs. It
                    is written as C(exec).
                type: dict
                suboptions:
                  issuer_url:
                    description:
                      - The provider's issuer, an https URL.
                    type: str
                    required: true
                  client_id:
                    description:
                      - Id of the client that the provider knows kubectl as.
                    type: str
                    required: true
                  client_secret:
                    description:
                      - Secret of a client that has one. It stands in the kubeconfig and in the arguments of kubelogin.
                    type: str
                  extra_scopes:
                    description:
                      - Scopes to ask for beside C(openid).
                    type: list
                    elements: str
                  grant_type:
                    description:
                      - How the person logs in; kubelogin decides when this is left out.
                    type: str
                    choices:
                      - auto
                      - authcode
                      - authcode-keyboard
                      - password
                      - device-code
                  certificate_authority:
                    description:
                      - Path, on the person's machine, of the CA certificates of the provider.
                    type: str
                  command:
                    description:
                      - V(kubectl) finds kubelogin as its plugin C(oidc-login), V(kubelogin) runs it by itself.
                    type: str
                    choices:
                      - kubectl
                      - kubelogin
                    default: kubectl
              as:
                description:
                  - User to act as.
                type: str
              as-uid:
                description:
                  - UID to act as.
                type: str
              as-groups:
                description:
                  - Groups to act as.
                type: list
                elements: str
              as-user-extra:
                description:
                  - Extra attributes to act with; lists of texts by key.
                type: dict
              extensions:
                description:
                  - Extensions, as a list of C(name) and C(extension). With V(merge), those of other names stay.
                type: list
                elements: dict
      contexts:
        description:
          - Context entries. A name can be used once.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - Name of the context entry.
            type: str
            required: true
          behavior:
            description:
              - V(merge) sets the given keys and leaves the others.
              - V(replace) makes the entry what is given.
              - V(keep) adds the entry if there is none of that name.
              - V(remove) removes the entry; if it is the current context, the file has none afterwards.
            type: str
            choices:
              - merge
              - replace
              - keep
              - remove
            default: merge
          unset:
            description:
              - Keys to remove from the entry, with V(merge) only. (A null cannot say it, because Ansible does not tell it from
                an option that was left out.)
            type: list
            elements: str
          context:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless the entry or some of its keys are removed.
            type: dict
            suboptions:
              cluster:
                description:
                  - Name of a cluster entry of the file.
                type: str
              user:
                description:
                  - Name of a user entry of the file.
                type: str
              namespace:
                description:
                  - Namespace to work in.
                type: str
              extensions:
                description:
                  - Extensions, as a list of C(name) and C(extension). With V(merge), those of other names stay.
                type: list
                elements: dict
      current_context:
        description:
          - Name of the context that is to be current; it must exist in the resulting file.
          - An empty text means none. Without this option what the file says stays.
        type: str
      merge_from:
        description:
          - Kubeconfig files on the host that are taken over whole, in the order of the variable E(KUBECONFIG), which is the
            order of kubectl. The first file that has an entry counts, and one that is not there is left out with a warning.
          - Their entries replace those of the same names in the kubeconfig; the task's own entries come on top. Their current
            context is taken where the kubeconfig has none.
          - Relative paths in them are written out. They are never read, so O(embed) does not reach them.
        type: list
        elements: path
      rename:
        description:
          - Other names for entries that stand in the kubeconfig, or that O(files[].merge_from) brings. References to them
            follow.
          - A name that is not there is passed over, because it was renamed before. It is refused if both names are there.
        type: list
        elements: dict
        suboptions:
          kind:
            description:
              - What is renamed.
            type: str
            choices:
              - cluster
              - user
              - context
            required: true
          from:
            description:
              - The name so far.
            type: str
            required: true
          to:
            description:
              - The new name.
            type: str
            required: true
      minify:
        description:
          - Name of a context. Everything that it does not need is dropped, whoever wrote it, and it becomes the current one.
        type: str
      prune:
        description:
          - Whether entries that carry the mark of O(manager) and that the task no longer names are removed. Others are never
            touched.
        type: bool
        default: false
  manager:
    description:
      - A word that says who manages the entries of this task. They get it as an extension named C(kubestead.platform), also
        those that stood there before.
      - Needed for O(files[].prune). Without it nothing is marked.
    type: str
  allow_plain:
    description:
      - Whether a ConfigMap may hold private values. These are keys, tokens, passwords, logins in URLs, variables and telling
        arguments of login commands, settings of an auth-provider, and keys of a user that this module does not know.
    type: bool
    default: false
  backup:
    description:
      - Whether the old version of a file is kept beside it when the file is changed or removed, as C(<path>.<time in
        UTC>.backup) with mode V(0600). It holds the old keys and tokens.
    type: bool
    default: false
  backup_count:
    description:
      - How many backups of each file are kept; older ones are removed when a new one is made. At least V(1).
    type: int
    default: 5
  warn_before:
    description:
      - A certificate in the kubeconfig, of the task or not, that expires within this time becomes a warning. A duration with
        the units V(s), V(m), V(h), V(d) and V(w). V(0) warns about expired ones only.
    type: str
    default: 7d
  embed:
    description:
      - Whether C(certificate-authority), C(client-certificate) and C(client-key) are read, on the host, from the paths given,
        and written as data. A missing file, or one that does not hold what it should, fails the entry.
      - A relative path starts at the folder of the kubeconfig. Of a file that holds more, such as the key beside the
        certificate, only what is asked for is taken.
      - Only paths that the task itself gives are read, never those that stand in a file already.
      - A certificate and a key that do not belong together are refused, if the library cryptography is on the host.
    type: bool
    default: false
  expected_files:
    description:
      - Files for O(embed) that an earlier task of the same check run reported as created or updated.
      - In check mode they count as new, whether or not they exist. Otherwise this option means nothing.
    type: list
    elements: path
    default: []
  expected_secrets:
    description:
      - The same for Secrets that O(files[].users[].user.tls_secret) names, as C(namespace/name).
    type: list
    elements: str
    default: []
  verify:
    description:
      - V(none) trusts the write.
      - V(parse) reads every written file back and compares it.
      - V(login) also asks the API server who logs in, through each context that the task gives together with its cluster and
        its user. It uses the values of the task only, and never runs a login command. Contexts it cannot try become warnings.
      - Files in which nothing changes are checked by V(login) as well, also in check mode; files that would change are not.
    type: str
    choices:
      - none
      - parse
      - login
    default: none
requirements:
  - PyYAML >= 5.4
  - urllib3, for O(verify=login), O(files[].secret), O(files[].configmap) and O(files[].users[].user.tls_secret)
  - cryptography, to compare keys with certificates and to warn about those that expire; without it neither is done
seealso:
  - module: kubestead.platform.k8s_user_cert
  - module: kubernetes.core.kubeconfig
"""

EXAMPLES = r"""
- name: A kubeconfig for each person, certificate and key inside, proved by a login
  kubestead.platform.kubeconfig_render:
    embed: true
    verify: login
    files:
      - path: /home/anna/.kube/config
        owner: anna
        group: anna
        current_context: anna@prod
        clusters:
          - name: prod
            cluster:
              server: https://10.0.0.10:6443
              certificate-authority: /etc/kubernetes/pki/ca.crt
        users:
          - name: anna
            user:
              client-certificate: /etc/kubestead/people/anna.crt
              client-key: /etc/kubestead/people/anna.key
        contexts:
          - name: anna@prod
            context: {cluster: prod, user: anna, namespace: team-red}

- name: Take an old cluster out of a file and leave the rest of it alone
  kubestead.platform.kubeconfig_render:
    files:
      - path: /home/anna/.kube/config
        owner: anna
        clusters: [{name: old, behavior: remove}]
        contexts: [{name: anna@old, behavior: remove}]

- name: One file out of three, with shorter names, for one context
  kubestead.platform.kubeconfig_render:
    files:
      - path: /root/.kube/prod
        merge_from: [/etc/kubernetes/admin.conf, /root/.kube/team, /root/.kube/lab]
        rename:
          - {kind: context, from: kubernetes-admin@kubernetes, to: prod}
        minify: prod

- name: A kubeconfig without secrets for everybody, with a login at the company's identity provider
  kubestead.platform.kubeconfig_render:
    files:
      - configmap: {namespace: kube-public, name: login}
        current_context: prod
        clusters:
          - name: prod
            cluster: {server: "https://10.0.0.10:6443", certificate-authority: /etc/kubernetes/pki/ca.crt}
        users:
          - name: me
            user:
              oidc: {issuer_url: "https://login.example.com", client_id: kubernetes, extra_scopes: [groups]}
        contexts:
          - name: prod
            context: {cluster: prod, user: me}
    embed: true

- name: All clusters of a list, and none that left the list
  kubestead.platform.kubeconfig_render:
    manager: clusters
    backup: true
    files:
      - path: /home/anna/.kube/config
        owner: anna
        prune: true
        clusters: "{{ my_clusters }}"
        contexts: "{{ my_contexts }}"

- name: Remove the kubeconfig of a leaver
  kubestead.platform.kubeconfig_render:
    state: absent
    files:
      - path: /etc/kubestead/people/bert.config
"""

RETURN = r"""
entries:
  description: What became of each file, in the order of O(files).
  returned: success and partial failure
  type: list
  elements: dict
  contains:
    kind:
      description: Always V(kubeconfig).
      type: str
      returned: always
      sample: kubeconfig
    name:
      description: Path of the file, or kind, namespace, name and key of the object.
      type: str
      returned: always
      sample: /home/anna/.kube/config
    action:
      description: What was done, or would be done in check mode.
      type: str
      returned: always
      sample: updated
    reason:
      description: Why; the entries that differ, and mode or owner if they do.
      type: str
      returned: always
      sample: users anna, mode was 0644
    login:
      description: C(user) and C(groups) as the API server sees them, through the current context or else the first one tried.
      type: dict
      returned: with O(verify=login), when a login was tried
      sample: {user: anna, groups: [team-red, "system:authenticated"]}
    logins:
      description: The same for each context that was tried, with its name as C(context).
      type: list
      elements: dict
      returned: with O(verify=login), when a login was tried
      sample: [{context: anna@prod, user: anna, groups: [team-red, "system:authenticated"]}]
    warnings:
      description: Certificates near their end, references to nothing, logins by auth-provider, contexts that were not tried.
      type: list
      elements: str
      returned: when there are any
      sample: ["user 'anna' holds a certificate that expires in 3 days"]
    backup_file:
      description: Where the old version of the file is.
      type: str
      returned: with O(backup), when an old version was kept
      sample: /home/anna/.kube/config.20270101T120000Z.backup
    error:
      description: Code, sentence and hint.
      type: dict
      returned: when the entry failed
      sample: {code: bad_input, msg: "cluster 'prod' would have no server.", hint: Set server.}
counts:
  description: How many entries took each action.
  returned: success and partial failure
  type: dict
  sample: {created: 2, updated: 0, unchanged: 23, removed: 0, failed: 0, skipped: 0}
"""

import time
from typing import Any

from ..module_utils._adapters import certificate_check
from ..module_utils._adapters.file_backups import FileBackups
from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.kube_lock import KubeconfigLocks
from ..module_utils._adapters.leftovers import Leftovers
from ..module_utils._adapters.secret_file import SecretFiles
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, SECRET_FILE_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.kubeconfig_render import Outside, RenderFlow

_EXTENSIONS = {"type": "list", "elements": "dict"}
_PUBLIC_PATH = {"type": "path", "no_log": False}
_SECRET = {"type": "str", "no_log": True}
_TEXT = {"type": "str"}
_FLAG = {"type": "bool"}
_TEXTS = {"type": "list", "elements": "str"}
_NAME = {"type": "str", "required": True}

_OBJECT = {"namespace": _NAME, "name": _NAME, "key": {"type": "str", "default": "kubeconfig", "no_log": False}}
_OIDC = {
    "issuer_url": _NAME,
    "client_id": _NAME,
    "client_secret": _SECRET,
    "extra_scopes": _TEXTS,
    "grant_type": {"type": "str", "choices": ["auto", "authcode", "authcode-keyboard", "password", "device-code"]},
    "certificate_authority": _TEXT,
    "command": {"type": "str", "choices": ["kubectl", "kubelogin"], "default": "kubectl"},
}

_CLUSTER = {
    "server": _TEXT,
    "certificate-authority": {"type": "path"},
    "certificate-authority-data": _TEXT,
    "insecure-skip-tls-verify": _FLAG,
    "tls-server-name": _TEXT,
    "proxy-url": _SECRET,
    "disable-compression": _FLAG,
    "extensions": _EXTENSIONS,
}
_EXEC = {
    "apiVersion": _NAME,
    "command": _NAME,
    "args": _TEXTS,
    "env": {"type": "list", "elements": "dict", "options": {"name": _NAME, "value": {**_SECRET, "required": True}}},
    "interactiveMode": {"type": "str", "choices": ["Never", "IfAvailable", "Always"]},
    "provideClusterInfo": _FLAG,
    "installHint": _TEXT,
}
_USER = {
    "client-certificate": {"type": "path"},
    "client-certificate-data": _TEXT,
    "client-key": _PUBLIC_PATH,
    "client-key-data": _SECRET,
    "token": _SECRET,
    "tokenFile": _PUBLIC_PATH,
    "username": _TEXT,
    "password": _SECRET,
    "exec": {"type": "dict", "options": _EXEC},
    "oidc": {"type": "dict", "options": _OIDC},
    "tls_secret": {"type": "dict", "options": {"namespace": _NAME, "name": _NAME}, "no_log": False},
    "as": _TEXT,
    "as-uid": _TEXT,
    "as-groups": _TEXTS,
    "as-user-extra": {"type": "dict"},
    "extensions": _EXTENSIONS,
}
_CONTEXT = {"cluster": _TEXT, "user": _TEXT, "namespace": _TEXT, "extensions": _EXTENSIONS}


def _entries(word: str, value: dict[str, Any]) -> dict[str, Any]:
    options = {
        "name": _NAME,
        "behavior": {"type": "str", "choices": ["merge", "replace", "keep", "remove"], "default": "merge"},
        "unset": _TEXTS,
        word: {"type": "dict", "options": value},
    }
    return {"type": "list", "elements": "dict", "default": [], "options": options}


SPEC: dict[str, dict[str, Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path"},
            "secret": {"type": "dict", "options": _OBJECT, "no_log": False},
            "configmap": {"type": "dict", "options": _OBJECT},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0600"},
            "state": {"type": "str", "choices": ["present", "absent"]},
            "clusters": _entries("cluster", _CLUSTER),
            "users": _entries("user", _USER),
            "contexts": _entries("context", _CONTEXT),
            "current_context": {"type": "str"},
            "merge_from": {"type": "list", "elements": "path"},
            "rename": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "kind": {"type": "str", "choices": ["cluster", "user", "context"], "required": True},
                    "from": _NAME,
                    "to": _NAME,
                },
            },
            "minify": {"type": "str"},
            "prune": {"type": "bool", "default": False},
        },
        "mutually_exclusive": [("path", "secret", "configmap")],
        "required_one_of": [("path", "secret", "configmap")],
    },
    "manager": {"type": "str"},
    "allow_plain": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "backup_count": {"type": "int", "default": 5},
    "warn_before": {"type": "str", "default": "7d"},
    "embed": {"type": "bool", "default": False},
    "expected_files": {"type": "list", "elements": "path", "default": []},
    "expected_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "verify": {"type": "str", "choices": ["none", "parse", "login"], "default": "none"},
}


def wire(params: dict[str, Any], check_mode: bool) -> RenderFlow:
    """The flow for a task's options."""
    need("yaml")
    if params["verify"] == "login" or any(_in_cluster(file) for file in params["files"]):
        need("urllib3")
    store = SecretFiles(follow_links=True)
    judged = certificate_check.AVAILABLE
    outside = Outside(
        store=store,
        locks=KubeconfigLocks(),
        leftovers=Leftovers(),
        backups=FileBackups(store),
        kube=lambda: KubeApiClient.from_params(params),
        connect=KubeApiClient.from_kubeconfig,
        clock=time.time,
        end_of=certificate_check.end_of if judged else None,
        pair_problem=certificate_check.pair_problem if judged else None,
    )
    return RenderFlow.from_params(params, outside, check_mode=check_mode)


def _in_cluster(file: dict[str, Any]) -> bool:
    """Whether the file, or a part of it, is in an object."""
    users = [entry.get("user") or {} for entry in file.get("users") or ()]
    return bool(file.get("secret") or file.get("configmap") or any(user.get("tls_secret") for user in users))


def main() -> None:
    """Run the module."""
    module = new_module(STATE_SPEC, BULK_SPEC, SECRET_FILE_SPEC, KUBE_AUTH_SPEC, spec=SPEC)
    converge(module, lambda params: wire(params, module.check_mode))


if __name__ == "__main__":
    main()
