# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One list of people, said in the words of each module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from .._core.errors import BadInput
from .._core.window import moment, rfc3339
from .delivery import KUBECONFIG_SUFFIX, check_nobody_works_in, reading_grant, secret_of
from .person import NEVER, Access, Person, people_from

_CA_KEYS = (("ca_path", "certificate-authority"), ("ca_data", "certificate-authority-data"))


_DAY = 86400


def those_who_count(raw: object, at: object = "", without: Iterable[str] = ()) -> list[Any]:
    """The list without the people named ``without``, and as it counts at a moment, if there is one."""
    others = people_except(raw, without)
    return people_at(others, at) if at else others


def people_at(raw: object, now: object) -> list[Any]:
    """The list as it counts at a moment: who is outside of their window is disabled, rights outside of theirs are left out."""
    at = moment(now, "The moment")
    people = people_from(raw)
    return [_at(person, entry, at) for person, entry in zip(people, raw if isinstance(raw, list) else [])]


def _at(person: Person, entry: Mapping[str, Any], at: int) -> Mapping[str, Any]:
    if person.state != "present":
        return entry
    if person.window.stands(at) != "open":
        return {**entry, "state": "disabled"}
    access = zip(person.access, entry.get("access") or [])
    return {**entry, "access": [raw for one, raw in access if one.window.stands(at) == "open"]}


def people_accounts(raw: object) -> list[dict[str, Any]]:
    """``accounts`` of ldap_account. A disabled person keeps the account, locked."""
    return [_account(person) for person in people_from(raw)]


def _account(person: Person) -> dict[str, Any]:
    if person.state == "absent":
        return {"uid": person.name, "state": "absent"}
    *given, surname = person.full_name.split() or [person.name]
    account: dict[str, Any] = {
        "uid": person.name,
        "cn": person.full_name,
        "sn": surname,
        "display_name": person.full_name,
        "groups": list(person.groups),
        "enabled": person.state == "present",
    }
    optional = {
        "given_name": " ".join(given),
        "mail": list(person.mail),
        "ssh_keys": list(person.ssh_keys),
        "password_file": person.password_file,
        "generate_password": person.generate_password,
        "expires": _first_day_without(person),
    }
    account.update({key: value for key, value in optional.items() if value})
    return account


def _first_day_without(person: Person) -> str:
    """A directory counts in days: an end within a day is the day after, and the rights end in time all the same."""
    if person.expires is None:
        return NEVER if person.never_expires else ""
    return rfc3339(-(-person.expires // _DAY) * _DAY)[: len("2027-01-31")]


def people_certificates(raw: object, bound_to: str = "name", anew: Iterable[str] = ()) -> list[dict[str, Any]]:
    """``users`` of k8s_user_cert. Nobody who is disabled gets a certificate; the files of those who left go.

    With ``bound_to`` issue each carries a group of its own; those of ``anew`` get another one.

    A certificate ends with the first thing that ends for the person: it is what ends when no run follows.
    """
    others = frozenset(anew)
    own = (
        {person.name: "new" if person.name in others else "keep" for person in people_from(raw)} if bound_to == "issue" else {}
    )
    return [_certificate(person, own.get(person.name, "")) for person in people_from(raw) if person.state != "disabled"]


def _certificate(person: Person, own_group: str) -> dict[str, Any]:
    if person.state == "absent":
        return {"name": person.name, "state": "absent"}
    end = person.first_end
    groups: dict[str, Any] = {"own_group": own_group} if own_group else {"groups": list(person.groups)}
    return {"name": person.name, **groups, **({} if end is None else {"expires": rfc3339(end)})}


def people_kubeconfigs(
    raw: object, cluster: Mapping[str, Any], certificates: str, directory: str, namespace: str = ""
) -> list[dict[str, Any]]:
    """``files`` of kubeconfig_render: one file per person, ``<name>.kubeconfig``, with one context.

    ``cluster`` holds name, server and, if the server's CA is not a public one, ca_path or ca_data (base64);
    ``certificates`` is where k8s_user_cert keeps ``<name>.crt`` and ``<name>.key``. With ``namespace`` each person's is also
    in a Secret there.
    """
    for key in ("name", "server"):
        if not isinstance(cluster.get(key), str) or not cluster[key]:
            raise BadInput(f"The cluster for the kubeconfigs has no {key}.", hint="Give its name and its server's URL.")
    people = people_from(raw)
    files = [_kubeconfig(person, cluster, certificates, directory) for person in people]
    if not namespace:
        return files
    check_nobody_works_in(namespace, people)
    return [*files, *(_in_secret(file, secret_of(person.name, namespace)) for file, person in zip(files, people))]


def _in_secret(file: Mapping[str, Any], secret: Mapping[str, str]) -> dict[str, Any]:
    return {"secret": secret, **{key: value for key, value in file.items() if key != "path"}}


def _kubeconfig(person: Person, cluster: Mapping[str, Any], certificates: str, directory: str) -> dict[str, Any]:
    path = f"{directory}/{person.name}{KUBECONFIG_SUFFIX}"
    if person.state != "present":
        return {"path": path, "state": "absent"}
    context = {"cluster": cluster["name"], "user": person.name}
    if person.namespaces:
        context["namespace"] = person.namespaces[0]
    ca = {key: cluster[option] for option, key in _CA_KEYS if cluster.get(option)}
    pair = f"{certificates}/{person.name}"
    return {
        "path": path,
        "clusters": [{"name": cluster["name"], "cluster": {"server": cluster["server"], **ca}}],
        "users": [{"name": person.name, "user": {"client-certificate": f"{pair}.crt", "client-key": f"{pair}.key"}}],
        "contexts": [{"name": cluster["name"], "context": context}],
        "current_context": cluster["name"],
    }


def certificate_files(raw: object, certificates: str) -> list[str]:
    """The files that a run makes for people and that a check run only announces."""
    names = [person.name for person in people_from(raw) if person.state == "present"]
    return [f"{certificates}/{name}.{kind}" for name in names for kind in ("crt", "key")]


def people_grants(raw: object, issued: Optional[Mapping[str, Any]] = None, namespace: str = "") -> list[dict[str, Any]]:
    """``grants`` of rbac_grant: one per person and right. Whoever is not present has none.

    With ``issued``, the result of k8s_user_cert, rights are bound to the group of each certificate. The groups of those who have
    no certificate any more are not known, so their grants are not in the list.
    With ``namespace`` everybody may also read their own kubeconfig there.
    """
    people = people_from(raw)
    subjects = _names(people) if issued is None else _groups_issued(people, issued)
    grants: list[dict[str, Any]] = []
    for person in people:
        if person.name in subjects:
            grants.extend(_grant(person, subjects[person.name], access) for access in person.access)
            grants.extend([reading_grant(person, subjects[person.name], namespace)] if namespace else [])
    return grants


def _names(people: Iterable[Person]) -> dict[str, Mapping[str, Any]]:
    return {person.name: {"users": [person.name]} for person in people}


def _groups_issued(people: Iterable[Person], issued: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    groups = {str(one["name"]): list(one.get("groups") or ()) for one in issued.get("entries") or ()}
    present = [person.name for person in people if person.state == "present"]
    return {name: {"groups": groups[name]} for name in present if groups.get(name)}


def _grant(person: Person, subjects: Mapping[str, Any], access: Access) -> dict[str, Any]:
    grant: dict[str, Any] = {
        "subjects": dict(subjects),
        "cluster_role": access.role,
        "scope": access.scope,
        "state": "present" if person.state == "present" else "absent",
    }
    if access.namespaces:
        grant["namespaces"] = list(access.namespaces)
    bounds = {"not_before": access.not_before, "expires": access.expires}
    return {**grant, **{name: rfc3339(at) for name, at in bounds.items() if at is not None}}


def people_except(raw: object, names: Iterable[str]) -> list[Any]:
    """The list without the people of these names, as it was written otherwise.

    Whoever is disabled or absent stays on it: that one thing could not be taken from them is no reason to leave the rest.
    """
    left_out = set(names)
    people = zip(people_from(raw), raw if isinstance(raw, list) else [])
    return [entry for person, entry in people if person.name not in left_out or person.state != "present"]
