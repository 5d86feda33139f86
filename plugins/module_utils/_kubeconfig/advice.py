# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth a warning in a kubeconfig: certificates near their end, contexts that point to nothing, old logins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

from .codec import Document
from .sections import SECTIONS, by_name, dangling, entries_of

# Seconds since 1970 at which the first certificate of base64 PEM data ends; None when it holds no certificate.
EndOf = Callable[[str], Optional[float]]

_DATES = {"cluster": "certificate-authority-data", "user": "client-certificate-data"}
_DAY = 86400


def advice(document: Document, *, now: float, soon: float, end_of: Optional[EndOf]) -> tuple[str, ...]:
    """Warnings about a document, foreign entries included. ``soon``: seconds that count as near."""
    return (*_contexts(document), *_entries(document, now, soon, end_of))


def _contexts(document: Document) -> Iterator[str]:
    for name, missing in dangling(document):
        yield f"context {name!r} points to {missing}, which is not there"
    current = document.get("current-context")
    if isinstance(current, str) and current and current not in by_name(entries_of(document, "contexts")):
        yield f"current-context {current!r} is not there"


def _entries(document: Document, now: float, soon: float, end_of: Optional[EndOf]) -> Iterator[str]:
    for section, word in SECTIONS.items():
        for name, entry in by_name(entries_of(document, section)).items():
            value = entry.get(word)
            if not isinstance(value, dict):
                continue
            if word == "user" and value.get("auth-provider"):
                yield f"user {name!r} logs in by auth-provider, which kubectl no longer knows; use exec"
            data = value.get(_DATES.get(word, ""))
            if end_of is not None and isinstance(data, str):
                yield from _date(f"{word} {name!r}", data, now, soon, end_of)


def _date(label: str, data: str, now: float, soon: float, end_of: EndOf) -> Iterator[str]:
    end: Any = end_of(data)
    if end is None:
        yield f"{label} holds a certificate that cannot be read"
    elif end <= now:
        yield f"{label} holds a certificate that has expired"
    elif end - now < soon:
        days = int((end - now) // _DAY)
        left = f"{days} days" if days > 1 else f"{int((end - now) // 3600)} hours"
        yield f"{label} holds a certificate that expires in {left}"
