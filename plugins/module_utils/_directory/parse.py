# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the task's values to what is wanted. Everything wrong in them is found here, before anything is read or written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._core.errors import BadInput, Refused
from .._core.names import check_distinct, check_principal
from . import dn
from .edits import edits_from, expiry_from, is_text
from .model import GROUP_OF_NAMES, POSIX_GROUP, Account, Group, Settings, Values, Wanted

_TEXTS = {
    "cn": "cn",
    "sn": "sn",
    "given_name": "givenName",
    "display_name": "displayName",
    "home": "homeDirectory",
    "shell": "loginShell",
}
_LISTS = {"mail": "mail", "ssh_keys": "sshPublicKey"}
_NUMBERS = {"uid_number": "uidNumber", "gid_number": "gidNumber"}
_POSIX_ONLY = ("uid_number", "gid_number", "home", "shell")
_NEVER_EMPTY = ("cn", "sn", "home", "uid_number", "gid_number")
_SOURCES = ("password", "password_hash", "password_file", "generate_password")
_DNS = re.compile(r"[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?", re.ASCII)
_MAX_ID = 2**31 - 1


def wanted_from(params: Mapping[str, Any]) -> Wanted:
    """Everything the task asks for; raises BadInput and Refused."""
    settings = _settings(params)
    default_present = params["state"] == "present"
    accounts = tuple(_account(raw, settings, default_present) for raw in params["accounts"] or ())
    groups = tuple(_group(raw, default_present) for raw in params["groups"] or ())
    check_distinct((account.uid for account in accounts), "accounts:")
    check_distinct((group.cn for group in groups), "groups:")
    check_distinct([*(a.uid for a in accounts), *(a.renamed_from for a in accounts if a.renamed_from)], "accounts: name")
    _check_numbers(accounts, groups)
    _check_memberships(accounts, groups)
    secrets = {raw["uid"]: _secret(raw) for raw in params["accounts"] or () if raw.get("password") or raw.get("password_hash")}
    files = {raw["uid"]: raw["password_file"] for raw in params["accounts"] or () if raw.get("password_file")}
    generating = next((account for account in accounts if account.credential_from == "generate_password"), None)
    if generating and not params["password_directory"] and not params["password_secret"]:
        raise BadInput(
            f"accounts: {generating.uid}: generate_password needs password_directory or password_secret.",
            hint="Name the folder or the namespace where generated passwords are written.",
        )
    return Wanted(settings, accounts, groups, secrets, files)


def check_password(account: Account, password: str, origin: str) -> None:
    """Raises when a password is empty, or equal to something public about the account."""
    if not password:
        raise Refused(f"accounts: {account.uid}: {origin} is empty.", hint="An empty password lets anybody in.")
    if "\n" in password or "\0" in password or not is_text(password):
        raise Refused(f"accounts: {account.uid}: {origin} is not one line of text.")
    named = (*account.given.values(), *account.edits.exact.values(), *account.edits.extra.values())
    public = {account.uid, *(value for values in named for value in values), *account.groups}
    if password.casefold() in {value.casefold() for value in public}:
        raise Refused(
            f"accounts: {account.uid}: {origin} is equal to a public value of the account.", hint="Choose another password."
        )


def _settings(params: Mapping[str, Any]) -> Settings:
    posix = params["profile"] == "posix"
    id_range = params["id_range"] or {}
    low, high = id_range.get("min") or 10000, id_range.get("max") or 59999
    if not 1 <= low <= high <= _MAX_ID:
        raise BadInput(f"id_range: {low}-{high} is not a range within 1-{_MAX_ID}.")
    for option in ("user_base", "group_base"):
        if not dn.is_dn(params[option] or ""):
            raise BadInput(f"{option}: {params[option]!r} is not a DN.", hint="Write it as in 'ou=people,dc=example,dc=org'.")
    if params["concurrency"] < 1 or params["timeout"] < 1 or params["max_deletes"] < 0:
        raise BadInput("concurrency and timeout must be at least 1, max_deletes at least 0.")
    return Settings(
        user_base=params["user_base"],
        group_base=params["group_base"],
        posix=posix,
        group_kind=params["group_kind"] or (POSIX_GROUP if posix else GROUP_OF_NAMES),
        id_range=(low, high),
        default_gid=params["default_gid_number"],
        update_password=params["update_password"],
        max_deletes=params["max_deletes"],
        password_directory=params["password_directory"] or "",
        password_secret=_secret_place(params["password_secret"]),
        archive_base=_archive(params),
        archives=params["delete_policy"] == "archive",
        placeholder=dn.child("cn", "kubestead-nobody", params["group_base"]) if params["empty_groups"] == "placeholder" else "",
    )


def _secret_place(raw: Optional[Mapping[str, Any]]) -> str:
    if not raw:
        return ""
    namespace, template = str(raw["namespace"]), str(raw["name_template"])
    if not _DNS.fullmatch(namespace) or "." in namespace:
        raise BadInput(f"password_secret.namespace: {namespace[:80]!r} is no name of a namespace.")
    if "{name}" not in template or not _DNS.fullmatch(template.replace("{name}", "a")):
        raise BadInput(
            f"password_secret.name_template: {template[:80]!r} makes no name of a Secret.",
            hint="Write lower-case letters, digits, '-' and '.', with {name} in its place, such as {name}-password.",
        )
    return f"{namespace}/{template}:password"


def _archive(params: Mapping[str, Any]) -> str:
    base = str(params["archive_base"] or "")
    if params["delete_policy"] == "archive" and not base:
        raise BadInput("delete_policy: archive needs archive_base.", hint="Name the DN where people who left are kept.")
    if not base:
        return ""
    if not dn.is_dn(base):
        raise BadInput(f"archive_base: {base!r} is not a DN.", hint="Write it as in 'ou=left,dc=example,dc=org'.")
    if dn.within(params["user_base"], base):
        raise BadInput("archive_base holds user_base, so everybody would count as archived.", hint="Name another entry.")
    return base


def _account(raw: Mapping[str, Any], settings: Settings, default_present: bool) -> Account:
    uid = check_principal(raw["uid"], "accounts: uid")
    given: dict[str, Values] = {}
    for option, attribute in {**_TEXTS, **_NUMBERS, **_LISTS}.items():
        value = raw.get(option)
        if value is None or (option == "uid_number" and str(value) == "auto"):
            continue
        if option in _POSIX_ONLY and not settings.posix:
            raise BadInput(f"accounts: {uid}: {option} needs profile: posix.", hint="Leave it out, or change profile.")
        values = _values(uid, option, value)
        if not values and option in _NEVER_EMPTY:
            raise BadInput(f"accounts: {uid}: {option} is empty.", hint="Leave the option out to keep what is there.")
        given[attribute] = values
    account = Account(
        uid=uid,
        present=_present(raw, default_present),
        given=given,
        groups=_names(raw.get("groups") or (), f"accounts: {uid}: groups"),
        enabled=raw.get("enabled"),
        credential_from=_password_source(uid, raw),
        edits=edits_from(uid, raw.get("attributes") or {}, given),
        expires=expiry_from(uid, raw.get("expires")),
        must_change=bool(raw.get("must_change")),
        renamed_from=check_principal(raw["renamed_from"], f"accounts: {uid}: renamed_from") if raw.get("renamed_from") else "",
        parent=_parent(uid, raw.get("parent"), settings),
    )
    if account.renamed_from == uid:
        raise BadInput(f"accounts: {uid}: renamed_from is the same name.")
    if raw.get("password") is not None:
        check_password(account, raw["password"], "password")
    return account


def _parent(uid: str, raw: Any, settings: Settings) -> str:
    if not raw:
        return ""
    if not dn.is_dn(str(raw)) or not dn.within(str(raw), settings.user_base):
        raise BadInput(f"accounts: {uid}: parent {str(raw)[:80]!r} is not a DN at or below user_base.")
    if settings.archive_base and dn.within(str(raw), settings.archive_base):
        raise BadInput(f"accounts: {uid}: parent {str(raw)[:80]!r} is in archive_base.", hint="Only people who left are there.")
    return str(raw)


def _values(uid: str, option: str, value: Any) -> Values:
    if option in _NUMBERS:
        number = int(value) if str(value).isascii() and str(value).isdigit() else -1
        if not 0 < number <= _MAX_ID:
            auto = " or 'auto'" if option == "uid_number" else ""
            raise BadInput(f"accounts: {uid}: {option} {value!r} is not a number from 1 to {_MAX_ID}{auto}.")
        return (str(number),)
    texts = [str(text).strip() for text in (value if isinstance(value, (list, tuple)) else [value])]
    if any("\n" in text or "\0" in text for text in texts):
        raise BadInput(f"accounts: {uid}: {option} holds a line break.", hint="One value is one line.")
    if not all(is_text(text) for text in texts):
        raise BadInput(f"accounts: {uid}: {option} is no valid Unicode text.")
    return tuple(dict.fromkeys(text for text in texts if text))


def _password_source(uid: str, raw: Mapping[str, Any]) -> str:
    named = [source for source in _SOURCES if raw.get(source) not in (None, False)]
    if len(named) > 1:
        raise BadInput(f"accounts: {uid}: {' and '.join(named)} exclude each other.", hint="Keep one of them.")
    if raw.get("password_hash") is not None and not _is_hash(raw["password_hash"]):
        raise BadInput(
            f"accounts: {uid}: password_hash is not of the form {{SCHEME}}value.",
            hint="A value without a scheme would be stored as a readable password; use password for those.",
        )
    return named[0] if named else ""


def _is_hash(text: str) -> bool:
    scheme, brace, rest = text.partition("}")
    return scheme.startswith("{") and len(scheme) > 1 and bool(brace) and bool(rest)


def _secret(raw: Mapping[str, Any]) -> str:
    return str(raw.get("password") or raw["password_hash"])


def _group(raw: Mapping[str, Any], default_present: bool) -> Group:
    cn = _group_name(raw["cn"], "groups: cn")
    members = raw.get("members") or {}
    lists = {
        how: _names(members[how], f"groups: {cn}: members", dns=True) if members.get(how) is not None else None
        for how in ("set", "add", "remove")
    }
    if lists["set"] is not None and (lists["add"] or lists["remove"]):
        raise BadInput(f"groups: {cn}: members.set excludes add and remove.", hint="set names all members there are to be.")
    both = set(lists["add"] or ()) & set(lists["remove"] or ())
    if both:
        raise BadInput(f"groups: {cn}: {min(both)!r} is both in members.add and members.remove.")
    gid: Optional[int] = raw.get("gid_number")
    if gid is not None and not 0 < gid <= _MAX_ID:
        raise BadInput(f"groups: {cn}: gid_number {gid} is not a number from 1 to {_MAX_ID}.")
    return Group(
        cn=cn,
        present=_present(raw, default_present),
        kind=raw.get("kind") or "",
        gid_number=gid,
        members=lists["set"],
        join=lists["add"] or (),
        leave=lists["remove"] or (),
    )


def _present(raw: Mapping[str, Any], default: bool) -> bool:
    return default if raw.get("state") is None else bool(raw["state"] == "present")


def _names(raw: Sequence[Any], what: str, *, dns: bool = False) -> Values:
    def checked(name: Any) -> str:
        text = str(name)
        return text if dns and "=" in text and dn.is_dn(text) else _group_name(text, what)

    return tuple(dict.fromkeys(checked(name) for name in raw))


def _group_name(raw: Any, what: str) -> str:
    text = str(raw).strip()
    if not text or len(text) > 255 or not text.isprintable():
        raise BadInput(f"{what}: {text[:80]!r} is not a name.", hint="Use 1 to 255 printable characters.")
    return text


def _check_numbers(accounts: Sequence[Account], groups: Sequence[Group]) -> None:
    owners: dict[str, str] = {}
    for account in accounts:
        for number in account.given.get("uidNumber", ()):
            if number in owners:
                raise BadInput(f"accounts: {owners[number]} and {account.uid} have the same uid_number {number}.")
            owners[number] = account.uid
    names: dict[int, str] = {}
    for group in groups:
        if group.gid_number is not None:
            if group.gid_number in names:
                raise BadInput(f"groups: {names[group.gid_number]} and {group.cn} have the same gid_number {group.gid_number}.")
            names[group.gid_number] = group.cn


def _check_memberships(accounts: Sequence[Account], groups: Sequence[Group]) -> None:
    ending = {group.cn.casefold() for group in groups if not group.present}
    leavers = {group.cn.casefold(): group.leave for group in groups}
    for account in accounts:
        for name in account.groups if account.present else ():
            if name.casefold() in ending:
                raise BadInput(f"accounts: {account.uid} is to be in group {name}, which is to be absent.")
            if account.uid in leavers.get(name.casefold(), ()):
                raise BadInput(f"accounts: {account.uid} is to be in group {name}, whose members.remove names it.")
