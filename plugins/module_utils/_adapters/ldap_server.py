# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An LDAP server: complete searches and pipelined writes over one connection that opens on first use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from .._core.errors import BackendFailed, CollError
from .._directory.answers import cut_short, no_base, refusal
from .._directory.model import Add, Delete, Entry, Modify, Op, Rename, SetPassword
from .._directory.wire import PASSWORD_POLICY, message, policy_error
from .ldap_connect import Login, connect

try:
    import ldap3
    from ldap3.core.exceptions import LDAPException
    from ldap3.utils.asn1 import decode_message_fast
except ImportError:  # _ansible.deps says so in one sentence before anything here is called
    pass

_PAGE = 500
_PAGED_RESULTS = "1.2.840.113556.1.4.319"
_CUT_SHORT = (3, 4, 11)  # time limit, size limit, administrative limit
_NO_SUCH_OBJECT = 32
_EFFECTIVE_RIGHTS, _RIGHTS_ATTRIBUTE = "1.3.6.1.4.1.42.2.27.9.5.2", "attributeLevelRights"
_DEEDS = {Add: "add", Modify: "change", Delete: "remove", Rename: "rename", SetPassword: "set the password of"}


class LdapServer:
    """The port ``Directory`` on a real server."""

    def __init__(self, login: Login, *, window: int) -> None:
        self._login = login
        self._window = max(1, window)
        self._open: Optional[Any] = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LdapServer:
        """The server of a task; connects on first use."""
        return cls(Login.from_params(params), window=params["concurrency"])

    @property
    def protects_secrets(self) -> bool:
        """Whether passwords may be sent to every server of the list."""
        return all(self._login.protects(uri) for uri in self._login.uris)

    def identity(self) -> str:
        """The DN we are bound as; empty when the server does not tell."""
        if self._login.bind_dn:
            return self._login.bind_dn
        try:
            answer = str(self._connection().extend.standard.who_am_i() or "")
        except LDAPException:
            return ""
        return answer[3:] if answer.startswith("dn:") else ""

    def search(self, base: str, filter_: str, attributes: Sequence[str], *, below: bool = True) -> tuple[Entry, ...]:
        """All entries that match, or an error: never a part of them. Without ``below`` only the base itself."""
        entries: list[Entry] = []
        cookie: Optional[bytes] = None
        while True:
            found, cookie = self._page(base, filter_, attributes, cookie, below=below, received=len(entries))
            entries.extend(found)
            if not cookie:
                break
        if below and not entries:
            # 389 Directory Server answers a paged search below an entry that does not exist with success.
            self._page(base, "(objectClass=*)", ("1.1",), None, below=False, received=0)
        return tuple(entries)

    def may_read(self, where: str, attribute: str) -> bool:
        """Whether the server says that an attribute of an entry would be shown to us (asked of servers that know the question)."""
        who = f"dn:{self.identity()}".encode()
        try:
            self._connection().search(
                where,
                "(objectClass=*)",
                ldap3.BASE,
                attributes=[attribute, _RIGHTS_ATTRIBUTE],
                controls=[(_EFFECTIVE_RIGHTS, True, who)],
            )
        except LDAPException:
            return False
        found = self._connection().response or ()
        told = [value for one in found for value in one.get("raw_attributes", {}).get(_RIGHTS_ATTRIBUTE, ())]
        rights = dict(part.strip().split(":", 1) for value in told for part in value.decode().split(",") if ":" in part)
        return "r" in rights.get(attribute, "none").replace("none", "")

    def _page(
        self, base: str, filter_: str, attributes: Sequence[str], cookie: Optional[bytes], *, below: bool, received: int
    ) -> tuple[list[Entry], Optional[bytes]]:
        connection = self._connection()
        try:
            connection.search(
                base,
                filter_,
                ldap3.SUBTREE if below else ldap3.BASE,
                attributes=list(attributes),
                paged_size=_PAGE if below else None,
                paged_cookie=cookie,
            )
        except LDAPException as exc:
            raise self._lost(f"searching {base}", exc) from exc
        result = connection.result
        found = [_entry(one) for one in connection.response if one["type"] == "searchResEntry"]
        self._check_search(base, received + len(found), result)
        return found, result.get("controls", {}).get(_PAGED_RESULTS, {}).get("value", {}).get("cookie")

    def apply(self, ops: Sequence[Op], *, stop_on_error: bool) -> Iterator[tuple[int, Optional[CollError]]]:
        """Write all of ``ops``, several under way at a time; yields the index of each with its error as answers come.

        The server may carry them out in any order. With ``stop_on_error`` nothing new is sent after the first error,
        and what was not sent is not yielded.
        """
        connection = self._connection()
        waiting = deque(range(len(ops)))
        under_way: dict[int, int] = {}
        stopped = False
        while under_way or (waiting and not stopped):
            try:
                while waiting and len(under_way) < self._window and not stopped:
                    number = _send(connection, ops[waiting[0]])
                    under_way[number] = waiting.popleft()
                answers = _answers(connection)
            except (LDAPException, OSError) as exc:
                lost = self._lost("writing", exc)
                yield from ((index, lost) for index in (*under_way.values(), *waiting))
                return
            for number, answer in answers:
                index = under_way.pop(number)
                error = _refusal_of(ops[index], answer)
                stopped = stopped or (stop_on_error and error is not None)
                yield index, error

    def _connection(self) -> Any:
        if self._open is None:
            self._open, self._uri = connect(self._login)
        return self._open

    def _check_search(self, base: str, received: int, result: Mapping[str, Any]) -> None:
        code, name, text = result["result"], result["description"], result["message"]
        if code in _CUT_SHORT:
            raise cut_short(base, received, code, name, text)
        if code == _NO_SUCH_OBJECT:
            raise no_base(base, self._uri)
        if code != 0:
            raise refusal(f"search {base}", code, name, text)

    def _lost(self, doing: str, exc: Exception) -> BackendFailed:
        return BackendFailed(
            f"The connection to {self._uri} was lost while {doing} ({exc}).",
            hint="Whether the last writes were made is not known; run the task again.",
        )


def _entry(found: Mapping[str, Any]) -> Entry:
    return Entry(
        found["dn"],
        {
            name.lower(): tuple(value.decode("utf-8", "surrogateescape") for value in values)
            for name, values in found["raw_attributes"].items()
        },
    )


def _send(connection: Any, op: Op) -> int:
    number = int(connection.server.next_message_id())
    connection.socket.sendall(message(number, op))
    return number


def _answers(connection: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """The answers that have come, at least one."""
    messages = connection.strategy.receiving()
    if not messages:
        raise ConnectionError("the server closed it")
    answers = []
    for received in messages:
        decoded = decode_message_fast(received)  # type: ignore[no-untyped-call]
        answer: Mapping[str, Union[int, str]] = connection.strategy.decode_response_fast(decoded)
        if decoded["messageID"] == 0:
            raise ConnectionError(f"the server ended it: {answer.get('message') or answer.get('description')}")
        answers.append((int(decoded["messageID"]), answer))
    return answers


def _refusal_of(op: Op, answer: Mapping[str, Any]) -> Optional[CollError]:
    if answer["result"] == 0:
        return None
    why = policy_error(answer.get("controls", {}).get(PASSWORD_POLICY, {}).get("value") or b"")
    return refusal(f"{_DEEDS[type(op)]} {op.dn}", answer["result"], answer["description"], answer["message"], why)
