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

    @property
    def data_key(self) -> str:
        """The key in the parameter object. Upper case stands for the one character that keys may not hold."""
        return self.who[len(_PREFIX) :] if self.is_credential else f"user.{self.who.replace('@', 'AT')}"


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


def policy_objects(name: str, namespace: str, denials: Iterable[Denial]) -> dict[str, dict[str, Any]]:
    """By path, in the order of making: the namespace, the list, the policy over it, and what puts the policy into force."""
    labels = {MANAGED_BY: MANAGER}
    data = {one.data_key: f"{one.person} {rfc3339(one.until)}" for one in denials if POLICY in one.means}
    meta: dict[str, Any] = {"name": name, "labels": labels}
    objects = {
        f"/api/v1/namespaces/{namespace}": _object("v1", "Namespace", {"name": namespace, "labels": labels}),
        f"/api/v1/namespaces/{namespace}/configmaps/{name}": {
            **_object("v1", "ConfigMap", {**meta, "namespace": namespace}),
            "data": data,
        },
    }
    policy = _object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", meta)
    objects[f"{ADMISSION}/validatingadmissionpolicies/{name}"] = {**policy, "spec": _policy_spec()}
    binding = _object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", meta)
    # Without the list, or with an empty one, nobody is refused: a policy that denies everybody cannot be repaired from inside.
    reference = {"name": name, "namespace": namespace, "parameterNotFoundAction": "Allow"}
    spec = {"policyName": name, "validationActions": ["Deny"], "paramRef": reference}
    objects[f"{ADMISSION}/validatingadmissionpolicybindings/{name}"] = {**binding, "spec": spec}
    return objects


def _object(version: str, kind: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": dict(meta)}


def _policy_spec() -> dict[str, Any]:
    """Names are looked up, so the work per request does not grow with the list; the value tells look-alike keys apart."""
    user = "request.userInfo.username"
    extra = f"request.userInfo.extra['{CREDENTIAL_EXTRA}']"
    return {
        "failurePolicy": "Fail",
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {
            "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
        },
        "matchConditions": [
            {
                "name": "people-only",
                "expression": f"!{user}.startsWith('system:') && !('system:masters' in request.userInfo.groups)",
            }
        ],
        "variables": [{"name": "key", "expression": f"'user.' + {user}.replace('@', 'AT')"}],
        "validations": [
            {
                "expression": f"!has(params.data) || !(variables.key in params.data &&"
                f" params.data[variables.key].startsWith({user} + ' '))",
                "message": _REFUSAL,
                "reason": "Forbidden",
            },
            {
                "expression": f"!has(params.data) || !has(request.userInfo.extra) ||"
                f" !('{CREDENTIAL_EXTRA}' in request.userInfo.extra) ||"
                f" !{extra}.exists(id, id.replace('{_PREFIX}', '') in params.data)",
                "message": _REFUSAL,
                "reason": "Forbidden",
            },
        ],
    }


def stands(wanted: Any, live: Any) -> bool:
    """Whether a live object holds all that is wanted of it; what the server adds to mappings does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(key in live and stands(part, live[key]) for key, part in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(wanted) == len(live) and all(map(stands, wanted, live))
    return bool(wanted == live)


def object_stands(wanted: Mapping[str, Any], live: Optional[Mapping[str, Any]]) -> bool:
    """The same for a whole object; the list has to be equal, because every entry more keeps somebody out."""
    if live is None or wanted["kind"] == "Namespace":
        return live is not None
    if not stands(wanted, live):
        return False
    return "data" not in wanted or wanted["data"] == (live.get("data") or {})


def authorization_config(denials: Iterable[Denial], kubeconfig: str, after: Sequence[str]) -> dict[str, Any]:
    """An AuthorizationConfiguration whose first authorizers refuse the list and ask nobody; ``after`` are those that follow.

    A webhook that cannot be reached, with ``failurePolicy: Deny``, refuses whatever its conditions match.
    """
    listed = [one for one in denials if AUTHORIZER in one.means]
    names = _shards([one.who for one in listed if not one.is_credential])
    credentials = _shards([one.who for one in listed if one.is_credential])
    expressions = [f"request.user in [{part}]" for part in names] + [_credential_expression(part) for part in credentials]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            *(_webhook(number, expression, kubeconfig) for number, expression in enumerate(expressions, 1)),
            *({"type": kind, "name": kind.lower()} for kind in after),
        ],
    }


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


def _credential_expression(listed: str) -> str:
    extra = f"request.extra['{CREDENTIAL_EXTRA}']"
    return f"has(request.extra) && '{CREDENTIAL_EXTRA}' in request.extra && {extra}.exists(id, id in [{listed}])"


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
        "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "current-context": "nowhere",
    }
