# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's table."""

from __future__ import annotations

from ansible_collections.kubestead.platform.plugins.filter.disks import FilterModule


def test_one_line_per_disk_in_columns() -> None:
    disk = {
        "name": "data1",
        "device": "/dev/sdb",
        "serial": "S1",
        "size": 20 << 30,
        "verdict": "ours",
        "reason": "belongs to osds",
    }
    hosts = [
        {"inventory_hostname": "node2", "node_disks_report": [{**disk, "serial": "", "wwn": "naa.5"}]},
        {"inventory_hostname": "node1", "node_disks_report": [disk]},
        {"inventory_hostname": "node3"},
    ]
    table = FilterModule().filters()["disk_table"](hosts)
    assert table == [
        "host   disk   device    serial or WWN  size      verdict  what it is",
        "node1  data1  /dev/sdb  S1             20.0 GiB  ours     belongs to osds",
        "node2  data1  /dev/sdb  naa.5          20.0 GiB  ours     belongs to osds",
    ]
