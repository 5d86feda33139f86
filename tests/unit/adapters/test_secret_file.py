# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret files on a real folder: who may be in the way, what is refused. These tests give files away, as root."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput, Refused

STORE = SecretFiles()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_made_on_the_way_are_0700_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        STORE.write(str(tmp_path / "a" / "b" / "key"), b"x")
    finally:
        os.umask(before)
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/key")] == [0o700, 0o700, 0o600]


def test_a_destination_that_is_a_link_is_refused_and_its_target_untouched(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)
    for attempt in (lambda p: STORE.write(p, b"new"), STORE.find, lambda p: STORE.append(p, b"new")):
        with pytest.raises(Refused, match="symbolic link"):
            attempt(str(tmp_path / "link"))
    assert target.read_bytes() == b"old"


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    for bits in (0o770, 0o707, 0o1777):
        (tmp_path / "open").mkdir(exist_ok=True)
        (tmp_path / "open").chmod(bits)
        with pytest.raises(Refused, match="can be written by others"):
            STORE.write(str(tmp_path / "open" / "key"), b"x")


def test_an_open_folder_further_up_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    (tmp_path / "up" / "safe").mkdir(parents=True)
    (tmp_path / "up" / "safe").chmod(0o700)
    (tmp_path / "up").chmod(0o1777)
    STORE.write(str(tmp_path / "up" / "safe" / "key"), b"x")
    (tmp_path / "up").chmod(0o777)
    with pytest.raises(Refused, match=r"up can be written by others \(mode 0777\)"):
        SecretFiles().write(str(tmp_path / "up" / "safe" / "key"), b"x")


def test_a_folder_of_somebody_else_is_refused_unless_the_file_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    with pytest.raises(Refused, match="belongs to nobody") as refused:
        STORE.write(str(tmp_path / "home" / "key"), b"x")
    assert "Set the owner of the file to nobody" in refused.value.hint
    STORE.write(str(tmp_path / "home" / ".kube" / "config"), b"x", owner="nobody", group="65534")
    for part in ("home/.kube", "home/.kube/config"):
        found = (tmp_path / part).stat()
        assert (found.st_uid, found.st_gid) == (65534, 65534)


def test_a_link_of_somebody_else_on_the_way_is_refused_even_if_the_file_is_to_be_theirs(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "system").mkdir()
    (tmp_path / "home" / ".kube").symlink_to(tmp_path / "system")
    for path in (tmp_path / "home", tmp_path / "home" / ".kube"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        STORE.write(str(tmp_path / "home" / ".kube" / "config"), b"x", owner="nobody")
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        STORE.read(str(tmp_path / "home" / ".kube" / "config"))
    assert list((tmp_path / "system").iterdir()) == []


def test_in_somebodys_folder_a_hard_link_or_a_third_persons_file_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "admin.conf").write_bytes(b"secret")
    os.link(tmp_path / "admin.conf", home / "config")
    (home / "other").write_bytes(b"x")
    os.chown(home / "other", 1, 1)
    os.chown(home, 65534, 65534)
    with pytest.raises(Refused, match="hard link"):
        STORE.find(str(home / "config"), owner="nobody")
    with pytest.raises(Refused, match="belongs to"):
        STORE.find(str(home / "other"), owner="nobody")


def test_an_owner_is_kept_and_changed_on_request(tmp_path: Path) -> None:
    path = tmp_path / "key"
    STORE.write(str(path), b"1", owner="nobody")
    STORE.write(str(path), b"2")
    assert path.stat().st_uid == 65534
    found = STORE.find(str(path), owner="0")
    assert found is not None
    assert not found.as_asked
    STORE.write(str(path), b"3", owner="0")
    assert path.stat().st_uid == 0


def test_our_own_links_are_followed_when_reading_and_loops_end(tmp_path: Path) -> None:
    STORE.write(str(tmp_path / "v1" / "tls.key"), b"one")
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "anna.key").symlink_to("sub/../current/tls.key")
    (tmp_path / "sub").mkdir()
    assert STORE.read(str(tmp_path / "anna.key")) == b"one"
    STORE.write(str(tmp_path / "v2" / "tls.key"), b"two")
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("v2")
    assert STORE.read(str(tmp_path / "anna.key")) == b"two"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Refused, match="too many symbolic links"):
        STORE.read(str(tmp_path / "loop"))


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="not a regular file"):
        STORE.read(str(tmp_path / "pipe"))
    with pytest.raises(Refused, match="not a regular file"):
        STORE.write(str(tmp_path / "pipe"), b"x")


def test_lines_of_parallel_writers_stay_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.jsonl")
    lines = [f"{number:04d}".encode() * 100 + b"\n" for number in range(64)]
    threads = [threading.Thread(target=STORE.append, args=(path, line)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = STORE.read(path) or b""
    assert sorted(content.splitlines(keepends=True)) == sorted(lines)
    assert mode(Path(path)) == 0o600


def test_no_temporary_file_is_left_when_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    STORE.write(str(tmp_path / "key"), b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendFailed, match="No space left on device"):
        STORE.write(str(tmp_path / "key"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"old"


def test_names_and_paths_that_mean_nothing_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no user 'nobody-here'"):
        STORE.write(str(tmp_path / "key"), b"x", owner="nobody-here")
    with pytest.raises(BadInput, match="no group 'nobody-here'"):
        STORE.find(str(tmp_path / "key"), group="nobody-here")
    for path in ("", "/", f"{tmp_path}/", "/a\0b"):
        with pytest.raises(BadInput, match="not the path of a file"):
            STORE.write(path, b"x")
