# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an old credential can still do: tried with it where it is at hand, else asked of the API server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._core.errors import BackendFailed, CollError
from .._core.ports import KubeApi
from .._rbac import review
from .._rbac.denials import CREDENTIAL_EXTRA, NOWHERE
from .._rbac.permissions import Atom
from .cutoff_ports import OldLogins

TRIED, ASKED, NOTHING = (
    "tried with it",
    "asked of the API server's authorizers, the key is not at hand",
    "no credential is known",
)
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_SELF_BODY = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_CERTIFICATES_ASKED = 3


@dataclass(frozen=True)
class Probe:
    """One question to a server. ``common``: whoever is logged in may; ``writes``: it passes through admission."""

    what: str
    method: str
    path: str
    body: Optional[Mapping[str, Any]] = None
    query: Optional[Mapping[str, str]] = None
    atom: Optional[Atom] = None
    namespace: str = ""
    common: bool = False
    writes: bool = False


def probes_for(places: Iterable[str]) -> list[Probe]:
    """Log in, read and (without an effect) write in some namespaces, and what counts in the whole cluster."""
    found = [Probe("log in (SelfSubjectReview)", "POST", _SELF, _SELF_BODY, common=True)]
    for place in places:
        path = f"/api/v1/namespaces/{place}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "access-probe-"}}
        found += [
            Probe(f"list configmaps in {place}", "GET", path, None, {"limit": "1"}, Atom("list", "", "configmaps"), place),
            Probe(
                f"create a configmap in {place} (dry run)",
                "POST",
                path,
                body,
                {"dryRun": "All"},
                Atom("create", "", "configmaps", ""),
                place,
                writes=True,
            ),
        ]
    found.append(Probe("list namespaces", "GET", "/api/v1/namespaces", None, {"limit": "1"}, Atom("list", "", "namespaces")))
    return [*found, Probe("read /api", "GET", "/api", atom=Atom("get", path="/api"), common=True)]


Told = dict[str, Any]


class Prober:
    """Tries and asks."""

    def __init__(
        self, api: KubeApi, logins: OldLogins, clock: Callable[[], float], pause: Callable[[float], None], settle: float
    ) -> None:
        self._api, self._logins, self._clock, self._pause, self._settle = api, logins, clock, pause, settle

    def before(self, name: str, kubeconfig: str, lines: Sequence[Mapping[str, Any]], places: Sequence[str]) -> Told:
        """The answers now."""
        return self.after(name, kubeconfig, lines, places, lambda _probe: False)

    def after(
        self,
        name: str,
        kubeconfig: str,
        lines: Sequence[Mapping[str, Any]],
        places: Sequence[str],
        ends: Callable[[Probe], bool],
    ) -> Told:
        """The answers once those that ``ends`` names are refused, or when the time for it is over."""
        try:
            return self._settled(name, kubeconfig, lines, probes_for(places), ends)
        except CollError as exc:  # the proof must not keep anything from being taken away
            return {"via": f"not tried: {exc}", "probes": []}

    def _settled(
        self, name: str, kubeconfig: str, lines: Sequence[Mapping[str, Any]], probes: list[Probe], ends: Callable[[Probe], bool]
    ) -> Told:
        end = self._clock() + self._settle
        tries = bool(kubeconfig) and self._logins.exists(kubeconfig)
        clients = self._logins.open(kubeconfig) if tries else ()
        while True:
            if tries:
                answers = [_told(one, _try(client, one), client.server) for client in clients for one in probes]
            else:
                answers = [told for line in lines[:_CERTIFICATES_ASKED] for told in self._ask(name, line, probes)]
            open_still = {told["what"] for told in answers if told["answer"] == "allowed"}
            if not any(ends(one) and one.what in open_still for one in probes) or self._clock() >= end:
                return {"via": TRIED if tries else ASKED if lines else NOTHING, "probes": answers}
            self._pause(0.25)

    def _ask(self, name: str, line: Mapping[str, Any], probes: Iterable[Probe]) -> Iterable[Told]:
        who = {
            "user": name,
            "groups": [*(line.get("groups") or ()), "system:authenticated"],
            "extra": {CREDENTIAL_EXTRA: [line["credential_id"]]},
        }
        for one in probes:
            if one.atom is not None:
                body = {
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SubjectAccessReview",
                    "spec": {**who, **review.attributes(one.atom, one.namespace)},
                }
                allowed = bool((self._api.call("POST", review.SUBJECT_REVIEWS, body).get("status") or {}).get("allowed"))
                yield _told(one, "allowed" if allowed else "refused by the authorizer", str(line["credential_id"])[:24] + "…")


def _told(probe: Probe, answer: str, server: str) -> Told:
    return {"what": probe.what, "answer": answer, "server": server, "common": probe.common}


def _try(client: KubeApi, probe: Probe) -> str:
    try:
        client.call(probe.method, probe.path, probe.body, probe.query)
    except BackendFailed as exc:
        return _refusal(exc)
    except CollError:
        return "allowed"  # a conflict is an answer to somebody who may
    return "allowed"


def _refusal(error: BackendFailed) -> str:
    status = error.facts.get("status")
    if status == 401:
        return "not logged in"
    if status == 403:
        return "refused by admission" if "ValidatingAdmissionPolicy" in str(error) else "refused by the authorizer"
    if status == 500 and NOWHERE in str(error):
        return "refused by the authorizer"
    if isinstance(status, int) and 400 <= status < 500:
        return "allowed"  # such as a namespace that is gone: who may not is not told
    return "no answer"
