# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain HTTP server in front of the API server that fails as it is told, and remembers everything that was sent."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_login import login_from_params
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_tls import tls_context

KINDS = ("429", "500", "cut before", "cut after", "slow", "401")
_HOP = {"connection", "transfer-encoding", "content-length", "host", "authorization", "keep-alive", "accept-encoding"}


@dataclass
class Fault:
    """What goes wrong with the first ``times`` requests of a method whose path fits, after ``skip`` good ones."""

    kind: str
    method: str
    path: str
    times: int = 1
    skip: int = 0
    met: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path):
            return False
        self.met += 1
        return self.skip < self.met <= self.skip + self.times


@dataclass
class FaultyProxy:
    """Start with ``with``. ``act_as`` is whom the requests are sent for, with the kubeconfig's login."""

    kubeconfig: str
    act_as: str
    faults: list[Fault] = field(default_factory=list)
    down: bool = False
    sent: list[bytes] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> FaultyProxy:
        login = login_from_params({"kubeconfig": self.kubeconfig})
        self.pool = urllib3.PoolManager(ssl_context=tls_context(login), maxsize=32)
        self.upstream = login.server
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"proxy": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def login(self) -> dict[str, Any]:
        """The module's connection options."""
        return {"host": f"http://127.0.0.1:{self.server.server_address[1]}", "api_key": "passed-over"}

    def fault(self, method: str, path: str) -> str:
        with self.lock:
            return next((fault.kind for fault in self.faults if fault.strikes(method, path)), "")


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_words: Any) -> None:
        """Nothing on stderr."""

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.proxy.sent.append(b"\n".join((self.requestline.encode(), str(self.headers).encode(), body)))
        kind = "cut before" if self.proxy.down else self.proxy.fault(self.command, self.path)
        if kind == "cut before":
            self.close_connection = True
        elif kind.isdigit():
            self._refuse(int(kind))
        else:
            if kind == "slow":
                time.sleep(1)
            self._forward(body, answer=kind != "cut after")

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the library's names

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "2")
        if code == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(b"{}")

    def _forward(self, body: bytes, *, answer: bool) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        response = self.proxy.pool.request(
            self.command,
            self.proxy.upstream + self.path,
            body=body or None,
            headers={**headers, "Impersonate-User": self.proxy.act_as},
            preload_content=False,
            retries=False,
        )
        if not answer:
            response.read()
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in response.stream(65536):
                if self.proxy.down:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            response.close()
