# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task wants of kubeconfig files, checked before anything is read or written."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from posixpath import isabs, normpath
from typing import Any, Optional

from .._core.errors import BadInput
from .codec import Plain
from .place import ObjectPlace, place_from_params
from .presets import oidc_exec
from .reshape import Rename
from .sections import SECTIONS

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

# A task's word for a pair that stands in a Secret; it becomes data, always.
PAIR_SECRET = "tls_secret"

# The extension that says whose entry it is; ``prune`` removes what carries it.
MARK = "kubestead.platform"

_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_MODE = re.compile(r"0[46][04]0", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One cluster, user or context. ``value`` holds kubeconfig's own keys and may be secret; ``unset`` names keys to drop."""

    section: str
    name: str
    behavior: str
    value: Mapping[str, Any] = field(repr=False)
    unset: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What a person would call it."""
        return f"{SECTIONS[self.section]} {self.name!r}"

    @property
    def only_removes(self) -> bool:
        """Whether nothing is asked for that would have to be in the file."""
        return self.behavior == "remove" or not self.value


@dataclass(frozen=True)
class WantedFile:
    """One kubeconfig: a file (``path``) or a key of an object (``place``); ``name`` is what a person calls it.

    ``current_context`` None leaves it alone, an empty text clears it.
    """

    name: str
    path: str
    place: Optional[ObjectPlace]
    present: bool
    owner: Optional[str]
    group: Optional[str]
    mode: int
    entries: tuple[Entry, ...]
    current_context: Optional[str]
    merge_from: tuple[str, ...] = ()
    renames: tuple[Rename, ...] = ()
    minify: Optional[str] = None
    prune: bool = False
    manager: Optional[str] = None
    allow_plain: bool = False

    @property
    def only_removes(self) -> bool:
        """Whether nothing is asked for that would have to be in the file."""
        return not self.current_context and not self.merge_from and all(entry.only_removes for entry in self.entries)

    @property
    def mark(self) -> tuple[Mapping[str, Any], ...]:
        """The extension that entries of this task carry, if they carry one."""
        return ({"name": MARK, "extension": {"manager": self.manager}},) if self.manager else ()

    def with_values(self, values: Mapping[tuple[str, str], Mapping[str, Any]]) -> WantedFile:
        """The same file with other values for some entries, by section and name."""
        entries = tuple(replace(entry, value=values.get((entry.section, entry.name), entry.value)) for entry in self.entries)
        return replace(self, entries=entries)


def files_from_params(params: Mapping[str, Any]) -> tuple[WantedFile, ...]:
    """All files of a task; raises BadInput for values that cannot be meant."""
    files = tuple(_file(raw, params) for raw in params["files"])
    _check_once((file.name for file in files), "files: the place")
    return files


def check_path(path: str, what: str) -> str:
    """A clean absolute path; raises BadInput."""
    if not isabs(path) or "\0" in path or path.endswith("/"):
        raise BadInput(f"{what} {path!r} is not the absolute path of a file.", hint="Write it from the root, such as /etc/x.")
    _check_text(path, what)
    return "/" + normpath(path).lstrip("/")  # POSIX lets two slashes at the beginning mean something else


def _file(raw: Mapping[str, Any], params: Mapping[str, Any]) -> WantedFile:
    place = next((place_from_params(word, raw[word]) for word in ("secret", "configmap") if raw.get(word)), None)
    path = check_path(raw["path"], "files: path") if place is None else ""
    name = path if place is None else place.label
    if place is not None and (raw.get("owner") or raw.get("group")):
        raise BadInput(f"{name}: owner and group are for files only.")
    manager = params.get("manager") or None
    if manager is not None and (not manager.isprintable() or not manager.strip()):
        raise BadInput("manager is not one printable line.")
    if raw.get("prune") and manager is None:
        raise BadInput(f"{name}: prune needs to know whose entries are meant.", hint="Set manager.")
    file = WantedFile(
        name=name,
        path=path,
        place=place,
        present=(raw.get("state") or params["state"]) == "present",
        owner=raw.get("owner") or params.get("owner"),
        group=raw.get("group") or params.get("group"),
        mode=_mode(raw.get("mode") or "0600", name),
        entries=(),
        current_context=raw.get("current_context"),
        merge_from=tuple(check_path(each, f"{name}: merge_from") for each in raw.get("merge_from") or ()),
        renames=tuple(Rename(each["kind"], each["from"], each["to"]) for each in raw.get("rename") or ()),
        minify=raw.get("minify"),
        prune=bool(raw.get("prune")),
        manager=manager,
        allow_plain=bool(params.get("allow_plain")),
    )
    return _checked(replace(file, entries=_entries(raw, file)))


def _entries(raw: Mapping[str, Any], file: WantedFile) -> tuple[Entry, ...]:
    entries = tuple(_entry(section, each, file) for section in SECTIONS for each in raw.get(section) or ())
    for section, word in SECTIONS.items():
        _check_once((entry.name for entry in entries if entry.section == section), f"{file.name}: the {word}")
    return entries


def _checked(file: WantedFile) -> WantedFile:
    """What one option says of the whole file must fit to what another says."""
    for what, text in (("current_context", file.current_context), ("minify", file.minify)):
        _check_text(text or "", f"{file.name}: {what}")
    if file.minify is not None and file.current_context not in (None, file.minify):
        raise BadInput(f"{file.name}: minify and current_context name two contexts.", hint="Leave current_context out.")
    _check_once((f"{each.word} {each.old}" for each in file.renames), f"{file.name}: rename: the")
    for each in file.renames:
        if not each.new or not each.new.isprintable() or each.new == each.old:
            raise BadInput(f"{file.name}: rename: {each.new!r} is not another name for {each.word} {each.old!r}.")
    return file


def _mode(text: str, path: str) -> int:
    if not _MODE.fullmatch(text):
        raise BadInput(
            f"{path}: mode {text!r} is not allowed for a file with private keys.",
            hint="Write '0600', '0400', '0640' or '0440', with quotes.",
        )
    return int(text, 8)


def _entry(section: str, raw: Mapping[str, Any], file: WantedFile) -> Entry:
    word = SECTIONS[section]
    where = f"{file.name}: {word} {raw['name']!r}"
    value = _clean(raw.get(word) or {}, where)
    if "oidc" in value:
        value = _with_oidc(value, where)
    if PAIR_SECRET in value:
        value = _with_pair_secret(value, where)
    unset = tuple(raw.get("unset") or ())
    entry = Entry(section, raw["name"], raw["behavior"], value, unset)
    if not entry.name or not entry.name.isprintable():
        raise BadInput(f"{where}: a name is one printable line and not empty.")
    if entry.behavior == "remove" and (value or unset):
        raise BadInput(f"{where}: behavior remove takes no {word} and no unset.")
    if unset and entry.behavior != "merge":
        raise BadInput(f"{where}: unset belongs to behavior merge.")
    if unset and any(key in value for key in unset):
        raise BadInput(f"{where}: a key is set and unset.")
    if entry.only_removes:
        if entry.behavior != "remove" and not unset:
            raise BadInput(f"{where} has no content.", hint=f"Set {word}, or behavior: remove.")
        return entry
    _check_value(entry, where)
    return _with_mark(entry, file, where)


def _with_oidc(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "exec" in value:
        raise BadInput(f"{where}: oidc and exec exclude each other.")
    made = {key: child for key, child in value.items() if key != "oidc"}
    return {**made, "exec": oidc_exec(value["oidc"], where)}


def _with_pair_secret(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    kinds = auth_kinds(value)
    if kinds:
        raise BadInput(f"{where}: {PAIR_SECRET} and {kinds[0]} exclude each other; only one way to log in is possible.")
    return {**value, PAIR_SECRET: place_from_params("secret", {**value[PAIR_SECRET], "key": "tls.crt"})}


def _with_mark(entry: Entry, file: WantedFile, where: str) -> Entry:
    extensions = entry.value.get("extensions") or []
    names = [each.get("name") for each in extensions]
    if not all(isinstance(name, str) and name for name in names):
        raise BadInput(f"{where}: an extension needs a name.")
    _check_once(names, f"{where}: the extension")
    if not file.mark:
        return entry
    if MARK in names:
        raise BadInput(f"{where}: the extension {MARK!r} is set by the option manager.")
    return replace(entry, value={**entry.value, "extensions": [*extensions, *file.mark]})


def _check_value(entry: Entry, where: str) -> None:
    for pair in RIVALS:
        if all(key in entry.value for key in pair):
            raise BadInput(f"{where}: {pair[0]} and {pair[1]} exclude each other.")
    if entry.value.get("insecure-skip-tls-verify") and (RIVALS[0][0] in entry.value or RIVALS[0][1] in entry.value):
        raise BadInput(f"{where}: insecure-skip-tls-verify and a certificate authority exclude each other.")
    for key in (key for key in entry.value if key.endswith("-data")):
        if not _is_base64(str(entry.value[key])):
            raise BadInput(f"{where}: {key} is not base64, and kubectl could not read the file.")
    kinds = auth_kinds(entry.value) if entry.section == "users" else ()
    if len(kinds) > 1:
        raise BadInput(f"{where} would log in in {len(kinds)} ways ({', '.join(kinds)}); only one is possible.")
    if "password" in kinds and "username" not in entry.value:
        raise BadInput(f"{where}: a password needs a username.")


def _is_base64(text: str) -> bool:
    """Whether kubectl's reader, which passes over the ends of lines only, takes the text for base64."""
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", "").encode("ascii"), validate=True)
    except ValueError:
        return False
    return True


def auth_kinds(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways to log in that a user's value names."""
    return tuple(kind for kind, keys in AUTH_KINDS.items() if any(key in value for key in keys))


def _clean(value: Any, where: str) -> Any:
    """Plain values that YAML can carry. Options that the task left out arrive as None, at every depth, and are left out."""
    if isinstance(value, Mapping):
        return {_clean(key, where): _clean(child, where) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_clean(child, where) for child in value]
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadInput(f"{where}: a kubeconfig cannot hold the number {value}.")
        return Plain(str(value))
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return Plain(str(value))
    return value


def _check_text(text: str, where: str) -> None:
    """Raises BadInput for what YAML readers refuse: control characters and halves of characters."""
    if _UNSPEAKABLE.search(text):
        raise BadInput(f"{where}: a text has a character that a kubeconfig cannot hold.")


def _check_once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"{what} {name!r} is named twice.", hint="Name each one once.")
        seen.add(name)
