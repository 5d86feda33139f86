# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first bytes of a disk with a GUID partition table, as sfdisk writes them."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence

LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
Part = tuple[int, int, str, str]  # first byte, number of bytes, GUID, name; a length of zero is an unused line


def gpt_bytes(disk: int, guid: str, parts: Sequence[Part], sector: int = 512) -> bytes:
    """Protective MBR, header and 128 lines."""
    lines = b"".join(_line(part, sector) for part in parts).ljust(128 * 128, b"\0")
    last = disk // sector - 1 - len(lines) // sector - 1
    fields = (b"EFI PART", 0x10000, 92, 0, 0, 1, disk // sector - 1, 2 + len(lines) // sector, last)
    rest = (uuid.UUID(guid).bytes_le, 2, 128, 128, zlib.crc32(lines))
    header = struct.pack("<8sIIII4Q16sQIII", *fields, *rest)
    header = header[:16] + struct.pack("<I", zlib.crc32(header)) + header[20:]
    boot = (bytes(450) + b"\xee").ljust(510, b"\0") + b"\x55\xaa"
    return boot.ljust(sector, b"\0") + header.ljust(sector, b"\0") + lines


def _line(part: Part, sector: int) -> bytes:
    start, size, guid, name = part
    if not size:
        return bytes(128)
    place = (start // sector, (start + size) // sector - 1, 0)
    kind, own = LINUX_DATA.bytes_le, uuid.UUID(guid).bytes_le
    return struct.pack("<16s16sQQQ72s", kind, own, *place, name.encode("utf-16-le"))
