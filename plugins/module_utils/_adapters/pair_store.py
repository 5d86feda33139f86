# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key and certificate pairs of people in a folder.

``<name>.key`` and ``<name>.crt`` are links that never change; they lead through ``.pairs/<name>/current``, a link too, to
a version folder that holds one whole pair. A new pair takes its place by turning that one link, so that a kill at any
moment leaves a key and a certificate that belong together.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import threading
import time
from typing import Any, Optional

from .._certs.pair import StoredPair, StoredVersion
from .._core.errors import Conflict, Refused
from .safe_folder import explained
from .secret_file import SecretFiles

_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}(-[0-9a-f]{8})?", re.ASCII)
_KEY, _CERTIFICATE, _RECORD = "tls.key", "tls.crt", "request.json"
_PAUSE = 0.2


class PairStore:
    """The pairs below one folder. Reading needs no lock; the first write locks the folder for the rest of the run.

    What was read is remembered: if another run changed a person's pair in between, the write raises Conflict.
    ``patience`` is how many seconds to wait for another run's lock.
    """

    secrets_in = ""

    def __init__(self, directory: str, *, patience: float = 60.0) -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self._files = SecretFiles()
        self._patience = patience
        self._seen: dict[str, Optional[str]] = {}
        self._lock: Any = None
        self._guard = threading.Lock()

    def read(self, name: str) -> StoredPair:
        """Everything stored for a person."""
        current = self._current(name)
        self._seen[name] = current
        others = [version for version in self._versions(name) if version != current]
        stored = self._version(name, current) if current else None
        return StoredPair(
            key_path=self._link(name, "key"),
            cert_path=self._link(name, "crt"),
            current=stored,
            others=tuple(self._version(name, version) for version in sorted(others, reverse=True)),
            untidy=self._untidy(name, current),
        )

    def prepare(self, name: str, version: str, key_pem: Optional[bytes], record: bytes) -> None:
        """Bring a key and the request made with it to disk, beside the present pair."""
        self._own(name)
        key = {} if key_pem is None else {_KEY: key_pem}
        self._files.fill(self._path(name, version), {**key, _RECORD: record})

    def install(self, name: str, version: str, certificate_pem: str) -> None:
        """Complete a version with its certificate and make it the present pair, in one step; older ones are removed."""
        self._own(name)
        self._files.write(self._path(name, version, _CERTIFICATE), certificate_pem.encode("ascii"), mode=0o600)
        self._files.switch_link(self._path(name, "current"), version)
        self._seen[name] = version
        self._make_links(name)
        for other in self._versions(name):
            if other != version:
                self._remove_folder(self._path(name, other))

    def settle(self, name: str) -> None:
        """Put the present pair's links and modes right, and forget the request that led to it."""
        self._own(name)
        version = self._seen[name]
        if version:
            self._make_links(name)
            for file in (_KEY, _CERTIFICATE):
                self._protect(self._path(name, version, file))
            for other in self._versions(name):
                if other != version and not self._recorded(name, other):
                    self._remove_folder(self._path(name, other))
            self._files.remove(self._path(name, version, _RECORD))

    def drop(self, name: str, version: str = "") -> None:
        """Remove one version that is not the present one; without ``version`` everything of the person."""
        self._own(name)
        if version:
            self._remove_folder(self._path(name, version))
            return
        for suffix in ("key", "crt"):
            self._check_link(name, suffix, None)
            self._files.remove(self._link(name, suffix))
        self._files.remove(self._path(name, "current"))
        self._remove_folder(self._path(name))
        self._seen[name] = None

    def _current(self, name: str) -> Optional[str]:
        path = self._path(name, "current")
        target = _read_link(path)
        if target == "":
            raise Refused(f"{path} is not a link.", hint="Move it away first.")
        if target is not None and not _VERSION.fullmatch(target):
            raise Refused(f"{path} leads to {target[:80]!r}, which this module did not make.", hint="Move it away first.")
        return target

    def _versions(self, name: str) -> list[str]:
        path = self._path(name)
        with explained(path, "read"):
            entries = os.listdir(path) if os.path.isdir(path) else []
        return [entry for entry in entries if _VERSION.fullmatch(entry)]

    def _version(self, name: str, version: str) -> StoredVersion:
        found = {file: self._files.find(self._path(name, version, file)) for file in (_KEY, _CERTIFICATE, _RECORD)}
        content = {file: stored.content if stored is not None else None for file, stored in found.items()}
        return StoredVersion(version, content[_KEY], content[_CERTIFICATE], content[_RECORD])

    def _untidy(self, name: str, current: Optional[str]) -> str:
        """What is to be put right of a pair; also refuses what stands where the links belong and is not ours."""
        right = [self._check_link(name, suffix, current) for suffix in ("key", "crt")]
        if current is None:
            return ""
        if not all(right):
            return "the links to the key and the certificate were not right"
        for file in (_KEY, _CERTIFICATE):
            mode = _mode(self._path(name, current, file))
            if mode & 0o077:
                return f"the mode of {file} was {mode:04o}"
        if any(other != current and not self._recorded(name, other) for other in self._versions(name)):
            return "an older pair was left over"
        return ""

    def _recorded(self, name: str, version: str) -> bool:
        """Whether a request was made with it, which is then to be withdrawn first."""
        return os.path.lexists(self._path(name, version, _RECORD))

    def _check_link(self, name: str, suffix: str, version: Optional[str]) -> bool:
        """Whether a link is right for a version: there is none to a key that the person kept."""
        path = self._link(name, suffix)
        target = _read_link(path)
        if target == "":
            raise Refused(
                f"user {name!r}: {path} is a file of its own, not the link this module keeps there.",
                hint="Move it away; a new key and certificate are then made.",
            )
        return target == (self._target(name, suffix) if self._has(name, suffix, version) else None)

    def _has(self, name: str, suffix: str, version: Optional[str]) -> bool:
        return version is not None and (suffix == "crt" or os.path.lexists(self._path(name, version, _KEY)))

    def _make_links(self, name: str) -> None:
        version = self._seen[name]
        wrong = [suffix for suffix in ("key", "crt") if not self._check_link(name, suffix, version)]
        right = {f"{name}.{suffix}": self._target(name, suffix) for suffix in wrong if self._has(name, suffix, version)}
        if right:
            self._files.switch_links(self._root, right)
        for suffix in wrong:
            if f"{name}.{suffix}" not in right:
                self._files.remove(self._link(name, suffix))

    def _protect(self, path: str) -> None:
        stored = self._files.find(path) if _mode(path) & 0o077 else None
        if stored is not None and stored.mode & 0o077:
            self._files.write(path, stored.content, mode=0o600)

    def _remove_folder(self, path: str) -> None:
        with explained(path, "removed"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def _own(self, name: str) -> None:
        """Make this run the only one that writes here, and make sure that nobody wrote since the person was read."""
        with self._guard:
            if self._lock is None:
                self._lock = self._locked()
        if self._current(name) != self._seen[name]:
            raise Conflict(
                f"user {name!r}: another run changed the key and certificate meanwhile.",
                hint="Run again to see where it stands.",
            )

    def _locked(self) -> Any:
        """The store's lock, held until the returned file is closed, which the end of the process does."""
        self._files.make_folder(os.path.join(self._root, ".pairs"))
        path = os.path.join(self._root, ".pairs", ".lock")
        with explained(path, "opened"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        stream = os.fdopen(descriptor, "rb+", buffering=0)
        deadline = time.monotonic() + self._patience
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return stream
            if time.monotonic() >= deadline:
                stream.close()
                raise Conflict(f"Another run is writing to {self._root}.", hint="Wait until it has ended, then run again.")
            time.sleep(_PAUSE)

    def _link(self, name: str, suffix: str) -> str:
        return os.path.join(self._root, f"{name}.{suffix}")

    def _target(self, name: str, suffix: str) -> str:
        return os.path.join(".pairs", name, "current", _KEY if suffix == "key" else _CERTIFICATE)

    def _path(self, name: str, *below: str) -> str:
        return os.path.join(self._root, ".pairs", name, *below)


def _mode(path: str) -> int:
    """The permissions of a file, links not followed; none when it is not there."""
    with explained(path, "read"), contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.lstat(path).st_mode)
    return 0


def _read_link(path: str) -> Optional[str]:
    """Where a link leads; None when nothing is there, empty when it is no link."""
    with explained(path, "read"):
        try:
            return os.readlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                return ""
            raise


class LedgerFile:
    """The ledger of a store: a file that only grows."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(os.path.abspath(os.path.expanduser(directory)), "ledger.jsonl")
        self._files = SecretFiles()

    def read(self) -> bytes:
        """All of it; empty when there is none yet."""
        found = self._files.find(self.path)
        return found.content if found is not None else b""

    def append(self, lines: bytes) -> None:
        """Add whole lines and bring them to disk; a line that a kill cut short is closed first."""
        torn = self.read()[-1:] not in (b"", b"\n")
        self._files.append(self.path, b"\n" + lines if torn else lines)
