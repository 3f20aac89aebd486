"""One domain's routes: which of those that match wins, and what is said when none does."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from edge.tables import NO_ROUTE, UNCONDITIONAL, Conditions, DomainTable, Hit, Miss, TableRow
from store.model.paths import PathPattern

GET, POST, HEAD = frozenset({"GET"}), frozenset({"POST"}), frozenset({"HEAD"})


def row(
    text: str,
    methods: Iterable[str] | None = None,
    conditions: Conditions = UNCONDITIONAL,
    priority: int = 0,
    entry: str | None = None,
) -> TableRow:
    """Make a route whose entry is its own pattern, unless told otherwise."""
    named = None if methods is None else frozenset(methods)
    return TableRow(PathPattern.parse(text), named, conditions, priority, text if entry is None else entry)


def table(*rows: TableRow | str) -> DomainTable:
    return DomainTable.build(each if isinstance(each, TableRow) else row(each) for each in rows)


def found(
    routes: DomainTable, path: str, method: str = "GET", query: str = "", **headers: str
) -> str | frozenset[str] | None:
    """Give the winner's entry, or the methods allowed, or None where there is no route."""
    result = routes.match(path, method, CIMultiDict({k.replace("_", "-"): v for k, v in headers.items()}), query)
    if isinstance(result, Hit):
        return str(result.entry)
    return result.allow if result.kind == "method" else None


# -- Paths ---------------------------------------------------------------------------------------------------------

EVERY_KIND = table("/a/b", "/a/{x}", "/a/{x:[0-9]+}", "/{x}/b", "/a/*", "/*", "/a/{x}/*", "/{tail:.*\\.png}")


@pytest.mark.parametrize(
    ("path", "winner"),
    [
        ("/a/b", "/a/b"),
        ("/a/12", "/a/{x:[0-9]+}"),
        ("/a/c", "/a/{x}"),
        ("/c/b", "/{x}/b"),
        ("/a/b/c", "/a/{x}/*"),
        ("/a/b/", "/a/{x}/*"),
        ("/a", "/a/*"),
        ("/a/", "/a/*"),
        ("/ab", "/*"),
        ("/", "/*"),
        ("/x/y.png", "/*"),
        ("/a/y.png", "/a/{x}"),
    ],
)
def test_the_better_path_wins(path: str, winner: str) -> None:
    assert found(EVERY_KIND, path) == winner


@pytest.mark.parametrize(
    ("rows", "path", "winner"),
    [
        (["/{x}/b/{y}", "/a/{x}/c"], "/a/b/c", "/a/{x}/c"),
        (["/{x}/b/c", "/a/{x}/{y}"], "/a/b/c", "/a/{x}/{y}"),
        (["/a/{x}/d", "/{x}/b/c"], "/a/b/c", "/{x}/b/c"),
        (["/a/b/d", "/a/{x:[a-z]}/e", "/a/{x}/c"], "/a/b/c", "/a/{x}/c"),
        (["/{x:v[0-9]}/{y}", "/{x}/users"], "/v1/users", "/{x:v[0-9]}/{y}"),
        (["/v1/*", "/v1/users/*", "/*"], "/v1/users/42", "/v1/users/*"),
        (["/v1/*", "/v1/users/*", "/*"], "/v1/usersx", "/v1/*"),
        (["/v1/*", "/{x}/{y}/*"], "/v1/users", "/{x}/{y}/*"),
        (["/v1/*", "/{x}/*"], "/v1/users", "/v1/*"),
        (["/{x}/*", "/{x:v[0-9]}/*"], "/v1/users", "/{x:v[0-9]}/*"),
        (["/{tail:.*}"], "/", "/{tail:.*}"),
        (["/a/{x}.json", "/a/{x}"], "/a/b.json", "/a/{x}.json"),
        (["/a/{x}"], "/a/", None),
        (["/a/{x}"], "/a/b/c", None),
        (["/a/{x:[0-9]+}"], "/a/b", None),
        (["/a"], "/a/", None),
        (["/A"], "/a", None),
        ([], "/a", None),
    ],
)
def test_segments_are_ranked_from_the_left_with_a_way_back(rows: list[str], path: str, winner: str | None) -> None:
    assert found(table(*rows), path) == winner
    assert found(table(*reversed(rows)), path) == winner


def test_a_pattern_and_a_request_may_spell_a_character_differently() -> None:
    assert found(table("/a%2Db"), "/a-b") == "/a%2Db"
    assert found(table("/a%2Db/{x}", "/a-b/c"), "/a-b/d") == "/a%2Db/{x}"
    assert found(table("/a%2Db/*"), "/a-b/d") == "/a%2Db/*"
    hit = table("/%61/{x}").match("/a/1", "GET", CIMultiDict(), "")
    assert isinstance(hit, Hit)
    assert dict(hit.params) == {"x": "1"}


# -- Parameters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "params"),
    [
        ("/a", "/a", {}),
        ("/a/*", "/a/b", {}),
        ("/a/{x}/{y}", "/a/1/b%20c", {"x": "1", "y": "b c"}),
        ("/a/{x:[0-9]+}", "/a/12", {"x": "12"}),
        ("/a/{x}/*", "/a/1/2/3", {"x": "1"}),
        ("/{head}/{tail:.*}", "/a/b/c", {"head": "a", "tail": "b/c"}),
        ("/a/{name}.{kind}", "/a/b.json", {"name": "b", "kind": "json"}),
    ],
)
def test_a_match_tells_what_the_parameters_stand_for(text: str, path: str, params: dict[str, str]) -> None:
    hit = table(text).match(path, "GET", CIMultiDict(), "")
    assert isinstance(hit, Hit)
    assert dict(hit.params) == params


def test_patterns_of_one_shape_keep_the_names_of_their_own() -> None:
    routes = table(row("/{user}", GET), row("/{id}", POST))
    for method, name in (("GET", "user"), ("POST", "id")):
        hit = routes.match("/x", method, CIMultiDict(), "")
        assert isinstance(hit, Hit)
        assert dict(hit.params) == {name: "x"}


# -- Methods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "method", "winner"),
    [
        ([row("/a", GET, entry="get"), row("/a", entry="any")], "GET", "get"),
        ([row("/a", GET, entry="get"), row("/a", entry="any")], "POST", "any"),
        ([row("/a", GET, entry="get"), row("/a", entry="any")], "HEAD", "get"),
        ([row("/a", GET, entry="get"), row("/a", HEAD, entry="head")], "HEAD", "head"),
        ([row("/a", GET, entry="exact"), row("/*", HEAD, entry="prefix")], "HEAD", "exact"),
        ([row("/a", GET, entry="exact"), row("/*", entry="prefix")], "POST", "prefix"),
        ([row("/{x}", GET, entry="plain"), row("/*", POST, entry="prefix")], "POST", "prefix"),
        ([row("/a", GET), row("/*", {"PUT"})], "POST", frozenset({"GET", "HEAD", "PUT"})),
        ([row("/a", {"PUT"})], "HEAD", frozenset({"PUT"})),
        ([row("/a/*", {"PUT"}), row("/{tail:.*}", {"DELETE"})], "GET", frozenset({"PUT", "DELETE"})),
        ([row("/{x}", {"PUT"}), row("/{x:a}", {"PATCH"})], "GET", frozenset({"PUT", "PATCH"})),
        ([row("/b", GET)], "GET", None),
    ],
)
def test_the_method_decides_below_the_path_and_405_lists_exactly_what_is_allowed(
    rows: list[TableRow], method: str, winner: str | frozenset[str] | None
) -> None:
    assert found(table(*rows), "/a", method) == winner
    assert found(table(*reversed(rows)), "/a", method) == winner


# -- Conditions and priority ---------------------------------------------------------------------------------------

CANARY = Conditions.of({"X-Canary": "1"}, {})
BETA = Conditions.of({}, {"beta": "1"})
BOTH = Conditions.of({"X-Canary": "1"}, {"beta": "1"})
CONDITIONAL = table(
    row("/a", entry="plain"),
    row("/a", conditions=CANARY, entry="canary"),
    row("/a", conditions=BETA, priority=-1, entry="beta"),
    row("/a", conditions=BOTH, entry="both"),
    row("/a", POST, entry="post"),
)


@pytest.mark.parametrize(
    ("query", "headers", "method", "winner"),
    [
        ("", {}, "GET", "plain"),
        ("", {"x_canary": "1"}, "GET", "canary"),
        ("", {"x_canary": "2"}, "GET", "plain"),
        ("beta=1", {}, "GET", "beta"),
        ("x=1&beta=%31&beta=2", {}, "GET", "beta"),
        ("beta=", {}, "GET", "plain"),
        ("beta=1", {"x_canary": "1"}, "GET", "both"),
        ("beta=1", {"x_canary": "1"}, "POST", "post"),
    ],
)
def test_more_conditions_go_before_fewer_and_the_method_before_conditions(
    query: str, headers: dict[str, str], method: str, winner: str
) -> None:
    assert found(CONDITIONAL, "/a", method, query, **headers) == winner


def test_priority_breaks_the_tie_that_remains() -> None:
    rows = [row("/a", priority=n, entry=str(n)) for n in (1, 3, 2)]
    assert found(table(*rows), "/a") == "3"
    regexes = [row("/{x:.*b}", priority=1, entry="one"), row("/{x:a.*}", priority=2, entry="two")]
    assert found(table(*regexes), "/ab") == "two"
    constrained = [row("/{x:[a-b]+}", priority=1, entry="one"), row("/{x:a[a-c]?}", priority=2, entry="two")]
    assert found(table(*constrained), "/ab") == "two"
    assert found(table(*reversed(constrained)), "/ab") == "two"


def test_the_method_goes_before_conditions_among_patterns_equal_in_rank() -> None:
    rows = [row("/{x:[a-b]+}", GET, entry="named"), row("/{x:a[a-c]}", conditions=CANARY, entry="conditional")]
    assert found(table(*rows), "/ab", x_canary="1") == "named"


def test_a_route_whose_conditions_fail_is_not_there_for_this_request() -> None:
    routes = table(row("/a", GET, CANARY), row("/*", {"PUT"}))
    assert found(routes, "/a", "POST") == frozenset({"PUT"})
    assert found(routes, "/a", "POST", x_canary="1") == frozenset({"GET", "HEAD", "PUT"})
    assert table(row("/a", GET, CANARY)).match("/a", "GET", CIMultiDict(), "") == NO_ROUTE


# -- Against the rank as written -----------------------------------------------------------------------------------

SEGMENTS = st.sampled_from(["a", "b", "{x}", "{x:[ab]}", "{x:a}"])
PATTERNS = st.lists(
    st.tuples(st.lists(SEGMENTS, max_size=3), st.booleans()).map(
        lambda made: "/" + "/".join(s.replace("x", f"x{i}") for i, s in enumerate(made[0])) + ("/*" if made[1] else "")
    ),
    max_size=8,
    unique=True,
).map(lambda texts: [text.replace("//", "/") for text in texts])


@given(PATTERNS, st.lists(st.sampled_from(["a", "b", "c"]), max_size=4))
def test_the_winner_is_the_first_that_matches_in_the_order_of_rank(texts: list[str], parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    patterns = [PathPattern.parse(text) for text in dict.fromkeys(texts)]
    matching = [pattern for pattern in patterns if pattern.match(path) is not None]
    result = DomainTable(TableRow(p, None, UNCONDITIONAL, 0, p) for p in patterns).match(path, "GET", CIMultiDict(), "")
    if isinstance(result, Miss):
        assert not matching
    else:
        assert result.entry.sort_key == min(pattern.sort_key for pattern in matching)
        assert result.entry in matching


def test_of_a_repeated_field_or_parameter_the_first_occurrence_counts() -> None:
    headers = CIMultiDict([("X", "1"), ("X", "2")])
    assert Conditions.of({"X": "1"}, {"q": "a"}).hold(headers, "q=a&q=b")
    assert not Conditions.of({"X": "2"}, {}).hold(headers, "")
    assert not Conditions.of({}, {"q": "b"}).hold(headers, "q=a&q=b")
