# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from kubestead_lab import environment, netns, nodes, parts
from kubestead_lab.cache import exclusively
from kubestead_lab.errors import LabError
from kubestead_lab.packages import need_root
from kubestead_lab.progress import say
from kubestead_lab.settings import PARTS, Lab, lab_from

# What `exec` itself failed with, so that it cannot be taken for the command's own exit code by chance.
_EXEC_FAILED = 125

_USAGE = """\
lab up [--only PARTS]      build what is missing and start what is not running
lab down [--only PARTS]    end it; caches, objects, entries and disks are kept
lab reset [--only PARTS]   back to a fresh state, and up again
lab status                 what runs, where, for how long
lab exec -- COMMAND …      run a command inside the lab
lab node start|stop|restart NAME

PARTS is a list with commas out of: control-plane, directory, directory389, nodes, ceph"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", usage=_USAGE, description=None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "down", "reset"):
        verbs.add_parser(verb).add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}")
    verbs.add_parser("status")
    node = verbs.add_parser("node")
    node.add_argument("action", choices=("start", "stop", "restart"))
    node.add_argument("name")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command; a LabError becomes one sentence and exit code 1."""
    lab = None
    try:
        lab = lab_from(os.environ, Path(__file__).resolve().parents[3])
        if argv and argv[0] == "exec":
            return _execute(lab, list(argv[1:]))
        signal.signal(signal.SIGTERM, _interrupt)
        # A plain user's PATH under sudo may lack the system's programs, such as slapd and debootstrap.
        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        return _dispatch(lab, _parser().parse_args(argv))
    except LabError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return _EXEC_FAILED if argv[:1] == ["exec"] else 1
    except KeyboardInterrupt:
        print("lab: interrupted; the next `lab up` goes on from here.", file=sys.stderr)
        # Builds in other threads are ended by the kernel with this process.
        os._exit(130)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _dispatch(lab: Lab, options: argparse.Namespace) -> int:
    if options.verb == "status":
        rows = parts.status_rows(lab)
        print(parts.table(rows))
        return 0 if all(row[2] == "up" for row in rows) else 3
    if environment.is_external(os.environ):
        say("KUBESTEAD_LAB_EXTERNAL is set: your own cluster, directory and machines are used; nothing is started or ended.")
        return 0
    need_root()
    netns.leave(lab, [str(lab.source / "lab"), *sys.argv[1:]])
    with exclusively(lab.state / "lock"):
        _change(lab, options)
    return 0


def _change(lab: Lab, options: argparse.Namespace) -> None:
    if options.verb == "node":
        _node(lab, options.action, options.name)
        return
    some = parts.chosen(options.only)
    if options.verb == "up":
        parts.up(lab, some)
        say("up: " + ", ".join(part.name for part in reversed(some)))
    elif options.verb == "reset":
        parts.reset(lab, some)
        say("fresh: " + ", ".join(part.name for part in reversed(some)))
    else:
        parts.down(lab, some)
        say("down: " + ", ".join(part.name for part in some))


def _node(lab: Lab, action: str, name: str) -> None:
    node = nodes.by_name(name)
    if not netns.exists(lab) or not nodes.root_disk(lab, node).exists():
        raise LabError(f"{name} has never been started.", hint="Run `tests/lab/lab up --only nodes` first.")
    if action in ("stop", "restart"):
        nodes.halt(lab, node)
    if action in ("start", "restart"):
        netns.ensure_taps(lab)
        nodes.boot(lab, node)
    say(f"{name}: {action} done")


def _execute(lab: Lab, command: list[str]) -> int:
    """Become the command. Exit code, standard streams and arguments are its own."""
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise LabError("There is no command to run.", hint="For example: tests/lab/lab exec -- kubectl get nodes")
    settings = environment.for_command(lab, os.environ)
    if not environment.is_external(os.environ):
        need_root()
        if not netns.exists(lab):
            raise LabError("The lab is not up.", hint="Run `tests/lab/lab up` first.")
        command = netns.inside(lab, *command)
    try:
        os.execvpe(command[0], command, settings)
    except OSError as problem:
        raise LabError(f"Could not run {command[0]}: {problem.strerror}.") from problem
