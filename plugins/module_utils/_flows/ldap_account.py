# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account: the order of the work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional, Protocol, TypeVar

from .._core import pool
from .._core.errors import BackendFailed, CollError, Refused
from .._core.plan import Plan, Stage, Step
from .._core.ports import StoredFile
from .._core.run import Outcome, Run
from .._directory import accounts, dn, draft, groups, ids, passwords, plan
from .._directory.groups import GroupChange
from .._directory.model import Account, Change, Delete, Entry, Modify, Op, Rename, Seen, SetPassword
from .._directory.parse import check_password, wanted_from
from .directory_reader import Directory, DirectoryReader

W = TypeVar("W")

_TRIES = 200
_NAMES = ("cn", "sn", "givenName", "displayName", "mail")


class PasswordFiles(Protocol):
    """Files that hold one password each."""

    def read(self, path: str) -> Optional[bytes]:
        """The content of a file that the task names; None when there is none."""

    def find(self, path: str) -> Optional[StoredFile]:
        """What stands where we write; None when nothing does."""

    def write(self, path: str, content: bytes) -> None:
        """Put the content there in one step, 0600."""


@dataclass(frozen=True)
class _Pending:
    step: Step
    work: draft.PasswordWrite


class LdapAccountFlow:
    """observe → decide → execute → report for accounts and groups."""

    def __init__(
        self, params: Mapping[str, Any], directory: Directory, files: PasswordFiles, new_password: Callable[[], str]
    ) -> None:
        wanted = wanted_from(params)
        self.stop_on_error = params["on_error"] == "stop"
        self._wanted = wanted
        self._accounts = {account.uid: account for account in wanted.accounts}
        self._directory = directory
        self._reader = DirectoryReader(wanted, directory)
        self._files = files
        self._new_password = new_password
        self._concurrency = params["concurrency"]
        self._work: Mapping[tuple[str, str], draft.Work] = {}
        self._secrets = dict(wanted.secrets)
        self._failed: set[str] = set()

    def observe(self) -> Seen:
        """One search per kind, and the passwords that files hold for those who need one."""
        seen = self._reader.seen()
        refused: dict[str, CollError] = {}
        if self._wanted.settings.update_password == "when_changed":
            self._read_passwords(self._with_entries(seen), refused)
            seen = replace(seen, passwords=self._compared(seen, refused))
        seen = replace(seen, shows_passwords=self._reader.shows_passwords(seen))
        needing = plan.decide(self._wanted, seen).passwords_for
        if needing and not self._directory.protects_secrets:
            raise Refused(
                f"The passwords of {len(needing)} accounts would be sent in clear text (first: {needing[0]}).",
                hint="Use ldaps://, ldapi:// or start_tls, or allow_plaintext: true.",
            )
        self._read_passwords([uid for uid in needing if uid not in self._secrets], refused)
        return replace(seen, refused=refused)

    def decide(self, seen: Seen) -> Plan:
        """Compare wanted with seen."""
        decision = plan.decide(self._wanted, seen)
        self._work = decision.work
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Carry out one stage, and remember whose steps failed: groups are made without them."""
        by_stage = {
            draft.RENAMES: self._rename,
            draft.ACCOUNTS: self._write_accounts,
            draft.PASSWORDS: self._set_passwords,
            draft.GROUPS: self._write_groups,
        }
        carry_out = by_stage.get(stage.name, self._write_others)
        for outcome in carry_out(stage.steps):
            kind, _slash, name = outcome.step.entry.partition("/")
            if outcome.error is not None and kind == "account":
                self._failed.add(name)
            yield outcome

    def report(self, run: Run) -> Mapping[str, object]:  # noqa: ARG002 - the entries say it all
        """Nothing beside the entries."""
        return {}

    def _write_accounts(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        todo = [(step, self._work_of(step, draft.AccountWrite)) for step in steps]
        numbers, error = self._numbers_for([step for step, work in todo if work.needs_id])
        ready, ops, facts = [], [], []
        for step, work in todo:
            if work.needs_id and error is not None:
                yield Outcome(step, error=error)
                continue
            ready.append(step)
            ops.append(plan.write_of(work, str(numbers.get(step.entry, ""))))
            facts.append({"uid_number": numbers[step.entry]} if work.needs_id else {})
        yield from self._apply(ready, ops, facts)

    def _write_groups(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        todo: list[tuple[Step, GroupChange]] = []
        for step in steps:
            try:
                todo.append((step, groups.without(self._work_of(step, GroupChange), self._failed)))
            except CollError as error:
                yield Outcome(step, error=error)
        numbers, lacking = self._numbers_for([step for step, change in todo if change.gid_number == accounts.AUTO])
        ready, ops, facts = [], [], []
        for step, change in todo:
            if change.gid_number == accounts.AUTO and lacking is not None:
                yield Outcome(step, error=lacking)
            elif not change.nothing:
                number = str(numbers.get(step.entry, change.gid_number))
                ready.append(step)
                ops.append(groups.write_of(change, number))
                facts.append(groups.facts_of(change, number))
        yield from self._apply(ready, ops, facts)

    def _write_others(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """Locks, removals, and moves to the archive."""
        ops: list[Op] = []
        for step in steps:
            work = self._work[draft.work_key(step)]
            if isinstance(work, draft.LockWrite):
                ops.append(Modify(work.dn, work.changes))
            elif isinstance(work, draft.RenameWrite):
                ops.append(Rename(work.dn, work.rdn, work.parent))
            else:
                ops.append(Delete(work.dn))
        yield from self._apply(steps, ops)

    def _rename(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """New names first; then the groups that still have the old ones, unless the server has corrected them itself."""
        todo = [(step, self._work_of(step, draft.RenameWrite)) for step in steps]
        renamed: list[tuple[Step, draft.RenameWrite]] = []
        ops = [Rename(work.dn, work.rdn, work.parent) for _step, work in todo]
        for index, error in self._directory.apply(ops, stop_on_error=self.stop_on_error):
            if error is None:
                renamed.append(todo[index])
            else:
                yield Outcome(todo[index][0], error=error)
        errors = self._correct_groups([work for _step, work in renamed])
        for step, work in renamed:
            yield Outcome(step, error=errors.get(work.new_uid))

    def _correct_groups(self, moves: Sequence[draft.RenameWrite]) -> dict[str, CollError]:
        """Why, by uid, a group still has an old name."""
        if not moves:
            return {}
        uids = {move.old_uid: move.new_uid for move in moves}
        dns = {dn.normal(move.dn): move.new_dn for move in moves}
        try:
            found = [(entry, groups.renaming(entry, uids, dns)) for entry in self._reader.with_old_names(moves)]
        except CollError as error:
            return {move.new_uid: error for move in moves}
        todo = [(entry, op) for entry, op in found if op is not None]
        errors: dict[str, CollError] = {}
        for index, refusal in self._directory.apply([op for _entry, op in todo], stop_on_error=False):
            if refusal is not None:
                entry = todo[index][0]
                old = {*entry.values_of("memberUid"), *map(dn.normal, entry.values_of("member"))}
                old |= set(map(dn.normal, filter(dn.is_dn, entry.values_of("uniqueMember"))))
                errors.update((m.new_uid, refusal) for m in moves if m.old_uid in old or dn.normal(m.dn) in old)
        return errors

    def _set_passwords(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """Generated passwords reach the disk first; then the server gets them; locks that this ends are set again."""
        ready: list[tuple[Step, draft.PasswordWrite]] = []
        todo = [_Pending(step, self._work_of(step, draft.PasswordWrite)) for step in steps]
        for pending, error in pool.each(
            todo, self._prepare_password, concurrency=self._concurrency, stop_on_error=self.stop_on_error
        ):
            if error is None:
                ready.append((pending.step, pending.work))
            else:
                yield Outcome(pending.step, error=error)
        more: list[tuple[Step, draft.PasswordWrite]] = []
        ops = [self._password_op(work) for _step, work in ready]
        for index, refusal in self._directory.apply(ops, stop_on_error=self.stop_on_error):
            step, work = ready[index]
            refusal = refusal or self._remember(work.uid)
            if refusal is None and work.after:
                more.append((step, work))
            else:
                yield Outcome(step, error=refusal)
        yield from self._apply([step for step, _work in more], [Modify(work.dn, work.after) for _step, work in more])

    def _remember(self, uid: str) -> Optional[CollError]:
        """Keep a digest of what was set, so that a later run knows a new password from one that the person changed."""
        settings = self._wanted.settings
        generated = self._accounts[uid].credential_from == "generate_password"
        if settings.update_password != "when_changed" or not settings.password_directory or generated:
            return None
        try:
            digest = passwords.remembered(self._secrets[uid], self._new_password())
            self._files.write(self._digest_path(uid), f"{digest}\n".encode())
        except CollError as error:
            return error
        return None

    def _digest_path(self, uid: str) -> str:
        return f"{self._wanted.settings.password_directory.rstrip('/')}/.last-set/{uid}"

    def _with_entries(self, seen: Seen) -> list[str]:
        known = {uid.casefold() for entry in (*seen.accounts, *seen.archived) for uid in entry.values_of("uid")}
        return [
            account.uid
            for account in self._wanted.accounts
            if account.present and account.credential_from and {account.uid, account.renamed_from} & known
        ]

    def _read_passwords(self, uids: Sequence[str], refused: dict[str, CollError]) -> None:
        for uid in uids:
            if uid in self._wanted.password_files:
                try:
                    self._secrets[uid] = self._password_in(self._wanted.password_files[uid], self._accounts[uid])
                except CollError as error:
                    refused[uid] = error

    def _compared(self, seen: Seen, refused: dict[str, CollError]) -> dict[str, str]:
        """For each account with a password of its own: whether the task's is the one that is set."""
        entries = {uid.casefold(): entry for entry in (*seen.archived, *seen.accounts) for uid in entry.values_of("uid")}
        compared: dict[str, str] = {}
        for uid in self._with_entries(seen):
            if uid in refused:
                continue
            entry = entries.get(uid) or entries[self._accounts[uid].renamed_from]
            try:
                answer = self._compare(uid, entry)
            except CollError as error:
                refused[uid] = error
            else:
                compared.update({uid: answer} if answer else {})
        return compared

    def _compare(self, uid: str, entry: Entry) -> str:
        source, settings = self._accounts[uid].credential_from, self._wanted.settings
        if source == "generate_password":
            there = self._files.find(plan.password_path(self._wanted, uid)) is not None
            return "" if there else passwords.OTHER
        kept = self._files.find(self._digest_path(uid)) if settings.password_directory else None
        if kept is not None:
            known = passwords.against_remembered(self._secrets[uid], kept.content.decode("utf-8", "replace"))
            if known is not None:
                return passwords.SAME if known else passwords.OTHER
        check = passwords.against_hash_text if source == "password_hash" else passwords.against_hashes
        return check(self._secrets[uid], entry.values_of("userPassword"))

    def _apply(self, steps: Sequence[Step], ops: Sequence[Op], facts: Sequence[Mapping[str, object]] = ()) -> Iterator[Outcome]:
        for index, error in self._directory.apply(ops, stop_on_error=self.stop_on_error):
            yield Outcome(steps[index], facts[index] if facts and error is None else {}, error)

    def _password_op(self, work: draft.PasswordWrite) -> Op:
        secret = self._secrets[work.uid]
        if self._accounts[work.uid].credential_from == "password_hash":
            return Modify(work.dn, (Change("replace", "userPassword", (secret,)),))
        return SetPassword(work.dn, secret)

    def _prepare_password(self, pending: _Pending) -> None:
        uid = pending.work.uid
        account = self._accounts[uid]
        if account.credential_from != "generate_password":
            return
        path = plan.password_path(self._wanted, uid)
        # A file without a password in the directory comes from a run that was cut short.
        kept = None if self._wanted.settings.update_password == "always" else self._files.find(path)
        if kept is None:
            self._secrets[uid] = self._unlike_names(account)
            # No newline at the end: OpenLDAP's tools take a whole file for the password.
            self._files.write(path, self._secrets[uid].encode())
        else:
            self._secrets[uid] = self._password_in(path, account)

    def _unlike_names(self, account: Account) -> str:
        """A new password; one that resembles a name by chance is passed over."""
        names = [account.uid, *(value for name in _NAMES for value in account.given.get(name, ()))]
        for _try in range(_TRIES):
            password = self._new_password()
            if not passwords.resembles(password, names):
                break
        return password

    def _password_in(self, path: str, account: Account) -> str:
        content = self._files.read(path)
        if content is None:
            raise Refused(f"accounts: {account.uid}: {path} does not exist.", hint="Write the password there first.")
        try:
            text = content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise Refused(f"accounts: {account.uid}: {path} is not UTF-8 text.") from exc
        check_password(account, text, f"the password in {path}")
        return text

    def _numbers_for(self, steps: Sequence[Step]) -> tuple[Mapping[str, int], Optional[CollError]]:
        """A number for each step's entry, or why there are none."""
        try:
            numbers = self._take_numbers(len(steps)) if steps else []
        except CollError as error:
            return {}, error
        return {step.entry: number for step, number in zip(steps, numbers)}, None

    def _work_of(self, step: Step, kind: type[W]) -> W:
        work = self._work[draft.work_key(step)]
        if not isinstance(work, kind):
            raise TypeError(f"{step.verb} {step.target} is no {kind.__name__}")
        return work

    def _take_numbers(self, count: int) -> list[int]:
        """A block of free numbers, taken from the counter entry in one modify."""
        settings = self._wanted.settings
        used = ids.used_numbers(self._reader.everything_numbered())
        where = ids.counter_dn(settings)
        for _try in range(_TRIES):
            found = self._directory.search(settings.user_base, dn.equals("cn", ids.COUNTER_NAME), ("cn", ids.COUNTER_ATTRIBUTE))
            counter = next((entry for entry in found if dn.normal(entry.dn) == dn.normal(where)), None)
            numbers, following = ids.pick(ids.next_number(counter, settings, used), count, settings, used)
            if self._took(ids.taking(settings, counter, following)):
                return numbers
        raise BackendFailed(
            f"{where} was changed by others {_TRIES} times in a row, so no numbers could be taken.", hint="Run the task again."
        )

    def _took(self, op: Op) -> bool:
        """Whether the counter was moved; false when another run was faster."""
        for _index, error in self._directory.apply([op], stop_on_error=True):
            if error is not None and error.facts.get("ldap_result") not in ids.LOST_RACE:
                raise error
            return error is None
        return False
