# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in bulk: the module's own work beside a bare client that makes the same calls with the same concurrency.

Both run in processes of their own on the running lab, one after the other, several times; the best times count, because
everything else on the machine only ever adds. ``BENCH_CERTIFICATES="1000 10000"`` sets the sizes, and
``BENCH_DEFAULT_SIGNER="1000"`` those with a signer that signs 20 a second, as it does by default; 0 leaves that out.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIZES = [int(word) for word in os.environ.get("BENCH_CERTIFICATES", "1000 10000").split()]
SLOWLY = [int(word) for word in os.environ.get("BENCH_DEFAULT_SIGNER", "1000").split() if word != "0"]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
THREADS = 8


def bare(number: int, folder: Path) -> dict[str, float]:
    """Key, request, approval, certificate, two files and the removal of the request; no comparison and no safety."""
    from bare_client import REQUESTS, Api, request_for
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    names = [f"bare{os.getpid()}-{index}" for index in range(number)]
    started = time.monotonic()
    folder.mkdir(parents=True, mode=0o700)
    api = Api(os.environ["KUBECONFIG"])
    found: dict[str, str] = {}
    version = api.call("GET", f"{REQUESTS}?limit=1")["metadata"]["resourceVersion"]
    watcher = threading.Thread(target=api.certificates, args=(version, set(names), found))
    watcher.start()

    def issue(name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write(folder / f"{name}.key", pem)
        spec = {
            "request": request_for(name, key),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "expirationSeconds": 3600,
        }
        kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
        made = api.call("POST", REQUESTS, {**kind, "metadata": {"name": name}, "spec": spec})
        made["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Bench", "message": "floor"}]
        api.call("PUT", f"{REQUESTS}/{name}/approval", made)

    def finish(name: str) -> None:
        write(folder / f"{name}.crt", found[name].encode())
        api.call("DELETE", f"{REQUESTS}/{name}")

    with ThreadPoolExecutor(THREADS) as executor:
        list(executor.map(issue, names))
        watcher.join()
        list(executor.map(finish, names))
    return {"seconds": time.monotonic() - started, "cpu": time.process_time()}


def write(path: Path, content: bytes) -> None:
    """A 0600 file brought to disk, as a key that must not be lost has to be."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def ours(number: int, folder: Path) -> dict[str, float]:
    """The module's work in one process: a first run, a run without a change, and the removal."""
    from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, count, entry_dict, settle
    from ansible_collections.kubestead.platform.plugins.modules.k8s_user_cert import wire

    task: dict[str, Any] = {
        "users": [{"name": f"ours{os.getpid()}-{index}", "groups": ["devs"]} for index in range(number)],
        "store": {"directory": str(folder)},
        "key_type": "ecdsa-p256",
        "key_policy": "rotate_on_renew",
        "lifetime": "1h",
        "renew_before": "33%",
        "signer": "kubernetes.io/kube-apiserver-client",
        "approve": "auto",
        "wait_timeout": "30m",
        "verify_login": False,
        "state": "present",
        "concurrency": THREADS,
        "on_error": "stop",
        "kubeconfig": os.environ["KUBECONFIG"],
    }

    def run() -> tuple[float, dict[str, int], int]:
        started = time.monotonic()
        flow = wire(task)
        sent = counting(flow)
        done = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=True)
        flow.report(done)
        counts = count([entry_dict(verdict) for verdict in settle(done)])
        return time.monotonic() - started, counts, len(sent)

    first, counts, _sent = run()
    if counts["created"] != number:
        raise SystemExit(f"only {counts} of {number}")
    used = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    again, counts, sent = run()
    if counts["unchanged"] != number:
        raise SystemExit(f"not unchanged: {counts}")
    return {"seconds": first, "unchanged": again, "MiB": memory, "cpu": used, "sent": sent}


def counting(flow: Any) -> list[str]:
    """What the run sends to the API server from now on."""
    sent: list[str] = []
    send = flow._out.kube._send

    def noting(method: str, *rest: Any, **named: Any) -> Any:
        sent.append(method)
        return send(method, *rest, **named)

    flow._out.kube._send = noting
    return sent


def measured(number: int, rounds: int, folder: Path, signer: str) -> dict[str, dict[str, float]]:
    """The best figures of both, by turns."""
    from measure import LOGS, timed

    best: dict[str, dict[str, float]] = {}
    for turn in range(rounds):
        for who in ("bare", "ours"):
            place = folder / f"{who}{number}-{turn}"
            command = [sys.executable, str(Path(__file__)), who, str(number), str(place)]
            path = {"PYTHONPATH": f"{LOGS.parents[1] / '.cache' / 'collections'}:{Path(__file__).parent}"}
            _seconds, printed = timed(f"certificates, {signer}, {who}, {number}, round {turn + 1}", command, env=path)
            told = json.loads(printed.strip().splitlines()[-1])
            best[who] = {key: min(value, best.get(who, told)[key]) for key, value in told.items()}
            shutil.rmtree(place, ignore_errors=True)
    return best


def main() -> None:
    """Measure and print."""
    from measure import ROOT, Row, fresh_disk, table

    sys.path.insert(0, str(ROOT / "tests" / "lab"))
    from kubestead_lab.default_signer import default_signer
    from kubestead_lab.settings import lab_from

    rows: list[Row] = []
    lines: list[str] = []

    def compare(folder: Path, number: int, rounds: int, signer: str) -> None:
        best = measured(number, rounds, folder, signer)
        bare_seconds, told = best["bare"]["seconds"], best["ours"]
        what = "issue" if signer == "fast" else "issue, default signer"
        rows.extend(
            (
                Row(what, "bare client", number, bare_seconds, f"{best['bare']['cpu']:.1f} s of CPU"),
                Row(what, "module", number, told["seconds"], f"{told['cpu']:.1f} s of CPU, {told['MiB']:.0f} MiB at most"),
                Row("nothing to do", "module", number, told["unchanged"], f"{told['sent']:.0f} requests to the server"),
            )
        )
        lines.append(f"{what}, {number} certificates: {told['seconds'] / bare_seconds:.2f} × the bare client")

    with fresh_disk() as folder:
        for number in SIZES:
            compare(folder, number, ROUNDS if number <= 1000 else 1, "fast")
        if SLOWLY:
            with default_signer(lab_from(os.environ, ROOT)):
                measured(2, 1, folder, "warming up")  # it takes some seconds to begin
                for number in SLOWLY:
                    compare(folder, number, 1, "default")
    print(table("Certificates: key, request, approval, certificate, files", rows))
    print()
    print("\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"bare": bare, "ours": ours}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main()
