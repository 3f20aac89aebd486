"""Two routes that would take the same request with the same rank: refused when written, never left to chance.

The rank of a route for a request, best first (CONTRACT section 3):

    the domain it matched by   exact, then longer masks before shorter
    its path                   `PathPattern.sort_key`
    its method                 named before any
    its conditions             more before fewer
    its priority               higher before lower

Two routes conflict when they share a domain and nothing else tells them apart although one request can match both.
Where that hangs on two regular expressions and cannot be told, it is a conflict, which a different `priority` settles.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

from store.model.automata import automaton_of
from store.model.characters import bits
from store.model.faults import Fault
from store.model.paths import PathKind, PathPattern, SegmentKind
from store.model.regexes import Steps, are_disjoint
from store.model.routes import Route

MAX_FAULTS = 20
MAX_STEPS = 100_000  # of comparing regular expressions, for a whole document
_LENGTHS = (*range(1, 17), 20, 24, 32, 48, 64)
_TELLING_SEGMENTS = 2  # more of a path are compared, but not at a glance

_TOO_MANY = (
    "the regular expressions in the paths of routes with the same rank are too many to compare; "
    "give them simpler paths or another priority"
)
_GROUP_NAME = re.compile(r"\(\?P<\w+>")

# What a route may be told apart from others by, such as its methods -> the values it has of it.
Traits = dict[Hashable, frozenset[Hashable]]


def find_conflicts(routes: Mapping[int, Route]) -> list[Fault]:
    """List the pairs of routes (by index) that one request could match with the same rank, the first twenty of them."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for at, route in routes.items():
        groups[_group(route)].append(at)
    faults: list[Fault] = []
    steps = Steps(MAX_STEPS)
    for group in [group for group in groups.values() if len(group) > 1]:
        for first, second in _alike([routes[at] for at in group]):
            one, other = group[first], group[second]
            verdict = _share_path(routes[one].path, routes[other].path, steps)
            if steps.are_used_up:
                return [*faults, Fault(f"routes[{other}]", _TOO_MANY)]
            if verdict:
                faults.append(Fault(f"routes[{other}]", _sentence(routes[other], verdict, routes[one], one)))
            if len(faults) == MAX_FAULTS:
                return faults
    return faults


def rank(route: Route) -> tuple[object, ...]:
    """Give what a route is ordered by among those of one domain, smallest first."""
    return (route.path.sort_key, route.methods is None, -_condition_count(route), -route.priority)


def _condition_count(route: Route) -> int:
    return len(route.match.headers) + len(route.match.query)


def _group(route: Route) -> Hashable:
    """Put routes together that can conflict at all: the same rank and the same static text."""
    path = route.path
    if path.kind is PathKind.EXACT:
        return (rank(route), path.text)
    return (rank(route), tuple(segment.text for segment in path.segments))


def _alike(group: Sequence[Route]) -> Iterator[tuple[int, int]]:
    """Give the pairs of a group (by place in it) that no trait tells apart, without looking at every pair.

    A route that lacks a trait, such as one for all domains, is not told apart by it. Sets of routes are bits here:
    a thousand routes are half a million pairs, but a thousand sets.
    """
    traits = [_traits(route) for route in group]
    having: dict[Hashable, int] = defaultdict(int)
    sharing: dict[tuple[Hashable, Hashable], int] = defaultdict(int)
    for at, own in enumerate(traits):
        for trait, values in own.items():
            having[trait] |= 1 << at
            for value in values:
                sharing[trait, value] |= 1 << at
    for at, own in enumerate(traits):
        others = (1 << at) - 1
        for trait, values in own.items():
            alike = ~having[trait]
            for value in values:
                alike |= sharing[trait, value]
            others &= alike
        yield from ((other, at) for other in bits(others))


def _traits(route: Route) -> Traits:
    """Give what can tell a route apart at a glance; what it lacks it does not ask for."""
    traits: Traits = {}
    if route.domains is not None:
        traits["domain"] = frozenset(route.domains)
    if route.methods is not None:
        traits["method"] = frozenset(route.methods)
    for name, value in route.match.headers.items():
        traits["header", name.lower()] = frozenset((value,))
    for name, value in route.match.query.items():
        traits["query", name] = frozenset((value,))
    for at, expression in enumerate(_expressions(route.path)[:_TELLING_SEGMENTS]):
        automaton = automaton_of(expression)
        if automaton is not None:
            traits["first", at] = frozenset(bits(automaton.first_characters))
            start, end = automaton.literal_start, automaton.literal_end
            traits |= {("start", at, n): frozenset((start[:n],)) for n in _LENGTHS if n <= len(start)}
            traits |= {("end", at, n): frozenset((end[-n:],)) for n in _LENGTHS if n <= len(end)}
    return traits


def _expressions(path: PathPattern) -> list[str]:
    """Give what a path's static text leaves open: the whole of it, or its constrained segments from the left."""
    if path.kind is PathKind.REGEX:
        return [path.compiled.pattern]
    return [segment.regex for segment in path.segments if segment.kind is SegmentKind.CONSTRAINED]


def _sentence(route: Route, verdict: str, other: Route, at: int) -> str:
    return (
        f"{route.name!r} {verdict} the same requests as routes[{at}] {other.name!r}, with the same rank; "
        "give them different paths, methods, conditions or priority"
    )


def _share_path(one: PathPattern, other: PathPattern, steps: Steps) -> str:
    """Say whether one path can match both, as the verb of a sentence: "takes", "may take", or "" for never."""
    pairs = zip(_expressions(one), _expressions(other), strict=True)
    unlike = [(mine, theirs) for mine, theirs in pairs if _unnamed(mine) != _unnamed(theirs)]
    if any(are_disjoint(mine, theirs, steps) for mine, theirs in unlike):
        return ""
    return "may take" if unlike else "takes"


def _unnamed(expression: str) -> str:
    """Leave out the names of groups: what a parameter is called does not change what it matches."""
    return _GROUP_NAME.sub("(", expression)
