# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of access_info as one page that asks nobody for anything.

The data stand in the page as JSON that cannot end its element. A policy in the page lets no script and no style run but its
own, which it knows by their hashes, so that no name could ever act.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from typing import Any

from .._core.errors import BadInput
from .drift import KINDS
from .tables import FINDINGS, RIGHTS, document, finding_rows, right_rows

_PLACES = ("POLICY", "TITLE", "STYLE", "DATA", "SCRIPT")
_PLACE = re.compile(rf"%({'|'.join(_PLACES)})%")
_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def page(result: Mapping[str, Any], template: str, style: str, script: str) -> str:
    """The page: ``template`` with its places filled, each of which it has to name."""
    if set(_PLACE.findall(template)) != set(_PLACES):
        raise BadInput("The template does not name all of its places.", hint=f"They are %{'%, %'.join(_PLACES)}%.")
    if "</script" in script.lower() or "</style" in style.lower():
        raise BadInput("The page's own script or style would end its element.")
    told = document(result)
    parts = {
        "POLICY": policy(script, style),
        "TITLE": html.escape(f"Access to {told['cluster']}".encode("utf-8", "replace").decode("utf-8")),
        "STYLE": style,
        "DATA": embedded(page_data(told)),
        "SCRIPT": script,
    }
    return _PLACE.sub(lambda match: parts[match.group(1)], template)


def page_data(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows, in rows: its script turns them into tables."""
    return {
        "cluster": result["cluster"],
        "taken_at": result["taken_at"],
        "people": len(result["entries"]),
        "rights": {"columns": RIGHTS, "rows": [list(row) for row in right_rows(result)]},
        "findings": {"columns": FINDINGS, "rows": [list(row) for row in finding_rows(result)]},
        "roles": result["roles"],
        "everybody": result["everybody"],
        "kinds": dict(KINDS),
    }


def embedded(data: Any) -> str:
    """JSON for an element of a page: no character in it can end the element or begin another."""
    return json.dumps(data, separators=(",", ":")).translate(_UNSAFE)


def policy(script: str, style: str) -> str:
    """The page's content security policy: nothing is fetched, and only its own script and style count."""
    return f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
