# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access report of many people: time and memory of the whole playbook and of the module alone.

Beside them: the same objects read by a bare client that keeps nothing, and by kubernetes.core.k8s_info, which joins nothing.
BENCH_REPORT="5000 500" sets how many people in how many namespaces.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ldap3
from bare_client import Api
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from measure import Row, table, timed
from prepare import stock_python

PEOPLE, PLACES = (int(word) for word in os.environ.get("BENCH_REPORT", "5000 500").split())
PER_GROUP = 50
CONCURRENCY = 8
PENDING = 500  # slapd closes a connection with more than a thousand operations waiting
RBAC = "rbac.authorization.k8s.io"
KINDS = ("rolebindings", "clusterrolebindings", "roles", "clusterroles")
PATHS = ("/api/v1/namespaces", *(f"/apis/{RBAC}/v1/{kind}" for kind in KINDS))
LIMIT_SECONDS, LIMIT_MEBIBYTES = 20, 500


def person(mark: str, number: int) -> str:
    return f"{mark}-p{number:05}"


def team(mark: str, number: int) -> str:
    return f"{mark}-team{number // PER_GROUP}"


def place(mark: str, number: int) -> str:
    return f"{mark}-{number % PLACES}"


def listed(mark: str) -> list[dict[str, Any]]:
    """The people as the list has them."""
    return [
        {
            "name": person(mark, number),
            "full_name": f"Person {number}",
            "groups": [team(mark, number)],
            "access": [
                {"role": "edit", "namespaces": [place(mark, number)]},
                {"role": "view", "namespaces": [place(mark, number + 1)]},
            ],
        }
        for number in range(PEOPLE)
    ]


def bind(api: Api, mark: str, name: str, where: str, role: str, subject: dict[str, str]) -> None:
    labels = {"kubestead.platform/owner": mark}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    body = {"metadata": {"name": name, "labels": labels}, "roleRef": ref, "subjects": [{**subject, "apiGroup": RBAC}]}
    api.call("POST", f"/apis/{RBAC}/v1/namespaces/{where}/rolebindings", body)


def fill_cluster(mark: str) -> None:
    """The namespaces, two rights for each person and one for each team."""
    api = Api(os.environ["KUBECONFIG"])
    jobs = []
    for number in range(PEOPLE):
        who = person(mark, number)
        user = {"kind": "User", "name": who}
        jobs.append((f"{who}-edit", place(mark, number), "edit", user))
        jobs.append((f"{who}-view", place(mark, number + 1), "view", user))
    for number in range(0, PEOPLE, PER_GROUP):
        group = team(mark, number)
        jobs.append((group, place(mark, number), "view", {"kind": "Group", "name": group}))
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        spaces = [{"metadata": {"name": f"{mark}-{number}", "labels": {"bench": mark}}} for number in range(PLACES)]
        list(pool.map(lambda one: api.call("POST", "/api/v1/namespaces", one), spaces))
        list(pool.map(lambda job: bind(api, mark, *job), jobs))


def connection() -> Any:
    env = os.environ
    tls = ldap3.Tls(ca_certs_file=env["KUBESTEAD_LDAP_CA"])
    server = ldap3.Server(env["KUBESTEAD_LDAP_URI"], tls=tls, get_info=ldap3.NONE)
    password = Path(env["KUBESTEAD_LDAP_BIND_PW_FILE"]).read_text(encoding="utf-8").splitlines()[0]
    return ldap3.Connection(server, env["KUBESTEAD_LDAP_BIND_DN"], password, client_strategy=ldap3.ASYNC, auto_bind=True)


def fill_directory(mark: str) -> None:
    """An account for each person, and the teams."""
    link, top = connection(), f"ou={mark},{os.environ['KUBESTEAD_LDAP_BASE']}"
    sent = [link.add(where, "organizationalUnit") for where in (top,)]
    link.get_response(sent.pop())
    sent = [link.add(f"ou={unit},{top}", "organizationalUnit") for unit in ("people", "groups")]
    for number in range(PEOPLE):
        who = person(mark, number)
        held = {"uid": who, "cn": f"Person {number}", "sn": str(number)}
        sent.append(link.add(f"uid={who},ou=people,{top}", ["inetOrgPerson"], held))
    for number in range(0, PEOPLE, PER_GROUP):
        members = [f"uid={person(mark, number + one)},ou=people,{top}" for one in range(min(PER_GROUP, PEOPLE - number))]
        sent.append(link.add(f"cn={team(mark, number)},ou=groups,{top}", ["groupOfNames"], {"member": members}))
    answers = [link.get_response(one)[1] for one in sent]
    wrong = [answer for answer in answers if answer["result"] != 0]
    if wrong:
        raise SystemExit(f"{len(wrong)} entries were refused, such as {wrong[0]}")


def fill_folder(mark: str, folder: Path) -> None:
    """A certificate for each person, laid out as k8s_user_cert does, and a ledger."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    lines = []
    for number in range(PEOPLE):
        who, ends = person(mark, number), now + datetime.timedelta(hours=random.randrange(24, 2000))
        names = [(NameOID.ORGANIZATION_NAME, team(mark, number)), (NameOID.COMMON_NAME, who)]
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*one) for one in names]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(ends)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        version = folder / ".pairs" / who / "20270101T000000Z-0123456789ab"
        version.mkdir(parents=True, mode=0o700)
        (version / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (version.parent / "current").symlink_to(version.name)
        (folder / f"{who}.crt").symlink_to(f".pairs/{who}/current/tls.crt")
        text = "%Y-%m-%dT%H:%M:%SZ"
        line = {"name": who, "credential_id": f"X509SHA256={number:064x}", "serial": "1", "groups": [team(mark, number)]}
        lines.append(json.dumps({**line, "not_before": now.strftime(text), "not_after": ends.strftime(text)}))
    (folder / "ledger.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fill(mark: str, folder: str) -> None:
    """Inside the lab: everything that the report will find."""
    Path(folder).mkdir(mode=0o700)
    fill_folder(mark, Path(folder))
    fill_directory(mark)
    fill_cluster(mark)


def clean(mark: str) -> None:
    """Inside the lab: the namespaces take their bindings with them."""
    empty_directory(mark)
    api = Api(os.environ["KUBECONFIG"])
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda number: api.call("DELETE", f"/api/v1/namespaces/{mark}-{number}"), range(PLACES)))


def empty_directory(mark: str) -> None:
    """The accounts and groups, from the leaves up."""
    link, base = connection(), f"ou={mark},{os.environ['KUBESTEAD_LDAP_BASE']}"
    sent = [link.search(base, "(objectClass=*)", attributes=[], paged_size=500)]
    found: list[str] = []
    while sent:
        entries, result = link.get_response(sent.pop())
        found += [one["dn"] for one in entries or () if "dn" in one]
        cookie = result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
        sent = [link.search(base, "(objectClass=*)", attributes=[], paged_size=500, paged_cookie=cookie)] if cookie else []
    for depth in sorted({dn.count(",") for dn in found}, reverse=True):
        leaves = [dn for dn in found if dn.count(",") == depth]
        for begin in range(0, len(leaves), PENDING):
            for one in [link.delete(dn) for dn in leaves[begin : begin + PENDING]]:
                link.get_response(one)


def floor(mark: str) -> None:
    """Inside the lab: the same objects and entries, read and thrown away."""
    api, link = Api(os.environ["KUBECONFIG"]), connection()
    begin = time.monotonic()
    for path in PATHS:
        more = ""
        while True:
            answer = api.call("GET", f"{path}?limit=500{more}")
            if not answer["metadata"].get("continue"):
                break
            more = f"&continue={answer['metadata']['continue']}"
    base = f"ou={mark},{os.environ['KUBESTEAD_LDAP_BASE']}"
    cookie = True
    while cookie:
        page = {"paged_size": 500, "paged_cookie": None if cookie is True else cookie}
        number = link.search(base, "(objectClass=*)", attributes=["uid", "cn", "member"], **page)
        cookie = link.get_response(number)[1]["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
    print(json.dumps({"seconds": time.monotonic() - begin}))


def family(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(parts[1]), []).append(int(stat.parent.name))
    found = [root]
    for one in found:
        found += children.get(one, ())
    return found


def mebibytes(root: int) -> float:
    """What a process and all below it hold, what they share counted once."""
    total = 0
    for process in family(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def watch(*command: str) -> None:
    """Inside the lab: run a command; print how long it took, how much of a processor, and the most memory that it held."""
    begin, peak, over = time.monotonic(), [0.0], threading.Event()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def sample() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], mebibytes(running.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    printed, _nothing = running.communicate()
    seconds = time.monotonic() - begin
    over.set()
    sampler.join()
    print(printed[-4000:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "mebibytes": peak[0]}))
    raise SystemExit(running.returncode)


def last(printed: str) -> dict[str, Any]:
    return dict(json.loads(printed.strip().splitlines()[-1]))


def variables(folder: Path, mark: str) -> dict[str, Any]:
    """What the playbook is told."""
    base = f"ou={mark},{{{{ lookup('env', 'KUBESTEAD_LDAP_BASE') }}}}"
    login = {"server_uri": "URI", "ca_path": "CA", "bind_dn": "BIND_DN", "bind_pw_file": "BIND_PW_FILE"}
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "kubestead_people": listed(mark),
        "kubestead_ldap": {name: f"{{{{ lookup('env', 'KUBESTEAD_LDAP_{end}') }}}}" for name, end in login.items()},
        "access_report_user_base": f"ou=people,{base}",
        "access_report_group_base": f"ou=groups,{base}",
        "access_report_certificates": {"directories": [str(folder / "certificates")]},
        "access_report_grants_owner": mark,
        "access_report_directory": str(folder / "report"),
    }


def ours(folder: Path, mark: str) -> tuple[dict[str, Any], str]:
    """The whole playbook."""
    (folder / "variables.json").write_text(json.dumps(variables(folder, mark)), encoding="utf-8")
    (folder / "inventory.yml").write_text("kubestead_control: {hosts: {control: {}}}\n", encoding="utf-8")
    play = ["ansible-playbook", "kubestead.platform.report_access", "-i", str(folder / "inventory.yml")]
    command = ["python", str(Path(__file__).resolve()), "watch", *play, "-e", f"@{folder}/variables.json"]
    _seconds, printed = timed(f"playbook report_access, {PEOPLE} people", command)
    return last(printed), printed


def stock(folder: Path) -> float:
    """kubernetes.core.k8s_info for the same kinds: it joins nothing and reads no directory."""
    kinds = [
        ("v1", "Namespace"),
        *((f"{RBAC}/v1", kind) for kind in ("RoleBinding", "ClusterRoleBinding", "Role", "ClusterRole")),
    ]
    tasks = [{"kubernetes.core.k8s_info": {"api_version": version, "kind": kind}} for version, kind in kinds]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    path = folder / "stock.json"
    path.write_text(json.dumps([{**play, "vars": {"ansible_python_interpreter": str(stock_python())}}]), encoding="utf-8")
    return timed("kubernetes.core.k8s_info, five kinds", ["ansible-playbook", "-i", "localhost,", str(path)])[0]


def main() -> None:
    """Measure and print."""
    me, mark = ["python", str(Path(__file__).resolve())], f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            timed(f"filling the lab with {PEOPLE} people", [*me, "fill", mark, str(folder / "certificates")])
            _seconds, printed = timed("bare client, reads", [*me, "floor", mark])
            bare = Row("read", "bare client", PEOPLE, float(last(printed)["seconds"]), "reads only, joins nothing")
            found, told = ours(folder, mark)
            sizes = ", ".join(
                f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted((folder / "report").iterdir())
            )
            rows = [
                bare,
                Row("report", "report_access", PEOPLE, found["seconds"], f"{found['processor']:.1f} s of a processor"),
                Row("read", "k8s_info", PEOPLE, stock(folder), "reads only, no directory"),
            ]
        finally:
            timed("clean up", [*me, "clean", mark])
    print(table(f"Access report: {PEOPLE} people, {PLACES} namespaces, {2 * PEOPLE + PEOPLE // PER_GROUP} bindings", rows))
    print()
    print(f"memory of all processes together: {found['mebibytes']:.0f} MiB; files: {sizes}")
    print(next(line.strip() for line in told.splitlines() if "people," in line))
    within = found["seconds"] <= LIMIT_SECONDS and found["mebibytes"] <= LIMIT_MEBIBYTES
    print(f"limits of {LIMIT_SECONDS} s and {LIMIT_MEBIBYTES} MiB: {'kept' if within else 'EXCEEDED'}")


if __name__ == "__main__":
    inside = {"fill": fill, "clean": clean, "floor": floor, "watch": watch}
    if len(sys.argv) > 1:
        inside[sys.argv[1]](*sys.argv[2:])
    else:
        main()
