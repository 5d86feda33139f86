# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the lab under one shape, and what is done with several of them: up, down, reset, status."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab import control_plane, directory, directory389, environment, golang, netns, nodes, packages, rook_stand_in
from kubestead_lab.errors import LabError
from kubestead_lab.procs import Daemon
from kubestead_lab.progress import say
from kubestead_lab.settings import API_PORT, LDAPS389_PORT, LDAPS_PORT, NODES, Lab

_FREE_BYTES = 8 * 2**30


@dataclass(frozen=True)
class Part:
    """One part: how it is made ready, started, ended and forgotten, and which processes it is."""

    name: str
    check: Callable[[], None]
    prepare: Callable[[Lab], None]
    start: Callable[[Lab], None]
    stop: Callable[[Lab], None]
    kill: Callable[[Lab], None]
    wipe: Callable[[Lab], None]
    daemons: Callable[[Lab], tuple[Daemon, ...]]
    addresses: tuple[str, ...]


def _nothing() -> None:
    return None


CONTROL_PLANE = Part(
    "control-plane",
    _nothing,
    control_plane.prepare,
    control_plane.start,
    control_plane.stop,
    control_plane.stop,
    control_plane.wipe,
    control_plane.daemons,
    ("127.0.0.1:2379", f"127.0.0.1:{API_PORT}", "127.0.0.1:10257"),
)
DIRECTORY = Part(
    "directory",
    _nothing,
    directory.prepare,
    directory.start,
    directory.stop,
    directory.stop,
    directory.wipe,
    lambda lab: (directory.daemon(lab),),
    (f"127.0.0.1:{LDAPS_PORT}",),
)
DIRECTORY389 = Part(
    "directory389",
    _nothing,
    directory389.prepare,
    directory389.start,
    directory389.stop,
    directory389.stop,
    directory389.wipe,
    lambda lab: (directory389.daemon(lab),),
    (f"127.0.0.1:{LDAPS389_PORT}",),
)
MACHINES = Part(
    "nodes",
    nodes.check_machine,
    nodes.prepare,
    nodes.start,
    nodes.stop,
    nodes.kill,
    nodes.wipe,
    nodes.daemons,
    tuple(node.address for node in NODES),
)
CEPH = Part(
    "ceph",
    _nothing,
    rook_stand_in.prepare,
    rook_stand_in.start,
    rook_stand_in.stop,
    rook_stand_in.stop,
    rook_stand_in.wipe,
    lambda lab: (rook_stand_in.daemon(lab),),
    (f"{NODES[0].address}:3300",),
)
# In the order of ending: the stand-in for Rook, then the machines, the control plane last.
ALL = (CEPH, MACHINES, DIRECTORY389, DIRECTORY, CONTROL_PLANE)


def chosen(names: str | None) -> tuple[Part, ...]:
    """The parts that `--only a,b` names; all without it."""
    if not names:
        return ALL
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {part.name for part in ALL}
    if wanted - known:
        raise LabError(
            f"There is no part {', '.join(sorted(wanted - known))}.", hint=f"The parts are {', '.join(sorted(known))}."
        )
    return tuple(part for part in ALL if part.name in wanted)


def _need_space(lab: Lab) -> None:
    for folder in (lab.repo, lab.cache):
        while not folder.exists():
            folder = folder.parent
        if shutil.disk_usage(folder).free < _FREE_BYTES:
            raise LabError(
                f"The lab needs 8 GiB of free disk space in {folder}.",
                hint="Disks are sparse, but builds and root images are not.",
            )


def up(lab: Lab, parts: tuple[Part, ...]) -> None:
    """Make the parts ready and start them, all at the same time; what runs already is left alone."""
    packages.need_root()
    for part in parts:
        part.check()
    _need_space(lab)
    lab.cache.mkdir(parents=True, exist_ok=True)
    packages.install(tuple(part.name for part in parts), lab.logs / "packages.log")
    netns.ensure(lab)
    environment.write_files(lab)
    jobs: dict[str, Callable[[], None]] = {part.name: _starter(lab, part) for part in parts}
    if CONTROL_PLANE in parts:
        jobs["Rook's manifests"] = lambda: golang.ensure_rook(lab)
        jobs["helm"] = lambda: golang.ensure_programs(lab, golang.HELM)
    _together(jobs)


def _starter(lab: Lab, part: Part) -> Callable[[], None]:
    def run() -> None:
        part.prepare(lab)
        part.start(lab)

    return run


def _together(jobs: dict[str, Callable[[], None]]) -> None:
    """Run them side by side. One that fails does not stop the others; all failures are told at the end."""
    failures: dict[str, Exception] = {}

    def guarded(name: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as problem:  # noqa: BLE001  (carried to the main thread, which tells or raises it)
            failures[name] = problem

    threads = [threading.Thread(target=guarded, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for problem in failures.values():
        if not isinstance(problem, LabError):
            raise problem
    if failures:
        raise LabError("\n".join(f"{name}: {problem}" for name, problem in failures.items()))


def down(lab: Lab, parts: tuple[Part, ...], *, keep_data: bool = True) -> None:
    """End the parts in order. With the last one the namespace goes, and its bridge and taps with it."""
    packages.need_root()
    for part in parts:
        if any(daemon.pid() for daemon in part.daemons(lab)):
            say(f"ending the {part.name}")
        (part.stop if keep_data else part.kill)(lab)
    if any(daemon.pid() for part in ALL for daemon in part.daemons(lab)):
        return
    for pid in netns.strangers(lab):
        say(f"process {pid} ({_command_of(pid)}) is still in the namespace; the lab did not start it and leaves it alone")
    netns.remove(lab)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()[:60]
    except OSError:
        return "just ended"


def reset(lab: Lab, parts: tuple[Part, ...]) -> None:
    """Back to the first day: no objects, no entries, blank disks. Caches stay, so this is quick."""
    down(lab, parts, keep_data=False)
    for part in parts:
        part.wipe(lab)
    up(lab, parts)


def status_rows(lab: Lab) -> list[tuple[str, str, str, str, str, str]]:
    """Part, process, state, pid, address, age."""
    rows = []
    for part in reversed(ALL):
        for daemon, address in zip(part.daemons(lab), part.addresses, strict=True):
            pid, age = daemon.pid(), daemon.age()
            rows.append((part.name, daemon.name, "up" if pid else "down", str(pid or "-"), address, _age_text(age)))
    return rows


def _age_text(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"


def table(rows: list[tuple[str, str, str, str, str, str]]) -> str:
    """Rows under a heading, each column as wide as its widest cell."""
    everything = [("PART", "PROCESS", "STATE", "PID", "ADDRESS", "AGE"), *rows]
    widths = [max(len(row[column]) for row in everything) for column in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in everything
    )
