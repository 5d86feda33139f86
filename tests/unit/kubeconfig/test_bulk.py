# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand files with certificate and key inside, on a real folder: 3 s of work to write, 1 s when nothing changes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out
from ansible_collections.kubestead.platform.plugins.module_utils._flows.kubeconfig_render import Outside, RenderFlow

COUNT = 1000


def wanted(folder: Path, number: int) -> dict[str, Any]:
    name = f"person{number}"
    authority = {"server": "https://127.0.0.1:6443", "certificate-authority": str(folder / "cert")}
    user = {"client-certificate": str(folder / "cert"), "client-key": str(folder / "key")}
    sections = {"clusters": authority, "users": user, "contexts": {"cluster": name, "user": name}}
    entries = {key: [{"name": name, "behavior": "merge", key[:-1]: value}] for key, value in sections.items()}
    return {"path": str(folder / "out" / name), "current_context": name, **entries}


def test_a_thousand_files(tmp_path: Path) -> None:
    for name, label in (("cert", "CERTIFICATE"), ("key", "PRIVATE KEY")):
        (tmp_path / name).write_text(f"-----BEGIN {label}-----\n{'A' * 1500}\n-----END {label}-----\n")
    params = {"files": [wanted(tmp_path, number) for number in range(COUNT)], "state": "present", "embed": True}
    params.update(expected_files=[], verify="none", concurrency=8, on_error="stop")
    outside = Outside(SecretFiles(), KubeconfigLocks(), connect=NotImplemented)
    for written, seconds in ((COUNT, 3.0), (0, 1.0)):
        started = time.process_time()
        flow = RenderFlow.from_params(params, outside, check_mode=False)
        run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
        assert len(run.done) == written
        assert time.process_time() - started < seconds
