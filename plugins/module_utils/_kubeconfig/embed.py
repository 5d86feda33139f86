# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys taken into the kubeconfig instead of being pointed at."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, isabs, join
from typing import Any, Callable, Optional, Union

from .._core.errors import BadInput
from .place import ObjectPlace
from .wanted import EMBEDDED, PAIR_SECRET, Entry, WantedFile, check_path


@dataclass(frozen=True)
class Expected:
    """The content of a file, or of a Secret's key, that an earlier task of the same check run would have made."""

    path: str


Source = Union[bytes, Expected, None]
At = Union[str, ObjectPlace]

# Why a certificate and a key, both PEM in base64, do not belong together; None when they do.
PairProblem = Callable[[str, str], Optional[str]]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)
_PAIR = ("client-certificate-data", "client-key-data")
_KEYS_OF_SECRETS = {"client-certificate": "tls.crt", "client-key": "tls.key"}


def sources_of(files: Iterable[WantedFile], *, paths: bool) -> tuple[At, ...]:
    """What to read before ``embedded``, each once; raises BadInput for paths that cannot be meant.

    Pairs in Secrets are always embedded, files only where ``paths`` says so.
    """
    return tuple(dict.fromkeys(at for file in files for _entry, _key, at in _sources(file, paths)))


def embedded(file: WantedFile, sources: Mapping[At, Source], *, paths: bool) -> WantedFile:
    """The file with data in place of what it points to; raises BadInput when a source is missing or is something else."""
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for entry, key, at in _sources(file, paths):
        value = values.setdefault((entry.section, entry.name), _opened(entry.value))
        values[entry.section, entry.name] = _with_data(value, key, _data(entry, key, at, sources[at]))
    return file.with_values(values)


def check_pairs(file: WantedFile, problem: PairProblem) -> None:
    """Raises BadInput for a certificate and a key of one user that do not belong together."""
    for entry in file.entries:
        cert, key = (entry.value.get(name) for name in _PAIR)
        if isinstance(cert, str) and isinstance(key, str):
            found = problem(cert, key)
            if found:
                raise BadInput(f"{entry.label}: {found}.", hint="Give the certificate that was issued for this key.")


def _sources(file: WantedFile, paths: bool) -> Iterator[tuple[Entry, str, At]]:
    """Each source to embed; a path that is relative starts at the kubeconfig's folder, as kubectl has it."""
    for entry in file.entries if file.present else ():
        secret = entry.value.get(PAIR_SECRET)
        if isinstance(secret, ObjectPlace):
            yield from ((entry, key, secret.with_key(inner)) for key, inner in _KEYS_OF_SECRETS.items())
        for key in EMBEDDED if paths else ():
            if key in entry.value:
                path = str(entry.value[key])
                if path and not isabs(path) and not file.place:
                    path = join(dirname(file.path), path)
                yield entry, key, check_path(path, f"{file.name}: {entry.label}: {key}")


def _opened(value: Mapping[str, Any]) -> dict[str, Any]:
    """With the two keys that a Secret's pair stands for, in its place."""
    opened: dict[str, Any] = {}
    for key, child in value.items():
        opened.update(dict.fromkeys(_KEYS_OF_SECRETS, child) if key == PAIR_SECRET else {key: child})
    return opened


def _with_data(value: Mapping[str, Any], key: str, data: Union[str, Expected]) -> dict[str, Any]:
    """The data at the place of the path, the order of the other keys kept."""
    return {(f"{key}-data" if name == key else name): (data if name == key else child) for name, child in value.items()}


def _data(entry: Entry, key: str, at: At, content: Source) -> Union[str, Expected]:
    if isinstance(content, Expected):
        return content
    path, what, option = (at, "file ", "files") if isinstance(at, str) else (at.label, "", "secrets")
    if content is None:
        raise BadInput(
            f"{entry.label}: {key}: there is no {what}{path}.",
            hint=f"Make it in an earlier task; in check mode, list it in expected_{option}.",
        )
    blocks = list(_BLOCK.finditer(content))
    wanted = [block.group() for block in blocks if block.group(1).decode("ascii").endswith(EMBEDDED[key])]
    if not wanted:
        problem = f"holds no {EMBEDDED[key].lower()}" if blocks else "is not PEM text"
        raise BadInput(f"{entry.label}: {key}: {path} {problem}.")
    # A file may hold more than is asked for, such as the key beside the certificate: only what is asked for is taken.
    taken = content if len(wanted) == len(blocks) else b"\n".join((*wanted, b""))
    return base64.b64encode(taken).decode("ascii")
