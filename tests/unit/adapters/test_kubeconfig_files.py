# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfig files on a real folder: links, extended attributes, backups, and what a killed run leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.file_backups import FileBackups
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.leftovers import Leftovers
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import StoredFile

STORE = SecretFiles(follow_links=True)
NOBODY = 65534
STAMP = "20270101T120000Z"
# Holds the lock, has a temporary file half written, and is killed there.
KILLED = """
import os, sys, time
from ansible_collections.kubestead.platform.plugins.module_utils._adapters import secret_file
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_lock import KubeconfigLocks
def stuck(*_arguments, **_named):
    print("writing", flush=True)
    time.sleep(300)
secret_file.os.rename = stuck
with KubeconfigLocks().hold(sys.argv[1]):
    secret_file.SecretFiles().write(sys.argv[1], b"token: secret")
"""


def found(path: Path) -> StoredFile:
    stored = STORE.find(str(path))
    assert stored is not None
    return stored


def test_a_link_of_ours_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "real" / "config").write_text("old")
    (tmp_path / "config").symlink_to("real/config")
    STORE.write(str(tmp_path / "config"), b"new", mode=0o600)
    assert found(tmp_path / "config").content == b"new"
    assert (tmp_path / "config").is_symlink()
    assert (tmp_path / "real" / "config").read_bytes() == b"new"
    assert STORE.remove(str(tmp_path / "config"))
    assert [each.name for each in tmp_path.rglob("*")] == ["real"]


def test_a_link_that_leads_nowhere_makes_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(tmp_path / "later" / "config")
    assert STORE.find(str(tmp_path / "config")) is None
    STORE.write(str(tmp_path / "config"), b"new")
    assert (tmp_path / "later" / "config").read_bytes() == b"new"


def test_a_link_of_somebody_else_is_refused_and_its_target_untouched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (tmp_path / "shadow").write_text("root's")
    (home / "config").symlink_to(tmp_path / "shadow")
    for path in (home, home / "config"):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        STORE.find(str(home / "config"), owner="nobody")
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        STORE.write(str(home / "config"), b"new", owner="nobody")
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        STORE.remove(str(home / "config"), owner="nobody")
    assert (tmp_path / "shadow").read_text() == "root's"


def test_a_link_into_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "config").symlink_to(tmp_path / "open" / "config")
    with pytest.raises(Refused, match="can be written by others"):
        STORE.write(str(tmp_path / "config"), b"new")


def test_owner_group_and_attributes_are_those_of_the_file_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0o640)
    kept = {"security.selinux": b"system_u:object_r:user_home_t:s0", "user.note": b"by hand"}
    for name, value in kept.items():
        os.setxattr(path, name, value)
    STORE.write(str(path), b"new")
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == kept
    assert (path.owner(), path.stat().st_mode & 0o777, path.read_bytes()) == ("nobody", 0o640, b"new")


def test_backups_are_private_counted_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    backups = FileBackups(STORE)
    (tmp_path / "config.mine.backup").write_text("not ours")
    for number in range(4):
        STORE.write(str(path), f"version {number}".encode(), mode=0o640)
        made = backups.keep(str(path), found(path), STAMP, count=3)
    assert made == f"{path}.{STAMP}-3.backup"
    kept = sorted(each for each in tmp_path.iterdir() if STAMP in each.name)
    assert [each.read_text() for each in kept] == ["version 1", "version 2", "version 3"]
    assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}
    backups.drop(str(path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["config", "config.mine.backup"]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A kubeconfig whose writer was killed between writing its temporary file and the rename."""
    path = tmp_path / "config"
    path.write_text("old")
    path.chmod(0o600)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".config.*.tmp"))) == 1
    return path


def test_what_a_killed_writer_left_is_found_and_swept_under_the_lock(killed: Path) -> None:
    leftovers = Leftovers()
    assert killed.read_text() == "old"
    assert leftovers.find([(str(killed), None)]) == {str(killed): True}  # its lock says so
    (killed.parent / "config.lock").unlink()
    assert leftovers.find([(str(killed), None)]) == {str(killed): False}  # perhaps somebody is writing it just now
    age(next(killed.parent.glob(".config.*.tmp")))
    assert leftovers.find([(str(killed), None)]) == {str(killed): True}
    with KubeconfigLocks().hold(str(killed)):
        leftovers.sweep(str(killed))
    assert [each.name for each in killed.parent.iterdir()] == ["config"]


def test_what_others_made_look_like_litter_is_not_ours_to_remove(killed: Path) -> None:
    for each in killed.parent.iterdir():
        os.chown(each, NOBODY, NOBODY)
    age(next(killed.parent.glob(".config.*.tmp")))
    assert Leftovers().find([(str(killed), None)]) == {}
    Leftovers().sweep(str(killed))
    assert len(list(killed.parent.iterdir())) == 3


def test_nothing_else_is_swept(tmp_path: Path) -> None:
    kept = [".other.0123456789ab.tmp", ".config.0123456789xy.tmp", ".config.tmp", "config.0123456789ab.tmp"]
    live = ".config.lock.0123456789ab.tmp"  # somebody is about to take the lock
    for name in (*kept, live, ".config.0123456789ab.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / ".config.ba9876543210.tmp").symlink_to(tmp_path / kept[0])
    Leftovers().sweep(str(tmp_path / "config"))
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*kept, live, ".config.ba9876543210.tmp"])
    age(tmp_path / live)
    Leftovers().sweep(str(tmp_path / "config"))
    assert not (tmp_path / live).exists()


def test_leftovers_beside_what_a_link_leads_to_are_found(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "config").symlink_to("real/prod")
    (tmp_path / "real" / ".prod.0123456789ab.tmp").write_text("token: secret")
    path = str(tmp_path / "config")
    assert list(Leftovers().find([(path, None)])) == [path]
    Leftovers().sweep(path)
    assert list((tmp_path / "real").iterdir()) == []


def test_a_folder_that_cannot_be_looked_into_has_no_leftovers(tmp_path: Path) -> None:
    paths: list[tuple[str, Any]] = [(str(tmp_path / "none" / "config"), None), ("/proc/1/root/config/x", None)]
    assert Leftovers().find(paths) == {}


def age(path: Path) -> None:
    """Make a file look as if nobody had written it for two minutes."""
    os.utime(path, (time.time() - 120, time.time() - 120))
