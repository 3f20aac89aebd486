"""When API keys were used: noted for many tenants at once, to the minute, and gone with the key."""

from __future__ import annotations

import asyncio
import time

import redis

from store import keys
from store.catalog import KEEP, Catalog, Change
from tests.fakes.tenants import an_api_key, put


async def with_keys(catalog: Catalog, tenant: str, *ids: str) -> None:
    await catalog.commit(put(tenant), None)
    await catalog.commit(Change(tenant, KEEP, put_keys=tuple(an_api_key(each) for each in ids)), None)


async def test_a_use_is_told_to_the_minute_and_of_each_tenants_own_keys(catalog: Catalog) -> None:
    await with_keys(catalog, "acme", "k1", "k2", "k3")
    await with_keys(catalog, "globex", "k1", "g1")
    before_ms = time.time() * 1000
    await catalog.note_used({"acme": ["k1", "k2"], "globex": ["g1"]})
    used = await catalog.last_used("acme", ["k3", "k2", "k1"])
    assert set(used) == {"k1", "k2"}
    assert set(await catalog.last_used("globex", ["k1", "g1"])) == {"g1"}
    for at_ms in used.values():
        assert at_ms % 60_000 == 0
        assert before_ms - 60_000 < at_ms <= time.time() * 1000


async def test_a_key_that_is_none_any_more_is_not_noted(catalog: Catalog, redis_url: str) -> None:
    await with_keys(catalog, "acme", "k1")
    await catalog.note_used({"acme": ["k1", "never"], "nobody": ["k1"]})
    with redis.Redis.from_url(redis_url) as raw:
        assert [str(each, "ascii") for each in raw.hkeys(keys.key_uses("acme"))] == ["k1"]
        assert not raw.exists(keys.key_uses("nobody"))


async def test_a_use_is_forgotten_with_its_key_and_with_its_tenant(catalog: Catalog, redis_url: str) -> None:
    await with_keys(catalog, "acme", "k1", "k2")
    await catalog.note_used({"acme": ["k1", "k2"]})
    await catalog.commit(Change("acme", KEEP, drop_keys=("k1",)), None)
    assert set(await catalog.last_used("acme", ["k1", "k2"])) == {"k2"}
    await catalog.commit(Change("acme", None), None)
    with redis.Redis.from_url(redis_url) as raw:
        assert not await asyncio.to_thread(raw.exists, keys.key_uses("acme"))


async def test_nothing_asked_is_nothing_told(catalog: Catalog) -> None:
    assert await catalog.last_used("acme", []) == {}
    await catalog.note_used({})
