# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password policies: whether a lock keeps anybody out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from .._core.errors import Refused
from . import dn
from .model import Entry

READ_ATTRIBUTES = ("objectClass", "pwdLockout")
# The request control of password policies; a server that knows it keeps pwdChangedTime.
CONTROL = "1.3.6.1.4.1.42.2.27.8.5.1"


def locking(policies: Iterable[Entry]) -> dict[str, bool]:
    """For each policy, whether it honours locks; without the word it does not."""
    return {dn.normal(entry.dn): entry.values_of("pwdLockout") == ("TRUE",) for entry in policies}


def lock_has_effect(policies: Mapping[str, bool], account: Optional[Entry]) -> Optional[bool]:
    """Whether a lock of this account counts; None when the policy in effect can't be told."""
    own = account.values_of("pwdPolicySubentry") if account else ()
    if own and dn.is_dn(own[0]):
        return policies.get(dn.normal(own[0]))
    # Which policy is the default stands in the server's configuration, which an ordinary bind can't read.
    candidates = [name for name in policies if name.startswith("cn=default,")] if len(policies) > 1 else list(policies)
    return policies[candidates[0]] if len(candidates) == 1 else None


def no_effect(uid: str) -> Refused:
    """The refusal of a lock that would not keep the person out."""
    return Refused(
        f"Account {uid} can't be locked: its password policy has pwdLockout FALSE, so a locked account could still log in.",
        hint="Set pwdLockout TRUE in the policy.",
    )
