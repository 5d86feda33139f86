# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of one file: nothing, or a new document and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import Refused
from .._core.ports import StoredFile
from .codec import Document, load
from .merge import merged
from .private import private_values
from .redact import difference
from .wanted import WantedFile

_NAMED_VALUES = 3


@dataclass(frozen=True)
class Draft:
    """``document`` is what to write, or what stands there unchanged (with secrets); ``before`` and ``after`` may be shown."""

    action: str
    reason: str = ""
    document: Document = field(default_factory=dict, repr=False)
    before: Optional[Mapping[str, Any]] = None
    after: Optional[Mapping[str, Any]] = None


def draft(file: WantedFile, stored: Optional[StoredFile], joined: Optional[Document] = None) -> Draft:
    """Compare a file with what stands there. Raises Conflict, Refused and BadInput; ``file`` has its sources embedded."""
    if not file.present:
        return _removal(stored)
    if stored is None and file.only_removes:
        return Draft("unchanged", "absent")
    old = {} if stored is None else load(stored.content)
    new = merged(old, file, joined)
    _check_plain(file, new)
    placed = {} if stored is None or file.place else _placement_change(file, stored)
    if stored is not None and new == old and not placed:
        return Draft("unchanged", document=new)
    before, after = difference(old, new)
    if stored is None:
        return Draft("created", "missing", new, {}, after if file.place else {**after, "mode": _octal(file.mode)})
    told = [label.replace("/", " ", 1) for label in dict.fromkeys((*before, *after))]
    told.extend(f"{what} was {was}" for what, (was, _becomes) in placed.items())
    return Draft(
        "updated",
        ", ".join(told),
        new,
        {**before, **{what: was for what, (was, _becomes) in placed.items()}},
        {**after, **{what: becomes for what, (_was, becomes) in placed.items()}},
    )


def _check_plain(file: WantedFile, document: Document) -> None:
    """Everybody who may read ConfigMaps reads them all, so nothing private belongs there."""
    if file.place is None or file.place.word != "configmap" or file.allow_plain:
        return
    found = private_values(document)
    if found:
        more = f" and {len(found) - _NAMED_VALUES} more" if len(found) > _NAMED_VALUES else ""
        raise Refused(
            f"{file.name} would hold private values in plain text ({', '.join(found[:_NAMED_VALUES])}{more}).",
            hint="Use a Secret, or set allow_plain if everybody may know them.",
        )


def _removal(stored: Optional[StoredFile]) -> Draft:
    if stored is None:
        return Draft("unchanged", "absent")
    return Draft("removed", "state is absent", {}, {"file": f"{len(stored.content)} bytes"}, {})


def _placement_change(file: WantedFile, stored: StoredFile) -> dict[str, tuple[str, str]]:
    """Mode, owner and group where they are not as asked: what each was and what it becomes."""
    change: dict[str, tuple[str, str]] = {}
    if stored.mode != file.mode:
        change["mode"] = (_octal(stored.mode), _octal(file.mode))
    if not stored.as_asked:
        change["owner"] = (f"{stored.owner}:{stored.group}", f"{file.owner or stored.owner}:{file.group or stored.group}")
    return change


def _octal(mode: int) -> str:
    return f"{mode:04o}"
