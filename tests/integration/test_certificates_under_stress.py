# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s_user_cert killed, cut off, slowed down, refused, and run twice at once, on the lab's API server and its signer.

All of it runs with the ClusterRole of the guide, not as an administrator.
"""

from __future__ import annotations

import base64
import json
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError, Denied
from cryptography.hazmat.primitives import serialization

from .certificate_operator import Operator, documented, wait_until
from .certificate_place import Place
from .certificate_runs import SIGNED, Runner, belongs_together, forked, whole_pairs
from .faulty_proxy import KINDS, Fault, FaultyProxy


@pytest.fixture(scope="module")
def operator(lab: Any) -> Iterator[Operator]:
    with Operator(lab.env["KUBECONFIG"], documented("ClusterRole")["rules"]) as one:
        yield one


@pytest.fixture
def namespace(operator: Operator) -> Iterator[str]:
    name = f"people-{uuid.uuid4().hex[:8]}"
    operator.admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    operator.grant_in(name, documented("Role")["rules"])
    yield name
    operator.admin.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def place(operator: Operator, tmp_path: Path) -> Iterator[Place]:
    with Place.of(operator, tmp_path) as one:
        yield one


@pytest.mark.parametrize("stage", ["keys", "request", "approve", SIGNED, "collect", "install", "clean"])
@pytest.mark.parametrize("after", [1, 10, 20])
def test_a_batch_of_twenty_killed_anywhere_is_finished_by_the_next_run(place: Place, stage: str, after: int) -> None:
    people = place.people(20)
    before = {}
    if after == 10:  # a renewal
        place.runner.run(*people)
        before = {name: (place.folder / f"{name}.key").read_bytes() for name in people}
    wanted = [{"name": name, "groups": ["team-red"] if after == 10 else []} for name in people]
    place.runner.killed(stage, 20 if stage == SIGNED else after, *wanted)
    assert whole_pairs(place.folder, people)
    if before and stage not in ("install", "clean"):
        assert before == {name: (place.folder / f"{name}.key").read_bytes() for name in people}
    done = place.runner.run(*wanted)
    assert done.errors() == []
    place.assert_all_well(people)
    assert not place.runner.run(*wanted).changed


TARGETS = {
    "review": ("POST", "selfsubjectaccessreviews"),
    "list": ("GET", "certificatesigningrequests.*labelSelector.*limit"),
    "bindings": ("GET", "/rolebindings"),
    "create": ("POST", "certificatesigningrequests$"),
    "approve": ("PUT", "/approval$"),
    "watch": ("GET", "watch=1"),
    "delete": ("DELETE", "certificatesigningrequests/"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_fails_the_error_is_ours_and_the_next_run_converges(place: Place, kind: str) -> None:
    """One request of each kind fails; of those that write, two. Every pair on disk is whole throughout."""
    with FaultyProxy(place.operator.kubeconfig, place.operator.user) as proxy:
        runner = Runner(place.runner.store, proxy.login)
        for target, (method, path) in TARGETS.items():
            people = [f"{name}-{target}-{place.mark}" for name in ("anna", "bert", "cleo")]
            proxy.faults = [Fault(kind, method, path, 2 if target in ("create", "approve") else 1)]
            try:
                errors = runner.run(*people, wait_timeout="2s").errors()
            except CollError as exc:
                errors = [exc.as_dict()]
            assert whole_pairs(place.folder, people)
            assert all(error["code"] in ("backend_failed", "denied", "conflict") for error in errors), errors
            assert errors == [] or kind != "slow"
            proxy.faults = []
            assert runner.run(*people).errors() == []
            assert whole_pairs(place.folder, people) and all((place.folder / f"{name}.crt").exists() for name in people)
        assert place.requests() == []
        assert len(set(place.ledger())) == len(place.ledger())


@pytest.mark.parametrize("stage", ["request", "approve", "collect", "clean"])
def test_a_server_that_goes_away_for_a_while(place: Place, stage: str) -> None:
    people = place.people(20)
    with FaultyProxy(place.operator.kubeconfig, place.operator.user) as proxy:
        runner = Runner(place.runner.store, proxy.login)

        def hook(at: Any, number: int) -> None:
            if at.name == stage and number == 1:
                proxy.down = True
                threading.Timer(0.5, lambda: setattr(proxy, "down", False)).start()

        done = runner.run(*people, hook=hook, wait_timeout="5s")
        assert all(error["code"] == "backend_failed" for error in done.errors())
        assert whole_pairs(place.folder, people)
        wait_until(lambda: not proxy.down)
        assert runner.run(*people).errors() == []
        place.assert_all_well(people)


BURSTS = {"429": ("POST", "certificatesigningrequests$"), "500": ("PUT", "/approval$")}


@pytest.mark.parametrize("kind", BURSTS)
def test_a_burst_of_refusals(place: Place, kind: str) -> None:
    """Who is told to come back later does; what the server could not do is told, and done by the next run."""
    people = place.people(20)
    with FaultyProxy(place.operator.kubeconfig, place.operator.user) as proxy:
        runner = Runner(place.runner.store, proxy.login)
        proxy.faults = [Fault(kind, method, path, 15, skip=3) for method, path in BURSTS.values()]
        done = runner.run(*people)
        assert done.errors() == [] if kind == "429" else {error["code"] for error in done.errors()} == {"backend_failed"}
        assert whole_pairs(place.folder, people)
        proxy.faults = []
        assert runner.run(*people).errors() == []
        place.assert_all_well(people)


def test_a_login_that_ends_in_the_middle_of_a_run(place: Place) -> None:
    people = place.people(10)
    with FaultyProxy(place.operator.kubeconfig, place.operator.user) as proxy:
        runner = Runner(place.runner.store, proxy.login)
        proxy.faults = [Fault("401", "PUT", "/approval$", 1000, skip=3), Fault("401", "GET", "watch=1", 1000)]
        done = runner.run(*people, wait_timeout="3s")
        assert done.errors() and all(error["code"] == "denied" for error in done.errors())
        assert "does not accept the login" in done.errors()[0]["msg"] and "may have expired" in done.errors()[0]["hint"]
        proxy.faults = []
        assert runner.run(*people).errors() == []
        place.assert_all_well(people)


def test_two_controllers_on_one_folder(place: Place, tmp_path: Path) -> None:
    people = place.people(20)
    results = [tmp_path / "first.json", tmp_path / "second.json"]
    runs = [forked(lambda: sorted(place.runner.run(*people).actions()), result) for result in results]
    assert [run() for run in runs] == [0, 0]
    actions = [set(json.loads(result.read_text())) for result in results]
    assert {"created"} in actions and all(found <= {"created", "failed", "unchanged"} for found in actions)
    assert place.runner.run(*people).errors() == []
    place.assert_all_well(people)
    assert not place.runner.run(*people).changed


def test_two_controllers_on_one_namespace(operator: Operator, namespace: str, place: Place, tmp_path: Path) -> None:
    people = place.people(20)
    runner = Runner({"secret": {"namespace": namespace, "name_template": "{name}-pair"}}, operator.login)
    for groups in ([], ["team-red"]):
        wanted = [{"name": name, "groups": groups} for name in people]
        results = [tmp_path / "first.json", tmp_path / "second.json"]
        runs = [forked(lambda: sorted(runner.run(*wanted).actions()), result) for result in results]  # noqa: B023
        assert [run() for run in runs] == [0, 0]
        assert runner.run(*wanted).errors() == []
        path = f"/api/v1/namespaces/{namespace}/secrets"
        for name in people:
            data = operator.admin.call("GET", f"{path}/{name}-pair")["data"]
            assert set(data) == {"tls.key", "tls.crt"}
            assert belongs_together(*(base64.b64decode(data[part]) for part in ("tls.key", "tls.crt")))
        assert place.requests() == []
        assert not runner.run(*wanted).changed


@pytest.mark.parametrize("moment", ["keep", "request"])
def test_a_run_that_another_overtakes_leaves_no_request(operator: Operator, namespace: str, place: Place, moment: str) -> None:
    """Both go on with what a killed run began; one of them comes to its end before the other asks."""
    (name,) = place.people(1)
    runner = Runner({"secret": {"namespace": namespace, "name_template": "{name}-overtaken"}}, operator.login)
    runner.killed("keys", 1, name)
    flow = runner.flow(name)
    pairs, kube = flow._out.pairs, flow._out.kube
    keep, call = pairs.keep, kube.call
    faster: list[dict[str, Any]] = []

    def overtaken(at: str) -> None:
        if at == moment and not faster:
            faster.append(runner.run(name))

    def call_later(method: str, path: str, *rest: Any, **named: Any) -> Any:
        if method == "POST" and path.endswith("certificatesigningrequests"):
            overtaken("request")
        return call(method, path, *rest, **named)

    pairs.keep = lambda *given: (overtaken("keep"), keep(*given))  # type: ignore[method-assign]
    kube.call = call_later  # type: ignore[method-assign]
    (error,) = runner.run(flow=flow).errors()
    assert error["code"] == "conflict" and "another run changed the Secret" in error["msg"]
    assert [entry["action"] for entry in faster[0].values()] == ["created"]
    assert place.requests() == []
    assert not runner.run(name).changed


@pytest.mark.parametrize("stage", ["keys", "request", "approve", SIGNED, "collect", "install", "clean"])
def test_a_killed_run_with_secrets_is_continued(operator: Operator, namespace: str, place: Place, stage: str) -> None:
    people = place.people(5)
    runner = Runner({"secret": {"namespace": namespace, "name_template": "{name}"}}, operator.login)
    runner.killed(stage, 5 if stage == SIGNED else 3, *people)
    assert runner.run(*people).errors() == []
    assert place.requests() == [] and not runner.run(*people).changed
    gone = runner.run(*people, state="absent")
    assert gone.actions() == {"removed"} and all(len(entry["still_valid"]) == 1 for entry in gone.values())


def test_one_rule_less_ends_with_the_rule(operator: Operator, place: Place) -> None:
    rules = documented("ClusterRole")["rules"]
    for number, rule in enumerate(rules):
        for verb in rule["verbs"]:
            less = [{**rule, "verbs": [one for one in rule["verbs"] if one != verb]}, *rules[:number], *rules[number + 1 :]]
            weak = Operator(operator.kubeconfig, [one for one in less if one["verbs"]])
            with weak, pytest.raises(Denied) as caught:
                Runner(place.runner.store, weak.login).run(*place.people(1))
            missing: Any = caught.value.facts["missing"]
            assert sorted(one["resources"][0] for one in missing) == sorted(rule["resources"])
            assert all(one["verbs"] == [verb] and json.dumps(one) in caught.value.hint for one in missing)
            assert not place.folder.exists()


def test_one_rule_less_on_the_secrets_ends_with_the_rule(operator: Operator, namespace: str, place: Place) -> None:
    (rule,) = documented("Role")["rules"]
    for verb in rule["verbs"]:
        less = [{**rule, "verbs": [one for one in rule["verbs"] if one != verb]}]
        weak = Operator(operator.kubeconfig, documented("ClusterRole")["rules"], {namespace: less})
        runner = Runner({"secret": {"namespace": namespace, "name_template": "{name}"}}, weak.login)
        with weak, pytest.raises(Denied) as caught:
            runner.run(*place.people(1))
        assert f"{verb}" in caught.value.sentence() and "secrets" in caught.value.sentence()
    assert place.requests() == []


def test_nothing_of_a_key_leaves_the_host_or_stays_in_a_temporary_file(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    keys = []
    with FaultyProxy(place.operator.kubeconfig, place.operator.user) as proxy:
        runner = Runner(place.runner.store, proxy.login)
        for key_type in ("ecdsa-p256", "ed25519", "rsa-2048"):
            runner.run(*place.people(3), key_type=key_type)
            keys += [(place.folder / f"{name}.key").read_bytes() for name in place.people(3)]
        sent = b"\n".join(proxy.sent)
    assert sent.count(b"CertificateSigningRequest") >= 9
    for secret in (form for key in keys for form in forms_of(key)):
        assert secret not in sent
    assert list(temporary.iterdir()) == []


def forms_of(pem: bytes) -> list[bytes]:
    """A key in the forms that a leak would have: its text, its bytes and numbers, and base64 at every alignment."""
    key: Any = serialization.load_pem_private_key(pem, None)
    raw = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    forms = [line for line in pem.splitlines()[1:-1] if len(line) > 20]
    for content in (pem, raw):
        forms += [base64.b64encode(b"x" * shift + content)[8:80] for shift in range(3)]
    private = raw[36:68] if len(raw) < 200 else raw[-200:-100]
    return [*forms, private, private.hex().encode()]
