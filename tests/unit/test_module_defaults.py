# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One `module_defaults` entry serves our Kubernetes modules and those of kubernetes.core."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "https://127.0.0.1:9"  # the discard port: nothing listens, so a module names it in its error


def test_the_action_group_reaches_both_collections(tmp_path: Path) -> None:
    grants = [{"subjects": {"users": ["anna"]}, "cluster_role": "view", "scope": "cluster"}]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/kubestead.platform.k8s": {"host": NOBODY, "api_key": "invented", "validate_certs": False}},
        "tasks": [
            {"kubestead.platform.rbac_grant": {"owner": "x", "grants": grants}, "ignore_errors": True, "register": "ours"},
            {"kubernetes.core.k8s_info": {"kind": "Pod"}, "ignore_errors": True, "register": "theirs"},
            {"ansible.builtin.assert": {"that": ["'127.0.0.1:9' in ours.msg", "'port=9' in theirs.msg"]}},
        ],
    }
    book = tmp_path / "book.yml"
    book.write_text(yaml.safe_dump([play]), encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(book)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
