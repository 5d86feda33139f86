# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a person's request may end in, each with its own sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BackendFailed, CollError, Denied, Refused
from .certificate import Certificate
from .request import Standing
from .wanted import Person

Obj = Mapping[str, Any]


def not_ours(user: str, obj: Obj, found: tuple[str, ...]) -> Refused:
    """The refusal of an object that stands where our request should."""
    name = obj["metadata"]["name"]
    return Refused(
        f"user {user!r}: the certificate request {name!r} on the server is not the one this module made: {'; '.join(found)}.",
        hint=f"Find out who made it, then remove it (kubectl delete csr {name}) and run again.",
        request=name,
        differences=list(found),
    )


def unsuccessful(user: str, stands: Standing) -> CollError:
    """The error for a request that was denied, or that its signer failed."""
    again = "Run with state: absent for this user, or remove the request, to ask again."
    if stands.word == "denied":
        return Denied(f"user {user!r}: the certificate request was denied ({stands.message}).", hint=again, outcome="denied")
    message = f"user {user!r}: the signer failed the certificate request ({stands.message})."
    return BackendFailed(message, hint=again, outcome="signer_failed")


def timed_out(user: str, stands: Standing, seconds: int) -> CollError:
    """The error for a request that is still open at the end of the wait."""
    if stands.word == "approved":
        return BackendFailed(
            f"user {user!r}: the certificate request was approved but not signed within {seconds} s.",
            hint="Is the signer running (kube-controller-manager with a cluster signing key)? Some managed clusters sign no"
            " certificates for people. The next run continues here.",
            outcome="not_signed",
        )
    return BackendFailed(
        f"user {user!r}: the certificate request was not approved within {seconds} s.",
        hint="Somebody has to approve it (kubectl certificate approve), or set approve: auto. The next run continues here.",
        outcome="not_approved",
    )


def key_unreadable(user: str, path: str, *, passphrase: bool) -> Refused:
    """The refusal to replace a key that cannot be read: it may be encrypted, or be the only copy of something."""
    encrypted = "encrypted with another passphrase than key_passphrase" if passphrase else "encrypted"
    return Refused(
        f"user {user!r}: the key in {path} is damaged, or {encrypted}, and is not overwritten.",
        hint="Restore it, move it away, or set key_policy: always to have a new one in its place.",
    )


def not_as_asked(user: str, certificate: Certificate, found: Sequence[str]) -> Refused:
    """The refusal of a certificate that the signer issued."""
    return Refused(
        f"user {user!r}: the issued certificate is not what was asked: {'; '.join(found)}.",
        hint="It was not installed. Look at the signer, then run with state: absent for this user to start anew.",
        credential_id=certificate.credential_id,
        objections=list(found),
    )


def wrong_login(person: Person, login: Optional[tuple[str, tuple[str, ...]]]) -> Optional[BackendFailed]:
    """The error when the server takes a certificate for somebody else, or for a member of other groups."""
    if login is None:
        return None
    user, groups = login
    expected = {*person.groups, "system:authenticated"}
    if user == person.name and set(groups) == expected:
        return None
    return BackendFailed(
        f"user {person.name!r}: the server takes the certificate for {user!r} of {', '.join(sorted(groups))}.",
        hint=f"Expected the groups {', '.join(sorted(expected))}.",
    )
