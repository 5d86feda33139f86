# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One group of two disks with 8 volumes on a node: our module, the bare commands, and the stock modules in loops.

The commands are measured as they are over SSH and in a task of Ansible's, which costs what our module's costs before it begins;
an empty task is the least that any module could take.
The loops run as Ansible does by default and with pipelining, which this repository's other runs all have.

BENCH_VOLUMES (default 200) is the number of volumes of somebody else beside which the reading is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Optional

from measure import ROOT, Row, table, timed

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/lab")]
from integration import spare_disks  # noqa: E402 - found by the line above
from integration.node_driver import NodeDriver  # noqa: E402
from kubestead_lab.settings import lab_from  # noqa: E402

NODE, LETTERS = "node1", "gh"
MANY = int(os.environ.get("BENCH_VOLUMES", "200"))
VOLUMES = 8
DISK_BYTES = 24 << 30
COMMANDS = f"""set -e
pvcreate -q /dev/ubdg
pvcreate -q /dev/ubdh
vgcreate -q bench /dev/ubdg /dev/ubdh
for number in $(seq {VOLUMES}); do lvcreate -q -n osd$number -l 1535 bench; done
"""
CLEAN = (
    "vgchange -q -an bench; vgremove -q -f -y bench; pvremove -q -f /dev/ubdg /dev/ubdh; wipefs -q -a /dev/ubdg /dev/ubdh; true"
)


class Bench:
    """Two spare disks of a node, blank for each way of carving them."""

    def __init__(self, folder: Path) -> None:
        nodes = lab_from(os.environ, ROOT).nodes
        self._console = nodes / "uml" / NODE
        self._ssh = ["ssh", "-F", str(nodes / "ssh_config"), NODE]
        self._images = {letter: folder / f"bench-{letter}.img" for letter in LETTERS}
        self.driver = NodeDriver(nodes / "ssh_config", NODE)

    def blank(self) -> None:
        self.remove()
        for letter, image in self._images.items():
            spare_disks.plug(self._console, letter, image, f"BENCH-{letter}", DISK_BYTES)
        self.driver.shell("udevadm settle --timeout=20")

    def remove(self) -> None:
        self.driver.shell(CLEAN, check=False)
        for letter, image in self._images.items():
            spare_disks.unplug(self._console, letter, image)

    def by_commands(self) -> list[Row]:
        self.blank()
        seconds, _printed = timed("bare commands", [*self._ssh, COMMANDS])
        self.blank()
        command = self._playbook("bare_disks.yml", {"node": NODE, "commands": COMMANDS})
        in_task, _printed = timed("bare commands in a task", command)
        empty, _printed = timed("an empty task", self._playbook("bare_disks.yml", {"node": NODE, "commands": "true"}))
        return [
            Row("create", "bare commands", VOLUMES, seconds),
            Row("create", "the same in a task", VOLUMES, in_task),
            Row("nothing at all", "an empty task", VOLUMES, empty),
        ]

    def by_us(self) -> list[Row]:
        self.blank()
        disks = [{"id": letter, "match": {"serial": f"BENCH-{letter}"}} for letter in LETTERS]
        variables = {
            "node": NODE,
            "disks": disks,
            "volume_groups": [{"name": "bench", "disks": list(LETTERS), "split": VOLUMES}],
        }
        return self._twice("our module", "our_disks.yml", variables)

    def by_loops(self, *, pipelining: bool) -> list[Row]:
        self.blank()
        variables = {"node": NODE, "devices": [f"/dev/ubd{letter}" for letter in LETTERS], "volumes": VOLUMES}
        by = "loops, pipelining" if pipelining else "lvg and lvol loops"
        return self._twice(by, "stock_disks.yml", variables, {"ANSIBLE_PIPELINING": str(pipelining)})

    def _playbook(self, book: str, variables: dict[str, object]) -> list[str]:
        inventory = os.environ.get("KUBESTEAD_LAB_INVENTORY", str(lab_from(os.environ, ROOT).inventory))
        return ["ansible-playbook", "-i", inventory, str(ROOT / "tests/bench" / book), "-e", json.dumps(variables)]

    def _twice(self, by: str, book: str, variables: dict[str, object], env: Optional[dict[str, str]] = None) -> list[Row]:
        command = self._playbook(book, variables)
        first, _printed = timed(by, command, env=env)
        again, printed = timed(f"{by} again", command, env=env)
        note = "" if "changed=0" in printed else "CHANGED"
        return [Row("create", by, VOLUMES, first), Row("nothing to do", by, VOLUMES, again, note)]

    def reading_many(self) -> list[Row]:
        """What is read of a node, and how long it takes, with few and with many volumes of somebody else."""
        rows = []
        for number in (VOLUMES, MANY):
            self.blank()
            lines = [f"lvcreate -q -an -Zn -Wn -n v{one} -l 2 bench" for one in range(number)]
            self.driver.shell("pvcreate -q /dev/ubdg && vgcreate -q bench /dev/ubdg")
            self.driver.shell("lvm <<'END' >/dev/null 2>&1\n" + "\n".join(lines) + "\nEND")
            begun = time.monotonic()
            answer = self.driver.ask("info", params={"node_name": NODE})
            rows.append(
                Row("read a node", "info's own code", number, time.monotonic() - begun, f"{len(answer['commands'])} commands")
            )
        return rows


def main() -> None:
    """Measure and print."""
    folder = lab_from(os.environ, ROOT).nodes / "bench"
    folder.mkdir(exist_ok=True)
    bench = Bench(folder)
    try:
        bare = bench.by_commands()
        ours, stock = bench.by_us(), bench.by_loops(pipelining=False)
        rows = [*bare, *ours, *stock, *bench.by_loops(pipelining=True), *bench.reading_many()]
    finally:
        bench.remove()
        bench.driver.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(table(f"Disks: one group on two disks with {VOLUMES} volumes", rows))
    print()
    print(
        f"create: {ours[0].seconds / bare[0].seconds:.2f} × the bare commands, "
        f"{ours[0].seconds / bare[1].seconds:.2f} × the same in a task, "
        f"{stock[0].seconds / ours[0].seconds:.1f} times as fast as the loops; "
        f"nothing to do: {stock[1].seconds / ours[1].seconds:.1f} times as fast as the loops "
        f"(an empty task: {stock[1].seconds / bare[2].seconds:.1f} times)"
    )


if __name__ == "__main__":
    main()
