# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig document with our entries in it. What the task does not name is carried over as the same objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput, Conflict
from .codec import Document
from .reshape import minified, renamed, replaced
from .sections import LEFT, SECTIONS, by_name, dangling, entries_of, entry_name
from .wanted import AUTH_KINDS, MARK, RIVALS, Entry, WantedFile, auth_kinds

_SETS = ("merge", "replace")
_NEW: Document = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}


def merged(old: Document, file: WantedFile, joined: Optional[Document] = None) -> Document:
    """The document after the task; equal to ``old`` when nothing changes. Raises Conflict and BadInput.

    ``joined`` are the files that the task takes over whole (``merge_from``).
    """
    if not old and file.only_removes:
        return old
    before = renamed(old or _NEW, file.renames)
    if joined is not None:
        before = replaced(before, renamed(joined, file.renames), file.mark)
    after = dict(before)
    for section in SECTIONS:
        present = entries_of(before, section)
        wanted = [entry for entry in file.entries if entry.section == section]
        made = _merge_section(present, wanted)
        if file.prune:
            made = _pruned(made, section, file, joined)
        if made != present:
            after[section] = made
    _set_current(after, before, file)
    if file.minify is not None:
        after = minified(after, file.minify)
    _check_references(after, before, file)
    _check_complete(after, file)
    return after


def _pruned(entries: list[dict[Any, Any]], section: str, file: WantedFile, joined: Optional[Document]) -> list[dict[Any, Any]]:
    """Without the entries that carry the mark of this manager and that the task no longer names."""
    named = {entry.name for entry in file.entries if entry.section == section}
    if joined is not None:
        named.update(by_name(entries_of(renamed(joined, file.renames), section)))
    return [entry for entry in entries if entry_name(entry) in named or not _carries(entry, SECTIONS[section], file.manager)]


def _carries(entry: Mapping[Any, Any], word: str, manager: Optional[str]) -> bool:
    value = entry.get(word)
    extensions = value.get("extensions") if isinstance(value, dict) else None
    for each in extensions if isinstance(extensions, list) else ():
        if isinstance(each, dict) and each.get("name") == MARK and isinstance(each.get("extension"), dict):
            return bool(each["extension"].get("manager") == manager)
    return False


def _merge_section(present: list[dict[Any, Any]], wanted: Sequence[Entry]) -> list[dict[Any, Any]]:
    asked = {entry.name: entry for entry in wanted}
    found: set[str] = set()
    made: list[dict[Any, Any]] = []
    for old in present:
        name = entry_name(old)
        entry = asked.get(name) if name is not None else None
        if entry is None:
            made.append(old)
            continue
        if entry.name in found:
            raise Conflict(f"The file has two entries for {entry.label}, which kubectl cannot read.", hint=LEFT)
        found.add(entry.name)
        if entry.behavior != "remove":
            made.append(_merge_entry(old, entry))
    for entry in wanted:
        if entry.name not in found and not entry.only_removes:
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
    gone = _superseded(entry) | set(entry.unset)
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
    names = by_name(entries_of(after, "contexts"))
    if file.current_context is None:
        if isinstance(current, str) and current not in names and current in by_name(entries_of(before, "contexts")):
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
    was_dangling = {name for name, _missing in dangling(before)}
    ours = {entry.name for entry in file.entries if entry.section == "contexts" and entry.behavior in _SETS}
    for name, missing in dangling(after):
        if name in ours or name not in was_dangling:
            raise BadInput(f"Context {name!r} would point to {missing}, which the file does not have.")


def _check_complete(after: Document, file: WantedFile) -> None:
    """What kubectl would reject in an entry of ours as it comes out of the merge."""
    for section, word in SECTIONS.items():
        found = by_name(entries_of(after, section))
        for entry in file.entries:
            if entry.section == section and entry.behavior in _SETS and entry.name in found:
                _check_entry(entry, found[entry.name].get(word))


def _check_entry(entry: Entry, value: Any) -> None:
    value = value if isinstance(value, dict) else {}
    if entry.section == "clusters" and not value.get("server"):
        raise BadInput(f"{entry.label} would have no server.", hint="Set server.")
    has_certificate, has_key = (any(key in value for key in pair) for pair in RIVALS[1:3])
    if entry.section == "users" and has_certificate != has_key:
        raise BadInput(f"{entry.label} would have a {'certificate' if has_certificate else 'key'} only.", hint="Set both.")
