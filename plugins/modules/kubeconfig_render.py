#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubeconfig files, merged safely, many at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig_render
short_description: Write many kubeconfig files, merging safely with what is in them
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Puts clusters, users and contexts into kubeconfig files, one or thousands in a single task.
  - What the task does not name stays value for value, unknown keys and extensions included. A file in which nothing changes
    is not rewritten. Comments do not survive a rewrite.
  - A file that is not valid YAML is left as it is, and the line is reported.
  - A file is born with mode V(0600) and replaces the old one in a single rename, under the same lock file that kubectl uses, so
    that parallel runs lose nothing. The lock of a killed run of this module is recognised and removed; a lock of somebody else
    is waited for, 10 seconds long, and never removed.
  - Missing folders are made with mode V(0700). A folder in which others can write, or that belongs to somebody else than root,
    the user the module runs as, or the file's owner, is refused. So are files that are links, and links that others made.
  - Names that YAML readers would take for something else, such as V(n), V(no) or V(1e3), are quoted.
  - Each context of the task must end up with a cluster and a user that exist in the file.
extends_documentation_fragment:
  - kubestead.platform.attributes
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
      - The kubeconfig files. A path can be named once.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of the file on the host.
        type: path
        required: true
      owner:
        description:
          - Name or numeric id of the user who is to own the file; the default is the option O(owner).
        type: str
      group:
        description:
          - Name or numeric id of the file's group; the default is the option O(group).
        type: str
      mode:
        description:
          - Mode of the file in octal digits, with quotes. V(0600), V(0400), V(0640) and V(0440) are allowed.
        type: str
        default: '0600'
      state:
        description:
          - V(present) brings the entries into the file.
          - V(absent) removes the whole file, whatever it holds, and ignores the entries.
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
          cluster:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless O(files[].clusters[].behavior=remove).
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
          user:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless O(files[].users[].behavior=remove).
              - Only one way to log in can be given (certificate and key, token, user name and password, or exec).
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
          context:
            description:
              - The entry's content in kubeconfig's own keys. Needed unless O(files[].contexts[].behavior=remove).
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
  embed:
    description:
      - Whether C(certificate-authority), C(client-certificate) and C(client-key) are read, on the host, from the paths given,
        and written as data. A missing file, or one that does not hold what it should, fails the entry.
      - Only paths that the task itself gives are read, never those that stand in a file already.
    type: bool
    default: false
  expected_files:
    description:
      - Files for O(embed) that an earlier task of the same check run reported as created or updated.
      - In check mode they count as new, whether or not they exist. Otherwise this option means nothing.
    type: list
    elements: path
    default: []
  verify:
    description:
      - V(none) trusts the write.
      - V(parse) reads every written file back and compares it.
      - V(login) also asks the API server who logs in, once per file, with the context that the task makes current or else the
        first that it names. It uses the values of the task only, and never runs a login command.
      - Files in which nothing changes are checked by V(login) as well, also in check mode; files that would change are not.
    type: str
    choices:
      - none
      - parse
      - login
    default: none
requirements:
  - PyYAML >= 5.4
  - urllib3, for O(verify=login)
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
      description: Path of the file.
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
      description: C(user) and C(groups) as the API server sees them.
      type: dict
      returned: with O(verify=login), when the file was checked
      sample: {user: anna, groups: [team-red, "system:authenticated"]}
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

from typing import Any

from ..module_utils._adapters.kube_api import KubeApiClient
from ..module_utils._adapters.kube_lock import KubeconfigLocks
from ..module_utils._adapters.secret_file import SecretFiles
from ..module_utils._ansible.argspec import BULK_SPEC, SECRET_FILE_SPEC, STATE_SPEC, new_module
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
        word: {"type": "dict", "options": value},
    }
    return {"type": "list", "elements": "dict", "default": [], "options": options}


SPEC: dict[str, dict[str, Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0600"},
            "state": {"type": "str", "choices": ["present", "absent"]},
            "clusters": _entries("cluster", _CLUSTER),
            "users": _entries("user", _USER),
            "contexts": _entries("context", _CONTEXT),
            "current_context": {"type": "str"},
        },
    },
    "embed": {"type": "bool", "default": False},
    "expected_files": {"type": "list", "elements": "path", "default": []},
    "verify": {"type": "str", "choices": ["none", "parse", "login"], "default": "none"},
}


def wire(params: dict[str, Any], check_mode: bool) -> RenderFlow:
    """The flow for a task's options."""
    need("yaml")
    if params["verify"] == "login":
        need("urllib3")
    outside = Outside(store=SecretFiles(), locks=KubeconfigLocks(), connect=KubeApiClient.from_kubeconfig)
    return RenderFlow.from_params(params, outside, check_mode=check_mode)


def main() -> None:
    """Run the module."""
    module = new_module(STATE_SPEC, BULK_SPEC, SECRET_FILE_SPEC, spec=SPEC)
    converge(module, lambda params: wire(params, module.check_mode))


if __name__ == "__main__":
    main()
