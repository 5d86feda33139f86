# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server, or the way to it, says when it fails: as one sentence that names the attempt, and a hint."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BackendFailed, CollError, Conflict, Denied
from .kube_login import KubeLogin

with contextlib.suppress(ImportError):  # said in words by deps.need
    from urllib3 import exceptions as http

_WORDS = {"POST": "create", "PUT": "replace", "PATCH": "change", "APPLY": "apply", "DELETE": "delete", "WATCH": "watch"}
_RIGHTS = {"POST": "create", "PUT": "update", "PATCH": "patch", "APPLY": "patch", "DELETE": "delete", "WATCH": "watch"}
_PATH = re.compile(r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<ns>[^/]+)(?=/))?/(?P<kind>[^/]+)(?P<rest>/.+)?")
_LONGEST = 400


@dataclass(frozen=True)
class Attempt:
    """What a request was for, in words and as the right that it takes."""

    words: str
    right: str
    kind: str


def attempt(method: str, path: str) -> Attempt:
    """The attempt behind a method and a path."""
    match = _PATH.fullmatch(path)
    if not match:
        return Attempt(f"{_WORDS.get(method, 'read')} {path}", f"{_RIGHTS.get(method, 'get')} on the path {path}", "")
    group, namespace, kind, rest = match.group("group", "ns", "kind", "rest")
    name, _slash, sub = (rest or "").lstrip("/").partition("/")
    bulk = not name and method == "GET"
    where = f" in namespace {namespace!r}" if namespace else ""
    thing = f"{kind}{'/' + sub if sub else ''}"
    return Attempt(
        f"{_WORDS.get(method, 'list' if bulk else 'read')} {thing}{f' {name!r}' if name else ''}{where}",
        f"{_RIGHTS.get(method, 'list' if bulk else 'get')!r} on {thing!r}{f' of {group}' if group else ''}{where}",
        kind,
    )


def from_status(status: Mapping[str, Any], code: int, tried: Attempt, login: KubeLogin) -> CollError:
    """The error for an answer of the server: a Status object, or only an HTTP code."""
    code = int(status.get("code") or code)
    reason = str(status.get("reason") or "")
    facts: dict[str, Any] = {"status": code, "reason": reason}
    if code == 401:
        return Denied(f"Could not {tried.words}: {login.server} does not accept the login.", hint=_login_hint(login), **facts)
    text = _text(status, code, tried)
    message = f"Could not {tried.words}: {text}"
    if code == 403:
        return Denied(message, hint=_right_hint(text, tried), **facts)
    if code == 409:
        return Conflict(message, hint="Someone else changed it; run again.", **facts)
    return BackendFailed(message, hint=_hint(code, reason, login), **facts)


def not_an_api(tried: Attempt, login: KubeLogin) -> BackendFailed:
    """The error for an answer that is not JSON."""
    return BackendFailed(
        f"Could not {tried.words}: {login.server} did not answer with JSON.",
        hint="Is this the URL of a Kubernetes API server?",
        status=0,
        reason="NotJson",
    )


def from_transport(exc: BaseException, tried: Attempt, login: KubeLogin, timeout: float) -> BackendFailed:
    """The error for a request that got no answer. The library's own text is not used: it can hold a proxy's password."""
    cause: BaseException = exc
    while isinstance(cause, http.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    reason, text, hint = _transport_words(cause, timeout)
    return BackendFailed(f"Could not {tried.words}: {login.server} {text}.", hint=hint, status=0, reason=reason)


def _transport_words(cause: BaseException, timeout: float) -> tuple[str, str, str]:
    inner = _tls_cause(cause)
    if inner is not None or isinstance(cause, http.SSLError):
        return _tls_words(inner)
    if isinstance(cause, http.ProxyError):
        return "Proxy", "cannot be reached through the proxy", "Check proxy, no_proxy and proxy_headers."
    if isinstance(cause, http.NewConnectionError):  # before the time-outs, of which it is one in some versions
        lowered = str(cause).casefold()
        if "refused" in lowered:
            return "ConnectionRefused", "refuses the connection", "Is the API server running, and is this its port?"
        if "resol" in lowered or "name or service" in lowered:
            return "UnknownHost", "has a host name that cannot be resolved", "Check the server's name."
        return "Unreachable", "cannot be reached", "Is the server up, and the network open?"
    if isinstance(cause, (http.ConnectTimeoutError, http.ReadTimeoutError)):
        return "Timeout", f"did not answer within {timeout:g} seconds", "Is the server up, and the network open?"
    return "ConnectionLost", "closed the connection", "Is the server being restarted?"


def _tls_cause(cause: BaseException) -> Optional[ssl.SSLError]:
    seen: list[Any] = [cause, *cause.args, cause.__cause__, cause.__context__]
    return next((one for one in seen if isinstance(one, ssl.SSLError)), None)


def _tls_words(inner: Optional[ssl.SSLError]) -> tuple[str, str, str]:
    if isinstance(inner, ssl.SSLCertVerificationError):
        said = inner.verify_message
        if "mismatch" in said or "not valid for" in said:
            return "Tls", "shows a certificate for another name", "Use a name of the certificate as host, or tls-server-name."
        if "expired" in said:
            return "Tls", "shows an expired certificate", "Renew the server's certificate."
        return (
            "Tls",
            f"shows a certificate that is not trusted ({said})",
            "Set ca_cert (or certificate-authority in the kubeconfig) to the CA that signed it.",
        )
    said = str(getattr(inner, "reason", None) or "no details").lower().replace("_", " ")
    return "Tls", f"failed the TLS handshake ({said})", "Is this an HTTPS port, and is the client certificate valid?"


def _hint(code: int, reason: str, login: KubeLogin) -> str:
    if code >= 500:
        return "The server has a problem of its own; see its log."
    if code == 429:
        return "The server is overloaded; lower concurrency."
    if code == 400 and not reason and login.server.startswith("http:"):
        return "The URL of the server probably has to begin with https."
    return ""


def _login_hint(login: KubeLogin) -> str:
    if login.token:
        return f"The token (from {login.source}) may have expired or been revoked."
    if login.cert:
        return f"The client certificate (from {login.source}) may have expired, or another CA signed it."
    return f"No token or client certificate was sent (login from {login.source})."


def _right_hint(text: str, tried: Attempt) -> str:
    if "not currently held" in text:
        return "Nobody can grant more than they hold: give the caller these rights, or the verb 'bind' on the role."
    if "being terminated" in text:
        return "The namespace is being deleted; wait until it is gone."
    return f"The caller needs the right {tried.right}."


def _text(status: Mapping[str, Any], code: int, tried: Attempt) -> str:
    """The server's words. For Secrets only the names of bad fields, because the message can quote a value."""
    if tried.kind == "secrets" and code == 422:
        causes = (status.get("details") or {}).get("causes") or []
        fields = ", ".join(str(cause.get("field")) for cause in causes) or "unknown"
        return f"the server finds these fields invalid: {fields}."
    said = str(status.get("message") or f"the server answered HTTP {code}").strip().replace("\n", " ")
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    return said if said.endswith((".", "…")) else f"{said}."
