# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s_user_cert while its API server really stops and comes back, forgets what it watched, and stops trusting the login.

The server is a second one on the lab's etcd, so that everybody else's stays up; the signer works through the first.
"""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubestead_lab import second_apiserver
from kubestead_lab.second_apiserver import SecondApiServer
from kubestead_lab.settings import lab_from

from .certificate_operator import Operator, documented, wait_until
from .certificate_place import REQUESTS, Place
from .certificate_runs import Runner, whole_pairs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def operator(lab: Any) -> Iterator[Operator]:
    with Operator(lab.env["KUBECONFIG"], documented("ClusterRole")["rules"]) as one:
        yield one


@pytest.fixture(scope="module")
def server(lab: Any) -> Iterator[SecondApiServer]:
    with second_apiserver.prepared(lab_from(lab.env, ROOT), "second-for-certificates", 6445) as one:
        second_apiserver.start(one, {})
        yield one


@pytest.fixture
def place(operator: Operator, tmp_path: Path) -> Iterator[Place]:
    with Place.of(operator, tmp_path) as one:
        yield one


def through(server: SecondApiServer, place: Place) -> Runner:
    """Runs that work through the second server."""
    return Runner(place.runner.store, {**place.operator.login, "kubeconfig": str(server.kubeconfig)})


@pytest.mark.parametrize(("stage", "how"), [("keys", signal.SIGKILL), ("collect", signal.SIGTERM)])
def test_a_server_that_is_stopped_and_started_again_in_the_middle(
    server: SecondApiServer, place: Place, stage: str, how: int
) -> None:
    people = place.people(20)
    stopped = threading.Event()

    def hook(at: Any, number: int) -> None:
        if at.name == stage and number == 5:
            os.kill(server.daemon.pid() or 0, how)
            assert server.daemon.ended_within(60)
            stopped.set()

    done = through(server, place).run(*people, hook=hook, wait_timeout="5s")
    assert stopped.is_set()
    assert {error["code"] for error in done.errors()} <= {"backend_failed"}
    assert done.errors() or stage == "collect"
    assert whole_pairs(place.folder, people)
    second_apiserver.start(server, {})
    assert through(server, place).run(*people).errors() == []
    place.assert_all_well(people)


def test_a_run_that_watches_goes_on_when_the_server_comes_back_with_a_forgotten_version(
    server: SecondApiServer, place: Place
) -> None:
    """The restarted server remembers nothing older than its start, answers 410, and the run goes on from a fresh LIST."""
    people = place.people(5)
    flow = through(server, place).flow(*people, approve="wait", wait_timeout="90s")
    kube: Any = flow._out.kube
    listed, list_all = [], kube.list_all

    def counting(path: str, query: Any = None) -> Any:
        listed.append(path)
        return list_all(path, query)

    kube.list_all = counting
    results: list[Any] = []
    run = threading.Thread(target=lambda: results.append(through(server, place).run(flow=flow)))
    run.start()
    wait_until(lambda: len(place.requests()) == len(people))
    time.sleep(0.3)  # the watch opens
    server.daemon.stop()
    for name in place.requests():
        path = f"{REQUESTS}/{name}"
        obj = place.operator.admin.call("GET", path)
        obj["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Test", "message": "by somebody"}]
        place.operator.admin.call("PUT", f"{path}/approval", obj)
    second_apiserver.start(server, {})
    run.join(90)
    (done,) = results
    assert done.errors() == []
    assert listed.count(REQUESTS) == 3, "once before and once after the requests, and once because the version was too old"
    place.assert_all_well(people)


def test_an_administrator_whose_login_ends_in_the_middle(lab: Any, operator: Operator, place: Place) -> None:
    people = place.people(10)
    folder = Path(lab.env["KUBECONFIG"]).parent
    end = time.time() + 4
    cert, key = short_login(folder, operator.user, end)
    login = {"kubeconfig": None, "host": "https://127.0.0.1:6443", "ca_cert": str(folder / "ca.crt")}
    runner = Runner(place.runner.store, {**login, "client_cert_content": cert, "client_key_content": key})

    def hook(at: Any, number: int) -> None:
        if at.name == "keys" and number == 4:
            time.sleep(max(0.0, end + 1.5 - time.time()))

    done = runner.run(*people, hook=hook, wait_timeout="3s")
    assert done.errors() and {error["code"] for error in done.errors()} == {"denied"}
    assert all("does not accept the login" in error["msg"] for error in done.errors())
    assert all("may have expired" in error["hint"] for error in done.errors())
    assert whole_pairs(place.folder, people)
    assert place.runner.run(*people).errors() == []
    place.assert_all_well(people)


def short_login(folder: Path, user: str, end: float) -> tuple[str, str]:
    """A client certificate by the lab's CA that ends in a moment, and its key."""
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    ca_key: Any = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    key_pem = Keys().make("ecdsa-p256")[0]
    key: Any = serialization.load_pem_private_key(key_pem, None)
    begin, until = (datetime.datetime.fromtimestamp(moment, datetime.timezone.utc) for moment in (end - 600, end))
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)]))
    builder = builder.issuer_name(ca.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(until)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    pem = builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return pem.decode(), key_pem.decode()
