# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group that only one person's certificates carry, so that rights bound to it can be ended by binding them to another.

It is the person's name and 128 random bits. A counter would revive old certificates when it is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Callable

from .pair import Pair
from .wanted import Person, Wanted

_NAME_PART, _DIGITS = 31, 32  # a group is 64 characters long at most


def own_group_of(name: str, groups: Sequence[str]) -> str:
    """The group, if it is the only one and of this form; empty otherwise."""
    form = re.compile(re.escape(name[:_NAME_PART]) + rf"\.[0-9a-f]{{{_DIGITS}}}", re.ASCII)
    return groups[0] if len(groups) == 1 and form.fullmatch(groups[0]) else ""


def with_own_groups(wanted: Wanted, pairs: Mapping[str, Pair], token: Callable[[], str]) -> Wanted:
    """With the groups that those people carry who are to have their own: renewals keep it, and unfinished attempts too."""
    people = tuple(_resolved(one, pairs[one.name], token) if one.own_group and one.present else one for one in wanted.people)
    return replace(wanted, people=people)


def _resolved(person: Person, pair: Pair, token: Callable[[], str]) -> Person:
    certificate = pair.certificate
    held = own_group_of(person.name, certificate.groups) if certificate and certificate.name == person.name else ""
    begun = [group for group in (own_group_of(person.name, one.groups) for one in pair.attempts) if group]
    if person.own_group == "new":
        begun, held = [group for group in begun if group != held], ""
    group = held or next(iter(begun), "") or f"{person.name[:_NAME_PART]}.{''.join(token() for _part in range(4))[:_DIGITS]}"
    return replace(person, groups=(group,))
