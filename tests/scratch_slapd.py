# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slapd of one test's own in the lab's namespace: it may be stopped, restarted and configured as no shared one may."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from kubestead_lab import certs, directory

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "scratch manager 1"


class ScratchSlapd:
    """Made like the lab's directory; ``replace`` changes its configuration, ``entries`` its first entries."""

    def __init__(
        self,
        lab: Any,
        folder: Path,
        port: int,
        *,
        replace: Optional[dict[str, str]] = None,
        entries: Optional[dict[str, str]] = None,
    ) -> None:
        self.lab = lab
        self.folder = folder
        self.plain, self.tls = f"ldap://127.0.0.1:{port}", f"ldaps://127.0.0.1:{port + 1}"
        self.socket = f"ldapi://{str(folder / 'ldapi').replace('/', '%2F')}"
        self.log = folder / "slapd.log"
        self.password_file = folder / "manager.password"
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._make(replace or {}, entries or {})

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.crt")

    @property
    def login(self) -> dict[str, Any]:
        """What a task needs to write here."""
        who = {"bind_dn": directory.MANAGER, "bind_pw_file": str(self.password_file)}
        return {"server_uri": self.tls, "ca_path": self.ca, **who}

    def _make(self, replace: dict[str, str], entries: dict[str, str]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "data").mkdir(parents=True)
        self.password_file.write_text(PASSWORD, encoding="utf-8")
        self.password_file.chmod(0o600)
        certs.make_ca(self.folder, "scratch-ca")
        certs.make_pair(self.folder, "server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
        certs.make_pair(self.folder, "client", "/DC=org/DC=example/CN=manager")
        (self.folder / "ssh.schema").write_text(directory.SSH_SCHEMA, encoding="utf-8")
        text = directory.configuration(self.folder, directory.salted_hash("root", b"saltsalt"))
        first = directory.first_entries(directory.salted_hash(PASSWORD, b"saltsalt"))
        for old, new in replace.items():
            assert old in text, old
            text = text.replace(old, new)
        for old, new in entries.items():
            assert old in first, old
            first = first.replace(old, new)
        (self.folder / "slapd.conf").write_text(text, encoding="utf-8")
        load = ["slapadd", "-q", "-f", str(self.folder / "slapd.conf")]
        subprocess.run(load, input=first, text=True, check=True, capture_output=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        urls = f"{self.plain}/ {self.tls}/ {self.socket}/"
        command = ["slapd", "-d", "stats", "-f", str(self.folder / "slapd.conf"), "-h", urls]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(ROOT / "tests/lab/lab"), "exec", "--", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 15
        while self.ldap("ldapwhoami", check=False).returncode != 0:
            assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an administrator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """It stands still: connections are accepted by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ldap(self, tool: str, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """An OpenLDAP tool as the manager."""
        who = ("-x", "-H", self.tls, "-D", directory.MANAGER, "-y", str(self.password_file))
        return self.lab.exec("env", f"LDAPTLS_CACERT={self.ca}", tool, *who, *arguments, check=check, stdin=stdin)

    def values_of(self, where: str, attribute: str) -> list[str]:
        """The values as ldapsearch shows them."""
        printed = self.ldap("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", where, "-s", "base", attribute).stdout
        return [line.partition(": ")[2] for line in printed.splitlines() if line.lower().startswith(f"{attribute.lower()}:")]

    def may_log_in(self, uid: str, password: str) -> bool:
        """Whether a person's password is accepted."""
        who = ("ldapwhoami", "-x", "-H", self.tls, "-D", f"uid={uid},{directory.PEOPLE}", "-w", password)
        return self.lab.exec("env", f"LDAPTLS_CACERT={self.ca}", *who, check=False).returncode == 0
