"""store/links.py: many conversations over a pool, each over one connection at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from store.client import Client, Role, connect
from store.scripts import Script

COUNT = Script("count", "return redis.call('INCR', KEYS[1])")


async def test_more_conversations_than_slots_wait_for_their_turn(redis_url: str) -> None:
    async with connect(redis_url, "feed") as client:
        counts = await asyncio.gather(*(client.run(COUNT, ["n"], is_write=True) for _ in range(100)))
        assert sorted(counts) == list(range(1, 101))
        with redis.Redis.from_url(redis_url) as raw:
            assert len(raw.client_list(_type="normal")) <= 9


@pytest.mark.parametrize("role", ["control", "feed"])
async def test_killed_connections_are_replaced_without_the_next_caller_noticing(redis_url: str, role: Role) -> None:
    async with connect(redis_url, role) as client:
        for _ in range(10):
            await asyncio.gather(*(client.ping() for _ in range(3)))
            with redis.Redis.from_url(redis_url) as raw:
                assert raw.client_kill_filter(_type="normal", skipme=True) >= 1
            await asyncio.gather(*(client.ping() for _ in range(3)))


async def test_a_conversation_keeps_its_connection_while_others_talk(client: Client) -> None:
    async def talk(ask: Any) -> list[int]:
        return [await ask("CLIENT", "ID") for _ in range(5)]

    for ids in await asyncio.gather(*(client.converse(talk) for _ in range(10))):
        assert len(set(ids)) == 1
