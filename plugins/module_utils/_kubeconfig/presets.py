# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins by a command, from a few words about the identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .._core.errors import BadInput

_HINT = "Install kubelogin (https://github.com/int128/kubelogin), so that kubectl finds it as kubectl-oidc_login."


def oidc_exec(oidc: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The ``exec`` entry that makes kubectl log in at an OpenID Connect provider through kubelogin."""
    issuer = str(oidc["issuer_url"])
    try:
        parts = urlsplit(issuer)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != "https" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadInput(f"{where}: oidc: issuer_url is not an https URL without user, query and fragment.")
    if not str(oidc["client_id"]).strip():
        raise BadInput(f"{where}: oidc: client_id is empty.")
    program = oidc.get("command") or "kubectl"
    words = ["get-token", f"--oidc-issuer-url={issuer}", f"--oidc-client-id={oidc['client_id']}"]
    if program == "kubectl":
        words.insert(0, "oidc-login")
    if oidc.get("client_secret"):
        words.append(f"--oidc-client-secret={oidc['client_secret']}")
    words.extend(f"--oidc-extra-scope={scope}" for scope in oidc.get("extra_scopes") or ())
    if oidc.get("grant_type"):
        words.append(f"--grant-type={oidc['grant_type']}")
    if oidc.get("certificate_authority"):
        words.append(f"--certificate-authority={oidc['certificate_authority']}")
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program,
        "args": words,
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
        "installHint": _HINT,
    }
