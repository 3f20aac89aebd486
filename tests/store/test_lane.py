"""store/lane.py: one pipelined connection, always in step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
import redis

from store.client import Client, connect
from store.embedded import RedisProcess
from store.errors import StoreRefused, StoreUnavailable
from tests.fakes.timing import steadily


@pytest_asyncio.fixture
async def lane(redis_url: str) -> AsyncIterator[Client]:
    async with connect(redis_url, "data") as client:
        yield client


async def test_a_refused_command_does_not_put_the_others_out_of_step(lane: Client) -> None:
    outcomes = await asyncio.gather(
        *(lane.ask("ECHO", str(n)) if n % 3 else lane.ask("NONSENSE") for n in range(30)), return_exceptions=True
    )
    for n, outcome in enumerate(outcomes):
        if n % 3:
            assert outcome == str(n).encode()
        else:
            assert isinstance(outcome, StoreRefused)


async def test_a_command_that_cannot_be_packed_is_owed_no_reply(lane: Client) -> None:
    unpackable: Any = object()
    for _ in range(3):
        with pytest.raises(TypeError):
            await lane.ask("ECHO", unpackable)
        assert await lane.ask("ECHO", "mine") == b"mine"
    assert await lane.ask("ECHO", "\udcff") == b"\xed\xb3\xbf"


@pytest.mark.fifty_ms
@steadily
async def test_a_missed_deadline_gives_up_the_connection_and_all_that_wait_on_it(lane: Client, redis_url: str) -> None:
    first_id = await lane.ask("CLIENT", "ID")
    with redis.Redis.from_url(redis_url) as raw:
        raw.client_pause(150)
        waiting = [asyncio.create_task(lane.ask("GET", "a")) for _ in range(3)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        raw.client_unpause()
    assert await lane.ask("CLIENT", "ID") != first_id


@pytest.mark.fifty_ms
async def test_a_process_that_is_late_itself_does_not_blame_redis(
    lane: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.wire.GRACE_S", 5.0)  # how long it looks once more: not for how long is the point
    first_id = await lane.ask("CLIENT", "ID")
    waiting = [asyncio.create_task(lane.ask("ECHO", str(n))) for n in range(3)]
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is blocked on purpose, until after the deadline
    assert await asyncio.gather(*waiting) == [b"0", b"1", b"2"]
    assert await lane.ask("CLIENT", "ID") == first_id


async def test_a_cancelled_request_keeps_the_connection(lane: Client) -> None:
    first_id = await lane.ask("CLIENT", "ID")
    for _ in range(20):
        task = asyncio.create_task(lane.ask("ECHO", "mine"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await lane.ask("CLIENT", "ID") == first_id


async def test_requests_that_come_while_it_connects_share_one_connection(lane: Client, redis_url: str) -> None:
    assert len(set(await asyncio.gather(*(lane.ask("CLIENT", "ID") for _ in range(50))))) == 1
    with redis.Redis.from_url(redis_url) as raw:
        assert len(raw.client_list(_type="normal")) == 2


@pytest.mark.fifty_ms
@steadily
async def test_a_handshake_slower_than_the_deadline_is_finished_for_the_next_request(own_redis: RedisProcess) -> None:
    url = own_redis.url.replace("/0", "/1")  # SELECT is part of the handshake
    with redis.Redis.from_url(own_redis.url) as raw:
        before = raw.info("stats")["total_connections_received"]
        async with connect(url, "data") as lane:
            own_redis.pause()
            with pytest.raises(StoreUnavailable, match="in time"):
                await lane.ask("ECHO", "early")
            own_redis.resume()
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert await lane.ask("ECHO", "late") == b"late"
                        break
                    except StoreUnavailable:
                        continue
        assert raw.info("stats")["total_connections_received"] == before + 1


async def test_a_killed_connection_is_replaced(lane: Client, redis_url: str) -> None:
    for _ in range(5):
        first_id = await lane.ask("CLIENT", "ID")
        with redis.Redis.from_url(redis_url) as raw:
            assert raw.client_kill_filter(_id=first_id) == 1
        async with asyncio.timeout(20):
            while True:
                with suppress(StoreUnavailable):
                    assert await lane.ask("CLIENT", "ID") != first_id
                    break


async def test_closing_tells_those_who_wait(lane: Client, redis_url: str) -> None:
    await lane.ping()
    with redis.Redis.from_url(redis_url) as raw:
        raw.client_pause(40)
        waiting = asyncio.create_task(lane.ask("GET", "a"))
        await asyncio.sleep(0)
        await lane.aclose()
        with pytest.raises(StoreUnavailable, match=r"lost|reached"):
            await waiting


async def test_a_conversation_is_answered_in_order_over_one_connection(lane: Client) -> None:
    async def talk(ask: Any) -> list[Any]:
        return [await ask("SET", "a", "1"), await ask("INCR", "a"), await ask("GET", "a")]

    assert await lane.converse(talk, is_write=True) == [b"OK", 2, b"2"]
