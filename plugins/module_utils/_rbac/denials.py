# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is refused although their certificate is valid: the list, and the two forms in which an API server reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import BadInput
from .._core.names import check_principal
from .._core.window import moment, rfc3339
from .objects import MANAGED_BY, MANAGER

POLICY, AUTHORIZER = "policy", "authorizer"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CREDENTIAL_EXTRA = "authentication.kubernetes.io/credential-id"
_PREFIX = "X509SHA256="
_CREDENTIAL = re.compile(r"X509SHA256=[0-9a-f]{64}", re.ASCII)
# One expression may hold 100,000 characters; a longer one is not loaded, and the server keeps the list it had.
_EXPRESSION_LIMIT = 60_000
NOWHERE = "https://127.0.0.1:1/access-was-ended"
_REFUSAL = "the access of this person or of this credential was ended"


@dataclass(frozen=True)
class Denial:
    """One entry. ``who`` is a user name or a credential id; ``person`` whose it is; ``means`` where it is to stand."""

    who: str
    person: str
    until: int
    means: tuple[str, ...]

    @property
    def is_credential(self) -> bool:
        """Whether one certificate is meant and not a name."""
        return self.who.startswith(_PREFIX)


def credential_id(text: object, where: str) -> str:
    """A credential id as Kubernetes writes it; raises BadInput."""
    if not _CREDENTIAL.fullmatch(str(text)):
        raise BadInput(
            f"{where}: {str(text)[:80]!r} is not a credential id.", hint="It is X509SHA256= and 64 small hex digits."
        )
    return str(text)


def current(denials: Iterable[Denial], now: int) -> tuple[Denial, ...]:
    """Without those whose last certificate has ended, in order."""
    return tuple(sorted((one for one in denials if one.until > now), key=lambda one: (one.is_credential, one.who)))


def parse(content: Optional[bytes], where: str) -> tuple[Denial, ...]:
    """The stored list; raises BadInput when it is damaged, because an empty list would let people in again."""
    if content is None:
        return ()
    try:
        return tuple(_parsed(entry, where) for entry in json.loads(content)["denials"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput(f"{where} is damaged.", hint="Restore it from a backup; it says who is kept out.") from None


def _parsed(entry: Mapping[str, Any], where: str) -> Denial:
    who = str(entry["who"])
    who = credential_id(who, where) if who.startswith(_PREFIX) else check_principal(who, where)
    means = tuple(str(word) for word in entry["means"])
    return Denial(who, str(entry["person"]), moment(entry["until"], where), means)


def render(denials: Sequence[Denial]) -> bytes:
    """The list as it is stored."""
    shown = [{"who": one.who, "person": one.person, "until": rfc3339(one.until), "means": list(one.means)} for one in denials]
    return (json.dumps({"denials": shown}, indent=1) + "\n").encode("ascii")


def policy_objects(name: str, denials: Iterable[Denial]) -> dict[str, dict[str, Any]]:
    """By path, in the order of making: the policy with the list in it, and what puts it into force.

    The list is no parameter object, on purpose: an API server from which all policies with ConfigMap parameters were once
    removed never sees the parameters of later ones, and they refuse nobody until it restarts (seen with 1.36).
    """
    meta: dict[str, Any] = {"name": name, "labels": {MANAGED_BY: MANAGER}}
    policy = _object("ValidatingAdmissionPolicy", meta)
    binding = _object("ValidatingAdmissionPolicyBinding", meta)
    listed = [one for one in denials if POLICY in one.means]
    return {
        f"{ADMISSION}/validatingadmissionpolicies/{name}": {**policy, "spec": _policy_spec(listed)},
        f"{ADMISSION}/validatingadmissionpolicybindings/{name}": {
            **binding,
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    }


def _object(kind: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": dict(meta)}


def _policy_spec(listed: Sequence[Denial]) -> dict[str, Any]:
    """With an empty list everybody passes. What Kubernetes' own parts and its administrators do is never looked at."""
    names, credentials = _split(listed)
    user = "request.userInfo"
    expressions = [f"!({user}.username in [{part}])" for part in names]
    expressions += [f"!({_credential_expression(user, part)})" for part in credentials]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
        },
        "matchConditions": [
            {
                "name": "people-only",
                "expression": f"!{user}.username.startsWith('system:') && !('system:masters' in {user}.groups)",
            }
        ],
        "validations": [
            {"expression": expression, "message": _REFUSAL, "reason": "Forbidden"} for expression in expressions or ["true"]
        ],
    }


def stands(wanted: Any, live: Any) -> bool:
    """Whether a live object holds all that is wanted of it; what the server adds to mappings does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(key in live and stands(part, live[key]) for key, part in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(wanted) == len(live) and all(map(stands, wanted, live))
    return bool(wanted == live)


def authorization_config(denials: Iterable[Denial], kubeconfig: str, after: Sequence[str]) -> dict[str, Any]:
    """An AuthorizationConfiguration whose first authorizers refuse the list and ask nobody; ``after`` are those that follow.

    A webhook that cannot be reached, with ``failurePolicy: Deny``, refuses whatever its conditions match.
    """
    listed = [one for one in denials if AUTHORIZER in one.means]
    names, credentials = _split(listed)
    expressions = [f"request.user in [{part}]" for part in names]
    expressions += [_credential_expression("request", part) for part in credentials]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            *(_webhook(number, expression, kubeconfig) for number, expression in enumerate(expressions, 1)),
            *({"type": kind, "name": kind.lower()} for kind in after),
        ],
    }


def _split(listed: Sequence[Denial]) -> tuple[list[str], list[str]]:
    """The names and the credential ids, as lists of CEL."""
    return _shards([one.who for one in listed if not one.is_credential]), _shards(
        [one.who for one in listed if one.is_credential]
    )


def _shards(words: Sequence[str]) -> list[str]:
    """The words as lists of CEL, each short enough."""
    parts: list[list[str]] = []
    room = 0
    for word in words:
        if len(word) + 4 > room:
            parts.append([])
            room = _EXPRESSION_LIMIT
        parts[-1].append(f"'{word}'")
        room -= len(word) + 4
    return [", ".join(part) for part in parts]


def _credential_expression(user: str, listed: str) -> str:
    extra = f"{user}.extra['{CREDENTIAL_EXTRA}']"
    return f"has({user}.extra) && '{CREDENTIAL_EXTRA}' in {user}.extra && {extra}.exists(id, id in [{listed}])"


def _webhook(number: int, expression: str, kubeconfig: str) -> dict[str, Any]:
    return {
        "type": "Webhook",
        "name": f"access-cutoff-{number}",
        "webhook": {
            "timeout": "1s",
            "subjectAccessReviewVersion": "v1",
            "matchConditionSubjectAccessReviewVersion": "v1",
            "authorizedTTL": "1s",
            "unauthorizedTTL": "1s",
            "failurePolicy": "Deny",
            "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": kubeconfig},
            "matchConditions": [{"expression": expression}],
        },
    }


def webhook_kubeconfig() -> dict[str, Any]:
    """A kubeconfig that leads nowhere, for these authorizers."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "nowhere", "cluster": {"server": NOWHERE}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "current-context": "nowhere",
    }
