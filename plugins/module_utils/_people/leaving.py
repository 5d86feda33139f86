# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""People who leave: in the words of each module, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput
from .._core.names import check_distinct, check_principal
from .delivery import KUBECONFIG_SUFFIX, owner_of, secret_of
from .person import people_from

# The columns of the report: what they are called, whose result holds them, and of which kind the entries are.
_COLUMNS = (
    ("refused", "cut", "denial"),
    ("account", "account", "account"),
    ("rights", "end", "rights"),
    ("requests", "end", "requests"),
    ("proof", "end", "proof"),
    ("certificate", "certificate", "certificate"),
    ("kubeconfig", "kubeconfig", "kubeconfig"),
    ("evidence", "record", "evidence"),
)
_WORDS = {"lock": "locked", "archive": "archived", "remove": "removed"}


def people_leavers(raw: object) -> list[str]:
    """The names of the people of a list whose state is absent."""
    return [person.name for person in people_from(raw) if person.state == "absent"]


def people_returning(raw: object) -> list[dict[str, str]]:
    """``people`` of access_cutoff that may be there again, if they ever left: those of a list whose state is present."""
    return [{"name": person.name} for person in people_from(raw) if person.state == "present"]


def leaver_names(raw: object) -> list[str]:
    """A list of names, checked; raises BadInput."""
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        raise BadInput("The people who leave are not a list of texts.", hint="Write login names, odd ones in quotes.")
    found = [check_principal(name, "Person who leaves") for name in raw]
    check_distinct(found, "Person who leaves")
    return found


def leaver_entries(raw: object, kubeconfigs: str, account: str, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``people`` of access_cutoff. ``account`` is what is done with accounts; ``results`` is by column of the report."""
    return [_entry(name, kubeconfigs, account, results) for name in leaver_names(raw)]


def _entry(name: str, kubeconfigs: str, account: str, results: Mapping[str, Any]) -> dict[str, Any]:
    done = {}
    for part in ("account", "certificate", "kubeconfig"):
        for entry in _entries(results.get(part)):
            if entry["kind"] == part and _person_of(entry) == name:
                word = _word(part, entry, account)
                if word:
                    done[part] = word
    return {"name": name, "kubeconfig": f"{kubeconfigs}/{name}{KUBECONFIG_SUFFIX}", "done": done}


def _word(part: str, entry: Mapping[str, Any], account: str) -> str:
    """What an entry says was done; empty when it says that nothing had to be."""
    if entry["action"] in ("failed", "skipped"):
        return f"{entry['action']}: {_why(entry)}".strip(": ")
    if part == "account":
        lasting = account == "lock" or entry["action"] == "removed"
        return _WORDS.get(account, "") if lasting else ""
    return "removed" if entry["action"] == "removed" else ""


def leaver_accounts(raw: object, found: Optional[Mapping[str, Any]] = None) -> list[dict[str, Any]]:
    """``accounts`` of ldap_account: all of them, or those that lock.

    ``found`` is what a check run with ``state: absent`` said. It names who is there: a lock would make an account for the others.
    """
    names = leaver_names(raw)
    if found is None:
        return [{"uid": name} for name in names]
    there = {str(entry["name"]) for entry in _entries(found) if entry["kind"] == "account" and entry["action"] != "unchanged"}
    return [{"uid": name, "enabled": False} for name in names if name in there]


def leaver_certificates(raw: object) -> list[dict[str, str]]:
    """``users`` of k8s_user_cert."""
    return [{"name": name} for name in leaver_names(raw)]


def leaver_kubeconfigs(raw: object, kubeconfigs: str, namespace: str = "") -> list[dict[str, Any]]:
    """``files`` of kubeconfig_render that go; with ``namespace`` the Secrets there as well."""
    names = leaver_names(raw)
    files = [{"path": f"{kubeconfigs}/{name}{KUBECONFIG_SUFFIX}", "state": "absent"} for name in names]
    return [*files, *({"secret": secret_of(name, namespace), "state": "absent"} for name in names if namespace)]


def leaver_report(raw: object, results: Mapping[str, Any]) -> dict[str, Any]:
    """``rows``, ``failed``, ``problems`` (nobody's in particular), ``ok``, ``table`` and ``text`` (with the evidence)."""
    names = leaver_names(raw)
    rows = [_row(name, results) for name in names]
    problems = [
        f"{entry['kind']} {entry['name']}: {_why(entry)}"
        for found in results.values()
        for entry in _entries(found)
        if entry["action"] == "failed" and _person_of(entry) not in names
    ]
    problems += [str(found["msg"]) for found in results.values() if _is_broken(found)]
    failed = [str(row["name"]) for row in rows if row["why"]]
    table = _table(rows) + problems
    evidence = [line for told in _evidence(results) for line in ["", *told.get("lines", ()), f"  ({told.get('path')})"]]
    ok = not failed and not problems
    summary = f"{len(rows) - len(failed)} of {len(rows)} people are cut off as asked."
    return {
        "rows": rows,
        "failed": failed,
        "problems": problems,
        "ok": ok,
        "table": [*table, *evidence],
        "text": "\n".join([summary, *table, *evidence]),
    }


def _entries(result: Optional[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return (result or {}).get("entries") or []


def _is_broken(result: Mapping[str, Any]) -> bool:
    """Whether a module ended before it came to any person."""
    return bool(result) and "entries" not in result and bool(result.get("msg"))


def _evidence(results: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    for beat in ("record", "end", "cut"):
        told = (results.get(beat) or {}).get("evidence")
        if told:
            return list(told)
    return []


def _person_of(entry: Mapping[str, Any]) -> str:
    name = str(entry["name"])
    return owner_of(name) if entry["kind"] == "kubeconfig" else name


def _why(entry: Mapping[str, Any]) -> str:
    error = entry.get("error") or {}
    return " ".join(str(error[key]) for key in ("msg", "hint") if error.get(key)) or str(entry.get("reason", ""))


def _row(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name}
    whys = []
    for column, beat, kind in _COLUMNS:
        found = [one for one in _entries(results.get(beat)) if one["kind"] == kind and _person_of(one) == name]
        row[column] = str(found[0]["action"]) if found else "-"
    for found_in in results.values():
        whys += [_why(one) for one in _entries(found_in) if one["action"] in ("failed", "skipped") and _person_of(one) == name]
    proof = [one for one in _entries(results.get("end")) if one["kind"] == "proof" and one["name"] == name]
    row["remaining"] = list(proof[0].get("remaining") or ()) if proof else []
    row["why"] = whys[0] if whys else ""
    return row


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    columns = ["name", *(column for column, _beat, _kind in _COLUMNS), "why"]
    texts = [columns] + [[str(row[column] or "") for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in texts) for index in range(len(columns) - 1)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(line, widths)), line[-1]]).rstrip() for line in texts]
