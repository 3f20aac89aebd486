"""store/breaker.py: a pure decider, as a table."""

from __future__ import annotations

import pytest

from store.breaker import CLOSED, FAILURES_TO_OPEN, Breaker, after_failure, may_try


@pytest.mark.parametrize(
    ("breaker", "now_s", "is_tried", "kept"),
    [
        (CLOSED, 0.0, True, CLOSED),
        (Breaker(4, 11.0), 10.0, True, Breaker(4, 11.0)),
        (Breaker(5, 11.0), 10.0, False, Breaker(5, 11.0)),
        (Breaker(5, 11.0), 10.999, False, Breaker(5, 11.0)),
        (Breaker(5, 11.0), 11.0, True, Breaker(5, 12.0)),
        (Breaker(5, 12.0), 11.0, False, Breaker(5, 12.0)),  # one probe is out; it may never come back
        (Breaker(5, 12.0), 12.0, True, Breaker(5, 13.0)),
        (Breaker(99, 0.0), 500.0, True, Breaker(99, 501.0)),
    ],
)
def test_it_lets_everything_through_until_it_opens_and_then_one_probe_a_second(
    breaker: Breaker, now_s: float, is_tried: bool, kept: Breaker
) -> None:
    assert may_try(breaker, now_s) == (is_tried, kept)


def test_it_opens_with_the_fifth_failure_in_a_row() -> None:
    breaker = CLOSED
    for n in range(FAILURES_TO_OPEN):
        assert not breaker.is_open
        breaker = after_failure(breaker, float(n))
    assert breaker == Breaker(5, 5.0)
    assert breaker.is_open


def test_a_failed_probe_puts_the_next_one_off_by_a_second() -> None:
    assert after_failure(Breaker(5, 11.0), 11.0) == Breaker(6, 12.0)


def test_what_fails_at_one_moment_is_one_failure() -> None:
    breaker = CLOSED
    for n in range(100):
        breaker = after_failure(breaker, 10.0 + n / 100_000)
    assert breaker.failures == 1
    assert after_failure(breaker, 10.05).failures == 2


def test_what_fails_all_the_time_opens_it_however_close_together() -> None:
    breaker, now_s = CLOSED, 10.0
    while not breaker.is_open:
        breaker = after_failure(breaker, now_s)
        now_s += 0.0005
    assert 10.15 < now_s < 10.2
