from __future__ import annotations

import pytest

from edge.answer import UpstreamError
from edge.errors import EdgeError
from edge.upstreams.retry import Attempt, RetryBudget, is_stale_connection, may_retry
from store.model import Retry

ALL = Retry.model_validate({"attempts": 2, "on": ["connect", "reset", "502", "503", "504"]})
REFUSED = UpstreamError("upstream_connect", "", is_request_sent=False)
CONNECT_TIMEOUT = UpstreamError("upstream_timeout", "", is_request_sent=False)
RESET = UpstreamError("upstream_reset", "", is_request_sent=True)
STALE = UpstreamError("upstream_reset", "", is_request_sent=True, is_reused=True)
TIMEOUT = UpstreamError("upstream_timeout", "", is_request_sent=True)
GARBAGE = UpstreamError("upstream_protocol", "", is_request_sent=True)


def attempt(
    failure: EdgeError | int, method: str = "GET", made: int = 0, *, untouched: bool = True, repeatable: bool = True
) -> Attempt:
    return Attempt(failure, made, method, untouched, repeatable)


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        (attempt(REFUSED), True),
        (attempt(REFUSED, "POST"), True),
        (attempt(REFUSED, "POST", repeatable=False), True),
        (attempt(REFUSED, "POST", untouched=False, repeatable=False), False),
        (attempt(CONNECT_TIMEOUT, "POST", repeatable=False), True),
        (attempt(RESET), True),
        (attempt(RESET, "PUT"), True),
        (attempt(RESET, "PUT", untouched=False, repeatable=False), False),
        (attempt(RESET, "POST"), False),
        (attempt(RESET, "PATCH"), False),
        (attempt(502), True),
        (attempt(503, "DELETE"), True),
        (attempt(504, "POST"), False),
        (attempt(TIMEOUT), False),
        (attempt(GARBAGE), False),
        (attempt(EdgeError("body_too_large")), False),
        (attempt(RESET, made=1), True),
        (attempt(RESET, made=2), False),
    ],
)
def test_a_request_is_repeated_only_where_it_cannot_do_its_work_twice(tried: Attempt, expected: bool) -> None:
    assert may_retry(tried, ALL) is expected


@pytest.mark.parametrize(
    ("tried", "expected"), [(attempt(RESET), True), (attempt(503), False), (attempt(REFUSED, "POST"), True)]
)
def test_by_default_only_connections_are_retried(tried: Attempt, expected: bool) -> None:
    assert may_retry(tried, Retry()) is expected


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        (attempt(STALE), True),
        (attempt(STALE, "POST"), False),
        (attempt(STALE, "PUT", repeatable=False), False),
        (attempt(RESET), False),
        (attempt(503), False),
    ],
)
def test_only_an_idle_connections_reset_is_the_edges_own_bad_luck(tried: Attempt, expected: bool) -> None:
    assert is_stale_connection(tried) is expected


def test_retries_are_at_most_a_fifth_of_the_requests_and_three() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.note_request(1000.0)
    assert sum(budget.take(1000.0) for _ in range(100)) == 23
    assert sum(budget.take(1005.0) for _ in range(100)) == 0
    assert sum(budget.take(1010.2) for _ in range(100)) == 3
