# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a test's own API server: the first one's, with what the test says in the place of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestead_lab import control_plane
from kubestead_lab.second_apiserver import arguments
from kubestead_lab.settings import API_PORT, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(name="lab-under-test", repo=tmp_path, state=tmp_path / "state", cache=tmp_path / "cache")


def flags_of(lab: Lab, **flags: str) -> dict[str, str]:
    given = {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
    parts = [flag.partition("=") for flag in arguments(lab, 7000, Path("/own"), given)]
    assert len({flag for flag, _equals, _value in parts}) == len(parts)
    return {flag: value for flag, _equals, value in parts}


def test_it_shares_database_cas_and_token_keys_with_the_first(lab: Lab) -> None:
    first = control_plane.apiserver_arguments(control_plane.folder_of(lab))
    own = flags_of(lab)
    for flag in ("--etcd-servers", "--client-ca-file", "--service-account-signing-key-file", "--tls-private-key-file"):
        assert own[flag] == first[first.index(flag) + 1]
    assert own["--allow-privileged"] == "true"
    assert own["--secure-port"] == "7000" != str(API_PORT)


def test_it_leaves_the_endpoints_and_the_serving_folder_to_the_first(lab: Lab) -> None:
    own = flags_of(lab)
    assert own["--endpoint-reconciler-type"] == "none" and own["--cert-dir"] == "/own/serving"


def test_flags_of_the_test_count_more(lab: Lab) -> None:
    own = flags_of(lab, client_ca_file="/own/clients.crt", audit_log_path="/own/audit.log")
    assert own["--client-ca-file"] == "/own/clients.crt" and own["--audit-log-path"] == "/own/audit.log"
    assert own["--authorization-mode"] == "Node,RBAC"


def test_an_authorization_configuration_excludes_the_mode(lab: Lab) -> None:
    assert "--authorization-mode" not in flags_of(lab, authorization_config="/own/authorization.json")
