"""A client whose Redis has fallen silent says so at once, and is patient again when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from store.client import Client, connect
from store.embedded import RedisProcess
from store.errors import StoreUnavailable
from store.pulse import keep_pulse
from tests.fakes.timing import within
from tests.fakes.waiting import until


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Client]:
    async with connect(url, "control") as client:
        pulse = asyncio.create_task(keep_pulse(client))
        try:
            yield client
        finally:
            pulse.cancel()
            with suppress(asyncio.CancelledError):
                await pulse


async def test_a_frozen_redis_keeps_nobody_waiting_once_its_pulse_is_missed(own_redis: RedisProcess) -> None:
    async with watched(own_redis.url) as client:
        await client.ping()
        own_redis.pause()
        try:
            async with within(2):
                await until(lambda: client.is_silent)
            for _ in range(3):
                async with within(1):
                    with pytest.raises(StoreUnavailable):
                        await client.ask("GET", "x")
        finally:
            own_redis.resume()
        async with within(2):
            await until(lambda: not client.is_silent)
        assert await client.ask("ECHO", "hello") == b"hello"


async def test_who_waits_already_is_told_too_when_the_pulse_is_missed(own_redis: RedisProcess) -> None:
    async with watched(own_redis.url) as client:
        await client.ping()
        own_redis.pause()
        try:
            async with within(1.5):
                waiting = [asyncio.create_task(client.ask("SET", "x", str(n), is_write=True)) for n in range(3)]
                outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            own_redis.resume()
    assert all(isinstance(each, StoreUnavailable) and each.ambiguous for each in outcomes)


async def test_a_redis_that_has_gone_is_silent_until_it_is_back(own_redis: RedisProcess) -> None:
    async with watched(own_redis.url) as client:
        await client.ping()
        own_redis.stop()
        await until(lambda: client.is_silent)
        own_redis.start()
        await until(lambda: not client.is_silent)


async def test_without_a_pulse_nobody_is_called_silent(own_redis: RedisProcess) -> None:
    async with watched(own_redis.url) as client:
        own_redis.pause()
        await until(lambda: client.is_silent)
    assert not client.is_silent
    own_redis.resume()


BUSY = """
local function now() local time = redis.call('TIME') return time[1] * 1000 + time[2] / 1000 end
local done = now() + 200
while now() < done do end
"""


async def test_a_slow_answer_is_waited_for_while_the_pulse_is_there(own_redis: RedisProcess) -> None:
    async with watched(own_redis.url) as client, connect(own_redis.url, "control") as other:
        await other.ping()
        sleeping = asyncio.create_task(other.ask("EVAL", BUSY, 0))
        await asyncio.sleep(0)
        assert await client.ask("ECHO", "hello") == b"hello"
        await sleeping
