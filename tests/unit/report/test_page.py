# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text: whatever people are called, it holds two scripts, one style and no address. A browser opens it elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from ansible_collections.kubestead.platform.plugins.module_utils._report.page import page, page_data
from hypothesis import given, settings
from hypothesis import strategies as st

from access_world import result_of
from scale import scaled

FILES = Path(__file__).resolve().parents[3] / "roles" / "access_report" / "files"
PARTS = [(FILES / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")]
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>--><img src=x onerror=alert(1)>",
    "%SCRIPT%%DATA%",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029\ud800",
    "'\"&amp;&lt;",
]


class Elements(HTMLParser):
    """All elements with what is in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Optional[str]], list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", {}, []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)

    def named(self, tag: str) -> list[tuple[dict[str, Optional[str]], str]]:
        return [(attributes, "".join(texts)) for name, attributes, texts in self.found if name == tag]


def shape(text: str) -> list[str]:
    return [name for name, _attributes, _texts in Elements(text).found]


def made(*people: str, cluster: str = "c") -> str:
    return page({**result_of(*people, what="".join(people)), "cluster": cluster}, *PARTS)


def data_of(text: str) -> Any:
    return json.loads(Elements(text).named("script")[0][1])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_adds_no_element(name: str) -> None:
    text = made(name, cluster=name)
    assert shape(text) == shape(made("Anna"))
    assert data_of(text)["rights"]["rows"][0][1] == name


@given(name=st.text(max_size=40))
@settings(max_examples=scaled(200))
def test_any_name_is_data_and_comes_back(name: str) -> None:
    text = made(name, cluster=name)
    assert shape(text) == shape(made("Anna"))
    assert data_of(text) == json.loads(json.dumps(page_data({**result_of(name, what=name), "cluster": name})))


def test_the_policy_lets_only_the_pages_own_script_and_style_count() -> None:
    elements = Elements(made("Anna"))
    meta = {one.get("http-equiv"): one.get("content") for one, _text in elements.named("meta")}
    allowed = str(meta["Content-Security-Policy"])
    (_data, script), (_attributes, style) = elements.named("script")[1], elements.named("style")[0]
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    assert allowed.startswith("default-src 'none';") and "unsafe" not in allowed


def test_nothing_in_the_page_leads_out_of_it() -> None:
    text = made("Anna")
    assert not re.search(
        r"https?://|src=|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|insertAdjacent|document\.write|eval\(", text
    )
    addresses = [
        value for _tag, attributes, _texts in Elements(text).found for key, value in attributes.items() if key == "href"
    ]
    assert addresses == ["#rights"]


def test_every_field_has_a_label_and_a_hint() -> None:
    elements = Elements(made("Anna"))
    labelled = {one["for"] for one, _text in elements.named("label")}
    fields = [one for tag in ("input", "select") for one, _text in elements.named(tag)]
    assert {one["id"] for one in fields} == labelled and len(fields) == 6
    hints = {one["id"] for one, _text in elements.named("small")}
    assert {one["aria-describedby"] for one in fields} == hints


def test_a_template_without_its_places_is_refused() -> None:
    with pytest.raises(BadInput, match="does not name all of its places"):
        page(result_of("a"), "%TITLE% %DATA%", "", "")
    with pytest.raises(BadInput, match="would end its element"):
        page(result_of("a"), PARTS[0], "", "'</script>'")
