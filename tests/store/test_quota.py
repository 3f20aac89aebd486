"""store/quota.py: windows of the calendar, and what is left of a quota in them; lua/window.lua against it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.client import Client
from store.meter import LONGEST_LIFE_S, US_PER_S, take_all
from store.quota import NOMINAL_S, WINDOWS, Quota, bounds_s, quota
from store.scripts import script


def unix_s(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("window", "now", "began", "ends"),
    [
        ("minute", "2026-11-21T19:53:59", "2026-11-21T19:53:00", "2026-11-21T19:54:00"),
        ("minute", "2026-11-21T19:54:00", "2026-11-21T19:54:00", "2026-11-21T19:55:00"),
        ("hour", "2026-11-21T23:59:59", "2026-11-21T23:00:00", "2026-11-22T00:00:00"),
        ("day", "2026-12-31T23:59:59", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("month", "2027-01-01T00:00:00", "2027-01-01T00:00:00", "2027-02-01T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2027-02-28T23:59:59", "2027-02-01T00:00:00", "2027-03-01T00:00:00"),
    ],
)
def test_a_window_is_one_of_the_calendar_in_utc(window: str, now: str, began: str, ends: str) -> None:
    assert bounds_s(window, unix_s(now)) == (unix_s(began), unix_s(ends))


async def test_redis_knows_the_same_windows_for_centuries(client: Client) -> None:
    text = script("window").source + "return {window_of(tonumber(ARGV[1]), tonumber(ARGV[2]))}"
    days = [datetime(1999, 12, 25, tzinfo=UTC) + timedelta(days=31 * n + n % 7) for n in range(1300)]
    days += [
        datetime(year, month, day, 23, 59, 59, tzinfo=UTC)
        for year in range(1999, 2105)
        for month, day in ((2, 28), (3, 1))
    ]
    for now_s in (int(day.timestamp()) for day in days):
        for code, window in enumerate(WINDOWS):
            found = await client.ask("EVAL", text, 0, code, now_s * US_PER_S)
            assert tuple(found) == tuple(at * US_PER_S for at in bounds_s(window, now_s)), (window, now_s)


@pytest.mark.parametrize(
    ("limit", "window", "cost"), [(0, "day", 1), (1, "day", 0), (1, "day", 2), (1, "week", 1), (2**53, "day", 1)]
)
def test_a_quota_that_nothing_could_satisfy_or_count_is_refused(limit: int, window: str, cost: int) -> None:
    with pytest.raises(ValueError, match="quota"):
        quota(limit, window, cost)


def test_it_is_used_up_within_its_window_and_all_there_in_the_next() -> None:
    of, kept, now_us = quota(2, "minute"), None, unix_s("2026-11-21T19:53:58") * US_PER_S
    votes = []
    for later_us in (0, 1_000_000, 1_999_999, 2_000_000, 3_000_000, 61_999_999, 62_000_000):
        taken, states, after = take_all([kept], [of], now_us + later_us)
        kept = after[0] if after else kept
        votes.append((taken, of.remaining(states[0])))
    assert votes == [(1, 2), (1, 1), (0, 0), (1, 2), (1, 1), (0, 0), (1, 2)]


def test_what_is_left_and_how_long_to_wait_are_told() -> None:
    of = quota(10, "day", cost=3)
    assert (of.remaining((4, 500)), of.wait_us((4, 500)), of.reset_us((4, 500))) == (6, 0, 500)
    assert (of.remaining((8, 500)), of.wait_us((8, 500))) == (2, 500)
    assert (of.remaining((12, 500)), of.is_admitted((12, 500))) == (0, False)  # it was made smaller
    assert of.passed((8, 500), 499) == (8, 1)
    assert of.passed((8, 500), 500)[0] == 0


def test_nothing_is_taken_ahead_that_could_outlive_the_window() -> None:
    of = quota(1000, "hour")
    life_us = int(LONGEST_LIFE_S * US_PER_S)
    assert of.most((10, life_us), 50, life_us) == 50
    assert of.most((10, life_us - 1), 50, life_us) == 1
    assert of.most((980, life_us), 50, life_us) == 20
    assert of.most((1000, life_us - 1), 50, life_us) == 0


@given(limit=st.integers(1, 10**9), cost=st.integers(1, 1000), workers=st.integers(1, 64))
def test_the_shares_of_all_workers_are_no_more_than_the_whole_unless_a_take_needs_it(
    limit: int, cost: int, workers: int
) -> None:
    share = quota(max(limit, cost), "month", cost, workers)
    assert share.limit == cost or share.limit * workers <= max(limit, cost)
    assert 1 <= share.most_ahead <= max(1, share.limit // cost)


def test_every_window_has_a_length_for_the_policy() -> None:
    assert set(NOMINAL_S) == set(WINDOWS)
    assert isinstance(quota(1, "day"), Quota)


async def test_redis_gives_one_unit_at_most_where_more_could_outlive_the_window(client: Client) -> None:
    of = quota(1000, "minute")
    # The life is what varies, since Redis' clock is its own: longer than any minute, and shorter than the rest of one.
    for life_us, granted in ((61 * US_PER_S, 1), (1, 5)):
        name = f"{{rl:acme}}:q:{life_us}"
        reply = await client.run(script("take"), [name], [5, life_us, *of.arguments], is_write=True)
        assert (reply[0], of.most((reply[2], reply[3]), 5, life_us)) == (granted, granted)
