# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of several systems, from text to verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._disks import parsers
from ansible_collections.kubestead.platform.plugins.module_utils._disks.findings import Region, Sample
from ansible_collections.kubestead.platform.plugins.module_utils._disks.identity import SysBlock
from ansible_collections.kubestead.platform.plugins.module_utils._disks.survey import Probe, Tables
from ansible_collections.kubestead.platform.plugins.module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow

FIXTURES = Path(__file__).parents[1] / "fixtures" / "disks"


class Recorded:
    """Both ports, answering with what a system wrote; the disks themselves hold nothing but zeros."""

    def __init__(
        self, system: str, blocks: Optional[Mapping[str, SysBlock]] = None, names: Optional[Mapping[str, str]] = None
    ) -> None:
        self._folder = FIXTURES / system
        self._blocks = blocks or {}
        self._names = names or {}
        self.asked: list[str] = []

    def _text(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def report(self, name: str) -> str:
        if name == "lsblk":
            return self._text("lsblk.json")
        assert name == "fullreport"
        kinds = [json.loads(self._text(f"{kind}.json"))["report"] for kind in ("pvs", "vgs", "lvs")]
        return json.dumps({"report": [part for parts in kinds for part in parts]})

    def signatures(self, paths: Sequence[str]) -> str:
        self.asked += paths
        return self._text("wipefs.json") or self._text("wipefs.txt")

    def tables(self) -> Tables:
        return Tables("n", {}, (), parsers.devices_file(self._text("system.devices")))

    def inventory(self, knames: Sequence[str]) -> Mapping[str, SysBlock]:
        return {kname: self._blocks.get(kname, SysBlock({"serial": f"SERIAL-{kname}"})) for kname in knames}

    def resolve(self, paths: Sequence[str]) -> Mapping[str, str]:
        return {path: self._names.get(path, path[5:]) for path in paths}

    def appear(self, path: str) -> bool:
        raise AssertionError(path)

    def probe(self, path: str, regions: Sequence[Region]) -> Probe:
        return Probe(False, tuple(Sample(region, b"", -1, "") for region in regions))

    def write(self, argv: Sequence[str], script: str = "") -> None:
        raise AssertionError(argv)

    def write_all(self, lines: Sequence[Sequence[str]]) -> None:
        raise AssertionError(lines)

    def zero(self, path: str, regions: Sequence[Region]) -> None:
        raise AssertionError((path, regions))

    def mark(self, path: str, text: bytes) -> None:
        raise AssertionError((path, text))


def told(node: Recorded, disks: Sequence[Mapping[str, Any]] = ()) -> dict[str, Mapping[str, Any]]:
    flow = LvmCephDiskInfoFlow.from_params({"disks": list(disks)}, node, node)
    return {verdict.name: {**verdict.facts, "reason": verdict.reason} for verdict in flow.decide(flow.observe()).verdicts}


RHEL8_NAMES = {"/dev/mapper/mpatha": "dm-1", "/dev/mapper/mpathb": "dm-2", "/dev/disk/by-id/wwn-0x1": "sdc"}
LEG = SysBlock({"wwid": "naa.600508b400105e21", "device/vpd_pg80": "\0\x80\0\x10SAN-LUN-7"})
RHEL8 = {
    "sdb": LEG,
    "sdc": LEG,
    "dm-1": SysBlock({"dm/uuid": "mpath-3600508b400105e21"}),
    "dm-2": SysBlock({"dm/uuid": "mpath-3600508b400105e99"}),
}


def test_the_paths_to_a_lun_are_one_disk() -> None:
    found = told(Recorded("rhel8", RHEL8, RHEL8_NAMES))
    assert {name: row["verdict"] for name, row in found.items()} == {"sda": "unsuitable", "dm-1": "blank", "dm-2": "in-use"}
    assert (found["dm-1"]["device"], found["dm-1"]["serial"]) == ("/dev/mapper/mpatha", "SAN-LUN-7")
    assert found["dm-1"]["wwn"] == "naa.600508b400105e21"
    assert "belongs to LVM volume group vg_app" in found["dm-2"]["reason"]
    assert "is mounted at /srv" in found["dm-2"]["reason"]


@pytest.mark.parametrize(
    "entry", [{"device": "/dev/disk/by-id/wwn-0x1"}, {"match": {"serial": "SAN-LUN-7"}}, {"device": "/dev/mapper/mpatha"}]
)
def test_a_leg_stands_for_the_device_above_it(entry: dict[str, Any]) -> None:
    found = told(Recorded("rhel8", RHEL8, RHEL8_NAMES), [{"id": "lun", **entry}])
    assert found["lun"]["device"] == "/dev/mapper/mpatha"


def test_signatures_without_json() -> None:
    found = parsers.wipefs((FIXTURES / "rhel8" / "wipefs.txt").read_text(encoding="utf-8"))
    assert [(row.offset, row.type) for row in found["sda"]] == [(510, "dos")]
    assert [(row.type, row.uuid[:6]) for row in found["mpathb"]] == [("LVM2_member", "lDb3zK")]
    assert "mpatha" not in found


def test_an_array_of_whole_disks_is_one_disk() -> None:
    blocks = {"md127": SysBlock({"md/uuid": "01020304-0506-0708-090a-0b0c0d0e0f10"})}
    found = told(Recorded("rhel9", blocks), [{"id": "array", "match": {"serial": "SERIAL-sdb"}}])
    assert found["array"]["device"] == "/dev/md127"
    assert found["array"]["wwn"] == "md.01020304-0506-0708-090a-0b0c0d0e0f10"


def test_an_idle_osd_is_named_with_its_cluster() -> None:
    mapping = {"dm-0": ("ceph--5b9a-osd--block", "LVM-aB3dEf00001111222233334444gHiJkL" + "x" * 32)}
    blocks = {"sdc": SysBlock({"serial": "S3"}, ("dm-0",), mappings=mapping)}
    found = told(Recorded("rhel9", blocks))["sdc"]
    assert found["verdict"] == "foreign"
    assert "OSD 7 (fsid 11111111-2222-3333-4444-555555555555) of the Ceph cluster 99999999-" in found["reason"]
    assert found["osd_fsids"] == ["11111111-2222-3333-4444-555555555555"]


def test_the_devices_file() -> None:
    text = (FIXTURES / "rhel9" / "system.devices").read_text(encoding="utf-8")
    assert parsers.devices_file(text) == {"Qf1cRZa9cW0cCDPqXgU6yOoQ2N9XzTvV"}


@pytest.mark.parametrize("system", ["debian11", "debian12", "debian13"])
def test_debian(system: str) -> None:
    found = told(Recorded(system))
    roots = [name for name, row in found.items() if "the disk this node runs from" in row["reason"]]
    assert len(roots) == 1
    if system != "debian12":
        assert found["vdb"]["verdict"] == "blank"
