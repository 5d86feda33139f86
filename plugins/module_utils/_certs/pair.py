# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's key and certificate as they are stored, and what can be made of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Optional

from .certificate import Certificate, Unreadable, read_certificate
from .request import Attempt, read_record


@dataclass(frozen=True)
class StoredVersion:
    """One version folder: files as they are, None for a missing one."""

    version: str
    key_pem: Optional[bytes] = field(default=None, repr=False)
    certificate_pem: Optional[bytes] = None
    record: Optional[bytes] = None


@dataclass(frozen=True)
class StoredPair:
    """Everything stored for a person. ``others`` are version folders that the link does not point to, the newest first."""

    key_path: str
    cert_path: str
    current: Optional[StoredVersion] = None
    others: tuple[StoredVersion, ...] = ()
    untidy: str = ""


@dataclass(frozen=True)
class KeyFacts:
    """What may be known of a private key: its type, named as in the option key_type, its public half, and how it is stored."""

    key_type: str
    public_key_hash: str
    encrypted: bool = False


@dataclass(frozen=True)
class Pair:
    """A person's key and certificate, read; None stands for missing or unreadable.

    ``attempts`` were begun and not finished, the newest first; ``leftover`` is the attempt that made the present
    certificate, while its request may still stand on the server; ``untidy`` says what of the files is to be put right.
    """

    key_path: str
    cert_path: str
    version: str = ""
    key: Optional[KeyFacts] = None
    key_damaged: bool = False
    certificate: Optional[Certificate] = None
    certificate_damaged: bool = False
    attempts: tuple[Attempt, ...] = ()
    leftover: Optional[Attempt] = None
    untidy: str = ""
    stored: bool = False


KeyReader = Callable[[bytes], Optional[KeyFacts]]


def pair_of(stored: StoredPair, key_facts: KeyReader) -> Pair:
    """What the stored files amount to. ``key_facts`` answers None for what is no private key."""
    current = stored.current or StoredVersion("")
    certificate, damaged = _certificate(current.certificate_pem)
    key = key_facts(current.key_pem) if current.key_pem is not None else None
    attempts = tuple(attempt for attempt in (_attempt(other, key_facts) for other in stored.others) if attempt is not None)
    return Pair(
        key_path=stored.key_path,
        cert_path=stored.cert_path,
        version=current.version,
        key=key,
        key_damaged=current.key_pem is not None and key is None,
        certificate=certificate,
        certificate_damaged=damaged,
        attempts=attempts,
        leftover=_record(current),
        untidy=stored.untidy,
        stored=bool(stored.current or stored.others or stored.untidy),
    )


def _certificate(pem: Optional[bytes]) -> tuple[Optional[Certificate], bool]:
    try:
        return (read_certificate(pem), False) if pem is not None else (None, False)
    except Unreadable:
        return None, True


def _attempt(stored: StoredVersion, key_facts: KeyReader) -> Optional[Attempt]:
    """A stored attempt; without its key it can only be withdrawn, which an empty hash says."""
    attempt = _record(stored)
    if attempt is None:
        return None
    if attempt.supplied:
        return attempt
    key = key_facts(stored.key_pem) if stored.key_pem is not None else None
    if key is None or key.public_key_hash != attempt.key_hash:
        return replace(attempt, key_hash="")
    return attempt


def _record(stored: StoredVersion) -> Optional[Attempt]:
    try:
        return read_record(stored.record, stored.version) if stored.record is not None else None
    except Unreadable:
        return None
