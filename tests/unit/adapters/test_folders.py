# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that are kept open between two files: what happens to them meanwhile is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.safe_folder import Folders, Rules
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.secret_file import SecretFiles
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused


@pytest.fixture
def store(tmp_path: Path) -> SecretFiles:
    """A store that has already written into ``people``."""
    made = SecretFiles()
    made.write(str(tmp_path / "people" / "first"), b"1")
    return made


def test_the_second_file_needs_no_walk(tmp_path: Path) -> None:
    folders, rules = Folders(), Rules(None, None, create=True)
    with folders.destination(str(tmp_path / "people" / "first"), rules) as (walked, _name):
        pass
    opened = []
    for name in ("second", "third"):
        with folders.destination(str(tmp_path / "people" / name), rules) as (folder, found):
            assert found == name
            opened.append(folder)
    assert opened[0] == opened[1] != walked


def test_a_folder_that_was_replaced_is_walked_to_again(tmp_path: Path, store: SecretFiles) -> None:
    (tmp_path / "people").rename(tmp_path / "moved")
    store.write(str(tmp_path / "people" / "second"), b"2")
    assert (tmp_path / "people" / "second").read_bytes() == b"2"
    assert [path.name for path in (tmp_path / "moved").iterdir()] == ["first"]


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path, store: SecretFiles) -> None:
    (tmp_path / "people" / "first").unlink()
    (tmp_path / "people").rmdir()
    store.write(str(tmp_path / "people" / "second"), b"2")
    assert (tmp_path / "people").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_meanwhile_write_to_is_refused(tmp_path: Path, store: SecretFiles) -> None:
    (tmp_path / "people").chmod(0o777)
    with pytest.raises(Refused, match=r"people can be written by others \(mode 0777\)"):
        store.write(str(tmp_path / "people" / "second"), b"2")


def test_a_link_of_somebody_else_in_its_place_is_refused_wherever_it_leads(tmp_path: Path, store: SecretFiles) -> None:
    (tmp_path / "people").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / "people").symlink_to("elsewhere")
    os.lchown(tmp_path / "people", 65534, 65534)
    with pytest.raises(Refused, match="symbolic link made by nobody"):
        store.write(str(tmp_path / "people" / "second"), b"2")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_is_kept_for_one_owner_does_not_count_for_another(tmp_path: Path) -> None:
    store = SecretFiles()
    store.write(str(tmp_path / "home" / "key"), b"x", owner="65534")
    with pytest.raises(Refused, match="belongs to nobody"):
        store.write(str(tmp_path / "home" / "other"), b"x")


class TestSources:
    """Files that are read: their folder is kept open too, and what happens to it or to the files is noticed as well."""

    @pytest.fixture
    def reader(self, tmp_path: Path) -> SecretFiles:
        """A store that has already read from ``people``."""
        (tmp_path / "people").mkdir(0o700)
        for name in ("first", "second"):
            (tmp_path / "people" / name).write_text(name)
        made = SecretFiles()
        assert made.read(str(tmp_path / "people" / "first")) == b"first"
        return made

    def test_the_second_file_needs_no_walk(self, tmp_path: Path, reader: SecretFiles, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[object] = []
        real = os.open
        monkeypatch.setattr(os, "open", lambda path, *rest, **named: (opened.append(path), real(path, *rest, **named))[1])
        assert reader.read(str(tmp_path / "people" / "second")) == b"second"
        assert reader.read(str(tmp_path / "people" / "third")) is None
        assert opened == ["second", "third"]

    def test_a_folder_that_was_replaced_is_walked_to_again(self, tmp_path: Path, reader: SecretFiles) -> None:
        (tmp_path / "people").rename(tmp_path / "moved")
        (tmp_path / "people").mkdir(0o700)
        (tmp_path / "people" / "second").write_text("new")
        assert reader.read(str(tmp_path / "people" / "second")) == b"new"

    def test_a_link_of_somebody_else_in_its_place_is_refused(self, tmp_path: Path, reader: SecretFiles) -> None:
        (tmp_path / "people").rename(tmp_path / "moved")
        (tmp_path / "elsewhere").mkdir(0o700)
        (tmp_path / "people").symlink_to("elsewhere")
        os.lchown(tmp_path / "people", 65534, 65534)
        with pytest.raises(Refused, match="symbolic link made by nobody"):
            reader.read(str(tmp_path / "people" / "second"))

    @pytest.mark.parametrize("target", ["second", "../people/second", "{folder}/second"])
    def test_a_link_in_it_counts_when_it_is_ours(self, tmp_path: Path, reader: SecretFiles, target: str) -> None:
        link = tmp_path / "people" / "link"
        link.symlink_to(target.format(folder=tmp_path / "people"))
        assert reader.read(str(link)) == b"second"
        os.lchown(link, 65534, 65534)
        with pytest.raises(Refused, match="symbolic link made by nobody"):
            reader.read(str(link))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 70_000])
def test_a_source_is_read_in_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    assert SecretFiles().read(str(tmp_path / "source")) == content


def test_a_source_that_does_not_say_its_size_is_read_in_whole() -> None:
    assert SecretFiles().read("/proc/self/mountinfo") == Path("/proc/self/mountinfo").read_bytes()


def test_a_source_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "source").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(Refused, match="larger than 16 MiB"):
        SecretFiles().read(str(tmp_path / "source"))


def test_many_folders_do_not_use_up_the_files_a_process_may_open(tmp_path: Path) -> None:
    store, before = SecretFiles(), len(os.listdir("/proc/self/fd"))
    for number in range(300):
        store.write(str(tmp_path / str(number) / "key"), b"x")
    assert len(os.listdir("/proc/self/fd")) - before <= 64
    del store
    assert len(os.listdir("/proc/self/fd")) <= before
