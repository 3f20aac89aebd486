"""store/standing.py: what is kept of a limit, said in units; a table of cases."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import parse_document
from store.quota import bounds_s
from store.standing import Counted, Standing, kind_of, most_of, standing

NOW_US = 1_800_000_000_000_000
DAY_US = bounds_s("day", NOW_US // 10**6)[0] * 10**6
DAY_LEFT_S = bounds_s("day", NOW_US // 10**6)[1] - NOW_US / 10**6
LIMITS = parse_document(
    {
        "tenant": "acme",
        "limits": {
            "rate": {"rate": "10/s", "burst": 20, "by": "key"},
            "thirds": {"rate": "3/s", "by": "ip", "shadow": True},
            "day": {"quota": "100/day", "by": "tenant"},
            "busy": {"concurrent": 5, "by": "tenant"},
        },
    }
).limits


def counted(name: str, *value: Any) -> Counted:
    return Counted(name, "k", value, 1500, NOW_US)


CASES = [
    # a rate of 10/s: each take moves it on by 0.1 s
    (counted("rate", NOW_US + 100_000, 0, 1), (1, 20, 19, 0), 0.1),
    (counted("rate", NOW_US + 100_001, 0, 1), (2, 20, 18, 0), 0.100001),
    (counted("rate", NOW_US + 2_000_000, 0, 1), (20, 20, 0, 0), 2.0),
    (counted("rate", NOW_US + 2_000_001, 0, 1), (20, 20, 0, 1), 2.000001),
    (counted("rate", NOW_US + 2_350_000, 0, 1), (20, 20, 0, 4), 2.35),
    (counted("rate", NOW_US + 7_000_000, 0, 1), (20, 20, 0, 50), 7.0),  # no more is ever owed than of five seconds
    (counted("rate", NOW_US + 7_000_001, 0, 1), (20, 20, 0, 0), 2.0),  # that it was made wider is owed by nobody
    (counted("rate", NOW_US - 1, 0, 1), (0, 20, 20, 0), 0.0),
    (counted("rate", NOW_US + 100_000, 1, 2), (2, 20, 18, 0), 0.100001),  # kept before it was edited: rounded up
    (counted("thirds", NOW_US + 333_333, 1, 3), (1, 3, 2, 0), 0.333333),
    (counted("thirds", NOW_US + 1_000_000, 1, 3), (3, 3, 0, 1), 1.0),
    (counted("day", 7, DAY_US, 0), (7, 100, 93, 0), DAY_LEFT_S),
    (counted("day", 103, DAY_US, 0), (100, 100, 0, 3), DAY_LEFT_S),
    (counted("day", 103, DAY_US - 1, 0), (0, 100, 100, 0), DAY_LEFT_S),  # of another window
    (counted("busy", (2, NOW_US + 1), (1, NOW_US + 5)), (3, 5, 2, 0), None),
    (counted("busy", (2, NOW_US), (9, NOW_US + 5)), (9, 5, 0, 0), None),  # one is dead; there may have been more
    (counted("busy"), (0, 5, 5, 0), None),
]


@pytest.mark.parametrize(("kept", "numbers", "back_in_s"), CASES)
def test_what_is_kept_is_said_in_units(kept: Counted, numbers: tuple[int, ...], back_in_s: float | None) -> None:
    found = standing(kept, LIMITS)
    assert (found.used, found.most, found.left, found.owed) == numbers
    assert found.back_in_s == pytest.approx(back_in_s)
    assert (found.name, found.key, found.is_declared) == (kept.name, "k", True)
    assert found.is_shadow == (kept.name == "thirds")
    assert found.is_at_rest == (numbers[0] == 0)


def test_workers_that_are_gone_have_nothing_under_way() -> None:
    assert standing(counted("busy", (2, NOW_US + 1), (1, NOW_US + 5), (1, NOW_US)), LIMITS).workers == 2
    assert standing(counted("rate", NOW_US + 1, 0, 1), LIMITS).workers is None


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (counted("gone", NOW_US + 1, 0, 1), Standing("gone", "k", "rate", None, back_in_s=1.5)),
        (counted("gone", 7, DAY_US, 0), Standing("gone", "k", "quota", 7, back_in_s=1.5)),
        (counted("gone", (2, NOW_US + 1)), Standing("gone", "k", "concurrent", 2, workers=1)),
        (counted("rate", 7, DAY_US, 0), Standing("rate", "k", "quota", 7, back_in_s=1.5)),  # of another kind now
        (counted("day", NOW_US + 1, 0, 1), Standing("day", "k", "rate", None, back_in_s=1.5)),
        (counted("day", (2, NOW_US + 1)), Standing("day", "k", "concurrent", 2, workers=1)),
    ],
)
def test_of_a_limit_that_is_not_there_any_more_the_count_alone_is_known(kept: Counted, expected: Standing) -> None:
    assert standing(kept, LIMITS) == expected


def test_what_is_used_most_is_the_greatest_share() -> None:
    owing = standing(counted("rate", NOW_US + 2_350_000, 0, 1), LIMITS)
    full = standing(counted("busy", (5, NOW_US + 1)), LIMITS)
    little = standing(counted("day", 7, DAY_US, 0), LIMITS)
    unknown = standing(counted("gone", 7, DAY_US, 0), LIMITS)
    assert owing.share > full.share == 1 > little.share == 0.07 > unknown.share


def test_each_kind_of_limit_has_its_most() -> None:
    assert {name: (kind_of(limit), most_of(limit)) for name, limit in LIMITS.items()} == {
        "rate": ("rate", 20),
        "thirds": ("rate", 3),
        "day": ("quota", 100),
        "busy": ("concurrent", 5),
    }
