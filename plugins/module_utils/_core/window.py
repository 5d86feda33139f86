# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From when until when something is valid. Moments are whole seconds since 1970, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Optional

from .errors import BadInput

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# A blank instead of the T is what YAML makes of an unquoted moment.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_HINT = "Write 2027-01-31 or 2027-01-31T18:00:00Z."


@dataclass(frozen=True)
class Window:
    """``start`` and ``end`` are None where there is none."""

    start: Optional[int] = None
    end: Optional[int] = None

    def stands(self, now: int) -> str:
        """``early``, ``open`` or ``over``."""
        if self.end is not None and now >= self.end:
            return "over"
        return "early" if self.start is not None and now < self.start else "open"


ALWAYS = Window()


def window_from(not_before: object, expires: object, where: str) -> Window:
    """The window of an entry. A date alone is that whole day in UTC: it begins then, or ends with it."""
    start = None if not_before is None else moment(not_before, f"{where}: not_before")
    end = None if expires is None else moment(expires, f"{where}: expires", whole_day=True)
    if start is not None and end is not None and start >= end:
        raise BadInput(f"{where} ends before it begins.", hint="expires has to be later than not_before.")
    return Window(start, end)


def moment(text: object, where: str, *, whole_day: bool = False) -> int:
    """Seconds since 1970 of a moment or a date; raises BadInput."""
    written = str(text).strip()
    match = _MOMENT.fullmatch(written)
    try:
        if match:
            day, clock, zone = match.groups()
            return int(datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}").timestamp())
        if _DATE.fullmatch(written):
            day_begins = datetime.fromisoformat(written).replace(tzinfo=timezone.utc)
            return int((day_begins + timedelta(days=1 if whole_day else 0)).timestamp())
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"{where} {written[:40]!r} is not a date or a moment with a time zone.", hint=_HINT)


def rfc3339(seconds: int) -> str:
    """A moment as Kubernetes writes it: ``2027-01-31T18:00:00Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()[: len("2027-01-31T18:00:00")] + "Z"
