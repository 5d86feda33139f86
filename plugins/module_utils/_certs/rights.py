# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true before anything is requested: the caller's rights, the clock, and a signer that signs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BackendFailed, Denied
from .request import approved_at, standing
from .wanted import Wanted

CERTIFICATES = "certificates.k8s.io"
RBAC = "rbac.authorization.k8s.io"
REQUESTS = "certificatesigningrequests"
FAR_OFF = 300  # beyond the signer's back-dating a new certificate would not be valid yet, or be taken for another's
NOTICEABLE = 30
_OVERDUE = 30


@dataclass(frozen=True)
class Right:
    """One right, as a rule has it. Any of ``names`` will do; none means all objects."""

    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()
    namespace: str = ""

    def reviews(self) -> list[dict[str, Any]]:
        """The questions to the server: a yes to one of them is enough."""
        resource, _slash, sub = self.resource.partition("/")
        asked = {"group": self.group, "resource": resource, "subresource": sub, "verb": self.verb, "namespace": self.namespace}
        return [
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {**asked, "name": name}},
            }
            for name in (self.names or ("",))
        ]


def rights_needed(wanted: Wanted, *, asking: bool, new_names: bool, secrets_in: str = "") -> tuple[Right, ...]:
    """The rights of a run. ``asking``: requests are made; ``new_names``: bindings are read; ``secrets_in``: the store."""
    verbs = ["list", "get", "delete", *(("create", "watch") if asking else ())]
    rights = [] if wanted.local else [Right(CERTIFICATES, REQUESTS, verb) for verb in verbs]
    if asking and not wanted.local and wanted.approve == "auto":
        domain = wanted.signer.split("/", 1)[0]
        rights.append(Right(CERTIFICATES, f"{REQUESTS}/approval", "update"))
        rights.append(Right(CERTIFICATES, "signers", "approve", (wanted.signer, f"{domain}/*")))
    if new_names:
        rights += [Right(RBAC, kind, "list") for kind in ("clusterrolebindings", "rolebindings")]
    if secrets_in:
        rights += [Right("", "secrets", verb, namespace=secrets_in) for verb in ("create", "update", "delete")]
    return tuple(rights)


def refused(missing: Sequence[Right], requester: str) -> Denied:
    """The error for rights the caller does not have, with the rules that grant them, ready to be pasted."""
    rules = _rules(missing)
    words = ", ".join(f"{right.verb} {right.resource}" for right in missing)
    places = sorted({right.namespace for right in missing if right.namespace})
    where = f" (those on secrets in a Role of namespace {places[0]!r})" if places else ""
    return Denied(
        f"{requester!r} may not {words}; nothing was written.",
        hint=f"Add to its ClusterRole{where}: {' '.join('- ' + json.dumps(rule) for rule in rules)}",
        missing=rules,
    )


def _rules(missing: Iterable[Right]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for right in missing:
        found.setdefault((right.group, right.resource, right.names[:1], right.namespace), []).append(right.verb)
    rules = []
    for (group, resource, names, _namespace), verbs in found.items():
        rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        rules.append({**rule, "resourceNames": list(names)} if names else rule)
    return rules


def clock_problem(ahead: Optional[float]) -> tuple[Optional[BackendFailed], str]:
    """An error, or a warning, about the server's clock; ``ahead`` of ours by so many seconds, None when it did not say."""
    if ahead is None or abs(ahead) <= NOTICEABLE:
        return None, ""
    words = f"The API server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    if abs(ahead) <= FAR_OFF:
        return None, f"{words}; certificates may be renewed too late."
    hint = "Set the clocks right (chrony or another NTP client)."
    return BackendFailed(f"{words}, so no certificate can be judged; nothing was written.", hint=hint), ""


def signer_doubt(requests: Iterable[Mapping[str, Any]], signer: str, now: int) -> str:
    """A warning when the signer leaves approved requests unsigned and has signed none since; empty without evidence."""
    waiting = signed = 0
    for obj in requests:
        moment, word = approved_at(obj), standing(obj).word
        if word == "issued":
            signed = max(signed, moment)
        elif word == "approved" and moment < now - _OVERDUE:
            waiting = max(waiting, moment)
    if waiting <= signed:
        return ""
    return (
        f"The signer {signer} seems to be off: it has left a request unsigned that was approved {now - waiting} s ago. Is"
        " kube-controller-manager running with a cluster signing key? Some managed clusters sign no certificates for people."
    )
