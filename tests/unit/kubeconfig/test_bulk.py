# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand files with certificate and key inside, on a real folder. How long they take is in `make bench`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out
from ansible_collections.kubestead.platform.plugins.modules.kubeconfig_render import wire

from fakes.kubeconfig_world import DEFAULTS
from fakes.pairs import pair_for

COUNT = 1000


def wanted(folder: Path, number: int) -> dict[str, Any]:
    name = f"person{number}"
    authority = {"server": "https://127.0.0.1:6443", "certificate-authority": str(folder / "cert")}
    user = {"client-certificate": str(folder / "cert"), "client-key": str(folder / "key")}
    sections = {"clusters": authority, "users": user, "contexts": {"cluster": name, "user": name}}
    entries = {key: [{"name": name, "behavior": "merge", key[:-1]: value}] for key, value in sections.items()}
    return {"path": str(folder / "out" / name), "current_context": name, **entries}


def test_a_thousand_files(tmp_path: Path) -> None:
    for name, content in zip(("cert", "key"), pair_for("anna", time.time(), days=30)):
        (tmp_path / name).write_bytes(content)
    params = {"files": [wanted(tmp_path, number) for number in range(COUNT)], **DEFAULTS}
    params.update(embed=True, concurrency=8, on_error="stop")
    for written in (COUNT, 0):
        flow = wire(params, False)
        run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
        assert len(run.done) == written
