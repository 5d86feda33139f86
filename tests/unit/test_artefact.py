# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-galaxy collection build` would ship."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WANTED = {
    "README.md",
    "meta/runtime.yml",
    "plugins/module_utils/_core/plan.py",
    "LICENSES/GPL-3.0-or-later.txt",
    "CHANGELOG.md",
}
ALLOWED_TOP = set(
    "CHANGELOG.md COPYING FILES.json LICENSES MANIFEST.json README.md REUSE.toml changelogs docs extensions meta playbooks "
    "plugins roles".split()
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the artefact, built from the files git knows plus litter that must stay out."""
    place = tmp_path_factory.mktemp("build") / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in (name for name in listed.split("\0") if (ROOT / name).is_file()):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    for litter in (
        ".cache/venv/x",
        ".nox/x",
        "tests/lab/x",
        "plugins/modules/__pycache__/x.pyc",
        ".ansible/x",
        "old-0.0.1.tar.gz",
    ):
        (place / litter).parent.mkdir(parents=True, exist_ok=True)
        (place / litter).write_text("litter", encoding="utf-8")
    command = [
        str(Path(sys.executable).parent / "ansible-galaxy"),
        "collection",
        "build",
        "--output-path",
        str(place.parent),
        str(place),
    ]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "ANSIBLE_HOME": str(place.parent / "home")})
    with tarfile.open(place.parent / "kubestead-platform-0.1.0.tar.gz") as artefact:
        return set(artefact.getnames())


def test_it_holds_the_collection(shipped: set[str]) -> None:
    assert shipped >= WANTED


def test_it_holds_nothing_else(shipped: set[str]) -> None:
    tops = {name.split("/")[0] for name in shipped}
    assert tops <= ALLOWED_TOP
    assert not [name for name in shipped if name.endswith(".pyc") or "__pycache__" in name]
