# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor: onboarding as the fewest calls a program can make, with no Ansible, no comparison and no safety.

Per person: one LDAP add, one key, one request, one approval, one certificate, one kubeconfig file, one RoleBinding, the
deletion of the request and a login with the certificate. Run inside the lab: ``bare_client.py NUMBER FOLDER``. Prints the
seconds per phase as JSON; ``seconds`` holds all but the login, ``with_login`` all.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ldap3
import urllib3
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

THREADS = 8
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
RBAC = "rbac.authorization.k8s.io"


class Api:
    """The API server over one connection pool, as the administrator of the kubeconfig."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.load(Path(kubeconfig).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server, self.ca = cluster["server"], cluster["certificate-authority-data"]
        context = ssl.create_default_context(cadata=base64.b64decode(self.ca).decode())
        with tempfile.NamedTemporaryFile("wb") as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self.pool = urllib3.PoolManager(ssl_context=context, maxsize=THREADS + 1)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its decoded answer."""
        answer = self.pool.request(
            method,
            self.server + path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.data[:200]!r}")
        return json.loads(answer.data)

    def certificates(self, version: str, names: set[str], found: dict[str, str]) -> None:
        """Watch requests until each of ``names`` has its certificate in ``found``."""
        answer = self.pool.request("GET", f"{self.server}{REQUESTS}?watch=1&resourceVersion={version}", preload_content=False)
        rest = b""
        for chunk in answer.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                seen = json.loads(line)["object"]
                name, certificate = seen["metadata"]["name"], seen.get("status", {}).get("certificate")
                if certificate and name in names:
                    found[name] = certificate
            if len(found) >= len(names):
                return


def add_accounts(names: list[str]) -> None:
    """All LDAP adds on one connection, answers collected afterwards."""
    server = ldap3.Server(
        os.environ["KUBESTEAD_LDAP_URI"],
        tls=ldap3.Tls(
            validate=ssl.CERT_REQUIRED,
            ca_certs_file=os.environ["KUBESTEAD_LDAP_CA"],
            valid_names=["localhost"],  # ldap3 does not compare addresses
        ),
    )
    password = Path(os.environ["KUBESTEAD_LDAP_BIND_PW_FILE"]).read_text(encoding="utf-8").strip()
    connection = ldap3.Connection(
        server, os.environ["KUBESTEAD_LDAP_BIND_DN"], password, client_strategy=ldap3.ASYNC, auto_bind=True
    )
    base, start = os.environ["KUBESTEAD_LDAP_USER_BASE"], 200_000 + os.getpid() % 1000 * 1000
    pending = [
        connection.add(
            f"uid={name},{base}",
            ["inetOrgPerson", "posixAccount"],
            {"cn": name, "sn": name, "uidNumber": start + number, "gidNumber": 100, "homeDirectory": f"/home/{name}"},
        )
        for number, name in enumerate(names)
    ]
    for message in pending:
        result = connection.get_response(message)[1]
        if result["result"] != 0:
            raise SystemExit(f"LDAP: {result['description']} {result['message']}")
    connection.unbind()


def request_for(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A signing request in the form the API takes."""
    subject = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, name), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "devs")]
    )
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


def issue_and_bind(api: Api, name: str, request: str) -> None:
    """Request, approval and RoleBinding of one person."""
    spec = {"request": request, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    made = api.call("POST", REQUESTS, {**kind, "metadata": {"name": name}, "spec": spec})
    made["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "Bench", "message": "floor"}]
    api.call("PUT", f"{REQUESTS}/{name}/approval", made)
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "User", "name": name, "apiGroup": RBAC}],
    }
    api.call("POST", BINDINGS, binding)


def write_kubeconfig(folder: Path, name: str, api: Api, key: ec.EllipticCurvePrivateKey, certificate: str) -> None:
    """One 0600 kubeconfig."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    user = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(pem).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": api.server, "certificate-authority-data": api.ca}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
        "users": [{"name": name, "user": user}],
    }
    descriptor = os.open(folder / f"{name}.conf", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(config, file)


def log_in(kubeconfig: Path, name: str) -> None:
    """Ask the server who we are."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = Api(str(kubeconfig)).call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    if told["status"]["userInfo"]["username"] != name:
        raise SystemExit(f"{kubeconfig} is not {name}'s")


def main(number: int, folder: Path) -> None:
    """Onboard ``number`` people and print the seconds each phase took."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"bare{os.getpid()}-{index}" for index in range(number)]
    marks = [time.monotonic()]
    api = Api(os.environ["KUBECONFIG"])
    add_accounts(names)
    marks.append(time.monotonic())
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    requests = {name: request_for(name, keys[name]) for name in names}
    marks.append(time.monotonic())
    found: dict[str, str] = {}
    version = api.call("GET", f"{REQUESTS}?limit=1")["metadata"]["resourceVersion"]
    watcher = threading.Thread(target=api.certificates, args=(version, set(names), found))
    watcher.start()
    with ThreadPoolExecutor(THREADS) as executor:
        list(executor.map(lambda name: issue_and_bind(api, name, requests[name]), names))
    watcher.join()
    marks.append(time.monotonic())
    for name in names:
        write_kubeconfig(folder, name, api, keys[name], found[name])
    marks.append(time.monotonic())
    with ThreadPoolExecutor(THREADS) as executor:
        list(executor.map(lambda name: api.call("DELETE", f"{REQUESTS}/{name}"), names))
    marks.append(time.monotonic())
    with ThreadPoolExecutor(THREADS) as executor:
        list(executor.map(lambda name: log_in(folder / f"{name}.conf", name), names))
    marks.append(time.monotonic())
    phases = dict(zip(("ldap", "keys", "api", "files", "clean", "login"), (b - a for a, b in zip(marks, marks[1:]))))
    print(json.dumps({"people": number, "seconds": marks[-2] - marks[0], "with_login": marks[-1] - marks[0], "phases": phases}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
