# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password policies: whether a lock keeps anybody out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from .._core.errors import Refused
from . import dn
from .model import Entry, Server
from .schema import Schema

READ_ATTRIBUTES = ("objectClass", "pwdLockout", "pwdMustChange")
# The request control of password policies; a server that knows it keeps pwdChangedTime.
CONTROL = "1.3.6.1.4.1.42.2.27.8.5.1"


def server_from(root: Optional[Entry], schema: Schema, policies: Iterable[Entry]) -> Server:
    """How this server locks accounts and keeps passwords, from its root entry, its schema and its password policies."""
    found = tuple(policies)
    controls = root.values_of("supportedControl") if root else ()
    vendor = " ".join(root.values_of("vendorName")) if root else ""
    has_policies = CONTROL in controls
    if "nsaccountlock" in schema.attributes or (not schema.known and "389" in vendor):
        means = "nsaccountlock"
    else:
        means = "ppolicy" if has_policies else "shadow"
    return Server(means, means == "ppolicy", _by_policy(found, "pwdLockout"), _by_policy(found, "pwdMustChange"))


def effect(policies: Mapping[str, bool], account: Optional[Entry]) -> Optional[bool]:
    """What the policy of this account says; None when the policy in effect can't be told."""
    own = account.values_of("pwdPolicySubentry") if account else ()
    if own and dn.is_dn(own[0]):
        return policies.get(dn.normal(own[0]))
    # Which policy is the default stands in the server's configuration, which an ordinary bind can't read.
    candidates = [name for name in policies if name.startswith("cn=default,")] if len(policies) > 1 else list(policies)
    return policies[candidates[0]] if len(candidates) == 1 else None


def check_must_change(uid: str, server: Server, account: Optional[Entry]) -> None:
    """Raises Refused where a demanded change of the password would be demanded of nobody."""
    if server.lock == "nsaccountlock":
        raise Refused(
            f"Account {uid}: on 389 Directory Server must_change is not set for single accounts.",
            hint="Turn on passwordMustChange in the server's password policy; it then holds whenever a manager sets a password.",
        )
    if not server.password_policy or effect(server.must_change, account) is False:
        raise Refused(
            f"Account {uid}: must_change would have no effect: the password policy has pwdMustChange FALSE, or there is none.",
            hint="Set pwdMustChange TRUE in the policy.",
        )


def _by_policy(policies: Iterable[Entry], attribute: str) -> dict[str, bool]:
    """For each policy, whether it says TRUE; without the word it does not."""
    return {dn.normal(entry.dn): entry.values_of(attribute) == ("TRUE",) for entry in policies}


def no_effect(uid: str) -> Refused:
    """The refusal of a lock that would not keep the person out."""
    return Refused(
        f"Account {uid} can't be locked: its password policy has pwdLockout FALSE, so a locked account could still log in.",
        hint="Set pwdLockout TRUE in the policy.",
    )
