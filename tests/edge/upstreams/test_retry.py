from __future__ import annotations

from typing import Any

import pytest

from edge.answer import UpstreamError
from edge.errors import EdgeError
from edge.upstreams.retry import (
    BUDGET_FLOOR,
    BUDGET_SHARE,
    BUDGET_WINDOW_S,
    Attempt,
    RetryBudget,
    is_stale_connection,
    may_retry,
)
from store.model import Retry

EVERYTHING = Retry.model_validate({"attempts": 2, "on": ["connect", "reset", "502", "503", "504"]})

REFUSED = UpstreamError("upstream_connect", "refused", is_request_sent=False)
CONNECT_TIMEOUT = UpstreamError("upstream_timeout", "no connection in time", is_request_sent=False)
RESET = UpstreamError("upstream_reset", "closed", is_request_sent=True)
STALE = UpstreamError("upstream_reset", "closed", is_request_sent=True, is_reused=True)
NO_ANSWER = UpstreamError("upstream_timeout", "no answer in time", is_request_sent=True)
GARBAGE = UpstreamError("upstream_protocol", "two lengths", is_request_sent=True)
CLIENTS_OWN = EdgeError("body_too_large")


def attempt(failure: EdgeError | int, **changed: Any) -> Attempt:
    facts = {"retries_made": 0, "method": "GET", "is_body_untouched": True, "is_body_repeatable": True, **changed}
    return Attempt(failure, **facts)


READ_BODY = {"is_body_untouched": False, "is_body_repeatable": False}
UNREAD_BODY = {"is_body_untouched": True, "is_body_repeatable": False}


@pytest.mark.parametrize(
    ("failure", "request_facts", "is_retried"),
    [
        # Nothing was sent: any method, as long as the body is still there to be sent.
        (REFUSED, {}, True),
        (REFUSED, {"method": "POST"}, True),
        (REFUSED, {"method": "POST", **UNREAD_BODY}, True),
        (REFUSED, {"method": "POST", **READ_BODY}, False),
        (CONNECT_TIMEOUT, {"method": "PATCH"}, True),
        # It may have been seen: only what is idempotent, and only without a body that is gone.
        (RESET, {}, True),
        (RESET, {"method": "HEAD"}, True),
        (RESET, {"method": "OPTIONS"}, True),
        (RESET, {"method": "PUT"}, True),
        (RESET, {"method": "DELETE"}, True),
        (RESET, {"method": "POST"}, False),
        (RESET, {"method": "PATCH"}, False),
        (RESET, {"method": "get"}, False),
        (RESET, {"method": "PURGE"}, False),
        (RESET, {"method": "PUT", **READ_BODY}, False),
        (502, {}, True),
        (503, {}, True),
        (504, {}, True),
        (503, {"method": "POST"}, False),
        (503, {"method": "PUT", **READ_BODY}, False),
        # What another target would not do better, or what may still be at work.
        (500, {}, False),
        (NO_ANSWER, {}, False),
        (GARBAGE, {}, False),
        (CLIENTS_OWN, {}, False),
    ],
)
def test_a_request_is_repeated_only_where_that_cannot_do_its_work_twice(
    failure: EdgeError | int, request_facts: dict[str, Any], is_retried: bool
) -> None:
    assert may_retry(attempt(failure, **request_facts), EVERYTHING) is is_retried


@pytest.mark.parametrize(
    ("reason", "failure"),
    [("connect", REFUSED), ("connect", CONNECT_TIMEOUT), ("reset", RESET), ("502", 502), ("503", 503), ("504", 504)],
)
def test_only_the_reasons_that_were_asked_for_are_retried(reason: str, failure: EdgeError | int) -> None:
    assert may_retry(attempt(failure), Retry.model_validate({"on": [reason]}))
    others = [each for each in ("connect", "reset", "502", "503", "504") if each != reason]
    assert not may_retry(attempt(failure), Retry.model_validate({"on": others}))


@pytest.mark.parametrize(
    ("attempts", "retries_made", "is_retried"), [(0, 0, False), (1, 0, True), (1, 1, False), (3, 2, True)]
)
def test_the_number_of_attempts_is_a_bound(attempts: int, retries_made: int, is_retried: bool) -> None:
    retry = Retry.model_validate({"attempts": attempts})
    assert may_retry(attempt(REFUSED, retries_made=retries_made), retry) is is_retried


@pytest.mark.parametrize(
    ("failure", "request_facts", "is_stale"),
    [
        (STALE, {}, True),
        (STALE, {"method": "PUT"}, True),
        (STALE, {"method": "POST"}, False),
        (STALE, READ_BODY, False),
        (RESET, {}, False),
        (REFUSED, {}, False),
        (503, {}, False),
    ],
)
def test_an_idle_connection_that_was_closed_meanwhile_is_told_from_a_failing_target(
    failure: EdgeError | int, request_facts: dict[str, Any], is_stale: bool
) -> None:
    assert is_stale_connection(attempt(failure, **request_facts)) is is_stale


@pytest.mark.parametrize(
    ("failure", "is_retried"), [(RESET, True), (REFUSED, True), (502, False), (503, False), (504, False)]
)
def test_by_default_only_what_happened_to_the_connection_is_retried(failure: EdgeError | int, is_retried: bool) -> None:
    assert may_retry(attempt(failure), Retry()) is is_retried
    assert not may_retry(attempt(failure, retries_made=1), Retry())


def taken(budget: RetryBudget, now_s: float, wanted: int = 1000) -> int:
    return sum(budget.take(now_s) for _ in range(wanted))


def test_a_quiet_upstream_has_a_few_retries_all_the_same() -> None:
    assert taken(RetryBudget(), 0.0) == BUDGET_FLOOR


def test_retries_are_a_bounded_share_of_the_requests() -> None:
    budget = RetryBudget()
    for number in range(1000):
        budget.note_request(number / 1000)
    assert taken(budget, 1.0) == BUDGET_FLOOR + 1000 * BUDGET_SHARE


def test_when_everything_fails_retries_stay_within_their_share_however_long_it_lasts() -> None:
    budget = RetryBudget()
    requests, retries = 20_000, 0
    for number in range(requests):  # a minute and more at 300 a second, each of them failing
        budget.note_request(number / 300)
        retries += budget.take(number / 300)
    # The floor is a matter of three in ten seconds, and tenths of a second are counted as one.
    assert requests * BUDGET_SHARE * 0.99 < retries < requests * BUDGET_SHARE * 1.01


def test_retries_come_back_when_the_window_has_passed() -> None:
    budget = RetryBudget()
    assert taken(budget, 0.0) == BUDGET_FLOOR
    assert taken(budget, BUDGET_WINDOW_S - 0.1) == 0
    assert taken(budget, BUDGET_WINDOW_S + 0.1) == BUDGET_FLOOR


def test_requests_of_long_ago_allow_no_retries_now() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.note_request(0.0)
    assert taken(budget, BUDGET_WINDOW_S + 1) == BUDGET_FLOOR


def test_the_budget_of_a_busy_upstream_stays_small() -> None:
    budget = RetryBudget()
    for number in range(50_000):
        budget.note_request(number / 1000)
        budget.take(number / 1000)
    assert len(budget._requests) <= BUDGET_WINDOW_S * 10 + 2
