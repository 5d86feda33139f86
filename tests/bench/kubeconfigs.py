# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfig files: kubeconfig_render against a bare program that only writes, and against kubernetes.core in a loop.

Ours is timed inside the module's process, from parsed parameters to the result; `busy` is its own processor time.
BENCH_KUBECONFIGS="1000 10000" sets the sizes, BENCH_STOCK=10 the number the loop gets.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from measure import ROOT, Row, fresh_disk, table, timed
from prepare import stock_python

SIZES = [int(word) for word in os.environ.get("BENCH_KUBECONFIGS", "1000 10000").split()]
STOCK = int(os.environ.get("BENCH_STOCK", "10"))
CLIENT = str(ROOT / "tests/bench/kubeconfigs_client.py")


def inside(title: str, verb: str, number: int, folder: Path) -> dict[str, Any]:
    """One measurement in a process of its own; what it printed."""
    path = {"PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in (".cache/collections", "tests/unit"))}
    _seconds, printed = timed(title, [sys.executable, CLIENT, verb, str(number), str(folder)], env=path)
    return dict(json.loads(printed.strip().splitlines()[-1]))


def measure(number: int, base: Path) -> tuple[list[Row], str]:
    """All rows for one size, and the ratio."""
    folder = base / str(number)
    inside(f"keys for {number} kubeconfigs", "pairs", number, folder)
    bare = inside(f"bare program, {number} kubeconfigs", "bare", number, folder)
    first = inside(f"kubeconfig_render, {number} kubeconfigs", "ours", number, folder)
    again = inside(f"kubeconfig_render again, {number} kubeconfigs", "again", number, folder)
    rows = [
        Row("write", "bare program", number, bare["seconds"], f"busy {bare['busy']:.2f} s"),
        Row("write", "kubeconfig_render", number, first["seconds"], noted(first)),
        Row("nothing to do", "kubeconfig_render", number, again["seconds"], noted(again)),
    ]
    said = f"{number}: writing takes {first['seconds'] / bare['seconds']:.2f} × the bare program"
    return rows, f"{said}; made {first['created']}, then {again['created'] + again['updated']} changed"


def noted(told: dict[str, Any]) -> str:
    return f"busy {told['busy']:.2f} s, memory {told['mebibytes']:.0f} MiB"


def stock(number: int, base: Path) -> tuple[float, float]:
    """Seconds of the stock loop for the first run and for a run that changes nothing, without the start of the playbook."""
    seconds = []
    for title, count in (("no kubeconfig", 0), ("first", number), ("again", number)):
        variables = {"count": count, "folder": str(base / "stock"), "ansible_python_interpreter": str(stock_python())}
        command = ["ansible-playbook", str(ROOT / "tests/bench/stock_kubeconfigs.yml"), "-e", json.dumps(variables)]
        seconds.append(timed(f"stock loop, {title}", command)[0])
    return seconds[1] - seconds[0], seconds[2] - seconds[0]


def main() -> None:
    """Measure and print."""
    rows: list[Row] = []
    ratios: list[str] = []
    with fresh_disk() as base:
        for number in SIZES:
            more, said = measure(number, base)
            rows += more
            ratios.append(said)
        first, again = stock(STOCK, base)
    ours, unchanged = rows[1], rows[2]
    rows += [
        Row("write", "kubernetes.core, loop", STOCK, first, "no embedding, no lock, no mode"),
        Row("nothing to do", "kubernetes.core, loop", STOCK, again),
    ]
    print(table("Kubeconfig files with certificate and key inside", rows))
    print()
    print("\n".join(ratios))
    print(f"against the stock loop, per file: {first / STOCK / (ours.seconds / ours.number):.0f} times as fast to write,")
    print(f"{again / STOCK / (unchanged.seconds / unchanged.number):.0f} times as fast with nothing to do")


if __name__ == "__main__":
    main()
