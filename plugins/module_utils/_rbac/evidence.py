# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a person who left, in words: what was taken and when, what the old credential still could, what remains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

ALLOWED = "allowed"
_SHOWN = 20
_KINDS = (
    ("service_accounts", "service accounts whose tokens they may hold"),
    ("token_secrets", "Secrets with a token that does not end"),
    ("role_bindings", "bindings in those namespaces, which they may have made if they could hand on rights"),
    ("pods", "pods, with whatever runs in them"),
    ("requests", "certificate requests that they made in other names"),
)
STREAMS = (
    "Watches, exec sessions and port forwards that were open go on until their connection ends or the API server restarts."
)


def remaining(record: Mapping[str, Any]) -> list[str]:
    """What is not ended, one sentence each; the certain first."""
    after = record.get("after") or {}
    found = [f"The old credential still may: {probe['what']}." for probe in after.get("probes") or () if is_open(probe)]
    found += [f"Still bound: {right['binding']} by {right['via']}." for right in after.get("rights") or ()]
    found += [
        f"The certificate {line['credential_id']} is valid until {line['not_after']}; whoever has its key can log in"
        " unless a refusal says otherwise."
        for line in record.get("certificates") or ()
    ]
    left = record.get("left_behind") or {}
    for kind, words in _KINDS:
        names = left.get(kind) or []
        if names:
            found.append(f"Possibly still usable, {len(names)} {words}: {_some(names)}.")
    found += [f"Not looked at: {problem}." for problem in left.get("problems") or ()]
    return [*found, STREAMS]


def is_open(probe: Mapping[str, Any]) -> bool:
    """Whether a probe shows something that was to be ended; what everybody may who is logged in does not count."""
    return probe.get("answer") == ALLOWED and not probe.get("common")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """The whole record for people."""
    return list(_lines(record))


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Offboarding of {record['name']}, begun {record['marked_at']}, strategies: {_list(record.get('strategies'))}"
    denial = record.get("denial") or {}
    if denial:
        yield f"Refused by {_list(denial.get('means'))} since {denial.get('at')}, until {denial['until']}"
    yield "Removed:"
    yield from _block(f"{one['at']}  {one['what']}" for one in record.get("removed") or ())
    yield "Done elsewhere:"
    yield from _block(f"{said['at']}  {part}: {said['what']}" for part, said in sorted((record.get("done") or {}).items()))
    before, after = record.get("before") or {}, record.get("after") or {}
    yield f"The old credential, before ({_when(before)}) and after ({_when(after)}):"
    yield from _block(_compared(before.get("probes") or (), after.get("probes") or ()))
    yield "What remains:"
    yield from _block(remaining(record))


def _when(part: Mapping[str, Any]) -> str:
    return f"{part['at']}, {part['via']}" if part.get("at") else "not tried"


def _compared(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    first = {(one.get("server", ""), one["what"]): one["answer"] for one in before}
    last = {(one.get("server", ""), one["what"]): one["answer"] for one in after}
    for key in dict.fromkeys([*first, *last]):
        server = f" at {key[0]}" if key[0] else ""
        yield f"{key[1]}{server}: {first.get(key, 'not tried')} -> {last.get(key, 'not tried')}"


def _block(lines: Iterable[str]) -> Iterator[str]:
    found = [f"  {line}" for line in lines]
    yield from found or ["  nothing"]


def _list(words: Any) -> str:
    return ", ".join(words or ()) or "none (the certificates only end)"
