# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grants: our module, a bare client of equal concurrency and kubernetes.core.k8s, in the same run.

BENCH_GRANTS="2000 200" sets how many grants over how many namespaces, BENCH_GRANTS_LOOP how many the loop of
kubernetes.core.k8s makes; it takes as long for each, so its time for all is reckoned from those. What Ansible needs before any
task and what API server and etcd need for the creations is measured too: no client can be faster than these.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bare_client import Api
from measure import ROOT, Row, table, timed
from prepare import stock_python

sys.path.insert(0, str(ROOT / "tests/lab"))
from kubestead_lab import control_plane
from kubestead_lab.settings import lab_from

GRANTS, PLACES = (int(word) for word in os.environ.get("BENCH_GRANTS", "2000 200").split())
LOOP = int(os.environ.get("BENCH_GRANTS_LOOP", "20"))
CONCURRENCY = 8
MARK = f"bench-{os.getpid()}"
RBAC = "rbac.authorization.k8s.io"


def place(number: int) -> str:
    return f"{MARK}-{number % PLACES}"


def body(who: str, number: int) -> dict[str, Any]:
    """A binding as a bare client writes it."""
    name = f"{who}-{number}"
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": place(number), "labels": {"by": who}},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": name}],
    }


def floor() -> None:
    """Inside the lab: make the namespaces, then time nothing but the creations."""
    api = Api(os.environ["KUBECONFIG"])
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        spaces = [{"metadata": {"name": f"{sys.argv[2]}-{number}"}} for number in range(PLACES)]
        list(pool.map(lambda one: api.call("POST", "/api/v1/namespaces", one), spaces))
        bodies = [body("bare", number) for number in range(GRANTS)]
        for number, one in enumerate(bodies):
            one["metadata"]["namespace"] = f"{sys.argv[2]}-{number % PLACES}"
        begin = time.monotonic()
        path = f"/apis/{RBAC}/v1/namespaces/{{}}/rolebindings"
        list(pool.map(lambda one: api.call("POST", path.format(one["metadata"]["namespace"]), one), bodies))
    print(json.dumps({"seconds": time.monotonic() - begin}))


def clean() -> None:
    """Inside the lab: the namespaces take all bindings with them."""
    api = Api(os.environ["KUBECONFIG"])
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda number: api.call("DELETE", f"/api/v1/namespaces/{sys.argv[2]}-{number}"), range(PLACES)))


def serving() -> float:
    """Seconds of CPU that the API server and etcd have used so far."""
    control = control_plane.daemons(lab_from(os.environ, ROOT))
    ticks = 0
    for daemon in control[:2]:
        spent = Path(f"/proc/{daemon.pid()}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        ticks += int(spent[11]) + int(spent[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def playbook(folder: Path, name: str, task: dict[str, Any], python: str) -> list[str]:
    """The command for a play of one task."""
    path = folder / f"{name}.json"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    path.write_text(json.dumps([{**play, "vars": {"ansible_python_interpreter": python}}]), encoding="utf-8")
    return ["ansible-playbook", "-i", "localhost,", str(path)]


def ours(folder: Path) -> list[Row]:
    """The module in a process of its own, as it runs on a target, and a whole play around it."""
    alone, booked = ({"owner": MARK, "grants": wanted(who), "concurrency": CONCURRENCY} for who in ("ours", "book"))
    before = serving()
    created = module_alone(folder, alone, "creates")
    served = serving() - before
    unchanged = module_alone(folder, alone, "again")
    empty, _printed = timed(
        "playbook with an empty list",
        playbook(folder, "empty", {"kubestead.platform.rbac_grant": {**booked, "grants": []}}, sys.executable),
    )
    command = playbook(folder, "ours", {"kubestead.platform.rbac_grant": booked}, sys.executable)
    first, _printed = timed(f"playbook with rbac_grant, {GRANTS} grants", command)
    again, printed = timed(f"playbook with rbac_grant again, {GRANTS} grants", command)
    return [
        Row("grants", "rbac_grant", GRANTS, created, f"API server and etcd: {served:.1f} s of CPU"),
        Row("grants, nothing to do", "rbac_grant", GRANTS, unchanged, "the module's process"),
        Row("grants", "rbac_grant in a play", GRANTS, first, "with ansible-playbook"),
        Row(
            "grants, nothing to do", "rbac_grant in a play", GRANTS, again, "changed=0" if "changed=0" in printed else "CHANGED"
        ),
        Row("nothing", "rbac_grant in a play", 1, empty, "an empty list: what Ansible itself takes"),
    ]


def wanted(who: str) -> list[dict[str, Any]]:
    return [
        {"subjects": {"users": [f"{who}-{number}"]}, "cluster_role": "edit", "namespaces": [place(number)]}
        for number in range(GRANTS)
    ]


def module_alone(folder: Path, arguments: dict[str, Any], what: str) -> float:
    path = folder / "task.json"
    path.write_text(json.dumps({"module": "rbac_grant", "arguments": arguments}), encoding="utf-8")
    main = ROOT / "tests/integration/module_main.py"
    environment = {"PYTHONPATH": str(ROOT / ".cache/collections")}
    shell = ["bash", "-c", f"{sys.executable} {main} < {path}"]
    return timed(f"rbac_grant {what}, {GRANTS} grants", shell, env=environment)[0]


def stock(folder: Path) -> list[Row]:
    """kubernetes.core.k8s: one task with all definitions, and a loop."""
    python = str(stock_python())
    many = {"kubernetes.core.k8s": {"state": "present", "definition": [body("list", number) for number in range(GRANTS)]}}
    listed = playbook(folder, "list", many, python)
    at_once, _printed = timed(f"kubernetes.core.k8s, one list of {GRANTS}", listed)
    once_more, _printed = timed(f"kubernetes.core.k8s again, one list of {GRANTS}", listed)
    one = {
        "kubernetes.core.k8s": {"state": "present", "definition": "{{ item }}"},
        "loop": [body("loop", n) for n in range(LOOP)],
    }
    looped, _printed = timed(f"kubernetes.core.k8s, loop of {LOOP}", playbook(folder, "loop", one, python))
    return [
        Row("grants", "k8s, one list", GRANTS, at_once, "with ansible-playbook"),
        Row("grants, nothing to do", "k8s, one list", GRANTS, once_more, "with ansible-playbook"),
        Row("grants", "k8s, loop", LOOP, looped, f"{looped / LOOP * GRANTS:.0f} s for {GRANTS}"),
    ]


def main() -> None:
    """Measure and print."""
    me = ["python", str(Path(__file__).resolve())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            _seconds, printed = timed(f"bare client, {GRANTS} grants", [*me, "floor", MARK])
            bare = Row("grants", "bare client", GRANTS, float(json.loads(printed.strip().splitlines()[-1])["seconds"]))
            rows = [bare, *ours(folder), *stock(folder)]
        finally:
            timed("clean up", [*me, "clean", MARK])
    print(table(f"Grants: {GRANTS} over {PLACES} namespaces, {CONCURRENCY} at a time", rows))
    print()
    mine, unchanged, play, again, empty, at_once, once_more = (row.seconds for row in rows[1:8])
    looped = rows[8].seconds / LOOP * GRANTS
    print(f"created: {mine / bare.seconds:.2f} × the bare client; nothing to do: {unchanged:.2f} s")
    print(f"in a play: {looped / play:.0f} × as fast as k8s in a loop, {at_once / play:.1f} × as fast as k8s with one list")
    print(f"without what Ansible itself takes: {(at_once - empty) / (play - empty):.1f} × as fast as k8s with one list,")
    print(f"with nothing to do {(once_more - empty) / (again - empty):.1f} ×, and {once_more / again:.1f} × with it")


if __name__ == "__main__":
    {"floor": floor, "clean": clean}.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
