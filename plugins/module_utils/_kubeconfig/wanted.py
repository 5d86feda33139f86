# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task wants of kubeconfig files, checked before anything is read or written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from posixpath import isabs, normpath
from typing import Any, Optional

from .._core.errors import BadInput

# Section of the file -> the word for one entry, which is also the key of its value.
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}

# Ways to log in. client-go takes one of them; mixing is refused, and switching drops the others.
AUTH_KINDS: Mapping[str, tuple[str, ...]] = {
    "certificate": ("client-certificate", "client-certificate-data", "client-key", "client-key-data"),
    "token": ("token", "tokenFile"),
    "password": ("username", "password"),
    "exec": ("exec",),
    "auth-provider": ("auth-provider",),
}

# Keys of which only one can be meant.
RIVALS = (
    ("certificate-authority", "certificate-authority-data"),
    ("client-certificate", "client-certificate-data"),
    ("client-key", "client-key-data"),
    ("token", "tokenFile"),
)

# Paths that ``embed`` turns into data, and what the file must contain.
EMBEDDED = {"certificate-authority": "CERTIFICATE", "client-certificate": "CERTIFICATE", "client-key": "PRIVATE KEY"}

_MODE = re.compile(r"0[46][04]0", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One cluster, user or context. ``value`` holds kubeconfig's own keys and may hold secrets."""

    section: str
    name: str
    behavior: str
    value: Mapping[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        """What a person would call it."""
        return f"{SECTIONS[self.section]} {self.name!r}"


@dataclass(frozen=True)
class WantedFile:
    """One kubeconfig file. ``current_context`` None leaves it alone, an empty text clears it."""

    path: str
    present: bool
    owner: Optional[str]
    group: Optional[str]
    mode: int
    entries: tuple[Entry, ...]
    current_context: Optional[str]

    @property
    def only_removes(self) -> bool:
        """Whether nothing is asked for that would have to be in the file."""
        return not self.current_context and all(entry.behavior == "remove" for entry in self.entries)

    def with_values(self, values: Mapping[tuple[str, str], Mapping[str, Any]]) -> WantedFile:
        """The same file with other values for some entries, by section and name."""
        entries = tuple(replace(entry, value=values.get((entry.section, entry.name), entry.value)) for entry in self.entries)
        return replace(self, entries=entries)


def files_from_params(params: Mapping[str, Any]) -> tuple[WantedFile, ...]:
    """All files of a task; raises BadInput for values that cannot be meant."""
    files = tuple(_file(raw, params) for raw in params["files"])
    _check_once((file.path for file in files), "files: the path")
    return files


def check_path(path: str, what: str) -> str:
    """A clean absolute path; raises BadInput."""
    if not isabs(path) or "\0" in path or path.endswith("/"):
        raise BadInput(f"{what} {path!r} is not the absolute path of a file.", hint="Write it from the root, such as /etc/x.")
    return normpath(path)


def _file(raw: Mapping[str, Any], params: Mapping[str, Any]) -> WantedFile:
    path = check_path(raw["path"], "files: path")
    entries = tuple(_entry(section, each, path) for section in SECTIONS for each in raw.get(section) or ())
    for section, word in SECTIONS.items():
        _check_once((entry.name for entry in entries if entry.section == section), f"{path}: the {word}")
    return WantedFile(
        path=path,
        present=(raw.get("state") or params["state"]) == "present",
        owner=raw.get("owner") or params.get("owner"),
        group=raw.get("group") or params.get("group"),
        mode=_mode(raw.get("mode") or "0600", path),
        entries=entries,
        current_context=raw.get("current_context"),
    )


def _mode(text: str, path: str) -> int:
    if not _MODE.fullmatch(text):
        raise BadInput(
            f"{path}: mode {text!r} is not allowed for a file with private keys.",
            hint="Write '0600', '0400', '0640' or '0440', with quotes.",
        )
    return int(text, 8)


def _entry(section: str, raw: Mapping[str, Any], path: str) -> Entry:
    word = SECTIONS[section]
    entry = Entry(section, raw["name"], raw["behavior"], _without_nulls(raw.get(word) or {}))
    where = f"{path}: {entry.label}"
    if not entry.name or not entry.name.isprintable():
        raise BadInput(f"{where}: a name is one printable line and not empty.")
    if entry.behavior == "remove":
        if entry.value:
            raise BadInput(f"{where}: behavior remove takes no {word}.")
        return entry
    if not entry.value:
        raise BadInput(f"{where} has no content.", hint=f"Set {word}, or behavior: remove.")
    _check_value(entry, where)
    return entry


def _check_value(entry: Entry, where: str) -> None:
    for pair in RIVALS:
        if all(key in entry.value for key in pair):
            raise BadInput(f"{where}: {pair[0]} and {pair[1]} exclude each other.")
    if entry.value.get("insecure-skip-tls-verify") and (RIVALS[0][0] in entry.value or RIVALS[0][1] in entry.value):
        raise BadInput(f"{where}: insecure-skip-tls-verify and a certificate authority exclude each other.")
    kinds = auth_kinds(entry.value) if entry.section == "users" else ()
    if len(kinds) > 1:
        raise BadInput(f"{where} would log in in {len(kinds)} ways ({', '.join(kinds)}); only one is possible.")
    if "password" in kinds and "username" not in entry.value:
        raise BadInput(f"{where}: a password needs a username.")


def auth_kinds(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways to log in that a user's value names."""
    return tuple(kind for kind, keys in AUTH_KINDS.items() if any(key in value for key in keys))


def _without_nulls(value: Any) -> Any:
    """Options that the task left out arrive as None, at every depth."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value


def _check_once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"{what} {name!r} is named twice.", hint="Name each one once.")
        seen.add(name)
