#!/usr/bin/python
# Copyright: Kubestead contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts and groups of an LDAP directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ldap_account
short_description: Accounts and groups of an LDAP directory, in one pass
version_added: 0.1.0
description:
  - Makes, changes, locks and removes any number of accounts, and the groups they are members of, over one connection.
  - All accounts are read with a few searches, and only what differs is written, several writes under way at a time.
  - Values are compared by the directory's own rules, so another spelling of the same name, DN or SSH key is no change.
  - Attributes and groups that a task does not name are left alone.
  - Works with OpenLDAP and 389 Directory Server; how they lock, what their schema has and what it demands is read from them.
  - The module never logs in as a person. Whether a password is to be set is decided from what the directory shows.
options:
  user_base:
    description:
      - The DN below which the accounts are. Accounts are found anywhere below it and made directly below it, as C(uid=NAME).
      - It must exist.
    type: str
    required: true
  archive_base:
    description:
      - The DN below which accounts of people who left are kept, see O(delete_policy). It must exist, and may be below O(user_base).
      - An account that is wanted, not below O(user_base), but found here by its name is brought back instead of made anew. It stays
        locked unless O(accounts[].enabled) is V(true), and is in no group but those the task names.
    type: str
  delete_policy:
    description:
      - What becomes of accounts whose state is V(absent).
      - V(delete) removes them.
      - V(archive) locks them, takes them out of all groups below O(group_base) and moves them to O(archive_base). Their numbers are
        not given to anybody else.
    type: str
    choices:
      - delete
      - archive
    default: delete
  empty_groups:
    description:
      - What becomes of a group that would be left without a member where the server's schema wants one (V(groupOfNames) and
        V(groupOfUniqueNames) on OpenLDAP).
      - V(refuse) makes that an error of the group.
      - V(placeholder) gives it the member C(cn=kubestead-nobody) below O(group_base), an entry that does not exist, as long as it
        has no other.
    type: str
    choices:
      - refuse
      - placeholder
    default: refuse
  group_base:
    description:
      - The DN below which the groups are. It must exist.
    type: str
    required: true
  profile:
    description:
      - What accounts are.
      - V(posix) is a person who can also log in to systems (C(inetOrgPerson) and C(posixAccount)).
      - V(person) is a person only (C(inetOrgPerson)).
    type: str
    choices:
      - posix
      - person
    default: posix
  group_kind:
    description:
      - The kind of new groups that don't say theirs. Existing groups keep their kind.
      - By default V(posixGroup) with O(profile=posix), and V(groupOfNames) with O(profile=person).
    type: str
    choices:
      - posixGroup
      - groupOfNames
      - groupOfUniqueNames
  accounts:
    description:
      - The accounts.
      - An option that is left out leaves the attribute as it is; an empty string or list removes it.
    type: list
    elements: dict
    default: []
    suboptions:
      uid:
        description:
          - The login name, 1 to 64 of C(a-z), C(0-9), C(.), C(_), C(@) and C(-).
        type: str
        required: true
      cn:
        description:
          - The full name. A new account without one gets O(accounts[].display_name) or O(accounts[].uid).
        type: str
      sn:
        description:
          - The family name. A new account without one gets the last word of its full name.
        type: str
      given_name:
        description: The given name.
        type: str
      display_name:
        description: The name to show.
        type: str
      mail:
        description: The mail addresses, all there are to be.
        type: list
        elements: str
      uid_number:
        description:
          - The number of the user, or V(auto), which keeps the number an account has and gives a new one the next free number.
          - With O(profile=posix) the default is V(auto).
        type: str
      gid_number:
        description:
          - The number of the primary group. A new account without one gets O(default_gid_number).
        type: int
      home:
        description:
          - The home directory. A new account without one gets C(/home/NAME).
        type: str
      shell:
        description:
          - The login shell. A new account without one gets C(/bin/bash).
        type: str
      ssh_keys:
        description:
          - The SSH public keys, all there are to be. Comments are not compared.
          - The server needs the schema C(openssh-lpk). On a 389 Directory Server without it the keys go to C(nsSshPublicKey).
        type: list
        elements: str
      groups:
        description:
          - Names of groups the account is to be a member of. Groups that don't exist are made.
          - Membership in other groups is left alone; O(groups[].members.set) says all members of a group.
        type: list
        elements: str
      password:
        description:
          - The password. The server hashes it.
          - It must not be empty, nor equal to a public value of the account.
          - With more than a few hundred accounts use O(accounts[].password_file) or O(accounts[].generate_password),
            because Ansible hides inline passwords by searching everything for each of them.
        type: str
      password_hash:
        description:
          - A hash to store as it is, of the form C({SCHEME}value).
          - A directory that checks the quality of passwords may refuse hashes.
        type: str
      password_file:
        description:
          - Path of a file, on the host the module runs on, whose only line is the password.
          - It is read only when the password is to be set.
        type: path
      generate_password:
        description:
          - Whether to make a random password and write it to a file in O(password_directory) before the directory gets it.
          - It is never part of the result.
        type: bool
        default: false
      enabled:
        description:
          - Whether the person may log in. V(false) locks the account, V(true) ends such a lock. Left out, a lock stays as it is.
          - The lock is the server's own - C(nsAccountLock) on 389 Directory Server, C(pwdAccountLockedTime) with a password policy
            of OpenLDAP, and otherwise C(shadowExpire) alone.
          - A lock of the password does not stop an SSH key. So V(false) also puts C(# disabled) before each key, which makes it a
            comment, and with O(profile=posix) sets C(shadowExpire) to a day in 1970; the day it had waits in C(shadowFlag).
            V(true) brings both back.
          - A pause that the policy set after failed logins is not a lock in this sense.
          - Refused when the password policy in effect has C(pwdLockout) V(FALSE), because the lock would keep nobody out.
        type: bool
      expires:
        description:
          - The first day without access, such as V(2027-01-31), or V(never).
          - It is written to C(shadowExpire), which systems obey, and where the server has a password policy with C(pwdEndTime) also
            to that, which the server itself obeys (from midnight UTC).
        type: str
      must_change:
        description:
          - Whether the person has to choose another password at the next login. It is set (C(pwdReset)) together with a password that
            this task sets, and at no other time.
          - Refused when the policy in effect has C(pwdMustChange) V(FALSE), and on 389 Directory Server, where it is up to the policy
            alone.
        type: bool
        default: false
      attributes:
        description:
          - Attributes that have no option of their own, by name, such as C(title) or C(userCertificate;binary).
          - "A value is a text, or C({base64: …}) for bytes. One value may stand without a list."
          - Values are compared by the matching rules of the server's schema. The object class that allows an attribute is added when
            exactly one auxiliary class of the schema does; otherwise name it in C(attributes.add.objectClass).
        type: dict
        suboptions:
          set:
            description: All values there are to be; an empty list removes the attribute.
            type: dict
          add:
            description: Values to add where they are missing.
            type: dict
          remove:
            description: Values to remove where they are present.
            type: dict
      renamed_from:
        description:
          - The name the account had. If an account of that name exists and none of O(accounts[].uid), it is renamed, with all its
            attributes and in all groups below O(group_base).
          - The home directory keeps its name unless O(accounts[].home) says otherwise.
          - Once the account has its new name, this option does nothing.
        type: str
      parent:
        description:
          - The DN, at or below O(user_base), that the account is to be directly below. It must exist.
          - By default a new account is made directly below O(user_base), and an existing one stays where it is.
        type: str
      state:
        description:
          - Overrides O(state) for this account.
          - V(absent) also removes the account from all groups below O(group_base); O(delete_policy) says what becomes of it.
        type: str
        choices:
          - present
          - absent
  groups:
    description:
      - The groups that need more than being named in O(accounts[].groups).
    type: list
    elements: dict
    default: []
    suboptions:
      cn:
        description: The name, 1 to 255 printable characters.
        type: str
        required: true
      gid_number:
        description:
          - The number of a V(posixGroup). A new group without one gets the next free number of O(id_range).
        type: int
      kind:
        description:
          - The kind. An existing group of another kind is an error.
          - V(groupOfNames) and V(groupOfUniqueNames) must always have a member on most servers, see O(empty_groups).
        type: str
        choices:
          - posixGroup
          - groupOfNames
          - groupOfUniqueNames
      members:
        description:
          - The members, each as the uid of an account or as a DN.
        type: dict
        suboptions:
          set:
            description:
              - All members there are to be, besides those whose O(accounts[].groups) names the group.
              - Mutually exclusive with O(groups[].members.add) and O(groups[].members.remove).
            type: list
            elements: str
          add:
            description: Members to add.
            type: list
            elements: str
          remove:
            description: Members to remove.
            type: list
            elements: str
      state:
        description: Overrides O(state) for this group.
        type: str
        choices:
          - present
          - absent
  id_range:
    description:
      - The numbers that may be given to new accounts and groups.
      - The next one stands in an entry C(cn=kubestead-ids) below O(user_base), which the module makes. Runs side by side get
        different numbers, and a number is never given twice, not even after its owner is removed.
    type: dict
    default: {}
    suboptions:
      min:
        description: The first number.
        type: int
        default: 10000
      max:
        description: The last number.
        type: int
        default: 59999
  default_gid_number:
    description:
      - The primary group of new accounts that don't name one.
    type: int
    default: 100
  update_password:
    description:
      - V(on_create) sets the password of new accounts, and of accounts that the directory shows to have none.
      - V(when_changed) also sets passwords that differ from the one that was set last. With O(password_directory) that is told from a
        digest which the module keeps there in C(.last-set/NAME), so a password that the person chose since is left alone. Without
        such a digest the hash in the directory decides; where that can't be read or understood, the password is set and the reason
        says C(unverifiable). A generated password is made anew when its file is missing.
      - V(always) sets the passwords of all accounts that name one, in every run.
      - The module never logs in to find out, because a wrong guess would count against the person.
    type: str
    choices:
      - on_create
      - when_changed
      - always
    default: on_create
  password_directory:
    description:
      - The folder, on the host the module runs on, where generated passwords are written, as C(NAME.password) with mode 0600.
      - It is made with mode 0700 when it is missing.
      - A file holds the password alone, without a newline, so C(ldapwhoami -y) and its kin can use it.
      - Needed with O(accounts[].generate_password), unless there is O(password_secret).
    type: path
  password_secret:
    description:
      - A namespace of a Kubernetes cluster where generated passwords go instead, each into a Secret with the key C(password),
        before the directory gets it.
      - Whoever can read Secrets or create pods in that namespace has all of these passwords.
    type: dict
    suboptions:
      namespace:
        description: The namespace; it has to exist.
        type: str
        required: true
      name_template:
        description:
          - The name of each Secret, with C({name}) for the uid. A uid that is no DNS label is replaced by a readable form of it with a
            digest.
        type: str
        default: "{name}-password"
      kubeconfig:
        description:
          - Path of the kubeconfig on the host the module runs on; by default the service account in a pod, else E(KUBECONFIG) or
            C(~/.kube/config).
        type: path
      context:
        description: The context of it; by default the current one.
        type: str
  max_deletes:
    description:
      - How many accounts and groups the task may remove or archive. If more would go, nothing is written at all.
    type: int
    default: 20
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.actiongroup_ldap
  - kubestead.platform.ldap_auth
  - kubestead.platform.bulk
  - kubestead.platform.bulk.state
attributes:
  check_mode:
    support: full
    details:
      - Numbers that the run would take are reported as V(auto).
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - With O(update_password=always) passwords are set in every run, because they can't be compared.
notes:
  - An account that the directory refuses is left out of its groups; with O(on_error=continue) the others get into them.
  - The entry this task binds as is never locked, renamed, moved or removed.
  - A search that the server cuts short (size or time limit) is an error, never taken as complete.
author:
  - Kubestead contributors (@kubestead)
"""

EXAMPLES = r"""
- name: Two people and their group
  kubestead.platform.ldap_account:
    server_uri: ldaps://ldap.example.org
    bind_dn: cn=manager,dc=example,dc=org
    bind_pw_file: /etc/kubestead/ldap.password
    user_base: ou=people,dc=example,dc=org
    group_base: ou=groups,dc=example,dc=org
    password_directory: /root/passwords
    accounts:
      - uid: anna
        cn: Anna Meyer
        mail: anna@example.org
        ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGv0h3c8n7J3Z0h1wqz6fXo0oCq3l6nD0m0m3Ww1tZ2k anna"]
        groups: [developers]
        generate_password: true
      - uid: ben
        cn: Ben Okafor
        groups: [developers]
        password_file: /root/ben.password

- name: Lock one person, remove another, and say who is in a group
  kubestead.platform.ldap_account:
    server_uri: [ldaps://ldap1.example.org, ldaps://ldap2.example.org]
    bind_dn: cn=manager,dc=example,dc=org
    bind_pw_file: /etc/kubestead/ldap.password
    user_base: ou=people,dc=example,dc=org
    group_base: ou=groups,dc=example,dc=org
    on_error: continue
    accounts:
      - uid: anna
        enabled: false
      - uid: ben
        state: absent
    groups:
      - cn: auditors
        kind: groupOfNames
        members:
          set: [anna]

- name: Somebody marries, moves to another department, and stays until the end of the year
  kubestead.platform.ldap_account:
    server_uri: ldaps://ldap.example.org
    bind_dn: cn=manager,dc=example,dc=org
    bind_pw_file: /etc/kubestead/ldap.password
    user_base: ou=people,dc=example,dc=org
    group_base: ou=groups,dc=example,dc=org
    accounts:
      - uid: cleo.weber
        renamed_from: cleo.haas
        sn: Weber
        parent: ou=sales,ou=people,dc=example,dc=org
        expires: "2027-01-01"
        attributes:
          set:
            title: Head of Sales
            manager: uid=anna,ou=people,dc=example,dc=org
          add:
            telephoneNumber: "+49 30 1234567"

- name: Who left is kept where nobody can log in
  kubestead.platform.ldap_account:
    server_uri: ldaps://ldap.example.org
    bind_dn: cn=manager,dc=example,dc=org
    bind_pw_file: /etc/kubestead/ldap.password
    user_base: ou=people,dc=example,dc=org
    group_base: ou=groups,dc=example,dc=org
    archive_base: ou=left,dc=example,dc=org
    delete_policy: archive
    state: absent
    accounts:
      - uid: ben
"""

RETURN = r"""
entries:
  description: What became of each account and group, accounts first, in the order of the task.
  returned: success and partial failure
  type: list
  elements: dict
  contains:
    kind:
      description: V(account) or V(group).
      type: str
      returned: always
      sample: account
    name:
      description: The uid of an account, or the cn of a group.
      type: str
      returned: always
      sample: anna
    action:
      description: V(created), V(updated), V(unchanged), V(removed), V(failed) or V(skipped).
      type: str
      returned: always
      sample: created
    reason:
      description: Why, in words.
      type: str
      returned: always
      sample: no account yet
    dn:
      description: The entry's DN.
      type: str
      returned: when the entry exists or is to be made
      sample: uid=anna,ou=people,dc=example,dc=org
    uid_number:
      description:
        - The number of the user.
        - V(auto) when it is still to be given (in check mode, or when the account could not be made).
        - None with O(profile=person).
      type: raw
      returned: for accounts
      sample: 10000
    gid_number:
      description: The number of a V(posixGroup), as RV(entries[].uid_number).
      type: raw
      returned: for groups
      sample: 10001
    enabled:
      description: Whether the account is not locked.
      type: bool
      returned: for accounts
      sample: true
    moved_from:
      description: The DN the account had before it was renamed, moved, archived or brought back.
      type: str
      returned: for accounts that have another DN now, or would have
      sample: uid=ann,ou=people,dc=example,dc=org
    changed:
      description: The attributes that were changed, or would be.
      type: list
      elements: str
      returned: for accounts
      sample: [mail]
    groups:
      description: The groups the task names for the account.
      type: list
      elements: str
      returned: for accounts
      sample: [developers]
    password_path:
      description: The file with the generated password; with O(password_secret) C(namespace/name:key) of the Secret.
      type: str
      returned: for accounts whose generated password was set, or would be
      sample: /root/passwords/anna.password
    added:
      description: Members that were added, or would be.
      type: list
      elements: str
      returned: for groups
      sample: [anna]
    removed:
      description: Members that were removed, or would be, as the group names them.
      type: list
      elements: str
      returned: for groups
      sample: ["uid=ben,ou=people,dc=example,dc=org"]
    left_out:
      description: Members that were not added because their accounts failed.
      type: list
      elements: str
      returned: for groups
      sample: []
    error:
      description:
        - What went wrong, with C(code), C(msg) and C(hint).
        - Refusals of the server also have C(ldap_code), C(ldap_result) and C(ldap_text), and C(password_policy) with the policy's
          reason (such as V(passwordTooShort)) when it gave one.
      type: dict
      returned: when the entry failed
      sample: {code: backend_failed, msg: "Could not add uid=anna,ou=people,dc=example,dc=org: invalidAttributeSyntax."}
counts:
  description: How many entries took each action.
  returned: success and partial failure
  type: dict
  sample: {created: 2, updated: 0, unchanged: 23, removed: 0, failed: 0, skipped: 0}
"""

from typing import Any

from ..module_utils._adapters.ldap_server import LdapServer
from ..module_utils._adapters.random_text import new_password
from ..module_utils._adapters.secret_file import SecretFiles
from ..module_utils._adapters.secret_passwords import SecretPasswords
from ..module_utils._ansible.argspec import BULK_SPEC, KUBE_AUTH_SPEC, LDAP_AUTH_SPEC, STATE_SPEC, new_module
from ..module_utils._ansible.deps import need
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.ldap_account import LdapAccountFlow

_NAMES = {"type": "list", "elements": "str"}
_WHEN = ["on_create", "when_changed", "always"]
_STATE = {"type": "str", "choices": ["present", "absent"]}
_KIND = {"type": "str", "choices": ["posixGroup", "groupOfNames", "groupOfUniqueNames"]}

_ACCOUNT: dict[str, dict[str, Any]] = {
    "uid": {"type": "str", "required": True},
    "cn": {"type": "str"},
    "sn": {"type": "str"},
    "given_name": {"type": "str"},
    "display_name": {"type": "str"},
    "mail": _NAMES,
    "uid_number": {"type": "str"},
    "gid_number": {"type": "int"},
    "home": {"type": "str"},
    "shell": {"type": "str"},
    "ssh_keys": {**_NAMES, "no_log": False},
    "groups": _NAMES,
    "password": {"type": "str", "no_log": True},
    "password_hash": {"type": "str", "no_log": True},
    "password_file": {"type": "path", "no_log": False},
    "generate_password": {"type": "bool", "default": False, "no_log": False},
    "enabled": {"type": "bool"},
    "expires": {"type": "str"},
    "must_change": {"type": "bool", "default": False},
    "attributes": {"type": "dict", "options": {"set": {"type": "dict"}, "add": {"type": "dict"}, "remove": {"type": "dict"}}},
    "renamed_from": {"type": "str"},
    "parent": {"type": "str"},
    "state": _STATE,
}

_GROUP: dict[str, dict[str, Any]] = {
    "cn": {"type": "str", "required": True},
    "gid_number": {"type": "int"},
    "kind": _KIND,
    "members": {"type": "dict", "options": {"set": _NAMES, "add": _NAMES, "remove": _NAMES}},
    "state": _STATE,
}

SPEC: dict[str, dict[str, Any]] = {
    "user_base": {"type": "str", "required": True},
    "group_base": {"type": "str", "required": True},
    "archive_base": {"type": "str"},
    "delete_policy": {"type": "str", "choices": ["delete", "archive"], "default": "delete"},
    "empty_groups": {"type": "str", "choices": ["refuse", "placeholder"], "default": "refuse"},
    "profile": {"type": "str", "choices": ["posix", "person"], "default": "posix"},
    "group_kind": _KIND,
    "accounts": {"type": "list", "elements": "dict", "default": [], "options": _ACCOUNT},
    "groups": {"type": "list", "elements": "dict", "default": [], "options": _GROUP},
    "id_range": {
        "type": "dict",
        "default": {},
        "options": {"min": {"type": "int", "default": 10000}, "max": {"type": "int", "default": 59999}},
    },
    "default_gid_number": {"type": "int", "default": 100},
    "update_password": {"type": "str", "choices": _WHEN, "default": "on_create", "no_log": False},
    "password_directory": {"type": "path", "no_log": False},
    "password_secret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "namespace": {"type": "str", "required": True},
            "name_template": {"type": "str", "default": "{name}-password"},
            "kubeconfig": {"type": "path"},
            "context": {"type": "str"},
        },
    },
    "max_deletes": {"type": "int", "default": 20},
}


def wire(params: dict[str, Any]) -> LdapAccountFlow:
    """The flow for a task's options."""
    need("ldap3")
    files: Any = SecretFiles()
    secret = params["password_secret"]
    if secret:
        from ..module_utils._adapters.kube_api import KubeApiClient  # takes a tenth of a second, which others are spared

        need("urllib3", "yaml")
        login = {**dict.fromkeys(KUBE_AUTH_SPEC.options), "kubeconfig": secret["kubeconfig"], "context": secret["context"]}
        files = SecretPasswords(KubeApiClient.from_params(login), secret["namespace"], files)
    return LdapAccountFlow(params, LdapServer.from_params(params), files, new_password)


def main() -> None:
    """Run the module."""
    places = [("password_directory", "password_secret")]
    converge(new_module(LDAP_AUTH_SPEC, STATE_SPEC, BULK_SPEC, spec=SPEC, mutually_exclusive=places), wire)


if __name__ == "__main__":
    main()
