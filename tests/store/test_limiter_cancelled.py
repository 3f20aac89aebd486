"""store/limiter.py where requests go while they wait: what was taken for them is not lost, and never spent too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from store.client import connect
from store.decisions import Decision, Take, meter_of, names_of
from store.limiter import Limiter
from store.scripts import script
from tests.fakes.waiting import until

HOURLY = Take("hourly", "k", 1000, 3600.0, 1000)
MONTHLY = HOURLY._replace(name="monthly", window="month")


@asynccontextmanager
async def a_limiter(url: str) -> AsyncIterator[Limiter]:
    async with connect(url, "data") as client:
        await client.ping()
        limiter = Limiter(client, lambda: 1)
        try:
            yield limiter
        finally:
            await limiter.aclose()


async def together(limiter: Limiter, count: int, *takes: Take) -> list[Decision]:
    return await asyncio.gather(*(limiter.take("acme", takes) for _ in range(count)))


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
