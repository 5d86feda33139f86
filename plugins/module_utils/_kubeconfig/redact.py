# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be shown of kubeconfig documents: every difference, and no secret.

Keys and tokens are shown as the beginning of their SHA-256. Whatever could be guessed from a digest (passwords, and
everything we do not know) is only said to be there, or to be another one than before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .codec import Document, Plain
from .embed import Expected
from .sections import SECTIONS, entry_name

_FINGERPRINTED = frozenset(
    ("certificate-authority-data", "client-certificate-data", "client-key-data", "token"),
)
_SHOWN = frozenset(
    (
        *("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority", "disable-compression", "proxy-url"),
        *("client-certificate", "client-key", "tokenFile", "username", "as", "as-uid", "as-groups"),
        *("cluster", "user", "namespace", "command", "apiVersion", "interactiveMode", "provideClusterInfo"),
    )
)
_OPENED = frozenset(("exec",))
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}", re.ASCII)
_ODD = "(hidden key)"
_HIDDEN, _OTHER = "(hidden)", "(hidden, another value)"
_MISSING = object()


def difference(before: Document, after: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two documents, twice: as it was and as it becomes."""
    old, new = _flat(before), _flat(after)
    shown_old: dict[str, Any] = {}
    shown_new: dict[str, Any] = {}
    for label in dict.fromkeys((*old, *new)):
        left, right = old.get(label, _MISSING), new.get(label, _MISSING)
        if left is right or left == right:
            continue
        if left is not _MISSING:
            shown_old[label] = _show(label, left, _MISSING)
        if right is not _MISSING:
            shown_new[label] = _show(label, right, left)
    return shown_old, shown_new


def fingerprint(text: str) -> str:
    """A short stand-in for a long secret or for bulky public data."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _flat(document: Document) -> dict[str, Any]:
    """Each entry under ``section/name``, everything else under its own key."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if key not in SECTIONS:
            flat[str(key)] = value
            continue
        for index, entry in enumerate(value or ()):
            name = entry_name(entry)
            flat[f"{key}/{f'#{index}' if name is None else name}"] = entry
    return flat


def _show(label: str, value: Any, reference: Any) -> Any:
    section, slash, _name = label.partition("/")
    if slash and section in SECTIONS:
        word = SECTIONS[section]
        other = reference.get(word, _MISSING) if isinstance(reference, Mapping) else _MISSING
        return _show_value(value.get(word), other)
    if label in ("apiVersion", "kind", "current-context"):
        return _text(value)
    return _hidden(value, reference)


def _show_value(value: Any, reference: Any) -> Any:
    if not isinstance(value, Mapping):
        return _hidden(value, reference)
    shown: dict[str, Any] = {}
    for key, child in value.items():
        other = reference.get(key, _MISSING) if isinstance(reference, Mapping) else _MISSING
        shown[_key(key, child)] = _show_child(_text(key), child, other)
    return shown


def _key(key: Any, child: Any) -> str:
    """A key as it may be shown: where ``token:abc`` was written without a space, the secret is in the key."""
    text = _text(key)
    return text if child is not None and _WORD.fullmatch(text) else _ODD


def _show_child(key: str, child: Any, reference: Any) -> Any:
    if isinstance(child, Expected):
        return f"from {child.path}, made earlier in this run"
    if key in _FINGERPRINTED and isinstance(child, str):
        return fingerprint(child)
    if key in _OPENED:
        return _show_value(child, reference)
    if key in _SHOWN and isinstance(child, (str, bool, int, Plain)):
        return (
            _without_login(_text(child))
            if key in ("proxy-url", "server")
            else child
            if isinstance(child, bool)
            else _text(child)
        )
    if key in _SHOWN and isinstance(child, list) and all(isinstance(each, str) for each in child):
        return list(child)
    return _hidden(child, reference)


def _hidden(value: Any, reference: Any) -> str:
    return _HIDDEN if reference is _MISSING or reference == value else _OTHER


def _without_login(url: str) -> str:
    """A URL without the name and password that may stand in it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if parts.netloc else url.rpartition("@")[2]
    except ValueError:
        return _HIDDEN


def _text(value: Any) -> str:
    return value.text if isinstance(value, Plain) else str(value)
