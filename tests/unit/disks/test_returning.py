# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with a disk that is given back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._disks.returning import disks_given_back

DISKS = [{"id": name, "match": {"serial": name}} for name in ("a", "b", "c", "d")]
GROUPS: list[dict[str, Any]] = [
    {"name": "one", "disks": ["a"], "split": 2},
    {"name": "two", "disks": ["b", "c"], "volumes": [{"name": "x", "size": "rest"}]},
]


def names(told: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    devices = [f"{one['node']}:{one['device']}" for one in told["devices"]]
    return [one["id"] for one in told["disks"]], [one["name"] for one in told["volume_groups"]], devices


def test_a_disk_goes_with_its_group_and_all_that_share_it() -> None:
    assert names(disks_given_back(DISKS, GROUPS, ["a"], (), "n")) == (["a"], ["one"], ["n:/dev/one/osd1", "n:/dev/one/osd2"])
    assert names(disks_given_back(DISKS, GROUPS, ["b"], (), "n")) == (["b", "c"], ["two"], ["n:/dev/two/x"])
    assert names(disks_given_back(DISKS, GROUPS, ["d"], (), "n")) == (["d"], [], [])


def test_by_default_everything_goes() -> None:
    assert names(disks_given_back(DISKS, GROUPS))[0] == ["a", "b", "c", "d"]


def test_a_disk_that_is_gone_is_not_named_but_its_devices_are() -> None:
    assert names(disks_given_back(DISKS, GROUPS, ["a"], ["a"], "n")) == ([], [], ["n:/dev/one/osd1", "n:/dev/one/osd2"])
    told = disks_given_back(DISKS, GROUPS, ["b"], ["c"], "n")
    assert told["volume_groups"] == [{**GROUPS[1], "disks": ["b"]}]


def test_data_does_not_go_without_its_databases() -> None:
    groups = [*GROUPS, {"name": "fast", "disks": ["d"], "split": 2, "metadata_for": "one"}]
    for disk in ("a", "d"):
        with pytest.raises(Refused, match="databases of the volume group one are in the volume group fast"):
            disks_given_back(DISKS, groups, [disk])
    assert names(disks_given_back(DISKS, groups, ["a", "d"], (), "n"))[2] == ["n:/dev/one/osd1", "n:/dev/one/osd2"]


def test_an_unknown_disk_is_an_error() -> None:
    with pytest.raises(BadInput, match="no disk 'z'"):
        disks_given_back(DISKS, GROUPS, ["z"])
