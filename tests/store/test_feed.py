"""store/feed.py: when to look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from store import keys
from store.client import connect
from store.codec import pack_fields
from store.embedded import RedisProcess
from store.feed import Feed, Tick, WakeUp, pause_before, read_tick
from tests.fakes.redis_modes import wait_until
from tests.fakes.timing import Stopwatch, within

TICK = pack_fields({"revision": 7, "tenant": "acme", "mode": "put"})


class Listener:
    """Reads wake-ups one by one, none of which may be late."""

    def __init__(self, wake_ups: AsyncIterator[WakeUp]) -> None:
        self._wake_ups = wake_ups

    async def next(self, within_s: float = 5.0) -> WakeUp:
        async with within(within_s):
            return await anext(self._wake_ups)

    async def until(self, reason: str, within_s: float = 5.0) -> list[WakeUp]:
        seen = [await self.next()]
        async with within(within_s):
            while seen[-1].reason != reason:
                seen.append(await self.next())
        return seen


@asynccontextmanager
async def listening(url: str, poll_s: float = 1.0) -> AsyncIterator[Listener]:
    async with connect(url, "feed") as client:
        wake_ups = Feed(client, poll_s=poll_s).wake_ups()
        try:
            yield Listener(wake_ups)
        finally:
            await wake_ups.aclose()


def publish(url: str, *messages: bytes) -> None:
    with redis.Redis.from_url(url) as raw, raw.pipeline(transaction=True) as pipe:
        for message in messages:
            pipe.publish(keys.tick_channel(), message)
        pipe.execute()


def kill_subscribers(url: str) -> None:
    with redis.Redis.from_url(url) as raw:
        assert raw.client_kill_filter(_type="pubsub") == 1


async def test_it_says_look_at_the_start_and_again_once_it_listens(redis_url: str) -> None:
    async with listening(redis_url) as listener:
        assert (await listener.next(0.5)).reason == "start"
        assert (await listener.next()).reason == "start"


async def test_a_message_wakes_at_once_and_is_handed_on(redis_url: str) -> None:
    async with listening(redis_url, poll_s=60) as listener:
        await listener.until("start")
        await listener.next()
        publish(redis_url, TICK)
        wake_up = await listener.next()
        assert wake_up.reason == "message"
        assert wake_up.ticks() == (Tick(7, "acme", "put"),)


async def test_messages_that_came_meanwhile_are_one_wake_up(redis_url: str) -> None:
    async with listening(redis_url, poll_s=60) as listener:
        await listener.next()
        await listener.next()
        publish(redis_url, *[TICK] * 300)
        assert len((await listener.next()).messages) == 300


async def test_without_messages_it_wakes_every_poll(redis_url: str) -> None:
    async with listening(redis_url, poll_s=0.05) as listener:
        await listener.next()
        await listener.next()
        assert [(await listener.next(0.5)).reason for _ in range(4)] == ["poll"] * 4


async def test_a_killed_connection_is_a_reason_to_look(redis_url: str) -> None:
    async with listening(redis_url, poll_s=60) as listener:
        await listener.next()
        await listener.next()
        for _ in range(3):
            kill_subscribers(redis_url)
            assert (await listener.next(1.0)).reason == "reconnect"
        publish(redis_url, TICK)
        assert (await listener.next()).reason == "message"


async def test_without_redis_it_goes_on_polling_and_says_when_redis_is_back(own_redis: RedisProcess) -> None:
    async with listening(own_redis.url, poll_s=0.2) as listener:
        await listener.next()
        await listener.next()
        own_redis.stop()
        polls = [await listener.next(1.0) for _ in range(3)]
        assert {wake_up.reason for wake_up in polls} == {"poll"}
        own_redis.start()
        await listener.until("reconnect", 2.0)
        publish(own_redis.url, TICK)
        assert (await listener.until("message"))[-1].ticks()


async def test_it_may_be_started_while_redis_is_away(own_redis: RedisProcess) -> None:
    own_redis.stop()
    async with listening(own_redis.url, poll_s=0.2) as listener:
        assert (await listener.next(0.5)).reason == "start"
        assert (await listener.next(1.0)).reason == "poll"
        own_redis.start()
        await listener.until("start", 2.0)


async def test_a_frozen_redis_is_noticed_and_left_for_a_new_connection(own_redis: RedisProcess) -> None:
    async with listening(own_redis.url) as listener:
        await listener.next()
        await listener.next()
        own_redis.pause()
        try:
            frozen = Stopwatch()
            while frozen.took_s < 3.2:  # silence noticed after 1 s, given up 1.5 s later
                assert (await listener.next(2.2)).reason == "poll"
        finally:
            own_redis.resume()
        await listener.until("reconnect", 2.0)


async def test_a_user_without_the_channels_permission_still_polls(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.acl_setuser("deaf", enabled=True, nopass=True, categories=["+@all"], reset_channels=True)
    async with listening(redis_url.replace("127.", "deaf:x@127."), poll_s=0.1) as listener:
        await listener.next()
        assert [(await listener.next(0.5)).reason for _ in range(3)] == ["poll"] * 3


async def test_leaving_the_feed_closes_its_connection(redis_url: str) -> None:
    async with listening(redis_url) as listener:
        await listener.next()
        await listener.next()
    with redis.Redis.from_url(redis_url) as raw:
        await asyncio.to_thread(wait_until, lambda: raw.client_list(_type="pubsub") == [])


@pytest.mark.parametrize(
    ("attempt", "draw", "expected"), [(0, 1.0, 0.05), (1, 1.0, 0.1), (4, 0.5, 0.4), (50, 1.0, 1.0), (50, 0.0, 0.0)]
)
def test_pauses_double_from_50_ms_to_a_second_with_full_jitter(attempt: int, draw: float, expected: float) -> None:
    assert pause_before(attempt, draw) == pytest.approx(expected)


@pytest.mark.parametrize("message", [b"", b"\xc1", b"x", pack_fields({}), pack_fields({"revision": "x"})])
def test_what_is_no_tick_is_left_out(message: bytes) -> None:
    assert read_tick(message) is None
    assert WakeUp("message", (message, TICK)).ticks() == (Tick(7, "acme", "put"),)
