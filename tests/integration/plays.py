# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook's run says, as the json callback tells it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class PlayRun:
    """One run."""

    status: int
    document: dict[str, Any] = field(repr=False)
    output: str = field(repr=False)

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Self:
        """The run of a command that has ended."""
        begin = done.stdout.find("{\n")
        assert begin >= 0, done.stdout + done.stderr
        document, _end = json.JSONDecoder().raw_decode(done.stdout[begin:])
        return cls(done.returncode, document, done.stdout + done.stderr)

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and result of every task on every host."""
        for play in self.document["plays"]:
            for task in play["tasks"]:
                for result in task["hosts"].values():
                    yield task["task"]["name"], result

    def failures(self) -> list[str]:
        """What the failed tasks say."""
        return [f"{name}: {result.get('msg')}" for name, result in self.tasks() if result.get("failed")]

    def facts(self, name: str) -> list[Any]:
        """The values that a fact was set to."""
        return [result["ansible_facts"][name] for _task, result in self.tasks() if name in result.get("ansible_facts", {})]

    def recap(self) -> dict[str, dict[str, int]]:
        """The last lines."""
        return dict(self.document["stats"])
