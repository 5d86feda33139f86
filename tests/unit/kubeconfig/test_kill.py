# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run killed at each of its steps on the file system: the kubeconfig is whole, and the next run finishes and tidies up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec
from ansible_collections.kubestead.platform.plugins.modules.kubeconfig_render import wire

from fakes.kubeconfig_world import DEFAULTS, person

STEPS = ("open", "link", "unlink", "rename", "fsync", "fchmod", "mkdir")
OLD = b"# by hand\nusers: [{name: theirs, user: {token: theirs}}]\n"
MOST = 200


def run(path: Path, **options: Any) -> int:
    """One run of the module's work; how many files it changed."""
    params = {"files": [person("anna", path=str(path))], **DEFAULTS, "concurrency": 1, **options}
    flow = wire(params, False)
    done = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
    assert all(outcome.error is None for outcome in done.outcomes), done.outcomes
    return len(done.done)


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether the work, done by a child, came to its step of that number, where it was killed."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **named)

            return step

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    _child, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(("old", "options"), [(None, {}), (OLD, {}), (OLD, {"backup": True, "backup_count": 2})])
def test_a_run_killed_at_any_step_is_finished_by_the_next(tmp_path: Path, old: bytes | None, options: dict[str, Any]) -> None:
    tried = 0
    for number in range(1, MOST):
        folder = tmp_path / str(number)
        path = folder / "config"
        if old is not None:
            folder.mkdir(mode=0o700)
            path.write_bytes(old)
            path.chmod(0o600)
        if not killed_at(number, lambda path=path: run(path, **options)):  # type: ignore[misc]
            break
        tried += 1
        if path.exists() and path.read_bytes() != old:
            names(path)
        run(path, **options)
        assert names(path) == (["anna"] if old is None else ["theirs", "anna"])
        for each in folder.iterdir():
            os.utime(each, (time.time() - 120, time.time() - 120))
        assert run(path, **options) in (0, 1)
        assert run(path, **options) == 0
        assert [each.name for each in folder.iterdir() if not each.name.endswith(".backup")] == ["config"], number
        assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
    assert 20 < tried < MOST - 1
    print(f"kill points: {tried}")


def names(path: Path) -> list[str]:
    return [each["name"] for each in codec.load(path.read_bytes())["users"]]
