# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account when servers fail, refuse, limit and restart, on slapds of the tests' own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubestead_lab import certs, directory
from scratch_slapd import PASSWORD, ScratchSlapd

ROOT = Path(__file__).resolve().parents[2]
CANARY = "Canary-7391-hidden"
BASES = {"user_base": directory.PEOPLE, "group_base": directory.GROUPS}
EXTERNAL = {
    "TLSCACertificateFile": "TLSVerifyClient try\nauthz-regexp gidNumber=0\\\\+uidNumber=0,cn=peercred,cn=external,cn=auth "
    f"{directory.MANAGER}\nTLSCACertificateFile"
}
POLICY = {
    "pwdMustChange: FALSE": "pwdMustChange: TRUE\npwdInHistory: 3\npwdFailureCountInterval: 0",
    "pwdMaxFailure: 10": "pwdMaxFailure: 3",
}


@pytest.fixture(scope="module")
def slapd(lab: Any) -> Iterator[ScratchSlapd]:
    # A short path: a socket's name has room for 107 bytes.
    folder = Path(f"/tmp/kubestead-slapd-{os.getpid()}")
    server = ScratchSlapd(lab, folder, 3410, replace=EXTERNAL, entries=POLICY)
    server.start()
    yield server
    server.stop()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def run(serve_module: Callable[..., Any], slapd: ScratchSlapd) -> Callable[..., Any]:
    def call(*accounts: dict[str, Any], **more: Any) -> Any:
        how = {name: more.pop(name) for name in ("check", "diff") if name in more}
        arguments = {**slapd.login, **BASES, "accounts": list(accounts), **more}
        return serve_module("ldap_account", {name: value for name, value in arguments.items() if value is not None}, **how)

    return call


def no_bind(uri: str) -> dict[str, Any]:
    return {"server_uri": uri, "bind_dn": None, "bind_pw_file": None}


def test_every_way_to_connect(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    ways = {
        "ldaps": {},
        "starttls": {"server_uri": slapd.plain, "start_tls": True},
        "ldapi": {"server_uri": slapd.socket},
        "ldapi-external": no_bind(slapd.socket),
        "ldapi-by-name": {**no_bind(slapd.socket), "sasl_class": "external"},
        "certificate": {
            **no_bind(slapd.tls),
            "client_cert": str(slapd.folder / "client.crt"),
            "client_key": str(slapd.folder / "client.key"),
        },
        "variable": {"bind_pw_file": None, "bind_pw": PASSWORD},
        "fail-over": {"server_uri": ["ldaps://127.0.0.1:9", slapd.tls]},
    }
    for name, how in ways.items():
        done = run({"uid": f"way-{name}", "password": f"{CANARY}-{name}"}, **how)
        assert done.status == 0, (name, done.result)
        assert slapd.may_log_in(f"way-{name}", f"{CANARY}-{name}"), name


def test_a_uri_that_swallows_packets_costs_the_timeout_and_no_more(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    # 10.77.0.200 is on the lab's bridge, and nobody has it.
    began = time.monotonic()
    done = run({"uid": "silent"}, server_uri=["ldaps://10.77.0.200:636", slapd.tls], timeout=2)
    assert done.status == 0 and time.monotonic() - began < 60


def test_a_certificate_of_another_name_is_refused(lab: Any, run: Callable[..., Any]) -> None:
    folder = Path(f"/tmp/kubestead-other-{os.getpid()}")
    other = ScratchSlapd(lab, folder, 3420, replace={})
    for ending in ("crt", "key"):
        (folder / f"server.{ending}").unlink()
    certs.make_pair(folder, "server", "/CN=elsewhere", "DNS:elsewhere.example.org")
    other.lab.exec("true")
    process = subprocess.Popen(
        [str(ROOT / "tests/lab/lab"), "exec", "--", "slapd", "-d", "0", "-f", f"{folder}/slapd.conf", "-h",
         f"{other.plain}/ {other.tls}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(1.5)
        for where in ({"server_uri": other.tls}, {"server_uri": other.plain, "start_tls": True}):
            done = run({"uid": "misnamed"}, **where, ca_path=other.ca)
            assert done.status != 0 and "certificate" in done["msg"] and "Traceback" not in done.output, done.result
            trusting = run({"uid": "misnamed"}, **where, ca_path=other.ca, validate_certs=False)
            assert trusting.status == 0, trusting.result
    finally:
        process.terminate()
        process.wait(15)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_restart_in_the_middle_is_told_and_the_next_run_goes_on(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    people = [{"uid": f"restart{n:04}", "password": f"{CANARY}-{n}"} for n in range(400)]

    def restart() -> None:
        while "uid=restart0100," not in slapd.log.read_text(encoding="utf-8", errors="replace"):
            time.sleep(0.01)
        slapd.stop()
        slapd.start()

    other = threading.Thread(target=restart)
    other.start()
    cut = run(*people, on_error="continue")
    other.join()
    assert cut.status != 0 and "Traceback" not in cut.output
    failed = [entry for entry in cut["entries"] if entry["action"] == "failed"]
    assert failed and all("was lost while writing" in entry["error"]["msg"] for entry in failed), failed[:2]
    done = run(*people)
    assert done.status == 0, done["msg"]
    assert not run(*people)["changed"]
    numbers = slapd.ldap(
        "ldapsearch", "-LLL", "-E", "pr=500/noprompt", "-b", directory.PEOPLE, "(uid=restart*)", "uidNumber"
    ).stdout
    found = [line for line in numbers.splitlines() if line.startswith("uidNumber: ")]
    assert len(found) == len(set(found)) == 400


def test_a_run_killed_in_a_batch_of_200_is_finished_by_the_next(slapd: ScratchSlapd, run: Callable[..., Any], lab: Any) -> None:
    people = [{"uid": f"kill{n:03}", "groups": ["killed"], "generate_password": True} for n in range(200)]
    passwords = str(slapd.folder / "killed")
    task = {
        "module": "ldap_account",
        "arguments": {**slapd.login, **BASES, "accounts": people, "password_directory": passwords},
    }
    env = {**lab.env, "PYTHONPATH": str(ROOT / ".cache/collections")}
    for seen in ('ADD dn="uid=kill050,', 'PASSMOD id="uid=kill080,', 'PASSMOD id="uid=kill150,'):
        process = subprocess.Popen(
            [str(ROOT / "tests/lab/lab"), "exec", "--", sys.executable, str(Path(__file__).with_name("module_main.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        while seen not in slapd.log.read_text(encoding="utf-8", errors="replace"):
            assert process.poll() is None, seen
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    done = run(*people, password_directory=passwords)
    assert done.status == 0, done["msg"]
    assert not run(*people, password_directory=passwords)["changed"]
    numbers = {entry["uid_number"] for entry in done["entries"] if entry["kind"] == "account"}
    assert len(numbers) == 200
    assert len(slapd.values_of(f"cn=killed,{directory.GROUPS}", "memberUid")) == 200
    for name in ("kill000", "kill100", "kill199"):
        secret = (Path(passwords) / f"{name}.password").read_text(encoding="utf-8")
        assert slapd.may_log_in(name, secret)


def test_no_run_moves_the_counters_of_a_locked_account(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    where = f"uid=locked,{directory.PEOPLE}"
    run({"uid": "locked", "password": f"{CANARY}-locked"})
    for _time in range(3):
        assert not slapd.may_log_in("locked", "wrong")
    before = {name: slapd.values_of(where, name) for name in ("pwdFailureTime", "pwdAccountLockedTime")}
    assert len(before["pwdFailureTime"]) == 3 and before["pwdAccountLockedTime"]
    for more in ({}, {"update_password": "when_changed"}):
        assert not run({"uid": "locked", "password": f"{CANARY}-locked"}, **more)["changed"]
    assert run({"uid": "locked", "cn": "Somebody Else"})["changed"]
    assert {name: slapd.values_of(where, name) for name in before} == before
    run({"uid": "locked", "enabled": False})
    assert slapd.values_of(where, "pwdFailureTime") == before["pwdFailureTime"]
    assert slapd.values_of(where, "pwdAccountLockedTime") == ["000001010000Z"]


def test_a_password_of_before_and_one_to_be_changed(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    run({"uid": "history", "password": f"{CANARY}-one", "must_change": True})
    where = f"uid=history,{directory.PEOPLE}"
    assert slapd.values_of(where, "pwdReset") == ["TRUE"]
    assert not run({"uid": "history", "password": f"{CANARY}-one", "must_change": True})["changed"]
    # ppolicy lets a manager set an old password again; the person may not.
    own = (
        "ldappasswd",
        "-e",
        "ppolicy",
        "-x",
        "-H",
        slapd.tls,
        "-D",
        where,
        "-w",
        f"{CANARY}-one",
        "-s",
        f"{CANARY}-one",
        where,
    )
    done = slapd.lab.exec("env", f"LDAPTLS_CACERT={slapd.ca}", *own, check=False)
    assert done.returncode != 0
    short = run({"uid": "history", "password": "short"}, update_password="always")
    error = short.entry("history")["error"]
    assert error["password_policy"] == "passwordTooShort" and "pwdMinLength" in error["hint"]
    assert not run({"uid": "history", "enabled": False})["failed"]
    relocked = run({"uid": "history", "password": f"{CANARY}-two", "must_change": True}, update_password="always")
    assert relocked.status == 0 and slapd.values_of(where, "pwdReset") == ["TRUE"]
    assert slapd.values_of(where, "pwdAccountLockedTime") == ["000001010000Z"]


def test_no_password_is_in_the_servers_log(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    run({"uid": "logged", "password": f"{CANARY}-logged"}, diff=True)
    log = slapd.log.read_text(encoding="utf-8", errors="replace")
    assert "PASSMOD" in log and CANARY not in log and PASSWORD not in log


# A mount namespace of its own whose /dev/log is the test's socket, so that what goes to syslog or to the journal is seen.
OWN_SYSLOG = """
mkdir "$0/dev" && mount -t tmpfs none "$0/dev"
for name in null zero random urandom; do touch "$0/dev/$name" && mount --bind "/dev/$name" "$0/dev/$name"; done
touch "$0/dev/log" && mount --bind "$0/log" "$0/dev/log" && mount --rbind "$0/dev" /dev && exec "$@"
"""


def test_no_password_is_in_the_journal_or_in_an_argument(slapd: ScratchSlapd, lab: Any, tmp_path: Path) -> None:
    source = tmp_path / "file.password"
    source.write_text(f"{CANARY}-file\n", encoding="utf-8")
    source.chmod(0o600)
    people = [{"uid": "journal", "password": f"{CANARY}-inline"}, {"uid": "journal2", "password_file": str(source)}]
    arguments = {**slapd.login, **BASES, "accounts": people, "bind_pw_file": None, "bind_pw": PASSWORD, "_ansible_diff": True}
    task = {"module": "ldap_account", "arguments": {name: value for name, value in arguments.items() if value is not None}}
    place = Path(f"/tmp/kubestead-log-{os.getpid()}")
    place.mkdir(mode=0o700)
    command = ["unshare", "--mount", "sh", "-ec", OWN_SYSLOG, str(place), sys.executable]
    env = {**lab.env, "PYTHONPATH": str(ROOT / ".cache/collections")}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.bind(str(place / "log"))
            journal.settimeout(60)
            process = subprocess.Popen(
                [str(ROOT / "tests/lab/lab"), "exec", "--", *command, str(Path(__file__).with_name("module_main.py"))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True,
            )  # fmt: skip
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(task))
            process.stdin.close()
            logged, told = journal.recv(1 << 20), [told_by(process.pid)]
            while process.poll() is None:
                told.append(told_by(process.pid))
            printed = process.stdout.read()
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
    assert process.returncode == 0 and slapd.may_log_in("journal", f"{CANARY}-inline"), printed
    assert slapd.may_log_in("journal2", f"{CANARY}-file")
    assert b"Invoked with" in logged and b"journal2" in logged
    assert any("module_main" in one for one in told)
    for secret in (CANARY, PASSWORD):
        assert secret.encode() not in logged and secret not in printed and not any(secret in one for one in told)


def told_by(pid: int) -> str:
    """The arguments and the environment of a process, which others can see."""
    try:
        return "".join(Path(f"/proc/{pid}/{name}").read_text(errors="replace") for name in ("cmdline", "environ"))
    except OSError:
        return ""


def restarted(slapd: ScratchSlapd, there: str, instead: str) -> None:
    slapd.stop()
    config = slapd.folder / "slapd.conf"
    text = config.read_text(encoding="utf-8")
    assert there in text
    config.write_text(text.replace(there, instead, 1), encoding="utf-8")
    slapd.start()


@pytest.mark.parametrize(
    ("setting", "word", "hint"),
    [
        ("readonly on", "unwillingToPerform", "own rules"),
        ("updateref ldap://writable.example.org", "referral", "read-only copy"),
        (f'limits dn.exact="{directory.MANAGER}" size=3 size.prtotal=3', "sizeLimitExceeded", "size.prtotal"),
    ],
    ids=["read-only", "replica", "size-limit"],
)
def test_what_a_server_does_not_let_us_do_is_one_sentence(
    run: Callable[..., Any], slapd: ScratchSlapd, setting: str, word: str, hint: str
) -> None:
    run(*({"uid": f"before{n}"} for n in range(5)))
    own = f'limits dn.exact="{directory.MANAGER}" size=unlimited size.prtotal=unlimited time=unlimited'
    if setting.startswith("limits"):
        old, new = own, setting
    elif setting.startswith("updateref"):
        sync = (
            'syncrepl rid=1 provider=ldap://127.0.0.1:9 type=refreshAndPersist retry="3600 +" searchbase="dc=example,dc=org"'
            " bindmethod=simple"
        )
        old, new = "dbnosync", f"dbnosync\n{sync}\n{setting}"
    else:
        old, new = "dbnosync", f"dbnosync\n{setting}"
    restarted(slapd, old, new)
    try:
        done = run(*({"uid": f"before{n}", "cn": "Other"} for n in range(5)), on_error="continue")
        assert done.status != 0 and "Traceback" not in done.output and not done["changed"], done.result
        error = done["error"] if "error" in done.result else done.entry("before0")["error"]
        assert error["ldap_result"] == word and hint in error["hint"], error
    finally:
        restarted(slapd, new, old)


def test_a_search_that_takes_longer_than_the_server_allows_is_no_answer(lab: Any, serve_module: Callable[..., Any]) -> None:
    """Without an index the server looks at every entry, once for each name, and it is held up while it does."""
    crowd = "".join(
        f"dn: cn=other{n},{directory.PEOPLE}\nobjectClass: device\nobjectClass: uidObject\ncn: other{n}\nuid: x{n:05}\n\n"
        for n in range(12_000)
    )
    limit = f'limits dn.exact="{directory.MANAGER}" size=unlimited size.prtotal=unlimited'
    own = {"index objectClass,uid,": "index objectClass,", f"{limit} time=unlimited": f"{limit} time=1"}
    folder = Path(f"/tmp/kubestead-slow-{os.getpid()}")
    first = {f"dn: {directory.MANAGER}": f"{crowd}dn: {directory.MANAGER}"}
    server = ScratchSlapd(lab, folder, 3430, replace=own, entries=first)

    def hold_up() -> None:
        while 'filter="(|(uid=t00000y)' not in server.log.read_text(encoding="utf-8", errors="replace"):
            time.sleep(0.01)
        with server.held():
            time.sleep(2.5)

    try:
        server.start()
        other = threading.Thread(target=hold_up)
        other.start()
        done = serve_module("ldap_account", {**server.login, **BASES, "accounts": [{"uid": f"t{n:05}y"} for n in range(1000)]})
        other.join()
        assert done.status != 0 and not done["changed"] and "Traceback" not in done.output, done["msg"]
        error = done["error"]
        assert error["ldap_result"] == "timeLimitExceeded" and "time limit" in error["hint"] and "index" in error["hint"], error
        assert server.ldap("ldapsearch", "-LLL", "-b", directory.PEOPLE, "(uid=t*)", "dn").stdout == ""
    finally:
        server.stop()
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_server_that_does_not_answer_costs_the_timeout(run: Callable[..., Any], slapd: ScratchSlapd) -> None:
    began = time.monotonic()
    with slapd.held():
        done = run({"uid": "held"}, timeout=2)
    assert done.status != 0 and time.monotonic() - began < 60 and "Traceback" not in done.output
    assert "timeout" in done["msg"] or "timed out" in done["msg"], done["msg"]


def test_a_class_of_another_structure_and_a_right_that_lacks_name_the_entry(
    run: Callable[..., Any], slapd: ScratchSlapd
) -> None:
    where = f"uid=device,{directory.PEOPLE}"
    slapd.ldap("ldapadd", stdin=f"dn: {where}\nobjectClass: device\nobjectClass: uidObject\nuid: device\ncn: device\n")
    done = run({"uid": "device", "cn": "x"}, {"uid": "fine"}, on_error="continue")
    error = done.entry("device")["error"]
    assert error["ldap_result"] in ("objectClassViolation", "objectClassModsProhibited") and "structural" in error["hint"]
    assert where in error["msg"] and done.entry("fine")["action"] == "created"
