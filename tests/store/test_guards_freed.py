"""store/guards.py: places that nobody is in any more are free, whoever has gone, and whatever has become of Redis."""

from __future__ import annotations

import asyncio

import pytest

from store.client import Client, connect
from store.embedded import RedisProcess
from store.guards import LIFE_S, Guards, Place
from tests.fakes.timing import within
from tests.fakes.waiting import until
from tests.store.test_guards import ONE, THREE, counted, enter, leave, some_guards


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_place_for_a_request_that_has_gone_is_free_at_once(redis_url: str, turns: int) -> None:
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        await enter(one, 1)  # so that the next asking is a single turn of the loop
        gone = asyncio.create_task(one.enter("acme", ONE))
        for _ in range(turns):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        if not gone.cancelled():
            leave(one, 1, ONE)
        async with within(1):
            await until(lambda: _is_admitted(other, ONE))
        assert await enter(one, 1, ONE) == [False]


@pytest.mark.fifty_ms
async def test_a_place_that_could_not_be_given_up_is_told_when_redis_is_back(own_redis: RedisProcess) -> None:
    async with some_guards(own_redis.url, "n/0/1") as one, some_guards(own_redis.url, "n/1/2") as other:
        assert await enter(one, 1, ONE) == [True]
        own_redis.pause()
        while not one._breaker.is_open:
            await one.enter("acme", THREE._replace(on_store_loss="closed"))
            await asyncio.sleep(0.011)
        leave(one, 1, ONE)
        await until(lambda: one._trimming is None)
        own_redis.resume()
        async with within(LIFE_S - 1):
            await until(lambda: _is_admitted(other, ONE))
        assert await enter(one, 1, ONE) == [False]


async def _is_admitted(by: Guards, place: Place) -> bool:
    return (await by.enter("acme", place)).admitted


async def test_a_place_that_redis_has_forgotten_is_taken_by_nobody_without_asking(redis_url: str) -> None:
    clock = 100.0
    async with connect(redis_url, "data") as client:
        one = Guards(client, "n/0/1", lambda: 1, lambda: clock)
        assert await enter(one, 1, ONE) == [True]
        leave(one, 1, ONE)
        assert one.enter_at_once("acme", ONE) == (True, 0, "store")  # it is kept for a moment
        leave(one, 1, ONE)
        clock += LIFE_S
        assert one.enter_at_once("acme", ONE) is None
        await one.aclose()


@pytest.mark.fifty_ms
async def test_what_redis_counted_too_late_is_told_to_be_free(own_redis: RedisProcess, client: Client) -> None:
    async with some_guards(own_redis.url) as one, connect(own_redis.url, "control") as raw:
        await enter(one, 1)
        own_redis.pause()
        assert not (await one.enter("acme", ONE._replace(on_store_loss="closed"))).admitted
        own_redis.resume()  # it does now what it was asked
        async with within(LIFE_S - 2):
            await until(lambda: _has_none(raw, ONE))


async def _has_none(raw: Client, place: Place) -> bool:
    return not any((await counted(raw, place)).values())
