# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a password is the one that is set, told from its hash and never by a login: a wrong guess would count against it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Optional

SAME, OTHER, UNVERIFIABLE = "same", "other", "unverifiable"

# Scheme: digest, and whether a salt follows it.
_SCHEMES = {
    "SHA": ("sha1", False), "SSHA": ("sha1", True), "MD5": ("md5", False), "SMD5": ("md5", True),
    "SHA256": ("sha256", False), "SSHA256": ("sha256", True), "SHA384": ("sha384", False), "SSHA384": ("sha384", True),
    "SHA512": ("sha512", False), "SSHA512": ("sha512", True),
}  # fmt: skip
_STRETCHED = {
    "PBKDF2": "sha1", "PBKDF2-SHA1": "sha1", "PBKDF2-SHA256": "sha256", "PBKDF2-SHA384": "sha384", "PBKDF2-SHA512": "sha512",
}  # fmt: skip
_ROUNDS = 10_000
_MOST_ROUNDS = 2_000_000


def against_hashes(password: str, stored: Iterable[str]) -> str:
    """SAME, OTHER or UNVERIFIABLE: whether one of the readable hashes is this password's."""
    answers = [_against(password, value) for value in stored]
    if SAME in answers:
        return SAME
    return UNVERIFIABLE if not answers or UNVERIFIABLE in answers else OTHER


def against_hash_text(wanted: str, stored: Iterable[str]) -> str:
    """The same for a task that gives the hash itself."""
    values = tuple(stored)
    if any(hmac.compare_digest(_bytes(wanted), _bytes(value)) for value in values):
        return SAME
    return OTHER if values else UNVERIFIABLE


def remembered(password: str, salt: str) -> str:
    """A digest of the password we set, to be kept in a 0600 file: later it tells whether the task's password is a new one."""
    return f"pbkdf2-sha256${_ROUNDS}${salt}${_stretch('sha256', password, salt.encode(), _ROUNDS, 32).hex()}"


def against_remembered(password: str, text: str) -> Optional[bool]:
    """Whether this password is the remembered one; None when the text is no such digest."""
    name, _dollar, rest = text.strip().partition("$")
    parts = rest.split("$")
    if name != "pbkdf2-sha256" or len(parts) != 3 or not parts[0].isdigit() or not 0 < int(parts[0]) <= _MOST_ROUNDS:
        return None
    digest = _stretch("sha256", password, parts[1].encode(), int(parts[0]), 32).hex()
    return hmac.compare_digest(digest, parts[2])


def resembles(password: str, names: Iterable[str]) -> bool:
    """Whether three characters in a row are also in one of the names: 389 Directory Server refuses such a password."""
    folded = password.casefold()
    parts = {name.casefold()[start : start + 3] for name in names for start in range(len(name) - 2)}
    return any(part in folded for part in parts)


def _against(password: str, stored: str) -> str:
    if not stored.startswith("{"):
        return SAME if hmac.compare_digest(_bytes(password), _bytes(stored)) else OTHER
    scheme, _brace, rest = stored[1:].partition("}")
    try:
        if scheme.upper() in _SCHEMES:
            return _plain_digest(password, scheme.upper(), rest)
        if scheme.upper() in _STRETCHED:
            return _stretched_digest(password, scheme.upper(), rest)
    except (ValueError, binascii.Error):
        pass
    return UNVERIFIABLE


def _plain_digest(password: str, scheme: str, text: str) -> str:
    name, salted = _SCHEMES[scheme]
    raw = base64.b64decode(text, validate=True)
    digest = hashlib.new(name, usedforsecurity=False)
    size = digest.digest_size
    if len(raw) < size or (len(raw) > size) != salted:
        return UNVERIFIABLE
    digest.update(_bytes(password) + raw[size:])
    return SAME if hmac.compare_digest(digest.digest(), raw[:size]) else OTHER


def _stretched_digest(password: str, scheme: str, text: str) -> str:
    parts = text.split("$")
    if len(parts) != 3 or not parts[0].isdigit() or not 0 < int(parts[0]) <= _MOST_ROUNDS:
        return UNVERIFIABLE
    salt, wanted = (_adapted(part) for part in parts[1:])
    found = _stretch(_STRETCHED[scheme], password, salt, int(parts[0]), len(wanted))
    return SAME if hmac.compare_digest(found, wanted) else OTHER


def _adapted(text: str) -> bytes:
    """Base64 as these schemes write it: a dot for the plus, and no padding."""
    return base64.b64decode(text.replace(".", "+").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)


def _stretch(digest: str, password: str, salt: bytes, rounds: int, size: int) -> bytes:
    return hashlib.pbkdf2_hmac(digest, _bytes(password), salt, rounds, size or 1)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
