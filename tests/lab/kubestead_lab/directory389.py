# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second directory of the lab: 389 Directory Server with the same tree, manager and policy as the first.

Its own set-up programs write to /etc/dirsrv and expect systemd or a container, so the instance is put together here: a
dse.ldif out of the package's template with every path in the lab's folder.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from kubestead_lab import certs, netns
from kubestead_lab.cache import remove_tree
from kubestead_lab.commands import need_commands, output, succeeds, write
from kubestead_lab.directory import salted_hash
from kubestead_lab.errors import LabError
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import step
from kubestead_lab.settings import LDAP389_PORT, LDAP_BASE, LDAPS389_PORT, Lab

ADMIN = "cn=Directory Manager"
MANAGER = f"cn=manager,{LDAP_BASE}"
PEOPLE = f"ou=people,{LDAP_BASE}"
GROUPS = f"ou=groups,{LDAP_BASE}"
URI = f"ldaps://127.0.0.1:{LDAPS389_PORT}"
PLAIN_URI = f"ldap://127.0.0.1:{LDAP389_PORT}"
_TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
_PLACES = ("config", "config/schema", "db", "run", "log", "ldif", "bak", "tmp")
_READY_SECONDS = 60.0
_CACHE_BYTES = 32 * 2**20

SSH_SCHEMA = """\
dn: cn=schema
attributeTypes: ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey' DESC 'An OpenSSH public key'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 X-ORIGIN 'openssh-lpk' )
objectClasses: ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey' DESC 'An account with OpenSSH public keys'
  SUP top AUXILIARY MAY ( sshPublicKey $ uid ) X-ORIGIN 'openssh-lpk' )
"""

# Set in the template's own cn=config and cn=config,cn=ldbm database; small caches, because the lab's memory is shared.
_SETTINGS = {
    "cn=config": {
        "nsslapd-security": "on",
        "nsslapd-rootpwstoragescheme": "SSHA",
        "nsslapd-secureport": str(LDAPS389_PORT),
        "nsslapd-pwpolicy-local": "on",
        "passwordCheckSyntax": "on",
        "passwordMinLength": "8",
        "passwordMinCategories": "1",
        "passwordHistory": "on",
        "passwordInHistory": "3",
        "passwordLockout": "on",
        "passwordMaxFailure": "10",
        "passwordStorageScheme": "SSHA512",
        "nsslapd-accesslog-logbuffering": "off",
        "nsslapd-dynamic-plugins": "on",
    },
    "cn=config,cn=ldbm database,cn=plugins,cn=config": {
        "nsslapd-cache-autosize": "0",
        "nsslapd-dbcachesize": str(_CACHE_BYTES),
    },
    # As it comes, the server takes only ASCII in uid, mail and passwords.
    "cn=7-bit check,cn=plugins,cn=config": {"nsslapd-pluginEnabled": "off"},
    "cn=MemberOf Plugin,cn=plugins,cn=config": {"nsslapd-pluginEnabled": "on", "memberofgroupattr": "member"},
}

_BACKEND = """
dn: cn=lab,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: lab
nsslapd-suffix: {base}
nsslapd-cachememsize: {cache}
nsslapd-dncachememsize: {cache}
nsslapd-directory: {folder}/db/lab

dn: cn="{base}",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: "{base}"
nsslapd-state: backend
nsslapd-backend: lab
"""

_ENTRIES = """\
dn: {base}
objectClass: domain
dc: example
aci: (targetattr != "userPassword || aci")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///anyone";)
aci: (targetattr = "* || nsAccountLock || passwordExpirationTime || pwdReset")(version 3.0; acl "manager"; allow (all)
  userdn = "ldap:///{manager}";)
aci: (target = "ldap:///{base}")(version 3.0; acl "manager moves"; allow (moddn) userdn = "ldap:///{manager}";)

dn: {people}
objectClass: organizationalUnit
ou: people

dn: {groups}
objectClass: organizationalUnit
ou: groups

dn: {manager}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: manager
description: Binds for the roles; an ordinary entry with a write ACI, not the directory manager
userPassword: {password}
nsSizeLimit: -1
nsLookThroughLimit: -1
nsTimeLimit: -1
nsPagedSizeLimit: -1
nsPagedLookThroughLimit: -1
passwordExpirationTime: 20380119031407Z
"""


def folder_of(lab: Lab) -> Path:
    return lab.directory389


def daemon(lab: Lab) -> Daemon:
    return Daemon("ns-slapd", lab.pids / "ns-slapd.pid", lab.logs / "ns-slapd.log")


def password_file(lab: Lab, who: str) -> Path:
    """The 0600 file with the password of `admin` or `manager`, without a line end."""
    return folder_of(lab) / f"{who}.password"


def _password(lab: Lab, who: str) -> str:
    path = password_file(lab, who)
    if not path.exists():
        write(path, secrets.token_urlsafe(24), 0o600)
    return path.read_text()


def configuration(template: str, folder: Path, admin_hash: str) -> str:
    """The server's whole configuration: the template's entries with paths, settings, TLS and the database of the lab."""
    facts = {f"{name}_dir": str(folder / name) for name in ("tmp", "ldif", "bak", "run", "log", "config", "db")}
    facts |= {"schema_dir": f"{folder}/config/schema", "lock_dir": f"{folder}/run", "cert_dir": f"{folder}/config"}
    facts |= {"inst_dir": str(folder), "db_home_dir": f"{folder}/db", "db_lib": "bdb", "ds_suffix": LDAP_BASE}
    facts |= {"fqdn": "localhost", "ds_port": str(LDAP389_PORT), "ds_user": "root", "rootdn": ADMIN, "ds_passwd": admin_hash}
    facts |= {"ldapi": f"{folder}/run/ldapi", "ldapi_enabled": "on", "ldapi_autobind": "on"}
    text = re.sub(r"%([a-z_]+)%", lambda match: facts[match.group(1)], template)
    entries = [_with_settings(entry) for entry in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(entries) + "\n" + _BACKEND.format(base=LDAP_BASE, cache=_CACHE_BYTES, folder=folder)


def _with_settings(entry: str) -> str:
    settings = _SETTINGS.get(entry.partition("\n")[0].removeprefix("dn: ").strip(), {})
    lowered = {name.lower() for name in settings}
    kept = [line for line in entry.splitlines() if line.partition(":")[0].lower() not in lowered]
    return "\n".join([*kept, *(f"{name}: {value}" for name, value in settings.items())])


def first_entries(manager_password: str) -> str:
    return _ENTRIES.format(base=LDAP_BASE, people=PEOPLE, groups=GROUPS, manager=MANAGER, password=manager_password)


def _make_certificate_store(folder: Path) -> None:
    certs.make_ca(folder, "kubestead-lab-directory389-ca")
    certs.make_pair(folder, "server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    store, bundle = f"sql:{folder}/config", folder / "server.p12"
    write(folder / "config" / "pin.txt", "", 0o600)
    files = ["-inkey", str(folder / "server.key"), "-in", str(folder / "server.crt"), "-out", str(bundle)]
    output(["openssl", "pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:", *files], what="pack the certificate")
    for command in (
        ["certutil", "-N", "-d", store, "--empty-password"],
        ["certutil", "-A", "-d", store, "-n", "lab-ca", "-t", "CT,,", "-i", str(folder / "ca.crt")],
        ["pk12util", "-d", store, "-i", str(bundle), "-W", ""],
    ):
        output(command, what=f"fill the server's certificate store ({command[0]})")
    bundle.unlink()


def _make_instance(lab: Lab) -> None:
    """Put the instance together and fill it; the stamp comes last, so that a killed start begins anew."""
    folder = folder_of(lab)
    if (folder / "made").exists():
        return
    for name in _PLACES:
        remove_tree(folder / name)
    for name in _PLACES:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("slapd-collations.conf", "certmap.conf"):
        write(folder / "config" / name, Path("/etc/dirsrv/config", name).read_text())
    write(folder / "config" / "schema" / "99user.ldif", Path("/etc/dirsrv/schema/99user.ldif").read_text())
    write(folder / "config" / "schema" / "60sshpublickey.ldif", SSH_SCHEMA)
    _make_certificate_store(folder)
    admin_hash = salted_hash(_password(lab, "admin"), os.urandom(8))
    write(folder / "config" / "dse.ldif", configuration(_TEMPLATE.read_text(), folder, admin_hash), 0o600)
    write(folder / "first.ldif", first_entries(_password(lab, "manager")), 0o600)
    # It ends with us: the next `up` begins anew, and must not meet one that still writes.
    load = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "ns-slapd",
        "ldif2db",
        "-D",
        str(folder / "config"),
        "-n",
        "lab",
        "-i",
        str(folder / "first.ldif"),
    ]
    output(load, what="fill the second directory")
    (folder / "first.ldif").unlink()
    write(folder / "made", "")


def prepare(lab: Lab) -> None:
    """Certificates, passwords, configuration and the first entries."""
    need_commands("directory389", "ns-slapd", "certutil", "pk12util", "ldapwhoami")
    folder_of(lab).mkdir(parents=True, exist_ok=True)
    if daemon(lab).pid() is None:
        _make_instance(lab)


def probe(lab: Lab) -> list[str]:
    """A bind as the manager over TLS."""
    ca, password = folder_of(lab) / "ca.crt", password_file(lab, "manager")
    who = ("ldapwhoami", "-x", "-H", URI, "-D", MANAGER, "-y", str(password))
    return netns.inside(lab, "env", f"LDAPTLS_CACERT={ca}", *who)


def start(lab: Lab) -> None:
    """Start ns-slapd in the foreground of its own session and wait for a login."""
    server = daemon(lab)
    if server.pid() and succeeds(probe(lab)):
        return
    folder = folder_of(lab)
    with step("starting the second directory", "4 s"):
        # -d keeps it in the foreground, so that its process is the one the pid file names.
        server.start(["ns-slapd", "-D", str(folder / "config"), "-d", "0"], namespace=lab.name, cwd=folder)
        deadline = time.monotonic() + _READY_SECONDS
        while not succeeds(probe(lab)):
            server.must_live()
            if time.monotonic() > deadline:
                raise LabError(
                    f"The second directory lets nobody log in after {_READY_SECONDS:.0f} s.", hint=f"See {folder / 'log'}."
                )
            time.sleep(0.2)


def stop(lab: Lab) -> None:
    daemon(lab).stop(grace=20.0)


def wipe(lab: Lab) -> None:
    """Forget every entry, password and certificate."""
    remove_tree(folder_of(lab))
