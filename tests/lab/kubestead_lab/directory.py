# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory: Debian's slapd with TLS, password policy, memberof and unique, from a configuration written here."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from pathlib import Path

from kubestead_lab import certs, netns
from kubestead_lab.cache import remove_tree
from kubestead_lab.commands import need_commands, output, succeeds, write
from kubestead_lab.errors import LabError
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import step
from kubestead_lab.settings import LDAP_BASE, LDAP_PORT, LDAPS_PORT, Lab

ADMIN = f"cn=admin,{LDAP_BASE}"
MANAGER = f"cn=manager,{LDAP_BASE}"
PEOPLE = f"ou=people,{LDAP_BASE}"
GROUPS = f"ou=groups,{LDAP_BASE}"
POLICIES = f"ou=policies,{LDAP_BASE}"
URI = f"ldaps://127.0.0.1:{LDAPS_PORT}"
PLAIN_URI = f"ldap://127.0.0.1:{LDAP_PORT}"
_READY_SECONDS = 15.0

SSH_SCHEMA = """\
# SSH public keys on accounts, with the object identifiers every directory uses for them.
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
  DESC 'An OpenSSH public key'
  EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey'
  DESC 'An account with OpenSSH public keys'
  SUP top AUXILIARY
  MAY ( sshPublicKey $ uid ) )
"""

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
include {folder}/ssh.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
moduleload unique

pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
sizelimit 500
password-hash {{SSHA}}
TLSCACertificateFile {folder}/ca.crt
TLSCertificateFile {folder}/server.crt
TLSCertificateKeyFile {folder}/server.key

database mdb
maxsize 1073741824
suffix "{base}"
rootdn "{admin}"
rootpw {admin_hash}
directory {folder}/data
dbnosync
index objectClass,uid,mail,uidNumber,gidNumber,cn,member,memberUid eq
limits dn.exact="{manager}" size=unlimited size.prtotal=unlimited time=unlimited

access to attrs=userPassword
  by dn.exact="{manager}" write
  by self =xw
  by anonymous auth
  by * none
access to *
  by dn.exact="{manager}" write
  by * read

overlay ppolicy
ppolicy_default "cn=default,{policies}"
ppolicy_hash_cleartext

overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-refint TRUE
memberof-dangling ignore

overlay unique
unique_uri "ldap:///{base}?uid?sub?(objectClass=posixAccount)"
unique_uri "ldap:///{base}?uidNumber?sub?(objectClass=posixAccount)"
unique_uri "ldap:///{base}?mail?sub?(objectClass=inetOrgPerson)"
"""

_ENTRIES = """\
dn: {base}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {people}
objectClass: organizationalUnit
ou: people

dn: {groups}
objectClass: organizationalUnit
ou: groups

dn: {policies}
objectClass: organizationalUnit
ou: policies

dn: cn=default,{policies}
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMinLength: 8
pwdCheckQuality: 1
pwdMaxFailure: 10
pwdSafeModify: FALSE
pwdMustChange: FALSE

dn: {manager}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: manager
description: Binds for the roles; an ordinary entry with a write ACL, not the root of the database
userPassword: {manager_hash}
"""


def folder_of(lab: Lab) -> Path:
    return lab.directory


def daemon(lab: Lab) -> Daemon:
    return Daemon("slapd", lab.pids / "slapd.pid", lab.logs / "slapd.log")


def salted_hash(password: str, salt: bytes) -> str:
    """OpenLDAP's {SSHA} form, so that no configuration file holds a password."""
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


def configuration(folder: Path, admin_hash: str) -> str:
    return _CONFIGURATION.format(
        folder=folder, base=LDAP_BASE, admin=ADMIN, manager=MANAGER, policies=POLICIES, admin_hash=admin_hash
    )


def first_entries(manager_hash: str) -> str:
    return _ENTRIES.format(
        base=LDAP_BASE, people=PEOPLE, groups=GROUPS, policies=POLICIES, manager=MANAGER, manager_hash=manager_hash
    )


def password_file(lab: Lab, who: str) -> Path:
    """The 0600 file with the password of `admin` or `manager`, without a line end."""
    return folder_of(lab) / f"{who}.password"


def _password(lab: Lab, who: str) -> str:
    path = password_file(lab, who)
    if not path.exists():
        write(path, secrets.token_urlsafe(24), 0o600)
    return path.read_text()


def _load_first_entries(lab: Lab) -> None:
    """Fill a new database aside and move it into place, so that a killed start leaves none half-filled."""
    folder = folder_of(lab)
    if (folder / "data").exists():
        return
    fresh = folder / "data.new"
    remove_tree(fresh)
    fresh.mkdir(mode=0o700)
    config = (folder / "slapd.conf").read_text().replace(f"directory {folder}/data\n", f"directory {fresh}\n")
    write(folder / "load.conf", config, 0o600)
    entries = first_entries(salted_hash(_password(lab, "manager"), os.urandom(8)))
    output(["slapadd", "-q", "-f", str(folder / "load.conf")], what="fill the directory", stdin=entries)
    (folder / "load.conf").unlink()
    fresh.rename(folder / "data")


def prepare(lab: Lab) -> None:
    """Certificates, passwords, configuration and the first entries."""
    need_commands("directory", "slapd", "slapadd", "ldapwhoami")
    folder = folder_of(lab)
    certs.make_ca(folder, "kubestead-lab-directory-ca")
    certs.make_pair(folder, "server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    write(folder / "ssh.schema", SSH_SCHEMA)
    if daemon(lab).pid() is None:
        write(folder / "slapd.conf", configuration(folder, salted_hash(_password(lab, "admin"), os.urandom(8))), 0o600)
    _load_first_entries(lab)


def probe(lab: Lab) -> list[str]:
    """A bind as the manager over TLS: it proves certificates, password and database at once."""
    return netns.inside(
        lab,
        "env",
        f"LDAPTLS_CACERT={folder_of(lab) / 'ca.crt'}",
        "ldapwhoami",
        "-x",
        "-H",
        URI,
        "-D",
        MANAGER,
        "-y",
        str(password_file(lab, "manager")),
    )


def start(lab: Lab) -> None:
    """Start slapd in the foreground of its own session and wait for a login."""
    slapd = daemon(lab)
    if slapd.pid() and succeeds(probe(lab)):
        return
    folder = folder_of(lab)
    with step("starting the directory", "1 s"):
        # -d 0 keeps it in the foreground, so that its process is the one the pid file names.
        slapd.start(
            ["slapd", "-d", "0", "-f", str(folder / "slapd.conf"), "-h", f"{PLAIN_URI} {URI}"], namespace=lab.name, cwd=folder
        )
        deadline = time.monotonic() + _READY_SECONDS
        while not succeeds(probe(lab)):
            slapd.must_live()
            if time.monotonic() > deadline:
                raise LabError(f"The directory lets nobody log in after {_READY_SECONDS:.0f} s.", hint=f"See {slapd.log}.")
            time.sleep(0.1)


def stop(lab: Lab) -> None:
    daemon(lab).stop()


def wipe(lab: Lab) -> None:
    """Forget every entry, password and certificate."""
    remove_tree(folder_of(lab))
