"""edge/client_edge/limit_keys.py: what is said of a cost, and what the request costs then."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from edge.client_edge.limit_keys import TOO_DEAR, cost_of
from edge.context import Identity
from edge.errors import EdgeError
from store.model import Cost
from store.model.limits import MAX_COUNT
from tests.edge.client_edge.taking import Taking, context, run

SAID = [
    ("0", 0),
    ("0.0", 0),
    ("0e99999999", 0),
    ("7", 7),
    ("007", 7),
    ("100.0", 100),
    ("2.5", 3),
    ("3.0000000000000000000001", 4),
    ("0.001", 1),
    ("1e3", 1000),
    ("1E+3", 1000),
    ("1.25e1", 13),
    ("1200e-2", 12),
    ("0.00012e5", 12),
    ("5e-1", 1),
    ("1e-99999999", 1),
    ("1e-" + "9" * 5000, 1),
    ("0" * 5000 + "7", 7),
    ("7." + "0" * 5000, 7),
    ("1" + "0" * 5000 + "e-5000", 1),
    ("999999999999", 999_999_999_999),
    ("999999999999.1", TOO_DEAR),
    ("1000000000000", TOO_DEAR),
    ("9" * 13, TOO_DEAR),
    ("9" * 5000, TOO_DEAR),
    ("9" * 5000 + ".5", TOO_DEAR),
    ("1e12", TOO_DEAR),
    ("1e400", TOO_DEAR),
    ("1e" + "9" * 5000, TOO_DEAR),
    ("1e0000000000000000000001", 10),
    ("1e-0", 1),
]
NO_NUMBER = ["", " ", "-4", "-0.5", "-1e400", "+4", "many", "NaN", "Infinity", "-Infinity", "inf", "true", "[5]", "{}"]
NO_NUMBER += ["0x10", "1_000", "1,5", ".5", "5.", "1e", "e3", "1e3.5", "²", "٣", "5\n", " 5", "1.2.3", "1" * 5000 + "x"]


def by_header(text: str | None) -> int:
    """Give what a request costs of which a trusted service says this."""
    ctx = context(("X-Cost", "9"))
    ctx.identity = Identity("who", fields=() if text is None else (("x-cost", text),))
    return cost_of(Cost(header="X-Cost"))(ctx)


def by_claim(value: Any) -> int:
    """Give what a request costs of whose sender this is claimed."""
    ctx = context()
    ctx.identity = Identity("who", claims={"cost": value})
    return cost_of(Cost(claim="cost"))(ctx)


@pytest.mark.parametrize(("text", "cost"), SAID, ids=lambda value: str(value)[:24])
def test_a_number_costs_what_it_says_rounded_up_and_what_is_beyond_all_limits_too_much(text: str, cost: int) -> None:
    assert by_header(text) == by_claim(text) == cost


@pytest.mark.parametrize("text", NO_NUMBER, ids=lambda text: repr(text)[:24])
def test_what_is_no_number_costs_one(text: str) -> None:
    assert by_header(text) == by_claim(text) == 1


def test_who_is_silent_says_one() -> None:
    assert by_header(None) == by_claim(None) == 1
    assert cost_of(Cost(header="X-Cost"))(context()) == cost_of(Cost(claim="cost"))(context()) == 1


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        (5, 5),
        (100.0, 100),
        (2.5, 3),
        (1e-5, 1),
        (1.5e15, TOO_DEAR),
        (10**13, TOO_DEAR),
        (10**4000, TOO_DEAR),
        (math.inf, TOO_DEAR),  # what Python makes of a claim of 1e400
        (-math.inf, 1),
        (math.nan, 1),
        (-3, 1),
        (True, 1),
        ([5], 1),
        ({"cost": 5}, 1),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_claim_is_a_number_of_json(value: Any, cost: int) -> None:
    assert by_claim(value) == cost


def test_too_dear_is_more_than_any_limit_admits() -> None:
    assert TOO_DEAR > MAX_COUNT


def test_a_number_of_a_megabyte_is_read_in_no_time() -> None:
    began_s = time.process_time()
    for text in ("9" * 1_000_000, "0." + "9" * 1_000_000 + "x", "1e" + "9" * 1_000_000, "1e" + "0" * 50_000 + "x"):
        by_header(text)
    assert time.process_time() - began_s < 1  # int() of one of these takes many seconds


@pytest.mark.parametrize("dear", ["1000000", "1" + "0" * 12, "9" * 5000, "1e400"], ids=lambda text: text[:16])
async def test_the_dearest_requests_are_refused_as_any_that_cost_more_than_the_limit(taking: Taking, dear: str) -> None:
    for limit in ({"rate": "1000/h", "by": "tenant"}, {"quota": "1000/month", "by": "tenant"}):
        ctx = context()
        ctx.identity = Identity("who", fields=(("X-Cost", dear),))
        with pytest.raises(EdgeError) as caught:
            await run(taking.middleware(one={**limit, "cost": {"header": "X-Cost"}}), ctx)
        assert caught.value.code == "rate_limited"
