# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab writes and prints: configurations, inventories, environments, tables."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubestead_lab import control_plane, directory, directory389, environment, golang, nodes, parts, progress
from kubestead_lab.errors import LabError
from kubestead_lab.settings import ETCD_VERSION, KUBERNETES_VERSION, NODES, Lab, lab_from

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(name="lab-under-test", repo=ROOT, state=tmp_path / "state", cache=tmp_path / "cache")


def test_the_recipes_build_the_versions_the_lab_names() -> None:
    kubernetes = (ROOT / "tests/lab/recipes/kubernetes/go.mod").read_text()
    assert re.search(rf"k8s\.io/kubernetes v{re.escape(KUBERNETES_VERSION)}\s", kubernetes)
    minor = KUBERNETES_VERSION.removeprefix("1.")
    replaced = re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ (v\S+)$", kubernetes, flags=re.M)
    assert len(replaced) > 20
    assert set(replaced) == {f"v0.{minor}"}
    assert f"go.etcd.io/etcd/server/v3 v{ETCD_VERSION}" in (ROOT / "tests/lab/recipes/etcd/go.mod").read_text()


def test_a_changed_recipe_is_another_artefact(lab: Lab, tmp_path: Path) -> None:
    recipe = tmp_path / "repo/tests/lab/recipes/etcd"
    recipe.mkdir(parents=True)
    (recipe / "go.mod").write_text("module a\n")
    (recipe / "go.sum").write_text("")
    copy = Lab(name="x", repo=tmp_path / "repo", state=lab.state, cache=lab.cache)
    before = golang.artefact_of(copy, golang.ETCD).folder
    (recipe / "go.sum").write_text("something else\n")
    assert golang.artefact_of(copy, golang.ETCD).folder != before


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.21 linux/arm64", (1, 21)),
        ("", (0, 0)),
        ("gcc 12", (0, 0)),
    ],
)
def test_go_versions_are_read(printed: str, version: tuple[int, int]) -> None:
    assert golang.parse_go_version(printed) == version


@given(st.text(max_size=40), st.binary(max_size=16))
def test_password_hashes_verify_and_hold_no_password(password: str, salt: bytes) -> None:
    hashed = directory.salted_hash(password, salt)
    raw = base64.b64decode(hashed.removeprefix("{SSHA}"))
    assert raw == hashlib.sha1(password.encode() + salt).digest() + salt


def test_the_directory_is_configured_as_the_modules_need_it() -> None:
    text = directory.configuration(Path("/some/where"), "{SSHA}abc")
    assert "TLSCertificateFile /some/where/server.crt" in text
    assert "rootpw {SSHA}abc" in text
    for overlay in ("ppolicy", "memberof", "unique"):
        assert f"\noverlay {overlay}\n" in text
    assert f'limits dn.exact="{directory.MANAGER}" size=unlimited size.prtotal=unlimited' in text
    assert text.index("access to attrs=userPassword") < text.index("access to *")
    assert "pwdLockout: TRUE" in directory.first_entries("{SSHA}abc")


def test_the_second_directory_is_wholly_in_the_folder_of_the_lab() -> None:
    template = (
        "dn: cn=config\ncn: config\nnsslapd-port: %ds_port%\nnsslapd-schemadir: %schema_dir%\nnsslapd-rootpw: %ds_passwd%\n"
        "passwordLockout: off\n\ndn: cn=other,cn=config\ncn: other\nnsslapd-x: %run_dir%\n"
    )
    text = directory389.configuration(template, Path("/some/where"), "{SSHA}abc")
    assert "nsslapd-schemadir: /some/where/config/schema" in text and "nsslapd-x: /some/where/run" in text
    assert "%" not in text and "nsslapd-rootpw: {SSHA}abc" in text
    assert text.count("passwordLockout") == 1 and "passwordLockout: on" in text
    assert "nsslapd-suffix: dc=example,dc=org" in text
    assert f'userdn = "ldap:///{directory389.MANAGER}"' in directory389.first_entries("x")


def test_a_node_gets_its_disks_with_serials(lab: Lab) -> None:
    arguments = nodes.kernel_arguments(lab, NODES[0], "KEY")
    assert f"ubdb={lab.nodes}/node1-disk1.img,,NODE1-DISK1" in arguments
    assert f"ubdc={lab.nodes}/node1-disk2.img,,NODE1-DISK2" in arguments
    assert "lab.address=10.77.0.11/24" in arguments
    serials = [node.serial(number) for node in NODES for number in (1, 2)]
    assert len(set(serials)) == 4


def test_an_unknown_node_is_named() -> None:
    with pytest.raises(LabError, match="no node 'node9'"):
        nodes.by_name("node9")


def test_registered_nodes_carry_the_label_ceph_looks_for() -> None:
    node = control_plane.node_object(NODES[1])
    assert node["metadata"] == {
        "name": "node2",
        "labels": {"kubernetes.io/hostname": "node2", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
    }


def test_the_inventory_has_the_two_groups(lab: Lab) -> None:
    groups = yaml.safe_load(environment.inventory(lab, "/venv/python"))["all"]["children"]
    assert groups["kubestead_nodes"]["hosts"] == {
        "node1": {"ansible_host": "10.77.0.11"},
        "node2": {"ansible_host": "10.77.0.12"},
    }
    assert groups["kubestead_nodes"]["vars"]["ansible_python_interpreter"] == "/usr/bin/python3"
    assert groups["kubestead_control"]["hosts"]["localhost"]["ansible_python_interpreter"] == "/venv/python"


def test_a_command_finds_the_lab_first(lab: Lab) -> None:
    given_environment = {"PATH": "/usr/bin", "KUBECONFIG": "/home/me/.kube/config", "HOME": "/home/me"}
    seen = environment.for_command(lab, given_environment)
    assert seen["PATH"].split(":")[0] == str(lab.wrappers)
    assert seen["PATH"].endswith(":/usr/bin")
    assert seen["KUBECONFIG"] == str(lab.kubeconfig)
    assert seen["HOME"] == "/home/me"


def test_with_external_parts_the_users_own_values_stay(lab: Lab) -> None:
    mine = {"PATH": "/usr/bin", "KUBESTEAD_LAB_EXTERNAL": "1", "KUBECONFIG": "/my/config", "KUBESTEAD_LDAP_URI": "ldaps://mine"}
    seen = environment.for_command(lab, mine)
    assert seen["KUBECONFIG"] == "/my/config"
    assert seen["KUBESTEAD_LDAP_URI"] == "ldaps://mine"
    assert "KUBESTEAD_LAB_INVENTORY" not in seen
    assert seen["KUBESTEAD_ROOK_MANIFESTS"] == str(golang.rook_manifests(lab))


@pytest.mark.parametrize("value", ["", "0"])
def test_external_is_off_by_default(value: str) -> None:
    assert not environment.is_external({"KUBESTEAD_LAB_EXTERNAL": value})
    assert not environment.is_external({})


def test_a_second_lab_has_a_state_of_its_own() -> None:
    first = lab_from({}, ROOT)
    second = lab_from({"KUBESTEAD_LAB_NAME": "other", "KUBESTEAD_LAB_CACHE": "/big/cache"}, ROOT)
    assert first.state != second.state
    assert second.cache == Path("/big/cache")
    assert lab_from({"XDG_CACHE_HOME": "/xdg"}, ROOT).cache == Path("/xdg/kubestead-lab")


@pytest.mark.parametrize("name", ["../x", "A", "a b", "-a", "a" * 40])
def test_a_name_that_no_namespace_can_have_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="KUBESTEAD_LAB_NAME"):
        lab_from({"KUBESTEAD_LAB_NAME": name}, ROOT)


def test_parts_are_chosen_by_name_and_kept_in_order() -> None:
    assert [part.name for part in parts.chosen("control-plane, nodes")] == ["nodes", "control-plane"]
    assert parts.chosen(None) == parts.ALL
    with pytest.raises(LabError, match="no part kubelet"):
        parts.chosen("kubelet,nodes")


def test_progress_says_how_long_it_takes() -> None:
    line = progress.running_line("building Kubernetes from source", "6 min", 130)
    assert line == "building Kubernetes from source, usually 6 min, 2:10 so far"


def test_the_table_is_aligned() -> None:
    text = parts.table([("directory", "slapd", "up", "12345", "127.0.0.1:3636", "1m02s")])
    heading, row = text.splitlines()
    assert heading.index("STATE") == row.index("up ")
    assert heading.index("AGE") == row.index("1m02s")
