# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every client reads what kubeconfig_render writes, as it was meant: kubectl (Go), Python and JavaScript."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.modules.kubeconfig_render import wire
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kubernetes.config import kube_config

from fakes.kubeconfig_world import DEFAULTS
from integration.downloads import javascript_client
from scale import scaled

ROOT = Path(__file__).resolve().parents[2]
# Words that some YAML reader takes for a boolean, a null, a number, a date or for YAML itself.
NAMES = [
    *("n", "N", "no", "No", "y", "yes", "on", "ON", "off", "true", "False", "null", "Null", "~", "=", "<<"),
    *("1e3", "1E3", "0x1f", "0o17", "017", "08", "0b11", "1_000", "1:30", "12:30:00", ".5", "5.", "+1", "-0", ".inf", ".NaN"),
    *("2024-01-02", "2001-12-14t21:59:43.10-05:00", "99999999999999999999", "1,2"),
    *("a b: #c", "- a", "? a", "!tag", "&a", "*a", "%x", "@x", "`x`", "{a}", "[a]", "'", '"', "it's", 'say "no"', "\\n", "a\\"),
    *("😀", "é", "ß中", " lead", "trail ", "#", ": ", "|", ">", "---", "...", "anna@prod", "x" * 300),
]
JOINED_FIRST = """
clusters: [{name: red, cluster: {server: "https://first:1", certificate-authority: ca.crt}}]
users: [{name: me, user: {client-certificate: ../me.crt, client-key: me.key}}]
"""
JOINED_SECOND = """
clusters: [{name: red, cluster: {server: "https://second:1", tls-server-name: x}}, {name: b, cluster: {server: x}}]
contexts: [{name: red, context: {cluster: red, user: me}}]
current-context: red
"""
JOINED_THIRD = """
contexts: [{name: red, context: {cluster: b, user: me}}, {name: c, context: {cluster: b, user: me}}]
users:
- name: cmd
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/x, interactiveMode: Never}}
current-context: c
"""
Reader = Callable[[Path], dict[str, Any]]


def render(files: list[dict[str, Any]], **options: Any) -> tuple[Run, dict[str, dict[str, Any]]]:
    """The module's work in this process, on real files."""
    flow = wire({"files": files, **DEFAULTS, **options}, False)
    run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=flow.stop_on_error)
    return run, {entry["name"]: entry for entry in map(entry_dict, settle(run))}


def named(path: Path, names: list[str]) -> dict[str, Any]:
    """A wanted file in which every word is used as every kind of name and value."""
    after = dict(zip(names, [*names[1:], names[0]]))
    return {
        "path": str(path),
        "clusters": [{"name": n, "behavior": "merge", "cluster": {"server": "https://127.0.0.1:6443"}} for n in names],
        "users": [{"name": n, "behavior": "merge", "user": {"token": n}} for n in names],
        "contexts": [
            {"name": n, "behavior": "merge", "context": {"cluster": n, "user": after[n], "namespace": n}} for n in names
        ],
        "current_context": names[-1],
    }


def expected(names: list[str]) -> dict[str, Any]:
    after = dict(zip(names, [*names[1:], names[0]]))
    return {
        "clusters": sorted(names),
        "users": sorted([n, n] for n in names),
        "contexts": sorted([n, n, after[n], n] for n in names),
        "current": names[-1],
    }


def by_kubectl(path: Path) -> dict[str, Any]:
    command = ["kubectl", "--kubeconfig", str(path), "config", "view", "--raw", "-o", "json"]
    return of_document(json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout))


def by_python(path: Path) -> dict[str, Any]:
    contexts, current = kube_config.list_kube_config_contexts(str(path))
    merger = kube_config.KubeConfigMerger(str(path))
    view = {name: [each.value for each in merger.config[name]] for name in ("clusters", "users")}
    assert merger.config["current-context"] == current["name"]
    return of_document({**view, "contexts": contexts, "current-context": current["name"]})


def by_javascript(path: Path) -> dict[str, Any]:
    reader = javascript_client() / "reader.mjs"  # beside the client, where node looks for it
    shutil.copy(Path(__file__).with_name("kubeconfig_reader.mjs"), reader)
    done = subprocess.run(["node", str(reader), str(path)], check=True, capture_output=True, text=True, timeout=60)
    read = json.loads(done.stdout)
    return {name: sorted(value) if isinstance(value, list) else value for name, value in read.items()}


def of_document(view: dict[str, Any]) -> dict[str, Any]:
    contexts = [
        [each["name"], each["context"]["cluster"], each["context"]["user"], each["context"]["namespace"]]
        for each in view["contexts"]
    ]
    return {
        "clusters": sorted(each["name"] for each in view["clusters"]),
        "users": sorted([each["name"], each["user"]["token"]] for each in view["users"]),
        "contexts": sorted(contexts),
        "current": view["current-context"],
    }


@pytest.mark.parametrize("read", [by_kubectl, by_python, by_javascript], ids=["kubectl", "python", "javascript"])
def test_every_client_reads_the_same_names(tmp_path: Path, read: Reader) -> None:
    path = tmp_path / "config"
    _run, entries = render([named(path, NAMES)], verify="parse")
    assert entries[str(path)]["action"] == "created"
    assert read(path) == expected(NAMES)


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp")), min_size=1, max_size=8)


@settings(max_examples=scaled(12), phases=[Phase.generate], deadline=None, derandomize=True, database=None)
@given(st.lists(WORDS.filter(str.isprintable), min_size=60, max_size=60, unique=True))
def test_every_client_reads_the_same_random_names(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("names") / "config"
    render([named(path, names)])
    for read in (by_kubectl, by_python, by_javascript):
        assert read(path) == expected(names), read


def test_names_that_kubectl_wrote_stay_as_they_are_for_every_client(tmp_path: Path) -> None:
    path = tmp_path / "config"
    names = ["n", "no", "1e3", "0x1f", "~", "y", "12:30:00", "2024-01-02", "it's", "😀", "08"]
    config = ["kubectl", "--kubeconfig", str(path), "config"]
    for name in names:
        for words in (
            ["set-cluster", name, "--server=https://127.0.0.1:6443"],
            ["set-credentials", name, f"--token={name}"],
            ["set-context", name, f"--cluster={name}", f"--user={name}", f"--namespace={name}"],
        ):
            subprocess.run([*config, *words], check=True, capture_output=True, timeout=60)
    subprocess.run([*config, "use-context", "no"], check=True, capture_output=True, timeout=60)
    before = by_kubectl(path)
    wanted = {**named(path, ["anna"]), "current_context": None}
    _run, entries = render([wanted])
    assert entries[str(path)]["action"] == "updated"
    for read in (by_kubectl, by_python, by_javascript):
        after = read(path)
        assert all([each for each in after[kind] if "anna" not in each] == before[kind] for kind in ("clusters", "users"))
        assert [each for each in after["contexts"] if each[0] != "anna"] == before["contexts"]
        assert after["current"] == "no"


def test_files_are_joined_in_the_order_of_kubectl(tmp_path: Path) -> None:
    texts = [JOINED_FIRST, JOINED_SECOND, JOINED_THIRD]
    sources = []
    for number, text in enumerate(texts):
        folder = tmp_path / f"folder{number}"
        folder.mkdir(mode=0o700)
        (folder / "config").write_text(text)
        (folder / "config").chmod(0o600)
        sources.append(str(folder / "config"))
    for name in ("folder0/ca.crt", "me.crt", "folder0/me.key"):
        (tmp_path / name).write_text(f"the content of {name}")
    sources.insert(1, str(tmp_path / "missing"))
    path = tmp_path / "joined"
    _run, entries = render([{"path": str(path), "merge_from": sources}])
    assert entries[str(path)]["warnings"] == [f"merge_from {tmp_path}/missing is not there"]
    ours, theirs = (flattened(paths) for paths in (str(path), os.pathsep.join(sources)))
    command = next(each["user"]["exec"] for each in ours["users"] if each["name"] == "cmd")
    assert command["command"] == f"{tmp_path}/folder2/bin/x"
    command["command"] = "./bin/x"
    assert ours == theirs
    assert ours["current-context"] == "red"


def flattened(paths: str) -> dict[str, Any]:
    """What kubectl makes of a KUBECONFIG, with the content of the files that it points to."""
    command = ["kubectl", "config", "view", "--raw", "--flatten", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": paths}
    view = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    return {key: sorted(value, key=str) if isinstance(value, list) else value for key, value in view.items()}


def test_kubectl_agrees_with_minify_and_keeps_our_mark(tmp_path: Path) -> None:
    path, small = tmp_path / "config", tmp_path / "small"
    render([named(path, ["a", "b", "c"])], manager="people")
    render([{"path": str(small), "merge_from": [str(path)], "minify": "b"}])
    command = ["kubectl", "--kubeconfig", str(path), "--context", "b", "config", "view", "--raw", "--minify", "-o", "json"]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert by_kubectl(small) == {**of_document(theirs), "current": "b"}
    subprocess.run(["kubectl", "--kubeconfig", str(path), "config", "set-context", "a", "--namespace=x"], check=True)
    run, _entries = render([{**named(path, ["b", "c"]), "prune": True}], manager="people")
    assert len(run.done) == 1
    assert by_kubectl(path)["users"] == [["b", "b"], ["c", "c"]]
