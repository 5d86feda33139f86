# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a certificate is due, and why."""

from __future__ import annotations

from .certificate import TOLERANCE, Certificate
from .pair import KeyFacts, Pair
from .wanted import Person, Wanted


def reason_due(person: Person, pair: Pair, wanted: Wanted, now: int) -> str:
    """Why a new certificate is needed now; empty when the present one will do."""
    if pair.certificate is None:
        return "certificate unreadable" if pair.certificate_damaged else "missing"
    if pair.key is None:
        return "key unreadable" if pair.key_damaged else "key missing"
    if wanted.key_policy == "always":
        return "key_policy is always"
    reasons = (
        *_content_reasons(person, pair.certificate, pair.key, wanted),
        *_time_reasons(person, pair.certificate, wanted, now),
    )
    return ", ".join(reasons)


def _content_reasons(person: Person, certificate: Certificate, key: KeyFacts, wanted: Wanted) -> tuple[str, ...]:
    found = {
        "key changed": certificate.public_key_hash != key.public_key_hash,
        "subject changed": certificate.name != person.name,
        "groups changed": certificate.groups != person.groups,
        "certificate not as we make them": bool(certificate.oddities),
        "key type changed": key.key_type != wanted.key_type and not wanted.keeps_keys,
    }
    return tuple(reason for reason, true in found.items() if true)


def _time_reasons(person: Person, certificate: Certificate, wanted: Wanted, now: int) -> tuple[str, ...]:
    left = certificate.not_after - now
    if left <= 0:
        return ("expired",)
    if certificate.not_before > now + TOLERANCE:
        return ("not yet valid",)
    if left > person.lifetime + TOLERANCE:
        return ("lifetime shortened",)
    return ("expiring",) if left <= wanted.renew_before.margin(certificate.life) else ()
