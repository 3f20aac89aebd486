"""What the model ranks and refuses, against the table that requests are matched by: the two must never disagree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from edge.paths import normalise_path
from edge.tables import Conditions, DomainTable, Hit, TableRow
from store.model import Route
from store.model.conflicts import find_conflicts

PATHS = [
    "/", "/a", "/a/", "/a/b", "/b", "/%C3%A9", "/*", "/a/*", "/a/b/*", "/b/*", "/{x}", "/{y}", "/{x}/b",
    "/a/{x}", "/{x}/{y}", "/{x:[a-b]+}",
    "/{x:a|c}", "/{z:[bc]}", "/{x}.{y}", "/a{x}", "/{x:a.?}", "/{x}/*", "/{x:[ab]+}/*", "/{x:[bc]+}/*",
    "/a/{x}/*", "/{x:[ab]}/{y:[bc]}",
    "/{x:[ac]}/{y:[ab]}", "/{t:.*}", "/{r:.*}", "/a/{t:.*}", "/{t:.*}/b", "/{t:[a/]+}", "/{t:[b-z/]+}", "/a/{t:.+}/b",
]  # fmt: skip
REQUESTED = [
    "/",
    "/a",
    "/a/",
    "/b",
    "/c",
    "/ab",
    "/a.b",
    "/a/b",
    "/a/c",
    "/b/b",
    "/c/b/",
    "/a/b/c",
    "/a//b",
    "/./a",
    "/%61",
    "/é",
    "/d/e/b",
]
METHODS = [None, ["GET"], ["HEAD"], ["POST"], ["GET", "POST"], ["GET", "HEAD"]]
VALUES = st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2)
FIELDS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS),
        "methods": st.sampled_from(METHODS),
        "headers": VALUES,
        "query": VALUES,
        "priority": st.sampled_from([0, 0, 0, 1]),
    }
)
REQUESTS = st.tuples(st.sampled_from(REQUESTED), st.sampled_from(["GET", "HEAD", "POST", "PUT"]), VALUES, VALUES)

Request = tuple[str, str, dict[str, str], dict[str, str]]
NAMED, IMPLIED, ANY = range(3)


def route(at: int, fields: Mapping[str, Any]) -> Route:
    raw = {"name": f"r{at}", "path": fields["path"], "upstream": "shop", "priority": fields["priority"]}
    raw["match"] = {
        "headers": {f"X-{name}": value for name, value in fields["headers"].items()},
        "query": fields["query"],
    }
    return Route.model_validate(raw | ({} if fields["methods"] is None else {"methods": fields["methods"]}))


def matching(routes: list[Route], request: Request) -> Iterator[tuple[Any, int]]:
    """Every route that the request matches, by the letter of the contract, with its rank for this request."""
    path, method, headers, query = request
    sent = {name.lower(): value for name, value in headers.items()}
    for at, each in enumerate(routes):
        wanted = {name.lower().removeprefix("x-"): value for name, value in each.match.headers.items()}
        if each.path.match(normalise_path(path)) is None or not wanted.items() <= sent.items():
            continue
        if not each.match.query.items() <= query.items():
            continue
        for standing, fits in (
            (NAMED, each.methods is not None and method in each.methods),
            (IMPLIED, each.methods is not None and method == "HEAD" and "GET" in each.methods),
            (ANY, each.methods is None),
        ):
            if fits:
                conditions = len(each.match.headers) + len(each.match.query)
                yield (each.path.sort_key, standing, -conditions, -each.priority), at
                break


def conflicting(routes: list[Route]) -> set[tuple[int, int]]:
    pairs = set()
    for fault in find_conflicts(dict(enumerate(routes))):
        second, first = map(int, re.findall(r"routes\[(\d+)\]", str(fault)))
        pairs.add((first, second))
    return pairs


@settings(max_examples=300)
@given(st.lists(FIELDS, min_size=1, max_size=6), REQUESTS)
def test_equal_routes_are_refused_and_of_the_others_the_table_finds_the_best(
    fields: list[dict[str, Any]], request_made: Request
) -> None:
    routes = [route(at, each) for at, each in enumerate(fields)]
    ranked = sorted(matching(routes, request_made))
    best = [at for key, at in ranked if key == ranked[0][0]]
    assert len(best) < 2 or set(pairwise(best)) <= conflicting(routes)
    path, method, headers, query = request_made
    rows = [
        TableRow(r.path, r.methods, Conditions.of(r.match.headers, r.match.query), r.priority, r.name) for r in routes
    ]
    sent = CIMultiDict({f"x-{name}": value for name, value in headers.items()})
    hit = DomainTable(rows).match(normalise_path(path), method, sent, "&".join(f"{n}={v}" for n, v in query.items()))
    if isinstance(hit, Hit):
        assert int(hit.entry[1:]) in best
        assert hit.params == routes[int(hit.entry[1:])].path.match(normalise_path(path))
    else:
        assert not best


@pytest.mark.parametrize("path", PATHS)
def test_every_pattern_of_this_test_is_one_that_a_document_may_hold(path: str) -> None:
    assert Route.model_validate({"name": "a", "path": path}).path.text == path
