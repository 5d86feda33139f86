# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Chromium without a screen, driven by its own WebDriver, which speaks JSON over HTTP."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Space": "\ue00d"}


class Refused(Exception):
    """The browser's word for what did not work."""


class Browser:
    """One window. Elements are named by CSS selectors."""

    def __init__(self, folder: Path) -> None:
        self._driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        port = next(line.split()[-1].rstrip(".") for line in self._driver.stdout if "started successfully on port" in line)
        self._root = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}"]
        arguments += [
            "--window-size=1400,1000",
            "--no-first-run",
            "--disable-background-networking",
            "--force-color-profile=srgb",
        ]
        asked = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        }
        session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": asked}})
        self._root += f"/session/{session['sessionId']}"

    def close(self) -> None:
        """End the window and its driver."""
        try:
            self._send("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(15)

    def open(self, path: Path) -> None:
        """Open a file and forget what the console said before."""
        self._send("POST", "/url", {"url": path.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a piece of JavaScript (with ``return``)."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """As a mouse does: refused for what is hidden or covered."""
        self._send("POST", f"/element/{self._find(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        element = self._find(selector)
        self._send("POST", f"/element/{element}/clear", {})
        if text:
            self._send("POST", f"/element/{element}/value", {"text": text})

    def press(self, *names: str) -> None:
        """Keys, one after another, for whatever has the focus."""
        keys = [KEYS.get(name, name) for name in names]
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def texts(self, selector: str) -> list[str]:
        """The text of all such elements, as it is shown."""
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector))

    def focused(self) -> str:
        """The text, or else the id, of what has the focus."""
        return str(self.run("const one = document.activeElement; return one.id || one.innerText.trim()"))

    def until(self, what: Callable[[], Any], *, seconds: float = 10, or_else: Callable[[], str] = str) -> None:
        """Wait for something to come true; ``or_else`` says what is there instead."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"it did not come true in the browser: {or_else()}"
            time.sleep(0.02)

    def complaints(self) -> list[str]:
        """What the console was told since it was asked last."""
        return [entry["message"] for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def alert(self) -> str:
        """The text of an open alert; empty when there is none."""
        try:
            return str(self._send("GET", "/alert/text"))
        except Refused as exc:
            assert "no such alert" in str(exc)
            return ""

    def tool(self, command: str, **parameters: Any) -> Any:
        """A command of the developer tools."""
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def spoken(self) -> list[tuple[str, str]]:
        """What a screen reader is given: the role and the name of everything."""
        nodes = self.tool("Accessibility.getFullAXTree")["nodes"]
        shown = [node for node in nodes if not node.get("ignored")]
        return [(node["role"]["value"], (node.get("name") or {}).get("value", "")) for node in shown]

    def printed(self) -> bytes:
        """The page on paper, as PDF."""
        return base64.b64decode(self._send("POST", "/print", {"orientation": "landscape"}))

    def picture(self) -> bytes:
        """What is in the window, as PNG."""
        return base64.b64decode(self._send("GET", "/screenshot"))

    def _find(self, selector: str) -> str:
        return str(self._send("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT])

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as exc:
            told = json.load(exc)["value"]
            raise Refused(f"{told['error']}: {told['message']}") from None
