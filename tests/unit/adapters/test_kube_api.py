# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API client against a small server of our own that misbehaves on demand."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters import kube_api
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, CollError, Denied

PODS = "/api/v1/namespaces/team-red/pods"
Answer = tuple[int, Any, dict[str, str]]


class Server:
    """Answers each request with the next scripted answer, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, dict[str, list[str]], bytes]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def script(self, *answers: tuple[int, Any] | Answer) -> None:
        self.answers = [(a[0], a[1], a[2] if len(a) > 2 else {}) for a in answers]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: self.headers.get_all(name) for name in self.headers}
                outer.requests.append((self.command, self.path, headers, body))
                status, answer, extra = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                for name, value in extra.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def client(server: Server) -> Callable[..., KubeApiClient]:
    def make(*, timeout: float = 5, **params: Any) -> KubeApiClient:
        return KubeApiClient.from_params({"host": server.url, "api_key": "s3cr3t-token", **params}, timeout=timeout)

    return make


def status(code: int, reason: str, message: str = "said by the server", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


def fails(call: Callable[[], Any], kind: type[CollError] = BackendFailed) -> CollError:
    with pytest.raises(kind) as caught:
        call()
    assert "s3cr3t" not in caught.value.sentence() and "s3cr3t" not in json.dumps(caught.value.as_dict())
    return caught.value


def test_a_busy_server_is_asked_again_when_it_says(server: Server, client) -> None:
    server.script((429, status(429, "TooManyRequests"), {"Retry-After": "0"}), (503, {}, {"Retry-After": "0"}), (200, {"a": 1}))
    assert client().call("POST", PODS, {"kind": "Pod"}) == {"a": 1}
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_ends_in_an_error_within_the_timeout(server: Server, client) -> None:
    server.script((429, status(429, "TooManyRequests", "slow down"), {"Retry-After": "1"}))
    error = fails(lambda: client(timeout=0.5).call("GET", PODS))
    assert error.facts["status"] == 429 and "slow down" in str(error)
    assert len(server.requests) == 1


def test_a_failed_read_is_repeated_and_a_failed_write_is_not(server: Server, client) -> None:
    server.script((500, {}), (200, {"a": 1}))
    assert client().call("GET", PODS) == {"a": 1}
    server.script((500, status(500, "InternalError")), (200, {"a": 1}))
    error = fails(lambda: client().call("POST", PODS, {}))
    assert error.facts == {"status": 500, "reason": "InternalError"}


def test_who_we_are_and_act_as_goes_into_the_headers(server: Server, client) -> None:
    server.script((200, {}))
    client(impersonate_user="anna", impersonate_groups=["red", "blue"]).call("GET", PODS)
    headers = server.requests[0][2]
    assert headers["Authorization"] == ["Bearer s3cr3t-token"]
    assert headers["Impersonate-User"] == ["anna"]
    assert headers["Impersonate-Group"] == ["red", "blue"]


@pytest.mark.parametrize(("method", "kind"), [("POST", "application/json"), ("PATCH", "application/merge-patch+json")])
def test_the_kind_of_body_is_said(server: Server, client, method: str, kind: str) -> None:
    server.script((200, {}))
    client().call(method, PODS, {"a": "ü"}, {"dryRun": "All"})
    got, path, headers, body = server.requests[0]
    assert (got, path, headers["Content-Type"]) == (method, f"{PODS}?dryRun=All", [kind])
    assert json.loads(body) == {"a": "ü"}


def test_pages_are_joined_and_a_forgotten_snapshot_is_read_anew(server: Server, client) -> None:
    first = {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"n": 1}]}
    server.script((200, first), (200, {"metadata": {"resourceVersion": "7"}, "items": [{"n": 2}]}))
    listing = client().list_all(PODS, {"labelSelector": "a=b"})
    assert [one["n"] for one in listing.objects] == [1, 2] and listing.resource_version == "7"
    assert "continue=more" in server.requests[1][1] and "labelSelector=a%3Db" in server.requests[1][1]
    whole = {"metadata": {"resourceVersion": "9"}, "items": [{"n": 1}, {"n": 2}, {"n": 3}]}
    server.script((200, first), (410, status(410, "Expired")), (200, whole))
    assert len(client().list_all(PODS).objects) == 3


def event(kind: str, name: str, version: str) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}}).encode() + b"\n"


def test_a_broken_watch_is_resumed_where_it_was(server: Server, client) -> None:
    server.script((200, event("ADDED", "one", "5") + event("BOOKMARK", "", "8")), (500, {}), (200, event("ADDED", "two", "9")))
    events = client().watch(PODS, "4", seconds=5)
    assert [next(events)["object"]["metadata"]["name"] for _time in range(2)] == ["one", "two"]
    events.close()
    asked = [path for _method, path, _headers, _body in server.requests]
    assert "resourceVersion=4" in asked[0] and "resourceVersion=8" in asked[1] and "resourceVersion=8" in asked[2]


@pytest.mark.parametrize(
    "expired",
    [(410, status(410, "Expired")), (200, json.dumps({"type": "ERROR", "object": status(410, "Expired")}).encode() + b"\n")],
)
def test_an_expired_watch_begins_again_with_a_list(server: Server, client, expired: tuple[int, Any]) -> None:
    listing = {"metadata": {"resourceVersion": "20"}, "items": [{"metadata": {"name": "one", "resourceVersion": "15"}}]}
    server.script(expired, (200, listing), (200, event("MODIFIED", "one", "21")))
    events = client().watch(PODS, "1", seconds=5)
    assert [next(events)["type"] for _time in range(2)] == ["ADDED", "MODIFIED"]
    events.close()
    assert "resourceVersion=20" in server.requests[2][1]


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_a_watch_goes_on_while_its_server_starts_again(server: Server, client, code: int) -> None:
    listing = {"metadata": {"resourceVersion": "20"}, "items": []}
    refusal = (code, status(code, "Starting"))
    server.script(
        *((200, event("ADDED", "one", "5")), refusal, (410, status(410, "Expired")), refusal, refusal),
        *((200, listing), refusal, (200, event("ADDED", "two", "21"))),
    )
    events = client().watch(PODS, "4", seconds=20)
    assert [next(events)["object"]["metadata"]["name"] for _time in range(2)] == ["one", "two"]
    events.close()


def test_a_watch_that_is_refused_for_good_says_so_before_its_time_is_over(
    server: Server, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_api, "_STARTING", 0.5)
    server.script((200, event("ADDED", "one", "5")), (403, status(403, "Forbidden")))
    events, began = client().watch(PODS, "4", seconds=20), time.monotonic()
    next(events)
    fails(lambda: next(events), Denied)
    assert 0.4 < time.monotonic() - began < 5


def test_a_watch_that_may_not_begin_is_an_error(server: Server, client) -> None:
    server.script((403, status(403, "Forbidden", "no")))
    error = fails(lambda: next(client().watch(PODS, "1", seconds=5)), Denied)
    assert "watch pods" in str(error) and "'watch' on 'pods'" in error.hint


def test_a_forbidden_call_names_the_right_that_is_missing(server: Server, client) -> None:
    server.script((403, status(403, "Forbidden", "User cannot do it")))
    error = fails(lambda: client().call("PUT", f"{PODS}/web/status", {}), Denied)
    assert str(error) == "Could not replace pods/status 'web' in namespace 'team-red': User cannot do it."
    assert error.hint == "The caller needs the right 'update' on 'pods/status' in namespace 'team-red'."


def test_granting_more_than_one_holds_has_its_own_hint(server: Server, client) -> None:
    server.script((403, status(403, "Forbidden", "attempting to grant RBAC permissions not currently held")))
    error = fails(lambda: client().call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {}), Denied)
    assert "'bind'" in error.hint


def test_a_refused_login_says_where_the_login_came_from(server: Server, client) -> None:
    server.script((401, status(401, "Unauthorized")))
    error = fails(lambda: client().call("GET", PODS), Denied)
    assert error.facts["status"] == 401
    assert "token (from the options) may have expired" in error.hint


def test_an_invalid_secret_is_not_quoted(server: Server, client) -> None:
    bad = status(422, "Invalid", 'data[k]: Invalid value: "s3cr3t"', causes=[{"field": "data[k]", "message": "s3cr3t"}])
    server.script((422, bad))
    error = fails(lambda: client().call("POST", "/api/v1/namespaces/a/secrets", {}))
    assert "data[k]" in str(error)


def test_an_answer_that_is_no_json_is_said_plainly(server: Server, client) -> None:
    server.script((200, b"<html>hello</html>"))
    assert "did not answer with JSON" in str(fails(lambda: client().call("GET", PODS)))


@pytest.mark.parametrize(
    ("host", "reason", "proxy"),
    [
        ("https://127.0.0.1:1", "ConnectionRefused", None),
        ("https://no-such-host.invalid", "UnknownHost", None),
        ("http://example.test", "Proxy", "http://user:s3cr3t@127.0.0.1:1"),
    ],
)
def test_an_unreachable_server_is_named_without_secrets(host: str, reason: str, proxy: Optional[str]) -> None:
    api = KubeApiClient.from_params({"host": host, "api_key": "s3cr3t", "proxy": proxy}, timeout=3)
    error = fails(lambda: api.call("GET", PODS))
    assert error.facts == {"status": 0, "reason": reason}
    assert host in str(error) and error.hint


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        api = KubeApiClient.from_params(
            {"host": f"http://127.0.0.1:{listener.getsockname()[1]}", "api_key": "s3cr3t"}, timeout=0.3
        )
        assert fails(lambda: api.call("POST", PODS, {})).facts["reason"] == "Timeout"
