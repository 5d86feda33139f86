# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys taken into the kubeconfig instead of being pointed at."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from .._core.errors import BadInput
from .wanted import EMBEDDED, Entry, WantedFile, check_path


@dataclass(frozen=True)
class Expected:
    """The content of a file that an earlier task of the same check run would have made."""

    path: str


Source = Union[bytes, Expected, None]


def source_paths(files: Iterable[WantedFile]) -> tuple[str, ...]:
    """The files to read before ``embedded``, each once; raises BadInput for relative paths."""
    paths: dict[str, None] = {}
    for file in files:
        for entry in file.entries if file.present else ():
            for key in EMBEDDED:
                if key in entry.value:
                    paths[check_path(entry.value[key], f"{file.path}: {entry.label}: {key}")] = None
    return tuple(paths)


def embedded(file: WantedFile, sources: Mapping[str, Source]) -> WantedFile:
    """The file with data in place of paths; raises BadInput when a source is missing or is something else."""
    values = {(entry.section, entry.name): _value(entry, sources) for entry in file.entries}
    return file.with_values(values)


def _value(entry: Entry, sources: Mapping[str, Source]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, given in entry.value.items():
        if key in EMBEDDED:
            path = check_path(given, key)
            value[f"{key}-data"] = _data(entry, key, path, sources[path])
        else:
            value[key] = given
    return value


def _data(entry: Entry, key: str, path: str, content: Source) -> Union[str, Expected]:
    if isinstance(content, Expected):
        return content
    if content is None:
        raise BadInput(
            f"{entry.label}: {key}: there is no file {path}.",
            hint="Make it in an earlier task; in check mode, list it in expected_files.",
        )
    problem = _problem(content, EMBEDDED[key])
    if problem:
        raise BadInput(f"{entry.label}: {key}: {path} {problem}.")
    return base64.b64encode(content).decode("ascii")


def _problem(content: bytes, kind: str) -> Optional[str]:
    labels = [line for line in content.splitlines() if line.startswith(b"-----BEGIN ")]
    if not labels:
        return "is not PEM text"
    if any(line.rstrip().endswith(f"{kind}-----".encode("ascii")) for line in labels):
        return None
    return f"holds no {kind.lower()}"
