# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig document with our entries in it. What the task does not name is carried over as the same objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput, Conflict
from .codec import Document
from .wanted import AUTH_KINDS, RIVALS, SECTIONS, Entry, WantedFile, auth_kinds

_SETS = ("merge", "replace")
_LEFT = "It was left as it is; repair it or move it away."
_NEW: Document = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}


def merged(old: Document, file: WantedFile) -> Document:
    """The document after the task; equal to ``old`` when nothing changes. Raises Conflict and BadInput."""
    if not old and file.only_removes:
        return old
    before = old or _NEW
    after = dict(before)
    for section in SECTIONS:
        present = _entries(before, section)
        wanted = [entry for entry in file.entries if entry.section == section]
        made = _merge_section(present, wanted)
        if made != present:
            after[section] = made
    _set_current(after, before, file)
    _check_references(after, before, file)
    _check_complete(after, file)
    return after


def own_values(file: WantedFile, after: Document) -> Document:
    """Only what this task says, as a kubeconfig to log in with; nothing that somebody else put into the file."""
    own: Document = {"apiVersion": "v1", "kind": "Config"}
    for section, word in SECTIONS.items():
        found = _by_name(_entries(after, section))
        own[section] = []
        for entry in file.entries:
            if entry.section != section or entry.behavior == "remove":
                continue
            if entry.behavior == "keep" and found[entry.name].get(word) != entry.value:
                raise BadInput(
                    f"{entry.label} is kept as it was found, and is not used to log in.", hint="Use merge or replace."
                )
            own[section].append({"name": entry.name, word: dict(entry.value)})
    return own


def login_context(file: WantedFile) -> str:
    """The context to log in with: the current one if the task sets it, else the first the task names."""
    names = [entry.name for entry in file.entries if entry.section == "contexts" and entry.behavior != "remove"]
    if file.current_context in names:
        return str(file.current_context)
    if not names:
        raise BadInput(
            "The task names no context to log in with.", hint="Give the file a context, or do not verify it by login."
        )
    return names[0]


def entry_name(entry: Mapping[Any, Any]) -> Optional[str]:
    """The name as kubectl reads it; None where readers disagree about it."""
    name = entry.get("name")
    if isinstance(name, bool):
        return "true" if name else "false"
    return str(name) if isinstance(name, (str, int)) else None


def _entries(document: Document, section: str) -> list[dict[Any, Any]]:
    entries = document.get(section)
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Conflict(f"The file is not a kubeconfig that can be merged: {section} is not a list of entries.", hint=_LEFT)
    return entries


def _by_name(entries: Sequence[dict[Any, Any]]) -> dict[str, dict[Any, Any]]:
    return {name: entry for entry in entries for name in (entry_name(entry),) if name is not None}


def _merge_section(present: list[dict[Any, Any]], wanted: Sequence[Entry]) -> list[dict[Any, Any]]:
    by_name = {entry.name: entry for entry in wanted}
    found: set[str] = set()
    made: list[dict[Any, Any]] = []
    for old in present:
        name = entry_name(old)
        entry = by_name.get(name) if name is not None else None
        if entry is None:
            made.append(old)
            continue
        if entry.name in found:
            raise Conflict(f"The file has two entries for {entry.label}, which kubectl cannot read.", hint=_LEFT)
        found.add(entry.name)
        if entry.behavior != "remove":
            made.append(_merge_entry(old, entry))
    for entry in wanted:
        if entry.name not in found and entry.behavior != "remove":
            made.append({"name": entry.name, SECTIONS[entry.section]: dict(entry.value)})
    return made


def _merge_entry(old: dict[Any, Any], entry: Entry) -> dict[Any, Any]:
    if entry.behavior == "keep":
        return old
    word = SECTIONS[entry.section]
    value = old.get(word)
    if entry.behavior == "replace" or not isinstance(value, dict):
        made = dict(entry.value)
    else:
        made = _merge_value(value, entry)
    return old if made == value else {**old, "name": entry.name, word: made}


def _merge_value(old: dict[Any, Any], entry: Entry) -> dict[Any, Any]:
    gone = _superseded(entry)
    made = {key: value for key, value in old.items() if key not in gone}
    for key, value in entry.value.items():
        made[key] = _merge_extensions(old[key], value) if key == "extensions" and isinstance(old.get(key), list) else value
    return made


def _superseded(entry: Entry) -> set[str]:
    """Keys of the old value that would contradict the new one."""
    gone: set[str] = set()
    for first, second in RIVALS:
        if first in entry.value:
            gone.add(second)
        if second in entry.value:
            gone.add(first)
    if entry.section == "users":
        kinds = auth_kinds(entry.value)
        if kinds:
            gone.update(key for kind, keys in AUTH_KINDS.items() if kind not in kinds for key in keys)
    if entry.section == "clusters":
        if entry.value.get("insecure-skip-tls-verify"):
            gone.update(RIVALS[0])
        elif any(key in entry.value for key in RIVALS[0]):
            gone.add("insecure-skip-tls-verify")
    return gone - entry.value.keys()


def _merge_extensions(old: list[Any], new: list[dict[str, Any]]) -> list[Any]:
    named = {extension["name"]: extension for extension in new}
    kept = [named.pop(str(each.get("name")), each) if isinstance(each, dict) else each for each in old]
    return [*kept, *named.values()]


def _set_current(after: Document, before: Document, file: WantedFile) -> None:
    current = before.get("current-context")
    names = _by_name(_entries(after, "contexts"))
    if file.current_context is None:
        removed = {entry.name for entry in file.entries if entry.section == "contexts" and entry.behavior == "remove"}
        if isinstance(current, str) and current in removed:
            after["current-context"] = ""
        return
    if file.current_context and file.current_context not in names:
        raise BadInput(
            f"current_context {file.current_context!r} is not a context of the file.",
            hint=f"It has: {', '.join(sorted(names)) or 'none'}.",
        )
    if file.current_context != (current or ""):
        after["current-context"] = file.current_context


def _check_references(after: Document, before: Document, file: WantedFile) -> None:
    """Contexts of ours, and those that were whole before, must point to entries that exist."""
    dangling_before = {name for name, _missing in _dangling(before)}
    ours = {entry.name for entry in file.entries if entry.section == "contexts" and entry.behavior in _SETS}
    for name, missing in _dangling(after):
        if name in ours or name not in dangling_before:
            raise BadInput(f"Context {name!r} would point to {missing}, which the file does not have.")


def _check_complete(after: Document, file: WantedFile) -> None:
    """What kubectl would reject in an entry of ours as it comes out of the merge."""
    for entry in file.entries:
        if entry.behavior not in _SETS:
            continue
        value = _by_name(_entries(after, entry.section))[entry.name][SECTIONS[entry.section]]
        if entry.section == "clusters" and not value.get("server"):
            raise BadInput(f"{entry.label} would have no server.", hint="Set server.")
        has_certificate, has_key = (any(key in value for key in pair) for pair in RIVALS[1:3])
        if entry.section == "users" and has_certificate != has_key:
            raise BadInput(f"{entry.label} would have a {'certificate' if has_certificate else 'key'} only.", hint="Set both.")


def _dangling(document: Document) -> list[tuple[str, str]]:
    found = {word: _by_name(_entries(document, section)) for section, word in SECTIONS.items()}
    result = []
    for name, entry in found["context"].items():
        value = entry.get("context")
        for word in ("cluster", "user"):
            target = value.get(word) if isinstance(value, dict) else None
            if not target or str(target) not in found[word]:
                result.append((name, f"{word} {str(target or '')!r}"))
    return result
