# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules one after another, each in a fork of its own, so that the imports are paid for once.

Standard input: one ``{"module": name, "arguments": {…}}`` a line; standard output: one ``{"status", "printed"}`` a line.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from typing import Any

from ansible.module_utils.testing import patch_module_args


def run(task: dict[str, Any], output: int) -> None:
    """The module's main in this process, which ends with it."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    module = importlib.import_module(f"ansible_collections.kubestead.platform.plugins.modules.{task['module']}")
    with patch_module_args(task["arguments"]):
        module.main()


def serve(line: str) -> dict[str, Any]:
    """One task in a fork."""
    task = json.loads(line)
    importlib.import_module(f"ansible_collections.kubestead.platform.plugins.modules.{task['module']}")
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(task, output.fileno())
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                os._exit(code)
        _pid, status = os.waitpid(child, 0)
        output.seek(0)
        return {"status": os.waitstatus_to_exitcode(status), "printed": output.read().decode("utf-8", "replace")}


def main() -> None:
    importlib.import_module("ldap3")  # once here, not in every fork
    for line in sys.stdin:
        print(json.dumps(serve(line)), flush=True)


if __name__ == "__main__":
    main()
