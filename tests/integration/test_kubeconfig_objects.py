# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig_render on Secrets and ConfigMaps of the real API, with the rights it documents, and with nothing told."""

from __future__ import annotations

import base64
import json
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

RIGHTS = "get,list,create,patch,delete"
WRITER = """
import json, sys
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out
from ansible_collections.kubestead.platform.plugins.modules.kubeconfig_render import wire
from fakes.kubeconfig_world import DEFAULTS
place, name = json.loads(sys.argv[1]), sys.argv[2]
for number in range(12):
    user = {"name": f"{name}{number}", "behavior": "merge", "user": {"token": "t"}}
    flow = wire({"files": [{"secret": place, "users": [user]}], **DEFAULTS}, False)
    run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
    assert len(run.done) == 1, [outcome.error for outcome in run.outcomes]
"""


@pytest.fixture
def space(lab: Any) -> Iterator[str]:
    """A namespace for one test."""
    name = f"kubeconfigs-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", name)
    yield name
    lab.kubectl("delete", "namespace", name, "--wait=false")


def wanted(lab: Any, token: str, **more: Any) -> dict[str, Any]:
    view = json.loads(lab.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").stdout)
    cluster = view["clusters"][0]["cluster"]
    return {
        "clusters": [{"name": "no", "cluster": cluster}],
        "users": [{"name": "1e3", "user": {"token": token}}],
        "contexts": [{"name": "~", "context": {"cluster": "no", "user": "1e3"}}],
        "current_context": "~",
        **more,
    }


def held(lab: Any, space: str, name: str, key: str = "kubeconfig") -> bytes:
    found = json.loads(lab.kubectl("get", "secret", "-n", space, name, "-o", "json").stdout)
    return base64.b64decode(found["data"][key])


def test_a_secret_is_made_changed_left_alone_and_removed(lab: Any, run_module: Any, space: str, tmp_path: Path) -> None:
    lab.kubectl("create", "serviceaccount", "anna", "-n", space)
    token = lab.kubectl("create", "token", "anna", "-n", space).stdout.strip()
    lab.kubectl("create", "secret", "generic", "both", "-n", space, "--from-literal=theirs=kept")
    names = ("both", "ours")
    entries = [f"secret {space}/{name} kubeconfig" for name in names]
    files = [wanted(lab, token, secret={"namespace": space, "name": name}) for name in names]
    options = {"files": files, "verify": "login"}
    foretold = run_module("kubeconfig_render", options, check=True, diff=True)
    made = run_module("kubeconfig_render", options, diff=True)
    assert made.actions() == foretold.actions() == dict.fromkeys(entries, "created")
    assert made["diff"] == foretold["diff"]
    assert token not in made.output
    login = {"user": f"system:serviceaccount:{space}:anna", "context": "~"}
    assert {**made.entry(entries[0])["logins"][0], **login} == made.entry(entries[0])["logins"][0]
    (tmp_path / "config").write_bytes(held(lab, space, "ours"))
    (tmp_path / "config").chmod(0o600)
    assert f"{space}:anna" in lab.exec("kubectl", "--kubeconfig", str(tmp_path / "config"), "auth", "whoami").stdout
    assert run_module("kubeconfig_render", options).actions() == dict.fromkeys(entries, "unchanged")
    removed = run_module("kubeconfig_render", {**options, "state": "absent"})
    assert removed.actions() == dict.fromkeys(entries, "removed")
    assert held(lab, space, "both", "theirs") == b"kept"
    assert lab.kubectl("get", "secret", "-n", space, "ours", check=False).returncode != 0


def test_controllers_beside_each_other_lose_nothing(lab: Any, space: str) -> None:
    place = json.dumps({"namespace": space, "name": "shared", "key": "config"})
    env = {"PYTHONPATH": ":".join(each for each in sys.path if each)}
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(lab.exec, sys.executable, "-c", WRITER, place, name, env=env) for name in "abc"]
        assert [run.result().returncode for run in runs] == [0, 0, 0]
    assert len(yaml.safe_load(held(lab, space, "shared", "config"))["users"]) == 3 * 12


def test_a_configmap_holds_nothing_private(lab: Any, run_module: Any, space: str) -> None:
    file = wanted(lab, "hush-token-51", configmap={"namespace": space, "name": "login"})
    refused = run_module("kubeconfig_render", {"files": [file]}, diff=True)
    assert refused.entry(f"configmap {space}/login kubeconfig")["error"]["code"] == "refused"
    assert "hush-token-51" not in refused.output
    file["users"][0]["user"] = {"oidc": {"issuer_url": "https://sso.example", "client_id": "kubernetes"}}
    assert run_module("kubeconfig_render", {"files": [file]})["changed"]
    text = json.loads(lab.kubectl("get", "configmap", "-n", space, "login", "-o", "json").stdout)["data"]["kubeconfig"]
    assert yaml.safe_load(text)["users"][0]["user"]["exec"]["command"] == "kubectl"


def test_the_documented_rights_are_enough_and_one_less_is_named(lab: Any, run_module: Any, space: str) -> None:
    lab.kubectl("create", "serviceaccount", "robot", "-n", space)
    token = lab.kubectl("create", "token", "robot", "-n", space).stdout.strip()
    server = wanted(lab, token)["clusters"][0]["cluster"]
    ca = base64.b64decode(server["certificate-authority-data"]).decode()
    login = {"host": server["server"], "api_key": token, "ca_cert_content": ca}
    files = [wanted(lab, "a-token-of-nobody", secret={"namespace": space, "name": name}) for name in ("a", "b")]
    lab.kubectl("create", "rolebinding", "robot", "-n", space, "--role=robot", f"--serviceaccount={space}:robot")
    for verbs, state, action in (
        ("get,list", "present", "failed"),
        (RIGHTS, "present", "created"),
        (RIGHTS, "absent", "removed"),
    ):
        lab.kubectl("delete", "role", "robot", "-n", space, "--ignore-not-found")
        lab.kubectl("create", "role", "robot", "-n", space, f"--verb={verbs}", "--resource=secrets")
        run = run_module("kubeconfig_render", {"files": files, "state": state, "on_error": "continue", **login})
        assert set(run.actions().values()) == {action}
        if action == "failed":
            assert "create" in run.entry(f"secret {space}/a kubeconfig")["error"]["hint"]


def test_no_secret_is_told_while_it_works(lab: Any, run_module: Any, space: str, tmp_path: Path) -> None:
    secrets = {name: f"canary-{name}-{uuid.uuid4().hex}" for name in ("token", "password", "env", "client", "key")}
    (tmp_path / "key").write_text(f"-----BEGIN PRIVATE KEY-----\n{secrets['key']}\n-----END PRIVATE KEY-----\n")
    (tmp_path / "crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    exec_env = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "x",
        "env": [{"name": "A", "value": secrets["env"]}],
    }
    oidc = {"issuer_url": "https://sso.example", "client_id": "k", "client_secret": secrets["client"]}
    values = [
        {"token": secrets["token"]},
        {"username": "u", "password": secrets["password"]},
        {"exec": exec_env},
        {"oidc": oidc},
    ]
    users = [{"name": f"user{number}", "user": value} for number, value in enumerate(values)]
    places: list[dict[str, Any]] = [{"path": str(tmp_path / "out" / "config")}, {"secret": {"namespace": space, "name": "a"}}]
    places += [{"configmap": {"namespace": space, "name": "a"}}, {"path": str(tmp_path / "out" / "pair")}]
    files = [{**place, "users": users} for place in places]
    files[3]["users"] = [
        {"name": "p", "user": {"client-certificate": str(tmp_path / "crt"), "client-key": str(tmp_path / "key")}}
    ]
    seen: set[str] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=watch_arguments, args=(stop, seen))
    watcher.start()
    try:
        run = run_module(
            "kubeconfig_render", {"files": files, "embed": True, "on_error": "continue"}, diff=True, options=["-vvvv"]
        )
    finally:
        stop.set()
        watcher.join()
    assert set(run.actions().values()) == {"created", "failed"}  # the ConfigMap is refused, the pair is none
    assert any("ansible-playbook" in each for each in seen)
    events = lab.kubectl("get", "events", "-n", space, "-o", "json").stdout
    for name, secret in secrets.items():
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[2:-2]):
            assert form not in run.output, name
            assert form not in events, name
            assert not any(form in each for each in seen), name
    kept = {tmp_path / "out" / "config", tmp_path / "key", tmp_path / "out" / "pair", *tmp_path.glob("run*.yml")}
    for path in {each for each in tmp_path.rglob("*") if each.is_file()} - kept:
        assert not any(secret.encode() in path.read_bytes() for secret in secrets.values()), path


def watch_arguments(stop: threading.Event, seen: set[str]) -> None:
    """Collect the arguments and the environment of every process, as long as it is not stopped."""
    while not stop.is_set():
        for name in ("cmdline", "environ"):
            for path in Path("/proc").glob(f"[0-9]*/{name}"):
                try:
                    seen.add(path.read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
        stop.wait(0.02)


def test_kubectl_logs_in_through_the_plugin_that_oidc_names(lab: Any, run_module: Any, space: str, tmp_path: Path) -> None:
    """A stand-in for kubelogin notes how it was called and answers with a token that the lab's API takes."""
    lab.kubectl("create", "serviceaccount", "bert", "-n", space)
    token = lab.kubectl("create", "token", "bert", "-n", space).stdout.strip()
    plugin = tmp_path / "bin" / "kubectl-oidc_login"
    plugin.parent.mkdir()
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/called\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    plugin.chmod(0o755)
    path = tmp_path / "config"
    file = wanted(lab, token, path=str(path))
    oidc = {"issuer_url": "https://sso.example", "client_id": "kubernetes", "extra_scopes": ["groups", "email"]}
    file["users"][0]["user"] = {"oidc": {**oidc, "grant_type": "device-code"}}
    run = run_module("kubeconfig_render", {"files": [file], "verify": "login"})
    assert "logs in by a command, which is not run" in run.entry(str(path))["warnings"][0]
    assert not (tmp_path / "called").exists()
    command = f'PATH="{plugin.parent}:$PATH" exec kubectl --kubeconfig {path} auth whoami'
    assert f"system:serviceaccount:{space}:bert" in lab.exec("sh", "-c", command).stdout
    assert (tmp_path / "called").read_text().split() == [
        "get-token",
        "--oidc-issuer-url=https://sso.example",
        "--oidc-client-id=kubernetes",
        "--oidc-extra-scope=groups",
        "--oidc-extra-scope=email",
        "--grant-type=device-code",
    ]
