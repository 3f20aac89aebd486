"""Documents as text: YAML or JSON, several to a file, read strictly and within bounds.

A bare word is a number, a truth value or null only where YAML 1.1 and 1.2 agree that it is one, so that what a writer
of either leaves bare is read as it was meant: `on`, `off`, `yes` and `no` are text, `on` being a field of ours, and so
are dates, times, 1e3 and 0o17. In 010, which is eight to one and ten to the other, it is 1.2 that is followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from store.model.faults import DocumentError, Fault

MAX_TEXT_LENGTH = 64 * 1024 * 1024
MAX_DEPTH = 32

_INDENT = re.compile("^[ \t]+", re.MULTILINE)
_UNQUOTED_STAR = "a text that begins with '*' is quoted"
_TAG = "tag:yaml.org,2002:"
_WORDS = {
    "null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0[0-7]*|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what would let a document mean two things, or grow without bound."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise _problem(self._next_event(), f"aliases (*name) are not accepted; {_UNQUOTED_STAR}")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _problem(self._next_event(), f"nested deeper than {MAX_DEPTH} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _next_event(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _problem(node, "expected a mapping")
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _problem(key_node, f"the field name {key!r} is not text: quote it")
            if key in mapping:
                raise _problem(key_node, f"the field {key!r} stands twice")
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping

    def construct_word(self, node: Any) -> Any:
        """Make null, a truth value or a number of a scalar; the tag may have been written out before any text."""
        kind = node.tag.removeprefix(_TAG)
        text = self.construct_scalar(node)
        if re.fullmatch(_WORDS[kind][0], text) is None:
            raise _problem(node, f"{text!r} is no {kind}")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        try:
            return int(text, 16 if text.startswith("0x") else 10)
        except ValueError:
            raise _problem(node, "a number of too many digits") from None

    def construct_unknown(self, node: Any) -> Any:
        """Refuse every other tag."""
        raise _problem(node, f"the tag {node.tag.replace(_TAG, '!!')} is not accepted")


# PyYAML's own lists are left behind: they make bytes, sets and dates, and fail in ways of their own.
_Loader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _WORDS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    **{_TAG + kind: _Loader.construct_word for kind in _WORDS},
    f"{_TAG}str": yaml.SafeLoader.construct_yaml_str,
    f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
    f"{_TAG}map": yaml.SafeLoader.construct_yaml_map,
    None: _Loader.construct_unknown,  # any other
}


def load_yaml_documents(text: str) -> list[Any]:
    """Read the documents of a YAML or JSON text; empty ones are left out.

    DocumentError names the line and column of what is not YAML, stands twice, or is nested deeper than 32 levels.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise DocumentError([Fault("", f"the text is longer than {MAX_TEXT_LENGTH} characters")])
    if text.lstrip().startswith(("{", "[")):
        whole = _as_json(text)
        if whole is not None:
            return [whole]
        text = _INDENT.sub(lambda found: " " * len(found[0]), text)  # so that YAML does not stop at the tabs
    try:
        return [raw for raw in yaml.load_all(text, Loader=_Loader) if raw is not None]  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = _UNQUOTED_STAR if error.context == "while scanning an alias" else error.problem
        raise DocumentError([Fault(place, problem or error.context or "not YAML")]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
        raise DocumentError([Fault(place, "a character that no text has")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError([Fault("", f"not YAML: {type(error).__name__}")]) from None


class _OtherwiseError(ValueError):
    """Not JSON as it should be; reading it as YAML tells where."""


def _as_json(text: str) -> Any:
    """Read a JSON text, None for any other: YAML has all of JSON but tabs, and takes fifty times as long."""
    try:
        raw = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return raw if _is_shallow(raw) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _OtherwiseError
    return fields


def _refused(word: str) -> Any:
    raise _OtherwiseError(word)


def _is_shallow(raw: object) -> bool:
    layer: list[Any] = [raw]
    for _ in range(MAX_DEPTH):
        layer = [
            inner
            for value in layer
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not layer:
            return True
    return False


def _problem(node: Any, message: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)
