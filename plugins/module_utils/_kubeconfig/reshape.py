# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole documents changed: several joined as kubectl joins them, entries renamed, everything but one context dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname, isabs, join, normpath
from typing import Any

from .._core.errors import BadInput, CollError, Conflict
from .codec import Document, load
from .sections import LEFT, SECTIONS, by_name, entries_of, entry_name

# Keys that hold a path; where it is relative it starts at the folder of its file.
_PATHS = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key", "tokenFile"), "context": ()}
_SECTION_OF = {word: section for section, word in SECTIONS.items()}


@dataclass(frozen=True)
class Rename:
    """Another name for an entry; ``word`` is ``cluster``, ``user`` or ``context``."""

    word: str
    old: str
    new: str


def joined(contents: Iterable[tuple[str, bytes]]) -> Document:
    """Files as kubectl reads them from KUBECONFIG: the first that has an entry, or sets the current context, counts.

    Relative paths are written out, because they start at the folder of the file they came from.
    """
    result: dict[str, Any] = {section: [] for section in SECTIONS}
    for path, content in contents:
        try:
            document = load(content)
            for section, word in SECTIONS.items():
                known = by_name(result[section])
                fresh = {n: e for n, e in by_name(entries_of(document, section)).items() if n not in known}
                result[section].extend(_rebased(entry, word, dirname(path)) for entry in fresh.values())
        except CollError as exc:
            raise Conflict(f"merge_from {path}: {exc}", hint="Repair it, or leave it out.") from exc
        current = document.get("current-context")
        if isinstance(current, (str, int)) and current and not result.get("current-context"):
            result["current-context"] = str(current)
    return result


def rebased(document: Document, folder: str) -> Document:
    """The document with the relative paths in it written out, as they are meant in a file of that folder."""
    made = {s: [_rebased(entry, word, folder) for entry in entries_of(document, s)] for s, word in SECTIONS.items()}
    return {**document, **made}


def renamed(document: Document, renames: Sequence[Rename]) -> Document:
    """The document with other names, references following. A name that is not there is no mistake: it was renamed before."""
    for rename in renames:
        section = _SECTION_OF[rename.word]
        entries = entries_of(document, section)
        names = [entry_name(entry) for entry in entries]
        if rename.old not in names:
            continue
        if rename.new in names:
            raise Conflict(
                f"{rename.word} {rename.old!r} cannot become {rename.new!r}, because there is one of that name already.",
                hint="Remove one of the two first.",
            )
        made = [{**e, "name": rename.new} if name == rename.old else e for e, name in zip(entries, names)]
        document = {**document, section: made}
        document = _with_current(document, rename) if rename.word == "context" else _with_references(document, rename)
    return document


def minified(document: Document, context: str) -> Document:
    """Only what one context needs, with that context as the current one."""
    contexts = by_name(entries_of(document, "contexts"))
    if context not in contexts:
        raise BadInput(
            f"minify: {context!r} is not a context of the file.", hint=f"It has: {', '.join(sorted(contexts)) or 'none'}."
        )
    value = contexts[context].get("context")
    named = value if isinstance(value, dict) else {}
    wanted = {"contexts": context, "clusters": str(named.get("cluster")), "users": str(named.get("user"))}
    result = dict(document)
    for section, name in wanted.items():
        kept = [entry for entry in entries_of(document, section) if entry_name(entry) == name]
        if kept != entries_of(document, section):
            result[section] = kept
    if result.get("current-context") != context:
        result["current-context"] = context
    return result


def replaced(document: Document, fresh: Document, mark: Sequence[Mapping[str, Any]]) -> Document:
    """The document with the entries of another one in place of, or after, its own. ``mark`` are extensions to add."""
    result = dict(document)
    for section, word in SECTIONS.items():
        present = entries_of(document, section)
        new = {name: _marked(entry, word, mark) for name, entry in by_name(entries_of(fresh, section)).items()}
        names = [entry_name(entry) for entry in present]
        twice = next((name for name in new if names.count(name) > 1), None)
        if twice is not None:
            raise Conflict(f"The file has two entries for {word} {twice!r}, which kubectl cannot read.", hint=LEFT)
        made = [old if name is None else new.pop(name, old) for name, old in zip(names, present)]
        made.extend(new.values())
        if made != present:
            result[section] = made
    if not result.get("current-context") and fresh.get("current-context"):
        result["current-context"] = fresh["current-context"]
    return result


def _marked(entry: dict[Any, Any], word: str, mark: Sequence[Mapping[str, Any]]) -> dict[Any, Any]:
    value = entry.get(word)
    if not mark or not isinstance(value, dict):
        return entry
    names = {each["name"] for each in mark}
    old = value.get("extensions")
    kept = [e for e in old if not (isinstance(e, dict) and e.get("name") in names)] if isinstance(old, list) else []
    return {**entry, word: {**value, "extensions": [*kept, *mark]}}


def _rebased(entry: dict[Any, Any], word: str, folder: str) -> dict[Any, Any]:
    value = entry.get(word)
    if not isinstance(value, dict):
        return entry
    made = {key: _from(folder, text) if key in _PATHS[word] else text for key, text in value.items()}
    command = value.get("exec")
    if word == "user" and isinstance(command, dict) and "/" in str(command.get("command")):
        made["exec"] = {**command, "command": _from(folder, command["command"])}
    return {**entry, word: made}


def _from(folder: str, path: Any) -> Any:
    return path if not isinstance(path, str) or not path or isabs(path) else normpath(join(folder, path))


def _with_current(document: Document, rename: Rename) -> Document:
    current = document.get("current-context")
    if not isinstance(current, (str, int)) or str(current) != rename.old:
        return document
    return {**document, "current-context": rename.new}


def _with_references(document: Document, rename: Rename) -> Document:
    made = []
    for entry in entries_of(document, "contexts"):
        value = entry.get("context")
        if isinstance(value, dict) and str(value.get(rename.word)) == rename.old:
            entry = {**entry, "context": {**value, rename.word: rename.new}}
        made.append(entry)
    return {**document, "contexts": made}
