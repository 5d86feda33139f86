# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One measurement of accounts.py, run inside the lab: ``accounts_client.py bare|ours|again|place|clean NUMBER MARK``.

Prints one JSON line. Reading the certificate authority, the password and the imports are counted for neither side.
"""

from __future__ import annotations

import json
import os
import resource
import ssl
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ldap3

BASE = os.environ["KUBESTEAD_LDAP_BASE"]
PER_GROUP = 20


def connected(strategy: str = ldap3.SYNC) -> ldap3.Connection:
    """A bound connection as the manager."""
    server = ldap3.Server(
        os.environ["KUBESTEAD_LDAP_URI"],
        tls=ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=os.environ["KUBESTEAD_LDAP_CA"], valid_names=["localhost"]),
        get_info=ldap3.NONE,
    )
    password = Path(os.environ["KUBESTEAD_LDAP_BIND_PW_FILE"]).read_text(encoding="utf-8").strip()
    who = os.environ["KUBESTEAD_LDAP_BIND_DN"]
    return ldap3.Connection(server, who, password, client_strategy=strategy, auto_bind=True, check_names=False)


def make_place(mark: str) -> str:
    """The organizational units of one measurement."""
    connection = connected()
    for where in (f"ou={mark},{BASE}", f"ou=people,ou={mark},{BASE}", f"ou=groups,ou={mark},{BASE}"):
        connection.add(where, ["organizationalUnit"])
    return f"ou={mark},{BASE}"


def first_number(mark: str) -> int:
    """Where the numbers of a place begin: the lab has a uniqueness rule for the whole directory."""
    return 3_000_000 + zlib.crc32(mark.encode()) % 40_000 * 50_000


def names(number: int, mark: str) -> list[str]:
    return [f"{mark}-{index}" for index in range(number)]


def bare(number: int, mark: str) -> dict[str, Any]:
    """Adds sent without waiting, answers collected afterwards: the floor."""
    top, first, people = make_place(mark), first_number(mark), names(number, mark)
    start = time.monotonic()
    connection = connected(ldap3.ASYNC)
    pending = [
        connection.add(
            f"uid={name},ou=people,{top}",
            ["inetOrgPerson", "posixAccount"],
            {
                "uid": name, "cn": name, "sn": name, "mail": f"{name}@example.org", "uidNumber": first + index,
                "gidNumber": 100, "homeDirectory": f"/home/{name}", "loginShell": "/bin/bash",
            },
        )
        for index, name in enumerate(people)
    ]  # fmt: skip
    pending += [
        connection.add(
            f"cn={mark}g{group},ou=groups,{top}",
            ["posixGroup"],
            {"gidNumber": first + number + group, "memberUid": people[group * PER_GROUP : (group + 1) * PER_GROUP]},
        )
        for group in range(number // PER_GROUP)
    ]
    for message in pending:
        result = connection.get_response(message)[1]
        if result["result"] != 0:
            raise SystemExit(f"{result['description']} {result['message']}")
    connection.unbind()
    return {"seconds": time.monotonic() - start}


def ours(number: int, mark: str) -> dict[str, Any]:
    """ldap_account's own work in this process, from parameters to verdicts."""
    from ansible_collections.kubestead.platform.plugins.module_utils._adapters import ldap_server
    from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, count, entry_dict, settle
    from ansible_collections.kubestead.platform.plugins.modules import ldap_account

    top, first = make_place(mark), first_number(mark)
    params = defaults(ldap_account.SPEC)
    params.update(
        server_uri=[os.environ["KUBESTEAD_LDAP_URI"]], ca_path=os.environ["KUBESTEAD_LDAP_CA"], start_tls=False,
        bind_dn=os.environ["KUBESTEAD_LDAP_BIND_DN"], bind_pw=None, bind_pw_file=os.environ["KUBESTEAD_LDAP_BIND_PW_FILE"],
        validate_certs=True, client_cert=None, client_key=None, timeout=60, allow_plaintext=False, sasl_class="external", state="present",
        on_error="stop", concurrency=8, user_base=f"ou=people,{top}", group_base=f"ou=groups,{top}",
        id_range={"min": first, "max": first + 49_999},
        accounts=[
            {**defaults(ldap_account._ACCOUNT), "uid": name, "mail": [f"{name}@example.org"], "groups": [f"{mark}g{i // PER_GROUP}"]}
            for i, name in enumerate(names(number, mark))
        ],
    )  # fmt: skip
    pages: list[int] = []
    counted = ldap_server.LdapServer._page

    def page(*arguments: Any, **more: Any) -> Any:
        pages.append(1)
        return counted(*arguments, **more)

    ldap_server.LdapServer._page = page  # type: ignore[method-assign]
    requests: list[str] = []
    searched = ldap_server.LdapServer.search

    def search(self: Any, base: str, filter_: str, attributes: Any, **more: Any) -> Any:
        requests.append(base)
        return searched(self, base, filter_, attributes, **more)

    ldap_server.LdapServer.search = search  # type: ignore[method-assign]
    start = time.monotonic()
    flow = ldap_account.wire(params)
    run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
    entries = [entry_dict(verdict) for verdict in settle(run)]
    seconds = time.monotonic() - start
    counts = count(entries)
    if counts["failed"] or counts["skipped"]:
        raise SystemExit(str(next(entry for entry in entries if entry["action"] in ("failed", "skipped"))))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds, "mebibytes": memory, "searches": len(requests), "pages": len(pages), "changed": len(run.done),
    }  # fmt: skip


def defaults(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: option.get("default") for name, option in spec.items()}


def clean(mark: str) -> dict[str, Any]:
    """Remove the places of all measurements of one benchmark."""
    connection = connected()
    for base in _below(connection, BASE, f"(ou={mark}*)", ldap3.LEVEL):
        everything = _below(connection, base, "(objectClass=*)", ldap3.SUBTREE)
        for where in sorted(everything, key=lambda one: -one.count(",")):
            connection.delete(where)
    return {}


def _below(connection: ldap3.Connection, base: str, filter_: str, scope: str) -> list[str]:
    found: Iterable[Any] = connection.extend.standard.paged_search(base, filter_, scope, paged_size=500, generator=True)
    return [one["dn"] for one in found if one["type"] == "searchResEntry"]


def main(verb: str, number: int, mark: str) -> None:
    """Measure one thing and print it."""
    if verb in ("ours", "again"):
        print(json.dumps(ours(number, mark)))
    elif verb == "bare":
        print(json.dumps(bare(number, mark)))
    elif verb == "place":
        print(json.dumps({"top": make_place(mark)}))
    else:
        print(json.dumps(clean(mark)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
