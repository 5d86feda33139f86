# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller wants: people, and how their certificates are made and kept valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from .._core import names, units
from .._core.errors import BadInput
from .._core.window import moment

SHORTEST = 600  # the API server refuses less
SPARE = 60  # before a person's end: the signer counts from its signing, which comes after the request
LONGEST = 2**31 - 1  # spec.expirationSeconds is a 32-bit number
LOCAL = "local_ca"  # stands for the signer where a CA on this host signs
MARK_LENGTH = 8


@dataclass(frozen=True)
class Person:
    """One person. ``groups`` are sorted; ``lifetime`` is in seconds; ``present`` false means that all of it is to go.

    No certificate is to be valid after ``end``, so ``Wanted.at`` cuts ``lifetime`` to what is left until then.
    With ``own_group`` (keep, new) the groups are one that only this person's certificates carry (see ``own_group``).
    ``csr`` is a signing request that the person made, as PEM, with the hash of its public key: then the key is never seen.
    """

    name: str
    groups: tuple[str, ...] = ()
    lifetime: int = 30 * 86400
    present: bool = True
    csr: str = ""
    csr_key_hash: str = ""
    end: Optional[int] = None
    own_group: str = ""

    @property
    def is_over(self) -> bool:
        """Whether what is left is too short for another certificate."""
        return self.lifetime < SHORTEST


@dataclass(frozen=True)
class RenewBefore:
    """When a certificate is due: ``seconds`` before its end, or ``percent`` of its life before its end."""

    seconds: int = 0
    percent: int = 0

    def margin(self, life: int) -> int:
        """Seconds before the end for a certificate granted ``life`` seconds.

        Never more than half of it: a signer that grants less than was asked must not lead to a renewal in every run.
        """
        return min(self.seconds or life * self.percent // 100, life // 2)


@dataclass(frozen=True)
class Wanted:
    """All of the task."""

    people: tuple[Person, ...]
    key_type: str = "ecdsa-p256"
    key_policy: str = "rotate_on_renew"
    encrypts_keys: bool = False
    renew_before: RenewBefore = RenewBefore(percent=33)
    signer: str = "kubernetes.io/kube-apiserver-client"
    approve: str = "auto"
    wait_timeout: int = 60
    verify_login: bool = False
    local: bool = False
    signer_ca: str = ""
    allow_groups: tuple[str, ...] = ()
    allow_users: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """The signer in the name of each version, so that another signer is noticed without asking anybody."""
        return names.short_digest(self.signer, length=MARK_LENGTH)

    @property
    def keeps_keys(self) -> bool:
        """Whether a renewal uses the key that is there."""
        return self.key_policy == "keep"

    def at(self, now: int) -> Wanted:
        """With lifetimes that go no further than each person's end."""
        return replace(self, people=tuple(_cut(person, now) for person in self.people))


def _cut(person: Person, now: int) -> Person:
    return person if person.end is None else replace(person, lifetime=min(person.lifetime, max(0, person.end - SPARE - now)))


def read_wanted(params: Mapping[str, Any]) -> Wanted:
    """The task's parameters as values; raises BadInput, naming the option or the entry, before anything is done."""
    people = tuple(_person(entry, params) for entry in params["users"])
    names.check_distinct((person.name for person in people), "user")
    local = bool(params.get("local_ca"))
    wanted = Wanted(
        people=people,
        key_type=params["key_type"],
        key_policy=params["key_policy"],
        encrypts_keys=params.get("key_passphrase") is not None,
        renew_before=_renew_before(params["renew_before"]),
        signer=LOCAL if local else _signer(params["signer"]),
        approve=params["approve"],
        wait_timeout=_timeout(params["wait_timeout"]),
        verify_login=params["verify_login"],
        local=local,
        signer_ca=params.get("signer_ca") or "",
        allow_groups=tuple(params.get("allow_groups") or ()),
        allow_users=tuple(params.get("allow_users") or ()),
    )
    for person in people:
        _check_margin(person, wanted.renew_before)
    return wanted


def _person(entry: Mapping[str, Any], params: Mapping[str, Any]) -> Person:
    name = names.check_principal(entry["name"], "user")
    what = f"user {name!r}: "
    state = entry.get("state") or params["state"]
    lifetime = units.seconds(entry.get("lifetime") or params["lifetime"], f"{what}lifetime")
    if not SHORTEST <= lifetime <= LONGEST:
        raise BadInput(
            f"{what}lifetime is {lifetime} s, outside of {SHORTEST} s to {LONGEST} s.",
            hint="Kubernetes issues no certificate for less than ten minutes.",
        )
    groups = _groups(entry.get("groups") or (), what)
    own_group = entry.get("own_group") or ""
    if own_group and (groups or entry.get("csr")):
        raise BadInput(
            f"{what}own_group excludes groups and csr.", hint="Rights of their groups have to be bound to the own group."
        )
    end = None if entry.get("expires") is None else moment(entry["expires"], f"{what}expires", whole_day=True)
    return Person(name, groups, lifetime, state == "present", csr=entry.get("csr") or "", end=end, own_group=own_group)


def _groups(groups: Sequence[Any], what: str) -> tuple[str, ...]:
    checked = [names.check_principal(group, f"{what}group") for group in groups]
    names.check_distinct(checked, f"{what}group")
    return tuple(sorted(checked))


def _renew_before(text: Union[str, int]) -> RenewBefore:
    if units.is_percent(text):
        return RenewBefore(percent=units.percent(str(text), "renew_before"))
    found = units.seconds(text, "renew_before")
    if found < 1:
        raise BadInput("renew_before is 0.", hint="Leave time for a renewal, such as 33% or 10d.")
    return RenewBefore(seconds=found)


def _check_margin(person: Person, renew_before: RenewBefore) -> None:
    if person.present and renew_before.seconds >= person.lifetime:
        raise BadInput(
            f"user {person.name!r}: renew_before ({renew_before.seconds} s) is not shorter than the lifetime"
            f" ({person.lifetime} s), so every run would renew.",
            hint="Make renew_before shorter, or write it in percent.",
        )


def _signer(text: str) -> str:
    domain, slash, path = text.partition("/")
    if not (domain and slash and path) or not text.isascii() or not text.isprintable() or " " in text or len(text) > 571:
        raise BadInput(f"signer: {text[:80]!r} is not a signer's name.", hint="Write domain/name.")
    return text


def _timeout(text: Union[str, int]) -> int:
    found = units.seconds(text, "wait_timeout")
    if found < 1:
        raise BadInput("wait_timeout is 0.", hint="Use approve: skip to leave without waiting.")
    return found


def optional_text(value: Optional[object], limit: int = 300) -> str:
    """A text of somebody else, on one line and not too long, for a message."""
    words = " ".join(str(value or "").split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
