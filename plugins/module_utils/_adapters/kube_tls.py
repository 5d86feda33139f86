# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS side of a connection to the API server, and whether it goes through a proxy."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator

from .._core.errors import BadInput
from .kube_login import KubeLogin


def tls_context(login: KubeLogin) -> ssl.SSLContext:
    """Trust and client certificate of a login; raises BadInput for PEM text that is none."""
    try:
        context = ssl.create_default_context(cadata=login.ca) if login.ca else ssl.create_default_context()
    except (ssl.SSLError, ValueError):
        raise BadInput("The CA certificate is not valid PEM.", hint="Check ca_cert or certificate-authority.") from None
    # Cluster CAs without a key identifier are common; kubectl accepts them, and so do we.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0))
    if not login.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if login.cert:
        if not login.key:
            raise BadInput("There is a client certificate but no key for it.", hint="Set client_key too.")
        _load_pair(context, login.cert, login.key)
    return context


def _load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    with _as_path(f"{cert.rstrip()}\n{key.rstrip()}\n") as path:
        try:
            # An encrypted key must fail instead of asking a terminal for its passphrase.
            context.load_cert_chain(path, password=lambda: "")
        except (ssl.SSLError, ValueError) as exc:
            reason = getattr(exc, "reason", None) or "unreadable"
            raise BadInput(
                f"The client certificate and its key cannot be used ({str(reason).lower().replace('_', ' ')}).",
                hint="They must be PEM, belong together, and the key must not be encrypted.",
            ) from None


@contextlib.contextmanager
def _as_path(text: str) -> Iterator[str]:
    """A path for a library that reads only files: memory where the system offers it, else a private temporary file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubestead", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            yield file.name


def bypasses_proxy(host: str, no_proxy: str) -> bool:
    """Whether a host is in a comma-separated list of hosts, domains and networks."""
    for part in (word.strip().casefold() for word in no_proxy.split(",")):
        if part == "*" or (part and _matches(host.casefold(), part)):
            return True
    return False


def _matches(host: str, part: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(part, strict=False)
    except ValueError:
        domain = part.lstrip("*").lstrip(".")
        return host == domain or host.endswith(f".{domain}")
