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
from .wanted import EMBEDDED, Entry, WantedFile, check_path


@dataclass(frozen=True)
class Expected:
    """The content of a file that an earlier task of the same check run would have made."""

    path: str


Source = Union[bytes, Expected, None]

# Why a certificate and a key, both PEM in base64, do not belong together; None when they do.
PairProblem = Callable[[str, str], Optional[str]]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)
_PAIR = ("client-certificate-data", "client-key-data")


def source_paths(files: Iterable[WantedFile]) -> tuple[str, ...]:
    """The files to read before ``embedded``, each once; raises BadInput for paths that cannot be meant."""
    return tuple(dict.fromkeys(path for file in files for _entry, _key, path in _sources(file)))


def embedded(file: WantedFile, sources: Mapping[str, Source]) -> WantedFile:
    """The file with data in place of paths; raises BadInput when a source is missing or is something else."""
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for entry, key, path in _sources(file):
        value = values.setdefault((entry.section, entry.name), dict(entry.value))
        values[entry.section, entry.name] = _with_data(value, key, _data(entry, key, path, sources[path]))
    return file.with_values(values)


def check_pairs(file: WantedFile, problem: PairProblem) -> None:
    """Raises BadInput for a certificate and a key of one user that do not belong together."""
    for entry in file.entries:
        cert, key = (entry.value.get(name) for name in _PAIR)
        if isinstance(cert, str) and isinstance(key, str):
            found = problem(cert, key)
            if found:
                raise BadInput(f"{entry.label}: {found}.", hint="Give the certificate that was issued for this key.")


def _sources(file: WantedFile) -> Iterator[tuple[Entry, str, str]]:
    """Each path to embed; one that is relative starts at the kubeconfig's folder, as kubectl has it."""
    for entry in file.entries if file.present else ():
        for key in EMBEDDED:
            if key in entry.value:
                path = str(entry.value[key])
                if path and not isabs(path) and not file.place:
                    path = join(dirname(file.path), path)
                yield entry, key, check_path(path, f"{file.name}: {entry.label}: {key}")


def _with_data(value: Mapping[str, Any], key: str, data: Union[str, Expected]) -> dict[str, Any]:
    """The data at the place of the path, the order of the other keys kept."""
    return {(f"{key}-data" if name == key else name): (data if name == key else child) for name, child in value.items()}


def _data(entry: Entry, key: str, path: str, content: Source) -> Union[str, Expected]:
    if isinstance(content, Expected):
        return content
    if content is None:
        raise BadInput(
            f"{entry.label}: {key}: there is no file {path}.",
            hint="Make it in an earlier task; in check mode, list it in expected_files.",
        )
    blocks = list(_BLOCK.finditer(content))
    wanted = [block.group() for block in blocks if block.group(1).decode("ascii").endswith(EMBEDDED[key])]
    if not wanted:
        problem = f"holds no {EMBEDDED[key].lower()}" if blocks else "is not PEM text"
        raise BadInput(f"{entry.label}: {key}: {path} {problem}.")
    # A file may hold more than is asked for, such as the key beside the certificate: only what is asked for is taken.
    taken = content if len(wanted) == len(blocks) else b"\n".join((*wanted, b""))
    return base64.b64encode(taken).decode("ascii")
