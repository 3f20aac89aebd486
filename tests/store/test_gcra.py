"""store/gcra.py, and lua/take.lua against it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.client import Client, connect
from store.embedded import RedisProcess
from store.gcra import DEBT_US, Arrival, Pace, pace
from store.meter import Meter, take_all
from store.quota import quota
from store.scripts import Argument, script
from tests.store.kept_limits import KeptLimits

S = 1_000_000

limits = st.builds(
    lambda count, period_s, burst, cost: pace(count, period_s, max(burst, cost), cost),
    count=st.integers(1, 5_000),
    period_s=st.sampled_from([0.001, 0.01, 0.1, 1.0, 7.0, 60.0]),
    burst=st.integers(1, 40),
    cost=st.integers(1, 3),
)


@pytest.mark.parametrize(
    ("count", "period_s", "burst", "cost", "step", "slack", "parts"),
    [
        (100, 1.0, 200, 1, (10_000, 0), (2_000_000, 0), 1),
        (3, 1.0, 3, 1, (333_333, 1), (1_000_000, 0), 3),
        (3, 1.0, 2, 2, (666_666, 2), (666_666, 2), 3),
        (600, 60.0, 600, 1, (100_000, 0), (60_000_000, 0), 1),
        (7_000_000, 1.0, 1, 1, (0, 1), (0, 1), 7),
        (1_000_000, 86_400.0, 1_000_000, 1, (86_400, 0), (86_400_000_000, 0), 1),
    ],
)
def test_a_pace_is_exact_to_a_part_of_a_microsecond(
    count: int, period_s: float, burst: int, cost: int, step: tuple[int, int], slack: tuple[int, int], parts: int
) -> None:
    found = pace(count, period_s, burst, cost)
    assert (found.step, found.slack, found.parts) == (step, slack, parts)
    assert found.arguments == tuple(str(number).encode() for number in (*step, *slack, parts))


@pytest.mark.parametrize(
    ("count", "period_s", "burst", "cost"),
    [(0, 1.0, 1, 1), (1, 0.0, 1, 1), (1, 1.0, 0, 1), (1, 1.0, 1, 0), (1, 1.0, 2, 3), (1, 86_400.0, 10**6, 1)],
)
def test_a_limit_that_nothing_could_satisfy_or_count_is_refused(
    count: int, period_s: float, burst: int, cost: int
) -> None:
    with pytest.raises(ValueError, match=r"1 or more|too large"):
        pace(count, period_s, burst, cost)


def test_a_workers_share_divides_rate_and_burst_but_never_to_nothing() -> None:
    assert pace(100, 1.0, 200, 1, 4).step == (40_000, 0)
    assert pace(100, 1.0, 200, 1, 4).slack == (2_000_000, 0)
    assert pace(1, 1.0, 1, 1, 500).step == pace(1, 1.0, 1, 1, 500).slack == (500_000_000, 0)


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (None, (0, 0)),
        ((99, 2, 3), (0, 0)),  # in the past: at rest
        ((100, 0, 3), (0, 0)),
        ((100, 2, 3), (0, 2)),
        ((200, 1, 3), (100, 1)),
        ((200, 1, 7), (101, 0)),  # the limit was edited: rounded up
        ((666_700 + DEBT_US, 0, 3), (666_600 + DEBT_US, 0)),  # what is owed
        ((10**9, 0, 3), (666_666, 2)),  # clock set back, or a wider limit: empty, not stuck
    ],
)
def test_an_arrival_is_ahead_of_now_by_nothing_at_least_and_what_can_be_owed_at_most(
    arrival: Arrival | None, expected: tuple[int, int]
) -> None:
    assert pace(3, 1.0, 2).read(arrival, 100) == expected


def test_a_burst_at_once_then_the_rate() -> None:
    of = pace(2, 1.0, 3)
    arrival: Arrival | None = None
    votes = []
    for now_us in (0, 0, 0, 0, 499_999, 500_000, 500_001, 1_500_000, 1_500_000, 1_500_000):
        admitted, _, kept = take_all([arrival], [of], now_us)
        votes.append(admitted)
        arrival = kept[0] if kept else arrival
    assert votes == [True, True, True, False, False, True, False, True, True, False]


def test_what_is_left_and_how_long_to_wait_are_told_exactly() -> None:
    of = pace(3, 1.0, 3)
    assert (of.remaining((0, 0)), of.wait_us((0, 0))) == (3, 0)
    one = of.stepped((0, 0))
    assert (one, of.remaining(one), of.wait_us(one)) == ((333_333, 1), 2, 0)
    assert (of.remaining(of.slack), of.wait_us(of.slack)) == (0, 333_334)
    owed = (of.slack[0] + 10, 0)
    assert (of.remaining(owed), of.wait_us(owed)) == (0, 333_344)


def test_all_or_none() -> None:
    wide, narrow = pace(10, 1.0, 10), pace(1, 1.0, 1)
    admitted, ahead, kept = take_all([None, None], [wide, narrow], 0)
    assert (admitted, ahead) == (1, [(0, 0), (0, 0)])
    admitted, ahead, again = take_all(kept, [wide, narrow], 0)
    assert (admitted, ahead, again) == (0, [(100_000, 0), (1_000_000, 0)], [])


@given(of=limits, gaps=st.lists(st.integers(0, 200_000), min_size=1, max_size=60))
def test_no_window_ever_admits_more_than_burst_plus_rate_times_window(of: Pace, gaps: list[int]) -> None:
    now_us, arrival, admitted_at = 0, None, []
    for gap in gaps:
        now_us += gap
        admitted, _, kept = take_all([arrival], [of], now_us)
        if admitted:
            arrival = kept[0]
            admitted_at.append(now_us)
    step = Fraction(of.step[0]) + Fraction(of.step[1], of.parts)
    slack = Fraction(of.slack[0]) + Fraction(of.slack[1], of.parts)
    for first in range(len(admitted_at)):
        for last in range(first, len(admitted_at)):
            assert (last - first + 1) * step <= slack + (admitted_at[last] - admitted_at[first])


@given(of=limits, ahead_us=st.integers(0, 10**7))
def test_the_wait_is_exactly_when_the_next_take_is_admitted(of: Pace, ahead_us: int) -> None:
    ahead = min((ahead_us, 0), of.slack)
    wait = of.wait_us(ahead)
    assert of.is_admitted(ahead) is (wait == 0)
    if wait:
        arrival = (ahead[0], ahead[1], of.parts)
        assert take_all([arrival], [of], wait)[0]
        assert not take_all([arrival], [of], wait - 1)[0]


turns = st.tuples(
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
    st.integers(1, 40),
    st.sampled_from([0, 1, 1_000, 25_000, 250_000]),
)
takes = st.lists(turns, min_size=1, max_size=30)
Turn = tuple[list[int], int, int]


meters = limits | st.builds(
    lambda limit, window, cost: quota(max(limit, cost), window, cost),
    limit=st.integers(1, 60),
    window=st.sampled_from(["minute", "hour", "day", "month"]),
    cost=st.integers(1, 3),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paces=st.lists(meters, min_size=4, max_size=4), edited=meters, takes=takes)
def test_the_script_in_redis_decides_exactly_as_the_pure_function(
    redis_server: RedisProcess, paces: list[Meter], edited: Meter, takes: list[Turn]
) -> None:
    asyncio.run(compare(redis_server.url, paces, edited, takes))


async def compare(url: str, paces: list[Meter], edited: Meter, takes: list[Turn]) -> None:
    async with connect(url, "control") as client:
        await client.ask("FLUSHALL")
        arrivals: dict[int, Arrival] = {}
        for turn, (chosen, wanted, life_us) in enumerate(takes):
            if turn == len(takes) // 2:
                paces = [edited, *paces[1:]]  # a limit is edited while it is being used
            used = [paces[n] for n in chosen]
            reply = await run_script(client, chosen, used, wanted, life_us)
            granted, ahead, kept = take_all([arrivals.get(n) for n in chosen], used, reply[1], wanted, life_us)
            assert reply[0] == granted
            assert list(zip(reply[2::2], reply[3::2], strict=True)) == ahead
            cut = {
                n: of.cut(arrivals.get(n), reply[1]) for n, of in zip(chosen, used, strict=True) if isinstance(of, Pace)
            }
            arrivals.update({n: kept for n, kept in cut.items() if kept is not None and not granted})
            arrivals.update(zip(chosen, kept, strict=False))
        for n, arrival in arrivals.items():
            found = await client.ask("GET", f"{{rl:t}}:{n}")
            assert found is None or found.startswith(b"%d %d %d" % arrival)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    of=st.lists(meters, min_size=1, max_size=3),
    takes=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([0, 1_000, 25_000]), st.sampled_from([0.0, 0.3, 1.0])),
        min_size=1,
        max_size=15,
    ),
)
def test_what_is_given_back_to_redis_is_what_the_model_takes_back(
    redis_server: RedisProcess, of: list[Meter], takes: list[tuple[int, int, float]]
) -> None:
    asyncio.run(compare_giving_back(redis_server.url, of, takes))


async def compare_giving_back(url: str, of: list[Meter], takes: list[tuple[int, int, float]]) -> None:
    chosen, model = list(range(len(of))), KeptLimits(of)
    async with connect(url, "control") as client:
        await client.ask("FLUSHALL")
        for wanted, life_us, part_back in takes:
            reply = await run_script(client, chosen, of, wanted, life_us)
            granted, before = model.take(reply[1], wanted, life_us)
            assert (reply[0], list(zip(reply[2::2], reply[3::2], strict=True))) == (granted, before)
            back = int(granted * part_back)
            if back:
                moved = [b"%d" % number for each in of for number in each.units(back)]
                await client.run(script("give_back"), [f"{{rl:t}}:{n}" for n in chosen], [b"%d" % reply[1], *moved])
                model.give_back([b"%d" % reply[1], *moved])
        for n, kept in enumerate(model.kept):
            found = await client.ask("GET", f"{{rl:t}}:{n}")
            numbers = [*(kept or ()), *(number for low in model.lows[n] for number in low)]
            assert found is None or found.split() == [b"%d" % number for number in numbers]


async def run_script(
    client: Client, chosen: list[int], paces: Sequence[Meter], wanted: int = 1, life_us: int = 0
) -> list[int]:
    names = [f"{{rl:t}}:{n}" for n in chosen]
    arguments: list[Argument] = [wanted, life_us, *(argument for of in paces for argument in of.arguments)]
    reply: list[int] = await client.run(script("take"), names, arguments)
    return reply


async def test_a_kept_arrival_lives_as_long_as_it_matters(client: Client) -> None:
    of = pace(10, 1.0, 10)
    for _ in range(10):
        await run_script(client, [1], [of])
    assert 900 < await client.ask("PTTL", "{rl:t}:1") <= 1001
    reply = await run_script(client, [1], [of])
    assert reply[0] == 0


async def test_a_refusal_writes_nothing(client: Client) -> None:
    wide, narrow = pace(10, 60.0, 10), pace(1, 60.0, 1)
    await run_script(client, [1, 2], [wide, narrow])
    before = [await client.ask("GET", "{rl:t}:1"), await client.ask("GET", "{rl:t}:2")]
    assert (await run_script(client, [1, 2], [wide, narrow]))[0] == 0
    assert [await client.ask("GET", "{rl:t}:1"), await client.ask("GET", "{rl:t}:2")] == before


async def test_an_arrival_far_in_the_future_empties_the_limit_and_does_not_lock_it(client: Client) -> None:
    of = pace(1000, 1.0, 2)
    await client.ask("SET", "{rl:t}:1", f"{4 * 10**15} 0 1", is_write=True)
    reply = await run_script(client, [1], [of])
    assert (reply[0], tuple(reply[2:4])) == (0, of.slack)


async def test_a_limit_that_is_made_wider_admits_again_as_fast_as_it_says(client: Client) -> None:
    narrow, wide = pace(1, 3600.0, 3), pace(100, 1.0, 100)
    for _ in range(3):
        assert (await run_script(client, [1], [narrow]))[0] == 1
    assert (await run_script(client, [1], [wide]))[0] == 0
    await asyncio.sleep(0.05)
    assert (await run_script(client, [1], [wide]))[0] == 1


async def test_bytes_that_are_no_arrival_count_as_none(client: Client) -> None:
    await client.ask("SET", "{rl:t}:1", "nonsense", is_write=True)
    assert (await run_script(client, [1], [pace(1, 60.0, 1)]))[0] == 1
    assert (await run_script(client, [1], [pace(1, 60.0, 1)]))[0] == 0
