# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports as recorded on real nodes, and what no node should say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed
from ansible_collections.kubestead.platform.plugins.module_utils._disks import parsers, survey
from ansible_collections.kubestead.platform.plugins.module_utils._disks.identity import SysBlock
from ansible_collections.kubestead.platform.plugins.module_utils._disks.survey import Tables

RECORDED = Path(__file__).parents[1] / "fixtures" / "disks" / "debian12"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def test_the_tree_of_a_node() -> None:
    rows = parsers.lsblk(recorded("lsblk.json"))
    assert survey.disk_names(rows) == ("ubda", "ubdb", "ubdc", "ubdd", "ubde")
    assert rows["ubdb"].size == 20 * 1024**3
    assert rows["ubdb"].below == ("dm-0", "dm-1", "dm-2")
    assert rows["ubdc"].below == ("dm-2",)
    assert rows["ubda"].mountpoint == "/"
    assert rows["ubde"].children == ("ubde1", "ubde2", "ubde3")


def test_old_versions_write_everything_as_text() -> None:
    text = (
        '{"blockdevices": [{"name": "sda", "kname": "sda", "type": "disk", "size": "42", "ro": "1", "rm": "0", "rota": "1"}]}'
    )
    row = parsers.lsblk(text)["sda"]
    assert (row.size, row.read_only, row.removable, row.rotational) == (42, True, False, True)


def test_lvm_of_a_node() -> None:
    physical = {pv.path: pv for pv in parsers.pvs(recorded("pvs.json"))}
    groups, volumes = parsers.vgs(recorded("vgs.json")), parsers.lvs(recorded("lvs.json"))
    assert sorted(physical) == ["/dev/ubdb", "/dev/ubdc", "/dev/ubdd"]
    assert physical["/dev/ubdd"].group == "ks3"
    assert sum(segment.count for segment in physical["/dev/ubdb"].segments) == physical["/dev/ubdb"].extents == 5119
    assert groups["kstest"].extents == 10238
    assert groups["kstest"].tags == {"kubestead.owner=platform", "kubestead.node=dnode"}
    assert volumes["kstest/osd3"].size == 6143 * 4 * 1024**2
    assert volumes["kstest/osd3"].active


def test_signatures_of_a_node() -> None:
    found = parsers.wipefs(recorded("wipefs.json"))
    assert [(row.offset, row.type) for row in found["ubda"]] == [(1080, "ext4")]
    assert {row.type for row in found["ubde"]} == {"gpt", "PMBR"}
    assert "vfat" in {row.type for row in found["ubde1"]}
    assert [row.type for row in found["ubde3"]] == ["xfs"]
    assert parsers.wipefs("") == {}


def test_mounts_and_swap_of_a_node() -> None:
    mounts = parsers.mounts(recorded("mountinfo.txt"))
    assert mounts["98:0"] == ("/",)
    assert mounts["98:67"] == ("/mnt/a b",)
    assert parsers.swaps(recorded("swaps.txt")) == ("/dev/ubde2",)


def test_a_disk_is_told_with_everything_built_on_it() -> None:
    rows = parsers.lsblk(recorded("lsblk.json"))
    tables = Tables("n", parsers.mounts(recorded("mountinfo.txt")), parsers.swaps(recorded("swaps.txt")))
    blocks = {
        "ubde": SysBlock({"serial": "DISK-E"}, (), {"ubde1": (1, 1), "ubde2": (2, 1), "ubde3": (3, 1)}),
        "ubdb": SysBlock({"serial": "DISK-B"}, ("dm-0",)),
    }
    devices = survey.devices(rows, blocks, tables)
    assert devices["ubda"].is_root
    assert set(devices["ubde"].mounts) == {"[SWAP]", "/mnt/a b"}
    assert devices["ubde"].holders == ()
    assert devices["ubdb"].holders == ("dm-0", "dm-1", "dm-2")
    assert devices["ubdb"].identity.serial == "DISK-B"


def test_two_groups_of_one_name_are_an_error() -> None:
    rows = [{"vg_name": "a", "vg_uuid": uuid, "vg_extent_size": "1", "vg_extent_count": "1"} for uuid in ("u1", "u2")]
    with pytest.raises(BackendFailed, match="two volume groups named 'a'"):
        parsers.vgs(json.dumps({"report": [{"vg": rows}]}))


@pytest.mark.parametrize("text", ["", "lsblk: unrecognized option", "[1"])
def test_text_instead_of_json_is_an_error_in_words(text: str) -> None:
    with pytest.raises(BackendFailed, match="did not write a JSON report"):
        parsers.lsblk(text)


def test_a_full_report_has_a_part_for_each_group_and_one_for_what_is_in_none() -> None:
    head = {"pv_name": "/dev/sdb", "pv_uuid": "P1", "vg_name": "g", "vg_uuid": "G1", "pv_pe_count": "9"}
    alone = {"pv_name": "/dev/sdc", "pv_uuid": "P2", "vg_name": "", "vg_uuid": "", "pv_pe_count": "0"}
    segment = {"pvseg_start": "0", "pvseg_size": "9", "lv_name": "v", "seg_start_pe": "0"}
    group = {"vg_name": "g", "vg_uuid": "G1", "vg_tags": "a,b", "vg_extent_size": "4194304", "vg_extent_count": "9"}
    volume = {"vg_name": "g", "vg_uuid": "G1", "lv_name": "v", "lv_size": "37748736", "lv_tags": "", "lv_attr": "-wi-a-----"}
    parts = [
        {"vg": [group], "pv": [head], "lv": [volume], "pvseg": [{**head, **segment}], "seg": [{"seg_start_pe": "0"}]},
        {"pv": [alone], "pvseg": [{**alone, "pvseg_start": "0", "pvseg_size": "0", "lv_name": "", "seg_start_pe": "0"}]},
    ]
    text = json.dumps({"report": parts})
    first, second = parsers.pvs(text)
    assert (first.group, first.extents, [(s.start, s.count, s.volume) for s in first.segments]) == ("g", 9, [(0, 9, "v")])
    assert (second.path, second.group, second.segments) == ("/dev/sdc", "", ())
    assert list(parsers.vgs(text)) == ["g"]
    assert parsers.lvs(text)["g/v"].active
