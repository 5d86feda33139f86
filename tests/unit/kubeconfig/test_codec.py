# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs as YAML: what was read is written back, and every reader sees our texts as texts."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec
from hypothesis import given
from hypothesis import strategies as st

WORDS = "n y no yes on off N Y No YES On OFF true True false null Null ~ = << - ? : a: #x *a &a !a %a @a {a} [b]"
NUMBERS = "1 0 -1 +1 08 012 0o14 0x1f 0b11 1_000 1,000 1e3 1E3 1. .5 1.5e+3 -.inf .nan NaN inf infinity 1.2.3"
TIMES = "12:30:00 190:20:30 1:2 2024-01-02 2024-1-2T03:04:05Z"
TRAPS = [
    *(WORDS.split() + NUMBERS.split() + TIMES.split()),
    *("", " x", "x ", "a: b", "a #b", "- a", "multi\nline", "\ttab", "é", "😀", "\x07", "\u2028x", "\ufeff"),
    *("'q'", '"dq"', "x" * 300, "2024-01-02 12:00:00"),
]

texts = st.one_of(st.sampled_from(TRAPS), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**12), 10**12), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=5))
def test_what_is_written_is_read_the_same_by_us_and_by_another_reader(document: dict[str, object]) -> None:
    written = codec.dump(document)
    assert codec.load(written) == document
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize("name", TRAPS)
def test_a_name_that_looks_like_something_else_stays_a_name(name: str) -> None:
    written = codec.dump({"contexts": [{"name": name}], name: name})
    assert yaml.safe_load(written) == {"contexts": [{"name": name}], name: name}


@pytest.mark.parametrize("plain", ["no", "1e3", "0o14", "1_000", "12:30:00", "2024-01-02", "1.5", ".inf", "y", "="])
def test_an_unquoted_word_of_somebody_else_is_written_back_as_it_stood(plain: str) -> None:
    document = codec.load(f"name: {plain}\n{plain}: x\n".encode())
    assert document["name"] == codec.Plain(plain)
    assert document["name"] != plain
    assert codec.dump(document).decode() == f"name: {plain}\n{plain}: x\n"


def test_anchors_and_merge_keys_survive() -> None:
    text = "a: &id001\n  x: 1\nb:\n  <<: *id001\n  y: 2\nc: *id001\n"
    assert codec.dump(codec.load(text.encode())).decode() == text


def test_many_nested_anchors_are_not_unfolded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    document = codec.load("\n".join(lines).encode())
    assert len(codec.dump(document)) < 5000


def test_an_empty_file_is_an_empty_document() -> None:
    for content in (b"", b"\n", b"# nothing\n", b"---\n", b"~\n"):
        assert codec.load(content) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: [", "line 3"),
        (b"a: 1\na: 2\n", "line 2: a key occurs twice"),
        (b"- a\n", "line 1: a kubeconfig begins with a mapping"),
        (b"a: b\n---\nc: d\n", "another document"),
        (b"a: 1\nb: !!python/object/apply:os.system [x]\n", "line 2: the YAML tag"),
        (b"a: &a\n  - *a\n", "an anchor contains itself"),
        (b"? [a]\n: b\n", "line 1: a key is not a single word"),
        (b"\xff\xfe\xff", "not YAML text"),
        (b"token: sekrit: sekrit\n", "line 1"),
    ],
)
def test_what_cannot_be_merged_is_said_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(Conflict) as conflict:
        codec.load(content)
    assert said in str(conflict.value)
    assert "sekrit" not in conflict.value.sentence()
