# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk is which."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Refused
from ansible_collections.kubestead.platform.plugins.module_utils._disks import identity
from ansible_collections.kubestead.platform.plugins.module_utils._disks.identity import Criteria, SysBlock
from ansible_collections.kubestead.platform.plugins.module_utils._disks.model import GIB, SWAP, Device, Identity, Leg, Node
from ansible_collections.kubestead.platform.plugins.module_utils._disks.survey import Tables, renewed


def disk(kname: str, serial: str = "", wwn: str = "", size: int = 20 * GIB) -> Device:
    return Device(kname, Identity(serial, wwn, "MODEL X", size))


def node(*devices: Device, **resolved: str) -> Node:
    return Node("n", {device.kname: device for device in devices}, resolved={f"/dev/{k}": v for k, v in resolved.items()})


@pytest.mark.parametrize(
    ("attributes", "serial", "wwn"),
    [
        ({"serial": "NODE1-DISK1"}, "NODE1-DISK1", ""),
        (
            {"device/vpd_pg80": "\x00\x80\x00\x08 S4EW12 ", "device/wwid": "naa.5002538e40d1a2b3"},
            "S4EW12",
            "naa.5002538e40d1a2b3",
        ),
        ({"device/serial": "CTRL99", "wwid": "eui.002538b411b2c3d4"}, "CTRL99", "eui.002538b411b2c3d4"),
        ({"device/serial": "CTRL99", "wwid": "", "nguid": "00000000-0000-0000-0000-000000000000"}, "CTRL99", ""),
        ({"serial": "(null)"}, "", ""),
        ({"serial": "0000000000"}, "", ""),
        ({"serial": "To Be Filled By O.E.M."}, "", ""),
    ],
)
def test_the_identity_is_what_the_hardware_says_and_placeholders_are_none(attributes, serial, wwn) -> None:
    found = identity.identity_of(SysBlock(attributes), 5)
    assert (found.serial, found.wwn, found.size) == (serial, wwn, 5)


def test_a_match_finds_one_disk_or_names_the_candidates() -> None:
    here = node(disk("sda", "AAA1"), disk("sdb", "BBB2"), disk("sdc", "CCC3", size=40 * GIB))
    assert identity.resolve("d", "", Criteria(serial="BBB2"), here).kname == "sdb"
    assert identity.resolve("d", "", Criteria(min_size=30 * GIB), here).kname == "sdc"
    with pytest.raises(Refused, match="fits 2 disks") as several:
        identity.resolve("d", "", Criteria(max_size=30 * GIB), here)
    assert several.value.facts["candidates"] == ["serial AAA1, /dev/sda", "serial BBB2, /dev/sdb"]
    with pytest.raises(Refused, match="no disk of this node fits"):
        identity.resolve("d", "", Criteria(serial="NOPE"), here)


def test_a_path_must_be_a_whole_disk() -> None:
    here = node(disk("sda", "AAA1"), sda="sda", sda1="sda1", nothing="")
    assert identity.resolve("d", "/dev/sda", Criteria(), here).kname == "sda"
    with pytest.raises(Refused, match="not a whole disk"):
        identity.resolve("d", "/dev/sda1", Criteria(), here)
    with pytest.raises(Refused, match="no block device"):
        identity.resolve("d", "/dev/nothing", Criteria(), here)


def test_a_wwn_fits_with_and_without_its_prefix() -> None:
    device = disk("sda", wwn="naa.5002538E40D1A2B3")
    assert identity.mismatches(device, Criteria(wwn="0x5002538e40d1a2b3")) == []
    assert identity.mismatches(device, Criteria(wwn="5002538e40d1a2b4")) != []


@pytest.mark.parametrize(
    ("device", "path", "expect", "words"),
    [
        (disk("sda", "AAA1"), "/dev/sda", Criteria(serial="BBB2"), "serial is AAA1, not BBB2"),
        (disk("sda", "AAA1"), "/dev/sda", Criteria(), "can move to another disk"),
        (disk("sda", "AAA1"), "/dev/disk/by-path/x", Criteria(min_size=1), "can move to another disk"),
        (disk("sda"), "", Criteria(), "no usable serial"),
        (disk("sda", "TWIN1"), "", Criteria(), "shares its serial number and WWN with sdz"),
    ],
)
def test_a_disk_that_may_be_another_one_is_refused(device, path, expect, words) -> None:
    error = identity.identity_problem("d", device, path, expect, node(device, disk("sdz", "TWIN1")))
    assert error is not None
    assert words in str(error)


@pytest.mark.parametrize("path", ["", "/dev/disk/by-id/ata-AAA1"])
def test_a_disk_that_is_surely_meant_is_taken(path) -> None:
    device = disk("sda", "AAA1")
    assert identity.identity_problem("d", device, path, Criteria(), node(device)) is None


def test_namespaces_of_one_controller_are_told_apart_by_their_own_ids() -> None:
    one, two = disk("nvme0n1", "CTRL99", "eui.1111aaaa"), disk("nvme0n2", "CTRL99", "eui.2222bbbb")
    assert identity.weak_identity(one, [one, two]) == ""
    assert identity.weak_identity(disk("nvme0n1", "CTRL99"), [disk("nvme0n2", "CTRL99")]) != ""


def test_a_device_that_lost_a_path_or_its_size_is_gone_and_others_are_renewed() -> None:
    leg = Identity("LUN-1", "naa.6005", "", 20 * GIB)
    device = Device("dm-1", leg, kind="mpath", name="mpatha", legs=(Leg("sdb", leg), Leg("sdc", leg)))
    path = SysBlock({"serial": "LUN-1", "wwid": "naa.6005"}, ("dm-1",), size=20 * GIB)
    above = SysBlock({"dm/uuid": "mpath-36005"}, numbers=("254:1",), size=20 * GIB, read_only=True)
    tables = Tables("n", {"254:1": ("/srv",)}, ("/dev/dm-1",))
    now = renewed(device, {"dm-1": above, "sdb": path, "sdc": path}, tables)
    assert now is not None
    assert (now.identity, now.mounts, now.read_only) == (leg, ("/srv", SWAP), True)
    grown = renewed(device, {"dm-1": replace(above, size=30 * GIB), "sdb": path, "sdc": path}, tables)
    assert grown is not None
    assert grown.identity != leg
    assert renewed(device, {"dm-1": above, "sdb": path, "sdc": replace(path, holders=())}, tables) is None
    assert renewed(device, {"dm-1": above, "sdb": path}, tables) is None
    assert renewed(device, {"sdb": path, "sdc": path}, tables) is None
