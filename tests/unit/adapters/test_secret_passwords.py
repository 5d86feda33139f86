# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated passwords in Secrets: one LIST, one write each, nothing of others overwritten; files stay files."""

from __future__ import annotations

import base64
from typing import Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_passwords import SecretPasswords
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import StoredFile

from fakes.kube_api import FakeKubeApi

SECRETS = "/api/v1/namespaces/people/secrets"


class Files:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {"/src/anna": b"from a file\n"}

    def read(self, path: str) -> Optional[bytes]:
        return self.content.get(path)

    def find(self, path: str) -> Optional[StoredFile]:
        found = self.content.get(path)
        return None if found is None else StoredFile(found, 0o600, "root", "root", True)

    def write(self, path: str, content: bytes) -> None:
        self.content[path] = content


def passwords(kube: FakeKubeApi) -> SecretPasswords:
    return SecretPasswords(kube, "people", Files())  # type: ignore[arg-type]


def cluster() -> FakeKubeApi:
    kube = FakeKubeApi()
    kube.put("/api/v1/namespaces/people", {"metadata": {"name": "people"}})
    return kube


def test_a_password_is_written_once_and_read_back() -> None:
    kube = cluster()
    first = passwords(kube)
    place = "people/anna-password:password"
    assert first.find(place) is None and first.read(place) is None
    first.write(place, b"hidden")
    stored = kube.objects[f"{SECRETS}/anna-password"]
    assert base64.b64decode(stored["data"]["password"]) == b"hidden" and stored["type"] == "Opaque"
    second = passwords(kube)
    assert second.read(place) == b"hidden" and b"hidden" not in repr(second.find(place)).encode()
    second.write(place, b"another")
    assert passwords(kube).read(place) == b"another"
    assert [how for how, _path in kube.writes] == ["POST", "PUT"]


def test_a_secret_of_others_is_not_touched() -> None:
    kube = cluster()
    kube.put(f"{SECRETS}/anna-password", {"metadata": {"name": "anna-password"}, "data": {"password": "eA=="}})
    with pytest.raises(Refused, match="is there already"):
        passwords(kube).write("people/anna-password:password", b"hidden")
    assert kube.objects[f"{SECRETS}/anna-password"]["data"] == {"password": "eA=="}


def test_every_other_path_is_a_files() -> None:
    one = passwords(FakeKubeApi())
    assert one.read("/src/anna") == b"from a file\n" and one.find("/src/nobody") is None
    one.write("/src/ben", b"x")
    found = one.find("/src/ben")
    assert found is not None and found.content == b"x"
