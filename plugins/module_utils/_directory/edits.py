# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of an account that are not typed options: attributes by name, binary values, and the day of expiry."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Optional

from .._core.errors import BadInput
from .model import Attributes, Edits, Values
from .schema import base_name

_ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*", re.ASCII)
# What the module decides by itself, and the option that says how.
_OWN = {
    "uid": "uid and renamed_from",
    "userpassword": "password, password_hash, password_file or generate_password",
    "pwdaccountlockedtime": "enabled",
    "nsaccountlock": "enabled",
    "pwdreset": "must_change",
    "shadowexpire": "expires",
    "shadowflag": "expires",
    "pwdendtime": "expires",
    "sshpublickey": "ssh_keys",
    "nssshpublickey": "ssh_keys",
}
_NO_EXPIRY = ("", "never")
_FIRST_DAY = 2  # day 1 stands for a disabled account


def edits_from(uid: str, raw: Mapping[str, Any], given: Attributes) -> Edits:
    """What ``attributes`` asks for; raises BadInput."""
    parts = {how: _attributes(uid, how, raw.get(how) or {}) for how in ("set", "add", "remove")}
    typed = {name.lower() for name in given}
    for how, attributes in parts.items():
        for name in attributes:
            where = f"accounts: {uid}: attributes.{how}: {name}"
            if base_name(name) in _OWN:
                raise BadInput(f"{where} is not edited by name.", hint=f"Use {_OWN[base_name(name)]}.")
            if base_name(name) == "objectclass" and how != "add":
                raise BadInput(f"{where} is not supported.", hint="Classes are only added.")
            if base_name(name) in typed:
                raise BadInput(f"{where} is also given by an option of its own.", hint="Keep one of them.")
    for name in parts["set"]:
        if name in parts["add"] or name in parts["remove"]:
            raise BadInput(f"accounts: {uid}: attributes.set names {name}, so add and remove can't.")
    for name, values in parts["add"].items():
        both = set(values) & set(parts["remove"].get(name, ()))
        if both:
            raise BadInput(f"accounts: {uid}: attributes: {name}: the same value is in add and remove.")
    return Edits(parts["set"], parts["add"], parts["remove"])


def expiry_from(uid: str, raw: Any) -> Optional[int]:
    """The first day without access, counted from 1970-01-01; 0 for never, None when the task doesn't say."""
    if raw is None:
        return None
    text = str(raw).strip()
    if text.lower() in _NO_EXPIRY:
        return 0
    try:
        days = (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError:
        days = -1
    if days < _FIRST_DAY or len(text) != len("2027-01-31"):
        raise BadInput(f"accounts: {uid}: expires {text[:40]!r} is not a day.", hint="Write 2027-01-31, or never.")
    return days


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8 (a lone half of a surrogate pair can't)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(values: Values) -> list[str]:
    """Values as they are shown to people: bytes that are no text only by their size."""
    return [value if is_text(value) else f"(binary, {len(value.encode('utf-8', 'surrogateescape'))} bytes)" for value in values]


def _attributes(uid: str, how: str, raw: Any) -> dict[str, Values]:
    found: dict[str, Values] = {}
    lowered: set[str] = set()
    for name, value in raw.items():
        where = f"accounts: {uid}: attributes.{how}: {str(name)[:80]!r}"
        if not _ATTRIBUTE.fullmatch(str(name)):
            raise BadInput(f"{where} is not the name of an attribute.", hint="Write it as in title or userCertificate;binary.")
        if str(name).lower() in lowered:
            raise BadInput(f"{where} is named twice.")
        lowered.add(str(name).lower())
        values = value if isinstance(value, (list, tuple)) else [value]
        found[_spelling(str(name))] = tuple(dict.fromkeys(text for text in (_value(where, one) for one in values) if text))
        if how != "set" and not found[_spelling(str(name))]:
            raise BadInput(
                f"{where} names no value.", hint="An empty list is for attributes.set, which then removes all values."
            )
    return found


def _spelling(name: str) -> str:
    return "objectClass" if name.lower() == "objectclass" else name


def _value(where: str, raw: Any) -> str:
    if isinstance(raw, Mapping):
        if set(raw) != {"base64"}:
            raise BadInput(f"{where}: a value is a text, or a mapping with base64 alone.")
        try:
            return base64.b64decode(str(raw["base64"]), validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError) as exc:
            raise BadInput(f"{where}: the value is not base64.") from exc
    if raw is None or isinstance(raw, (list, tuple)):
        raise BadInput(f"{where}: a value is a text, or a mapping with base64 alone.")
    text = ("TRUE" if raw else "FALSE") if isinstance(raw, bool) else str(raw)
    if not is_text(text):
        raise BadInput(f"{where} is no valid Unicode text.", hint="Give bytes as base64.")
    return text
