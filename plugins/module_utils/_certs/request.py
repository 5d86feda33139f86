# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate signing requests: what ours must be, whether an object on the server is ours in whole, and how it stands."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

from .._core.names import dns_name
from .certificate import TOLERANCE, Unreadable, common_names, groups_of, public_key_hash, subject_oddities
from .wanted import Person, Wanted, optional_text

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

_PREFIX = "kubestead"
_WORD_LIMIT = 48  # of an object's name, before the token of the attempt


@dataclass(frozen=True)
class Attempt:
    """One attempt to get a certificate: the request as it is sent. It is stored beside its key, and holds no secret."""

    version: str
    object_name: str
    user: str
    groups: tuple[str, ...]
    signer: str
    usages: tuple[str, ...]
    expiration_seconds: int
    request_pem: str
    key_hash: str
    supplied: bool = False

    def fits(self, person: Person, wanted: Wanted) -> bool:
        """Whether it asks for what is wanted now, and its request says what it is meant to say."""
        same = (
            self.user == person.name
            and self.groups == person.groups
            and self.signer == wanted.signer
            and self._lasts_as_asked(person)
            and self.key_hash != ""
            and (self.request_pem == person.csr if person.csr else not self.supplied)
        )
        return same and not request_objections(self.request_pem, person, self.key_hash)

    def _lasts_as_asked(self, person: Person) -> bool:
        """What is left until a person's end becomes less while a request waits, and the signer counts from its signing."""
        beyond = self.expiration_seconds - person.lifetime
        return beyond == 0 if person.end is None else 0 <= beyond <= TOLERANCE


def usages_for(key_type: str) -> tuple[str, ...]:
    """The key usages to ask for; a signature is all that client authentication with an elliptic curve needs."""
    common = ("client auth", "digital signature")
    return (*common, "key encipherment") if key_type.startswith("rsa") else common


def subject_name(person: Person) -> Any:
    """The subject of a person's request: the name, then each group in a part of its own."""
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in person.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, person.name)])


def request_objections(pem: str, person: Person, key_hash: str) -> tuple[str, ...]:
    """Why a signing request is not the one we would make for ``person`` with that key; empty when it is."""
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        found = list(subject_oddities(request.subject))
        if not request.is_signature_valid:
            found.append("its signature is wrong")
        if public_key_hash(request.public_key()) != key_hash:
            found.append("it belongs to another key")
        if list(request.extensions):
            found.append("it asks for extensions")
        if (common_names(request.subject), groups_of(request.subject)) != ([person.name], person.groups):
            found.append("its subject differs")
    except Exception as exc:  # noqa: BLE001 - what is no request may break the codec in ways it does not document
        return (f"it cannot be read ({type(exc).__name__})",)
    return tuple(found)


def record_of(attempt: Attempt) -> bytes:
    """An attempt as it is stored."""
    return json.dumps(asdict(attempt), sort_keys=True, indent=1).encode("ascii") + b"\n"


def read_record(stored: Union[bytes, str], version: str) -> Attempt:
    """A stored attempt; raises Unreadable when it is damaged or belongs to another version folder."""
    try:
        raw = json.loads(stored)
        attempt = Attempt(**{**raw, "groups": tuple(raw["groups"]), "usages": tuple(raw["usages"])})
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise Unreadable("the record of the request is damaged") from exc
    texts = (attempt.object_name, attempt.user, attempt.signer, attempt.request_pem, attempt.key_hash, *attempt.groups)
    if attempt.version != version or not all(isinstance(text, str) for text in texts):
        raise Unreadable("the record of the request is damaged")
    return attempt


def words_for(user: str) -> str:
    """What the names of all requests for a user begin with: readable, and distinct for distinct users."""
    return dns_name(_PREFIX, user, limit=_WORD_LIMIT)


def object_name(user: str, token: str) -> str:
    """The name of the object of one attempt."""
    return f"{words_for(user)}-{token}"


def words_of(obj: Mapping[str, Any]) -> str:
    """``words_for`` the user that an object is for, if it is one of ours; empty for a name that we never give."""
    words, _dash, _token = str(obj["metadata"]["name"]).rpartition("-")
    return words if words.startswith(f"{_PREFIX}-") else ""


def object_of(attempt: Attempt) -> dict[str, Any]:
    """The object to create. Its name says whom it is for, and it is compared in whole. It has no label, of which the server would
    keep books at every write: a fifth of its work for a request."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": attempt.object_name},
        "spec": _spec_of(attempt),
    }


def _spec_of(attempt: Attempt) -> dict[str, Any]:
    return {
        "request": encoded(attempt.request_pem),
        "signerName": attempt.signer,
        "usages": list(attempt.usages),
        "expirationSeconds": attempt.expiration_seconds,
    }


def approved_at(obj: Mapping[str, Any]) -> int:
    """When the server says that the request was approved, in seconds since 1970; 0 when it does not say."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Approved":
            try:
                moment = datetime.datetime.strptime(f"{condition.get('lastUpdateTime')}+0000", "%Y-%m-%dT%H:%M:%SZ%z")
            except ValueError:
                return 0
            return int(moment.timestamp())
    return 0


def encoded(pem: str) -> str:
    """A PEM text as the API carries it."""
    return base64.b64encode(pem.encode("ascii")).decode("ascii")


def differences(obj: Mapping[str, Any], attempt: Attempt, requester: str) -> tuple[str, ...]:
    """In what an object on the server is not the request we sent; empty when all of it is.

    The bytes of the signing request are not the whole request: lifetime, usages and signer stand beside them, and only
    the requester's name, which the server sets, tells who asked.
    """
    spec = obj.get("spec") or {}
    mine = _spec_of(attempt)
    found = []
    if spec.get("request") != mine["request"]:
        found.append("the signing request is another one")
    if spec.get("signerName") != mine["signerName"]:
        found.append(f"the signer is {optional_text(spec.get('signerName'), 80)!r}")
    if sorted(map(str, spec.get("usages") or ())) != sorted(attempt.usages):
        found.append(f"the usages are {optional_text(spec.get('usages'), 120)}")
    if spec.get("expirationSeconds") != attempt.expiration_seconds:
        found.append(f"it asks for {optional_text(spec.get('expirationSeconds'), 20) or 'no limit of'} s")
    if spec.get("username") != requester:
        found.append(f"it was made by {optional_text(spec.get('username'), 80)!r}, not by {requester!r}")
    return tuple(found)


def approval_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The body that approves exactly this object: it carries the uid and the version that were compared.

    The server takes the metadata as it is sent, so labels that are left out would be gone.
    """
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    status = dict(obj.get("status") or {})
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "KubesteadPlatform",
        "message": "Requested and compared in whole by kubestead.platform.k8s_user_cert.",
    }
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": meta,
        "spec": obj["spec"],
        "status": {**status, "conditions": [*(status.get("conditions") or ()), approved]},
    }


@dataclass(frozen=True)
class Standing:
    """How a request stands: ``pending``, ``approved``, ``denied``, ``failed`` or ``issued`` (then with its certificate)."""

    word: str
    message: str = ""
    certificate_pem: Optional[str] = None


def standing(obj: Mapping[str, Any]) -> Standing:
    """How the request stands. A certificate counts even if a condition was added later."""
    status = obj.get("status") or {}
    conditions = {str(condition.get("type")): condition for condition in status.get("conditions") or ()}
    if status.get("certificate"):
        try:
            pem = base64.b64decode(str(status["certificate"]), validate=True).decode("ascii")
        except ValueError:
            return Standing("failed", "the server returned a certificate that is not base64 of a PEM text")
        return Standing("issued", certificate_pem=pem)
    for word in ("Denied", "Failed", "Approved"):
        if word in conditions:
            told = (conditions[word].get("reason"), conditions[word].get("message"))
            return Standing(word.lower(), ": ".join(optional_text(text) for text in told if text))
    return Standing("pending")
