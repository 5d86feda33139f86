# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA on this host: the same result without a server; wrong files are told before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.local_ca import LocalCa
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .authorities import PEM, Authority
from .conftest import World

LOCAL: dict[str, Any] = {"local_ca": {"cert": "ca.crt", "key": "ca.key"}}
ANNA = {"name": "anna", "groups": ["red", "blue"]}


@pytest.fixture
def local(world: World, tmp_path: Path) -> World:
    world.authority = LocalCa(*Authority().files(tmp_path / "ca"))
    return world


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519", "rsa-2048"])
def test_the_result_has_the_same_shape_and_no_server_is_asked(local: World, key_type: str) -> None:
    here = local.run(ANNA, key_type=key_type, **LOCAL)
    assert local.api.calls == []
    assert here.action("anna") == ("created", "missing")
    there = World(local.folder.parent / "other")
    facts = set(there.run(ANNA)["anna"].facts) - {"request"}
    assert facts == set(here["anna"].facts)
    certificate = read_certificate(local.certificate("anna"))
    assert (certificate.name, certificate.groups, certificate.oddities) == ("anna", ("blue", "red"), ())
    assert here["anna"].facts["granted_seconds"] == 30 * 86400
    assert local.ledger()[0]["signer"] == "local_ca"
    assert not local.run(ANNA, key_type=key_type, **LOCAL).changed


@pytest.mark.parametrize("stage", ["keys", "sign", "install"])
def test_a_killed_run_is_continued(local: World, stage: str) -> None:
    local.killed_run(stage, "anna", "bert", **LOCAL)
    assert local.run("anna", "bert", **LOCAL)["anna"].error is None
    facts = Keys().inspect(local.key("bert"))
    assert facts is not None and facts.public_key_hash == read_certificate(local.certificate("bert")).public_key_hash
    assert len(list(local.folder.glob(".pairs/anna/2*"))) == 1
    assert not local.run("anna", "bert", **LOCAL).changed


def test_another_ca_and_another_signer_are_reasons(local: World, tmp_path: Path) -> None:
    local.run("anna", **LOCAL)
    local.authority = LocalCa(*Authority().files(tmp_path / "new"))
    assert local.run("anna", **LOCAL).action("anna") == ("updated", "CA changed")
    local.authority = None
    assert local.run("anna").action("anna") == ("updated", "signer changed")
    assert not local.run("anna").changed
    assert local.run("anna", signer_ca=Authority("people").pem).action("anna") == ("updated", "CA changed")


def test_a_chain_stands_leaf_first_and_without_the_root(world: World, tmp_path: Path) -> None:
    root = Authority("root")
    middle = Authority("middle", parent=root)
    world.authority = LocalCa(*middle.files(tmp_path / "ca", chain=root.pem))
    world.run("anna", **LOCAL)
    chain = x509.load_pem_x509_certificates(world.certificate("anna").encode())
    assert [one.subject.rfc4514_string() for one in chain] == ["CN=anna", "CN=middle"]
    assert not world.run("anna", **LOCAL).changed


def test_nothing_outlives_the_ca_and_that_is_said(world: World, tmp_path: Path) -> None:
    world.authority = LocalCa(*Authority(days=330).files(tmp_path / "ca"))  # three days after the clock of the tests
    done = world.run("anna", **LOCAL)
    assert "granted 1 of 1 certificates less time" in done.told["warnings"][0]
    assert not world.run("anna", **LOCAL).changed
    world.pass_time(days=3)
    assert "too soon for a certificate" in world.run("anna", **LOCAL).error("anna")


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_in_any_form_is_read(tmp_path: Path, form: str) -> None:
    authority = Authority()
    cert, key = authority.files(tmp_path / "ca")
    encoded = authority.key.private_bytes(PEM, getattr(serialization.PrivateFormat, form), serialization.NoEncryption())
    Path(key).write_bytes(encoded)
    assert LocalCa(cert, key).pem == authority.pem


def test_a_passphrase_opens_the_key_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    cert, key = Authority().files(tmp_path / "ca", passphrase="right")
    assert LocalCa(cert, key, "right")
    with pytest.raises(BadInput, match="cannot be read"):
        LocalCa(cert, key, "wrong")
    with pytest.raises(BadInput, match="is encrypted"):
        LocalCa(cert, key)
    cert, key = Authority().files(tmp_path / "open")
    with pytest.raises(BadInput, match="is not encrypted"):
        LocalCa(cert, key, "right")


def test_files_that_are_no_ca_are_told(tmp_path: Path) -> None:
    cert, key = Authority().files(tmp_path / "ca")
    other, _key = Authority().files(tmp_path / "other")
    leaf, leaf_key = Authority(ca=False).files(tmp_path / "leaf")
    for paths, said in {
        (other, key): "not the one of the certificate",
        (leaf, leaf_key): "does not hold certificates of CAs",
        (key, key): "does not hold certificates of CAs",
        (cert, cert): "cannot be read",
        (str(tmp_path / "none"), key): "there is no file",
    }.items():
        with pytest.raises(BadInput, match=said):
            LocalCa(*paths)
