"""What differs between two documents, said in the words of the document, pure.

Routes are compared by name, domains by host and targets by URL, so that a route put in front of the others is one
line and not a change of every route after it. Everything else in a list is compared as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Verb = Literal["added", "removed", "changed", "reordered"]

NAMED_LISTS = {"routes": "name", "domains": "host", "targets": "url"}
NAMED_MAPPINGS = frozenset({"upstreams", "auth", "limits"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One place that differs: `before` is None where it was added, `after` where it was removed."""

    path: str
    verb: Verb
    before: object = None
    after: object = None


def find_differences(before: object, after: object, path: str = "") -> tuple[Difference, ...]:
    """Return the differences between two dumped documents (or None for no document), in order of the paths."""
    return tuple(_compare(before, after, path, ""))


def _compare(before: object, after: object, path: str, name: str) -> Iterator[Difference]:
    if before == after and type(before) is type(after):
        return
    before, after = _empty_for_none(before, after, name), _empty_for_none(after, before, name)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _compare_members(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and name in NAMED_LISTS:
        yield from _compare_named(before, after, path, NAMED_LISTS[name])
    elif before is None:
        yield Difference(path, "added", None, after)
    elif after is None:
        yield Difference(path, "removed", before, None)
    else:
        yield Difference(path, "changed", before, after)


def _empty_for_none(value: object, other: object, name: str) -> object:
    # A whole list of routes that comes or goes is shown route by route as well.
    if value is None and name in NAMED_LISTS and isinstance(other, list):
        return []
    if value is None and name in NAMED_MAPPINGS and isinstance(other, dict):
        return {}
    return value


def _compare_members(before: dict[str, object], after: dict[str, object], path: str) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        inner = f"{path}.{name}" if path else name
        yield from _compare(before.get(name), after.get(name), inner, name)


def _compare_named(before: Sequence[object], after: Sequence[object], path: str, identity: str) -> Iterator[Difference]:
    old, new = (_by_name(items, identity) for items in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _compare(old.get(name), new.get(name), f"{path}[{name}]", "")
    if list(old) != list(new) and old.keys() == new.keys():
        yield Difference(path, "reordered", list(old), list(new))


def _by_name(items: Sequence[object], identity: str) -> dict[str, object]:
    # "shop.acme.com" and {"host": "shop.acme.com"} are two spellings of one thing
    return {str(item.get(identity)) if isinstance(item, dict) else str(item): item for item in items}
