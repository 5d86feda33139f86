#!/usr/bin/python
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From disk to Ceph-ready volumes, and never the wrong disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lvm_ceph_disk
short_description: Carve a node's disks into LVM volumes for Rook and Ceph, never touching the wrong disk
version_added: 0.1.0
author:
  - Kubestead contributors (@kubestead)
description:
  - Makes physical volumes, volume groups and logical volumes, or partitions, for all disks of a node in one call, and returns
    the node's entry of a C(CephCluster) object's C(spec.storage.nodes).
  - Refuses by default. A disk with any signature, label, partition or data, one that is mounted, held, swap, read-only,
    removable, smaller than 5 GiB, one that LVM knows as somebody else's, and one that cannot be told from other disks is
    not touched. The disk the node runs from is refused with any consent.
  - Identity and content of a disk are read again right before it is erased and right before it becomes a physical volume. A
    disk that was replaced, renumbered or written to in between is refused.
  - With O(state=present) it only adds. Volumes are never shrunk, they grow only where O(volume_groups[].grow) says so, and LVM
    is never run with a force option.
  - A run that was ended at any moment, in the middle of an erase too, is continued by the next one with the same consent.
  - A disk below a multipath device or an md array of whole disks stands for the device above it.
notes:
  - Needs C(lvm2), a running C(udev), and C(lsblk), C(wipefs) and, for partitions, C(sfdisk) of util-linux on the node, and root.
    Debian has C(sfdisk) in its package C(fdisk).
  - An erase covers all signatures libblkid knows, both copies of a GPT, LVM metadata, BlueStore's labels at 0, 1, 10, 100 and
    1000 GiB, the begin and end of each partition, and entries of LVM's devices file. It makes a disk blank for every tool; it
    is no protection against somebody who reads the disk's surface.
  - Between the last look at a disk and C(pvcreate) a few milliseconds remain in which another program could take the disk,
    since no lock is respected by all tools. C(pvcreate) looks for signatures itself and then gives up.
  - Volumes are placed on one disk each where they fit, so that a dead disk costs as few of them as possible.
extends_documentation_fragment:
  - kubestead.platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - No command that writes is run. Volumes of groups that do not exist yet are planned with exact sizes and places.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A size given as percentage or V(rest) is resolved once and remembered with the volume.
options:
  disks:
    description:
      - The disks, each under an id of the caller's choice.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description:
          - What the disk is called in this task and its result.
        type: str
        required: true
      device:
        description:
          - Path below C(/dev). Either this or O(disks[].match).
          - A path other than C(/dev/disk/by-id/...) can move to another disk at the next boot and is refused without a serial
            or WWN in O(disks[].expect).
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
          - Properties the device must have. Anything else than expected is refused before any write.
        type: dict
        suboptions: *criteria
      layout:
        description:
          - With V(volumes) the disk becomes part of the volume group that names it.
          - With V(partitions) it gets a GUID partition table with O(disks[].partitions). Rook takes partitions without
            encryption and with one OSD each.
          - With V(raw) the disk is handed to Rook as it is. It must be blank, or carry nothing but BlueStore labels, and is
            never written to. Encryption at rest (C(encryptedDevice)) needs this layout.
        type: str
        choices:
          - raw
          - partitions
          - volumes
        default: volumes
      partitions:
        description:
          - The partitions of a disk of the layout V(partitions). They begin and end at whole MiB. A partition is never resized,
            moved or removed alone; one that is added later takes free room.
          - The table and each partition carry GUIDs made from the node's name and the disk's identity, by which a later run
            knows them. Partitions of somebody else in such a table are left as they are.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the partition in the table, at most 36 characters and without C(ceph), which Ceph takes for its own.
            type: str
            required: true
          size:
            description:
              - At least 5 GiB, as bytes or with a unit (V(100GiB), rounded up to MiB), as a percentage of the disk (V(25%),
                rounded down), or V(rest) for the largest stretch that the other partitions leave.
            type: str
            required: true
      device_class:
        description:
          - Ceph's device class of the disk, such as V(ssd). Ceph finds out by itself when there is none.
        type: str
      discard:
        description:
          - Whether an erase also runs C(blkdiscard) over the whole disk. Never set this for a thin or a shared LUN.
        type: bool
        default: false
  volume_groups:
    description:
      - The volume groups, each of whole disks.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the group. It must not begin with C(ceph), since Ceph takes such groups for its own.
        type: str
        required: true
      disks:
        description:
          - Ids of its disks, all of the layout V(volumes). A disk added later joins the group.
        type: list
        elements: str
        required: true
      volumes:
        description:
          - Its volumes. Either this or O(volume_groups[].split).
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the volume.
            type: str
            required: true
          size:
            description:
              - At least 5 GiB (1 GiB with O(volume_groups[].metadata_for)), as bytes or with a unit (V(100GiB), rounded up to
                whole extents of 4 MiB), as a percentage of the group (V(25%), rounded down), or V(rest) for all that the
                other volumes leave.
            type: str
            required: true
      split:
        description:
          - Number of equal volumes, from 1 to 100, named C(osd1), C(osd2) and so on, or C(db1), C(db2) and so on with
            O(volume_groups[].metadata_for).
        type: int
      grow:
        description:
          - Whether volumes may grow. A larger size, and the room of a disk that was added or became larger itself, are then
            given to the volumes by their sizes. Percentages and V(rest) are resolved anew; nothing is ever shrunk.
        type: bool
        default: false
      metadata_for:
        description:
          - Name of the group of the task whose data volumes get the volumes of this one for their databases, the first the
            first, the second the second, and so on. Both groups have the same number of volumes.
          - The database volumes appear in RV(storage_node) only as C(metadataDevice) of the volume they serve. Rook takes
            them from version 1.20 on, one for one data volume, and Ceph refuses a pair of the same device class.
        type: str
      device_class:
        description:
          - Ceph's device class of the volumes. Without it, that of the disks, if they all have the same one.
        type: str
  consent:
    description:
      - What may be destroyed.
    type: dict
    suboptions:
      wipe:
        description:
          - Disks that may be erased, each named once. Everything on them is lost.
        type: list
        elements: dict
        suboptions:
          id:
            description:
              - Id of the disk in O(disks).
            type: str
            required: true
          seen:
            description:
              - Digest of what was found on this very disk, as printed by the refusal and by
                M(kubestead.platform.lvm_ceph_disk_info). With other findings the disk is refused.
            type: str
            required: true
          osd_fsids:
            description:
              - The fsids of the OSDs that the disk holds, as named by the refusal. Without them a disk that holds an OSD counts
                as live. Ask Ceph first (C(ceph osd safe-to-destroy)).
            type: list
            elements: str
  node_name:
    description:
      - Name of the node in Kubernetes, by default its host name. It is part of the ownership that is written into LVM.
    type: str
  on_error:
    description:
      - What happens when a disk or a volume group is refused or fails.
      - V(stop) writes nothing if anything is refused, and starts nothing further after a failure. New volumes are made
        together, so that those beside one that failed are there.
      - V(continue) still handles all other volume groups, then the task fails once and names every entry that failed.
    type: str
    choices:
      - stop
      - continue
    default: stop
  state:
    description:
      - With V(present) the volumes are to exist.
      - With V(absent) the volume groups of the task are removed with all of their volumes and their disks are erased, with the
        same consent as any other disk, and so are disks of the layout V(partitions). What does not carry this module's tags or
        GUIDs is left as it is, and so are raw disks.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: kubestead.platform.lvm_ceph_disk_info
"""

EXAMPLES = r"""
- name: Two volumes on each of two disks
  kubestead.platform.lvm_ceph_disk:
    disks:
      - id: data1
        match: {serial: S4EWNX0R123456}
        device_class: ssd
      - id: data2
        device: /dev/disk/by-id/wwn-0x5002538e40d1a2b3
        device_class: ssd
    volume_groups:
      - name: osds
        disks: [data1, data2]
        split: 4

- name: A database volume, and the rest for data
  kubestead.platform.lvm_ceph_disk:
    disks:
      - id: nvme
        device: /dev/nvme0n1
        expect: {wwn: eui.002538b411b2c3d4, min_size: 1TB}
    volume_groups:
      - name: fast
        disks: [nvme]
        device_class: nvme
        volumes:
          - {name: db, size: 60GiB}
          - {name: data, size: rest}

- name: A disk that was used before, with the digest that the refusal printed
  kubestead.platform.lvm_ceph_disk:
    disks:
      - id: data1
        match: {serial: S4EWNX0R123456}
    volume_groups:
      - name: osds
        disks: [data1]
        split: 1
    consent:
      wipe:
        - {id: data1, seen: 4f6a1c02d9e8b7a3}

- name: Data on two large disks, their databases on a fast one
  kubestead.platform.lvm_ceph_disk:
    disks:
      - {id: hdd1, match: {serial: ZL2A1111}, device_class: hdd}
      - {id: hdd2, match: {serial: ZL2A2222}, device_class: hdd}
      - {id: nvme, match: {wwn: eui.002538b411b2c3d4}, device_class: nvme}
    volume_groups:
      - {name: data, disks: [hdd1, hdd2], split: 2}
      - {name: fast, disks: [nvme], split: 2, metadata_for: data}

- name: Three partitions on a disk
  kubestead.platform.lvm_ceph_disk:
    disks:
      - id: nvme
        match: {wwn: eui.002538b411b2c3d4}
        device_class: nvme
        layout: partitions
        partitions:
          - {name: osd1, size: 400GiB}
          - {name: osd2, size: 400GiB}
          - {name: osd3, size: rest}

- name: Take it all away again, with the digests that lvm_ceph_disk_info prints
  kubestead.platform.lvm_ceph_disk:
    disks:
      - {id: data1, match: {serial: S4EWNX0R123456}}
    volume_groups:
      - {name: osds, disks: [data1], split: 1}
    consent:
      wipe:
        - id: data1
          seen: 91c27be0aa134f56
          osd_fsids: [3a0c8d3e-5f7b-4f0e-9c55-2f0b8a7f1f11]
    state: absent
"""

RETURN = r"""
entries:
  description:
    - One entry per disk, partition, volume group and volume, in the order of the task.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: disk
      name: data1
      action: created
      reason: is blank
      verdict: blank
      device: /dev/sdb
      serial: S4EWNX0R123456
      wwn: naa.5002538e40d1a2b3
      model: Samsung SSD 860
      size: 1000204886016
      findings: []
      seen: ""
      osd_fsids: []
      layout: volumes
      device_class: ssd
    - kind: volume_group
      name: osds
      action: created
      reason: missing
      disks: [data1]
      extents: 238467
      size: 1000198897664
    - kind: volume
      name: osds/osd1
      action: created
      reason: missing
      path: /dev/osds/osd1
      size_rule: split1
      extents: 238467
      size: 1000198897664
      device_class: ssd
  contains:
    kind:
      description: C(disk), C(partition), C(volume_group) or C(volume).
      type: str
    name:
      description: The disk's id, C(id/partition), the group's name, or C(group/volume).
      type: str
    action:
      description: C(created), C(updated), C(unchanged), C(removed), C(skipped) or C(failed).
      type: str
    reason:
      description: Why.
      type: str
    verdict:
      description:
        - Of a disk, C(blank), C(ours), C(ours-incomplete) (left by a run that did not finish), C(in-use), C(foreign) (carries a
          signature or belongs to another owner), C(unknown-data) (carries data without any known signature) or C(unsuitable).
      type: str
    findings:
      description: Of a disk, what lies on it, each with offset in bytes, type and UUID.
      type: list
      elements: dict
    seen:
      description: Of a disk, the digest of its identity and findings, for O(consent.wipe[].seen).
      type: str
    osd_fsids:
      description: Of a disk, the fsids of the OSDs it holds, for O(consent.wipe[].osd_fsids).
      type: list
      elements: str
    path:
      description: Of a volume or partition, the path that stays the same at every boot.
      type: str
    start:
      description: Of a partition, its first byte.
      type: int
    size:
      description: Bytes of a disk, partition, volume group or volume.
      type: int
    partuuid:
      description: Of a partition, its GUID.
      type: str
    metadata_device:
      description: Of a data volume, the path of the volume that holds its database.
      type: str
    db_for:
      description: Of a database volume, the volume it serves.
      type: str
    error:
      description: Of a failed entry, what went wrong, with a hint.
      type: dict
counts:
  description:
    - How many entries were created, updated, unchanged, removed, skipped and failed.
  returned: always
  type: dict
storage_node:
  description:
    - The node's entry of a C(CephCluster) object's C(spec.storage.nodes), with all volumes, partitions and raw disks that
      are there, or, in check mode, would be. All configuration values are text.
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
from ..module_utils._ansible.disk_spec import DISK, NAMED_SIZE
from ..module_utils._ansible.shell import converge
from ..module_utils._flows.lvm_ceph_disk import LvmCephDiskFlow

GROUP: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "disks": {"type": "list", "elements": "str", "required": True},
    "volumes": {"type": "list", "elements": "dict", "options": NAMED_SIZE},
    "split": {"type": "int"},
    "grow": {"type": "bool", "default": False},
    "metadata_for": {"type": "str"},
    "device_class": {"type": "str"},
}
WIPE: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "seen": {"type": "str", "required": True},
    "osd_fsids": {"type": "list", "elements": "str"},
}
SPEC: dict[str, dict[str, Any]] = {
    "disks": {"type": "list", "elements": "dict", "required": True, "options": DISK},
    "volume_groups": {"type": "list", "elements": "dict", "options": GROUP},
    "consent": {"type": "dict", "options": {"wipe": {"type": "list", "elements": "dict", "options": WIPE}}},
    "node_name": {"type": "str"},
    "on_error": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def wire(params: dict[str, Any]) -> LvmCephDiskFlow:
    """The flow of one run."""
    return LvmCephDiskFlow.from_params(params, LvmCli(run_command), BlockDevices())


def main() -> None:
    """Entry point."""
    converge(new_module(spec=SPEC), wire)


if __name__ == "__main__":
    main()
