# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: what runs in it is real, `up` is idempotent and survives a kill, `down` leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = str(ROOT / "tests" / "lab" / "lab")
NO_NODES = ("--only", "control-plane,directory,directory389")


def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAB, *arguments],
        input=stdin,
        text=True,
        capture_output=True,
        timeout=900,
        env={**os.environ, **(env or {})},
        check=False,
    )


def inside(command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run("exec", "--", "sh", "-c", command, stdin=stdin)


def pids(env: dict[str, str] | None = None) -> dict[str, str]:
    """The process number of each daemon, by name."""
    rows = [line.split() for line in run("status", env=env).stdout.splitlines()[1:]]
    return {row[1]: row[3] for row in rows}


@pytest.fixture(autouse=True, scope="module")
def _up() -> None:
    done = run("up")
    assert done.returncode == 0, done.stderr


def test_a_second_up_changes_nothing() -> None:
    before = pids()
    assert run("up").returncode == 0
    assert pids() == before
    assert "-" not in before.values()


def test_the_cluster_knows_both_nodes_and_its_signer_signs() -> None:
    nodes = json.loads(inside("kubectl get nodes -o json").stdout)["items"]
    assert {node["metadata"]["labels"]["kubernetes.io/hostname"] for node in nodes} == {"node1", "node2"}
    request = inside(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=lab-selftest"
        " 2>/dev/null | base64 -w0"
    ).stdout
    signing = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "lab-selftest"},
        "spec": {"request": request, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
    }
    inside("kubectl delete csr lab-selftest --ignore-not-found")
    assert inside("kubectl create -f -", stdin=json.dumps(signing)).returncode == 0
    assert inside("kubectl certificate approve lab-selftest").returncode == 0
    wait = "kubectl wait csr/lab-selftest --for=jsonpath='{.status.certificate}' --timeout=10s"
    assert inside(wait).returncode == 0
    assert inside("kubectl delete csr lab-selftest").returncode == 0


LDAP = "-x -D $KUBESTEAD_LDAP_BIND_DN -y $KUBESTEAD_LDAP_BIND_PW_FILE"


@pytest.mark.parametrize("server", ["-H $KUBESTEAD_LDAP_URI", "-ZZ -H $KUBESTEAD_LDAP_PLAIN_URI"])
def test_the_manager_logs_in_by_tls(server: str) -> None:
    assert inside(f"ldapwhoami {server} {LDAP}").stdout.strip() == "dn:cn=manager,dc=example,dc=org"


def test_the_manager_logs_in_to_the_second_directory_too() -> None:
    who = "-x -D $KUBESTEAD_LDAP389_BIND_DN -y $KUBESTEAD_LDAP389_BIND_PW_FILE"
    for server in ("-H $KUBESTEAD_LDAP389_URI", "-ZZ -H $KUBESTEAD_LDAP389_PLAIN_URI"):
        done = inside(f"LDAPTLS_CACERT=$KUBESTEAD_LDAP389_CA ldapwhoami {server} {who}")
        assert done.stdout.strip() == "dn: cn=manager,dc=example,dc=org"


def test_nobody_reads_passwords_without_a_login_and_a_wrong_ca_is_refused() -> None:
    assert "userPassword" in inside(f"ldapsearch -LLL -H $KUBESTEAD_LDAP_URI {LDAP} -b cn=manager,$KUBESTEAD_LDAP_BASE").stdout
    anonymous = inside("ldapsearch -LLL -x -H $KUBESTEAD_LDAP_URI -b cn=manager,$KUBESTEAD_LDAP_BASE")
    assert "cn: manager" in anonymous.stdout
    assert "userPassword" not in anonymous.stdout
    assert inside("LDAPTLS_CACERT=/dev/null ldapwhoami -x -H $KUBESTEAD_LDAP_URI").returncode != 0


def test_the_password_policy_and_unique_numbers_are_in_force() -> None:
    person = """\
dn: uid={uid},ou=people,dc=example,dc=org
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: ldapPublicKey
uid: {uid}
cn: {uid}
sn: {uid}
uidNumber: 64999
gidNumber: 100
homeDirectory: /home/{uid}
userPassword: {password}
sshPublicKey: ssh-ed25519 AAAA {uid}
"""
    add, delete = (f"ldap{verb} -H $KUBESTEAD_LDAP_URI {LDAP}" for verb in ("add", "delete"))
    inside(f"{delete} uid=labtest1,$KUBESTEAD_LDAP_USER_BASE")
    short = inside(add, stdin=person.format(uid="labtest1", password="short"))
    assert short.returncode == 19, short.stderr  # constraint violation
    assert inside(add, stdin=person.format(uid="labtest1", password="long enough 1")).returncode == 0
    assert inside(add, stdin=person.format(uid="labtest2", password="long enough 2")).returncode == 19
    stored = inside(f"ldapsearch -LLL -H $KUBESTEAD_LDAP_URI {LDAP} -b uid=labtest1,$KUBESTEAD_LDAP_USER_BASE userPassword")
    assert "long enough" not in stored.stdout
    assert inside(f"{delete} uid=labtest1,$KUBESTEAD_LDAP_USER_BASE").returncode == 0


@pytest.mark.nodes
@pytest.mark.parametrize("node", ["node1", "node2"])
def test_disks_show_their_serials_on_a_real_kernel(node: str) -> None:
    listing = json.loads(inside(f"ssh {node} lsblk --json --nodeps -o NAME,SERIAL,SIZE").stdout)["blockdevices"]
    serials = {disk["name"]: disk["serial"] for disk in listing if disk["name"].startswith("ubd")}
    upper = node.upper()
    assert serials == {"ubda": f"{upper}-ROOT", "ubdb": f"{upper}-DISK1", "ubdc": f"{upper}-DISK2"}
    assert inside(f"ssh {node} readlink -f /dev/disk/by-id/ubd-{upper}-DISK2").stdout.strip() == "/dev/ubdc"
    assert inside(f"ssh {node} systemctl is-active ssh systemd-udevd").stdout.split() == ["active", "active"]


def test_exec_hands_everything_through() -> None:
    assert run("exec", "--", "sh", "-c", "exit 42").returncode == 42
    assert run("exec", "--", "cat", stdin="line\nno end").stdout == "line\nno end"
    words = ["a b", "$HOME", '"', "'", "", "*", "--"]
    assert run("exec", "--", "printf", "%s\\n", *words).stdout.splitlines() == words


def test_the_namespace_has_no_address_of_the_host() -> None:
    addresses = inside("ip -o -4 addr show").stdout.splitlines()
    assert {line.split()[3] for line in addresses} == {"127.0.0.1/8", "10.77.0.1/24"}
    assert "default" not in inside("ip route show").stdout


def test_bad_names_get_one_sentence() -> None:
    wrong = run("up", "--only", "kubelet")
    assert wrong.returncode == 1
    assert "There is no part kubelet." in wrong.stderr
    assert "Traceback" not in wrong.stderr


SECOND = {"KUBESTEAD_LAB_NAME": "kubestead-selftest"}


@pytest.fixture
def second() -> Iterator[dict[str, str]]:
    """A second lab beside the first, without nodes; always taken down."""
    run("down", env=SECOND)
    yield SECOND
    run("down", env=SECOND)
    shutil.rmtree(ROOT / ".cache" / f"lab-{SECOND['KUBESTEAD_LAB_NAME']}")


def traces(name: str) -> list[str]:
    """Whatever of a lab is still there: processes, mounts, namespace."""
    state = f"/lab-{name}/"
    found = [str(path) for path in (Path("/run/netns") / name, Path("/run") / name) if path.exists()]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if state in line]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if state in command:
            found.append(command)
    return found


def test_a_killed_up_is_continued_and_down_leaves_nothing(second: dict[str, str]) -> None:
    for seconds in (0.3, 1.0, 2.5):
        with subprocess.Popen([LAB, "up", *NO_NODES], env={**os.environ, **second}, stderr=subprocess.DEVNULL) as killed:
            time.sleep(seconds)
            killed.send_signal(signal.SIGKILL)
    done = run("up", *NO_NODES, env=second)
    assert done.returncode == 0, done.stderr
    running = pids(second)
    assert "-" not in [running[name] for name in ("etcd", "kube-apiserver", "kube-controller-manager", "slapd", "ns-slapd")]
    commands = [trace for trace in traces(second["KUBESTEAD_LAB_NAME"]) if "etcd --data-dir" in trace]
    assert len(commands) == 1
    assert run("down", env=second).returncode == 0
    assert traces(second["KUBESTEAD_LAB_NAME"]) == []


def test_a_namespace_somebody_works_in_is_left_alone_an_abandoned_one_is_not(second: dict[str, str]) -> None:
    name = second["KUBESTEAD_LAB_NAME"]
    subprocess.run(["ip", "netns", "add", name], check=True)
    with subprocess.Popen(["ip", "netns", "exec", name, "sleep", "600"]) as tenant:
        while not subprocess.run(["ip", "netns", "pids", name], capture_output=True, check=True).stdout:
            time.sleep(0.1)
        refused = run("up", "--only", "directory", env=second)
        tenant.kill()
    assert refused.returncode == 1
    assert "exists, but this checkout did not make it" in refused.stderr and "Traceback" not in refused.stderr
    done = run("up", "--only", "directory", env=second)
    assert done.returncode == 0, done.stderr
    assert pids(second)["slapd"] != "-"


def test_reset_forgets_what_was_there(second: dict[str, str]) -> None:
    assert run("up", *NO_NODES, env=second).returncode == 0
    assert run("exec", "--", "kubectl", "create", "namespace", "leftover", env=second).returncode == 0
    assert run("reset", *NO_NODES, env=second).returncode == 0
    assert run("exec", "--", "kubectl", "get", "namespace", "leftover", env=second).returncode != 0
    assert run("exec", "--", "kubectl", "get", "nodes", env=second).stdout.count("node") >= 2


@pytest.mark.nodes
@pytest.mark.slow
def test_a_node_that_lost_its_power_comes_back_with_its_disks(second: dict[str, str]) -> None:
    assert run("up", "--only", "nodes", env=second).returncode == 0
    shell = ("exec", "--", "ssh", "node2")
    assert run(*shell, "vgcreate kept /dev/ubdb && sync", env=second).returncode == 0
    os.kill(int(pids(second)["node2"]), signal.SIGKILL)
    back = run("up", "--only", "nodes", env=second)
    assert back.returncode == 0, back.stderr
    assert run(*shell, "vgs --noheadings -o vg_name", env=second).stdout.strip() == "kept"
    assert run("down", env=second).returncode == 0
    assert traces(second["KUBESTEAD_LAB_NAME"]) == []
    assert run("reset", "--only", "nodes", env=second).returncode == 0
    assert run(*shell, "vgs --noheadings -o vg_name", env=second).stdout.strip() == ""
