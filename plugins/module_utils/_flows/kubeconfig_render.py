# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the work of kubeconfig_render: read sources and kubeconfigs, merge, write, read back, log in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from posixpath import dirname
from typing import Any, Callable, Optional, TypeVar, Union

from .._core import pool
from .._core.errors import BackendFailed, BadInput, CollError, Conflict
from .._core.plan import Plan, Stage, Step, Verdict, entry_key
from .._core.ports import KubeApi, SecretStore, StoredFile
from .._core.run import Outcome, Run, each_step
from .._core.units import seconds
from .._kubeconfig.advice import EndOf, advice
from .._kubeconfig.codec import Document
from .._kubeconfig.draft import Draft, draft
from .._kubeconfig.embed import At, Expected, PairProblem, Source, check_pairs, embedded, sources_of
from .._kubeconfig.login import logins_of, own_values
from .._kubeconfig.reshape import joined, rebased
from .._kubeconfig.wanted import WantedFile, check_path, files_from_params
from .kubeconfig_places import Backups, FileLocks, FilePlaces, Found, Leftovers, ObjectPlaces

KIND = "kubeconfig"
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_TOLD = 10
_LOOKS = 5
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outside:
    """Everything the flow reaches. ``kube`` opens the API that holds objects, ``connect`` those the kubeconfigs point to.

    ``end_of`` and ``pair_problem`` judge certificates; they are None where nothing on the host can.
    """

    store: SecretStore
    locks: FileLocks
    leftovers: Leftovers
    backups: Backups
    kube: Callable[[], KubeApi]
    connect: Callable[[Mapping[str, Any], str], KubeApi]
    clock: Callable[[], float]
    end_of: Optional[EndOf] = None
    pair_problem: Optional[PairProblem] = None


@dataclass(frozen=True)
class Settings:
    """How the files are handled. ``soon``: seconds before its end at which a certificate is warned about."""

    embed: bool
    expected: frozenset[str]
    verify: str
    soon: float
    backups: int
    concurrency: int
    stop_on_error: bool
    check_mode: bool

    @classmethod
    def of(cls, params: Mapping[str, Any], check_mode: bool) -> Settings:
        """From a task's options; raises BadInput for values that cannot be meant."""
        if params["backup"] and params["backup_count"] < 1:
            raise BadInput(f"backup_count is {params['backup_count']}.", hint="Keep at least one, or leave backup out.")
        return cls(
            embed=params["embed"],
            expected=frozenset(
                (
                    *(check_path(path, "expected_files:") for path in params["expected_files"] or ()),
                    *(str(secret) for secret in params["expected_secrets"] or ()),
                )
            ),
            verify=params["verify"],
            soon=seconds(params["warn_before"], "warn_before"),
            backups=params["backup_count"] if params["backup"] else 0,
            concurrency=params["concurrency"],
            stop_on_error=params["on_error"] == "stop",
            check_mode=check_mode,
        )


@dataclass(frozen=True)
class Seen:
    """By name, what is to become of a file, or the error that reading or merging it gave; the answers to logins; the litter."""

    drafts: Mapping[str, Union[Draft, CollError]]
    logins: Mapping[str, Union[Mapping[str, object], CollError]]
    littered: frozenset[str]
    now: float


class RenderFlow:
    """Observe → decide → execute → report for a list of kubeconfigs."""

    def __init__(self, files: Sequence[WantedFile], settings: Settings, outside: Outside) -> None:
        self.stop_on_error = settings.stop_on_error
        self._files = files
        self._settings = settings
        self._outside = outside
        self._by_entry = {entry_key(KIND, file.name): file for file in files}
        self._sources: Mapping[At, Union[Source, CollError]] = {}
        self._taken_over: Mapping[str, Union[Optional[bytes], CollError]] = {}
        self._whole: dict[str, WantedFile] = {}
        stamp = datetime.fromtimestamp(outside.clock(), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        self._in_files = FilePlaces(
            outside.store, outside.locks, outside.leftovers, outside.backups, keep=settings.backups, stamp=stamp
        )
        self._in_objects = ObjectPlaces(outside.kube, settings.concurrency)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], outside: Outside, *, check_mode: bool) -> RenderFlow:
        """The flow for a task's options; raises BadInput for values that cannot be meant."""
        return cls(files_from_params(params), Settings.of(params, check_mode), outside)

    def observe(self) -> Seen:
        """Each source once, each destination once; with login checks, those files that will not change."""
        self._sources = self._read_sources(sources_of(self._files, paths=self._settings.embed))
        taken = dict.fromkeys(path for file in self._files if file.present for path in file.merge_from)
        self._taken_over = dict(self._each(taken, self._outside.store.read))
        on_disk = [file for file in self._files if file.place is None]
        stored: dict[str, Found] = {file.name: answer for file, answer in self._each(on_disk, self._in_files.find)}
        stored.update(self._in_objects.find_all([file for file in self._files if file.place is not None]))
        drafts = {file.name: self._drafted(file, stored[file.name]) for file in self._files}
        littered = self._in_files.look_for_leftovers(on_disk)
        return Seen(drafts, self._logins(drafts), littered, self._outside.clock())

    def _logins(self, drafts: Mapping[str, Union[Draft, CollError]]) -> Mapping[str, Union[Mapping[str, object], CollError]]:
        """With login checks: the answers for those files that will not change."""
        if self._settings.verify != "login":
            return {}
        settled: list[tuple[WantedFile, Document]] = []
        for file in self._files:
            made = drafts[file.name]
            if _to_log_in(file) and isinstance(made, Draft) and made.action == "unchanged":
                settled.append((file, made.document))
        return {file.name: answer for (file, _document), answer in self._each(settled, lambda pair: self._log_in(*pair))}

    def decide(self, seen: Seen) -> Plan:
        """One verdict per file; secrets stay with the files, beside the plan."""
        verdicts: list[Verdict] = []
        writes: list[Step] = []
        checks: list[Step] = []
        for file in self._files:
            try:
                verdict, step = self._judge(file, seen)
            except CollError as exc:
                verdicts.append(Verdict(KIND, file.name, "failed", error=exc))
                continue
            verdicts.append(verdict)
            if step is not None:
                writes.append(step)
            if step is not None and file.present and not self._settings.check_mode:
                checks.append(Step("verify", file.name, verdict.key))
        stages = [Stage("write", tuple(writes))]
        if self._settings.verify != "none" and checks:
            stages.append(Stage("verify", tuple(checks)))
        return Plan(tuple(verdicts), tuple(stages), self._warnings(verdicts))

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Write, then read back or log in, several files at a time."""
        call = self._write if stage.name == "write" else self._verify
        return each_step(stage.steps, call, concurrency=self._settings.concurrency, stop_on_error=self._settings.stop_on_error)

    def report(self, run: Run) -> Mapping[str, object]:
        """Nothing beside the entries."""
        del run
        return {}

    def _judge(self, file: WantedFile, seen: Seen) -> tuple[Verdict, Optional[Step]]:
        made = _found(seen.drafts[file.name])
        facts = self._advice(file, made, seen.now)
        key = entry_key(KIND, file.name)
        if made.action == "unchanged" and file.path in seen.littered:
            return Verdict(KIND, file.name, "updated", "left behind by a killed run", facts), Step("tidy", file.name, key)
        if made.action == "unchanged":
            login = seen.logins.get(file.name)
            if isinstance(login, CollError):
                return Verdict(KIND, file.name, "unchanged", made.reason, facts, login), None
            return Verdict(KIND, file.name, "unchanged", made.reason, {**facts, **(login or {})}), None
        if self._outside.pair_problem is not None and file.present:
            check_pairs(self._complete(file), self._outside.pair_problem)
        verb = {"created": "create", "updated": "update", "removed": "remove"}[made.action]
        step = Step(verb, file.name, key, made.before, made.after)
        return Verdict(KIND, file.name, made.action, made.reason, facts), step

    def _advice(self, file: WantedFile, made: Draft, now: float) -> dict[str, object]:
        """The warnings of an entry, if there are any."""
        if not file.present:
            return {}
        missing = [path for path in file.merge_from if self._taken_over[path] is None]
        told = [f"merge_from {path} is not there" for path in missing]
        told.extend(advice(made.document, now=now, soon=self._settings.soon, end_of=self._outside.end_of))
        if self._settings.verify == "login" and _to_log_in(file):
            told.extend(logins_of(file).notes)
        return {"warnings": told} if told else {}

    def _warnings(self, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
        """The first warnings for the screen; all of them stand in the entries."""
        told = [f"{verdict.name}: {text}." for verdict in verdicts for text in _texts(verdict.facts.get("warnings"))]
        more = len(told) - _TOLD
        return (*told[:_TOLD], f"There are {more} more warnings in the entries.") if more > 0 else tuple(told)

    def _draft(self, file: WantedFile, stored: Optional[StoredFile]) -> Draft:
        return draft(self._complete(file), stored, self._joined(file))

    def _complete(self, file: WantedFile) -> WantedFile:
        """The file with the contents of its sources; the first source that could not be read is the file's error."""
        if not file.present:
            return file
        if file.name not in self._whole:
            paths = self._settings.embed
            sources = {at: _found(self._sources[at]) for at in sources_of([file], paths=paths)}
            self._whole[file.name] = embedded(file, sources, paths=paths)
        return self._whole[file.name]

    def _joined(self, file: WantedFile) -> Optional[Document]:
        """The files to take over, as one document; those that are not there are left out, as kubectl does."""
        if not file.merge_from or not file.present:
            return None
        found = [(path, _found(self._taken_over[path])) for path in file.merge_from]
        return joined((path, content) for path, content in found if content is not None)

    def _each(self, things: Iterable[T], call: Callable[[T], R]) -> Iterable[tuple[T, Union[R, CollError]]]:
        return pool.each(things, call, concurrency=self._settings.concurrency)

    def _read_sources(self, places: Sequence[At]) -> dict[At, Union[Source, CollError]]:
        """Files one by one, Secrets by one LIST; those that an earlier task of a check run would have made are not read."""
        there = self._settings.expected if self._settings.check_mode else frozenset()
        found: dict[At, Union[Source, CollError]] = {at: Expected(_named(at)) for at in places if _named(at) in there}
        files = [at for at in places if isinstance(at, str) and at not in found]
        found.update(self._each(files, self._outside.store.read))
        in_secrets = self._in_objects.contents([at for at in places if not isinstance(at, str) and at not in found])
        found.update((at, content) for at, content in in_secrets.items())
        return found

    def _drafted(self, file: WantedFile, stored: Found) -> Union[Draft, CollError]:
        """The draft of a file; where there can be none, the file is read again, because somebody may just be writing it."""
        made = self._tried(file, stored)
        for _look in range(_LOOKS):
            if isinstance(made, Draft) or not isinstance(stored, StoredFile) or file.place is not None:
                break
            again = self._in_files.find_again(file)
            if again == stored:
                break
            stored, made = again, self._tried(file, again)
        return made

    def _tried(self, file: WantedFile, stored: Found) -> Union[Draft, CollError]:
        try:
            return self._draft(file, _found(stored))
        except CollError as exc:
            return exc

    def _write(self, step: Step) -> Mapping[str, object]:
        file = self._by_entry[step.entry]
        place = self._in_files if file.place is None else self._in_objects
        return place.change(file, lambda stored: self._draft(file, stored))

    def _find(self, file: WantedFile) -> Optional[StoredFile]:
        return (self._in_files if file.place is None else self._in_objects).find(file)

    def _verify(self, step: Step) -> Mapping[str, object]:
        file = self._by_entry[step.entry]
        found = self._find(file)
        made = self._draft(file, found) if found is not None else None
        if made is None or made.action != "unchanged":
            raise Conflict("The file was changed by somebody else right after it was written.", hint="Run again.")
        return self._log_in(file, made.document) if self._settings.verify == "login" and _to_log_in(file) else {}

    def _log_in(self, file: WantedFile, document: Document) -> Mapping[str, object]:
        """Ask the server who we are, with the values of this task and nothing else that stands in the file."""
        complete = self._complete(file)
        contexts = logins_of(complete).contexts
        own = rebased(own_values(complete, document), dirname(file.path) or "/")
        answers = [self._who(own, context) for context in contexts]
        first = {name: answers[0][name] for name in ("user", "groups")} if answers else None
        return {"login": first, "logins": answers} if answers else {}

    def _who(self, config: Document, context: str) -> dict[str, object]:
        try:
            api = self._outside.connect(config, context)
            answer = api.call("POST", _REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        except CollError as exc:
            raise type(exc)(f"Context {context!r}: {exc}", hint=exc.hint, **exc.facts) from exc
        info = (answer.get("status") or {}).get("userInfo") or {}
        if not info.get("username"):
            raise BackendFailed(f"Context {context!r}: {api.server} does not say who logged in.")
        groups = [str(group) for group in info.get("groups") or ()]
        return {"context": context, "user": str(info["username"]), "groups": groups}


def _found(answer: Union[R, CollError]) -> R:
    if isinstance(answer, CollError):
        raise answer
    return answer


def _named(at: At) -> str:
    """A source as expected_files and expected_secrets name it."""
    return at if isinstance(at, str) else f"{at.namespace}/{at.name}"


def _to_log_in(file: WantedFile) -> bool:
    """Whether the task gives anything that a login could prove."""
    return file.present and not file.only_removes


def _texts(value: object) -> Sequence[str]:
    return value if isinstance(value, list) else ()
