# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a connection to an LDAP server: which server, how it is protected, and who we are."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import quote, unquote, urlsplit

from .._core.errors import BackendFailed, BadInput, CollError, Refused
from .._directory.answers import refusal

try:
    import ldap3
    from ldap3.core.exceptions import LDAPException
    from ldap3.core.tls import Tls
except ImportError:  # _ansible.deps says so in one sentence before anything here is called
    Tls = object  # type: ignore[assignment,misc]

# Where the socket of ldapi:/// is, by distribution.
_SOCKETS = ("/run/slapd/ldapi", "/var/run/slapd/ldapi", "/run/openldap/ldapi", "/var/run/openldap/ldapi", "/var/run/ldapi")
_REASON = re.compile(r"\[Errno -?[0-9]+\] ([^\]'\"()\n]+)|(certificate verify failed: [^\[\"\n]+?)(?= \(_ssl|\"|'\)|$)")


@dataclass(frozen=True)
class Login:
    """How to reach the server and who to be there."""

    uris: tuple[str, ...]
    bind_dn: str
    password: Optional[str] = field(repr=False)
    start_tls: bool
    validate_certs: bool
    ca_path: Optional[str]
    client_cert: Optional[str]
    client_key: Optional[str]
    timeout: int
    allow_plaintext: bool
    sasl_class: str = "external"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Login:
        """The login of a task; reads the password file. Raises BadInput."""
        password = params["bind_pw"]
        if params["bind_pw_file"]:
            password = _first_line(params["bind_pw_file"])
        login = cls(
            uris=tuple(_checked_uri(uri) for uri in params["server_uri"]),
            bind_dn=params["bind_dn"] or "",
            password=password,
            start_tls=params["start_tls"],
            validate_certs=params["validate_certs"],
            ca_path=params["ca_path"],
            client_cert=params["client_cert"],
            client_key=params["client_key"],
            timeout=params["timeout"],
            allow_plaintext=params["allow_plaintext"],
            sasl_class=params["sasl_class"],
        )
        login.check()
        return login

    def check(self) -> None:
        """Raises BadInput for a login that can't work, and Refused for one that would send a password in the clear."""
        if not self.uris:
            raise BadInput("server_uri is empty.", hint="Name at least one URI, such as ldaps://ldap.example.org.")
        if self.bind_dn and not self.password:
            raise BadInput("bind_dn needs a password.", hint="An empty one would be an anonymous login; set bind_pw_file.")
        for uri in self.uris:
            if not self.bind_dn and not uri.startswith("ldapi:") and not self.client_cert:
                raise BadInput(f"{uri}: no bind_dn.", hint="Set bind_dn and bind_pw_file, or client_cert, or use ldapi://.")
            if self.bind_dn and not self.protects(uri):
                raise Refused(f"{uri} would send the password of bind_dn in clear text.", hint=PLAIN_HINT)

    def protects(self, uri: str) -> bool:
        """Whether a password may be sent to this server."""
        return not uri.startswith("ldap:") or self.start_tls or self.allow_plaintext


PLAIN_HINT = "Use ldaps://, ldapi:// or start_tls; allow_plaintext: true sends passwords readable for everyone on the way."


class _VerifiedTls(Tls):
    """TLS of one connection, verified by Python's own rules (ldap3's know no IP addresses and are process-wide in part)."""

    def __init__(self, login: Login) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED if login.validate_certs else ssl.CERT_NONE)
        self._context = _context(login)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Called by ldap3 once the server is connected, or has agreed to StartTLS."""
        connection.socket = self._context.wrap_socket(
            connection.socket, do_handshake_on_connect=do_handshake, server_hostname=connection.server.host
        )


def connect(login: Login) -> tuple[Any, str]:
    """A bound connection to the first server that answers, and its URI."""
    problems = []
    for uri in login.uris:
        try:
            return _open(login, uri), uri
        except _NotReached as exc:
            problems.append(f"{uri} ({exc})")
    raise BackendFailed(
        f"No LDAP server could be reached: {', '.join(problems)}.",
        hint="Check server_uri, start_tls and ca_path, and that the server runs.",
    )


class _NotReached(Exception):
    pass


def _open(login: Login, uri: str) -> Any:
    server = ldap3.Server(
        _for_ldap3(uri),
        use_ssl=uri.startswith("ldaps:"),
        get_info=ldap3.NONE,
        tls=_VerifiedTls(login),
        connect_timeout=login.timeout,
    )
    who: dict[str, Any] = {"user": login.bind_dn, "password": login.password, "authentication": ldap3.SIMPLE}
    if not login.bind_dn:
        who = {"authentication": ldap3.SASL, "sasl_mechanism": login.sasl_class.upper(), "sasl_credentials": ""}
    connection = ldap3.Connection(
        server,
        client_strategy=ldap3.SYNC,
        check_names=False,
        auto_referrals=False,
        auto_range=False,
        return_empty_attributes=False,
        receive_timeout=login.timeout,
        **who,
    )
    try:
        connection.open(read_server_info=False)
        if login.start_tls and uri.startswith("ldap:"):
            connection.start_tls(read_server_info=False)
        connection.bind(read_server_info=False)
    except LDAPException as exc:
        raise _NotReached(_why(exc, connection)) from exc
    result = connection.result
    if result["result"] != 0:
        raise _login_refused(login, uri, result)
    return connection


def _login_refused(login: Login, uri: str, result: Mapping[str, Any]) -> CollError:
    who = login.bind_dn or f"SASL {login.sasl_class.upper()}"
    return refusal(f"log in to {uri} as {who}", result["result"], result["description"], result["message"])


def _for_ldap3(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "ldapi":
        return f"{parts.scheme}://{parts.netloc}"
    path = unquote(parts.netloc + parts.path)
    if path in ("", "/"):
        path = next((place for place in _SOCKETS if os.path.exists(place)), _SOCKETS[0])
    return f"ldapi://{quote(path, safe='')}"


def _context(login: Login) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=login.ca_path)
        if login.client_cert:
            context.load_cert_chain(login.client_cert, login.client_key)
    except (OSError, ssl.SSLError) as exc:
        names = ", ".join(path for path in (login.ca_path, login.client_cert, login.client_key) if path)
        raise BadInput(f"The certificate files could not be read ({names}): {exc}.", hint="They must be PEM files.") from exc
    # Python 3.13 turned on a strictness that refuses the CA certificates of many directories; one behaviour for all versions.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not login.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(exc: Exception, connection: Any) -> str:
    """What went wrong, out of ldap3's nested messages."""
    text = f"{connection.last_error or ''}\n{exc}"
    found = _REASON.search(text)
    if found:
        return (found.group(1) or found.group(2)).strip().rstrip(".")
    return "no answer within the timeout" if "timed out" in text else str(connection.last_error or exc).strip()


def _checked_uri(uri: str) -> str:
    text = uri.strip()
    if not text.startswith(("ldap://", "ldaps://", "ldapi://")):
        raise BadInput(f"server_uri: {text[:80]!r} is not an LDAP URI.", hint="Begin it with ldap://, ldaps:// or ldapi://.")
    try:
        port = urlsplit(text).port if not text.startswith("ldapi:") else None
    except ValueError as exc:
        raise BadInput(f"server_uri: {text[:80]!r}: {exc}.", hint="Write it as ldaps://host:port.") from exc
    if not text.startswith("ldapi:") and (not urlsplit(text).hostname or port == 0):
        raise BadInput(f"server_uri: {text[:80]!r} names no host.", hint="Write it as ldaps://host:port.")
    return text


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise BadInput(f"bind_pw_file: {path} could not be read: {reason}.") from exc
