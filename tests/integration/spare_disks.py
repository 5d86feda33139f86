# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of a test's own, plugged into a running node and unplugged again, so that the node's own disks stay as they are.

As a program, for the scenarios in extensions/molecule: spare_disks.py plug FOLDER LETTER IMAGE SERIAL, and unplug FOLDER LETTER IMAGE.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

MAGIC, VERSION, WORDS = 0xCAFEBABE, 2, 512
BLOCK = 1 << 16
DISK_BYTES = 20 << 30


def console(node: Path, command: str) -> str:
    """One command to the management console of a User-Mode-Linux node, whose socket lies in the folder ``node``."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{folder}/answer")
        channel.settimeout(20)
        words = command.encode()
        request = struct.pack("<III", MAGIC, VERSION, len(words)) + words.ljust(WORDS, b"\0")
        channel.sendto(request, str(node / "mconsole"))
        answer = channel.recv(4096)
    failed, _more, length = struct.unpack("<III", answer[:12])
    text = answer[12 : 12 + length].rstrip(b"\0").decode()
    if failed:
        raise AssertionError(f"{command!r}: {text}")
    return text


def plug(node: Path, letter: str, image: Path, serial: str, size: int = DISK_BYTES) -> None:
    """Make ``/dev/ubd<letter>`` of a new, blank image."""
    with image.open("wb") as stream:
        stream.truncate(size)
    console(node, f"config ubd{letter}={image},,{serial}")


def unplug(node: Path, letter: str, image: Path) -> None:
    """Take it away, if it is there."""
    for wait in (0.2, 0.5, 1, 2, 4, 0):  # udev may still be looking at it
        if not console(node, f"config ubd{letter}"):
            break
        try:
            console(node, f"remove ubd{letter}")
        except AssertionError:
            if not wait:
                raise
            time.sleep(wait)
    image.unlink(missing_ok=True)


def fingerprint(image: Path) -> str:
    """A digest of every byte that is not zero, and of its place. Holes are skipped, so a sparse disk is read in no time.

    Where holes begin and end is the file system's own business: the digest goes by whole blocks.
    """
    digest = hashlib.sha256()
    with image.open("rb") as stream:
        position = 0
        while True:
            try:
                position = max(position, os.lseek(stream.fileno(), position, os.SEEK_DATA) // BLOCK * BLOCK)
            except OSError:  # no data after this
                return digest.hexdigest()
            end = os.lseek(stream.fileno(), os.lseek(stream.fileno(), position, os.SEEK_DATA), os.SEEK_HOLE)
            while position < end:
                data = os.pread(stream.fileno(), BLOCK, position)
                if data.strip(b"\0"):
                    digest.update(position.to_bytes(8, "big") + data)
                position += BLOCK


def fingerprint_of_nothing() -> str:
    """That of a disk of zeros."""
    return hashlib.sha256().hexdigest()


def main(action: str, node: str, letter: str, image: str, serial: str = "") -> None:
    """Plug or unplug one disk."""
    if action == "plug":
        plug(Path(node), letter, Path(image), serial)
    else:
        unplug(Path(node), letter, Path(image))


if __name__ == "__main__":
    main(*sys.argv[1:])
