# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kubeconfigs live, and how one is changed there so that nobody's change is lost: files under kubectl's lock,
objects by patches that the API refuses when the object changed since it was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional, Protocol, Union

from .._core import pool
from .._core.errors import CollError, Conflict, Denied
from .._core.ports import KubeApi, SecretStore, StoredFile, get_or_none
from .._kubeconfig import codec, place
from .._kubeconfig.draft import Draft
from .._kubeconfig.wanted import WantedFile

Found = Union[StoredFile, CollError, None]
Content = Union[bytes, CollError, None]
There = Union[Mapping[str, Any], CollError, None]
Facts = Mapping[str, object]
Make = Callable[[Optional[StoredFile]], Draft]
_ATTEMPTS = 20


class FileLocks(Protocol):
    """The lock that kubectl and client-go take while they rewrite a kubeconfig."""

    def hold(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> AbstractContextManager[None]:
        """Keep others from rewriting ``path`` meanwhile; raises Conflict when somebody else keeps it."""

    def wait(self, path: str) -> None:
        """Wait a little for whoever is rewriting ``path``; no longer than it takes to write a file."""


class Backups(Protocol):
    """Earlier versions of a file."""

    def keep(self, path: str, old: StoredFile, stamp: str, *, count: int, owner: Optional[str] = None) -> str:
        """Keep an old content, and at most ``count`` in all; the path of the new one."""

    def drop(self, path: str, *, owner: Optional[str] = None) -> None:
        """Remove all of them."""


class Leftovers(Protocol):
    """Temporary files of killed runs."""

    def find(self, paths: Iterable[tuple[str, Optional[str]]]) -> Mapping[str, bool]:
        """Those of the paths (each with its owner) that have leftovers, and whether they are surely nobody's."""

    def sweep(self, path: str, *, owner: Optional[str] = None) -> None:
        """Remove them; the caller holds the lock."""


class FilePlaces:
    """Kubeconfigs in files. ``backups`` says how many earlier versions are kept, ``stamp`` is the time in their names."""

    def __init__(
        self, store: SecretStore, locks: FileLocks, leftovers: Leftovers, backups: Backups, *, keep: int, stamp: str
    ) -> None:
        self._store = store
        self._locks = locks
        self._leftovers = leftovers
        self._backups = backups
        self._keep = keep
        self._stamp = stamp
        self._littered: Mapping[str, bool] = {}

    def look_for_leftovers(self, files: Sequence[WantedFile]) -> frozenset[str]:
        """Paths with temporary files that are surely nobody's."""
        self._littered = self._leftovers.find((file.path, file.owner) for file in files)
        return frozenset(path for path, old in self._littered.items() if old)

    def find(self, file: WantedFile) -> Optional[StoredFile]:
        """What stands there."""
        return self._store.find(file.path, owner=file.owner, group=file.group)

    def find_again(self, file: WantedFile) -> Found:
        """What stands there when nobody is writing it: kubectl empties a file before it fills it."""
        self._locks.wait(file.path)
        try:
            return self.find(file)
        except CollError as exc:
            return exc

    def change(self, file: WantedFile, make: Make) -> Facts:
        """Read and merge anew under the lock, so that what others wrote meanwhile stays, and write."""
        with self._locks.hold(file.path, owner=file.owner, group=file.group):
            stored = self.find(file)
            made = make(stored)
            if file.path in self._littered:
                self._leftovers.sweep(file.path, owner=file.owner)
            if made.action == "unchanged":
                return {}
            facts = self._keep_old(file, stored)
            if made.action == "removed":
                self._store.remove(file.path, owner=file.owner)
            else:
                content = codec.dump(made.document)
                self._store.write(file.path, content, owner=file.owner, group=file.group, mode=file.mode)
            return facts

    def _keep_old(self, file: WantedFile, stored: Optional[StoredFile]) -> Facts:
        if stored is not None and self._keep:
            kept = self._backups.keep(file.path, stored, self._stamp, count=self._keep, owner=file.owner)
            return {"backup_file": kept}
        if not file.present:
            self._backups.drop(file.path, owner=file.owner)
        return {}


class ObjectPlaces:
    """Kubeconfigs in Secrets and ConfigMaps."""

    def __init__(self, connect: Callable[[], KubeApi], concurrency: int) -> None:
        self._connect = connect
        self._api: Optional[KubeApi] = None
        self._concurrency = concurrency

    def find_all(self, files: Sequence[WantedFile]) -> dict[str, Found]:
        """What stands in each place, by the file's name."""
        contents = self.contents([_at(file) for file in files])
        return {file.name: _stored(file, contents[_at(file)]) for file in files}

    def contents(self, places: Iterable[place.ObjectPlace]) -> dict[place.ObjectPlace, Content]:
        """The content of each place: one LIST per namespace and kind, or a GET where it is one object."""
        by_list: dict[str, list[place.ObjectPlace]] = {}
        for at in places:
            by_list.setdefault(at.collection, []).append(at)
        found: dict[place.ObjectPlace, Content] = {}
        for collection, members in by_list.items():
            objects = self._objects(collection, {at.path: at for at in members})
            found.update((at, _content(at, objects[at.path])) for at in members)
        return found

    def _objects(self, collection: str, wanted: Mapping[str, place.ObjectPlace]) -> Mapping[str, There]:
        """Objects by their path."""
        try:
            listed = self._list(collection) if len(wanted) > 1 else None
        except CollError as exc:
            return dict.fromkeys(wanted, exc)
        if listed is not None:
            return {path: listed.get(at.name) for path, at in wanted.items()}
        return dict(pool.each(wanted, lambda path: get_or_none(self._server, path), concurrency=self._concurrency))

    def find(self, file: WantedFile) -> Optional[StoredFile]:
        """What stands there."""
        there = get_or_none(self._server, _at(file).path)
        content = None if there is None else place.content_of(_at(file), there)
        return None if content is None else _as_file(file, content)

    def change(self, file: WantedFile, make: Make) -> Facts:
        """Read, merge and patch, again when somebody else was faster."""
        for _attempt in range(_ATTEMPTS):
            there = get_or_none(self._server, _at(file).path)
            content = None if there is None else place.content_of(_at(file), there)
            made = make(None if content is None else _as_file(file, content))
            if made.action == "unchanged":
                return {}
            try:
                self._write(file, there, made)
            except Conflict:
                continue
            return {}
        raise Conflict(f"{file.name} is changed by somebody else all the time.", hint="Run again.")

    def _write(self, file: WantedFile, there: Optional[Mapping[str, Any]], made: Draft) -> None:
        target = _at(file)
        if there is None:
            self._server.call("POST", target.collection, place.new_object(target, codec.dump(made.document)))
        elif made.action != "removed":
            self._server.call("PATCH", target.path, place.patch(target, there, codec.dump(made.document)))
        elif place.only_ours(target, there):
            self._server.call("DELETE", target.path, place.preconditions(there))
        else:
            self._server.call("PATCH", target.path, place.patch(target, there, None))

    def _list(self, collection: str) -> Optional[Mapping[str, Mapping[str, Any]]]:
        """Objects by name; None where only single ones may be read."""
        try:
            return {str(each["metadata"]["name"]): each for each in self._server.list_all(collection).objects}
        except Denied as exc:
            if exc.facts.get("status") == 403:
                return None
            raise

    @property
    def _server(self) -> KubeApi:
        """Connected on first use; a task that only has files needs no API server."""
        if self._api is None:
            self._api = self._connect()
        return self._api


def _at(file: WantedFile) -> place.ObjectPlace:
    if file.place is None:
        raise ValueError(f"{file.name} is not in an object")
    return file.place


def _stored(file: WantedFile, content: Content) -> Found:
    return _as_file(file, content) if isinstance(content, bytes) else content


def _as_file(file: WantedFile, content: bytes) -> StoredFile:
    return StoredFile(content, file.mode, "", "", True)


def _content(at: place.ObjectPlace, there: There) -> Content:
    if there is None or isinstance(there, CollError):
        return there
    try:
        return place.content_of(at, there)
    except CollError as exc:
        return exc
