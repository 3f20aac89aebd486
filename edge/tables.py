"""The routes of one domain, compiled: path first, method at the leaf, conditions last. Immutable.

A table is built once and then only read; a change builds another and swaps it in. Rank of what matches, best first
(the paths' part of it is `store.model.paths`):

    exact path > parameter path > longest prefix > regex
    the method named > GET where HEAD is asked for > any method
    more header and query conditions > fewer
    higher priority > lower

A better path whose routes lack the method does not hide a lesser one that has it; only when nothing serves the method
is the answer 405, and `Allow` then names the methods of every route whose path and conditions match.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from multidict import CIMultiDict, MultiMapping

from edge.paths import canonical_pattern, has_parameters
from edge.segments import Node, StaticPrefixes
from store.model.paths import PathKind, PathPattern

K = TypeVar("K", bound=Hashable)
Params = Mapping[str, str]

NO_PARAMS: Params = MappingProxyType({})
NO_HEADERS: MultiMapping[str] = CIMultiDict()


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request must carry for a route to match it: each header and query parameter with exactly this value."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, headers: Mapping[str, str], query: Mapping[str, str]) -> Conditions:
        """Make conditions of two mappings, as a document has them."""
        return cls(tuple(headers.items()), tuple(query.items()))

    def __len__(self) -> int:
        return len(self.headers) + len(self.query)

    def hold(self, headers: MultiMapping[str], query_string: str) -> bool:
        """Say whether a request meets all of them; of a repeated field or parameter the first occurrence counts.

        So no request meets two conditions that ask for different values, which is what conflicts are judged by.
        """
        if not all(headers.get(name) == value for name, value in self.headers):
            return False
        if not self.query:
            return True
        given = dict(reversed(parse_qsl(query_string, keep_blank_values=True)))
        return all(given.get(name) == value for name, value in self.query)


UNCONDITIONAL = Conditions()


class TableRow(NamedTuple):
    """One route as a table takes it; `methods` None is any. `entry` is what a match gives back, opaque here."""

    pattern: PathPattern
    methods: frozenset[str] | None
    conditions: Conditions
    priority: int
    entry: Any


class Hit:
    """A match: the route's entry, and what the path's parameters stand for."""

    __slots__ = ("_path", "_pattern", "entry")

    def __init__(self, entry: Any, pattern: PathPattern, path: str) -> None:
        self.entry = entry
        self._pattern = pattern
        self._path = path

    @property
    def params(self) -> Params:
        """The parameters, percent-decoded; worked out when asked for, because most requests never ask."""
        return (self._pattern.match(self._path) or NO_PARAMS) if self._pattern.params else NO_PARAMS

    @property
    def names_parameters(self) -> bool:
        """Whether the route itself speaks of segments' parameters, as in `/cars;color={color}`."""
        return has_parameters(self._pattern.text)


class Miss(NamedTuple):
    """No match: the `host` is unknown, no `route` has the path, or none of those has the `method`."""

    kind: Literal["host", "route", "method"]
    allow: frozenset[str] = frozenset()


NO_HOST = Miss("host")
NO_ROUTE = Miss("route")

_Rank = tuple[int, int, int]
_NAMED, _IMPLIED, _ANY = 0, 1, 2
_HEAD, _GET = "HEAD", "GET"


_NONE_NAMED: dict[str, tuple[tuple[_Rank, TableRow], ...]] = {}


class Leaf:
    """The rows of one path: for each method those that serve it, best first."""

    __slots__ = ("_any", "_by_method", "_rows")

    def __init__(self, rows: Sequence[TableRow]) -> None:
        self._rows = tuple(rows)
        named = {method for row in rows for method in row.methods or ()}
        if _GET in named:
            named.add(_HEAD)  # RFC 9110 section 9.3.2: whoever serves GET can serve HEAD
        self._any = self._serving(None)
        self._by_method = {method: self._serving(method) for method in named} if named else _NONE_NAMED

    def _serving(self, method: str | None) -> tuple[tuple[_Rank, TableRow], ...]:
        ranked = [
            ((standing, -len(row.conditions), -row.priority), row)
            for row in self._rows
            if (standing := _standing(row.methods, method)) is not None
        ]
        return tuple(sorted(ranked, key=lambda item: item[0]))

    def best(self, method: str, headers: MultiMapping[str], query_string: str) -> tuple[_Rank, TableRow] | None:
        """Give the best row that serves the request, with its rank."""
        for ranked in self._by_method.get(method, self._any):
            conditions = ranked[1].conditions
            if conditions is UNCONDITIONAL or conditions.hold(headers, query_string):
                return ranked
        return None

    def allowed(self, headers: MultiMapping[str], query_string: str) -> set[str]:
        """Give the methods that the request could have used here."""
        rows = [row for row in self._rows if row.conditions.hold(headers, query_string)]
        methods = {method for row in rows for method in row.methods or ()}
        return methods | {_HEAD} if _GET in methods else methods


def _standing(methods: frozenset[str] | None, method: str | None) -> int | None:
    """Say how closely a row's methods fit one, None when they do not."""
    if methods is None:
        return _ANY
    if method in methods:
        return _NAMED
    return _IMPLIED if method == _HEAD and _GET in methods else None


class DomainTable:
    """All routes of one domain; `match` is all that anybody needs of it."""

    __slots__ = ("_exact", "_parameter_depths", "_parameters", "_prefixes", "_regexes")

    def __init__(self, rows: Iterable[TableRow]) -> None:
        """Compile routes; which of two equals wins is undefined, and refusing such a pair is the document's affair."""
        by_kind: dict[PathKind, list[TableRow]] = {kind: [] for kind in PathKind}
        for row in rows:
            conditions = row.conditions if len(row.conditions) else UNCONDITIONAL
            pattern = _as_requests_spell_it(row.pattern)
            by_kind[pattern.kind].append(row._replace(pattern=pattern, conditions=conditions))
        exact = _grouped(by_kind[PathKind.EXACT], lambda row: row.pattern.text)
        self._exact = {text: Leaf(same) for text, same in exact.items()}
        self._parameters = _tree(by_kind[PathKind.PARAMETER])
        self._parameter_depths = {len(row.pattern.segments) for row in by_kind[PathKind.PARAMETER]}
        self._prefixes = _prefixes(by_kind[PathKind.PREFIX])
        regexes = _grouped(by_kind[PathKind.REGEX], lambda row: row.pattern)
        self._regexes = tuple((pattern, Leaf(same)) for pattern, same in regexes.items())

    @classmethod
    def build(cls, rows: Iterable[TableRow]) -> DomainTable:
        """Compile routes given as rows, or as plain tuples of a row's fields."""
        return cls(TableRow(*row) for row in rows)

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Find the route for a request; `path` in the one spelling of `edge/paths.py`, the query raw."""
        leaf = self._exact.get(path)
        if leaf is not None:
            best = leaf.best(method, headers, query_string)
            if best is not None:
                return Hit(best[1].entry, best[1].pattern, path)
        for find in (self._by_segments, self._by_regex):
            for leaves in find(path):
                row = _best_of(leaves, method, headers, query_string)
                if row is not None:
                    return Hit(row.entry, row.pattern, path)
        return self._miss(path, headers, query_string)

    def _by_segments(self, path: str) -> list[list[Leaf]]:
        """Give the leaves of parameter paths and prefixes that match: equals together, best first."""
        found: list[list[Leaf]] = []
        if self._parameters is not None and path.count("/") in self._parameter_depths:
            found = self._parameters.leaves_at_end(path)
        if self._prefixes is not None:
            found += self._prefixes.leaves_above(path)
        return found

    def _by_regex(self, path: str) -> list[list[Leaf]]:
        matching = [leaf for pattern, leaf in self._regexes if pattern.compiled.fullmatch(path) is not None]
        return [matching] if matching else []

    def _miss(self, path: str, headers: MultiMapping[str], query_string: str) -> Miss:
        leaves = [leaf for find in (self._by_segments, self._by_regex) for equals in find(path) for leaf in equals]
        if path in self._exact:
            leaves.append(self._exact[path])
        allow = {method for leaf in leaves for method in leaf.allowed(headers, query_string)}
        return Miss("method", frozenset(allow)) if allow else NO_ROUTE


def _best_of(leaves: Sequence[Leaf], method: str, headers: MultiMapping[str], query_string: str) -> TableRow | None:
    """Give the best row of paths that are equal in rank."""
    if len(leaves) == 1:
        best = leaves[0].best(method, headers, query_string)
        return None if best is None else best[1]
    found = [best for leaf in leaves if (best := leaf.best(method, headers, query_string)) is not None]
    return min(found, key=lambda item: item[0])[1] if found else None


def _as_requests_spell_it(pattern: PathPattern) -> PathPattern:
    text = canonical_pattern(pattern.text)
    try:
        return pattern if text == pattern.text else PathPattern.parse(text)
    except ValueError:
        return pattern  # an escaped dot segment, say: no request has such a path


def _grouped(rows: Iterable[TableRow], key: Callable[[TableRow], K]) -> dict[K, list[TableRow]]:
    groups: dict[K, list[TableRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _tree(rows: list[TableRow]) -> Node[Leaf] | None:
    if not rows:
        return None
    root: Node[Leaf] = Node()
    for segments, same in _grouped(rows, lambda row: row.pattern.segments).items():
        root.add(segments, Leaf(same))
    return root


def _prefixes(rows: list[TableRow]) -> Node[Leaf] | StaticPrefixes[Leaf] | None:
    if any(row.pattern.params for row in rows):
        return _tree(rows)
    same_prefix = _grouped(rows, lambda row: row.pattern.text.removesuffix("/*"))
    return StaticPrefixes({prefix: Leaf(same) for prefix, same in same_prefix.items()}) if rows else None
