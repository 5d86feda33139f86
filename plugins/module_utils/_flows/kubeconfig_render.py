# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the work of kubeconfig_render: read sources and files, merge, write under lock, read back, log in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol, TypeVar, Union

from .._core import pool
from .._core.errors import BackendFailed, CollError, Conflict
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .._core.ports import KubeApi, SecretStore, StoredFile
from .._core.run import Outcome, Run, each_step
from .._kubeconfig import codec
from .._kubeconfig.draft import Draft, draft
from .._kubeconfig.embed import Expected, Source, embedded, source_paths
from .._kubeconfig.merge import login_context, own_values
from .._kubeconfig.wanted import WantedFile, check_path, files_from_params

KIND = "kubeconfig"
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
T = TypeVar("T")
R = TypeVar("R")


class FileLocks(Protocol):
    """The lock that kubectl and client-go take while they rewrite a kubeconfig."""

    def hold(self, path: str, *, owner: Optional[str] = None, group: Optional[str] = None) -> AbstractContextManager[None]:
        """Keep others from rewriting ``path`` meanwhile; raises Conflict when somebody else keeps it."""


@dataclass(frozen=True)
class Outside:
    """Everything the flow reaches: files, their locks, and the API servers the kubeconfigs point to."""

    store: SecretStore
    locks: FileLocks
    connect: Callable[[Mapping[str, Any], str], KubeApi]


@dataclass(frozen=True)
class Settings:
    """How the files are handled."""

    embed: bool
    expected: frozenset[str]
    verify: str
    concurrency: int
    stop_on_error: bool
    check_mode: bool


@dataclass(frozen=True)
class Seen:
    """What was found: by path, a file, its absence or the error that reading it gave, and the answers to logins."""

    stored: Mapping[str, Union[StoredFile, CollError, None]]
    logins: Mapping[str, Union[Mapping[str, object], CollError]]


class RenderFlow:
    """Observe → decide → execute → report for a list of kubeconfig files."""

    def __init__(self, files: Sequence[WantedFile], settings: Settings, outside: Outside) -> None:
        self.stop_on_error = settings.stop_on_error
        self._files = files
        self._settings = settings
        self._outside = outside
        self._by_entry = {entry_key(KIND, file.path): file for file in files}
        self._sources: Mapping[str, Union[Source, CollError]] = {}

    @classmethod
    def from_params(cls, params: Mapping[str, Any], outside: Outside, *, check_mode: bool) -> RenderFlow:
        """The flow for a task's options; raises BadInput for values that cannot be meant."""
        settings = Settings(
            embed=params["embed"],
            expected=frozenset(check_path(path, "expected_files:") for path in params["expected_files"] or ()),
            verify=params["verify"],
            concurrency=params["concurrency"],
            stop_on_error=params["on_error"] == "stop",
            check_mode=check_mode,
        )
        return cls(files_from_params(params), settings, outside)

    def observe(self) -> Seen:
        """Each source once, each destination once; with login checks, those files that will not change."""
        store = self._outside.store
        paths = source_paths(self._files) if self._settings.embed else ()
        self._sources = dict(self._each(paths, self._read_source))
        found = self._each(self._files, lambda file: store.find(file.path, owner=file.owner, group=file.group))
        stored = {file.path: answer for file, answer in found}
        logins: dict[str, Union[Mapping[str, object], CollError]] = {}
        if self._settings.verify == "login":
            settled = [file for file in self._files if file.present and self._is_settled(file, stored[file.path])]
            logins = {file.path: answer for file, answer in self._each(settled, self._log_in)}
        return Seen(stored, logins)

    def decide(self, seen: Seen) -> Plan:
        """One verdict per file; secrets stay with the files, beside the plan."""
        verdicts: list[Verdict] = []
        writes: list[Step] = []
        checks: list[Step] = []
        for file in self._files:
            try:
                verdict, step = self._judge(file, seen)
            except CollError as exc:
                verdicts.append(Verdict(KIND, file.path, "failed", error=exc))
                continue
            verdicts.append(verdict)
            if step is not None:
                writes.append(step)
            if step is not None and file.present and not self._settings.check_mode:
                checks.append(Step("verify", file.path, verdict.key))
        stages = [Stage("write", tuple(writes))]
        if self._settings.verify != "none" and checks:
            stages.append(Stage("verify", tuple(checks)))
        return Plan(tuple(verdicts), tuple(stages))

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Write, then read back or log in, several files at a time."""
        call = self._write if stage.name == "write" else self._verify
        return each_step(stage.steps, call, concurrency=self._settings.concurrency, stop_on_error=self._settings.stop_on_error)

    def report(self, run: Run) -> Mapping[str, object]:
        """Nothing beside the entries."""
        del run
        return {}

    def _judge(self, file: WantedFile, seen: Seen) -> tuple[Verdict, Optional[Step]]:
        made = self._draft(file, _found(seen.stored[file.path]))
        key = entry_key(KIND, file.path)
        if made.action == "unchanged":
            login = seen.logins.get(file.path)
            if isinstance(login, CollError):
                return Verdict(KIND, file.path, "unchanged", made.reason, error=login), None
            return Verdict(KIND, file.path, "unchanged", made.reason, {"login": login} if login else {}), None
        verb = {"created": "create", "updated": "update", "removed": "remove"}[made.action]
        return Verdict(KIND, file.path, made.action, made.reason), Step(verb, file.path, key, made.before, made.after)

    def _draft(self, file: WantedFile, stored: Optional[StoredFile]) -> Draft:
        return draft(self._complete(file), stored)

    def _complete(self, file: WantedFile) -> WantedFile:
        """The file with the contents of its sources; the first source that could not be read is the file's error."""
        if not self._settings.embed or not file.present:
            return file
        return embedded(file, {path: _found(self._sources[path]) for path in source_paths([file])})

    def _each(self, things: Iterable[T], call: Callable[[T], R]) -> Iterable[tuple[T, Union[R, CollError]]]:
        return pool.each(things, call, concurrency=self._settings.concurrency)

    def _read_source(self, path: str) -> Source:
        if self._settings.check_mode and path in self._settings.expected:
            return Expected(path)
        return self._outside.store.read(path)

    def _is_settled(self, file: WantedFile, stored: Union[StoredFile, CollError, None]) -> bool:
        try:
            return self._draft(file, _found(stored)).action == "unchanged"
        except CollError:
            return False  # said by decide

    def _write(self, step: Step) -> Optional[Mapping[str, object]]:
        """The file is read and merged anew under the lock, so that what others wrote meanwhile stays."""
        file = self._by_entry[step.entry]
        store = self._outside.store
        with self._outside.locks.hold(file.path, owner=file.owner, group=file.group):
            made = self._draft(file, store.find(file.path, owner=file.owner, group=file.group))
            if made.action == "removed":
                store.remove(file.path, owner=file.owner)
            elif made.document is not None and made.action != "unchanged":
                content = codec.dump(made.document)
                store.write(file.path, content, owner=file.owner, group=file.group, mode=file.mode)
        return None

    def _verify(self, step: Step) -> Mapping[str, object]:
        file = self._by_entry[step.entry]
        found = self._outside.store.find(file.path, owner=file.owner, group=file.group)
        if found is None or self._draft(file, found).action != "unchanged":
            raise Conflict("The file was changed by somebody else right after it was written.", hint="Run again.")
        return {"login": self._log_in(file)} if self._settings.verify == "login" else {}

    def _log_in(self, file: WantedFile) -> Mapping[str, object]:
        """Ask the server who we are, with the values of this task and nothing else that stands in the file."""
        complete = self._complete(file)
        stored = self._outside.store.find(file.path, owner=file.owner, group=file.group)
        after = codec.load(stored.content) if stored is not None else {}
        api = self._outside.connect(own_values(complete, after), login_context(complete))
        answer = api.call("POST", _REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        info = (answer.get("status") or {}).get("userInfo") or {}
        if not info.get("username"):
            raise BackendFailed(f"{api.server} does not say who logged in.")
        return {"user": str(info["username"]), "groups": [str(group) for group in info.get("groups") or ()]}


def _found(answer: Union[R, CollError]) -> R:
    if isinstance(answer, CollError):
        raise answer
    return answer
