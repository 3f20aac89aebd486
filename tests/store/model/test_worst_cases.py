"""How long the worst of documents can take: a thousand routes of each kind, and those that a stranger would think of.

Time is the processor's, and the bounds are generous: what they catch is a square where a line was meant.
"""

from __future__ import annotations

import string
import time
from collections.abc import Callable
from typing import Any

import pytest

from store.model import DocumentError, parse_document
from store.model.faults import MAX_FAULTS
from store.model.fields import METHODS

MANY = 1000
LETTERS = string.ascii_letters + string.digits
MAX_S = 3.0  # a tenth to a third of it on an idle machine

Fields = dict[str, Any]


def document(route: Callable[[int], Fields], **fields: Any) -> Fields:
    routes = [{"name": f"r{at}", "upstream": "u", **route(at)} for at in range(MANY)]
    return {
        "tenant": "acme",
        "domains": ["a.test"],
        "upstreams": {"u": {"targets": ["http://a:1"]}},
        "routes": routes,
        **fields,
    }


def at_most_a_moment(raw: object) -> tuple[str, ...]:
    start = time.process_time()
    try:
        parse_document(raw)
    except DocumentError as error:
        faults = tuple(map(str, error.faults))
    else:
        faults = ()
    assert time.process_time() - start < MAX_S
    return faults


def method(at: int) -> str:
    """One of the thirty-three methods that a document may name."""
    return sorted(METHODS)[at % 33]


@pytest.mark.parametrize(
    "route",
    [
        lambda at: {"path": f"/p{at}"},
        lambda at: {"path": f"/p{at}/{{id}}"},
        lambda at: {"path": f"/p{at}/*"},
        lambda at: {"path": f"/p{at}/{{id:[0-9]+}}"},
        lambda at: {"path": f"/{{id:{LETTERS[at % 62]}[0-9]+}}/p{at // 62}"},
        lambda at: {"path": f"/{{id:w{at:04}[a-z]*}}"},
        lambda at: {"path": f"/{{id:[a-z]*{at:04}}}"},
        lambda at: {"path": f"/p{at:04}/{{tail:.*}}"},
        lambda at: {"path": f"/{{tail:.*}}/w{at:04}"},
        lambda at: {"path": f"/{{tail:[a-z/]+}}{at:04}/z"},
        lambda at: {"path": "/p", "match": {"headers": {"X-N": str(at)}}},
        lambda at: {"path": "/p", "match": {"headers": {"X-N": str(at), f"X-{at}": "1"}}},
        lambda at: {"path": "/p", "match": {"query": {"n": str(at)}}},
        lambda at: {"path": "/p", "priority": at},
        lambda at: {"path": f"/p{at // 33}", "methods": [method(at)]},
        lambda at: {"path": f"/p{at // 33}", "methods": [method(at)], "match": {"headers": {"X-N": "1"}}},
    ],
)
def test_a_thousand_routes_that_are_told_apart_are_accepted_in_a_moment(route: Callable[[int], Fields]) -> None:
    assert at_most_a_moment(document(route)) == ()


@pytest.mark.parametrize(
    ("route", "faults", "words"),
    [
        (lambda _: {"path": "/p"}, 21, "takes the same requests"),
        (lambda _: {"path": "/{tail:.*}"}, 21, "takes the same requests"),
        (lambda at: {"path": f"/{{x:w{at:04}{'a?' * 80}}}"}, 21, "may take the same requests"),
        (lambda at: {"path": f"/{{x:[a-z/]*b{'[ab]' * 20}{at:04}[a-z]*}}"}, 1, "too many to compare"),
        (lambda at: {"path": f"/{{x:w{at:04}.{{1,300}}}}"}, MAX_FAULTS + 1, "too large; repeat less"),
        (lambda at: {"path": f"/{{x:{at}[}}"}, MAX_FAULTS + 1, "missing ]"),
        (lambda at: {"path": f"/p{at}", "upstream": f"upstream-{at}"}, MAX_FAULTS + 1, "no upstream named"),
        (lambda at: {"path": f"/p{at}", "domains": [f"{at}.{n}.test" for n in range(9)]}, MAX_FAULTS + 1, "domain"),
        (lambda at: {"path": f"/p{at}", **{f"field{n}": 1 for n in range(9)}}, MAX_FAULTS + 1, "unknown field"),
        (lambda at: {"path": f"/p{at}", "methods": None, "auth": None, "split": None}, MAX_FAULTS + 1, "is empty"),
    ],
)
def test_a_thousand_routes_that_are_wrong_are_refused_in_a_moment(
    route: Callable[[int], Fields], faults: int, words: str
) -> None:
    found = at_most_a_moment(document(route))
    assert len(found) == faults
    assert words in found[0]


@pytest.mark.parametrize(
    "raw",
    [
        {"tenant": "acme", **{f"f{n}": n for n in range(20_000)}},
        {"tenant": "acme", "upstreams": {f"u{n}": {} for n in range(10_000)}},
        {"tenant": "acme", "routes": [{}] * 50_000},
        {"tenant": "acme", "domains": [f"{n}.a.test" for n in range(15_000)]},
        {"tenant": "acme", "domains": ["ü." * 100 + "test"] * 900},
        {"tenant": "acme", "x" * 200_000: {"y": 1}},
        {"tenant": "acme", "upstreams": {"x" * 100_000: {"targets": [0] * 30_000}}},
        {"tenant": "acme", "name": "x" * 300_000},
        {"tenant": "acme", "limits": {"a": {"rate": "9" * 200_000, "by": "x" * 50_000}}},
        {"tenant": "acme", "upstreams": {"a": {"targets": ["http://" + "a." * 100_000]}}},
        {"tenant": "acme", "domains": ["é" * 200_000]},
    ],
)
def test_other_ways_to_be_large_are_refused_in_a_moment(raw: Fields) -> None:
    found = at_most_a_moment(raw)
    assert 0 < len(found) <= MAX_FAULTS + 1
    assert sum(map(len, found)) < 100_000


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


def test_depth_is_refused_wherever_it_is() -> None:
    assert at_most_a_moment({"tenant": "acme", "name": nested(10)}) == ("name: expected text",)
    for deep in (nested(100_000), {"tenant": "acme", "routes": [nested(100_000)]}):
        assert len(at_most_a_moment(deep)) == 1
