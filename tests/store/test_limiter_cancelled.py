"""store/limiter.py where requests go while they wait: what was taken for them is not lost, and never spent too late."""

from __future__ import annotations

import asyncio

import pytest

from store.client import connect
from store.decisions import Decision, Take, meter_of, names_of
from store.lane import Lane
from store.limiter import Limiter
from store.scripts import script
from tests.fakes.waiting import until
from tests.store.test_limiter_ahead import a_limiter, together

HOURLY = Take("hourly", "k", 1000, 3600.0, 1000)
MONTHLY = HOURLY._replace(name="monthly", window="month")


async def take_all_but(url: str, left: int, take: Take) -> None:
    """Have another worker take units of a limit until so many are left."""
    of, names = meter_of(take.shape), names_of("acme", [take])
    async with connect(url, "data") as link:
        _, _, *before = await link.run(script("take"), names, [1, 0, *of.arguments], is_write=True)
        count = of.remaining(of.stepped((before[0], before[1]))) - left
        granted, *_ = await link.run(script("take"), names, [count, 0, *of.arguments], is_write=True)
        assert granted == count


async def asking(limiter: Limiter, take: Take) -> list[asyncio.Task[Decision]]:
    """Have several ask together for what is not held any more; those who wait for an asking for all of them."""
    held = limiter._held["acme", (take,)]
    while (found := limiter.take_at_once("acme", (take,))) is not None:
        assert found.admitted
    tasks = [asyncio.create_task(limiter.take("acme", [take])) for _ in range(4)]
    async with asyncio.timeout(5):
        while not (held.is_asking and held.size > 1 and held.waiting):  # noqa: ASYNC110 - as below
            await asyncio.sleep(0)  # each turn of the loop, so that the reply is not here yet
    waiting = [task for task in tasks if not task.done()]
    assert len(waiting) == len(held.waiting) >= 3
    return waiting


async def gone(limiter: Limiter, tasks: list[asyncio.Task[Decision]]) -> None:
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await until(lambda: not limiter._tasks)


async def gone_when_told(limiter: Limiter, take: Take, tasks: list[asyncio.Task[Decision]]) -> None:
    """Have them go when they have been given their units, and before they know."""
    first = limiter._held["acme", (take,)].waiting[0]
    while not first.done():  # noqa: ASYNC110 - looks in each turn of the loop, and so before who waits
        await asyncio.sleep(0)
    await gone(limiter, tasks)


@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("take", [HOURLY, MONTHLY])
async def test_a_unit_that_counts_from_now_is_not_held_when_all_who_asked_for_several_have_gone(
    redis_url: str, take: Take, is_told: bool
) -> None:
    async with a_limiter(redis_url) as one, a_limiter(redis_url) as other:
        for _ in range(3):
            await together(one, 3, take)
        await take_all_but(redis_url, 1, take)
        waiting = await asking(one, take)
        await (gone_when_told(one, take, waiting) if is_told else gone(one, waiting))
        assert one.drift == 0
        assert [each.admitted for each in await together(other, 2, take)] == [True, False]


@pytest.mark.parametrize("is_told", [False, True])
async def test_units_for_those_alone_who_wait_are_not_held_when_they_have_gone(redis_url: str, is_told: bool) -> None:
    take = HOURLY._replace(units=7, burst=7)
    async with a_limiter(redis_url) as one, a_limiter(redis_url) as other:
        await together(one, 1, take)
        await together(one, 1, take)
        waiting = await asking(one, take)
        await (gone_when_told(one, take, waiting) if is_told else gone(one, waiting))
        assert one.drift == 0
        assert (await other.take("acme", [take])).states[0].remaining == 3


@pytest.mark.parametrize("is_told", [False, True])
async def test_units_that_were_taken_ahead_stay_for_others_when_those_who_asked_have_gone(
    redis_url: str, is_told: bool
) -> None:
    async with a_limiter(redis_url) as one:
        for _ in range(3):
            await together(one, 3, HOURLY)
        waiting = await asking(one, HOURLY)
        await (gone_when_told(one, HOURLY, waiting) if is_told else gone(one, waiting))
        assert one.drift == one._held["acme", (HOURLY,)].grant.units >= 3


async def remaining(url: str, *takes: Take) -> list[int]:
    """Say how much of some limits is left, by taking one more of them."""
    async with a_limiter(url) as looking:
        return [state.remaining for state in (await looking.take("acme", takes)).states]


@pytest.mark.parametrize("turns", range(1, 12))
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("takes", [(HOURLY,), (MONTHLY,), (HOURLY, MONTHLY)])
async def test_who_goes_at_any_moment_of_its_asking_has_taken_nothing(
    redis_url: str, takes: tuple[Take, ...], turns: int, is_first: bool
) -> None:
    async with a_limiter(redis_url) as limiter:
        before = 0 if is_first else 1
        await limiter.take("acme" if before else "other", takes)
        asking = asyncio.create_task(limiter.take("acme", takes))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        outcome = (await asyncio.gather(asking, return_exceptions=True))[0]
        before += isinstance(outcome, Decision)
        await limiter._client.ping()  # whatever was asked before has been answered
        await asyncio.gather(*limiter._tasks)
        assert await remaining(redis_url, *takes) == [999 - before] * len(takes)


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_goes_when_the_reply_is_here_and_before_it_knows_has_taken_nothing(
    redis_url: str, is_first: bool
) -> None:
    async with a_limiter(redis_url) as limiter:
        await limiter.take("other" if is_first else "acme", [HOURLY])
        asking = asyncio.create_task(limiter.take("acme", [HOURLY]))
        lane = limiter._client._link
        assert isinstance(lane, Lane)
        wire = lane._wire
        assert wire is not None
        owed = [reply for reply, *_ in wire._owed]
        while not owed:
            await asyncio.sleep(0)
            owed = [reply for reply, *_ in wire._owed]
        while not owed[0].done():  # noqa: ASYNC110 - each turn of the loop, and so before who waits
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.gather(*limiter._tasks)
        assert await remaining(redis_url, HOURLY) == [999 if is_first else 998]


async def test_a_refusal_or_an_error_gives_nothing_back_for_who_has_gone(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter, connect(redis_url, "control") as control:
        await limiter.take("other", [HOURLY])
        await take_all_but(redis_url, 0, HOURLY)
        for forget in (False, True):
            if forget:
                await control.ask("SCRIPT", "FLUSH")
            asking = asyncio.create_task(limiter.take("acme", [HOURLY]))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await limiter._client.ping()
            assert not limiter._tasks
        async with a_limiter(redis_url) as looking:
            assert not (await looking.take("acme", [HOURLY])).admitted
