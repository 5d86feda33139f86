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
from .._directory import accounts, dn, groups, ids, plan, policy
from .._directory.groups import GroupChange
from .._directory.model import Account, Change, Delete, Entry, Modify, Op, Seen, SetPassword, Wanted
from .._directory.parse import check_password, wanted_from

W = TypeVar("W")

_FILTER_TERMS = 200
_TRIES = 200


class Directory(Protocol):
    """An LDAP directory. Raises BackendFailed and its kin."""

    @property
    def protects_secrets(self) -> bool:
        """Whether passwords may be sent."""

    def identity(self) -> str:
        """The DN we are bound as; empty when unknown."""

    def search(self, base: str, filter_: str, attributes: Sequence[str], *, below: bool = True) -> tuple[Entry, ...]:
        """All entries that match at and below ``base`` (or the base alone), never a part of them."""

    def apply(self, ops: Sequence[Op], *, stop_on_error: bool) -> Iterator[tuple[int, Optional[CollError]]]:
        """Write; yields the index of each write with its error, in the order of the answers."""


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
    work: plan.PasswordWrite


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
        self._files = files
        self._new_password = new_password
        self._concurrency = params["concurrency"]
        self._work: Mapping[tuple[str, str], plan.Work] = {}
        self._secrets = dict(wanted.secrets)
        self._failed: set[str] = set()

    def observe(self) -> Seen:
        """One search per kind, and the passwords that files hold for those who need one."""
        reader = _Reader(self._wanted, self._directory)
        seen = reader.seen()
        needing = plan.decide(self._wanted, seen).passwords_for
        if needing and not self._directory.protects_secrets:
            raise Refused(
                f"The passwords of {len(needing)} accounts would be sent in clear text (first: {needing[0]}).",
                hint="Use ldaps://, ldapi:// or start_tls, or allow_plaintext: true.",
            )
        refused = {}
        for uid in needing:
            if uid in self._wanted.password_files:
                try:
                    self._secrets[uid] = self._password_in(self._wanted.password_files[uid], self._accounts[uid])
                except CollError as error:
                    refused[uid] = error
        return replace(seen, refused=refused)

    def decide(self, seen: Seen) -> Plan:
        """Compare wanted with seen."""
        decision = plan.decide(self._wanted, seen)
        self._work = decision.work
        return decision.plan

    def execute(self, stage: Stage) -> Iterable[Outcome]:
        """Carry out one stage, and remember whose steps failed: groups are made without them."""
        by_stage = {plan.PASSWORDS: self._set_passwords, plan.ACCOUNTS: self._write_accounts, plan.GROUPS: self._write_groups}
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
        todo = [(step, self._work_of(step, plan.AccountWrite)) for step in steps]
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
        ops: list[Op] = []
        for step in steps:
            work = self._work[plan.work_key(step)]
            ops.append(Modify(work.dn, accounts.lock(work.locked)) if isinstance(work, plan.LockWrite) else Delete(work.dn))
        yield from self._apply(steps, ops)

    def _set_passwords(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """Generated passwords reach the disk first; then the server gets them; locks that this ends are set again."""
        ready: list[tuple[Step, plan.PasswordWrite]] = []
        todo = [_Pending(step, self._work_of(step, plan.PasswordWrite)) for step in steps]
        for pending, error in pool.each(
            todo, self._prepare_password, concurrency=self._concurrency, stop_on_error=self.stop_on_error
        ):
            if error is None:
                ready.append((pending.step, pending.work))
            else:
                yield Outcome(pending.step, error=error)
        locked: list[tuple[Step, plan.PasswordWrite]] = []
        ops = [self._password_op(work) for _step, work in ready]
        for index, refusal in self._directory.apply(ops, stop_on_error=self.stop_on_error):
            step, work = ready[index]
            if refusal is None and work.relock:
                locked.append((step, work))
            else:
                yield Outcome(step, error=refusal)
        yield from self._apply(
            [step for step, _work in locked], [Modify(work.dn, accounts.lock(True)) for _step, work in locked]
        )

    def _apply(self, steps: Sequence[Step], ops: Sequence[Op], facts: Sequence[Mapping[str, object]] = ()) -> Iterator[Outcome]:
        for index, error in self._directory.apply(ops, stop_on_error=self.stop_on_error):
            yield Outcome(steps[index], facts[index] if facts and error is None else {}, error)

    def _password_op(self, work: plan.PasswordWrite) -> Op:
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
        kept = None if self._wanted.settings.always_set_passwords else self._files.find(path)
        if kept is None:
            self._secrets[uid] = self._new_password()
            self._files.write(path, f"{self._secrets[uid]}\n".encode())
        else:
            self._secrets[uid] = self._password_in(path, account)

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
        work = self._work[plan.work_key(step)]
        if not isinstance(work, kind):
            raise TypeError(f"{step.verb} {step.target} is no {kind.__name__}")
        return work

    def _take_numbers(self, count: int) -> list[int]:
        """A block of free numbers, taken from the counter entry in one modify."""
        settings = self._wanted.settings
        used = ids.used_numbers(_everything_numbered(self._wanted, self._directory))
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


class _Reader:
    """What the plan has to know of the directory, read in bulk."""

    def __init__(self, wanted: Wanted, directory: Directory) -> None:
        self._wanted = wanted
        self._directory = directory

    def seen(self) -> Seen:
        """All of it."""
        policies, dated = self._policies()
        return Seen(
            accounts=self._accounts(),
            groups=self._groups(),
            identity=self._directory.identity(),
            locking=policies,
            password_policy=dated,
        )

    def _accounts(self) -> tuple[Entry, ...]:
        uids = {account.uid for account in self._wanted.accounts}
        for group in self._wanted.groups:
            names = (*(group.members or ()), *group.join, *group.leave) if group.present else ()
            uids.update(name for name in names if "=" not in name)
        numbers = {n for account in self._wanted.accounts for n in account.given.get("uidNumber", ())}
        terms = [dn.equals("uid", uid) for uid in sorted(uids)] + [dn.equals("uidNumber", n) for n in sorted(numbers)]
        return self._search(self._wanted.settings.user_base, "", terms, accounts.READ_ATTRIBUTES)

    def _groups(self) -> tuple[Entry, ...]:
        base = self._wanted.settings.group_base
        if any(not account.present for account in self._wanted.accounts):
            return self._directory.search(base, groups.ANY_GROUP, groups.READ_ATTRIBUTES)
        names = {group.cn for group in self._wanted.groups}
        names |= {cn for account in self._wanted.accounts for cn in account.groups}
        return self._search(base, groups.ANY_GROUP, [dn.equals("cn", cn) for cn in sorted(names)], groups.READ_ATTRIBUTES)

    def _policies(self) -> tuple[Mapping[str, bool], bool]:
        if not any(account.enabled is False or account.credential_from for account in self._wanted.accounts):
            return {}, False
        root = self._directory.search("", "(objectClass=*)", ("namingContexts", "supportedControl"), below=False)
        known = bool(root) and policy.CONTROL in root[0].values_of("supportedControl")
        if not any(account.enabled is False for account in self._wanted.accounts) or not root:
            return {}, known
        base = self._wanted.settings.user_base
        suffix = next((name for name in root[0].values_of("namingContexts") if dn.within(base, name)), base)
        found = self._directory.search(suffix, dn.equals("objectClass", "pwdPolicy"), policy.READ_ATTRIBUTES)
        return policy.locking(found), known

    def _search(self, base: str, all_of: str, terms: Sequence[str], attributes: Sequence[str]) -> tuple[Entry, ...]:
        """Entries for any of ``terms``, in as few searches as filters of a bearable length allow."""
        found: dict[str, Entry] = {}
        for start in range(0, len(terms), _FILTER_TERMS):
            chosen = dn.any_of(terms[start : start + _FILTER_TERMS])
            for entry in self._directory.search(base, f"(&{all_of}{chosen})" if all_of else chosen, attributes):
                found.setdefault(dn.normal(entry.dn), entry)
        return tuple(found.values())


def _everything_numbered(wanted: Wanted, directory: Directory) -> tuple[Entry, ...]:
    found: tuple[Entry, ...] = ()
    for base in dict.fromkeys((wanted.settings.user_base, wanted.settings.group_base)):
        found += directory.search(base, "(|(uidNumber=*)(gidNumber=*))", ("uidNumber", "gidNumber"))
    return found
