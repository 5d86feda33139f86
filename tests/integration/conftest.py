# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests: the lab, and a way to run a real module in it as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
# The lab whose `lab exec` runs these tests, if one does: entering it once more would cost every command half a second.
_INSIDE = os.environ.get("KUBESTEAD_LAB_NAME", "") if "KUBESTEAD_LAB_DIR" in os.environ else "outside"
MODULE_MAIN = Path(__file__).with_name("module_main.py")
# Files that share a second lab, those that bring up a third one, those that work on the nodes of the lab that all share, and the
# others, on its servers. They mostly wait, so three groups run side by side (pytest -n 3), also on two cores.
_GROUPS = {
    "second lab": ("test_site",),
    "third lab": ("test_node_", "test_release_"),
    "nodes": ("test_disk_", "test_lab", "test_lvm_", "test_rook_"),
}
THIRD = "-third"


class Groups(LoadScopeScheduling):
    """Deals tests out in groups that share nothing but the servers; within a group one test follows the other."""

    def _split_scope(self, nodeid: str) -> str:
        name = Path(nodeid.partition("::")[0]).name
        return next((group for group, begins in _GROUPS.items() if name.startswith(begins)), "servers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """What `-n 3` deals by."""
    return Groups(config, log)


@dataclass(frozen=True)
class ModuleRun:
    """One run of a module: its result, the process's exit status and everything it printed."""

    result: dict[str, Any]
    status: int
    output: str = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.result[name]

    def actions(self) -> dict[str, str]:
        """The action of each entry, by name."""
        return {entry["name"]: entry["action"] for entry in self.result["entries"]}

    def entry(self, name: str) -> dict[str, Any]:
        """The entry of that name."""
        return next(entry for entry in self.result["entries"] if entry["name"] == name)


class Lab:
    """The running lab: its environment and a way to run commands inside it."""

    def __init__(self) -> None:
        self.env = self._read_env()

    def exec(
        self,
        *command: str,
        check: bool = True,
        stdin: Optional[str] = None,
        timeout: float = 300,
        env: Optional[Mapping[str, str]] = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the lab's namespace with its environment."""
        entering = () if os.environ.get("KUBESTEAD_LAB_NAME") == _INSIDE else (str(LAB), "exec", "--")
        done = subprocess.run(
            [*entering, *command],
            input=stdin if stdin is not None else "",
            text=True,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def kubectl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """kubectl as the lab's administrator."""
        return self.exec("kubectl", *arguments, check=check)

    def _read_env(self) -> dict[str, str]:
        printed = subprocess.run(
            [str(LAB), "exec", "--", sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
            text=True,
            capture_output=True,
            timeout=120,
            check=True,
        ).stdout
        return dict(json.loads(printed.strip().splitlines()[-1]))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab, brought up if it is not (a no-op when it is)."""
    subprocess.run([str(LAB), "up"], check=True, timeout=2400)
    return Lab()


@contextmanager
def lab_of_its_own(*parts: str, suffix: str = "") -> Iterator[Lab]:
    """A lab beside the others, of these parts or of all, that begins with nothing in it and ends with the block."""
    with pytest.MonkeyPatch.context() as patch:
        # Another name lets two checkouts test on one machine.
        patch.setenv("KUBESTEAD_LAB_NAME", os.environ.get("KUBESTEAD_FRESH_LAB_NAME", "kubestead-fresh") + suffix)
        only = ["--only", ",".join(parts)] if parts else []
        subprocess.run([str(LAB), "reset", *only], check=True, timeout=2400)
        try:
            yield Lab()
        finally:
            subprocess.run([str(LAB), "down"], check=True, timeout=300)


@pytest.fixture(scope="module")
def fresh_lab() -> Iterator[Lab]:
    """A lab of its own that ends with the module's tests."""
    with lab_of_its_own(suffix=THIRD) as lab:
        yield lab


@pytest.fixture(scope="session")
def ansible_environment() -> dict[str, str]:
    """What `ansible-playbook` needs in its environment."""
    return ansible_env()


def ansible_env() -> dict[str, str]:
    """The environment ansible runs in: machine-readable output and the collection as it stands here."""
    return {
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture
def run_module(lab: Lab, tmp_path: Path) -> Callable[..., ModuleRun]:
    """Run one module of this collection in the lab: ``run_module("rbac_grant", {...}, check=True, diff=True)``."""
    counter = iter(range(10_000))

    def run(
        name: str,
        arguments: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        hosts: str = "localhost",
        options: Sequence[str] = (),
        timeout: float = 300,
    ) -> ModuleRun:
        play = {
            "hosts": hosts,
            "gather_facts": False,
            "tasks": [{"name": name, f"kubestead.platform.{name}": dict(arguments)}],
        }
        if hosts == "localhost":
            play.update(connection="local", vars={"ansible_python_interpreter": sys.executable})
        book = tmp_path / f"run{next(counter)}.yml"
        book.write_text(yaml.safe_dump([play]), encoding="utf-8")
        book.chmod(0o600)
        command = ["ansible-playbook", str(book), *options]
        command += ["--check"] if check else []
        command += ["--diff"] if diff else []
        if hosts != "localhost":
            command += ["-i", lab.env["KUBESTEAD_LAB_INVENTORY"]]
        done = lab.exec(
            str(Path(sys.executable).parent / command[0]), *command[1:], check=False, timeout=timeout, env=ansible_env()
        )
        return ModuleRun(_task_result(done.stdout, done.stderr), done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture
def call_module(lab: Lab) -> Callable[..., ModuleRun]:
    """The same for one module without a playbook around it: all of the module, and seconds faster."""

    def call(name: str, arguments: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> ModuleRun:
        return call_in(lab, name, {**arguments, "_ansible_check_mode": check, "_ansible_diff": diff})

    return call


def call_in(lab: Lab, name: str, arguments: Mapping[str, Any]) -> ModuleRun:
    """One module without a playbook around it, in that lab."""
    task = json.dumps({"module": name, "arguments": dict(arguments)})
    path = {"PYTHONPATH": str(ROOT / ".cache" / "collections")}
    done = lab.exec(sys.executable, str(MODULE_MAIN), stdin=task, check=False, env=path)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"the module printed no result:\n{done.stdout}\n{done.stderr}") from None
    return ModuleRun({**result, "failed": bool(result.get("failed"))}, done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def serve_module(lab: Lab) -> Iterator[Callable[..., ModuleRun]]:
    """The same for many short runs: one process in the lab does them one after another, each in a fork."""
    python = {**lab.env, "PYTHONPATH": str(ROOT / ".cache" / "collections")}
    command = [str(LAB), "exec", "--", sys.executable, str(MODULE_MAIN.with_name("module_server.py"))]
    server = subprocess.Popen(command, text=True, env=python, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None

    def call(name: str, arguments: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> ModuleRun:
        modes = {"_ansible_check_mode": check, "_ansible_diff": diff}
        server.stdin.write(json.dumps({"module": name, "arguments": {**arguments, **modes}}) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        try:
            result = json.loads(answer["printed"])
        except ValueError:
            raise AssertionError(f"the module printed no result:\n{answer['printed']}") from None
        return ModuleRun({**result, "failed": bool(result.get("failed"))}, answer["status"], answer["printed"])

    yield call
    server.stdin.close()
    server.wait(30)


def _task_result(printed: str, errors: str) -> dict[str, Any]:
    begin = printed.find("{\n")
    if begin < 0:
        raise AssertionError(f"ansible printed no result:\n{printed}\n{errors}")
    document, _end = json.JSONDecoder().raw_decode(printed[begin:])
    hosts = document["plays"][0]["tasks"][0]["hosts"]
    return dict(next(iter(hosts.values())))
