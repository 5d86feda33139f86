# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: one line for every certificate that was issued, so that later it can be said what a person still holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._core.window import rfc3339
from .certificate import BACKDATE, TOLERANCE, Certificate
from .wanted import Person


def line_of(user: str, certificate: Certificate, signer: str, now: int) -> dict[str, Any]:
    """What is written down of an issue; no secret is in it. ``user`` is who it was asked for."""
    return {
        "name": user,
        "credential_id": certificate.credential_id,
        "serial": certificate.serial,
        "not_before": rfc3339(certificate.not_before),
        "not_after": rfc3339(certificate.not_after),
        "groups": list(certificate.groups),
        "signer": signer,
        "issued_at": rfc3339(now),
    }


def parse(content: bytes) -> tuple[dict[str, Any], ...]:
    """The lines of a ledger. A line that a kill cut short is passed over: its certificate is written down again."""
    found = []
    for line in content.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("credential_id"), str):
            found.append(entry)
    return tuple(found)


def render(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Lines as they are appended."""
    return b"".join(json.dumps(line, sort_keys=True).encode("ascii") + b"\n" for line in lines)


def missing_from(lines: Iterable[Mapping[str, Any]], present: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines whose certificate is not in the ledger yet."""
    known = {line["credential_id"] for line in present}
    return [line for line in lines if line["credential_id"] not in known]


def still_valid(lines: Sequence[Mapping[str, Any]], user: str, now: int) -> list[dict[str, Any]]:
    """The certificates of a person that have not ended: these go on working wherever a copy is held."""
    present = rfc3339(now)
    found = {
        str(line["credential_id"]): {"credential_id": line["credential_id"], "not_after": line["not_after"]}
        for line in lines
        if line.get("name") == user and isinstance(line.get("not_after"), str) and line["not_after"] > present
    }
    return list(found.values())


def shortened(granted: Sequence[tuple[Person, Certificate]]) -> str:
    """A warning when a signer granted less than was asked; its own back-dating is no shortening. Empty when it did not."""
    found = [(one, cert) for one, cert in granted if cert.life < one.lifetime - BACKDATE - TOLERANCE]
    if not found:
        return ""
    person, certificate = found[0]
    return (
        f"The signer granted {len(found)} of {len(granted)} certificates less time than was asked, such as {person.name!r}:"
        f" {certificate.life} s instead of {person.lifetime} s. They are renewed by the time that was granted."
    )
