# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small platform in memory (cluster, directory, certificates), and a run of access_info on it."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, count, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_certificates import REQUESTS, CertificateReader
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_directory import AccountReader
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_info import AccessInfoFlow, Sources
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_people import list_of
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_rights import RightsReader
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import objects
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fakes.directory import FakeDirectory
from fakes.kube_api import FakeKubeApi
from rbac_world import NOW, cluster

OWNER = "user-onboarding"
LOCKED = "000001010000Z"
KEY = ec.generate_private_key(ec.SECP256R1())
DEFAULTS: dict[str, Any] = {
    "people": None,
    "owner": OWNER,
    "names": None,
    "cluster": "test",
    "groups_from": ["certificates", "directory", "people"],
    "warn_before": "14d",
    "known_accounts": None,
    "known_bindings": None,
    "questions": None,
    "as_text": False,
}
DAY = 86400


def subject_of(name: str, groups: tuple[str, ...]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(name: str, *groups: str, until: int = NOW + 30 * DAY) -> str:
    """A certificate for somebody, as PEM."""
    ends = datetime.datetime.fromtimestamp(until, datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject_of(name, groups))
        .issuer_name(subject_of("ca", ()))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - datetime.timedelta(days=60))
        .not_valid_after(ends)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


class Folder:
    """A folder of certificates in memory."""

    path = "/people"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.lines: list[dict[str, Any]] = []

    def certificates(self) -> Iterator[tuple[str, bytes]]:
        return ((f"{self.path}/{name}.crt", content) for name, content in sorted(self.files.items()))

    def ledger(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


class World:
    """The platform; its methods make things in it as somebody would have."""

    def __init__(self) -> None:
        self.api: FakeKubeApi = cluster()
        self.directory = FakeDirectory()
        self.folder = Folder()

    def account(self, name: str, *groups: str, locked: bool = False, **more: list[str]) -> None:
        lock = {"pwdAccountLockedTime": [LOCKED]} if locked else {}
        self.directory.put(f"uid={name},ou=people,dc=example,dc=org", uid=[name], cn=[f"{name} of LDAP"], **lock, **more)
        for group in groups:
            where = f"cn={group},ou=groups,dc=example,dc=org"
            held = self.directory.attributes_of(where) or {}
            members = [*held.get("memberuid", []), name]
            self.directory.put(where, objectClass=["posixGroup"], cn=[group], memberUid=members)

    def pair(self, name: str, *groups: str, until: int = NOW + 30 * DAY) -> None:
        self.folder.files[name] = certificate(name, *groups, until=until).encode()

    def bind(
        self,
        subject: str,
        role: str,
        where: str = "",
        *,
        name: str = "",
        owner: str = OWNER,
        kind: str = "User",
        role_kind: str = "ClusterRole",
        ends: Optional[str] = None,
    ) -> None:
        """A binding; without ``owner`` one that was made by hand."""
        meta: dict[str, Any] = {"labels": {objects.OWNER: owner} if owner else {}}
        if ends:
            meta["annotations"] = {objects.EXPIRES: ends}
        body = {
            "metadata": meta,
            "roleRef": {"kind": role_kind, "name": role},
            "subjects": [{"kind": kind, "name": subject}],
        }
        self.api.put(f"{objects.collection(where)}/{name or f'{subject}-{role}'.replace(':', '-')}", body)

    def request(self, name: str, *groups: str, certificate_pem: str = "", approved: bool = False) -> None:
        """A signing request of somebody, as it lies in the cluster."""
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject_of(name, groups)).sign(KEY, hashes.SHA256())
        pem = csr.public_bytes(serialization.Encoding.PEM)
        status: dict[str, Any] = {"conditions": [{"type": "Approved"}]} if approved or certificate_pem else {}
        if certificate_pem:
            status["certificate"] = base64.b64encode(certificate_pem.encode()).decode()
        spec = {"request": base64.b64encode(pem).decode(), "signerName": "kubernetes.io/kube-apiserver-client"}
        self.api.put(f"{REQUESTS}/request-{name}", {"metadata": {}, "spec": spec, "status": status})

    def secret(self, name: str, namespace: str = "people", **data: bytes) -> None:
        body = {
            "metadata": {"labels": {"kubestead.platform/store": "pair"}},
            "data": {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()},
        }
        self.api.put(f"/api/v1/namespaces/{namespace}/secrets/{name}", body)


class Told:
    """What a run of access_info says."""

    def __init__(
        self,
        world: World,
        people: Optional[list[dict[str, Any]]] = None,
        *,
        directory: bool = True,
        groups: bool = True,
        folder: bool = True,
        namespaces: tuple[str, ...] = (),
        requests: bool = True,
        now: int = NOW,
        **options: Any,
    ) -> None:
        params = {**DEFAULTS, "people": people, **options}
        listed, asked = list_of(params["people"], now)
        accounts = None
        if directory:
            group_base = "ou=groups,dc=example,dc=org" if groups else ""
            accounts = AccountReader(world.directory, "ou=people,dc=example,dc=org", group_base)
        folders = [world.folder] if folder else []
        certificates = CertificateReader(world.api, folders, namespaces, requests=requests)
        rights = RightsReader(world.api)
        sources = Sources(rights, certificates, accounts, listed, asked, lambda: float(now), world.api.server)
        flow = AccessInfoFlow.from_params(params, lambda: sources)
        calls = len(world.api.calls)
        run = Run(flow.decide(flow.observe()))
        self.calls = world.api.calls[calls:]
        self.warnings = run.plan.warnings
        self.steps = run.plan.steps
        entries = [entry_dict(verdict) for verdict in settle(run)]
        self.result: Mapping[str, Any] = {"entries": entries, "counts": count(entries), **flow.report(run)}
        told = json.loads(self.result["text"]) if "text" in self.result else self.result
        self.people: dict[str, dict[str, Any]] = {str(entry["name"]): entry for entry in told["entries"]}
        self.findings = [(one["kind"], one["who"], one["where"]) for one in told["findings"]]
        self.problems = [(one["kind"], one["who"], one["where"]) for one in told["findings"] if one["severity"] == "problem"]

    def rights(self, name: str) -> list[tuple[str, str, Optional[str], str]]:
        """Role, place, group and standing of a person's rights."""
        return [(one["role"], one["where"], one["group"], one["standing"]) for one in self.people[name]["rights"]]


def result_of(*people: str, what: str = "x") -> dict[str, Any]:
    """A small result with these full names."""
    right = {"where": "red", "role": "edit", "level": "writes", "group": None, "ends": None, "standing": "list", "binding": "b"}
    finding = {"severity": "problem", "kind": "right_missing", "who": "a", "where": "red", "what": what, "until": None}
    entries = [
        {
            "name": f"p{number}",
            "full_name": name,
            "state": "present",
            "account": None,
            "rights": [right],
            "certificate_end": None,
        }
        for number, name in enumerate(people)
    ]
    rest: dict[str, Any] = {"everybody": [], "roles": [], "namespaces": [], "answers": []}
    return {"cluster": "c", "taken_at": "2027-01-15T00:00:00Z", "entries": entries, "findings": [finding], **rest}
