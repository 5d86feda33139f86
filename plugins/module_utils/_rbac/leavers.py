# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending people's access: the task's options, what was seen, and the record that is kept of each person who leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._core.errors import BadInput
from .._core.names import check_distinct, check_principal
from .._core.window import moment, rfc3339
from . import denials
from .denials import AUTHORIZER, POLICY, Denial

Obj = Mapping[str, Any]
BEATS = (MARK, DENY, RIGHTS, REQUESTS, TOKENS, PROVE) = ("mark", "deny", "rights", "requests", "tokens", "prove")
GRANTS = "grants"
STRATEGIES = (GRANTS, POLICY, AUTHORIZER)
UNKNOWN_LIFE = 366 * 86400  # the longest that the default signer gives, and a day
_PROBED_PLACES = 3


@dataclass(frozen=True)
class Leaver:
    """One person. ``done`` is what other modules did for them, in words, by part."""

    name: str
    leaves: bool
    kubeconfig: str = ""
    done: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """The task."""

    leavers: tuple[Leaver, ...]
    lost: tuple[Denial, ...]
    found_again: tuple[str, ...]
    strategies: tuple[str, ...]
    beats: tuple[str, ...]
    list_name: str
    webhook_kubeconfig: str
    authorizers: tuple[str, ...]
    max_offboardings: int
    foreign_bindings: str
    bound_to: str

    @property
    def means(self) -> tuple[str, ...]:
        """Where a denial is to stand."""
        return tuple(one for one in (POLICY, AUTHORIZER) if one in self.strategies)


@dataclass(frozen=True)
class Seen:
    """The records (by person, those who left before too), the certificates that are valid, the list, and the cluster."""

    now: int
    records: Mapping[str, Mapping[str, Any]]
    ledger: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    denials: tuple[Denial, ...] = ()
    listed: Mapping[str, Optional[Obj]] = field(default_factory=dict)
    bindings: tuple[Obj, ...] = ()
    requests: Mapping[str, tuple[Obj, ...]] = field(default_factory=dict)
    accounts: tuple[Obj, ...] = ()
    kubeconfigs: frozenset[str] = frozenset()

    def valid(self, name: str) -> list[Mapping[str, Any]]:
        """The person's certificates that have not ended."""
        present = rfc3339(self.now)
        return [line for line in self.ledger.get(name, ()) if str(line.get("not_after")) > present]


def wanted_from(params: Mapping[str, Any], now: int, not_after: Mapping[str, str]) -> Wanted:
    """The task's options as values; raises BadInput. ``not_after``: the ends that the ledger knows, by credential id."""
    leavers = tuple(_leaver(entry, params) for entry in params["people"] or ())
    check_distinct((one.name for one in leavers), "Person")
    strategies = tuple(params["strategies"])
    means = tuple(one for one in (POLICY, AUTHORIZER) if one in strategies)
    lost, again = [], []
    for number, entry in enumerate(params["credentials"] or ()):
        where = f"credentials[{number}]"
        who = denials.credential_id(entry["credential_id"], where)
        if (entry.get("state") or params["state"]) == "absent":
            again.append(who)
            continue
        if not means:
            raise BadInput(f"{where}: no strategy can refuse one credential.", hint="Add policy or authorizer to strategies.")
        until = entry.get("until") or not_after.get(who)
        end = moment(until, f"{where}: until", whole_day=True) if until else now + UNKNOWN_LIFE
        lost.append(Denial(who, check_principal(entry["name"], f"{where}: name"), end, means))
    if params["max_offboardings"] < 0:
        raise BadInput("max_offboardings must not be negative.")
    return Wanted(
        leavers=leavers,
        lost=tuple(lost),
        found_again=tuple(again),
        strategies=strategies,
        beats=tuple(params["beats"]),
        list_name=params["list_name"],
        webhook_kubeconfig=params["webhook_kubeconfig"],
        authorizers=tuple(params["authorizers"]),
        max_offboardings=params["max_offboardings"],
        foreign_bindings=params["foreign_bindings"],
        bound_to=params["bound_to"],
    )


def _leaver(entry: Mapping[str, Any], params: Mapping[str, Any]) -> Leaver:
    name = check_principal(entry["name"], "Person")
    leaves = (entry.get("state") or params["state"]) == "present"
    done = {str(part): str(what) for part, what in (entry.get("done") or {}).items()}
    return Leaver(name, leaves, entry.get("kubeconfig") or "", done)


def record_of(content: Optional[bytes], name: str) -> Optional[dict[str, Any]]:
    """A stored record; raises BadInput when it is damaged, because it says that somebody is to be kept out."""
    if content is None:
        return None
    try:
        record = json.loads(content)
        if record["name"] == name and isinstance(record["marked_at"], str):
            return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise BadInput(f"The record of {name!r} is damaged.", hint="Restore it, or move it away to begin anew.")


def render(record: Mapping[str, Any]) -> bytes:
    """A record as it is stored."""
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode("ascii")


def own_group(name: str) -> re.Pattern[str]:
    """The groups that only one person's certificates carry: the name and 128 random bits."""
    return re.compile(re.escape(name[:31]) + r"\.[0-9a-f]{32}", re.ASCII)


def groups_of(lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The groups in these certificates."""
    return tuple(sorted({str(group) for line in lines for group in line.get("groups") or ()}))


def last_end(name: str, seen: Seen) -> Optional[int]:
    """When the last valid certificate ends; None when none is valid.

    A ledger that never heard of somebody proves nothing: then the longest life is assumed, from the day the person left.
    """
    if name in seen.ledger:
        return max((moment(line["not_after"], f"ledger, {name}") for line in seen.valid(name)), default=None)
    record = seen.records.get(name)
    begin = moment(record["marked_at"], f"record of {name}") if record else seen.now
    return begin + UNKNOWN_LIFE if begin + UNKNOWN_LIFE > seen.now else None


def denials_after(wanted: Wanted, seen: Seen) -> tuple[Denial, ...]:
    """The list as it is to be: ended entries go, who leaves and what is lost comes in, who returns goes out."""
    found = {one.who: one for one in denials.current(seen.denials, seen.now)}
    for one in wanted.leavers:
        if one.leaves and DENY in wanted.beats and wanted.means:
            _deny(found, one.name, wanted, seen)
        elif not one.leaves and seen.records.get(one.name) is not None:
            old = found.pop(one.name, None)
            if old is not None:
                found.update(_by_credential(old, seen))
    found.update((one.who, one) for one in wanted.lost if one.until > seen.now)
    for who in wanted.found_again:
        found.pop(who, None)
    return denials.current(found.values(), seen.now)


def _deny(found: dict[str, Denial], name: str, wanted: Wanted, seen: Seen) -> None:
    end, known = last_end(name, seen), found.get(name)
    if end is None:
        return
    if known is not None and (name not in seen.ledger or known.until > end):
        end = known.until  # an end that is only assumed does not move with every run
    found[name] = Denial(name, name, end, tuple(dict.fromkeys([*(known.means if known else ()), *wanted.means])))


def _by_credential(old: Denial, seen: Seen) -> dict[str, Denial]:
    """Who returns under the old name is refused no more; the certificates from before are."""
    return {
        str(line["credential_id"]): Denial(
            str(line["credential_id"]), old.person, moment(line["not_after"], "ledger"), old.means
        )
        for line in seen.valid(old.person)
    }


def probed_places(rights: Iterable[Mapping[str, Any]]) -> list[str]:
    """A few namespaces in which the old credential is tried."""
    places = dict.fromkeys(str(one["namespace"]) for one in rights if one.get("namespace"))
    return list(places)[:_PROBED_PLACES] or ["default"]
