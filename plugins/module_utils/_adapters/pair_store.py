# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key and certificate pairs of people in a folder.

``<name>.key`` and ``<name>.crt`` are links that never change; they lead through ``.pairs/<name>/current``, a link too, to
a version folder that holds one whole pair. A new pair takes its place by turning that one link, so that a kill at any
moment leaves a key and a certificate that belong together.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Optional

from .._certs.pair import StoredPair, StoredVersion
from .._core.errors import Conflict, Refused
from .folder_lock import FolderLock
from .pair_folders import PAIRS, PairFolders, PersonFolder
from .safe_folder import explained
from .secret_file import SecretFiles

_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}(-[0-9a-f]{8})?", re.ASCII)
_KEY, _CERTIFICATE, _RECORD = "tls.key", "tls.crt", "request.json"


class PairStore:
    """The pairs below one folder. Reading needs no lock; the first write locks the folder for the rest of the run.

    What was read is remembered: if another run changed a person's pair in between, the write raises Conflict.
    ``patience`` is how many seconds to wait for another run's lock.
    """

    secrets_in = ""

    def __init__(self, directory: str, *, patience: float = 60.0) -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self._folders = PairFolders(self._root)
        self._seen: dict[str, Optional[str]] = {}
        self._placed: set[tuple[str, str]] = set()
        self._fresh: set[str] = set()
        path = os.path.join(self._root, PAIRS, ".lock")
        self._lock = FolderLock(self._root, path, self._folders.make, patience=patience)

    def read(self, name: str) -> StoredPair:
        """Everything stored for a person."""
        with self._folders.person(name) as person:
            current = self._current(person)
            self._seen[name] = current
            others = sorted((version for version in _versions(person) if version != current), reverse=True)
            return StoredPair(
                key_path=self._link(name, "key"),
                cert_path=self._link(name, "crt"),
                current=_version(person, current) if person is not None and current else None,
                others=tuple(_version(person, version) for version in others if person is not None),
                untidy=self._untidy(name, person, current, others),
            )

    def prepare(self, name: str, version: str, key_pem: Optional[bytes], record: bytes) -> None:
        """Bring a key and the request made with it to disk, beside the present pair."""
        key = {} if key_pem is None else {_KEY: key_pem}
        with self._owned(name) as person:
            person.fill(version, {**key, _RECORD: record, _CERTIFICATE: b""})
        self._placed.add((name, version))

    def keep(self, name: str, version: str) -> None:
        """Bring to disk what an earlier run prepared: it may have been killed between writing and bringing it there."""
        with self._owned(name) as person:
            person.keep(version)

    def install(self, name: str, version: str, certificate_pem: str) -> None:
        """Complete a version with its certificate, which is then on disk, and make it the present pair in one step.

        ``settle`` brings that step to disk and removes the older pair, which until then survives a loss of power.
        """
        with self._owned(name) as person:
            person.add(version, _CERTIFICATE, certificate_pem.encode("ascii"))
            if (name, version) not in self._placed:
                person.keep(version)
            person.turn(version)
            self._seen[name] = version
            self._make_links(name, person)
            self._fresh.add(name)

    def settle(self, name: str) -> None:
        """Put the present pair's links and modes right, forget the request that led to it, and remove older pairs."""
        with self._owned(name) as person:
            version = self._seen[name]
            if not version:
                return
            if name not in self._fresh:  # else this run has just made them
                self._make_links(name, person)
                for file in (_KEY, _CERTIFICATE):
                    self._protect(person, version, file)
            person.unlink(f"{version}/{_RECORD}")
            person.bring_to_disk()
            for other in _versions(person):
                if other != version:
                    _remove_folder(f"{person.path}/{other}")

    def drop(self, name: str, version: str = "") -> None:
        """Remove one version that is not the present one; without ``version`` everything of the person."""
        with self._owned(name) as person:
            if version:
                _remove_folder(f"{person.path}/{version}")
                return
            for suffix in ("key", "crt"):
                self._check_link(name, suffix, person, None)
                self._folders.unlink(f"{name}.{suffix}")
            person.unlink("current")
            _remove_folder(person.path)
            self._seen[name] = None
            self._folders.bring_to_disk()

    def _current(self, person: Optional[PersonFolder]) -> Optional[str]:
        if person is None:
            return None
        target, path = person.current(), f"{person.path}/current"
        if target == "":
            raise Refused(f"{path} is not a link.", hint="Move it away first.")
        if target is not None and not _VERSION.fullmatch(target):
            raise Refused(f"{path} leads to {target[:80]!r}, which this module did not make.", hint="Move it away first.")
        return target

    def _untidy(self, name: str, person: Optional[PersonFolder], current: Optional[str], others: list[str]) -> str:
        """What is to be put right of a pair; also refuses what stands where the links belong and is not ours."""
        right = [self._check_link(name, suffix, person, current) for suffix in ("key", "crt")]
        if person is None or current is None:
            return ""
        if not all(right):
            return "the links to the key and the certificate were not right"
        for file, mode in person.modes(current, _KEY, _CERTIFICATE).items():
            if mode & 0o077:
                return f"the mode of {file} was {mode:04o}"
        # One with a record belongs to a request, which is then to be withdrawn first.
        return "an older pair was left over" if any(not person.has(other, _RECORD) for other in others) else ""

    def _check_link(self, name: str, suffix: str, person: Optional[PersonFolder], version: Optional[str]) -> bool:
        """Whether a link is right for a version: there is none to a key that the person kept."""
        target = self._folders.link(f"{name}.{suffix}")
        if target == "":
            raise Refused(
                f"user {name!r}: {self._link(name, suffix)} is a file of its own, not the link this module keeps there.",
                hint="Move it away; a new key and certificate are then made.",
            )
        return target == (_target(name, suffix) if _has(person, suffix, version) else None)

    def _make_links(self, name: str, person: PersonFolder) -> None:
        version = self._seen[name]
        for suffix in ("key", "crt"):
            if self._check_link(name, suffix, person, version):
                continue
            if _has(person, suffix, version):
                self._folders.turn(f"{name}.{suffix}", _target(name, suffix))
            else:
                self._folders.unlink(f"{name}.{suffix}")

    def _protect(self, person: PersonFolder, version: str, file: str) -> None:
        content = person.contents(version, file)[file] if person.modes(version, file).get(file, 0) & 0o077 else None
        if content is not None:
            SecretFiles().write(f"{person.path}/{version}/{file}", content, mode=0o600)

    @contextlib.contextmanager
    def _owned(self, name: str) -> Iterator[PersonFolder]:
        """A person's folder. This run is the only one that writes here, and nobody wrote since the person was read."""
        self._lock.take()
        with self._folders.person(name, create=True) as person:
            if person is None or self._current(person) != self._seen[name]:
                raise Conflict(
                    f"user {name!r}: another run changed the key and certificate meanwhile.",
                    hint="Run again to see where it stands.",
                )
            yield person

    def _link(self, name: str, suffix: str) -> str:
        return os.path.join(self._root, f"{name}.{suffix}")


def _versions(person: Optional[PersonFolder]) -> list[str]:
    return [entry for entry in person.entries() if _VERSION.fullmatch(entry)] if person is not None else []


def _version(person: PersonFolder, version: str) -> StoredVersion:
    found = person.contents(version, _KEY, _CERTIFICATE, _RECORD)
    return StoredVersion(version, found[_KEY], found[_CERTIFICATE], found[_RECORD])


def _has(person: Optional[PersonFolder], suffix: str, version: Optional[str]) -> bool:
    return person is not None and version is not None and (suffix == "crt" or person.has(version, _KEY))


def _target(name: str, suffix: str) -> str:
    return f"{PAIRS}/{name}/current/{_KEY if suffix == 'key' else _CERTIFICATE}"


def _remove_folder(path: str) -> None:
    with explained(path, "removed"), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


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
