"""Two routes that would take the same request with the same rank: refused when written, never left to chance.

The rank of a route for a request, best first (CONTRACT section 3):

    the domain it matched by   exact, then longer masks before shorter
    its path                   `PathPattern.sort_key`
    its method                 named before any
    its conditions             more before fewer
    its priority               higher before lower

Two routes conflict when they share a domain and nothing else tells them apart although one request can match both.
Whether two regular expressions share a string is decided by their first characters only; a doubt is a conflict, which a
different `priority` settles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from itertools import combinations

from store.model.faults import Fault
from store.model.paths import PathKind, PathPattern, Segment, SegmentKind
from store.model.regexes import are_disjoint, literal_prefix
from store.model.routes import Route

MAX_FAULTS = 20


def find_conflicts(routes: Mapping[int, Route]) -> list[Fault]:
    """List the pairs of routes (by index) that one request could match with the same rank, the first twenty of them."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for at, route in routes.items():
        groups[_group(route)].append(at)
    faults: list[Fault] = []
    for group in groups.values():
        for fault in _pairs(group, routes):
            faults.append(fault)
            if len(faults) == MAX_FAULTS:
                return faults
    return faults


def rank(route: Route) -> tuple[object, ...]:
    """Give what a route is ordered by among those of one domain, smallest first."""
    return (route.path.sort_key, route.methods is None, -_condition_count(route), -route.priority)


def _pairs(group: list[int], routes: Mapping[int, Route]) -> Iterator[Fault]:
    for first, second in combinations(group, 2):
        one, other = routes[first], routes[second]
        if _share_domain(one, other) and _share_method(one, other) and _share_conditions(one, other):
            verdict = _share_path(one.path, other.path)
            if verdict:
                yield Fault(
                    f"routes[{second}]",
                    f"{other.name!r} {verdict} the same requests as routes[{first}] {one.name!r}, with the same rank; "
                    "give them different paths, methods, conditions or priority",
                )


def _group(route: Route) -> Hashable:
    """Put routes together that can conflict at all: the same rank and the same static text."""
    path = route.path
    shape: Hashable = path.text if path.kind is PathKind.EXACT else _shape(path)
    return (rank(route), shape)


def _shape(path: PathPattern) -> tuple[Hashable, ...]:
    return tuple(segment.text if segment.kind is SegmentKind.STATIC else segment.kind for segment in path.segments)


def _condition_count(route: Route) -> int:
    return len(route.match.headers) + len(route.match.query)


def _share_domain(one: Route, other: Route) -> bool:
    if one.domains is None or other.domains is None:
        return True
    return not set(one.domains).isdisjoint(other.domains)


def _share_method(one: Route, other: Route) -> bool:
    if one.methods is None or other.methods is None:
        return True  # the same rank: both take any
    return not one.methods.isdisjoint(other.methods)


def _share_conditions(one: Route, other: Route) -> bool:
    """Say whether one request can meet the conditions of both: no field that must have two values."""
    headers = {name.lower(): value for name, value in other.match.headers.items()}
    if any(headers.get(name.lower(), value) != value for name, value in one.match.headers.items()):
        return False
    return all(other.match.query.get(name, value) == value for name, value in one.match.query.items())


def _share_path(one: PathPattern, other: PathPattern) -> str:
    """Say whether one path can match both, as the verb of a sentence: "takes", "may take", or "" for never."""
    if one.kind is PathKind.REGEX:
        if one.text == other.text:
            return "takes"
        mine, theirs = literal_prefix(one.text), literal_prefix(other.text)
        return "may take" if mine.startswith(theirs) or theirs.startswith(mine) else ""
    verdict = "takes"
    for mine_segment, their_segment in zip(one.segments, other.segments, strict=True):
        if _are_apart(mine_segment, their_segment):
            return ""
        if mine_segment.kind is SegmentKind.CONSTRAINED and mine_segment.regex != their_segment.regex:
            verdict = "may take"
    return verdict


def _are_apart(one: Segment, other: Segment) -> bool:
    return one.kind is SegmentKind.CONSTRAINED and are_disjoint(one.regex, other.regex)
