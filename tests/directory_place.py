# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""People and groups of one test, in a place of their own on one of the lab's directories."""

from __future__ import annotations

import base64
import random
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

REFUSALS = (49, 53)  # wrong credentials, and with 389ds that the account is locked
SLAPD, DS389 = "KUBESTEAD_LDAP", "KUBESTEAD_LDAP389"


class Place:
    """People and groups below an entry of one test, and what slapd says about them."""

    def __init__(self, lab: Any, run: Callable[..., Any], folder: Path, server: str = SLAPD) -> None:
        env = {
            name.replace(server, "KUBESTEAD_LDAP", 1): value for name, value in lab.env.items() if name.startswith(f"{server}_")
        }
        self.lab = lab
        self.env = env
        self.is_389 = server == DS389
        self.mark = f"t{uuid.uuid4().hex[:7]}"
        self.top = f"ou={self.mark},{env['KUBESTEAD_LDAP_BASE']}"
        self.people, self.groups = f"ou=people,{self.top}", f"ou=groups,{self.top}"
        self.passwords = folder / "passwords"
        self._run = run
        # The lab's uniqueness rule for numbers holds for the whole directory.
        first = random.randrange(100_000, 2_000_000_000)
        self.login = {
            "server_uri": env["KUBESTEAD_LDAP_URI"],
            "ca_path": env["KUBESTEAD_LDAP_CA"],
            "bind_dn": env["KUBESTEAD_LDAP_BIND_DN"],
            "bind_pw_file": env["KUBESTEAD_LDAP_BIND_PW_FILE"],
        }
        self.options = {
            "user_base": self.people,
            "group_base": self.groups,
            "id_range": {"min": first, "max": first + 999},
            "password_directory": str(self.passwords),
        }

    def run(self, *accounts: dict[str, Any], groups: tuple[dict[str, Any], ...] = (), **more: Any) -> Any:
        how = {name: more.pop(name) for name in ("check", "diff", "options") if name in more}
        run = more.pop("run", self._run)
        arguments = {**self.login, **self.options, "accounts": list(accounts), "groups": list(groups), **more}
        return run("ldap_account", {name: value for name, value in arguments.items() if value is not None}, **how)

    def uid(self, name: str) -> str:
        return f"{self.mark}-{name}"

    def ldap(self, tool: str, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        manager = ("-x", "-H", self.login["server_uri"], "-D", self.login["bind_dn"], "-y", self.login["bind_pw_file"])
        return self.as_anybody(tool, *manager, *arguments, check=check, stdin=stdin)

    def as_anybody(self, *command: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command that believes this server's certificate."""
        return self.lab.exec("env", f"LDAPTLS_CACERT={self.login['ca_path']}", *command, check=check, stdin=stdin)

    def values_of(self, where: str, attribute: str) -> list[str]:
        """The values as ldapsearch shows them, without its base64."""
        printed = self.ldap("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", where, "-s", "base", attribute).stdout
        found = [line for line in printed.splitlines() if line.startswith(f"{attribute}:")]
        return [
            base64.b64decode(line.partition(":: ")[2]).decode("utf-8", "backslashreplace")
            if line.startswith(f"{attribute}::")
            else line.partition(": ")[2]
            for line in found
        ]

    @property
    def lock_attribute(self) -> str:
        """Where this server keeps its lock."""
        return "nsAccountLock" if self.is_389 else "pwdAccountLockedTime"

    def uids(self) -> set[str]:
        printed = self.ldap("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", self.people, "(uid=*)", "uid").stdout
        return {line[5:] for line in printed.splitlines() if line.startswith("uid: ")}

    def may_log_in(self, name: str, password: str) -> bool:
        who = f"uid={self.uid(name)},{self.people}"
        login = ("ldapwhoami", "-x", "-H", self.login["server_uri"], "-D", who, "-w", password)
        return self._accepted(*login)

    def password_of(self, name: str) -> str:
        path = self.passwords / f"{self.uid(name)}.password"
        assert path.stat().st_mode & 0o777 == 0o600
        return path.read_text(encoding="utf-8")

    def may_log_in_by_file(self, name: str) -> bool:
        """Whether OpenLDAP's tools accept the file of a generated password as it is."""
        path = self.passwords / f"{self.uid(name)}.password"
        who = f"uid={self.uid(name)},{self.people}"
        login = ("ldapwhoami", "-x", "-H", self.login["server_uri"], "-D", who, "-y", str(path))
        return self._accepted(*login)

    def _accepted(self, *login: str) -> bool:
        """Whether a login is accepted; any failure but a refusal says nothing about the account."""
        done = self.as_anybody(*login, check=False)
        assert done.returncode in (0, *REFUSALS), done.stderr
        return done.returncode == 0

    def begin(self) -> None:
        units = [(self.top, self.mark), (self.people, "people"), (self.groups, "groups")]
        text = "".join(f"dn: {where}\nobjectClass: organizationalUnit\nou: {ou}\n\n" for where, ou in units)
        self.ldap("ldapadd", stdin=text)

    def end(self) -> None:
        self.ldap("ldapdelete", "-r", self.top, check=False)
