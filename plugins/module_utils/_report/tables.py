# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of access_info as tables: one row for each right, and one for each finding."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput

RIGHTS = (
    "person", "full_name", "state", "account", "cluster", "where", "role", "level", "group", "ends", "standing", "binding",
    "certificate_end",
)  # fmt: skip
FINDINGS = ("severity", "kind", "who", "where", "what", "until", "cluster")
_KEPT = ("cluster", "taken_at", "entries", "everybody", "roles", "namespaces", "findings", "answers")
# What a spreadsheet takes for the beginning of a formula, the wide forms of East Asian keyboards too.
_FORMULAS = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")

Row = Sequence[Any]


def document(result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a result that is about access, be it data or text; raises BadInput for another module's."""
    if isinstance(result.get("text"), str):
        result = json.loads(result["text"])
    missing = [name for name in _KEPT if name not in result]
    if missing:
        raise BadInput(f"This is no result of access_info: it has no {missing[0]}.", hint="Register one and give it here.")
    return {name: result[name] for name in _KEPT}


def as_json(result: Mapping[str, Any]) -> str:
    """The document for programs."""
    return str(result["text"]) if isinstance(result.get("text"), str) else text_of(document(result))


def text_of(told: Mapping[str, Any]) -> str:
    """A document as text, in a fixed order."""
    return json.dumps(told, sort_keys=True, separators=(",", ":")) + "\n"


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers: ``people``, ``rights``, ``problems`` and ``notices``, and in ``kinds`` how many findings of each kind."""
    told = document(result)
    severities = Counter(one["severity"] for one in told["findings"])
    return {
        "cluster": told["cluster"],
        "taken_at": told["taken_at"],
        "people": len(told["entries"]),
        "rights": sum(len(person["rights"]) for person in told["entries"]),
        "problems": severities["problem"],
        "notices": severities["notice"],
        "kinds": dict(sorted(Counter(one["kind"] for one in told["findings"]).items())),
    }


def right_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """The rights in the order of the people; whoever has none has one row without a place."""
    for person in result["entries"]:
        begin = (person["name"], person["full_name"], person["state"], account_word(person["account"]), result["cluster"])
        rights: Sequence[Mapping[str, Any]] = person["rights"] or ({},)
        for right in rights:
            told = (right.get(name) or "" for name in ("where", "role", "level", "group", "ends", "standing", "binding"))
            yield (*begin, *told, person["certificate_end"] or "")


def account_word(account: Optional[Mapping[str, Any]]) -> str:
    """An account in a word."""
    if account is None:
        return "none"
    return "locked" if account["locked"] else "open"


def finding_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """The findings as they are told."""
    for one in result["findings"]:
        yield (*(one[name] or "" for name in FINDINGS[:-1]), result["cluster"])


class _Lines(list[str]):
    """What csv writes to."""

    def write(self, line: str) -> None:
        """One line."""
        self.append(line)


def as_csv(result: Mapping[str, Any], table: str = "rights") -> str:
    """A table for spreadsheets (RFC 4180): every cell in quotes, and none that would be taken for a formula."""
    tables = {"rights": (RIGHTS, right_rows), "findings": (FINDINGS, finding_rows)}
    if table not in tables:
        raise BadInput(f"There is no table {table!r}.", hint=f"Choose one of {', '.join(tables)}.")
    head, rows = tables[table]
    lines = _Lines()
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows(document(result)):
        writer.writerow([inert(str(cell)) for cell in row])
    return "".join(lines)


def inert(cell: str) -> str:
    """A cell that a spreadsheet shows as it is: an apostrophe before what would be a formula, and no NUL."""
    cell = cell.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return f"'{cell}" if cell.startswith(_FORMULAS) or cell.lstrip().startswith(_FORMULAS) else cell
