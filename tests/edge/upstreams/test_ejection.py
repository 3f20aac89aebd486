from __future__ import annotations

import pytest

from edge.upstreams.ejection import (
    FAILURES_BEFORE_EJECTION,
    FORGET_ONE_AFTER_S,
    GOOD,
    LONGEST_EJECTION_S,
    Standing,
    after_failure,
    after_success,
    may_eject,
)

NOW_S = 1000.0


def after(outcomes: str, standing: Standing = GOOD, now_s: float = NOW_S, *, may: bool = True) -> Standing:
    """Let a target fail (-) and succeed (+) in this order."""
    for outcome in outcomes:
        is_good = outcome == "+"
        standing = after_success(standing) if is_good else after_failure(standing, now_s, may_eject=may)
    return standing


@pytest.mark.parametrize(
    ("outcomes", "is_ejected"),
    [
        ("", False),
        ("+", False),
        ("----", False),
        ("-----", True),
        ("----+-", False),
        ("----+----", False),
        ("----+-----", True),
        ("-+" * 20, False),
        ("-----+", True),
    ],
)
def test_five_failures_in_a_row_eject(outcomes: str, is_ejected: bool) -> None:
    assert after(outcomes).is_ejected(NOW_S) is is_ejected


def test_an_ejection_ends_by_itself() -> None:
    standing = after("-----")
    assert standing.is_ejected(NOW_S + 9.9)
    assert not standing.is_ejected(NOW_S + 10)


def test_each_further_ejection_is_longer_up_to_five_minutes() -> None:
    standing, now_s, pauses = GOOD, NOW_S, []
    for _ in range(40):
        standing = after("-----", standing, now_s)
        pauses.append(standing.until_s - now_s)
        now_s = standing.until_s
    assert pauses[:4] == [10, 20, 30, 40]
    assert pauses[-5:] == [LONGEST_EJECTION_S] * 5


def test_a_target_that_comes_back_is_ejected_again_by_its_first_failure() -> None:
    first = after("-----")
    again = after("-", first, first.until_s)
    assert again.until_s == first.until_s + 20


def test_a_target_that_comes_back_and_does_well_needs_five_failures_again() -> None:
    first = after("-----")
    assert not after("+----", first, first.until_s).is_ejected(first.until_s)
    assert after("+-----", first, first.until_s).is_ejected(first.until_s)


def test_failures_that_were_still_under_way_do_not_lengthen_an_ejection() -> None:
    first = after("-----")
    assert after("-" * 20, first).until_s == first.until_s


@pytest.mark.parametrize(
    ("service_s", "pause_s"),
    [
        (0, 40),
        (FORGET_ONE_AFTER_S - 1, 40),
        (FORGET_ONE_AFTER_S, 30),
        (2 * FORGET_ONE_AFTER_S, 20),
        (100 * FORGET_ONE_AFTER_S, 10),
    ],
)
def test_ejections_are_forgotten_one_by_one_in_service(service_s: float, pause_s: float) -> None:
    before = Standing(FAILURES_BEFORE_EJECTION, ejections=3, until_s=NOW_S)
    assert after("-", before, NOW_S + service_s).until_s == NOW_S + service_s + pause_s


def test_a_target_that_may_not_be_ejected_is_as_soon_as_it_may() -> None:
    spared = after("-" * 9, may=False)
    assert not spared.is_ejected(NOW_S)
    assert after("-", spared).is_ejected(NOW_S)


@pytest.mark.parametrize(
    ("ejected", "targets", "usable_others", "expected"),
    [
        (0, 1, 0, False),
        (0, 2, 1, True),
        (1, 2, 0, False),
        (0, 2, 0, False),  # its only companion is unhealthy
        (0, 3, 2, True),
        (1, 3, 1, False),
        (0, 4, 3, True),
        (1, 4, 2, True),
        (1, 4, 0, False),
        (2, 4, 1, False),
    ],
)
def test_at_most_half_are_ejected_and_never_the_last_usable_one(
    ejected: int, targets: int, usable_others: int, expected: bool
) -> None:
    assert may_eject(ejected=ejected, targets=targets, usable_others=usable_others) is expected
