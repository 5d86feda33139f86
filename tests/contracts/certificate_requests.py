# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server and its signer do with certificate requests, as far as we build on it: on the fake and on a real one."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs import request as requests
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import objections, read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import KubeApi

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PERSON = Person("contract-person", ("contract-a", "contract-b"), 600)


class CertificateRequestContract:
    """Subclasses give the fixture ``api``."""

    @pytest.fixture
    def attempt(self) -> requests.Attempt:
        keys, mark = Keys(), uuid.uuid4().hex[:12]
        key = keys.make("ecdsa-p256")[0]
        facts = keys.inspect(key)
        assert facts is not None
        return requests.Attempt(
            version=f"20260101T000000Z-{mark}",
            object_name=f"contract-{mark}",
            user=PERSON.name,
            groups=PERSON.groups,
            signer="kubernetes.io/kube-apiserver-client",
            usages=requests.usages_for("ecdsa-p256"),
            expiration_seconds=PERSON.lifetime,
            request_pem=keys.sign(key, PERSON),
            key_hash=facts.public_key_hash,
        )

    @pytest.fixture
    def create(self, api: KubeApi, attempt: requests.Attempt) -> Any:
        def create(**spec: Any) -> dict[str, Any]:
            body = requests.object_of(attempt)
            body["spec"].update(spec)
            body["metadata"]["labels"] = {"contract": "by-somebody"}
            return api.call("POST", REQUESTS, body)

        yield create
        for obj in api.list_all(REQUESTS).objects:
            if obj["metadata"]["name"] == attempt.object_name:
                api.call("DELETE", f"{REQUESTS}/{attempt.object_name}")

    def test_what_the_server_holds_is_what_was_sent(
        self, api: KubeApi, attempt: requests.Attempt, create: Callable[..., Any]
    ) -> None:
        obj = create(username="somebody", groups=["system:masters"])
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        me = api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]["username"]
        assert obj["spec"]["username"] == me
        assert requests.differences(obj, attempt, me) == ()
        assert requests.standing(obj).word == "pending"

    def test_less_than_ten_minutes_are_refused(self, create: Callable[..., Any]) -> None:
        with pytest.raises(BackendFailed) as caught:
            create(expirationSeconds=599)
        assert caught.value.facts["status"] == 422

    def test_an_approval_keeps_labels_and_leads_to_the_certificate(
        self, api: KubeApi, attempt: requests.Attempt, create: Callable[..., Any]
    ) -> None:
        obj = create()
        path = f"{REQUESTS}/{attempt.object_name}"
        approved = api.call("PUT", f"{path}/approval", requests.approval_of(obj))
        assert approved["metadata"]["labels"] == {"contract": "by-somebody"}
        stands = requests.standing(approved)
        deadline = time.monotonic() + 20
        while stands.word != "issued" and time.monotonic() < deadline:
            time.sleep(0.05)
            stands = requests.standing(api.call("GET", path))
        certificate = read_certificate(stands.certificate_pem or "")
        assert objections(certificate, PERSON, attempt.key_hash, int(time.time())) == ()
        assert certificate.not_after - certificate.not_before == 900

    def test_an_approval_without_metadata_takes_labels_away(self, api: KubeApi, create: Callable[..., Any]) -> None:
        body = requests.approval_of(create())
        body["metadata"] = {name: body["metadata"][name] for name in ("name", "uid", "resourceVersion")}
        answer = api.call("PUT", f"{REQUESTS}/{body['metadata']['name']}/approval", body)
        assert "labels" not in answer["metadata"]

    def test_an_approval_of_an_object_that_was_replaced_is_a_conflict(
        self, api: KubeApi, attempt: requests.Attempt, create: Callable[..., Any]
    ) -> None:
        body = requests.approval_of(create())
        api.call("DELETE", f"{REQUESTS}/{attempt.object_name}")
        create(expirationSeconds=300 * 86400)
        with pytest.raises(Conflict):
            api.call("PUT", f"{REQUESTS}/{attempt.object_name}/approval", body)

    def test_approving_twice_is_refused(self, api: KubeApi, attempt: requests.Attempt, create: Callable[..., Any]) -> None:
        answer = api.call("PUT", f"{REQUESTS}/{attempt.object_name}/approval", requests.approval_of(create(signerName="a.b/c")))
        with pytest.raises(BackendFailed) as caught:
            api.call("PUT", f"{REQUESTS}/{attempt.object_name}/approval", requests.approval_of(answer))
        assert caught.value.facts["status"] == 422

    def test_the_request_is_base64_of_a_pem_text(self, create: Callable[..., Any]) -> None:
        with pytest.raises(BackendFailed) as caught:
            create(request=base64.b64encode(b"no request").decode())
        assert caught.value.facts["status"] in (400, 422)
