# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module without ansible-playbook around it: ``{"module": name, "arguments": {…}}`` on standard input."""

from __future__ import annotations

import importlib
import json
import sys

from ansible.module_utils.testing import patch_module_args


def main() -> None:
    task = json.load(sys.stdin)
    module = importlib.import_module(f"ansible_collections.kubestead.platform.plugins.modules.{task['module']}")
    with patch_module_args(task["arguments"]):
        module.main()


if __name__ == "__main__":
    main()
