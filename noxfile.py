# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# /// script
# dependencies = ["nox", "antsibull-nox"]
# ///
"""Lint, documentation, licence and build checks by antsibull-nox, and ansible-test's sanity tests without a container."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from types import SimpleNamespace

import antsibull_nox
import nox
from ansible_test._internal import python_requirements

ROOT = Path(__file__).parent.resolve()
CACHE = ROOT / ".cache"
PINS = ROOT / "requirements.txt"
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

nox.options.envdir = str(CACHE / "nox")
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

# Sessions install the pinned versions, and find kubernetes.core where PyPI's `ansible` put it: beside the tools.
os.environ["PIP_CONSTRAINT"] = str(PINS)
os.environ["ANSIBLE_COLLECTIONS_PATH"] = sysconfig.get_path("purelib")

antsibull_nox.load_antsibull_nox_toml()


@nox.session(default=True, venv_backend="none")
def sanity(session: nox.Session) -> None:
    """Run `ansible-test sanity --local` on a copy of the committed and new files. Arguments: tests to run."""
    (CACHE / "sanity").mkdir(parents=True, exist_ok=True)
    lock = (CACHE / "sanity" / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits, or it would take the copy away from the first
    copy = fresh_copy(CACHE / "sanity" / "ansible_collections" / "kubestead" / "platform")
    home = CACHE / "sanity" / "home"
    offer_pip(home / ".ansible" / "test" / "cache")
    tests = [word for name in session.posargs for word in ("--test", name)]
    with session.chdir(copy):
        session.run(
            "ansible-test",
            "sanity",
            "--local",
            "--color",
            "--python",
            THIS_PYTHON,
            *tests,
            env={"HOME": str(home), "ANSIBLE_HOME": "", "ANSIBLE_CONFIG": "", "PIP_CONSTRAINT": "", "PYTHONPATH": ""},
            external=True,
        )


def fresh_copy(place: Path) -> Path:
    """The files git knows or would add, as real files: ansible-test does not accept a symlinked tree."""
    shutil.rmtree(place, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, place / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # A repository of its own, or ansible-test asks ours, which ignores everything in .cache.
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    return place


def offer_pip(cache: Path) -> None:
    """Put a pip bootstrap script of our own where ansible-test looks before it fetches one from a fixed address.

    Ours lets the pip beside the tools install the wanted version into the new environment, like any other package.
    """
    version = python_requirements.get_venv_packages(SimpleNamespace(version=THIS_PYTHON))["pip"]
    cache.mkdir(parents=True, exist_ok=True)
    script = cache / f"get_pip_{version.replace('.', '_')}.py"
    script.write_text(
        textwrap.dedent(
            f"""\
            import subprocess, sys
            wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
            sys.exit(subprocess.call([{sys.executable!r}, "-m", "pip", "--python", sys.executable, "install", *wanted]))
            """
        ),
        encoding="utf-8",
    )
