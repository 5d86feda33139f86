# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server and its signer do with a CertificateSigningRequest, for ``FakeKubeApi``."""

from __future__ import annotations

import base64
import datetime
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .kube_api import FakeKubeApi

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
BACKDATE = datetime.timedelta(minutes=5)


class CsrSigner:
    """Attach to a ``FakeKubeApi``. ``behave`` is ``sign``, ``ignore`` (approved, never signed), ``fail`` or ``longer``.

    ``now`` may be set to issue certificates in the past; ``longest`` is the most seconds that are granted.
    """

    def __init__(self, api: FakeKubeApi, *, behave: str = "sign") -> None:
        self.api = api
        self.behave = behave
        self.longest = 365 * 86400
        self.now: Optional[datetime.datetime] = None
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake-ca")])
        api.on_write.append(self._stamp)
        api.after_write.append(self._after_write)

    def _stamp(self, method: str, path: str, obj: dict[str, Any]) -> None:
        if method == "POST" and path.startswith(REQUESTS):
            obj["spec"].update(username=self.api.user, groups=[*self.api.groups, "system:authenticated"])
            if obj["spec"].get("expirationSeconds", 600) < 600:
                raise _invalid("spec.expirationSeconds: may not be less than 600 seconds.")
            if b"CERTIFICATE REQUEST" not in base64.b64decode(obj["spec"]["request"]):
                raise _invalid("spec.request: PEM block type must be CERTIFICATE REQUEST.")
        if path.endswith("/approval"):
            kinds = [condition["type"] for condition in obj["status"]["conditions"]]
            if len(set(kinds)) < len(kinds):
                raise _invalid("status.conditions: duplicate value.")

    def _after_write(self, _method: str, path: str, obj: dict[str, Any]) -> None:
        approved = any(condition["type"] == "Approved" for condition in obj.get("status", {}).get("conditions", []))
        if path.endswith("/approval") and approved:
            self.handle(path[: -len("/approval")])

    def handle(self, path: str) -> None:
        """Do with an approved request what ``behave`` says."""
        obj = self.api.objects[path]
        status = dict(obj["status"])
        if self.behave == "ignore" or obj["spec"]["signerName"] != "kubernetes.io/kube-apiserver-client":
            return
        if self.behave == "fail":
            failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": "usages do not fit"}
            status["conditions"] = [*status["conditions"], failed]
        else:
            status["certificate"] = base64.b64encode(self.issue(obj["spec"])).decode()
        self.api.change(path, {**obj, "status": status})

    def issue(self, spec: dict[str, Any]) -> bytes:
        """The certificate a signer would make of a request's spec."""
        request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        seconds = min(spec.get("expirationSeconds", 365 * 86400), self.longest) * (500 if self.behave == "longer" else 1)
        now = (self.now or datetime.datetime.now(datetime.timezone.utc)).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_as_go_writes_it(request.subject))
            .issuer_name(self._name)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _invalid(message: str) -> BackendFailed:
    return BackendFailed(message, status=422, reason="Invalid")


def _as_go_writes_it(subject: x509.Name) -> x509.Name:
    """All groups become one part with several values."""
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    parts = [x509.RelativeDistinguishedName(groups)] if groups else []
    return x509.Name([*parts, *(x509.RelativeDistinguishedName([a]) for a in subject if a not in groups)])
