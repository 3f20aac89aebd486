from __future__ import annotations

import pytest

from edge.upstreams.ejection import GOOD, Standing, after_failure, after_success, may_eject


def failed(times: int, standing: Standing = GOOD, now_s: float = 100.0, *, may: bool = True) -> Standing:
    for _ in range(times):
        standing = after_failure(standing, now_s, may_eject=may)
    return standing


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (failed(4), Standing(4, 0, 0.0)),
        (failed(5), Standing(0, 1, 110.0)),
        (failed(7), Standing(2, 1, 110.0)),
        (failed(5, failed(5), 200.0), Standing(0, 2, 220.0)),
        (failed(5, Standing(0, 60, 0.0)), Standing(0, 61, 400.0)),
        (failed(9, may=False), Standing(9, 0, 0.0)),
        (after_success(failed(4)), GOOD),
        (after_success(Standing(2, 2, 90.0)), Standing(0, 1, 90.0)),
        (after_success(GOOD), GOOD),
    ],
)
def test_five_failures_in_a_row_eject_longer_each_time(standing: Standing, expected: Standing) -> None:
    assert standing == expected


def test_an_ejection_ends_by_itself() -> None:
    standing = failed(5)
    assert standing.is_ejected(109.9)
    assert not standing.is_ejected(110.0)


@pytest.mark.parametrize(
    ("ejected", "targets", "expected"),
    [(0, 1, False), (0, 2, True), (1, 2, False), (0, 3, True), (1, 3, False), (1, 4, True), (2, 4, False)],
)
def test_at_most_half_of_the_targets_are_ejected(ejected: int, targets: int, expected: bool) -> None:
    assert may_eject(ejected, targets) is expected
