"""store/model/conflicts.py: which pairs of routes one request could match with the same rank."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from store.model import Route, rank
from store.model import conflicts as conflicts_module
from store.model.conflicts import MAX_FAULTS, find_conflicts
from store.model.faults import Fault

THE_SAME = (
    "the same requests as routes[0] 'a', with the same rank; give them different paths, methods, conditions or priority"
)


def route(name: str, path: str, **fields: Any) -> Route:
    return Route.model_validate({"name": name, "path": path, "upstream": "shop", **fields})


def found(*routes: Route) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in find_conflicts(dict(enumerate(routes)))]


def headers(**values: str) -> dict[str, Any]:
    return {"match": {"headers": {name.replace("_", "-"): value for name, value in values.items()}}}


def query(**values: str) -> dict[str, Any]:
    return {"match": {"query": values}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/", "/"),
        ("/a/*", "/a/*"),
        ("/*", "/*"),
        ("/u/{id}", "/u/{name}"),
        ("/u/{id}/*", "/u/{name}/*"),
        ("/u/{id:[0-9]+}", "/u/{n:[0-9]+}"),
        ("/{tail:.*}", "/{rest:.*}"),
    ],
)
def test_the_same_path_twice_is_a_conflict_whatever_its_parameters_are_called(one: str, other: str) -> None:
    assert found(route("a", one), route("b", other)) == [f"routes[1]: 'b' takes {THE_SAME}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/u/{id:[0-9]+}", "/u/{id:[5-9a-z]+}"),
        ("/u/{id:[0-9]+}/*", r"/u/{id:\w+}/*"),
        ("/u/{id:[0-9]{3}}", "/u/{id:[0-9]{4}}"),
        ("/{a}-{b}", "/{a}_{b}"),
        ("/{a:[a-z]+}/{b:[0-9]+}", r"/{a:\w+}/{b:\w+}"),
        ("/{tail:.*}/edit", "/v1/{tail:.*}"),
        ("/{tail:.*}", "/v1/{tail:.*}"),
        (r"/{x:\Qa.b\E}", r"/{x:\Qc.d\E}"),
    ],
)
def test_expressions_that_may_match_the_same_path_are_a_conflict(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        assert found(route("a", first), route("b", second)) == [f"routes[1]: 'b' may take {THE_SAME}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/b"),
        ("/a", "/a/"),
        ("/a", "/a/*"),
        ("/a/*", "/a/b/*"),
        ("/a/*", "/b/*"),
        ("/a", "/{x}"),
        ("/a/{x}", "/{x}/a"),
        ("/{x}/*", "/a/*"),
        ("/u/{id}", "/u/{id:[0-9]+}"),
        ("/u/{id}", "/v/{id}"),
        ("/u/{id:[0-9]+}", "/u/{id:[a-z]+}"),
        ("/u/{id:[0-9]+}/*", "/u/{id:[a-z]+}/*"),
        ("/{file}.json", "/{file}.xml"),
        ("/v1-{x}", "/v2-{x}"),
        (r"/{a:\w+}/{b:[0-9]+}", r"/{a:\w+}/{b:[a-z]+}"),
        ("/v1/{tail:.*}", "/v2/{tail:.*}"),
        ("/{tail:.*}/edit", "/{tail:.*}/view"),
        ("/{tail:.*}", "/*"),
    ],
)
def test_paths_that_differ_in_rank_or_share_no_path_are_none(one: str, other: str) -> None:
    assert found(route("a", one), route("b", other)) == []
    assert found(route("b", other), route("a", one)) == []


@pytest.mark.parametrize(
    ("one", "other", "conflicts"),
    [
        ({}, {"priority": 1}, False),
        ({"priority": 1}, {"priority": 1}, True),
        ({"methods": ["GET"]}, {}, False),
        ({"methods": ["GET"]}, {"methods": ["POST"]}, False),
        ({"methods": ["GET"]}, {"methods": ["HEAD"]}, False),
        ({"methods": ["GET", "POST"]}, {"methods": ["PUT", "POST"]}, True),
        ({"methods": ["GET", "POST"]}, {"methods": ["PUT", "POST"], "priority": 3}, False),
        ({"domains": ["a.test"]}, {"domains": ["b.test"]}, False),
        ({"domains": ["a.test"]}, {"domains": ["*.a.test"]}, False),
        ({"domains": ["a.test", "b.test"]}, {"domains": ["b.test", "c.test"]}, True),
        ({"domains": ["A.test"]}, {"domains": ["a.TEST"]}, True),
        ({"domains": ["a.test"]}, {}, True),
        (headers(X_A="1"), {}, False),
        (headers(X_A="1"), headers(X_A="2"), False),
        (headers(X_A="1"), headers(x_a="1"), True),
        (headers(X_A="1"), headers(x_a="2"), False),
        (headers(X_A="1"), headers(X_B="1"), True),
        (headers(X_A="1"), query(a="1"), True),
        (headers(X_A="1", X_B="1"), headers(X_A="1", X_B="2"), False),
        (headers(X_A="1", X_B="1"), headers(X_A="1", X_C="2"), True),
        (query(a="1"), query(a="2"), False),
        (query(a="1"), query(A="1"), True),
        (query(a="1"), query(a="1"), True),
        ({"upstream": None, "split": [{"upstream": "x", "weight": 1}]}, {"auth": ["keys"]}, True),
    ],
)  # fmt: skip
def test_routes_of_one_path_are_told_apart_by_what_the_rank_or_a_request_has(
    one: dict[str, Any], other: dict[str, Any], conflicts: bool
) -> None:
    for first, second in ((one, other), (other, one)):
        for path in ("/a", "/u/{id:[0-9]+}", "/{tail:.*}"):
            fields = [{key: value for key, value in each.items() if value is not None} for each in (first, second)]
            assert bool(found(route("a", path, **fields[0]), route("b", path, **fields[1]))) is conflicts


def test_every_pair_is_named_with_both_names_and_indexes() -> None:
    routes = {3: route("a", "/x"), 5: route("b", "/y"), 7: route("c", "/x"), 9: route("d", "/x")}
    pairs = [(fault.path, fault.message.split(",")[0]) for fault in find_conflicts(routes)]
    assert pairs == [
        ("routes[7]", "'c' takes the same requests as routes[3] 'a'"),
        ("routes[9]", "'d' takes the same requests as routes[3] 'a'"),
        ("routes[9]", "'d' takes the same requests as routes[7] 'c'"),
    ]


def test_twenty_pairs_are_enough() -> None:
    assert len(found(*(route(f"r{n}", "/x") for n in range(1000)))) == MAX_FAULTS


def test_expressions_that_would_take_too_long_to_compare_are_refused_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [route(f"r{n}", f"/{{x:[a-z]+/w{n}-[a-z]+}}") for n in range(10)]
    assert found(*routes) == []
    monkeypatch.setattr(conflicts_module, "MAX_STEPS", 20)
    faults = find_conflicts(dict(enumerate(routes)))
    assert [fault.message for fault in faults] == [conflicts_module._TOO_MANY]
    assert isinstance(faults[0], Fault)
    told_apart = [route(f"r{n}", f"/{{x:[a-z]+/w{n}-[a-z]+}}", priority=n) for n in range(10)]
    assert found(*told_apart) == []


def test_rank_orders_path_then_method_then_conditions_then_priority() -> None:
    numbers = count()
    in_order = [
        route(f"r{next(numbers)}", path, **fields)
        for path in ("/a", "/{x:[a-z]+}", "/{x}", "/a/*", "/*", "/{t:.*}")
        for fields in (
            {"methods": ["GET"], **headers(X_A="1", X_B="1")},
            {"methods": ["GET"], "priority": 9},
            {"methods": ["GET"]},
            {**headers(X_A="1")},
            {"priority": 1},
            {},
            {"priority": -1},
        )
    ]
    assert sorted(in_order, key=rank) == in_order
    assert len({rank(each) for each in in_order}) == len(in_order)
