# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other ways to a certificate on the lab, names that hold rights already, and what each way of cutting somebody off cuts."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_login import login_from_params
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.pair_login import PairLogin
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Denied
from cryptography.hazmat.primitives.asymmetric import ec

from .certificate_operator import RBAC, Operator, documented, wait_until
from .certificate_runs import Runner
from .own_signer import OwnSigner, serving

CONFIGMAPS = "/api/v1/namespaces/{}/configmaps"
POLICIES = "/apis/admissionregistration.k8s.io/v1"


class Team:
    """A namespace, a folder, and somebody with the documented rights."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator, self.admin, self.folder = operator, operator.admin, folder / "people"
        self.mark = uuid.uuid4().hex[:8]
        self.namespace, self.anna, self.bert = f"team-{self.mark}", f"anna-{self.mark}", f"bert-{self.mark}"
        self.runner = Runner({"directory": str(self.folder)}, operator.login)
        self.maps = CONFIGMAPS.format(self.namespace)

    def bind(self, kind: str, name: str) -> str:
        """Give ``edit`` in the namespace; the binding's path."""
        path = f"{RBAC}/namespaces/{self.namespace}/rolebindings"
        body = {
            "metadata": {"name": f"b-{uuid.uuid4().hex[:8]}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}],
        }
        return f"{path}/{self.admin.call('POST', path, body)['metadata']['name']}"

    def log_in(self, name: str) -> KubeApiClient:
        """A client with the pair as it is now."""
        login = login_from_params({"kubeconfig": self.operator.kubeconfig})
        pair = {part: (self.folder / f"{name}.{part}").read_text() for part in ("crt", "key")}
        return KubeApiClient(replace(login, cert=pair["crt"], key=pair["key"]))


@pytest.fixture
def team(lab: Any, tmp_path: Path) -> Iterator[Team]:
    with Operator(lab.env["KUBECONFIG"], documented("ClusterRole")["rules"]) as operator:
        one = Team(operator, tmp_path)
        one.admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": one.namespace}})
        yield one
        one.admin.call("DELETE", f"/api/v1/namespaces/{one.namespace}")


def may(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Denied:
        return False
    return True


def reads(client: KubeApiClient, team: Team) -> bool:
    return may(lambda: client.call("GET", team.maps))


def writes(client: KubeApiClient, team: Team) -> bool:
    return may(lambda: client.call("POST", team.maps, {"metadata": {"generateName": "x-"}}, {"dryRun": "All"}))


def test_cut_1_bindings_gone_means_rights_gone_but_not_the_login(team: Team) -> None:
    team.runner.run(team.anna)
    binding, anna = team.bind("User", team.anna), team.log_in(team.anna)
    wait_until(lambda: writes(anna, team))
    team.admin.call("DELETE", binding)
    wait_until(lambda: not reads(anna, team) and not writes(anna, team))
    anna.call("GET", "/version")  # what everybody may who is logged in


def test_cut_2_absent_leaves_the_certificate_valid_and_says_until_when(team: Team) -> None:
    issued = team.runner.run(team.anna, lifetime="10m")[team.anna]
    team.bind("User", team.anna)
    anna = team.log_in(team.anna)
    (left,) = team.runner.run(team.anna, state="absent")[team.anna]["still_valid"]
    assert left == {"credential_id": issued["credential_id"], "not_after": issued["not_after"]}
    assert not (team.folder / f"{team.anna}.key").exists()
    wait_until(lambda: reads(anna, team))


def test_cut_3_a_group_of_one_certificate_cuts_that_certificate(team: Team) -> None:
    old_group, new_group = (f"issue-{uuid.uuid4().hex}" for _issue in range(2))
    team.runner.run({"name": team.anna, "groups": [old_group]})
    binding, old = team.bind("Group", old_group), team.log_in(team.anna)
    wait_until(lambda: writes(old, team))
    team.runner.run({"name": team.anna, "groups": [new_group]})
    team.bind("Group", new_group)
    team.admin.call("DELETE", binding)
    new = team.log_in(team.anna)
    wait_until(lambda: writes(new, team) and not reads(old, team))


def test_cut_4_a_policy_refuses_writes_of_one_credential_and_no_reads(team: Team) -> None:
    lost = team.runner.run(team.anna, team.bert)[team.anna]["credential_id"]
    for name in (team.anna, team.bert):
        team.bind("User", name)
    anna, bert = team.log_in(team.anna), team.log_in(team.bert)
    wait_until(lambda: writes(anna, team) and writes(bert, team))
    policy, binding = documented("ValidatingAdmissionPolicy"), documented("ValidatingAdmissionPolicyBinding")
    name = f"lost-{team.mark}"
    for one in (policy, binding):
        one["metadata"]["name"] = name
    binding["spec"]["policyName"] = name
    expression = policy["spec"]["matchConditions"][0]["expression"]
    policy["spec"]["matchConditions"][0]["expression"] = expression.replace("CREDENTIAL", lost)
    with ExitStack() as gone:
        for kind, one in (("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)):
            team.admin.call("POST", f"{POLICIES}/{kind}", one)
            gone.callback(team.admin.call, "DELETE", f"{POLICIES}/{kind}/{name}")

        def refused() -> bool:
            try:
                anna.call("POST", team.maps, {"metadata": {"generateName": "x-"}})
            except BackendFailed as exc:
                return "reported lost" in str(exc)
            return False

        wait_until(refused, 60)
        assert reads(anna, team)
        assert writes(bert, team) and writes(team.admin, team)
        team.runner.run({"name": team.anna, "groups": ["again"]})
        assert writes(team.log_in(team.anna), team)


def test_names_with_rights_of_others_are_refused_unless_allowed(team: Team) -> None:
    binding = team.bind("Group", f"crew-{team.mark}")
    anna = {"name": team.anna, "groups": [f"crew-{team.mark}"]}
    (error,) = team.runner.run(anna).errors()
    assert error["code"] == "refused" and binding.rsplit("/", 1)[1] in error["msg"] and "allow_groups" in error["hint"]
    assert team.runner.run(anna, allow_groups=[f"crew-{team.mark}"]).errors() == []
    assert team.runner.run(anna).errors() == []


def test_a_local_ca_that_the_server_trusts(team: Team, lab: Any) -> None:
    folder = Path(lab.env["KUBECONFIG"]).parent
    ca = {"cert": str(folder / "ca.crt"), "key": str(folder / "ca.key")}
    anna = {"name": team.anna, "groups": ["team-red"]}
    done = team.runner.run(anna, local_ca=ca, verify_login=True)
    assert done.errors() == [] and done[team.anna]["login"]["user"] == team.anna
    alone = Runner(team.runner.store, {"host": "https://127.0.0.1:1", "api_key": "none"})
    assert not alone.run(anna, local_ca=ca).changed
    assert alone.run(team.bert, local_ca=ca).actions() == {"created"}
    assert team.runner.run(anna)[team.anna]["reason"] == "signer changed"
    assert not team.runner.run(anna, signer_ca=(folder / "ca.crt").read_text()).changed


@pytest.fixture
def signer_name(team: Team) -> str:
    """A signer of one's own that the operator may approve for."""
    name = f"example.com/{team.mark}"
    (approve,) = (one for one in documented("ClusterRole")["rules"] if one["resources"] == ["signers"])
    team.operator.grant({**approve, "resourceNames": [name]})
    return name


def test_a_signer_of_ones_own_and_the_chain_it_returns(team: Team, signer_name: str) -> None:
    signer, anna = OwnSigner(), {"name": team.anna, "groups": ["team-red"]}
    with serving(team.admin, signer_name, signer.sign):
        assert team.runner.run(anna, signer=signer_name).errors() == []
    blocks = (team.folder / f"{team.anna}.crt").read_text().split("-----BEGIN ")[1:]
    assert len(blocks) == 2 and signer.above == "-----BEGIN " + blocks[1]
    assert read_certificate("-----BEGIN " + blocks[0]).name == team.anna
    assert not team.runner.run(anna, signer=signer_name, signer_ca=signer.above).changed


WRONG = {
    "belongs to another key": {"key": ec.generate_private_key(ec.SECP256R1()).public_key()},
    "names 'mallory'": {"user": "mallory"},
    "its groups are kubeadm:cluster-admins, team-red": {"group": "kubeadm:cluster-admins"},
    "longer than asked": {"longer": 86400},
}


@pytest.mark.parametrize("said", WRONG)
def test_a_certificate_that_is_not_what_was_asked_is_refused_and_the_old_pair_stays(
    team: Team, signer_name: str, said: str
) -> None:
    signer, anna = OwnSigner(), {"name": team.anna, "groups": ["team-red"]}
    team.runner.run(anna)
    before = [(team.folder / f"{team.anna}.{part}").read_bytes() for part in ("key", "crt")]
    with serving(team.admin, signer_name, lambda spec: signer.sign(spec, **WRONG[said])):
        (error,) = team.runner.run(anna, signer=signer_name).errors()
    assert error["code"] == "refused" and said in error["msg"]
    assert before == [(team.folder / f"{team.anna}.{part}").read_bytes() for part in ("key", "crt")]
    assert error["credential_id"] in (team.folder / "ledger.jsonl").read_text()
    assert team.runner.run(anna, state="absent").actions() == {"removed"}


def test_a_request_of_their_own_becomes_a_certificate_of_theirs(team: Team) -> None:
    keys = Keys()
    key = keys.make("ecdsa-p384")[0]
    csr = keys.sign(key, Person(team.anna, ("team-red",)))
    done = team.runner.run({"name": team.anna, "groups": ["team-red"], "csr": csr})
    assert done.errors() == [] and "key_path" not in done[team.anna]
    certificate = (team.folder / f"{team.anna}.crt").read_text()
    user, groups = PairLogin(login_from_params({"kubeconfig": team.operator.kubeconfig})).who(certificate, key)
    assert (user, set(groups)) == (team.anna, {"team-red", "system:authenticated"})
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in team.folder.rglob("*") if path.is_file())


def test_secrets_as_a_store_hold_a_pair_that_logs_in(team: Team) -> None:
    team.operator.grant_in(team.namespace, documented("Role")["rules"])
    runner = Runner({"secret": {"namespace": team.namespace, "name_template": "{name}-certificate"}}, team.operator.login)
    done = runner.run(team.anna, verify_login=True)
    assert done.errors() == [] and done[team.anna]["login"]["user"] == team.anna
    data = team.admin.call("GET", f"/api/v1/namespaces/{team.namespace}/secrets/{team.anna}-certificate")["data"]
    pair = {part: base64.b64decode(data[f"tls.{part}"]) for part in ("crt", "key")}
    user, _groups = PairLogin(login_from_params({"kubeconfig": team.operator.kubeconfig})).who(
        pair["crt"].decode(), pair["key"]
    )
    assert user == team.anna
    assert not runner.run(team.anna, verify_login=True).changed


def test_ten_minutes_are_not_renewed_in_every_run(team: Team) -> None:
    issued = team.runner.run(team.anna, lifetime="10m")[team.anna]
    assert 590 < issued["seconds_left"] <= 600 and issued["granted_seconds"] == 600
    assert not team.runner.run(team.anna, lifetime="10m", renew_before="9m").changed
    for minutes, changed in ((6, False), (7, True)):
        flow = team.runner.flow(team.anna, lifetime="10m")
        flow._out = replace(flow._out, clock=lambda: time.time() + 60 * minutes)  # noqa: B023 - used within this turn
        done = team.runner.run(flow=flow)
        assert done.changed == changed
    assert done[team.anna]["reason"] == "expiring"
    assert done[team.anna]["credential_id"] != issued["credential_id"]


def test_encrypted_keys_log_in_and_a_wrong_passphrase_overwrites_nothing(team: Team) -> None:
    done = team.runner.run(team.anna, key_passphrase="correct horse", verify_login=True)
    assert done.errors() == [] and done[team.anna]["login"]["user"] == team.anna
    sealed = (team.folder / f"{team.anna}.key").read_bytes()
    assert b"ENCRYPTED" in sealed
    (error,) = team.runner.run(team.anna, key_passphrase="battery staple").errors()
    assert "another passphrase" in error["msg"]
    assert (team.folder / f"{team.anna}.key").read_bytes() == sealed
