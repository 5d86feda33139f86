# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations, sizes and percentages as people write them."""

from __future__ import annotations

import re
from typing import Union

from .errors import BadInput

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_DECIMAL = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_PART = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,6}))? ?([KMGTP]?)(iB|B|)", re.ASCII | re.IGNORECASE)
_PERCENT = re.compile(r"([0-9]{1,3}) ?%", re.ASCII)


def seconds(text: Union[str, int], option: str) -> int:
    """Seconds of a duration such as ``30d``, ``1h30m`` or ``600`` (a bare number is seconds); raises BadInput."""
    written = str(text).strip()
    if written.isascii() and written.isdigit() and len(written) <= 12:
        return int(written)
    parts = _PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise BadInput(
            f"{option}: {written[:40]!r} is not a duration.",
            hint="Write a number with s, m, h, d or w, such as 30d or 1h30m.",
        )
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def size_bytes(text: Union[str, int], option: str) -> int:
    """Bytes of a size: ``10GiB`` and ``10G`` are binary (as LVM reads them), ``10GB`` is decimal; raises BadInput."""
    written = str(text).strip()
    match = _SIZE.fullmatch(written)
    if not match:
        raise BadInput(f"{option}: {written[:40]!r} is not a size.", hint="Write bytes or a unit, such as 10GiB or 500G.")
    whole, fraction, prefix, suffix = match.groups()
    decimal = suffix.upper() == "B" and prefix != ""
    unit = (_DECIMAL if decimal else _BINARY)[prefix.upper()]
    return int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def is_percent(text: object) -> bool:
    """Whether a value is written as a percentage."""
    return bool(_PERCENT.fullmatch(str(text).strip()))


def percent(text: str, option: str) -> int:
    """The number of a percentage from 1 to 100; raises BadInput."""
    match = _PERCENT.fullmatch(str(text).strip())
    if not match or not 1 <= int(match.group(1)) <= 100:
        raise BadInput(f"{option}: {str(text)[:40]!r} is not a percentage from 1% to 100%.")
    return int(match.group(1))


def human_bytes(number: int) -> str:
    """A size for people: ``20.0 GiB``."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} PiB"
