# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig_render as a user runs it, judged by the real kubectl and the real API server."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles

from contracts.secret_store import SecretStoreContract

NAMES = ["n", "no", "on", "1e3", "0x1f", "~", "2024-01-02", "12:30:00", "null", "y", "08", "a b: #c", "😀"]
CANARY = "canary-token-0123456789"
HOLD = """
import sys, time
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
with KubeconfigLocks().hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(300)
"""
WRITER = """
import sys
from ansible_collections.kubestead.platform.plugins.modules import kubeconfig_render as module
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out
for number in range(40):
    user = {"name": f"{sys.argv[2]}{number}", "behavior": "merge", "user": {"token": "t"}}
    params = {"files": [{"path": sys.argv[1], "users": [user]}], "state": "present", "embed": False}
    params.update(expected_files=[], expected_secrets=[], verify="none", concurrency=1, on_error="stop", backup=False, warn_before="7d")
    flow = module.wire(params, False)
    run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
    assert len(run.done) == 1, [outcome.error for outcome in run.outcomes]
"""


class TestRealStore(SecretStoreContract):
    @pytest.fixture
    def store(self) -> SecretFiles:
        return SecretFiles()

    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        return str(tmp_path)


@pytest.fixture
def admin(lab: Any, tmp_path: Path) -> dict[str, Any]:
    """The lab's administrator as files (``ca``, ``cert``, ``key``) and the API server's address."""
    view = json.loads(lab.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").stdout)
    cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
    found = {"server": cluster["server"]}
    pem = {
        "ca": cluster["certificate-authority-data"],
        "cert": user["client-certificate-data"],
        "key": user["client-key-data"],
    }
    for name, data in pem.items():
        path = tmp_path / f"admin.{name}"
        path.write_bytes(base64.b64decode(data))
        path.chmod(0o600)
        found[name] = str(path)
    return found


def person(admin: dict[str, Any], path: Path, name: str = "anna", **more: Any) -> dict[str, Any]:
    """One wanted file in which everything has the same name."""
    return {
        "path": str(path),
        "clusters": [{"name": name, "cluster": {"server": admin["server"], "certificate-authority": admin["ca"]}}],
        "users": [{"name": name, "user": {"client-certificate": admin["cert"], "client-key": admin["key"]}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current_context": name,
        **more,
    }


def test_kubectl_reads_every_name_and_logs_in(lab: Any, run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "people" / "config"
    wanted = person(admin, path, NAMES[0])
    for name in NAMES[1:]:
        more = person(admin, path, name)
        for section in ("clusters", "users", "contexts"):
            wanted[section] += more[section]
    options = {"files": [wanted], "embed": True, "verify": "login"}
    foretold = run_module("kubeconfig_render", options, check=True, diff=True)
    assert not path.parent.exists()
    made = run_module("kubeconfig_render", options, diff=True)
    assert made.actions() == foretold.actions() == {str(path): "created"}
    assert made["diff"] == foretold["diff"]
    assert made.entry(str(path))["login"]["user"] == "admin"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]

    kubectl = ("kubectl", "--kubeconfig", str(path))
    assert sorted(lab.exec(*kubectl, "config", "get-contexts", "-o", "name").stdout.splitlines()) == sorted(NAMES)
    for name in NAMES:
        assert "admin" in lab.exec(*kubectl, "--context", name, "auth", "whoami").stdout
    assert "PRIVATE KEY" not in made.output
    assert base64.b64encode(Path(admin["key"]).read_bytes()).decode()[:60] not in made.output

    again = run_module("kubeconfig_render", options, diff=True)
    assert (again.actions(), again["changed"], again["diff"]) == ({str(path): "unchanged"}, False, [])
    assert again.entry(str(path))["login"]["user"] == "admin"
    assert run_module("kubeconfig_render", options, check=True).entry(str(path))["login"]["user"] == "admin"


def test_what_kubectl_wrote_survives_and_the_other_way_round(
    lab: Any, run_module: Any, admin: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config"
    config = ("kubectl", "--kubeconfig", str(path), "config")
    lab.exec(*config, "set-cluster", "1password", "--server", "https://elsewhere.example:6443")
    lab.exec(
        *config, "set-credentials", "no", "--exec-command", "vault", "--exec-api-version", "client.authentication.k8s.io/v1"
    )
    lab.exec(*config, "set-context", "0x1f", "--cluster", "1password", "--user", "no")
    lab.exec(*config, "use-context", "0x1f")
    before = yaml.safe_load(path.read_text())
    run = run_module("kubeconfig_render", {"files": [person(admin, path, current_context=None)], "embed": True})
    assert run.actions() == {str(path): "updated"}
    after = yaml.safe_load(path.read_text())
    assert after["current-context"] == "0x1f"
    for section in ("clusters", "users", "contexts"):
        assert after[section][: len(before[section])] == before[section]
    lab.exec(*config, "set-context", "another", "--cluster", "anna", "--user", "anna")
    unchanged = path.read_bytes()
    run = run_module("kubeconfig_render", {"files": [person(admin, path, current_context=None)], "embed": True})
    assert run.actions() == {str(path): "unchanged"}
    assert path.read_bytes() == unchanged


def test_another_way_to_log_in_replaces_the_old_one(lab: Any, run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config"
    run_module("kubeconfig_render", {"files": [person(admin, path)], "embed": True})
    token = lab.kubectl("create", "token", "default", "-n", "default").stdout.strip()
    wanted = person(admin, path)
    wanted["users"][0]["user"] = {"token": token}
    run = run_module("kubeconfig_render", {"files": [wanted], "embed": True, "verify": "login"}, diff=True)
    assert run.entry(str(path))["login"]["user"] == "system:serviceaccount:default:default"
    assert run.entry(str(path))["reason"] == "users anna"
    assert token not in run.output
    assert "system:serviceaccount" in lab.exec("kubectl", "--kubeconfig", str(path), "auth", "whoami").stdout


def test_two_runs_on_one_file_lose_nothing(run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config"

    def run(name: str) -> Any:
        return run_module("kubeconfig_render", {"files": [person(admin, path, name)], "embed": True})

    names = [f"person{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(run, names))
    assert {next(iter(each.actions().values())) for each in runs} <= {"created", "updated"}
    assert sorted(entry["name"] for entry in yaml.safe_load(path.read_text())["users"]) == names
    assert [each.name for each in tmp_path.glob("config*")] == ["config"]


def test_writers_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config"
    command = [sys.executable, "-c", WRITER, str(path)]
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(subprocess.run, [*command, name], env=python_env(), check=True, timeout=120) for name in "abc"]
        assert [run.result().returncode for run in runs] == [0, 0, 0]
    assert len(yaml.safe_load(path.read_text())["users"]) == 3 * 40


def test_we_lose_nothing_that_kubectl_writes(lab: Any, tmp_path: Path) -> None:
    """kubectl does not wait for its lock, so it is asked again. It reads before it locks, and so may undo what we wrote."""
    path = tmp_path / "config"
    script = f"""
for i in $(seq 20); do
  until kubectl --kubeconfig {path} config set-context theirs$i --cluster c --user u >/dev/null 2>&1; do :; done
done
"""
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(lab.exec, "bash", "-c", script)
        command = [sys.executable, "-c", WRITER, str(path), "ours"]
        ours = pool.submit(subprocess.run, command, env=python_env(), check=True, timeout=120)
        assert (theirs.result().returncode, ours.result().returncode) == (0, 0)
    assert len(yaml.safe_load(path.read_text())["contexts"]) == 20
    assert [each.name for each in tmp_path.iterdir()] == ["config"]


def test_a_killed_writers_lock_is_removed_and_kubectls_is_not(
    lab: Any, run_module: Any, admin: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, env=python_env(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
    blocked = lab.exec("kubectl", "--kubeconfig", str(path), "config", "set-context", "x", check=False)
    assert "config.lock" in blocked.stderr
    run = run_module("kubeconfig_render", {"files": [person(admin, path)], "embed": True})
    assert run.actions() == {str(path): "created"}
    lab.exec("kubectl", "--kubeconfig", str(path), "config", "set-context", "x", "--cluster", "anna", "--user", "anna")

    Path(f"{path}.lock").touch(mode=0)
    run = run_module("kubeconfig_render", {"files": [person(admin, path, "bert")], "embed": True})
    assert "somebody else is changing the kubeconfig" in run["msg"]
    assert (run["failed"], run["changed"], Path(f"{path}.lock").exists()) == (True, False, True)


def test_one_refused_file_does_not_stop_the_others(run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    paths = {name: tmp_path / name / "config" for name in ("good", "broken", "open", "nokey", "dangling")}
    for name in ("broken", "open"):
        paths[name].parent.mkdir(mode=0o700)
    paths["broken"].write_text(f"users:\n- name: x\n  user: {{token: {CANARY}\n")
    paths["open"].parent.chmod(0o777)
    files = [person(admin, path) for path in paths.values()]
    files[3]["users"][0]["user"]["client-key"] = str(tmp_path / "none.key")
    files[4]["contexts"][0]["context"]["cluster"] = "nowhere"
    run = run_module("kubeconfig_render", {"files": files, "embed": True, "on_error": "continue"}, diff=True)
    assert (run["failed"], run["changed"]) == (True, True)
    assert run["counts"]["created"] == 1
    said = {name: run.entry(str(path)).get("error", {}).get("msg", "") for name, path in paths.items()}
    assert said["good"] == ""
    assert "line 4" in said["broken"]
    assert "can be written by others" in said["open"]
    assert f"there is no file {tmp_path}/none.key" in said["nokey"]
    assert "Context 'anna' would point to cluster 'nowhere'" in said["dangling"]
    assert CANARY not in run.output
    assert "Traceback" not in run.output
    assert paths["broken"].read_text().endswith(f"{CANARY}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.update(path="relative/config"), "not the absolute path"),
        (lambda file: file["users"].append(file["users"][0]), "the user 'anna' is named twice"),
        (lambda file: file["users"][0]["user"].update(tokn=CANARY), "tokn"),
        (lambda file: file["users"][0].update(behavior="merg"), "merg"),
        (lambda file: file.update(mode="0644"), "mode '0644'"),
    ],
)
def test_mistakes_end_the_task_before_anything_is_written(
    run_module: Any, admin: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    wrong = person(admin, tmp_path / "wrong" / "config")
    change(wrong)
    files = [person(admin, tmp_path / "good" / "config"), wrong]
    run = run_module("kubeconfig_render", {"files": files, "embed": True, "on_error": "continue"})
    assert run["failed"]
    assert said in run["msg"]
    assert not (tmp_path / "good").exists()


def test_a_refused_login_fails_the_entry_and_says_so(run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    wanted = person(admin, tmp_path / "config")
    wanted["users"][0]["user"] = {"token": CANARY}
    run = run_module("kubeconfig_render", {"files": [wanted], "embed": True, "verify": "login"}, diff=True)
    entry = run.entry(wanted["path"])
    assert (run["changed"], entry["action"], entry["error"]["code"]) == (True, "failed", "denied")
    assert entry["applied"] == [f"create {wanted['path']}"]
    assert CANARY not in run.output


def test_files_are_given_to_their_owner_and_removed(run_module: Any, admin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "home" / ".kube" / "config"
    options = {"files": [person(admin, path, owner="nobody", group="nogroup")], "embed": True}
    run_module("kubeconfig_render", options)
    for each in (path.parent, path):
        assert (each.owner(), each.group()) == ("nobody", "nogroup")
    path.chmod(0o644)
    mended = run_module("kubeconfig_render", options)
    assert mended.entry(str(path))["reason"] == "mode was 0644"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for action in ("removed", "unchanged"):
        run = run_module("kubeconfig_render", {**options, "state": "absent"})
        assert run.actions() == {str(path): action}
    assert list(path.parent.iterdir()) == []


def python_env() -> dict[str, str]:
    """The environment of a Python process that imports the collection."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
