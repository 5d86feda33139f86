# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images as the tools of Debian leave them, and a few as other systems do. Each maker gets an image that is all holes."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

GIB = 1 << 30
SECTOR = 512
Maker = Callable[[Path], None]


def _tool(*words: str, then: str = "") -> Maker:
    """A command that gets the image as its last argument (and ``then`` after it)."""

    def make(image: Path) -> None:
        argv = [*words, str(image), *([then] if then else [])]
        path = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"}
        done = subprocess.run(argv, input="secret-phrase", capture_output=True, text=True, env=path, check=False, timeout=120)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    return make


def _packed(tool: str, *words: str) -> Maker:
    """A file system made of a folder into a file of its own, laid onto the begin of the image."""

    def make(image: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            content, packed = Path(folder, "content"), Path(folder, "packed")
            content.mkdir()
            (content / "file").write_text("x" * 5000, encoding="utf-8")
            places = {"CONTENT": str(content), "PACKED": str(packed)}
            subprocess.run([tool, *(places.get(word, word) for word in words)], check=True, capture_output=True, timeout=60)
            _put(image, 0, packed.read_bytes())

    return make


def _put(image: Path, offset: int, data: bytes) -> None:
    with image.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def _bytes(*parts: tuple[int, bytes]) -> Maker:
    def make(image: Path) -> None:
        for offset, data in parts:
            _put(image, offset % image.stat().st_size, data)

    return make


def _label(*offsets: int) -> Maker:
    text = b"bluestore block device\n11111111-2222-3333-4444-555555555555\n"
    return _bytes(*((offset, text) for offset in offsets))


def _array_old(image: Path) -> None:
    """A member of an md array, version 0.90: 4 KiB near the end, in words of the machine that made it."""
    size = image.stat().st_size
    words = [0] * 1024
    words[0:7] = [0xA92B4EFC, 0, 90, 0, 0, 0x11111111, 1700000000]
    words[13:16] = [0x22222222, 0x33333333, 0x44444444]
    total = sum(words)
    words[152] = (total & 0xFFFFFFFF) + (total >> 32)
    _put(image, (size & ~0xFFFF) - 0x10000, struct.pack("<1024I", *words))


def _array(minor: int) -> Maker:
    """A member of an md array, version 1.0, 1.1 or 1.2."""

    def make(image: Path) -> None:
        sectors = image.stat().st_size // SECTOR
        at = {0: (sectors - 16) & ~7, 1: 0, 2: 8}[minor]
        block = bytearray(256)
        struct.pack_into("<IIII", block, 0, 0xA92B4EFC, 1, 0, 0)
        block[16:32] = bytes(range(1, 17))
        block[32:37] = b"array"
        struct.pack_into("<QIIQIIII", block, 64, 1700000000, 1, 0, sectors - 4096, 0, 2, 0, 0)
        struct.pack_into("<QQQ", block, 128, 2048, sectors - 4096, at)
        words = struct.unpack("<64I", block)
        total = sum(words)
        struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
        _put(image, at * SECTOR, bytes(block))

    return make


def _pool_label(image: Path) -> None:
    """A vdev of a ZFS pool: uberblocks in all four labels."""
    size = image.stat().st_size
    for label in (0, 256 << 10, size - (512 << 10), size - (256 << 10)):
        for number in range(8):
            _put(image, label + (128 << 10) + number * 1024, struct.pack("<QQQQQ", 0x00BAB10C, 5000, 7 + number, 9, 1700000000))


def _drbd(image: Path) -> None:
    """DRBD 8.4's metadata in the last 4 KiB."""
    block = bytearray(4096)
    struct.pack_into(">Q4QQ", block, 0, image.stat().st_size // SECTOR - 72, 1, 2, 3, 4, 0xABCDEF0123456789)
    struct.pack_into(">I", block, 60, 0x8374026D)
    _put(image, image.stat().st_size - 4096, bytes(block))


def _dos_table(image: Path) -> None:
    entry = struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, 2048, 2 * 1024 * 1024)
    _put(image, 440, struct.pack("<IH", 0x12345678, 0) + entry + bytes(48) + b"\x55\xaa")


def _intel_raid(image: Path) -> None:
    block = b"Intel Raid ISM Cfg Sig. 1.3.00".ljust(SECTOR, b"\0")
    block = block[:32] + struct.pack("<I", zlib.crc32(b"x")) + block[36:]
    _put(image, image.stat().st_size - 2 * SECTOR, block)


_LUKS = ("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-")
MAKERS: dict[str, Maker] = {
    "ext2": _tool("mke2fs", "-q", "-F", "-t", "ext2"),
    "ext3": _tool("mke2fs", "-q", "-F", "-t", "ext3"),
    "ext4": _tool("mke2fs", "-q", "-F", "-t", "ext4"),
    "xfs": _tool("mkfs.xfs", "-q", "-f"),
    "btrfs": _tool("mkfs.btrfs", "-q", "-f"),
    "f2fs": _tool("mkfs.f2fs", "-q", "-f"),
    "vfat": _tool("mkfs.vfat", "-F", "32", "-I"),
    "exfat": _tool("mkfs.exfat"),
    "ntfs": _tool("mkfs.ntfs", "-q", "-Q", "-F"),
    "nilfs2": _tool("mkfs.nilfs2", "-q", "-f"),
    "reiserfs": _tool("mkfs.reiserfs", "-q", "-f", "-f"),
    "reiser4": _tool("mkfs.reiser4", "-y", "-f"),
    "jfs": _tool("mkfs.jfs", "-q"),
    "ocfs2": _tool("mkfs.ocfs2", "-q", "-F", "-M", "local"),
    "gfs2": _tool("mkfs.gfs2", "-q", "-O", "-p", "lock_nolock"),
    "minix": _tool("mkfs.minix", then="10240"),
    "bfs": _tool("mkfs.bfs", then="5000"),
    "udf": _tool("mkudffs", "--media-type=hd"),
    "hfs": _tool("hformat", "-f"),
    "swap": _tool("mkswap"),
    "luks1": _tool(*_LUKS, "--type", "luks1"),
    "luks2": _tool(*_LUKS, "--type", "luks2"),
    "bcache backing": _tool("make-bcache", "--bdev"),
    "bcache cache": _tool("make-bcache", "--cache"),
    "gpt without entries": _tool("sgdisk", "--clear"),
    "gpt": _tool("sgdisk", "--new=1:2048:+1G", "--new=2:0:0"),
    "dos table": _dos_table,
    "squashfs": _packed("mksquashfs", "CONTENT", "PACKED", "-quiet", "-no-progress"),
    "iso9660": _packed("genisoimage", "-quiet", "-R", "-o", "PACKED", "CONTENT"),
    "erofs": _packed("mkfs.erofs", "PACKED", "CONTENT"),
    "cramfs": _packed("mkfs.cramfs", "CONTENT", "PACKED"),
    "md 0.90": _array_old,
    "md 1.0": _array(0),
    "md 1.1": _array(1),
    "md 1.2": _array(2),
    "intel raid": _intel_raid,
    "zfs": _pool_label,
    "drbd": _drbd,
    "bluestore": _label(0, GIB, 10 * GIB),
    "bluestore copy": _label(10 * GIB),
    "data at the begin": _bytes((4096, b"rows of a database")),
    "data at the end": _bytes((-70_000, b"rows of a database")),
}
