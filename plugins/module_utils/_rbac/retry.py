# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do when an object is not any more as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from .._core.errors import Conflict, Refused
from . import objects
from .draft import Write, live_permission, target


def once_more(write: Write, live: Optional[Mapping[str, Any]], owner: str) -> Optional[Write]:
    """The next request after somebody changed the object meanwhile; None when nothing is left to do; may raise."""
    name = target(write.object_path())
    if live is None:
        return None if write.wanted is None else _creation(write, write.wanted)
    if objects.owner_of(live) not in (owner, objects.owner_of(write.live) if write.live is not None else owner):
        raise Refused(f"{name} was taken or replaced by somebody else meanwhile and is left alone.", hint="Find out who.")
    if write.wanted is None:
        if write.live is not None and live_permission(live) != live_permission(write.live):
            raise Conflict(f"{name} was changed to something else meanwhile.", hint="Run again.")
        return Write("DELETE", write.path, objects.removal(live), live=live)
    if objects.refers_elsewhere(write.wanted, live) is not None:
        raise Conflict(f"{name} was replaced meanwhile by one of another role.", hint="Run again.")
    if not objects.differences(write.wanted, live):
        return None
    return Write("PUT", write.object_path(), objects.corrected(write.wanted, live), wanted=write.wanted, live=live)


def _creation(write: Write, wanted: Mapping[str, Any]) -> Write:
    return Write("POST", write.object_path().rsplit("/", 1)[0], wanted, wanted=wanted)
