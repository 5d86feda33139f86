# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a file that holds secrets: every folder is opened one by one, relative to the one before, following no link
unseen, so that nobody can redirect a write between the check and the deed.

* A symbolic link counts only when root or the user we run as made it.
* A folder we write below belongs to root, to us, or to the owner the file is to have, and nobody else can rename in it.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from posixpath import abspath, basename, dirname, join, split
from typing import Optional

from .._core.errors import BackendFailed, BadInput, Refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MAX_LINKS = 20
_MOST_KEPT = 64
_HINTS = {
    errno.EPERM: "Giving a file to another user or group needs root (become: true).",
    errno.ENOTDIR: "A part of the path is not a folder.",
}


@dataclass(frozen=True)
class Rules:
    """Who a file is for, and so whose folders may lie on the way to it."""

    uid: Optional[int]
    gid: Optional[int]
    create: bool

    @classmethod
    def of(cls, owner: Optional[str], group: Optional[str], *, create: bool = False) -> Rules:
        """From names or numeric ids of this host."""
        return cls(None if owner is None else _uid(owner), None if group is None else _gid(group), create)

    @property
    def trusted(self) -> tuple[int, ...]:
        """Ids whose folders and files may be there."""
        ours = (0, os.geteuid())
        return ours if self.uid is None else (*ours, self.uid)


@contextlib.contextmanager
def opened_folder(path: str, rules: Rules) -> Iterator[int]:
    """A descriptor of the folder ``path``, every folder on the way checked; missing ones are made when the rules say so."""
    walk = _Walk(rules)
    try:
        walk.go(path)
        _check_folder(path, os.fstat(walk.descriptor), rules, last=True)
        yield walk.descriptor
    finally:
        os.close(walk.descriptor)


class Folders:
    """Folders on the way to files, kept open for the next file in the same one. Safe to use from several threads.

    A kept one is used as long as its path leads to it; else the way is walked, and everything on it checked, again.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Optional[int]], int] = {}  # by path and the owner of the files
        self._kept_to_read: dict[str, tuple[int, tuple[str, ...]]] = {}  # by path; with the folders that led there
        self._opened: list[int] = []  # replaced ones too: another thread may still be using them
        weakref.finalize(self, _close_all, self._opened)

    @contextlib.contextmanager
    def destination(self, path: str, rules: Rules) -> Iterator[tuple[int, str]]:
        """The folder of a file to be written, as a descriptor, and the file's name in it."""
        folder, name = split(absolute(path))
        kept = self._kept.get((folder, rules.uid))
        found = _at(folder, kept)
        if kept is not None and found is not None:
            _check_folder(folder, found, rules, last=True)  # others may have been let in meanwhile
            yield kept, name
            return
        with opened_folder(folder, rules) as opened:
            if len(self._opened) < _MOST_KEPT:
                self._kept[folder, rules.uid] = self._held(opened)
            yield opened, name

    def source(self, path: str) -> int:
        """A descriptor of a file to be read; links made by root or by ourselves are followed, also as the last part."""
        folder, name = split(absolute(path))
        kept, real = self._kept_to_read.get(folder, (None, ()))
        if kept is None or _at(folder, kept) is None:
            return self._walk_to(folder, name)
        try:
            return os.open(name, READ, dir_fd=kept)
        except OSError as exc:
            if exc.errno != errno.ELOOP:  # a link, and it matters who made it
                raise
        return _followed(_Walk(None, os.dup(kept), real), name)

    def _walk_to(self, folder: str, name: str) -> int:
        walk = _Walk(None)
        try:
            walk.go(folder)
            if len(self._opened) < _MOST_KEPT:
                self._kept_to_read[folder] = (self._held(walk.descriptor), tuple(walk.real))
        except BaseException:
            os.close(walk.descriptor)
            raise
        return _followed(walk, name)

    def _held(self, opened: int) -> int:
        kept = os.dup(opened)
        self._opened.append(kept)
        return kept


def _followed(walk: _Walk, name: str) -> int:
    """A descriptor of the file ``name`` where the walk stands, or of the one that a link leads to. The walk ends."""
    try:
        while True:
            target = walk.link(name)
            if target is None:
                return os.open(name, READ, dir_fd=walk.descriptor)
            if target.startswith("/"):
                walk.restart()
            further, name = split(target)
            walk.go(further)
    finally:
        os.close(walk.descriptor)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _at(path: str, descriptor: Optional[int]) -> Optional[os.stat_result]:
    """What an open folder is, if its path still leads to it."""
    if descriptor is None:
        return None
    try:
        there, kept = os.stat(path), os.fstat(descriptor)
    except OSError:
        return None
    return kept if (there.st_dev, there.st_ino) == (kept.st_dev, kept.st_ino) else None


def resolved(path: str) -> str:
    """Where a path leads when its last part is a link made by root or by ourselves; the path itself when it is none.

    Raises Refused for a link of somebody else. What stands there is not judged; ``destination`` does that.
    """
    walk = _Walk(None)
    try:
        rest = absolute(path)
        while True:
            try:
                walk.go(dirname(rest))
            except FileNotFoundError:
                return rest
            target = walk.link(basename(rest))
            if target is None:
                return rest
            rest = absolute(join("/", *walk.real, target))
            walk.restart()
    finally:
        os.close(walk.descriptor)


class _Walk:
    """A walk from the root, one part at a time, each opened relative to the one before. ``rules`` None means reading only.

    ``start`` is an open folder that an earlier walk came to, through ``real``; the walk takes it over.
    """

    def __init__(self, rules: Optional[Rules], start: Optional[int] = None, real: Iterable[str] = ()) -> None:
        self.rules = rules
        self.descriptor = os.open("/", _FOLDER) if start is None else start
        self.real = list(real)
        self.links = 0

    def go(self, path: str) -> None:
        """Walk on along ``path``."""
        pending = path.split("/")[::-1]
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                pending.extend(self.real[-2::-1])
                self.restart()
                continue
            target = self.link(name)
            if target is None:
                self._enter(name)
            else:
                pending.extend(target.split("/")[::-1])
                if target.startswith("/"):
                    self.restart()

    def restart(self) -> None:
        """Go back to the root."""
        self.real = []
        self._move(os.open("/", _FOLDER))

    def link(self, name: str) -> Optional[str]:
        """Where the link ``name`` points; None when it is no link. Raises Refused for a link of somebody else."""
        entry = lstat(self.descriptor, name)
        if entry is None or not stat.S_ISLNK(entry.st_mode):
            return None
        shown = "/" + "/".join((*self.real, name))
        if entry.st_uid not in (0, os.geteuid()):
            raise Refused(
                f"{shown} is a symbolic link made by {user_name(entry.st_uid)}, and is not followed.",
                hint="Name the place it points to, or replace it by a real folder.",
            )
        self.links += 1
        if self.links > _MAX_LINKS:
            raise Refused(f"{shown}: too many symbolic links on the way.")
        return os.readlink(name, dir_fd=self.descriptor)

    def _enter(self, name: str) -> None:
        if self.rules is not None:
            _check_folder("/" + "/".join(self.real), os.fstat(self.descriptor), self.rules, last=False)
        try:
            below = os.open(name, _FOLDER, dir_fd=self.descriptor)
        except FileNotFoundError:
            if self.rules is None or not self.rules.create:
                raise
            below, made = _make_below(self.descriptor, name, self.rules)
            if made:
                os.fsync(self.descriptor)
        self._move(below)
        self.real.append(name)

    def _move(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor


def enter(folder: int, name: str, path: str, rules: Rules) -> int:
    """A descriptor of the folder ``name`` in an open folder, checked as the last part of ``path`` is.

    A missing one is made when the rules say so (bringing that to disk is the caller's), and FileNotFoundError otherwise.
    """
    try:
        below = os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not rules.create:
            raise
        below, _made = _make_below(folder, name, rules)
    try:
        _check_folder(path, os.fstat(below), rules, last=True)
    except BaseException:
        os.close(below)
        raise
    return below


def _make_below(folder: int, name: str, rules: Rules) -> tuple[int, bool]:
    """A new folder, open, and whether it was this call that made it: a parallel one may be faster."""
    made = True
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        made = False
    below = os.open(name, _FOLDER, dir_fd=folder)
    if made:
        give(below, rules)
    return below, made


def _check_folder(path: str, found: os.stat_result, rules: Rules, *, last: bool) -> None:
    if found.st_uid not in rules.trusted:
        user = user_name(found.st_uid)
        raise Refused(
            f"The folder {path} belongs to {user}, who could replace what is written in it.",
            hint=f"Set the owner of the file to {user}, or choose another folder.",
        )
    # In a folder with the sticky bit nobody can rename what is not theirs: good enough on the way, not at the end.
    if found.st_mode & _OTHERS_WRITE and (last or not found.st_mode & stat.S_ISVTX):
        raise Refused(
            f"The folder {path} can be written by others (mode {stat.S_IMODE(found.st_mode):04o}).",
            hint="Take the group's and the others' write permission away (chmod go-w), or choose another folder.",
        )


def give(descriptor: int, rules: Rules) -> None:
    """Make an open file or folder belong to whom the rules name, where it does not yet."""
    found = os.fstat(descriptor)
    uid = found.st_uid if rules.uid is None else rules.uid
    gid = found.st_gid if rules.gid is None else rules.gid
    if (uid, gid) != (found.st_uid, found.st_gid):
        os.fchown(descriptor, uid, gid)


def lstat(folder: int, name: str) -> Optional[os.stat_result]:
    """What stands under a name, links not followed; None when nothing does."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def absolute(path: str) -> str:
    """The path without dots, from the root."""
    if not path or "\0" in path or path.endswith("/"):
        raise BadInput(f"{path!r} is not the path of a file.")
    return abspath(path)


class explained:  # noqa: N801 - a context manager, named as contextlib's are; as a generator it takes seven times as long
    """Turn what the system says into one sentence that names the file. A missing file is left to the caller."""

    def __init__(self, path: str, deed: str) -> None:
        self._path = path
        self._deed = deed

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(self, _kind: object, exc: Optional[BaseException], _trace: object) -> None:
        if not isinstance(exc, OSError):
            return
        told, hint = os.strerror(exc.errno or 0), _HINTS.get(exc.errno or 0, "")
        if isinstance(exc, FileNotFoundError):
            told = "a folder on the way vanished"
        raise BackendFailed(f"{self._path} could not be {self._deed}: {told}.", hint=hint) from exc


@cache
def _uid(owner: str) -> int:
    try:
        return int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise BadInput(f"There is no user {owner!r} on this host.") from None


@cache
def _gid(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise BadInput(f"There is no group {group!r} on this host.") from None


@cache
def user_name(uid: int) -> str:
    """The user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def group_name(gid: int) -> str:
    """The group's name, or the number where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
