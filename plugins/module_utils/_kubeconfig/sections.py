# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three lists of a kubeconfig document: entries by their names, and contexts that point to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import Conflict
from .codec import Document

# Section of the file -> the word for one entry, which is also the key of its value.
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}

LEFT = "It was left as it is; repair it or move it away."


def entry_name(entry: Mapping[Any, Any]) -> Optional[str]:
    """The name as kubectl reads it; None where readers disagree about it."""
    name = entry.get("name")
    if isinstance(name, bool):
        return "true" if name else "false"
    return str(name) if isinstance(name, (str, int)) else None


def entries_of(document: Document, section: str) -> list[dict[Any, Any]]:
    """The entries of a section; raises Conflict when the section is something else than a list of entries."""
    entries = document.get(section)
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Conflict(f"The file is not a kubeconfig that can be merged: {section} is not a list of entries.", hint=LEFT)
    return entries


def by_name(entries: Sequence[dict[Any, Any]]) -> dict[str, dict[Any, Any]]:
    """Entries under the names that every reader agrees about."""
    return {name: entry for entry in entries for name in (entry_name(entry),) if name is not None}


def dangling(document: Document) -> list[tuple[str, str]]:
    """Contexts that point to nothing, each with what is missing; a context that misses two things occurs twice."""
    found = {word: by_name(entries_of(document, section)) for section, word in SECTIONS.items()}
    result = []
    for name, entry in found["context"].items():
        value = entry.get("context")
        for word in ("cluster", "user"):
            target = value.get(word) if isinstance(value, dict) else None
            if not target or str(target) not in found[word]:
                result.append((name, f"{word} {str(target or '')!r}"))
    return result
