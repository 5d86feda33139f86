# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold secrets, on the host the module runs on.

A file is born 0600 beside its destination, brought to disk, and takes its place in a single rename, with the extended
attributes (such as the SELinux context) of the file it replaces. Links are not written through unless asked for, and then
only those of root and our own; folders where others could put something in our way are refused (see ``safe_folder``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Optional

from .._core.errors import Refused
from .._core.ports import StoredFile
from .safe_folder import (
    READ,
    Folders,
    Rules,
    absolute,
    explained,
    give,
    group_name,
    lstat,
    opened_folder,
    resolved,
    user_name,
)

BIRTH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_BYTES = 16 * 1024 * 1024
_MORE = 4096  # read beyond what a file says to hold: it may grow, and those of /proc say 0
# Not carried over: they speak about one content, or give rights to whoever runs it.
_OF_THE_CONTENT = ("security.capability", "security.evm", "security.ima", "trusted.")


class SecretFiles:
    """Reads, writes and removes secret files. May be used from several threads.

    ``owner`` and ``group`` are names or numeric ids; left out, an existing file keeps its own and a new one gets ours.
    With ``follow_links``, a destination that is a link made by root or by ourselves means the file it leads to.
    """

    def __init__(self, *, follow_links: bool = False) -> None:
        self._follow = follow_links
        self._folders = Folders()

    def read(self, path: str) -> Optional[bytes]:
        """The content of a file that the task itself names as a source; None when there is none.

        Links made by root or by ourselves are followed here, also as the last part.
        """
        with explained(path, "read"):
            try:
                descriptor = self._folders.source(path)
            except FileNotFoundError:
                return None
            return content_of(path, descriptor)[0]

    def find(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> Optional[StoredFile]:
        """What stands at a destination; None when nothing does. Raises Refused where ``write`` would."""
        rules = Rules.of(owner, group)
        with explained(path, "read"):
            try:
                with self._place(path, rules) as (folder, name):
                    return _stored(path, folder, name, rules)
            except FileNotFoundError:
                return None

    def write(
        self,
        path: str,
        content: bytes,
        *,
        owner: Optional[str] = None,
        group: Optional[str] = None,
        mode: Optional[int] = None,
    ) -> None:
        """Put ``content`` at ``path`` in one step; missing folders are made 0700.

        Without ``mode`` an old file keeps its own, and a new one is 0600.
        """
        rules = Rules.of(owner, group, create=True)
        with explained(path, "written"), self._place(path, rules) as (folder, name):
            old = checked(path, folder, name, rules)
            if old is not None:
                uid = old.st_uid if rules.uid is None else rules.uid
                gid = old.st_gid if rules.gid is None else rules.gid
                rules = Rules(uid, gid, create=True)
                mode = stat.S_IMODE(old.st_mode) if mode is None else mode
            _replace(folder, name, content, rules, 0o600 if mode is None else mode)

    def append(self, path: str, line: bytes, *, owner: Optional[str] = None, group: Optional[str] = None) -> None:
        """Add one line to a 0600 file and bring it to disk; lines of parallel writers stay whole."""
        rules = Rules.of(owner, group, create=True)
        with explained(path, "written"), self._folders.destination(path, rules) as (folder, name):
            checked(path, folder, name, rules)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                give(descriptor, rules)
                stream.write(line)
                os.fsync(descriptor)
            os.fsync(folder)

    def remove(self, path: str, *, owner: Optional[str] = None) -> bool:
        """Remove a file, or a link itself; whether there was one. A link that is followed goes with what it leads to."""
        with explained(path, "removed"):
            try:
                target = resolved(path) if self._follow else path
                if target != absolute(path):
                    self.remove(target, owner=owner)
                with self._folders.destination(path, Rules.of(owner, None)) as (folder, name):
                    os.unlink(name, dir_fd=folder)
                    os.fsync(folder)
            except FileNotFoundError:
                return False
            return True

    @contextlib.contextmanager
    def _place(self, path: str, rules: Rules) -> Iterator[tuple[int, str]]:
        """Folder and name of a destination, a link followed where that is asked for."""
        with contextlib.ExitStack() as stack:
            folder, name = stack.enter_context(self._folders.destination(path, rules))
            old = lstat(folder, name) if self._follow else None
            if old is not None and stat.S_ISLNK(old.st_mode):
                folder, name = stack.enter_context(self._folders.destination(resolved(path), rules))
            yield folder, name

    def make_folder(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> None:
        """Make a folder and its missing parents 0700; an existing one must be as safe as ``write`` wants it."""
        with explained(path, "made"), opened_folder(absolute(path), Rules.of(owner, group, create=True)):
            pass


def _stored(path: str, folder: int, name: str, rules: Rules) -> Optional[StoredFile]:
    if checked(path, folder, name, rules) is None:
        return None
    content, found = content_of(path, os.open(name, READ, dir_fd=folder))
    return StoredFile(
        content=content,
        mode=stat.S_IMODE(found.st_mode),
        owner=user_name(found.st_uid),
        group=group_name(found.st_gid),
        as_asked=rules.uid in (None, found.st_uid) and rules.gid in (None, found.st_gid),
    )


def checked(path: str, folder: int, name: str, rules: Rules) -> Optional[os.stat_result]:
    """What stands at a destination, if it may be read and replaced; raises Refused otherwise."""
    old = lstat(folder, name)
    if old is None:
        return None
    if stat.S_ISLNK(old.st_mode):
        raise Refused(f"{path} is a symbolic link, and is not written through.", hint="Name the file it points to.")
    if not stat.S_ISREG(old.st_mode):
        raise Refused(f"{path} is not a regular file.")
    if os.fstat(folder).st_uid in (0, os.geteuid()):
        return old
    # In somebody's own folder, a file of another or a second name of one could make us copy what that person cannot read.
    if old.st_uid not in rules.trusted:
        raise Refused(f"{path} belongs to {user_name(old.st_uid)}, its folder does not.", hint="Move the file away.")
    if old.st_nlink > 1:
        raise Refused(f"{path} is a hard link to a file that has another name.", hint="Copy it to a file of its own.")
    return old


def content_of(path: str, descriptor: int) -> tuple[bytes, os.stat_result]:
    """What an open file holds, and what it is; closes it. Raises Refused for what is no file, or is too large."""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is not a regular file.")
        content = b""
        while part := os.read(descriptor, min(found.st_size, _MAX_BYTES) + _MORE):
            content += part
            if len(content) > _MAX_BYTES:
                raise Refused(f"{path} is larger than {_MAX_BYTES // 1024 // 1024} MiB.")
    finally:
        os.close(descriptor)
    return content, found


def _replace(folder: int, name: str, content: bytes, rules: Rules, mode: int) -> None:
    temporary = _temporary(name)
    descriptor = os.open(temporary, BIRTH, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            give(descriptor, rules)
            _keep_attributes(folder, name, descriptor)
            os.fchmod(descriptor, mode)  # after the attributes, so that an access list among them cannot widen it
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    _rename(folder, temporary, name)


def _keep_attributes(folder: int, name: str, descriptor: int) -> None:
    """Give the new file the extended attributes of the one it replaces, as far as the system lets us."""
    try:
        old = os.open(name, READ, dir_fd=folder)
    except OSError:
        return
    try:
        for attribute in os.listxattr(old):
            if not attribute.startswith(_OF_THE_CONTENT):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, attribute, os.getxattr(old, attribute))
    except OSError:
        return  # a file system without them
    finally:
        os.close(old)


def _rename(folder: int, temporary: str, name: str) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _temporary(name: str) -> str:
    return f".{name[:200]}.{secrets.token_hex(6)}.tmp"
