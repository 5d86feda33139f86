# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a certificate is due, and why."""

from __future__ import annotations

from typing import Optional

from .authority import issued_by
from .certificate import BACKDATE, TOLERANCE, Certificate
from .pair import KeyFacts, Pair
from .wanted import SPARE, Person, Wanted


def reason_due(person: Person, pair: Pair, wanted: Wanted, now: int) -> str:
    """Why a new certificate is needed now; empty when the present one will do, or when the person's end has come."""
    if person.is_over:
        return ""
    if pair.certificate is None:
        return "certificate unreadable" if pair.certificate_damaged else "missing"
    if pair.key is None and not person.csr:
        return "key unreadable" if pair.key_damaged else "key missing"
    if wanted.key_policy == "always":
        return "key_policy is always"
    reasons = (
        *_key_reasons(person, pair.certificate, pair.key, wanted),
        *_content_reasons(person, pair.certificate),
        *_signer_reasons(pair, pair.certificate, wanted),
        *_time_reasons(person, pair.certificate, wanted, now),
    )
    return ", ".join(reasons)


def _key_reasons(person: Person, certificate: Certificate, key: Optional[KeyFacts], wanted: Wanted) -> tuple[str, ...]:
    if person.csr:
        return () if certificate.public_key_hash == person.csr_key_hash else ("csr changed",)
    if key is None:
        return ("key missing",)
    found = {
        "key changed": certificate.public_key_hash != key.public_key_hash,
        "key type changed": key.key_type != wanted.key_type and not wanted.keeps_keys,
        "key not encrypted": wanted.encrypts_keys and not key.encrypted,
    }
    return tuple(reason for reason, true in found.items() if true)


def _content_reasons(person: Person, certificate: Certificate) -> tuple[str, ...]:
    found = {
        "subject changed": certificate.name != person.name,
        "groups changed": certificate.groups != person.groups,
        "certificate not as we make them": bool(certificate.oddities),
    }
    return tuple(reason for reason, true in found.items() if true)


def _signer_reasons(pair: Pair, certificate: Certificate, wanted: Wanted) -> tuple[str, ...]:
    """The signer is known from the version's name; versions made before that was so have none."""
    mark = pair.version.split("-")[2:]
    changed = ("signer changed",) if mark and mark[0] != wanted.mark else ()
    if wanted.signer_ca and not issued_by(certificate.der, wanted.signer_ca):
        return (*changed, "CA changed")
    return changed


def _time_reasons(person: Person, certificate: Certificate, wanted: Wanted, now: int) -> tuple[str, ...]:
    left = certificate.not_after - now
    if left <= 0:
        return ("expired",)
    if certificate.not_before > now + TOLERANCE:
        return ("not yet valid",)
    if person.end is not None and certificate.not_after > person.end:
        return ("valid beyond the person's end",)
    if left > person.lifetime + TOLERANCE:
        return ("lifetime shortened",)
    if person.end is not None and certificate.not_after >= person.end - SPARE - BACKDATE - TOLERANCE:
        return ()  # it lasts as long as one may: the back-dating of the signer counts in some certificates
    return ("expiring",) if left <= wanted.renew_before.margin(certificate.life) else ()
