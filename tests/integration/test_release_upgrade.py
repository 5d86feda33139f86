# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one release of Rook and Ceph to the next, on a lab of its own with real daemons, which are really replaced.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration import downloads
from integration.ceph_driver import Ceph
from integration.conftest import LAB, THIRD, Lab, ansible_env, lab_of_its_own

pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.timeout(1800)]

OLD_IMAGE, NEW_IMAGE = "quay.io/ceph/ceph:v20.2.2", "quay.io/ceph/ceph:v20.2.4"
ENTITIES = ("mon.", "mgr.a", "osd.0", "osd.1", "client.admin")
DAEMONS = ("rook-ceph-mgr-a", "rook-ceph-mon-a", "rook-ceph-osd-0", "rook-ceph-osd-1")
# What the upgrade says it waits for after it has asked for the new Ceph.
ASKED = "All daemons run the new Ceph"
# What a deployment does when it writes the CephCluster, and when all is written.
WRITES = "The cluster and what stands on it"
WAITS = "Look until there is something new to tell"


@dataclass(frozen=True)
class Told:
    """One run of a playbook: exit status, names of changed tasks, what failed, what was shown."""

    status: int
    changed: list[str]
    failed: str
    shown: list[Any]


@dataclass(frozen=True)
class Begun:
    """A playbook that runs, and the tasks that have changed something by now."""

    process: subprocess.Popen[str]
    changed: list[str]


@dataclass(frozen=True)
class Old:
    """A cluster of the release before, and playbooks run on it; ``before`` is where its manifests are."""

    lab: Lab
    ceph: Ceph
    home: Path
    before: Path

    def command(self, book: str, *options: str, old: bool = False) -> list[str]:
        """The playbook's command; the nodes told their disks in an earlier play, so they are not asked again."""
        disks = {
            name: {"rook_cluster_storage_node": {"name": name, "devices": [{"name": "/dev/upg/osd"}]}}
            for name in ("node1", "node2")
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {"kubestead_control": {"hosts": {"localhost": local}}, "kubestead_nodes": {"hosts": disks}}
        release = {
            "kubestead_rook_release": "1.20.4",
            "rook_cluster_image": OLD_IMAGE,
            "rook_operator_manifests": str(self.before),
        }
        values = {
            "kubestead_kubernetes": {"kubeconfig": self.lab.env["KUBECONFIG"]},
            "rook_operator_manifests": self.lab.env["KUBESTEAD_ROOK_MANIFESTS"],
            "rook_operator_wait": False,
            "rook_cluster_wait_for_drivers": False,
            "rook_cluster_wait_timeout": 300,
            "rook_cluster_mons": 1,
            "rook_cluster_mgrs": 1,
            "rook_cluster_ceph_config": {"global": {"osd_pool_default_size": 2}},
            "rook_cluster_block_pools": [{"name": "ceph-block", "replicas": 2}],
            **(release if old else {}),
        }
        names = []
        for name, content in (("inventory.yml", {"all": {"children": groups}}), ("values.yml", values)):
            path = self.home / name
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            names.append(str(path))
        limited = ["-i", names[0], "-e", f"@{names[1]}", "--limit", "localhost"]
        return ["ansible-playbook", f"kubestead.platform.{book}", *limited, *options]

    def play(self, book: str, *options: str, old: bool = False) -> Told:
        done = self.lab.exec(*self.command(book, *options, old=old), check=False, timeout=600, env=ansible_env())
        assert "{\n" in done.stdout, done.stdout + done.stderr
        document, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.find("{\n") :])
        tasks = [
            (task["task"]["name"], one)
            for play in document["plays"]
            for task in play["tasks"]
            for one in task["hosts"].values()
        ]
        return Told(
            done.returncode,
            [_plain(name) for name, one in tasks if one.get("changed")],
            "\n".join(str(one.get("msg")) for _name, one in tasks if one.get("failed")),
            [one["msg"] for _name, one in tasks if str(one.get("action")).endswith("debug") and "msg" in one],
        )

    def begin(self, book: str, task: str, *, old: bool = False) -> Begun:
        """Start a playbook and come back when a task of it begins."""
        command = [str(LAB), "exec", "--", *self.command(book, old=old)]
        environment = {**os.environ, **ansible_env(), "ANSIBLE_STDOUT_CALLBACK": "default", "PYTHONUNBUFFERED": "1"}
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        assert run.stdout is not None
        changed, name, lines = [], "", []
        for line in run.stdout:
            lines.append(line)
            name = line[line.index("[") + 1 : line.rindex("]")] if line.startswith("TASK [") else name
            changed += [_plain(name)] if line.startswith("changed:") else []
            if task in name:
                break
        assert run.poll() is None, f"it ended before {task}: {''.join(lines[-20:])}"
        return Begun(run, changed)

    def play_and_kill(self, book: str, task: str, *, old: bool = False) -> list[str]:
        """Run a playbook until a task begins, then kill it; the names of the tasks that had changed something."""
        begun = self.begin(book, task, old=old)
        os.killpg(begun.process.pid, signal.SIGKILL)
        begun.process.wait(30)
        return begun.changed

    def restart_the_api_server(self) -> None:
        """It ends, is away for a moment, and comes back with what etcd has."""
        os.kill(int(self.ceph.daemon("kube-apiserver")), signal.SIGKILL)
        time.sleep(3)
        subprocess.run([str(LAB), "up", "--only", "control-plane"], check=True, capture_output=True, timeout=120)

    def keys(self) -> dict[str, str]:
        """The key of each daemon and of the administrator, by Ceph's own word."""
        told = json.loads(self.ceph.command("ceph", "auth", "ls", "--format", "json"))["auth_dump"]
        found = {one["entity"]: one["key"] for one in told if one["entity"] in ENTITIES}
        ring = self.lab.exec("ssh", "node1", "cat /var/lib/rook/rook-ceph/lib/mon/ceph-a/keyring").stdout
        return {**found, "mon.": re.findall(r"key = (\S+)", ring)[0]}

    def processes(self) -> dict[str, str]:
        """When each daemon's process began."""
        found = {}
        for node in ("node1", "node2"):
            show = "systemctl show --property=Id,ExecMainStartTimestampMonotonic 'rook-ceph-*.service'"
            for told in self.lab.exec("ssh", node, show).stdout.strip().split("\n\n"):
                facts = dict(line.split("=", 1) for line in told.splitlines())
                found[facts["Id"].removesuffix(".service")] = facts["ExecMainStartTimestampMonotonic"]
        return found

    def daemons(self) -> dict[str, tuple[str, str]]:
        """Rook and Ceph of each daemon, by the labels."""
        get = ("get", "deployment", "-n", "rook-ceph", "-l", "rook_cluster=rook-ceph", "-o", "json")
        items = json.loads(self.lab.kubectl(*get).stdout)["items"]
        labels = {one["metadata"]["name"]: one["metadata"]["labels"] for one in items}
        return {name: (told["rook-version"], told["ceph-version"]) for name, told in labels.items()}

    def cluster(self) -> dict[str, Any]:
        return dict(json.loads(self.lab.kubectl("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "-o", "json").stdout))


def _plain(name: str) -> str:
    return name.rpartition(" : ")[2]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """Rook 1.20.4 with what it takes for Ceph 20.2.2: a monitor, a manager, an OSD on each node.

    The first run that makes it is killed, and while the second one waits for Ceph the API server is started anew.
    """
    before = downloads.rook_before()
    with lab_of_its_own("control-plane", "nodes", "ceph", suffix=THIRD) as lab:
        for node in ("node1", "node2"):
            disk = "$(lsblk -dpno NAME,SERIAL | awk '/DISK1$/ {print $1}')"
            lab.exec("ssh", node, f"vgcreate -qq -y upg {disk} && lvcreate -qq -y -l 100%FREE -n osd upg")
        made = Old(lab, Ceph(lab), tmp_path_factory.mktemp("upgrade"), before)
        with made.ceph.operator_asleep():
            killed = made.play_and_kill("deploy_rook", WRITES, old=True)
            assert killed, "nothing was done before it was killed"
            begun = made.begin("deploy_rook", WAITS, old=True)
            made.restart_the_api_server()
        output, _nothing = begun.process.communicate(timeout=600)
        assert begun.process.returncode == 0, output
        yield made


@dataclass
class World:
    """What was seen before the upgrade, for the tests after it."""

    keys: dict[str, str]
    processes: dict[str, str]
    announced: Told


@pytest.fixture(scope="module")
def world(old: Old) -> World:
    """A letter in the pool, and what check mode says."""
    old.ceph.command("rados", "--pool", "ceph-block", "put", "letter", "-", stdin="written before\n")
    return World(old.keys(), old.processes(), old.play("upgrade_rook", "--check"))


def test_the_release_before_runs(old: Old) -> None:
    assert old.daemons() == dict.fromkeys(DAEMONS, ("v1.20.4", "20.2.2-0"))
    assert list(old.cluster()["status"]["ceph"]["versions"]["overall"].values()) == [4]


def test_check_mode_tells_every_step_and_takes_none(old: Old, world: World) -> None:
    told = world.announced
    assert told.status == 0, told.failed
    assert [step.partition(":")[0] for step in told.shown[0]] == [
        "resource definitions, roles, operators and storage drivers",
        "daemons to Rook 1.20.6",
        "Ceph's image",
        "daemons to Ceph 20.2.4",
        "keys of the daemons",
        "type of the storage drivers' keys",
        "toolbox",
    ]
    assert old.daemons() == dict.fromkeys(DAEMONS, ("v1.20.4", "20.2.2-0"))
    assert old.cluster()["spec"]["cephVersion"]["image"] == OLD_IMAGE


def test_an_unhealthy_cluster_is_not_upgraded(old: Old, world: World) -> None:  # noqa: ARG001 - it comes after the check
    old.ceph.command("ceph", "osd", "set", "noout")
    try:
        old.ceph.wait_for("the warning", lambda: old.ceph.problems("OSDMAP_FLAGS"))
        told = old.play("upgrade_rook")
    finally:
        old.ceph.command("ceph", "osd", "unset", "noout")
    assert (told.status != 0, told.changed) == (True, [])
    assert "OSDMAP_FLAGS" in told.failed
    assert "Nothing was changed" in told.failed
    old.ceph.wait_for("the cluster as it was", lambda: old.ceph.gate()["healthy"])


def test_a_killed_upgrade_is_finished_by_the_next_one(old: Old, world: World) -> None:
    changed = old.play_and_kill("upgrade_rook", ASKED)
    told = old.play("upgrade_rook")
    assert told.status == 0, told.failed
    assert old.daemons() == dict.fromkeys(DAEMONS, ("v1.20.6", "20.2.4-0"))
    # What was announced, and nothing else, in two parts.
    assert changed + told.changed == world.announced.changed
    assert not any(step.startswith(("resource definitions", "Ceph's image")) for step in told.shown[0])


def test_all_daemons_were_replaced_and_have_new_keys(old: Old, world: World) -> None:
    cluster = old.cluster()
    assert [re.findall(r"version (\S+)", text) for text in cluster["status"]["ceph"]["versions"]["overall"]] == [["20.2.4"]]
    made = {"keyGeneration": 2, "keyCephVersion": "20.2.4-0"}
    assert {kind: cluster["status"]["cephx"][kind] for kind in ("mon", "mgr", "osd", "admin")} == dict.fromkeys(
        ("mon", "mgr", "osd", "admin"), made
    )
    keys, processes = old.keys(), old.processes()
    assert keys.keys() == world.keys.keys() == set(ENTITIES)
    assert [entity for entity in ENTITIES if keys[entity] == world.keys[entity]] == []
    assert processes.keys() == world.processes.keys() == set(DAEMONS)
    assert [name for name in DAEMONS if processes[name] == world.processes[name]] == []
    assert old.ceph.command("rados", "--pool", "ceph-block", "get", "letter", "-") == "written before\n"


def test_a_second_run_changes_nothing_and_a_deployment_keeps_the_release(old: Old, world: World) -> None:  # noqa: ARG001
    told = old.play("upgrade_rook")
    assert (told.status, told.changed) == (0, []), told.failed
    assert told.shown[0] == ["none: everything is of the wanted release"]
    back = old.play("deploy_rook", old=True)
    assert (back.status != 0, back.changed) == (True, [])
    assert "Rook 1.20.6 runs, which is newer than 1.20.4" in back.failed
    told = old.play("deploy_rook")
    assert told.status == 0, told.failed
    assert old.daemons() == dict.fromkeys(DAEMONS, ("v1.20.6", "20.2.4-0"))
