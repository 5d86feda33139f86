# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each person, out of the results of all modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .delivery import owner_of
from .person import Person, people_from

BEATS = ("left", "account", "certificate", "grant", "kubeconfig")
_NEEDED = ("kind", "name", "action", "reason", "error", "groups", "not_after", "login")  # of an entry
_COLUMNS = ("name", "result", "account", "certificate", "kubeconfig", "grants", "login", "why")


@dataclass(frozen=True)
class _Piece:
    """One entry of a module's result, as far as it concerns a person."""

    beat: str
    action: str
    why: str
    facts: Mapping[str, Any]


def failed_people(results: Mapping[str, Any]) -> list[str]:
    """Names of the people for whom anything failed. ``results``: module results by beat (see ``BEATS``)."""
    pieces = _by_person(results)
    return sorted(name for name, found in pieces.items() if any(piece.action == "failed" for piece in found))


def needed_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """What ``people_report`` is made of, out of all that the modules tell: a template looks at every value that is handed on."""
    return {beat: _needed(told) if isinstance(told, Mapping) and "entries" in told else told for beat, told in results.items()}


def _needed(told: Mapping[str, Any]) -> dict[str, Any]:
    entries = [{key: entry[key] for key in _NEEDED if key in entry} for entry in told["entries"] or ()]
    return {**{key: told[key] for key in told if key != "entries"}, "entries": entries}


def people_report(raw: object, results: Mapping[str, Any]) -> dict[str, Any]:
    """``rows`` (one per person), ``problems`` (failures that are nobody's), ``failed``, ``ok``, ``next``, ``table``, ``text``."""
    pieces = _by_person(results)
    rows = [_row(person, pieces.get(person.name, [])) for person in people_from(raw)]
    known = {str(row["name"]) for row in rows}
    problems = _problems(results, known)
    failed = [str(row["name"]) for row in rows if row["result"] == "failed"]
    following = whats_next(results)
    table = _table(rows) + problems + following["lines"]
    return {
        "rows": rows,
        "problems": problems,
        "failed": failed,
        "ok": not failed and not problems,
        "next": following,
        "table": table,
        "text": "\n".join([_summary(len(rows), len(failed), len(problems)), *table]),
    }


def whats_next(results: Mapping[str, Any]) -> dict[str, Any]:
    """What ends and begins next, and when; ``overdue`` stood beyond its end; ``lines`` say it in words."""
    entries = (results.get("certificate") or {}).get("entries") or []
    ends = [(str(one["not_after"]), str(one["name"])) for one in entries if one.get("not_after") and one["action"] != "removed"]
    grants = results.get("grant") or {}
    first = {"name": min(ends)[1], "at": min(ends)[0]} if ends else None
    moments = (
        ("certificate_end", "The next certificate to end is of", first),
        ("grant_end", "The next right to end:", grants.get("next_end")),
        ("grant_start", "The next right to begin:", grants.get("next_start")),
    )
    overdue = [one for one in grants.get("overdue") or [] if one.get("still_active")]
    lines = [f"{words} {one['name']}, {one['at']}." for _key, words, one in moments if one]
    lines += [f"Ended {one['ended']} and still active: {one['name']}." for one in overdue]
    return {**{key: one for key, _words, one in moments}, "overdue": overdue, "lines": lines}


def _summary(people: int, failed: int, problems: int) -> str:
    others = f"{people - failed} of {people} people are served as asked."
    told = [f"{failed} failed"] if failed else []
    told += [f"{problems} other problems"] if problems else []
    return f"{others} {' and '.join(told)}:" if told else others


def _by_person(results: Mapping[str, Any]) -> dict[str, list[_Piece]]:
    found: dict[str, list[_Piece]] = {}
    for beat in BEATS:
        for entry in (results.get(beat) or {}).get("entries") or []:
            name = _person_of(beat, entry)
            if name is not None:
                found.setdefault(name, []).append(_piece(beat, name, entry))
    return found


def _person_of(beat: str, entry: Mapping[str, Any]) -> Optional[str]:
    """Whom an entry is about: accounts and certificates are named like people, the others after them."""
    name, kind = str(entry["name"]), entry["kind"]
    if kind in ("marker", "account", "certificate"):
        return name
    if kind == "kubeconfig":
        return owner_of(name)
    return name.partition(":")[0] if beat == "grant" and kind == "grant" else None


def _piece(beat: str, name: str, entry: Mapping[str, Any]) -> _Piece:
    action, why = str(entry["action"]), ""
    login = entry.get("login") if beat == "kubeconfig" else None
    if action == "failed":
        error = entry.get("error") or {}
        why = " ".join(str(error[key]) for key in ("msg", "hint") if error.get(key)) or str(entry.get("reason", ""))
    elif action == "skipped":
        action, why = "failed", str(entry.get("reason", ""))
    elif login and login.get("user") != name:
        action, why = "failed", f"The cluster takes the kubeconfig for {login.get('user')!r}."
    return _Piece(beat, action, why, entry)


def _row(person: Person, pieces: Sequence[_Piece]) -> dict[str, Any]:
    by_beat = {beat: [piece for piece in pieces if piece.beat == beat] for beat in BEATS}
    failures = [piece for piece in pieces if piece.action == "failed"]
    certificate = by_beat["certificate"][0].facts if by_beat["certificate"] else {}
    login = by_beat["kubeconfig"][0].facts.get("login") if by_beat["kubeconfig"] else None
    carried = certificate.get("groups", person.groups)  # a group of its own in the place of the person's, or those
    missing = [group for group in carried if login and group not in login.get("groups", [])]
    why = failures[0].why if failures else ""
    if missing and not failures:
        why = f"The cluster does not see the group {', '.join(missing)}."
    return {
        "name": person.name,
        "result": "failed" if why or failures else person.state,
        "account": _actions(by_beat["account"]),
        "certificate": _actions(by_beat["certificate"]),
        "not_after": certificate.get("not_after"),
        "kubeconfig": _actions(by_beat["kubeconfig"]),
        "path": str(by_beat["kubeconfig"][0].facts["name"]) if by_beat["kubeconfig"] else None,
        "grants": _actions(by_beat["grant"]),
        "login": "-" if not login else "failed" if missing or login.get("user") != person.name else "ok",
        "groups": list((login or {}).get("groups", [])),
        "why": why,
    }


def _actions(pieces: Sequence[_Piece]) -> str:
    """``created``, ``unchanged`` …; with several different ones each with its number."""
    actions = [piece.action for piece in pieces]
    kinds = list(dict.fromkeys(actions))
    if len(kinds) <= 1:
        return kinds[0] if kinds else "-"
    return ", ".join(f"{actions.count(kind)} {kind}" for kind in kinds)


def _problems(results: Mapping[str, Any], people: set[str]) -> list[str]:
    """Failures of what belongs to no single person: whole steps, groups, namespaces, and names that are not in the list."""
    problems = []
    for beat in BEATS:
        told = results.get(beat) or {}
        if told.get("msg") and "entries" not in told:
            problems.append(f"{beat}s: {told['msg']}")
        for entry in told.get("entries") or []:
            if entry["action"] == "failed" and _person_of(beat, entry) not in people:
                piece = _piece(beat, "", entry)
                problems.append(f"{entry['kind']} {entry['name']}: {piece.why}")
    return problems


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    texts = [list(_COLUMNS)] + [[str(row[column] or "") for column in _COLUMNS] for row in rows]
    widths = [max(len(line[index]) for line in texts) for index in range(len(_COLUMNS) - 1)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(line, widths)), line[-1]]).rstrip() for line in texts]
