"""Documents as text: YAML (of which JSON is a part), several to a file, read strictly and within bounds."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from store.model.faults import DocumentError, Fault

MAX_TEXT_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what would let a document mean two things, or grow without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise _problem(self._next_event(), "aliases (*name) are not accepted")
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > MAX_DEPTH:
            raise _problem(self._next_event(), f"nested deeper than {MAX_DEPTH} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _next_event(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _problem(key_node, f"the field name {key!r} is not text: quote it")
            if key in seen:
                raise _problem(key_node, f"the field {key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.2's words: `on`, `off`, `yes` and `no` are text (`on` is a field of ours), and so is a date.
_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def load_yaml_documents(text: str) -> list[Any]:
    """Read the documents of a YAML or JSON text; empty ones are left out. DocumentError names line and column."""
    if len(text) > MAX_TEXT_BYTES:
        raise DocumentError([Fault("", f"the text is longer than {MAX_TEXT_BYTES} characters")])
    try:
        return [raw for raw in yaml.load_all(text, Loader=_Loader) if raw is not None]  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DocumentError([Fault(place, error.problem or error.context or "not YAML")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError([Fault("", f"not YAML: {type(error).__name__}")]) from None


def _problem(node: Any, message: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)
