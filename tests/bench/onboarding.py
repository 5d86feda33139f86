# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Onboarding people: our role, a bare client making the same calls, and the stock modules, all in one run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from measure import ROOT, Row, fresh_disk, table, timed
from prepare import stock_python

SIZES = [int(word) for word in os.environ.get("BENCH_PEOPLE", "20 200").split()]
STOCK_UNCHANGED_UP_TO = 20  # the stock chain takes as long for no change as for a change; once is enough to show it


def people_file(folder: Path, prefix: str, number: int) -> Path:
    """A people list as a user writes it: one group, rights in one namespace."""
    access = [{"role": "edit", "scope": "namespaces", "namespaces": ["default"]}]
    people = [
        {"name": f"{prefix}{index}", "full_name": f"Person {index}", "groups": ["bench"], "access": access}
        for index in range(number)
    ]
    path = folder / f"{prefix}.json"
    path.write_text(json.dumps({"kubestead_people": people}), encoding="utf-8")
    return path


def ours(folder: Path, number: int) -> list[Row]:
    """The role: first run, then a run that changes nothing."""
    prefix = f"ours{os.getpid()}-{number}-"
    variables = [
        f"-e@{ROOT / 'tests/lab/vars.yml'}",
        f"-e@{people_file(folder, prefix, number)}",
        f"-euser_onboarding_directory={folder / prefix}",
        f"-euser_onboarding_owner=bench-{os.getpid()}-{number}",
    ]
    inventory = os.environ.get("KUBESTEAD_LAB_INVENTORY", str(ROOT / ".cache/lab/inventory.yml"))
    command = ["ansible-playbook", "-i", inventory, "kubestead.platform.onboard_users", *variables]
    first, _printed = timed(f"our role, {number} people", command)
    again, printed = timed(f"our role again, {number} people", command)
    changed = "changed=0" in printed
    return [
        Row("onboard", "our role", number, first),
        Row("onboard, nothing to do", "our role", number, again, "changed=0" if changed else "CHANGED"),
    ]


def bare(folder: Path, number: int) -> list[Row]:
    """The floor: all the calls of the role, and the same without the login that proves them."""
    script = str(ROOT / "tests/bench/bare_client.py")
    _seconds, printed = timed(
        f"bare client, {number} people", [sys.executable, script, str(number), str(folder / f"bare{number}")]
    )
    told = json.loads(printed.strip().splitlines()[-1])
    return [
        Row("onboard", "bare client", number, float(told["with_login"])),
        Row("onboard, no login", "bare client", number, float(told["seconds"])),
    ]


def stock(folder: Path, number: int) -> list[Row]:
    """The published modules in loops."""
    target = folder / f"stock{number}"
    target.mkdir()
    variables = {
        "people": number,
        "folder": str(target),
        "prefix": f"stock{os.getpid()}-{number}-",
        "first_uid": 2_000_000 + os.getpid() % 1000 * 1000 + number,  # beyond those of the bare client
        "ansible_python_interpreter": str(stock_python()),
    }
    command = ["ansible-playbook", str(ROOT / "tests/bench/stock_onboard.yml"), "-e", json.dumps(variables)]
    minutes = number * 5 // 60
    first, _printed = timed(f"stock modules, {number} people (about {minutes} min)", command, timeout=7200)
    rows = [Row("onboard", "stock modules", number, first)]
    if number <= STOCK_UNCHANGED_UP_TO:
        again, _printed = timed(f"stock modules again, {number} people", command, timeout=7200)
        rows.append(Row("onboard, nothing to do", "stock modules", number, again))
    return rows


def main() -> None:
    """Measure and print."""
    rows: list[Row] = []
    with fresh_disk() as folder:
        for number in SIZES:
            rows += [*bare(folder, number), *ours(folder, number), *stock(folder, number)]
    print(table("Onboarding: account, key, certificate, kubeconfig, rights, login", rows))
    print()
    for number in SIZES:
        took = {row.by: row.seconds for row in rows if row.number == number and row.what == "onboard"}
        without = next(row.seconds for row in rows if row.number == number and row.what == "onboard, no login")
        faster = took["stock modules"] / took["our role"]
        beside, alone = (took["our role"] - 2 * floor for floor in (took["bare client"], without))
        print(f"{number} people: {faster:.0f} times as fast as the stock modules; 2 × the bare client {beside:+.1f} s,")
        print(f"  and {alone:+.1f} s beside a bare client that does not log in")


if __name__ == "__main__":
    main()
