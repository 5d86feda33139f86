# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers for accounts and groups, handed out by a counter entry.

A search for the highest number in use races with other runs, and the server's uniqueness overlay does not prevent that.
The counter is moved by one modify that deletes the value that was read and adds the next one: of two runs only one can
succeed, and the number of a person who left is never handed out again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from .._core.errors import Refused
from . import dn
from .model import Add, Change, Entry, Modify, Op, Settings

COUNTER_NAME = "kubestead-ids"
# Not uidNumber: a uniqueness rule for uidNumber would then see the counter's value as taken.
COUNTER_ATTRIBUTE = "serialNumber"
# What the server answers when another run was faster.
LOST_RACE = ("noSuchAttribute", "attributeOrValueExists", "entryAlreadyExists")


def counter_dn(settings: Settings) -> str:
    """Where the counter stands."""
    return dn.child("cn", COUNTER_NAME, settings.user_base)


def used_numbers(entries: Iterable[Entry]) -> frozenset[int]:
    """All user and group numbers in use."""
    values = (value for entry in entries for name in ("uidnumber", "gidnumber") for value in entry.values_of(name))
    return frozenset(int(value) for value in values if value.isdigit())


def next_number(counter: Optional[Entry], settings: Settings, used: Iterable[int]) -> int:
    """Where the counter stands, or would begin: above every number in use in the range."""
    low, high = settings.id_range
    if counter is not None and counter.values_of(COUNTER_ATTRIBUTE):
        value = counter.values_of(COUNTER_ATTRIBUTE)[0]
        if not value.isdigit():
            raise Refused(f"{counter.dn}: {COUNTER_ATTRIBUTE} is {value!r}, not a number.", hint="Correct the counter entry.")
        return max(int(value), low)
    return max([low, *(number + 1 for number in used if low <= number <= high)])


def pick(start: int, count: int, settings: Settings, used: Iterable[int]) -> tuple[list[int], int]:
    """``count`` free numbers from ``start`` on, and the value the counter then has."""
    taken = frozenset(used)
    chosen: list[int] = []
    number = start
    while len(chosen) < count:
        if number > settings.id_range[1]:
            raise Refused(
                f"id_range {settings.id_range[0]}-{settings.id_range[1]} has only {len(chosen)} free numbers left.",
                hint="Widen id_range; numbers that were handed out once are not used again.",
            )
        if number not in taken:
            chosen.append(number)
        number += 1
    return chosen, number


def taking(settings: Settings, counter: Optional[Entry], following: int) -> Op:
    """The one write that takes a block of numbers; of two runs that read the same value, only one succeeds."""
    where = counter_dn(settings)
    if counter is None:
        return Add(
            where,
            {
                "objectClass": ("device",),
                "cn": (COUNTER_NAME,),
                COUNTER_ATTRIBUTE: (str(following),),
                "description": ("Next number that kubestead.platform.ldap_account hands out",),
            },
        )
    old = counter.values_of(COUNTER_ATTRIBUTE)
    deleting = (Change("delete", COUNTER_ATTRIBUTE, old),) if old else ()
    return Modify(where, (*deleting, Change("add", COUNTER_ATTRIBUTE, (str(following),))))
