# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private values in a kubeconfig: what must not lie in plain text, such as in a ConfigMap."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .codec import Document
from .sections import SECTIONS, by_name, entries_of

_PUBLIC_USER = frozenset(
    "client-certificate client-certificate-data client-key tokenFile username as as-uid as-groups as-user-extra".split()
)
_URLS = ("server", "proxy-url")
_TELLING = re.compile(r"(?:secret|passw|token|credential|api-?key|refresh|assertion)[^=\s]*[=:]\s*\S", re.IGNORECASE)
_NAMED = re.compile(r"--?[a-z0-9-]*(?:secret|password|passphrase|(?:id|access|refresh|bearer)-?token|api-?key)", re.IGNORECASE)
_KEY = "PRIVATE KEY-----"


def private_values(document: Document) -> list[str]:
    """What is private in a document, named and not shown. Keys of a user that we do not know count as private."""
    found: list[str] = []
    for section, word in SECTIONS.items():
        for name, entry in by_name(entries_of(document, section)).items():
            for key, value in entry.items():
                if key != "name":
                    inner = _entry(word, value) if key == word else _keys_in(value, str(key))
                    found.extend(f"{word} {name!r}: {what}" for what in inner)
    for key, value in document.items():
        if key not in SECTIONS:
            found.extend(f"{key}: {what}" for what in _keys_in(value, "text"))
    return found


def _entry(word: str, value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield from _keys_in(value, "text")
        return
    for key, child in value.items():
        if child in (None, "", [], {}):
            continue
        if key in _URLS and _has_login(str(child)):
            yield f"the login in {key}"
        elif key == "exec" and isinstance(child, Mapping):
            yield from _command(child)
        elif word == "user" and key not in _PUBLIC_USER and key not in ("exec", "extensions"):
            yield str(key)
        else:
            yield from _keys_in(child, str(key))


def _command(command: Mapping[Any, Any]) -> Iterator[str]:
    variables = command.get("env")
    if isinstance(variables, list) and any(not isinstance(each, Mapping) or each.get("value") for each in variables):
        yield "exec env"
    words = command.get("args")
    if isinstance(words, list):
        texts = [str(word) for word in words]
        followed = any(_NAMED.fullmatch(text) for text in texts[:-1])
        if followed or any(_TELLING.search(text) or _KEY in text for text in texts):
            yield "exec args"
    yield from _keys_in({key: value for key, value in command.items() if key not in ("env", "args")}, "exec")


def _keys_in(value: Any, where: str) -> Iterator[str]:
    """Private keys in PEM, as they stand or in base64, at any depth; each object is looked at once."""
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if _KEY in each or _KEY in _decoded(each):
                yield f"a private key in {where}"
                return
        elif isinstance(each, (Mapping, list)) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.values() if isinstance(each, Mapping) else each)


def _decoded(text: str) -> str:
    if len(text) < 40:
        return ""
    try:
        return base64.b64decode(text).decode("latin-1")
    except ValueError:
        return ""


def _has_login(url: str) -> bool:
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return "@" in url
