# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: whole pairs at every moment, nothing of others touched, one run at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters import folder_lock
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.pair_store import LedgerFile, PairStore
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Conflict, Refused

V1, V2 = "20261124T120000Z-0123456789ab", "20261124T130000Z-0123456789ab"


class Killed(BaseException):
    """Stands for a SIGKILL."""


def store(folder: Path) -> PairStore:
    made = PairStore(str(folder / "people"), patience=0.3)
    made.read("anna")
    return made


def fill(pairs: PairStore, version: str = V1) -> None:
    pairs.prepare("anna", version, b"key of " + version.encode(), b"{}")
    pairs.install("anna", version, f"certificate of {version}")
    pairs.settle("anna")


def test_the_links_never_change_and_lead_to_the_present_pair(tmp_path: Path) -> None:
    pairs = store(tmp_path)
    fill(pairs)
    links = {name: os.readlink(tmp_path / "people" / name) for name in ("anna.key", "anna.crt")}
    fill(pairs, V2)
    assert {name: os.readlink(tmp_path / "people" / name) for name in links} == links
    assert (tmp_path / "people" / "anna.key").read_text() == f"key of {V2}"
    assert (tmp_path / "people" / "anna.crt").read_text() == f"certificate of {V2}"
    assert pairs.read("anna").others == ()


def test_files_and_folders_are_for_the_owner_only(tmp_path: Path) -> None:
    fill(store(tmp_path))
    for path in (tmp_path / "people").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_kill_at_any_system_call_leaves_one_whole_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of a renewal that changes something, and some that look, is where a run may end."""
    names = ("rename", "symlink", "open", "unlink", "mkdir", "rmdir", "fsync", "readlink")
    for stop_at in range(200):
        folder = tmp_path / str(stop_at)
        fill(store(folder))
        pairs, calls = store(folder), iter(range(1000))

        def mortal(original: object) -> object:
            def call(*args: object, **kwargs: object) -> object:
                if next(calls) == stop_at:  # noqa: B023 - used within this turn only
                    raise Killed
                return original(*args, **kwargs)  # type: ignore[operator]

            return call

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, mortal(getattr(os, name)))
            try:
                fill(pairs, V2)
                ended = True
            except Killed:
                ended = False
        del pairs
        key, certificate = ((folder / "people" / f"anna.{suffix}").read_text() for suffix in ("key", "crt"))
        assert key.removeprefix("key of ") == certificate.removeprefix("certificate of ")
        if ended:
            break
        fill(store(folder), "20261124T140000Z-0123456789ab")  # and the next run can go on
    else:
        raise AssertionError("the run never came to its end")
    assert stop_at > 20


def test_what_must_not_be_lost_is_on_disk_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and all folders on the way to it when ``prepare`` returns, the certificate before the link is turned."""
    pairs, brought = store(tmp_path), set()
    fsync, turn = os.fsync, os.symlink

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        brought.add(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", noting)
    pairs.prepare("anna", V1, b"key", b"{}")
    folder = f"{tmp_path}/people/.pairs"
    key = {folder, f"{folder}/anna", f"{folder}/anna/{V1}", f"{folder}/anna/{V1}/tls.key", f"{folder}/anna/{V1}/request.json"}
    assert key <= brought
    assert (tmp_path / "people/.pairs/anna" / V1 / "tls.crt").read_bytes() == b""  # so its name is on disk by now
    needed = {f"{folder}/anna/{V1}/tls.crt"}

    def turning(target: str, name: str, **place: int) -> None:
        assert needed <= brought
        turn(target, name, **place)

    brought.clear()
    monkeypatch.setattr(os, "symlink", turning)
    pairs.install("anna", V1, "certificate")
    brought.clear()
    pairs.settle("anna")
    assert {f"{folder}/anna", f"{tmp_path}/people"} <= brought

    # One that a killed run began, of which nobody knows how much is on disk.
    pairs.prepare("anna", V2, b"key", b"{}")
    del pairs
    brought.clear()
    needed = {path.replace(V1, V2) for path in key | needed}
    again = store(tmp_path)
    again.keep("anna", V2)
    assert {path.replace(V1, V2) for path in key} <= brought
    brought.clear()
    again.install("anna", V2, "certificate")


def test_a_file_where_a_link_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir(mode=0o700)
    (tmp_path / "people" / "anna.key").write_text("mine")
    with pytest.raises(Refused, match=r"anna\.key is a file of its own"):
        store(tmp_path)


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    fill(store(tmp_path))
    current = tmp_path / "people" / ".pairs" / "anna" / "current"
    current.unlink()
    current.symlink_to("/etc")
    with pytest.raises(Refused, match="did not make"):
        store(tmp_path)


def test_a_folder_that_others_may_write_in_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people").chmod(0o777)
    with pytest.raises(Refused, match="written by others"):
        fill(store(tmp_path))


def test_two_runs_do_not_write_at_the_same_time(tmp_path: Path) -> None:
    first, second, third = store(tmp_path), store(tmp_path), store(tmp_path)
    fill(first)
    with pytest.raises(Conflict, match="Another run is writing"):
        fill(second, V2)
    del first
    with pytest.raises(Conflict, match="another run changed"):
        fill(third, V2)


def test_a_run_waits_for_another_one_once_and_not_for_each_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = store(tmp_path), store(tmp_path)
    second.read("bert")
    fill(first)
    pauses: list[float] = []
    monkeypatch.setattr(folder_lock.time, "sleep", pauses.append)
    waited = []
    for name in ("anna", "bert"):
        with pytest.raises(Conflict, match="Another run is writing"):
            second.prepare(name, V2, b"key", b"{}")
        waited.append(len(pauses))
    assert waited[0] > 0 and waited[1] == waited[0]


def test_removing_leaves_nothing_of_the_person_and_all_of_the_others(tmp_path: Path) -> None:
    pairs = store(tmp_path)
    pairs.read("bert")
    fill(pairs)
    pairs.prepare("bert", V1, b"k", b"{}")
    pairs.drop("anna")
    assert sorted(path.name for path in (tmp_path / "people").rglob("*")) == [
        ".lock",
        ".pairs",
        V1,
        "bert",
        "request.json",
        "tls.crt",
        "tls.key",
    ]


def test_a_torn_last_line_of_the_ledger_is_closed(tmp_path: Path) -> None:
    ledger = LedgerFile(str(tmp_path))
    assert ledger.read() == b""
    ledger.append(b"one\n")
    with Path(ledger.path).open("ab") as stream:
        stream.write(b"tor")
    ledger.append(b"two\n")
    assert ledger.read() == b"one\ntor\ntwo\n"
    assert Path(ledger.path).stat().st_mode & 0o777 == 0o600


def foreign_folder(place: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, 65534, 65534)


def group_writable(place: Path) -> None:
    place.mkdir()
    place.chmod(0o770)


def foreign_link(place: Path) -> None:
    (place.parent / "elsewhere").mkdir(mode=0o700)
    place.symlink_to("elsewhere")
    os.chown(place, 65534, 65534, follow_symlinks=False)


@pytest.mark.parametrize("make", [foreign_folder, group_writable, foreign_link])
@pytest.mark.parametrize("above", ["", "deep/er"])
def test_no_key_is_written_below_what_others_can_change(tmp_path: Path, make: Callable[[Path], None], above: str) -> None:
    make(tmp_path / "people")
    root = tmp_path / "people" / above
    pairs = PairStore(str(root), patience=0.3)

    def read_and_fill() -> None:
        pairs.read("anna")
        fill(pairs)

    with pytest.raises(Refused):
        read_and_fill()
    with pytest.raises(Refused):
        LedgerFile(str(root)).append(b"line\n")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_system_that_folds_case_cannot_mix_two_people(tmp_path: Path) -> None:
    """Names are lower case; what stands there in another spelling, as such a file system shows it, is refused."""
    (tmp_path / "people").mkdir(mode=0o700)
    (tmp_path / "people" / "anna.key").write_text("of Anna, made by hand")
    with pytest.raises(Refused, match="a file of its own"):
        store(tmp_path)


def test_an_older_pair_that_a_kill_left_is_removed(tmp_path: Path) -> None:
    pairs = store(tmp_path)
    fill(pairs)
    fill(pairs, V2)
    old = tmp_path / "people" / ".pairs" / "anna" / V1
    old.mkdir(mode=0o700)
    (old / "tls.key").write_bytes(b"old")
    assert pairs.read("anna").untidy == "an older pair was left over"
    pairs.settle("anna")
    assert not old.exists() and pairs.read("anna").untidy == ""
