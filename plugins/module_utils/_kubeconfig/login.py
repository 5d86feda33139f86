# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is used to prove a kubeconfig by a login: only what the task says, and never a command."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import BadInput
from .codec import Document
from .sections import SECTIONS, by_name, entries_of
from .wanted import Entry, WantedFile


@dataclass(frozen=True)
class Logins:
    """``contexts`` to log in through, the first one for the short answer; ``notes`` say which are left out and why."""

    contexts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def own_values(file: WantedFile, after: Document) -> Document:
    """Only what this task says, as a kubeconfig to log in with; nothing that somebody else put into the file."""
    own: Document = {"apiVersion": "v1", "kind": "Config"}
    for section, word in SECTIONS.items():
        found = by_name(entries_of(after, section))
        own[section] = []
        for entry in file.entries:
            if entry.section != section or entry.only_removes or entry.name not in found:
                continue
            if entry.behavior == "keep" and found[entry.name].get(word) != entry.value:
                raise BadInput(
                    f"{entry.label} is kept as it was found, and is not used to log in.", hint="Use merge or replace."
                )
            own[section].append({"name": entry.name, word: dict(entry.value)})
    return own


def logins_of(file: WantedFile) -> Logins:
    """The contexts of the task that a login can go through: the current one, if it is among them, first."""
    entries = [entry for entry in file.entries if not entry.only_removes]
    contexts = [entry for entry in entries if entry.section == "contexts" and file.minify in (None, entry.name)]
    if not contexts:
        raise BadInput(
            "The task names no context to log in with.", hint="Give the file a context, or do not verify it by login."
        )
    known = {(entry.section, entry.name): entry for entry in entries}
    why = {entry.name: _obstacle(entry, known) for entry in contexts}
    chosen = sorted((name for name, note in why.items() if not note), key=lambda name: name != file.current_context)
    return Logins(tuple(chosen), tuple(f"context {name!r} was not logged in to: {note}" for name, note in why.items() if note))


def _obstacle(context: Entry, known: dict[tuple[str, str], Entry]) -> str:
    """Why no login goes through a context; empty when one does."""
    cluster, user = context.value.get("cluster"), context.value.get("user")
    missing = [
        f"{word} {name!r}"
        for section, word, name in (("clusters", "cluster", cluster), ("users", "user", user))
        if (section, str(name)) not in known
    ]
    if missing:
        return f"the task does not give {' and '.join(missing)}."
    if "exec" in known["users", str(user)].value:
        return "its user logs in by a command, which is not run."
    return ""
