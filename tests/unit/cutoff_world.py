# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cluster in memory with people in it, and a run of access_cutoff on it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import KubeApi
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._core.window import rfc3339
from ansible_collections.kubestead.platform.plugins.module_utils._flows.access_cutoff import AccessCutoffFlow
from ansible_collections.kubestead.platform.plugins.module_utils._flows.cutoff_ports import Outside
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import denials, objects

from fakes.kube_api import FakeKubeApi
from rbac_world import NOW, cluster

DEFAULTS: dict[str, Any] = {
    "people": [],
    "credentials": [],
    "strategies": ["grants", "policy"],
    "beats": ["mark", "deny", "rights", "requests", "prove"],
    "foreign_bindings": "keep",
    "bound_to": "name",
    "max_offboardings": 5,
    "list_name": "cutoff",
    "authorizers": ["Node", "RBAC"],
    "webhook_kubeconfig": "/x/nowhere",
    "settle": 0,
    "state": "present",
    "concurrency": 4,
    "on_error": "continue",
}
LIST = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/cutoff"


class Files:
    """Records and the list in memory."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.texts: dict[str, str] = {}
        self.archived: list[str] = []
        self.listed: bytes | None = None
        self._read: bytes | None = None

    def read(self, name: str) -> bytes | None:
        return self.records.get(name)

    def write(self, name: str, record: bytes, text: bytes) -> None:
        self.records[name], self.texts[name] = record, text.decode()

    def archive(self, name: str, stamp: str) -> None:
        self.archived.append(f"{name} {stamp}")
        del self.records[name]

    def path(self, name: str) -> str:
        return f"/records/{name}.txt"

    def denials(self) -> bytes | None:
        self._read = self.listed
        return self.listed

    def write_denials(self, content: bytes) -> None:
        if self.listed != self._read:
            raise Conflict("somebody else wrote it")
        self.listed = content

    def record(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.records[name]))


class Certificates:
    """A ledger in memory; requests carry the name they ask for in the clear."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def issue(self, name: str, number: int, days: int, groups: Sequence[str] = ()) -> None:
        self.written.append(self._line(name, number, days, groups))

    def _line(self, name: str, number: int, days: int, groups: Sequence[str]) -> dict[str, Any]:
        end = rfc3339(NOW + days * 86400)
        return {"name": name, "credential_id": f"X509SHA256={number:064x}", "not_after": end, "groups": list(groups)}

    def lines(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.written)

    def asked_name(self, request: Mapping[str, Any]) -> str:
        return str(request["spec"]["request"])

    def issued(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        number = (request.get("status") or {}).get("certificate")
        return None if number is None else self._line(name, int(number), 30, ())

    def note(self, line: Mapping[str, Any]) -> None:
        if line["credential_id"] not in {one["credential_id"] for one in self.written}:
            self.written.append(dict(line))


class NoKeys:
    """Nobody's old key is at hand."""

    def exists(self, path: str) -> bool:
        del path
        return False

    def open(self, path: str) -> Sequence[KubeApi]:
        raise AssertionError(path)


class World:
    """A cluster, the files, the ledger, the time."""

    def __init__(self) -> None:
        self.api: FakeKubeApi = cluster()
        self.files, self.certificates = Files(), Certificates()
        self.now = NOW

    def bind(self, name: str, *subjects: tuple[str, str], owner: str = "teams", role: str = "edit") -> str:
        labels = {objects.OWNER: owner} if owner else {}
        path = f"{objects.RBAC}/namespaces/red/rolebindings/{name}"
        self.api.put(
            path,
            {
                "metadata": {"labels": labels},
                "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": [{"kind": kind, "name": one} for kind, one in subjects],
            },
        )
        return path

    def request(self, name: str, asked: str, by: str = "admin", **status: Any) -> str:
        path = f"/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}"
        self.api.put(path, {"metadata": {}, "spec": {"request": asked, "username": by}, "status": status})
        return path

    def run(self, *people: str | dict[str, Any], check: bool = False, **options: Any) -> Result:
        entries = [{"name": one} if isinstance(one, str) else one for one in people]
        outside = Outside(self.api, self.files, self.certificates, NoKeys(), lambda: self.now, lambda _s: None)
        return Result(self, AccessCutoffFlow({**DEFAULTS, "people": entries, **options}, outside), check=check)

    def listed(self) -> list[str]:
        """Whom the policy names."""
        told = " ".join(one["expression"] for one in self.api.objects[LIST]["spec"]["validations"])
        return [word for part in re.findall(r" in \[(.*?)\]", told) for word in part.strip("'").split("', '")]

    def kept_out(self) -> list[str]:
        return [one.who for one in denials.parse(self.files.listed, "list")]


class Result:
    """A run as the shell would tell it."""

    def __init__(self, world: World, flow: AccessCutoffFlow, *, check: bool) -> None:
        writes = len(world.api.writes)
        plan = flow.decide(flow.observe())
        self.run = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        self.entries = {(one.kind, one.name): entry_dict(one) for one in settle(self.run)}
        self.actions = {key: str(entry["action"]) for key, entry in self.entries.items()}
        self.changed = bool(self.run.done)
        self.writes = world.api.writes[writes:]
        self.told = flow.report(self.run)
