# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate requests on the server: created, compared in whole, approved, collected with one watch, removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from .._certs.plan import Job
from .._certs.refusals import not_ours, timed_out, unsuccessful
from .._certs.request import Attempt, approval_of, differences, object_of, standing, words_of
from .._core.errors import BackendFailed, CollError, Conflict
from .._core.plan import Step
from .._core.ports import KubeApi
from .cert_preflight import REQUESTS

# Ours are told by their names, which the server cannot select by. Those of the nodes, of which there may be thousands, it can
# leave out: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
_NODES = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving")
_PEOPLE = {"fieldSelector": ",".join(f"spec.signerName!={signer}" for signer in _NODES)}
_APPROVAL_TRIES = 4

Obj = Mapping[str, Any]
Ending = Union[Obj, CollError]


class RequestDesk:
    """The requests of one run, by entry; each entry is touched by one thread at a time.

    ``requester`` is our name, which the server writes into every request of ours.
    """

    def __init__(self, kube: KubeApi, wait_timeout: int) -> None:
        self.requester = ""
        self.attempts: dict[str, Attempt] = {}
        self.objects: dict[str, Obj] = {}
        self._kube = kube
        self._wait = wait_timeout
        self._version = "0"
        self._hurries = True
        self._jobs: Mapping[str, Job] = {}

    def list_ours(self) -> tuple[Obj, ...]:
        """Every request with a name of ours: one LIST, from which the watch goes on."""
        listing = self._kube.list_all(REQUESTS, _PEOPLE)
        self._version = listing.resource_version
        return tuple(_without_books(obj) for obj in listing.objects if words_of(obj))

    def take(self, jobs: Mapping[str, Job]) -> None:
        """Go on with what earlier runs began."""
        self._jobs = jobs
        for entry, job in jobs.items():
            if job.attempt is not None:
                self.attempts[entry] = job.attempt
            if job.request is not None:
                self.objects[entry] = job.request

    def create(self, step: Step) -> dict[str, object]:
        """Create the request and compare what the server holds with what was sent, in whole. Not twice."""
        attempt = self.attempts[step.entry]
        if step.entry in self.objects:
            return {"request": attempt.object_name}
        try:
            obj = self._kube.call("POST", REQUESTS, object_of(attempt))
        except Conflict as exc:
            if exc.facts.get("reason") != "AlreadyExists":
                raise
            obj = self._kube.call("GET", f"{REQUESTS}/{attempt.object_name}")
        self._check_ours(step, obj)
        return {"request": attempt.object_name}

    def approve(self, step: Step) -> None:
        """Approve exactly the object that was compared; when it changed meanwhile, compare the new state again."""
        for tries_left in reversed(range(_APPROVAL_TRIES)):
            obj = self.objects[step.entry]
            stands = standing(obj)
            if stands.word in ("approved", "issued"):
                return
            if stands.word != "pending":
                raise unsuccessful(self._name(step), stands)
            path = f"{REQUESTS}/{obj['metadata']['name']}"
            try:
                self.objects[step.entry] = _without_books(self._kube.call("PUT", f"{path}/approval", approval_of(obj)))
                return
            except Conflict:
                if not tries_left:
                    raise
            self._check_ours(step, self._kube.call("GET", path), uid=obj["metadata"]["uid"])

    def endings(self, steps: Sequence[Step]) -> dict[Step, Ending]:
        """How each request ended: the object with a certificate, or why there is none. One watch for all of them."""
        waiting = {self.objects[step.entry]["metadata"]["name"]: step for step in steps}
        ended: dict[Step, Ending] = {}
        self._take_endings((self.objects[step.entry] for step in steps), waiting, ended)
        broken = self._look(waiting, ended) or self._watch(waiting, ended)
        # A last look, in case the watch lost something.
        broken = self._look(waiting, ended) or broken
        for step in waiting.values():
            ended[step] = broken or timed_out(self._name(step), standing(self.objects[step.entry]), self._wait)
        return ended

    def _look(self, waiting: dict[str, Step], ended: dict[Step, Ending]) -> Optional[CollError]:
        """What is so now, in one LIST: a third of what a watch from the beginning of the run would send again."""
        if not waiting:
            return None
        try:
            listing = self._kube.list_all(REQUESTS, _PEOPLE)
        except BackendFailed as exc:
            return exc
        self._version = listing.resource_version
        self._take_endings(listing.objects, waiting, ended)
        return None

    def _watch(self, waiting: dict[str, Step], ended: dict[Step, Ending]) -> Optional[CollError]:
        """Watch until nobody waits or time is over; the error when the watch could not go on."""
        if not waiting:
            return None
        try:
            for event in self._kube.watch(REQUESTS, self._version, seconds=self._wait, query=_PEOPLE):
                self._take_endings((event["object"],), waiting, ended, last=event["type"] == "DELETED")
                if not waiting:
                    return None
        except BackendFailed as exc:
            return exc
        return None

    def hurry(self, step: Step, *, approve: bool) -> None:
        """Create, and approve, at once and not in their stages, so that the signer works while other keys are made.

        What fails here is tried again, and told, in its own stage; from then on nobody hurries.
        """
        if self._hurries:
            try:
                self.create(step)
                if approve:
                    self.approve(step)
            except CollError:
                self._hurries = False

    def finish(self, entry: str) -> None:
        """Remove the request behind an entry. Not twice."""
        if entry in self.objects:
            self.remove(self.objects[entry])
            del self.objects[entry]

    def remove(self, obj: Obj) -> None:
        """Remove one of our requests; that it is gone, or is another by now, is as good."""
        meta = obj["metadata"]
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": meta["uid"]}}
        try:
            self._kube.call("DELETE", f"{REQUESTS}/{meta['name']}", options)
        except BackendFailed as exc:
            if exc.facts.get("status") != 404:
                raise
        except Conflict:
            return

    def _name(self, step: Step) -> str:
        return self._jobs[step.entry].person.name

    def _check_ours(self, step: Step, obj: Obj, uid: str = "") -> None:
        found = differences(obj, self.attempts[step.entry], self.requester)
        if uid and obj["metadata"]["uid"] != uid:
            found = ("it was removed and made again by somebody", *found)
        if found:
            raise not_ours(self._name(step), obj, found)
        self.objects[step.entry] = _without_books(obj)

    def _take_endings(
        self, objects: Iterable[Obj], waiting: dict[str, Step], ended: dict[Step, Ending], *, last: bool = False
    ) -> None:
        for obj in objects:
            step = waiting.get(obj["metadata"]["name"])
            result = self._ending(step, _without_books(obj), last=last) if step is not None else None
            if step is not None and result is not None:
                ended[step] = result
                del waiting[obj["metadata"]["name"]]

    def _ending(self, step: Step, obj: Obj, *, last: bool) -> Optional[Ending]:
        """What an object says about the end of a wait; None while it is open. ``last``: it was removed in this state."""
        if obj["metadata"]["uid"] != self.objects[step.entry]["metadata"]["uid"]:
            return not_ours(self._name(step), obj, ("it was removed and made again by somebody",))
        self.objects[step.entry] = obj
        stands = standing(obj)
        if stands.word == "issued":
            return obj
        if stands.word in ("denied", "failed"):
            return unsuccessful(self._name(step), stands)
        if last:
            return Conflict(
                f"user {self._name(step)!r}: the certificate request {obj['metadata']['name']!r} was removed before it was"
                " signed.",
                hint="Run again to ask anew.",
            )
        return None


def _without_books(obj: Obj) -> Obj:
    """Without the server's books of who set which field: nobody reads them, and thousands of objects are kept for a while."""
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}
