# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage commands of a node: lsblk, wipefs and LVM, in the C locale and never without a time limit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from typing import Callable

from .._core.errors import BackendFailed
from .._disks.parsers import TABLE_OF

# Runs a command with a time limit in seconds and a text on its standard input: exit status, standard output, standard error.
RunCommand = Callable[[Sequence[str], float, str], "tuple[int, str, str]"]

READ_TIMEOUT = 60.0
WRITE_TIMEOUT = 180.0
LINE_TIMEOUT = 10.0
TIMED_OUT = 124
NOT_FOUND = 127
# What LVM's shell splits or takes for a comment, or its line editor for a key.
_UNFIT = re.compile(r"""[^!-~]|['"]|^#|^$""")
_LVM_JSON = ("--reportformat", "json", "--units", "b", "--nosuffix")
_PV = "pv_name,pv_uuid,vg_name,vg_uuid,pv_pe_count"
_VG = "vg_name,vg_uuid,vg_tags,vg_extent_size,vg_extent_count,vg_missing_pv_count"
_LV = "vg_name,vg_uuid,lv_name,lv_size,lv_tags,lv_attr"
_PARTS = {"pv": _PV, "vg": _VG, "lv": _LV, "pvseg": f"{_PV},pvseg_start,pvseg_size,lv_name,seg_start_pe", "seg": "seg_start_pe"}
_REPORTS = {
    "lsblk": ("lsblk", "--json", "--bytes", "--output", "NAME,KNAME,TYPE,SIZE,RO,RM,ROTA,MOUNTPOINT,MAJ:MIN"),
    "fullreport": (
        *("lvm", "fullreport", *_LVM_JSON),
        *(word for part, fields in _PARTS.items() for word in ("--configreport", part, "--options", fields)),
    ),
    "vgs": ("vgs", *_LVM_JSON, "--options", _VG),
    "lvs": ("lvs", *_LVM_JSON, "--options", _LV),
}
_WIPEFS = ("wipefs", "--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,UUID,LABEL,USAGE")
_WIPEFS_TABLE = ("wipefs", "--no-act", "--parsable")


class LvmCli:
    """Implements the ``Commands`` port by a callable that runs commands."""

    def __init__(self, run: RunCommand) -> None:
        self._run = run

    def report(self, name: str) -> str:
        """A JSON report."""
        return self._checked(_REPORTS[name], READ_TIMEOUT)

    def signatures(self, paths: Sequence[str]) -> str:
        """wipefs' JSON report; where it writes none (before util-linux 2.33), a table per device."""
        argv = (*_WIPEFS, *paths)
        status, out, err = self._run(argv, READ_TIMEOUT, "")
        if status == 1 and "option" in err and "json" in err:
            return "".join(f"{TABLE_OF}{path}\n{self._checked((*_WIPEFS_TABLE, path), READ_TIMEOUT)}\n" for path in paths)
        return self._told(argv, READ_TIMEOUT, status, out, err)

    def write(self, argv: Sequence[str], script: str = "") -> None:
        """A command that changes something."""
        self._checked(argv, WRITE_TIMEOUT, script)

    def write_all(self, lines: Sequence[Sequence[str]]) -> None:
        """LVM's own shell, told the commands on its standard input, which costs one start of a process.

        It goes on after a command that failed, ends with status 0 whatever happened, and reads the answer to a question from
        the same input: hence ``-qq``, by which every question is answered with no. A command with a word that the shell would
        not take as it is, is left out.
        """
        script = "".join(f"{words[0]} -qq {' '.join(words[1:])}\n" for words in lines if not any(map(_UNFIT.search, words)))
        self._run(("lvm",), WRITE_TIMEOUT + LINE_TIMEOUT * len(lines), script)

    def settle(self) -> None:
        """Whoever still waits for a device afterwards finds out himself, hence no error where udev is late or missing."""
        self._run(("udevadm", "settle", "--timeout=10"), READ_TIMEOUT, "")

    def _checked(self, argv: Sequence[str], timeout: float, script: str = "") -> str:
        return self._told(argv, timeout, *self._run(argv, timeout, script))

    def _told(self, argv: Sequence[str], timeout: float, status: int, out: str, err: str) -> str:
        if status == 0:
            return out
        shown = " ".join(argv)
        if status == TIMED_OUT:
            raise BackendFailed(
                f"`{shown}` did not end within {timeout:.0f} seconds and was stopped.",
                hint="Is udev running on the node? Without it, device-mapper waits for ever.",
            )
        if status == NOT_FOUND:
            raise BackendFailed(f"The node has no {argv[0]} command.", hint="Install lvm2 and util-linux.")
        said = " ".join(err.split()) or " ".join(out.split()) or "no message"
        raise BackendFailed(f"`{shown}` failed with status {status}: {said[:500]}", status=status)


def run_command(argv: Sequence[str], timeout: float, text: str = "") -> tuple[int, str, str]:
    """Runs a command without a shell; its whole process group is ended when the time is over."""
    path = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
    # LVM's shell keeps a history of its commands in the home folder, where there is one.
    environment = {"PATH": path, "LC_ALL": "C", "LANGUAGE": "C", "HOME": "/dev/null", "LVM_SUPPRESS_FD_WARNINGS": "1"}
    try:
        # run_command of ansible.module_utils can neither end a process group nor stop waiting.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as exc:
        return NOT_FOUND, "", str(exc)
    try:
        out, err = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return TIMED_OUT, "", ""
    return process.returncode, out, err
