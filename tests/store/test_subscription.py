"""store/subscription.py: a channel over a connection of its own, and its loss told once."""

from __future__ import annotations

import asyncio

import pytest
import redis

from store import subscription as subscription_module
from store.client import Client, connect
from store.embedded import RedisProcess
from store.errors import StoreRefused, StoreUnavailable
from store.subscription import MAX_BATCH, Subscription
from tests.fakes.timing import within


async def test_messages_come_in_order_and_in_bounded_batches(client: Client) -> None:
    async with Subscription(client, "news") as subscription:
        for n in range(MAX_BATCH + 500):
            await client.ask("PUBLISH", "news", str(n))
        found: list[bytes] = []
        while len(found) < MAX_BATCH + 500:
            batch = await subscription.next_batch(5)
            assert 0 < len(batch) <= MAX_BATCH
            found += batch
    assert found == [str(n).encode() for n in range(MAX_BATCH + 500)]


async def test_nothing_said_is_an_empty_batch_in_time(client: Client) -> None:
    loop = asyncio.get_running_loop()
    async with Subscription(client, "news") as subscription:
        began_s = loop.time()
        async with within(0.5):
            assert await subscription.next_batch(0.05) == []
        assert loop.time() - began_s > 0.04
        assert await subscription.next_batch(0) == []


async def test_a_quiet_channel_stays_subscribed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "SILENCE_S", 0.1)
    monkeypatch.setattr(subscription_module, "ANSWER_S", 0.2)
    async with Subscription(client, "news") as subscription:
        assert await subscription.next_batch(0.6) == []  # longer than silence and answer together: it was answered
        await client.ask("PUBLISH", "news", "x")
        assert await subscription.next_batch(1) == [b"x"]


async def test_a_lost_connection_is_an_error(client: Client, redis_url: str) -> None:
    async with Subscription(client, "news") as subscription:
        with redis.Redis.from_url(redis_url) as raw:
            raw.client_kill_filter(_type="pubsub")
        with pytest.raises(StoreUnavailable):
            await subscription.next_batch(5)


async def test_what_was_published_before_the_loss_is_still_delivered(client: Client, redis_url: str) -> None:
    async with Subscription(client, "news") as subscription:
        await client.ask("PUBLISH", "news", "last words")
        assert await subscription.next_batch(5) == [b"last words"]
        with redis.Redis.from_url(redis_url) as raw:
            raw.client_kill_filter(_type="pubsub")
        with pytest.raises(StoreUnavailable):
            await subscription.next_batch(5)


async def test_a_silent_connection_is_an_error_within_three_seconds(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "feed") as client, Subscription(client, "news") as subscription:
        own_redis.pause()
        async with within(3):
            with pytest.raises(StoreUnavailable, match="silent"):
                await subscription.next_batch(50)
        own_redis.resume()


async def test_subscribing_takes_no_longer_than_allowed(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "feed") as client:
        own_redis.pause()
        async with within(1):
            with pytest.raises(StoreUnavailable, match="in time"):
                async with Subscription(client, "news", within_s=0.2):
                    pass
        own_redis.resume()


async def test_a_forbidden_channel_is_a_refusal(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.acl_setuser("deaf", enabled=True, nopass=True, categories=["+@all"], reset_channels=True)
    async with connect(redis_url.replace("127.", "deaf:x@127."), "feed") as client:
        with pytest.raises(StoreRefused, match="permission"):
            async with Subscription(client, "news"):
                pass


async def test_a_closed_subscription_says_so(client: Client) -> None:
    subscription = Subscription(client, "news")
    with pytest.raises(StoreUnavailable, match="closed"):
        await subscription.next_batch(1)
