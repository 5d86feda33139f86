# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""People's own signing requests: judged before anything is sent, and their keys never seen."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.supplied import judged
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from cryptography import x509
from cryptography.x509.oid import AttributeOID

from .authorities import own_request, rsa_key
from .conftest import World, wanted

ALTERNATIVE = x509.SubjectAlternativeName([x509.DNSName("kube-apiserver")])


def anna(csr: str, *groups: str) -> dict[str, Any]:
    return {"name": "anna", "groups": list(groups), "csr": csr}


@pytest.mark.parametrize("subject", ["O=red,O=blue,CN=anna", "CN=anna,O=blue,O=red"])
def test_the_parts_of_a_subject_may_come_in_any_order(subject: str) -> None:
    (person,) = judged(wanted(anna(own_request(subject), "blue", "red"))).people
    assert person.csr.startswith("-----BEGIN CERTIFICATE REQUEST-----\n") and len(person.csr_key_hash) == 64


@pytest.mark.parametrize(
    ("csr", "said"),
    [
        (own_request("CN=bert,O=red"), "subject differs"),
        (own_request("CN=anna"), "subject differs"),
        (own_request("CN=anna,O=red,O=kubeadm:cluster-admins"), "subject differs"),
        (own_request("CN=anna,O=red,O=red"), "subject differs"),
        (own_request("CN=anna,CN=root,O=red"), "common name"),
        (own_request("CN=anna,O=red,UID=0"), "attribute 0.9.2342.19200300.100.1.1"),
        (own_request("CN=anna,O=red,OU=x"), "attribute 2.5.4.11"),
        (own_request("CN=anna,O=red", extension=ALTERNATIVE), "asks for extensions"),
        (own_request("CN=anna,O=red", attribute=(AttributeOID.CHALLENGE_PASSWORD, b"secret")), "carries attributes"),
        (own_request("CN=anna,O=red", key=rsa_key(1024)), "none of RSA from 2048"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds a private key"),
        ("anna", "cannot be read"),
        ("é" * 100, "cannot be read"),
        ("a" * 20000, "longer than"),
    ],
)
def test_what_is_not_the_request_we_would_make_is_refused(world: World, csr: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        world.run(anna(csr, "red"))
    assert "user 'anna'" in str(caught.value)
    assert world.api.calls == [] and not world.folder.exists()


@pytest.mark.parametrize("place", ["folder", "secrets"])
def test_no_key_is_ever_seen(world: World, place: str) -> None:
    if place == "secrets":
        world.keep_in_secrets()
    csr = own_request("CN=anna,O=red")
    done = world.run(anna(csr, "red"), verify_login=True)
    assert done.action("anna") == ("created", "missing")
    assert "key_path" not in done["anna"].facts and world.login.tried == []
    if place == "secrets":
        assert set(world.secret("anna")) == {"tls.crt"}
    else:
        assert not list(world.folder.rglob("*.key")) and os.path.lexists(world.folder / "anna.crt")
    assert not world.run(anna(csr, "red")).changed
    world.pass_time(days=25)
    assert world.run(anna(csr, "red")).action("anna") == ("updated", "expiring")


def test_another_request_is_a_reason_and_so_is_a_change_of_hands(world: World) -> None:
    csr = own_request("CN=anna")
    world.run(anna(csr))
    assert world.run(anna(own_request("CN=anna", key=rsa_key(2048)))).action("anna") == ("updated", "csr changed")
    assert world.run("anna").action("anna") == ("updated", "key missing")
    assert b"PRIVATE" in world.key("anna")
    assert world.run(anna(csr)).action("anna") == ("updated", "csr changed")
    assert not os.path.lexists(world.folder / "anna.key")
    assert read_certificate(world.certificate("anna")).name == "anna"
    assert not world.run(anna(csr)).changed


@pytest.mark.parametrize("stage", ["keys", "request", "approve", "collect", "install"])
def test_a_killed_run_is_continued(world: World, stage: str) -> None:
    csr = own_request("CN=anna")
    world.killed_run(stage, anna(csr))
    assert world.run(anna(csr))["anna"].error is None
    assert world.requests() == {} and len(world.ledger()) == 1
    assert not world.run(anna(csr)).changed
