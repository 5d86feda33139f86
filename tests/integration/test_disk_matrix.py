# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can lie on a disk, on a real node: refused untouched, and erased with consent.

Each case is a call of the modules' own code in one process on the node, so that many fit into minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration import downloads, signatures
from integration.matrix_disk import DEVICE, GONE, LETTER, NODE, MatrixDisk, entry, matrix_disks, signatures_on, task

pytestmark = pytest.mark.nodes

# So many at once: what is read of a node is read once for all of them.
LETTERS = "fijklmnop"
KINDS = tuple(signatures.MAKERS)
BATCHES = [KINDS[first : first + len(LETTERS)] for first in range(0, len(KINDS), len(LETTERS))]


@pytest.fixture(scope="module")
def disks() -> Iterator[list[MatrixDisk]]:
    downloads.signature_tools()
    with matrix_disks(*LETTERS) as found:
        yield found


@pytest.fixture
def disk(disks: list[MatrixDisk]) -> MatrixDisk:
    return disks[LETTERS.index(LETTER)]


@pytest.fixture(autouse=True)
def nothing_is_held(disk: MatrixDisk) -> Iterator[None]:
    """Whatever a failed test leaves, the next one begins with disks that nothing holds."""
    yield
    disk.driver.shell(GONE, check=False)


def task_for(disks: Sequence[MatrixDisk], **changes: Any) -> dict[str, Any]:
    """One group over all of them."""
    rows = [{"id": disk.letter, "match": {"serial": disk.serial}} for disk in disks]
    groups = [{"name": "matrix", "disks": [disk.letter for disk in disks], "split": 1}]
    return {"disks": rows, "volume_groups": groups, "node_name": NODE, **changes}


def consent_of(answer: Mapping[str, Any], disks: Sequence[MatrixDisk]) -> dict[str, Any]:
    rows = [entry(answer, disk.letter) for disk in disks]
    return {"wipe": [{"id": row["name"], "seen": row["seen"], "osd_fsids": row["osd_fsids"]} for row in rows]}


def check_refused_and_erased(disks: Sequence[MatrixDisk]) -> None:
    """Refused with every byte as before; erased with consent, after which no probe finds anything of it, inside or out."""
    before = [disk.fingerprint() for disk in disks]
    refused = disks[0].run(params=task_for(disks), fails=True)
    assert (refused["writes"], refused["changed"]) == ([], False)
    assert [disk.letter for disk in disks if "error" not in entry(refused, disk.letter)] == []
    assert [disk.fingerprint() for disk in disks] == before
    made = disks[0].run(params=task_for(disks, consent=consent_of(refused, disks)))
    assert {row["action"] for row in made["entries"]} == {"created"}
    inside = "wipefs --no-act --noheadings -O TYPE /dev/matrix/osd1"
    paths = " ".join(disk.device for disk in disks)
    left = (
        disks[0]
        .driver.shell(f"{inside}; lsblk --noheadings --output TYPE {paths}; vgchange -qq -an matrix >/dev/null; sync")
        .split()
    )
    assert (set(left), left.count("disk")) == ({"disk", "lvm"}, len(disks)), left
    for disk in disks:
        assert [row["type"] for row in signatures_on(disk.image)] == ["LVM2_member"], disk.letter
        with disk.image.open("rb") as stream:
            for gibibyte in (0, 1, 10):
                stream.seek(gibibyte << 30)
                assert b"bluestore" not in stream.read(4096), disk.letter


def blank(_image: Path) -> None:
    """The maker of nothing."""


def fill_all(disks: Sequence[MatrixDisk], makers: Sequence[signatures.Maker]) -> None:
    """A maker's content on each of the first disks; blank are the others."""
    disks[0].driver.shell(GONE, check=False)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda disk, maker: disk.put(maker), disks, [*makers, *[blank] * (len(disks) - len(makers))]))
    disks[0].driver.ask("reread", paths=[disk.device for disk in disks])


@pytest.mark.parametrize("kinds", BATCHES, ids=[", ".join(kinds) for kinds in BATCHES])
def test_what_lies_on_a_disk_is_refused_untouched_and_erased_with_consent(
    disks: list[MatrixDisk], kinds: Sequence[str]
) -> None:
    fill_all(disks, [signatures.MAKERS[kind] for kind in kinds])
    check_refused_and_erased(disks[: len(kinds)])
    fill_all(disks, [])
    print(f"{len(kinds)} signatures refused and erased")


def test_there_are_signatures_of_at_least_25_kinds() -> None:
    assert len(KINDS) >= 25


def test_lvm_of_somebody_else_and_an_osd_of_another_cluster(disk: MatrixDisk) -> None:
    disk.fill()
    disk.driver.shell(f"pvcreate -q {DEVICE}")
    check_refused_and_erased([disk])
    disk.fill()
    fsid, cluster = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
    tags = f"--addtag ceph.osd_id=3 --addtag ceph.osd_fsid={fsid} --addtag ceph.cluster_fsid={cluster}"
    disk.driver.shell(f"vgcreate -q ceph-old {DEVICE} && lvcreate -q -n osd-block -l 100%FREE {tags} ceph-old")
    refused = disk.run(params=task(), fails=True)
    found = entry(refused, "data")
    assert f"OSD 3 (fsid {fsid}) of the Ceph cluster {cluster} in ceph-old/osd-block" in found["error"]["msg"]
    unnamed = disk.run(params=task(consent={"wipe": [{"id": "data", "seen": found["seen"]}]}), fails=True)
    assert f"counts as live until the consent names its OSD fsid {fsid}" in entry(unnamed, "data")["error"]["hint"]
    disk.driver.shell("exec 9<>/dev/ceph-old/osd-block; sleep 900 >/dev/null 2>&1 & echo $! >/run/holder")
    consent = {"wipe": [{"id": "data", "seen": found["seen"], "osd_fsids": [fsid]}]}
    held = disk.run(params=task(consent=consent), fails=True)
    assert held["writes"] == [], "an OSD that runs keeps its volume open"
    disk.driver.shell("kill $(cat /run/holder)")
    made = disk.run(params=task(consent=consent))
    assert {row["action"] for row in made["entries"]} == {"created"}
    assert disk.driver.shell("dmsetup ls | grep -c ceph; true").strip() == "0"
    disk.run(params=task(consent=disk.consent(), state="absent"))


def test_a_mapping_of_a_dead_osd_is_removed_with_consent(disk: MatrixDisk) -> None:
    disk.fill()
    uuid = "LVM-" + "a" * 32 + "b" * 32
    disk.driver.shell(f"echo 0 2097152 linear {DEVICE} 2048 | dmsetup create ceph--gone-osd --uuid {uuid}")
    refused = disk.run(params=task(), fails=True)
    assert "the device-mapper entry ceph--gone-osd of a volume group that is gone" in entry(refused, "data")["error"]["msg"]
    disk.run(params=task(consent=disk.consent()))
    assert "ceph--gone" not in disk.driver.shell("dmsetup ls")
    disk.run(params=task(consent=disk.consent(), state="absent"))
