# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what a person or a group may be called, and what objects and files made for them are called."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from .errors import BadInput

# LDAP compares names without case, RBAC with it, file systems either way: lower case is the one spelling all agree on.
PRINCIPAL = re.compile(r"[a-z0-9_][a-z0-9._@-]{0,63}", re.ASCII)
_NOT_DNS = re.compile(r"[^a-z0-9-]+", re.ASCII)


def check_principal(name: object, what: str) -> str:
    """A user or group name that is safe in LDAP, in RBAC and as part of a file name; raises BadInput.

    ``system:`` is refused after unicode normalisation, so that a look-alike does not pass.
    """
    text = name if isinstance(name, str) else str(name)
    shown = text[:80]
    if unicodedata.normalize("NFKC", text).strip().casefold().startswith("system:"):
        raise BadInput(f"{what} {shown!r}: names that begin with 'system:' belong to Kubernetes.", hint="Choose another name.")
    if not PRINCIPAL.fullmatch(text):
        raise BadInput(
            f"{what} {shown!r} is not an allowed name.",
            hint="Use 1 to 64 of a-z, 0-9, '.', '_', '@' and '-', not beginning with '.', '@' or '-'.",
        )
    return text


def check_distinct(names: Iterable[str], what: str) -> None:
    """Raises BadInput when two names are the same to any of the systems involved (case folded)."""
    seen: dict[str, str] = {}
    for name in names:
        folded = name.casefold()
        if folded in seen:
            other = "" if seen[folded] == name else f" (also written {seen[folded]!r})"
            raise BadInput(f"{what} {name!r} is named twice{other}.", hint="Name each one once.")
        seen[folded] = name


def dns_name(*parts: str, limit: int = 63) -> str:
    """A lower-case DNS label made of ``parts``: readable, at most ``limit`` long, distinct for distinct parts.

    A short digest of the exact parts is always appended, so that names equal after clean-up stay apart.
    """
    digest = short_digest(*parts)
    words = _NOT_DNS.sub("-", "-".join(parts).casefold()).strip("-")
    readable = words[: limit - len(digest) - 1].strip("-")
    return f"{readable}-{digest}" if readable else f"x-{digest}"


def short_digest(*parts: str, length: int = 10) -> str:
    """The first hexadecimal digits of a SHA-256 over the parts, kept apart by their lengths."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
