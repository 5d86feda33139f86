# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs with certificate and key inside, written in this process: `bare`, `ours` or `again`, how many, in which folder.

`pairs` makes the folder with that many keys and certificates. Prints what was measured as one line of JSON.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, count, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.modules.kubeconfig_render import wire

from fakes.kubeconfig_world import DEFAULTS
from fakes.pairs import new_pair


def pairs(number: int, folder: Path) -> dict[str, Any]:
    """Keys and certificates as an earlier task would have left them."""
    folder.mkdir(parents=True, mode=0o700)
    end = datetime.now(timezone.utc) + timedelta(days=90)
    for index in range(number):
        for kind, content in zip(("crt", "key"), new_pair(f"person{index}", end)):
            (folder / f"{index}.{kind}").write_bytes(content)
    (folder / "ca.crt").write_bytes(new_pair("ca", end)[0])
    return {"made": number}


def bare(number: int, folder: Path) -> dict[str, Any]:
    """The least a program can do: read, encode, write beside, bring to disk, rename. No merge, no lock, no check."""
    out = folder / "bare"
    out.mkdir(mode=0o700)
    for index in range(number):
        read: Callable[[str], str] = lambda name: base64.b64encode((folder / name).read_bytes()).decode()  # noqa: E731
        cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": read("ca.crt")}
        user = {"client-certificate-data": read(f"{index}.crt"), "client-key-data": read(f"{index}.key")}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "prod", "cluster": cluster}],
            "users": [{"name": f"person{index}", "user": user}],
            "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": f"person{index}"}}],
            "current-context": "prod",
        }
        temporary = out / f".{index}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yaml.dump(document, stream, Dumper=yaml.CSafeDumper)
            stream.flush()
            os.fsync(descriptor)
        temporary.rename(out / f"{index}.config")
    return {"written": number}


def ours(files: list[dict[str, Any]]) -> dict[str, Any]:
    """The module's work from parsed parameters to the result."""
    flow = wire({"files": files, **DEFAULTS, "embed": True, "concurrency": 8, "on_error": "stop"}, False)
    run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
    return dict(count([entry_dict(verdict) for verdict in settle(run)]))


def wanted(index: int, folder: Path) -> dict[str, Any]:
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority": str(folder / "ca.crt")}
    user = {"client-certificate": str(folder / f"{index}.crt"), "client-key": str(folder / f"{index}.key")}
    name = f"person{index}"
    return {
        "path": str(folder / "ours" / f"{index}.config"),
        "clusters": [{"name": "prod", "behavior": "merge", "cluster": cluster}],
        "users": [{"name": name, "behavior": "merge", "user": user}],
        "contexts": [{"name": "prod", "behavior": "merge", "context": {"cluster": "prod", "user": name}}],
        "current_context": "prod",
    }


def main() -> None:
    verb, number, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    files = [wanted(index, folder) for index in range(number)]
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "pairs": lambda: pairs(number, folder),
        "bare": lambda: bare(number, folder),
        "ours": lambda: ours(files),
        "again": lambda: ours(files),
    }
    begin, busy = time.monotonic(), time.process_time()
    told = works[verb]()
    told.update(seconds=time.monotonic() - begin, busy=time.process_time() - busy)
    told["mebibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


if __name__ == "__main__":
    main()
