# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of the code are kept, and a planted breach is found."""

from __future__ import annotations

from pathlib import Path

import pytest

import rooms

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"

BREACHES = {
    "arrow-to-adapter": ("module_utils/_certs/a.py", "from .._adapters.kube_api import X\n", "may not import from _adapters"),
    "arrow-between-domains": ("module_utils/_certs/a.py", "from .._rbac import grant\n", "may not import from _rbac"),
    "arrow-up": ("module_utils/_core/a.py", "from .._ansible import shell\n", "may not import from _ansible"),
    "flow-to-adapter": ("module_utils/_flows/a.py", "from .._adapters import keys\n", "may not import from _adapters"),
    "flow-of-two-domains": (
        "module_utils/_flows/a.py",
        "from .._certs import due\nfrom .._rbac import grant\n",
        "a flow serves one domain",
    ),
    "module-to-domain": ("modules/a.py", "from ..module_utils._certs import due\n", "may not import from _certs"),
    "absolute-own": (
        "module_utils/_certs/a.py",
        "from ansible_collections.kubestead.platform.plugins.module_utils._core import errors\n",
        "own code is imported relatively",
    ),
    "room-without-row": ("module_utils/_cellar/a.py", "x = 1\n", "has no row"),
    "file-without-room": ("module_utils/a.py", "from ._core import errors\n", "has no row"),
    "subprocess": ("module_utils/_disks/a.py", "import subprocess\n", "may not import subprocess"),
    "environment": ("module_utils/_disks/a.py", "from os import environ\n", "may not import os.environ"),
    "clock": ("module_utils/_certs/a.py", "import time\n", "may not import time"),
    "clock-in-a-function": ("module_utils/_flows/a.py", "def f():\n    import time\n", "may not import time"),
    "today": ("module_utils/_certs/a.py", "from datetime import datetime\nx = datetime.now()\n", "may not call now"),
    "randomness": ("module_utils/_certs/a.py", "import random\n", "may not import random"),
    "socket": ("module_utils/_directory/a.py", "import socket\n", "may not import socket"),
    "network": ("module_utils/_rook/a.py", "import urllib.request\n", "may not import urllib.request"),
    "threads": ("module_utils/_core/a.py", "from concurrent.futures import Future\n", "may not import concurrent"),
    "file": ("module_utils/_kubeconfig/a.py", "x = open('a')\n", "may not call open"),
    "fail_json": ("module_utils/_adapters/a.py", "def f(m):\n    m.fail_json(msg='no')\n", "only _ansible may call fail_json"),
    "exit_json": ("modules/a.py", "def f(m):\n    m.exit_json()\n", "only _ansible may call exit_json"),
    "foreign-library": (
        "module_utils/_adapters/a.py",
        "try:\n    import requests\nexcept ImportError:\n    pass\n",
        "requests",
    ),
    "library-in-the-wrong-room": ("module_utils/_rbac/a.py", "def f():\n    import yaml\n", "_rbac may not use yaml"),
    "part-of-a-library": ("module_utils/_directory/a.py", "def f():\n    import ldap3\n", "_directory may not use ldap3"),
    "unguarded": ("module_utils/_adapters/a.py", "import ldap3\n", "without a guard"),
    "ansible-outside": ("module_utils/_adapters/a.py", "from ansible.module_utils.basic import AnsibleModule\n", "ansible"),
}


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_every_file_keeps_to_its_room(path: Path) -> None:
    assert list(rooms.file_breaches(path, PLUGINS)) == []


@pytest.mark.parametrize("name", BREACHES)
def test_a_planted_breach_is_found(name: str, tmp_path: Path) -> None:
    place, text, complaint = BREACHES[name]
    planted = tmp_path / place
    planted.parent.mkdir(parents=True)
    planted.write_text(text, encoding="utf-8")
    found = rooms.breaches(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("module_utils/_core/pool.py", "import threading\n"),
        ("module_utils/_kubeconfig/a.py", "try:\n    import yaml\nexcept ImportError:\n    pass\n"),
        ("module_utils/_adapters/a.py", "import contextlib\nwith contextlib.suppress(ImportError):\n    import yaml\n"),
        ("module_utils/_directory/a.py", "try:\n    from ldap3.utils.dn import safe_rdn\nexcept ImportError:\n    pass\n"),
        ("module_utils/_certs/a.py", "def f():\n    from cryptography import x509\n"),
        ("module_utils/_adapters/a.py", "import os\nimport time\nx = open('a')\n"),
        ("module_utils/_ansible/a.py", "from ansible.module_utils.basic import AnsibleModule\ndef f(m):\n    m.exit_json()\n"),
        ("module_utils/_disks/a.py", "from urllib.parse import quote\nfrom posixpath import join\n"),
    ],
)
def test_what_the_table_allows_passes(place: str, text: str, tmp_path: Path) -> None:
    allowed = tmp_path / place
    allowed.parent.mkdir(parents=True)
    allowed.write_text(text, encoding="utf-8")
    assert rooms.breaches(tmp_path) == []


def test_a_node_needs_nothing_but_python_for_disks() -> None:
    for path in (PLUGINS / "modules").glob("lvm_*.py"):
        assert rooms.foreign_libraries(path, PLUGINS) == set(), path.name


def test_a_library_deep_in_a_disk_module_is_found(tmp_path: Path) -> None:
    files = {
        "modules/lvm_x.py": "from ..module_utils._flows.x import run\nfrom ansible.module_utils.basic import AnsibleModule\n",
        "module_utils/_flows/x.py": "from .._disks import parse\n",
        "module_utils/_disks/__init__.py": "",
        "module_utils/_disks/parse.py": "def f():\n    import yaml\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert rooms.foreign_libraries(tmp_path / "modules/lvm_x.py", tmp_path) == {"yaml"}
