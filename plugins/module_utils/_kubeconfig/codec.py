# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfig files as YAML, read and written so that every reader sees the same values.

YAML 1.1 and 1.2 disagree about words such as ``no``, ``n``, ``1e3`` or ``12:30:00``, and so do PyYAML and kubectl. What
stands unquoted in an old file and could be read in two ways is kept as ``Plain``, which is written back exactly as it
was; text of ours that could be read in two ways is quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Union

from .._core.errors import Conflict

try:
    import yaml

    _LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    _DUMPER: Any = getattr(yaml, "CBaseDumper", yaml.BaseDumper)
except ImportError:  # said in words by deps.need
    yaml = None  # type: ignore[assignment, unused-ignore]

Document = dict[str, Any]

_DEEPEST = 100
_STR, _MAP, _SEQ = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_NULL = ("", "~", "null", "Null", "NULL")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "", "=", "<<", ".nan", "nan"))
_NUMBER_OR_DATE = re.compile(
    r"""[-+]?(?:
        0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+          # other bases
      | [0-9][0-9_,]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?             # base 60
      | (?:[0-9][0-9_,]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?  # decimal
      | \.?inf | \.?infinity
    )
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?                # a date, perhaps with a time
    """,
    re.ASCII | re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Plain:
    """A value that stands unquoted in the file and that readers understand differently."""

    text: str


def ambiguous(text: str) -> bool:
    """Whether some YAML reader takes the unquoted text for something else than this text."""
    return text.casefold() in _WORDS or _NUMBER_OR_DATE.fullmatch(text) is not None


def load(content: bytes) -> Document:
    """The document of a kubeconfig file; an empty file is an empty document. Raises Conflict with the line."""
    try:
        loader = _LOADER(content)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as exc:  # the last three without libyaml only
        raise _broken(_line(exc), str(getattr(exc, "problem", None) or "this is not YAML text")) from None
    document = None if node is None else _Reader().value(node)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _broken(1, "a kubeconfig begins with a mapping")
    return document


def dump(document: Document) -> bytes:
    """The document as YAML text, in the order it has."""
    text = yaml.serialize(
        _Writer().node(document), Dumper=_DUMPER, allow_unicode=True, width=1 << 30, encoding="utf-8", line_break="\n"
    )
    return bytes(text)


class _Reader:
    """Values from nodes. One object per anchor, so that what was shared stays shared."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._depth = 0

    def value(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._made:
            made = self._made[id(node)]
            if made is None:
                raise _broken(node.start_mark.line + 1, "an anchor contains itself")
            return made
        if self._depth == _DEEPEST:
            raise _broken(node.start_mark.line + 1, f"more than {_DEEPEST} levels within each other")
        self._made[id(node)] = None
        self._depth += 1
        made = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        self._depth -= 1
        self._made[id(node)] = made
        return made

    def _sequence(self, node: Any) -> list[Any]:
        _check_tag(node, _SEQ)
        return [self.value(child) for child in node.value]

    def _mapping(self, node: Any) -> dict[Any, Any]:
        _check_tag(node, _MAP)
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _broken(key_node.start_mark.line + 1, "a key is not a single word")
            key = _scalar(key_node)
            if key in mapping:
                raise _broken(key_node.start_mark.line + 1, "a key occurs twice")
            mapping[key] = self.value(value_node)
        return mapping


class _Writer:
    """Nodes from values; an object that occurs twice becomes an anchor."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def node(self, value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return _scalar_node(value)
        if id(value) not in self._made:
            self._made[id(value)] = self._collection(value)
        return self._made[id(value)]

    def _collection(self, value: Union[dict[Any, Any], list[Any]]) -> Any:
        if isinstance(value, dict):
            pairs = [(_scalar_node(key), self.node(child)) for key, child in value.items()]
            return yaml.MappingNode(_MAP, pairs, flow_style=not pairs)
        return yaml.SequenceNode(_SEQ, [self.node(child) for child in value], flow_style=not value)


def _scalar(node: Any) -> Any:
    _check_tag(node, _STR)
    text: str = node.value
    if node.style:
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text) and len(text) < 20:
        return int(text)
    return Plain(text) if ambiguous(text) else text


def _scalar_node(value: Any) -> Any:
    style = None
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, Plain):
        text = value.text
    elif isinstance(value, (int, float)):
        text = str(value)
    else:
        text = str(value)
        style = '"' if ambiguous(text) else None
    return yaml.ScalarNode(_STR, text, style=style)


def _check_tag(node: Any, expected: str) -> None:
    if node.tag != expected:
        raise _broken(node.start_mark.line + 1, f"the YAML tag {node.tag!r} has no place in a kubeconfig")


def _line(exc: BaseException) -> int:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    return int(mark.line) + 1 if mark is not None else 1


def _broken(line: int, problem: str) -> Conflict:
    return Conflict(
        f"The file is not a kubeconfig that can be merged: line {line}: {problem}.",
        hint="It was left as it is; repair it or move it away.",
    )
