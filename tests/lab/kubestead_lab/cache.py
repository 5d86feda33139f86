# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artefacts that take long to build. A stamp written last, with sizes and checksums, tells a whole one from a half one."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab.commands import write
from kubestead_lab.errors import LabError

STAMP = "complete.json"
_KEEP_SECONDS = 14 * 24 * 3600


def recipe_key(facts: Mapping[str, str]) -> str:
    """A short name for everything that decides what comes out of a build."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Artefact:
    """A folder in the cache, named by what it is and by its recipe."""

    root: Path
    name: str
    key: str

    @property
    def folder(self) -> Path:
        return self.root / f"{self.name}-{self.key}"


def file_facts(path: Path) -> dict[str, int | str]:
    """What the stamp remembers of one file."""
    state = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": digest}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path != folder / STAMP:
            yield path


def seal(folder: Path) -> None:
    """Write the stamp; from here on the artefact counts as whole."""
    facts = {str(path.relative_to(folder)): file_facts(path) for path in _files(folder)}
    write(folder / STAMP, json.dumps(facts, indent=1, sort_keys=True))


def is_whole(folder: Path) -> bool:
    """Whether the stamp is there and every file is as it says. The checksum is read only where size and time leave a doubt."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        return bool(stamp) and all(_unchanged(folder / name, facts) for name, facts in stamp.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _unchanged(path: Path, facts: Mapping[str, int | str]) -> bool:
    state = path.stat()
    if state.st_size != facts["size"]:
        return False
    return state.st_mtime_ns == facts["mtime_ns"] or file_facts(path)["sha256"] == facts["sha256"]


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold a lock file; the kernel drops it if we die, and children never inherit it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_tree(folder: Path) -> None:
    """Delete a folder, but never through a mount that a killed build left in it."""
    if not folder.exists():
        return
    inside = f"{folder.resolve()}/"
    with open("/proc/self/mountinfo") as mounts:
        if any(line.split()[4].startswith(inside) for line in mounts):
            raise LabError(
                f"Something is still mounted below {folder}.", hint="Unmount it (see /proc/self/mountinfo) and try again."
            )
    shutil.rmtree(folder)


def _forget_old(artefact: Artefact) -> None:
    """Delete builds of the same thing by other recipes that nobody has used for a while."""
    for stamp in artefact.root.glob(f"{artefact.name}-*/{STAMP}"):
        if time.time() - stamp.stat().st_mtime > _KEEP_SECONDS:
            remove_tree(stamp.parent)


def ensure(artefact: Artefact, builder: Callable[[Path], None]) -> Path:
    """The artefact's folder: as it is if whole, else built aside and moved into place."""
    if is_whole(artefact.folder):
        os.utime(artefact.folder / STAMP)
        return artefact.folder
    with exclusively(artefact.root / f".{artefact.name}.lock"):
        if is_whole(artefact.folder):
            return artefact.folder
        for leftover in artefact.root.glob(f".{artefact.name}.building-*"):
            remove_tree(leftover)
        fresh = Path(tempfile.mkdtemp(prefix=f".{artefact.name}.building-", dir=artefact.root))
        builder(fresh)
        seal(fresh)
        remove_tree(artefact.folder)
        os.chmod(fresh, 0o755)
        os.replace(fresh, artefact.folder)
        _forget_old(artefact)
    return artefact.folder
