# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and groups: ldap_account against a bare client that pipelines and against the stock modules in a loop.

Every size has a place of its own in the lab's slapd. Ours is timed inside the module's process (from parsed parameters to
the result) and as a whole process; BENCH_ACCOUNTS="1000 10000" sets the sizes, BENCH_STOCK=10 the number the loop gets.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from measure import LOGS, ROOT, Row, table, timed
from prepare import stock_python

SIZES = [int(word) for word in os.environ.get("BENCH_ACCOUNTS", "1000 10000").split()]
STOCK = int(os.environ.get("BENCH_STOCK", "10"))
PER_GROUP = 20
OPERATIONS = str(ROOT / "tests/bench/accounts_client.py")


def inside(title: str, verb: str, number: int, mark: str, *, python: str = sys.executable) -> dict[str, Any]:
    """One measurement in the lab; what it printed."""
    path = {"PYTHONPATH": str(ROOT / ".cache/collections")}
    _seconds, printed = timed(title, [python, OPERATIONS, verb, str(number), mark], env=path, timeout=3600)
    return dict(json.loads(printed.strip().splitlines()[-1]))


def stock(number: int, mark: str) -> tuple[float, float]:
    """Seconds of the stock loop for the first run and for a run that changes nothing."""
    variables = {"people": number, "mark": mark, "first_uid": 700_000, "ansible_python_interpreter": str(stock_python())}
    command = ["ansible-playbook", str(ROOT / "tests/bench/stock_accounts.yml"), "-e", json.dumps(variables)]
    first, _printed = timed(f"stock loop, {number} accounts", command)
    again, _printed = timed(f"stock loop again, {number} accounts", command)
    return first, again


def measure(number: int) -> tuple[list[Row], list[str]]:
    """All rows for one size, and the ratios."""
    mark = f"b{os.getpid()}x{number}"
    bare = min(
        inside(f"bare client, {number} accounts ({time})", "bare", number, f"{mark}b{time}")["seconds"] for time in (1, 2)
    )
    first = inside(f"ldap_account, {number} accounts", "ours", number, mark)
    again = inside(f"ldap_account again, {number} accounts", "again", number, mark)
    rows = [
        Row("create", "bare client", number, bare, f"{number // PER_GROUP} groups"),
        Row("create", "ldap_account", number, first["seconds"], f"memory {first['mebibytes']:.0f} MiB"),
        Row("nothing to do", "ldap_account", number, again["seconds"], f"{again['searches']} requests, {again['pages']} pages"),
    ]
    ratio = f"{number}: creating takes {first['seconds'] / bare:.2f} × the bare client"
    return rows, [ratio + f"; nothing to do {again['seconds']:.2f} s, {again['changed']} changed"]


def main() -> None:
    """Measure and print."""
    LOGS.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    ratios: list[str] = []
    for number in SIZES:
        more, said = measure(number)
        rows += more
        ratios += said
    mark = f"b{os.getpid()}s"
    inside("a place for the stock loop", "place", 1, mark)
    first, again = stock(STOCK, mark)
    inside("cleaning up", "clean", 0, f"b{os.getpid()}")
    rows += [Row("create", "stock modules", STOCK, first), Row("nothing to do", "stock modules", STOCK, again)]
    ours = next(row for row in rows if row.by == "ldap_account" and row.number == SIZES[0])
    unchanged = next(row for row in rows if row.what == "nothing to do" and row.number == SIZES[0])
    print(table("Accounts and groups on slapd", rows))
    print()
    print("\n".join(ratios))
    print(f"against the stock loop, per account: {first / STOCK / (ours.seconds / ours.number):.0f} times as fast to create,")
    print(f"{again / STOCK / (unchanged.seconds / unchanged.number):.0f} times as fast with nothing to do")
    if len(SIZES) > 1:
        small, large = (next(r for r in rows if r.by == "ldap_account" and r.number == size) for size in SIZES[:2])
        growth = (large.seconds / large.number) / (small.seconds / small.number)
        print(f"from {small.number} to {large.number} accounts the time per account is multiplied by {growth:.2f}")


if __name__ == "__main__":
    main()
