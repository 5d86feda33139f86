# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinguished names and search filters, with everything in them escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .._core.errors import BadInput

try:
    from ldap3.utils.conv import escape_filter_chars
except ImportError:  # the module says so in one sentence before anything here is called
    pass

# ldap3's escape_rdn leaves a lone space and a NUL wrong, so a value's characters are escaped here (RFC 4514).
_SPECIAL = frozenset('\\,+"<>;=')
_ESCAPED = re.compile(r"((?:\\[0-9a-fA-F]{2})+)|\\(.)", re.DOTALL)
_ATTRIBUTE = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)\s*=", re.ASCII)
_SPACES = re.compile(r" +")


def escape_value(value: str) -> str:
    """A value as it is written inside a DN."""
    text = "".join(f"\\{char}" if char in _SPECIAL else "\\00" if char == "\0" else char for char in value)
    if text.startswith(("#", " ")):
        text = "\\" + text
    if value.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def child(attribute: str, value: str, base: str) -> str:
    """The DN of an entry directly below ``base``."""
    return f"{attribute}={escape_value(value)},{base}"


@lru_cache(maxsize=65536)
def normal(dn: str) -> str:
    """A spelling that is equal for DNs the server holds to be equal; raises BadInput for what is no DN."""
    parts = []
    for rdn in _split(dn, ",;"):
        pairs = []
        for pair in _split(rdn, "+"):
            match = _ATTRIBUTE.match(pair)
            if not match:
                raise BadInput(f"{dn[:120]!r} is not a DN.", hint="Write it as in 'ou=people,dc=example,dc=org'.")
            value = _SPACES.sub(" ", _unescape(_stripped(pair[match.end() :]))).strip().casefold()
            pairs.append(f"{match.group(1).casefold()}={escape_value(value)}")
        parts.append("+".join(sorted(pairs)))
    return ",".join(parts)


def is_dn(text: str) -> bool:
    """Whether a text is written as a DN."""
    try:
        normal(text)
    except BadInput:
        return False
    return True


def first_value(dn: str) -> str:
    """The value of a DN's first part, without escapes."""
    pair = _split(_split(dn, ",;")[0], "+")[0]
    return _unescape(_stripped(pair.partition("=")[2]))


def parent(dn: str) -> str:
    """The DN of the entry above."""
    return ",".join(part.strip() for part in _split(dn, ",;")[1:])


def first_part(dn: str) -> str:
    """The part of a DN that names the entry among its neighbours, as it is written."""
    return _split(dn, ",;")[0].strip()


def naming_attributes(dn: str) -> tuple[str, ...]:
    """The attributes, in lower case, whose values make up a DN's first part."""
    return tuple(pair.partition("=")[0].strip().lower() for pair in _split(_split(dn, ",;")[0], "+"))


def within(dn: str, base: str) -> bool:
    """Whether ``dn`` is ``base`` or lies below it."""
    return f",{normal(dn)}".endswith(f",{normal(base)}")


def equals(attribute: str, value: str) -> str:
    """The filter for one value."""
    return f"({attribute}={escape_filter_chars(value)})"


def any_of(filters: Iterable[str]) -> str:
    """The filter that one of ``filters`` is enough for."""
    parts = tuple(filters)
    return parts[0] if len(parts) == 1 else f"(|{''.join(parts)})"


def _split(text: str, separators: str) -> list[str]:
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] in separators:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def _stripped(value: str) -> str:
    """Without the spaces around it, but with an escaped one at the end."""
    text = value.strip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return text + " " if backslashes % 2 else text


def _unescape(value: str) -> str:
    def plain(match: re.Match[str]) -> str:
        digits = match.group(1)
        return bytes.fromhex(digits.replace("\\", "")).decode("utf-8", "replace") if digits else match.group(2)

    return _ESCAPED.sub(plain, value)
