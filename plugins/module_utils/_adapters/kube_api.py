# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes API as JSON over HTTPS: the KubeApi port of ``_core/ports.py`` on a urllib3 connection pool."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, Optional
from urllib.parse import urlencode, urlsplit

from .._core.errors import BackendFailed, CollError
from .._core.ports import Listing
from . import kube_errors
from .kube_login import KubeLogin, login_from_kubeconfig, login_from_params
from .kube_tls import bypasses_proxy, tls_context

with suppress(ImportError):  # said in words by deps.need
    import urllib3
    from urllib3.exceptions import HTTPError

_PAGE = "500"
_FIRST_PAUSE = 0.25
_STARTING = 10.0  # seconds that a restarted server may take until it knows logins and rights again
_CONTENT_TYPES = {"PATCH": "application/merge-patch+json", "APPLY": "application/apply-patch+yaml"}


class KubeApiClient:
    """One API server, one identity. Safe to call from several threads. Without ``repeats`` every first answer counts.

    At most ``connections`` are kept open.

    ``clock_offset`` is how many seconds the server's clock is ahead of ours, by its first answer; None before that.
    """

    def __init__(self, login: KubeLogin, *, timeout: float = 30.0, repeats: bool = True, connections: int = 32) -> None:
        self.server = login.server
        self.clock_offset: Optional[float] = None
        self._login = login
        self._timeout = timeout
        self._patience = timeout if repeats else 0.0
        self._headers = _headers(login)
        self._pool, self._base = _pool(login, timeout, connections)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], *, timeout: float = 30.0) -> KubeApiClient:
        """A client for a module's connection options (KUBE_AUTH_SPEC); nothing is sent yet."""
        return cls(login_from_params(params), timeout=timeout)

    @classmethod
    def from_kubeconfig(
        cls, config: Mapping[str, Any], context: Optional[str] = None, *, timeout: float = 10.0, folder: str = ""
    ) -> KubeApiClient:
        """A client for a kubeconfig given as a value, for a login check: it runs no command that the file names."""
        return cls(login_from_kubeconfig(config, context, folder=folder), timeout=timeout, connections=1)

    def call(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        query: Optional[Mapping[str, str]] = None,
    ) -> dict[str, Any]:
        """One request; PATCH is a JSON merge patch, APPLY a server-side apply. See the port."""
        attempt = kube_errors.attempt(method, path)
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            with self._translated(attempt):
                response = self._send(method, path, body, query, preload=True)
            if self.clock_offset is None:
                self.clock_offset = _clock_offset(response)
            if response.status < 300:
                return self._decode(response.data, attempt)
            error = self._error(response, attempt)
            asked = _retry_after(response)
            wait = pause if asked is None else asked
            if not _worth_repeating(method, response.status, asked) or time.monotonic() + wait > deadline:
                raise error
            time.sleep(wait)
            pause *= 2

    def text(self, path: str, query: Optional[Mapping[str, str]] = None) -> str:
        """One GET of what is not JSON, such as a log."""
        attempt = kube_errors.attempt("GET", path)
        with self._translated(attempt):
            response = self._send("GET", path, None, query, preload=True, accept="text/plain, */*")
        if response.status >= 300:
            raise self._error(response, attempt)
        return bytes(response.data).decode("utf-8", "replace")

    def list_all(self, path: str, query: Optional[Mapping[str, str]] = None) -> Listing:
        """A paged LIST; begun anew without pages when the server forgot the snapshot on the way."""
        objects: list[Mapping[str, Any]] = []
        page = {**(query or {}), "limit": _PAGE}
        while True:
            try:
                answer = self.call("GET", path, query=page)
            except BackendFailed as exc:
                if exc.facts.get("status") != 410 or "continue" not in page:
                    raise
                objects, page = [], dict(query or {})
                continue
            objects.extend(answer.get("items") or ())
            meta = answer.get("metadata") or {}
            if not meta.get("continue"):
                return Listing(tuple(objects), str(meta.get("resourceVersion", "")))
            page["continue"] = meta["continue"]

    def watch(
        self, path: str, resource_version: str, *, seconds: float, query: Optional[Mapping[str, str]] = None
    ) -> Iterator[dict[str, Any]]:
        """Events until ``seconds`` are over; see the port."""
        end = time.monotonic() + seconds
        state = _WatchState(resource_version)
        attempt = kube_errors.attempt("WATCH", path)
        while time.monotonic() < end:
            try:
                if state.forgotten:
                    listing = self.list_all(path, query)
                    state.goes_on(listing.resource_version)
                    yield from ({"type": "ADDED", "object": dict(found)} for found in listing.objects)
                response = self._open_watch(path, state.version, end, query, attempt)
                state.goes_on(state.version)
                for event in self._events(response, end, attempt):
                    state.version = str((event["object"].get("metadata") or {}).get("resourceVersion") or state.version)
                    if event["type"] != "BOOKMARK":
                        yield event
            except BackendFailed as exc:
                if not state.may_go_on(exc):
                    raise
                time.sleep(min(_FIRST_PAUSE, max(0.0, end - time.monotonic())))

    def _open_watch(
        self, path: str, version: str, end: float, query: Optional[Mapping[str, str]], attempt: kube_errors.Attempt
    ) -> Any:
        left = max(0.1, end - time.monotonic())
        asked = {
            **(query or {}),
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(left) + 1),
        }
        with self._translated(attempt):
            response = self._send("GET", path, None, asked, preload=False, read_timeout=left)
            if response.status < 300:
                return response
            with closing(response):
                response.read(cache_content=True)
                raise self._error(response, attempt)

    def _events(self, response: Any, end: float, attempt: kube_errors.Attempt) -> Iterator[dict[str, Any]]:
        """The events of one watch request; an ERROR event becomes the error it stands for."""
        with closing(response), self._translated(attempt):
            for line in _lines(response):
                event = self._decode(line, attempt)
                if event.get("type") == "ERROR":
                    raise kube_errors.from_status(event.get("object") or {}, 500, attempt, self._login)
                yield event
                if time.monotonic() >= end:
                    return

    def _send(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]],
        query: Optional[Mapping[str, str]],
        *,
        preload: bool,
        read_timeout: Optional[float] = None,
        accept: str = "",
    ) -> Any:
        headers = self._headers.copy()
        if accept:
            headers["Accept"] = accept
        data = None
        if body is not None:
            data = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = _CONTENT_TYPES.get(method, "application/json")
        return self._pool.request(
            "PATCH" if method == "APPLY" else method,
            self._base + path + (f"?{urlencode(query)}" if query else ""),
            body=data,
            headers=headers,
            preload_content=preload,
            redirect=False,
            retries=_again() if preload else False,
            timeout=urllib3.Timeout(connect=self._timeout, read=read_timeout or self._timeout),
        )

    def _error(self, response: Any, attempt: kube_errors.Attempt) -> CollError:
        try:
            status = json.loads(response.data)
        except ValueError:  # such as an authorizer that failed, which is told in one plain line
            told = response.data.decode("utf-8", "replace").strip() if response.status == 500 else ""
            status = {"message": f"the server answered HTTP 500, {told}"} if told else {}
        return kube_errors.from_status(status if isinstance(status, dict) else {}, response.status, attempt, self._login)

    def _decode(self, data: bytes, attempt: kube_errors.Attempt) -> dict[str, Any]:
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise kube_errors.not_an_api(attempt, self._login)
        return answer

    @contextmanager
    def _translated(self, attempt: kube_errors.Attempt) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError) as exc:
            raise kube_errors.from_transport(exc, attempt, self._login, self._timeout) from None


class _WatchState:
    """How far a watch is, and what its last failure means for it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.forgotten = False
        self._opened = False
        self._refused_since: Optional[float] = None

    def goes_on(self, version: str) -> None:
        """The server answered; what follows comes after ``version``."""
        self.version, self.forgotten = version, False
        self._opened, self._refused_since = True, None

    def may_go_on(self, error: BackendFailed) -> bool:
        """Whether to try again. A server that is starting knows neither logins nor rights for some seconds."""
        status = error.facts.get("status")
        if status == 410:
            self.forgotten = True
            return True
        if status in (401, 403) and self._opened:
            now = time.monotonic()
            self._refused_since = self._refused_since or now
            return now - self._refused_since < _STARTING
        return (self._opened or self.forgotten) and error.is_passing


def _headers(login: KubeLogin) -> Any:
    headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "User-Agent": "kubestead.platform"})
    if login.token:
        headers["Authorization"] = f"Bearer {login.token}"
    elif login.basic:
        headers.update(urllib3.util.make_headers(basic_auth=":".join(login.basic)))
    if login.act_as:
        headers["Impersonate-User"] = login.act_as
    for group in login.act_as_groups:
        headers.add("Impersonate-Group", group)
    return headers


def _pool(login: KubeLogin, timeout: float, connections: int) -> tuple[Any, str]:
    """What requests go through, and what stands before the path in their URL."""
    options: dict[str, Any] = {"maxsize": connections, "timeout": timeout}
    if login.server.startswith("https:"):
        options["ssl_context"] = tls_context(login)
        if login.server_name:
            options["server_hostname"] = login.server_name
        if not login.verify:
            urllib3.disable_warnings()  # the task asked for it
            options.update(cert_reqs="CERT_NONE", assert_hostname=False)
    if login.proxy and not bypasses_proxy(urlsplit(login.server).hostname or "", login.no_proxy):
        given: dict[str, Any] = {name: value for name, value in login.proxy_headers.items() if value}
        headers = urllib3.util.make_headers(**given) if given else None
        return urllib3.ProxyManager(login.proxy, proxy_headers=headers, **options), login.server
    if not login.server:
        return urllib3.PoolManager(**options), ""
    # All requests go to one host, so they need not look for its pool each time.
    return urllib3.PoolManager(**options).connection_from_url(login.server), urlsplit(login.server).path.rstrip("/")


def _again() -> Any:
    """A kept connection that the server closed meanwhile is only noticed on use; reading again is harmless."""
    return urllib3.Retry(
        total=2, connect=0, read=2, redirect=0, status=0, other=0, allowed_methods=["GET"], respect_retry_after_header=False
    )


def _retry_after(response: Any) -> Optional[float]:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _clock_offset(response: Any) -> Optional[float]:
    """From the answer's Date, which counts whole seconds: less than one apart means nothing."""
    try:
        ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
    except (KeyError, TypeError, ValueError):
        return None
    return 0.0 if -1.0 <= ahead <= 0.0 else ahead


def _worth_repeating(method: str, status: int, asked: Optional[float]) -> bool:
    """Reads are repeated; writes only when the server says that it did not begin (429, or Retry-After)."""
    if status == 429:
        return True
    return status >= 500 and (method == "GET" or asked is not None)


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
