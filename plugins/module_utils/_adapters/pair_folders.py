# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders and links that pairs of keys and certificates are kept in.

The folder of the store, and ``.pairs`` in it, are walked to and checked once and then held open, and everything below is
reached from there, so that nobody can redirect a write in the middle of a run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional, TypeVar

from .._core.errors import Refused
from .group_sync import GroupSync
from .safe_folder import READ, Rules, enter, explained, lstat, opened_folder
from .secret_file import BIRTH, checked, content_of

PAIRS = ".pairs"
T = TypeVar("T")
_SEEK = Rules(None, None, create=False)
_CREATE = Rules(None, None, create=True)
_OVERWRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class _Held(NamedTuple):
    """Open folders: that of the store, and ``.pairs`` in it."""

    root: int
    pairs: int


class PairFolders:
    """The folder of a store. Safe to use from several threads."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._sync = GroupSync()
        self._guard = threading.Lock()
        self._held: Optional[_Held] = None

    def make(self) -> None:
        """Make the folders that are missing, and check all of them."""
        self._hold(_CREATE)

    @contextlib.contextmanager
    def person(self, name: str, *, create: bool = False) -> Iterator[Optional[PersonFolder]]:
        """A person's folder below ``.pairs``; None when it is not there and is not to be made."""
        rules, path = _CREATE if create else _SEEK, f"{self.root}/{PAIRS}/{name}"
        held, folder = self._hold(rules), None
        if held is not None:
            with explained(path, "opened"), contextlib.suppress(FileNotFoundError):
                folder = enter(held.pairs, name, path, rules)
        try:
            yield PersonFolder(path, folder, held, self._sync) if held is not None and folder is not None else None
        finally:
            if folder is not None:
                os.close(folder)

    def link(self, name: str) -> Optional[str]:
        """Where a link of the store leads; None when nothing is there, empty when it is no link."""
        held, path = self._hold(_SEEK), f"{self.root}/{name}"
        with explained(path, "read"):
            return _read_link(name, held.root) if held is not None else _read_link(path, None)

    def turn(self, name: str, target: str) -> None:
        """Make ``name`` a link to ``target``, or turn the link that is there."""
        held, path = self._hold(_CREATE), f"{self.root}/{name}"
        with explained(path, "linked"):
            _turn(_there(held).root, name, target, path)

    def unlink(self, name: str) -> None:
        """Remove a link, if it is there."""
        held = self._hold(_SEEK)
        if held is not None:
            with explained(f"{self.root}/{name}", "removed"), contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=held.root)

    def bring_to_disk(self) -> None:
        """What was linked and removed here and of ``.pairs``."""
        held = self._hold(_SEEK)
        if held is not None:
            with explained(self.root, "brought to disk"):
                self._sync.bring((), held)

    def _hold(self, rules: Rules) -> Optional[_Held]:
        with self._guard:
            if self._held is None:
                with explained(self.root, "opened"), contextlib.suppress(FileNotFoundError):
                    self._held = self._opened(rules)
            return self._held

    def _opened(self, rules: Rules) -> _Held:
        with opened_folder(self.root, rules) as folder:
            pairs = enter(folder, PAIRS, f"{self.root}/{PAIRS}", rules)
            held = _Held(os.dup(folder), pairs)
        for descriptor in held:
            weakref.finalize(self, os.close, descriptor)
        return held


class PersonFolder:
    """An open folder of one person: folders of versions, and the link ``current`` to one of them."""

    def __init__(self, path: str, folder: int, above: _Held, sync: GroupSync) -> None:
        self.path = path
        self._folder = folder
        self._above = above
        self._sync = sync

    def current(self) -> Optional[str]:
        """Where the link leads; None when there is none, empty when it is no link."""
        with explained(self.path, "read"):
            return _read_link("current", self._folder)

    def entries(self) -> list[str]:
        """The names of everything in it."""
        with explained(self.path, "read"):
            return os.listdir(self._folder)

    def contents(self, version: str, *names: str) -> dict[str, Optional[bytes]]:
        """Files of a version; None for a missing one."""
        with self._version(version, "read") as folder:
            return {name: self._content(folder, version, name) for name in names}

    def modes(self, version: str, *names: str) -> dict[str, int]:
        """The permissions of those files of a version that are there."""
        with explained(f"{self.path}/{version}", "read"):
            found = {name: lstat(self._folder, f"{version}/{name}") for name in names}
        return {name: stat.S_IMODE(entry.st_mode) for name, entry in found.items() if entry is not None}

    def has(self, version: str, name: str) -> bool:
        """Whether a version has a file of that name."""
        return bool(self.modes(version, name))

    def fill(self, version: str, files: Mapping[str, bytes]) -> None:
        """Make a version with new 0600 files and bring all of it to disk; a kill leaves a part of it.

        A file without content keeps a place that ``add`` fills later: its name is then on disk already.
        """
        with self._version(version, "written", create=True) as folder, contextlib.ExitStack() as opened:
            written = [opened.enter_context(_written(_there(folder), name, files[name], BIRTH)) for name in files]
            kept = [descriptor for descriptor, content in zip(written, files.values()) if content]
            self._sync.bring(kept, (_there(folder), self._folder, self._above.pairs))

    def keep(self, version: str) -> None:
        """Bring a version to disk with everything in it."""
        with self._version(version, "written") as folder, contextlib.ExitStack() as opened:
            files = [os.open(name, READ, dir_fd=_there(folder)) for name in os.listdir(_there(folder))]
            for descriptor in files:
                opened.callback(os.close, descriptor)
            self._sync.bring(files, (_there(folder), self._folder, self._above.pairs))

    def add(self, version: str, name: str, content: bytes) -> None:
        """Put a 0600 file into a version that is not in use yet, and bring its content to disk.

        Its name is there already if ``fill`` kept a place for it; else ``keep`` has to follow.
        """
        with self._version(version, "written") as folder, _written(_there(folder), name, content, _OVERWRITE) as descriptor:
            self._sync.bring([descriptor], ())

    def turn(self, version: str) -> None:
        """Make a version the current one, in a single step."""
        path = f"{self.path}/current"
        with explained(path, "linked"):
            _turn(self._folder, "current", version, path)

    def unlink(self, name: str) -> None:
        """Remove a file or a link below it, if it is there."""
        with explained(f"{self.path}/{name}", "removed"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(name, dir_fd=self._folder)

    def bring_to_disk(self) -> None:
        """What was linked and removed here, and the links of the store."""
        with explained(self.path, "brought to disk"):
            self._sync.bring((), (self._folder, self._above.root))

    @contextlib.contextmanager
    def _version(self, version: str, deed: str, *, create: bool = False) -> Iterator[Optional[int]]:
        path, folder = f"{self.path}/{version}", None
        with explained(path, deed):
            with contextlib.suppress(FileNotFoundError):
                folder = enter(self._folder, version, path, _CREATE if create else _SEEK)
            try:
                yield folder
            finally:
                if folder is not None:
                    os.close(folder)

    def _content(self, folder: Optional[int], version: str, name: str) -> Optional[bytes]:
        path = f"{self.path}/{version}/{name}"
        if folder is None or checked(path, folder, name, _SEEK) is None:
            return None
        return content_of(path, os.open(name, READ, dir_fd=folder))[0]


def _there(found: Optional[T]) -> T:
    """What was found a moment ago, or has just been made."""
    if found is None:
        raise FileNotFoundError
    return found


@contextlib.contextmanager
def _written(folder: int, name: str, content: bytes, flags: int) -> Iterator[int]:
    """A file with that content, still open, so that it can be brought to disk together with others."""
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        yield descriptor
    finally:
        os.close(descriptor)


def _turn(folder: int, name: str, target: str, path: str) -> None:
    """One step for whoever looks: a link that is there is replaced by a rename. A kill may leave the temporary link."""
    old = lstat(folder, name)
    if old is None:
        os.symlink(target, name, dir_fd=folder)
        return
    if not stat.S_ISLNK(old.st_mode):
        raise Refused(f"{path} is not a symbolic link, and is not replaced by one.", hint="Move it away first.")
    temporary = f".{name[:200]}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    os.symlink(target, temporary, dir_fd=folder)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _read_link(name: str, folder: Optional[int]) -> Optional[str]:
    try:
        return os.readlink(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            return ""
        raise
