"""When an issuer's key set is fetched, and what is done with a token meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edge.client_edge.jwks import PublicKey
from edge.client_edge.key_sets import SetState, Step, Verdict, decide, refresh_after_s

DAY_S = 86_400.0
KEY = PublicKey("k1", frozenset({"RS256"}), b"1", None)
NONE = SetState()
ASKING = SetState(asked_s=0.0, is_asking=True)
FAILED = SetState(asked_s=0.0, failures=1)
FAILING = SetState(asked_s=0.0, failures=20)
FRESH = SetState((KEY,), fetched_s=0.0, refresh_s=600.0, asked_s=0.0)
STALE = replace(FRESH, asked_s=7000.0, failures=3)


@pytest.mark.parametrize(
    ("state", "now_s", "has_key", "step"),
    [
        # nothing is known yet
        (NONE, 0.0, False, Step(Verdict.WAIT, fetch=True)),
        (ASKING, 1.0, False, Step(Verdict.WAIT, fetch=True)),
        (FAILED, 0.9, False, Step(Verdict.LOST)),
        (FAILED, 1.0, False, Step(Verdict.WAIT, fetch=True)),
        (FAILING, 29.9, False, Step(Verdict.LOST)),
        (FAILING, 30.0, False, Step(Verdict.WAIT, fetch=True)),
        (replace(FAILING, is_asking=True), 3.0, False, Step(Verdict.WAIT, fetch=True)),
        # the key is known
        (FRESH, 599.0, True, Step(Verdict.USE)),
        (FRESH, 600.0, True, Step(Verdict.USE, fetch=True)),
        (replace(FRESH, is_asking=True), 601.0, True, Step(Verdict.USE, fetch=True)),
        (FRESH, 1199.0, True, Step(Verdict.USE, fetch=True)),
        (FRESH, 1200.0, True, Step(Verdict.WAIT, fetch=True)),
        # and the issuer is down
        (STALE, 7003.9, True, Step(Verdict.USE)),
        (STALE, 7004.0, True, Step(Verdict.USE, fetch=True)),
        (replace(STALE, asked_s=DAY_S - 1), DAY_S - 0.1, True, Step(Verdict.USE)),
        (replace(STALE, asked_s=DAY_S - 1), DAY_S, True, Step(Verdict.LOST)),
        (replace(STALE, asked_s=DAY_S - 1), DAY_S + 3, True, Step(Verdict.WAIT, fetch=True)),
        # the key is not in the set
        (FRESH, 29.9, False, Step(Verdict.REFUSE)),
        (FRESH, 30.0, False, Step(Verdict.WAIT, fetch=True)),
        (replace(FRESH, asked_s=30.0, is_asking=True), 31.0, False, Step(Verdict.WAIT)),
        (replace(FRESH, asked_s=30.0), 59.9, False, Step(Verdict.REFUSE)),
        (STALE, 7029.9, False, Step(Verdict.LOST)),
        (STALE, 7030.0, False, Step(Verdict.WAIT, fetch=True)),
    ],
)
def test_what_is_to_be_done_with_a_token(state: SetState, now_s: float, has_key: bool, step: Step) -> None:
    assert decide(state, now_s, has_key=has_key) == step


def test_an_issuer_that_fails_is_asked_ever_more_seldom_but_at_least_each_half_minute() -> None:
    pauses = [replace(FAILED, failures=failures).retry_at_s() for failures in range(1, 8)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert replace(FAILED, failures=10**6).retry_at_s() == 30
    assert NONE.retry_at_s() == -math.inf


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("", 600),
        ("public", 600),
        ("max-age=900", 900),
        ("public, MAX-AGE=900, immutable", 900),
        ('max-age="900"', 900),
        ("max-age=1", 60),
        ("max-age=0", 60),
        ("max-age=999999999", 3600),
        ("max-age=99999999999999999999", 3600),
        ("s-maxage=900", 600),
        ("max-age=-5", 600),
        ("max-age=soon", 600),
        ("no-cache, max-age=900", 60),
        ("no-store", 60),
    ],
)
def test_a_set_is_due_when_its_issuer_says_within_bounds(told: str, seconds: int) -> None:
    assert refresh_after_s({"Cache-Control": told}) == seconds
