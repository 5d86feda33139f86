# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the storage commands: what is asked of them, and what becomes of their failures."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.lvm_cli import LvmCli, run_command
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed
from ansible_collections.kubestead.platform.plugins.module_utils._disks import parsers


def answering(status: int, out: str = "", err: str = "") -> tuple[LvmCli, list[list[str]]]:
    asked: list[list[str]] = []

    def run(argv: Sequence[str], timeout: float, _text: str = "") -> tuple[int, str, str]:
        assert timeout > 0
        asked.append(list(argv))
        return status, out, err

    return LvmCli(run), asked


@pytest.mark.parametrize("name", ["lsblk", "fullreport", "vgs", "lvs"])
def test_reports_are_json_in_bytes_without_units(name: str) -> None:
    cli, asked = answering(0, "{}")
    assert cli.report(name) == "{}"
    words = asked[0]
    assert name in words[:2]
    assert {"--json", "--bytes"} <= set(words) or {"json", "b", "--nosuffix"} <= set(words)


def test_signatures_are_asked_of_all_devices_at_once_and_nothing_is_written() -> None:
    cli, asked = answering(0, "{}")
    cli.signatures(["/dev/sda", "/dev/sdb"])
    assert asked == [[*asked[0][:-2], "/dev/sda", "/dev/sdb"]]
    assert "--no-act" in asked[0]


@pytest.mark.parametrize(
    ("status", "words"),
    [(5, "`pvcreate /dev/sda` failed with status 5: a b"), (124, "did not end within"), (127, "has no pvcreate command")],
)
def test_a_failure_is_told_in_words(status: int, words: str) -> None:
    cli, _asked = answering(status, err="a\n  b\n")
    with pytest.raises(BackendFailed) as caught:
        cli.write(["pvcreate", "/dev/sda"])
    assert words in str(caught.value)


@pytest.mark.parametrize("status", [0, 1, 127])
def test_udev_is_waited_for_and_nothing_said_where_it_is_late_or_missing(status: int) -> None:
    cli, asked = answering(status)
    cli.settle()
    assert asked == [["udevadm", "settle", "--timeout=10"]]


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    begun = time.monotonic()
    assert run_command(["sh", "-c", "sleep 30 & wait"], 0.2)[0] == 124
    assert time.monotonic() - begun < 10


def test_commands_see_the_c_locale_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("SECRET", "x")
    status, out, err = run_command(["sh", "-c", 'cat; echo "$LC_ALL$SECRET"; echo no >&2; exit 3'], 10)
    assert (status, out, err) == (3, "C\n", "no\n")


def test_a_command_is_told_a_text_on_its_standard_input() -> None:
    assert run_command(["cat"], 10, "label: gpt\n") == (0, "label: gpt\n", "")


def test_a_command_that_is_not_there_is_told_apart() -> None:
    assert run_command(["no-such-command-here"], 1)[0] == 127


def test_many_commands_of_lvm_are_told_to_one_process_and_none_is_answered_yes() -> None:
    told: list[tuple[list[str], str]] = []

    def run(argv: Sequence[str], timeout: float, text: str) -> tuple[int, str, str]:
        assert timeout > 180
        told.append((list(argv), text))
        return 5, "", "what failed is looked for by the caller"

    LvmCli(run).write_all(
        [["lvcreate", "--name", "a", "g"], ["lvcreate", "--name", "b c", "g"], ["vgchange", "g"], ["lvcreate", "\t"]]
    )
    assert told == [(["lvm"], "lvcreate -qq --name a g\nvgchange -qq g\n")]


def test_no_history_of_commands_is_kept_in_a_home_folder() -> None:
    assert run_command(["sh", "-c", "echo x >$HOME/.lvm_history"], 10)[0] != 0


def test_a_wipefs_without_json_is_asked_for_a_table_per_device() -> None:
    def run(argv: Sequence[str], _timeout: float, _text: str = "") -> tuple[int, str, str]:
        if "--json" in argv:
            return 1, "", "wipefs: unrecognized option '--json'\nTry 'wipefs --help' for more information."
        assert list(argv[:3]) == ["wipefs", "--no-act", "--parsable"]
        return 0, "# offset,uuid,label,type\n0x438,3f0c,,ext4\n" if argv[3] == "/dev/sda" else "", ""

    found = parsers.wipefs(LvmCli(run).signatures(["/dev/sda", "/dev/sdb"]))
    assert [(row.offset, row.type, row.uuid) for row in found["sda"]] == [(1080, "ext4", "3f0c")]
    assert list(found) == ["sda"]
