#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node's disks are and carry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lvm_ceph_disk_info
short_description: Tell what a node's disks are, what they carry and whether Ceph could have them
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Judges the disks of a node with the eyes of M(kubestead.platform.lvm_ceph_disk), and changes nothing.
  - Returns, for each disk, a verdict, everything found on it with offset, type and UUID, and the digest C(seen) that a consent
    to erase it must give.
notes:
  - Needs C(lvm2), and C(lsblk) and C(wipefs) of util-linux on the node, and root.
  - Data without a signature is found by reading the first and last MiB, the places of BlueStore labels, and 64 spots between.
extends_documentation_fragment:
  - kubestead.platform.attributes
  - kubestead.platform.attributes.info_module
options:
  disks:
    description:
      - The disks to look at, by default all disks of the node, each under its kernel name. The list given to
        M(kubestead.platform.lvm_ceph_disk) can be given here too.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - What the disk is called in the result.
        type: str
        required: true
      device:
        description:
          - Path below C(/dev). Either this or O(disks[].match).
        type: path
      match:
        description:
          - Properties that exactly one disk of the node has.
        type: dict
        suboptions: &criteria
          serial:
            description:
              - Serial number as the kernel reports it.
            type: str
          wwn:
            description:
              - World wide name, NGUID or EUI-64, with or without its prefix.
            type: str
          model:
            description:
              - Model as the kernel reports it.
            type: str
          min_size:
            description:
              - Least size in bytes or with a unit, such as V(100GiB) (binary) or V(100GB) (decimal).
            type: str
          max_size:
            description:
              - Greatest size, written like C(min_size).
            type: str
          rotational:
            description:
              - Whether it is a spinning disk.
            type: bool
      expect:
        description:
          - Properties the disk must have too, as in O(disks[].match); one that has not is left out of RV(storage_node).
        type: dict
        suboptions: *criteria
      layout:
        description:
          - A disk that is V(raw) and that M(kubestead.platform.lvm_ceph_disk) would not refuse is part of RV(storage_node), and so
            are the partitions that it made on a disk whose layout is V(partitions).
        type: str
        choices:
          - raw
          - partitions
          - volumes
        default: volumes
      partitions:
        description:
          - The partitions of a disk of the layout V(partitions), as M(kubestead.platform.lvm_ceph_disk) takes them. All that it
            made are reported, named here or not.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the partition.
            type: str
            required: true
          size:
            description:
              - Size of the partition.
            type: str
            required: true
      device_class:
        description:
          - Ceph's device class of a disk that is V(raw) or has partitions.
        type: str
      discard:
        description:
          - Taken so that the same list serves both modules; without effect here.
        type: bool
        default: false
  node_name:
    description:
      - Name of the node in Kubernetes, by default its host name. Volumes made under another name are not this node's.
    type: str
seealso:
  - module: kubestead.platform.lvm_ceph_disk
"""

EXAMPLES = r"""
- name: All disks of the node
  kubestead.platform.lvm_ceph_disk_info:
  register: disks

- name: One disk
  kubestead.platform.lvm_ceph_disk_info:
    disks:
      - id: data1
        match: {serial: S4EWNX0R123456}
"""

RETURN = r"""
entries:
  description:
    - One entry per disk.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: disk
      name: data1
      action: unchanged
      reason: carries an ext4 file system at offset 1080 (UUID 3f0c0c3e-9d0d-4c07-8a5f-6d1f2f1f0c11)
      verdict: foreign
      device: /dev/sdb
      serial: S4EWNX0R123456
      wwn: naa.5002538e40d1a2b3
      model: Samsung SSD 860
      size: 1000204886016
      findings:
        - {offset: 1080, type: ext4, uuid: 3f0c0c3e-9d0d-4c07-8a5f-6d1f2f1f0c11}
      seen: 4f6a1c02d9e8b7a3
      osd_fsids: []
      layout: volumes
      device_class: ""
      identity_problem: ""
  contains:
    verdict:
      description:
        - C(blank), C(ours), C(ours-incomplete), C(in-use), C(foreign), C(unknown-data) or C(unsuitable), as in
          M(kubestead.platform.lvm_ceph_disk).
      type: str
    findings:
      description: What lies on the disk, each with offset in bytes, type and UUID.
      type: list
      elements: dict
    seen:
      description:
        - Digest of the disk's identity and findings; empty when nothing was found. Of a disk of ours it is the one that
          O(kubestead.platform.lvm_ceph_disk#module:state=absent) asks for.
      type: str
    osd_fsids:
      description: The fsids of the OSDs that the disk holds.
      type: list
      elements: str
    identity_problem:
      description: Why the disk cannot be told from others and would be refused; empty when it can.
      type: str
counts:
  description:
    - How many entries there are of each action.
  returned: always
  type: dict
storage_node:
  description:
    - The node's entry of a C(CephCluster) object's C(spec.storage.nodes), with the finished volumes that
      M(kubestead.platform.lvm_ceph_disk) made on this node, and the disks named with the layout V(raw) and the
      partitions on disks named with the layout V(partitions).
  returned: always
  type: dict
  sample:
    name: node1
    devices:
      - name: /dev/osds/osd1
        config: {deviceClass: ssd}
"""

from typing import Any

from ..module_utils._adapters.block_device import BlockDevices
from ..module_utils._adapters.lvm_cli import LvmCli, run_command
from ..module_utils._ansible.argspec import new_module
from ..module_utils._ansible.disk_spec import DISK
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.lvm_ceph_disk_info import LvmCephDiskInfoFlow

SPEC: dict[str, dict[str, Any]] = {
    "disks": {"type": "list", "elements": "dict", "options": DISK},
    "node_name": {"type": "str"},
}


def wire(params: dict[str, Any]) -> LvmCephDiskInfoFlow:
    """The flow of one run."""
    return LvmCephDiskInfoFlow.from_params(params, LvmCli(run_command), BlockDevices())


def main() -> None:
    """Entry point."""
    converge(new_module(spec=SPEC), wire)


if __name__ == "__main__":
    main()
