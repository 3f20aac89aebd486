from __future__ import annotations

import asyncio

import pytest

from edge.client_edge.key_cache import KeyCache
from store.errors import StoreUnavailable
from store.secrets import ApiKeyRecord


def record(key_id: str) -> ApiKeyRecord:
    return ApiKeyRecord(id=key_id, name="n", hash=b"h", created_at_ms=0)


class Store:
    """Keys by tenant and id; `gate` holds answers back, `is_lost` refuses to give any."""

    def __init__(self, *names: tuple[str, str]) -> None:
        self.keys = {name: record(name[1]) for name in names}
        self.asked: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_lost = False

    async def lookup(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        self.asked.append((tenant, key_id))
        found = self.keys.get((tenant, key_id))
        await self.gate.wait()
        if self.is_lost:
            raise StoreUnavailable("down")
        return found


async def test_a_key_is_asked_for_once() -> None:
    store = Store(("acme", "a"))
    cache = KeyCache(store.lookup)
    assert [await cache.get("acme", "a") for _ in range(3)] == [record("a")] * 3
    assert store.asked == [("acme", "a")]


async def test_a_key_that_does_not_exist_is_asked_for_once_too() -> None:
    store = Store()
    cache = KeyCache(store.lookup)
    assert [await cache.get("acme", "a") for _ in range(3)] == [None] * 3
    assert store.asked == [("acme", "a")]


async def test_that_a_key_does_not_exist_counts_only_while_the_store_is_believed() -> None:
    store, is_believed = Store(("acme", "b")), [True]
    cache = KeyCache(store.lookup, lambda: is_believed[0])
    assert await cache.get("acme", "a") is None
    assert await cache.get("acme", "b") == record("b")
    is_believed[0], store.is_lost = False, True
    with pytest.raises(StoreUnavailable):
        await cache.get("acme", "a")
    assert await cache.get("acme", "b") == record("b")
    is_believed[0] = True
    assert await cache.get("acme", "a") is None
    assert len(store.asked) == 3


async def test_requests_that_wait_for_the_same_key_share_one_question() -> None:
    store = Store(("acme", "a"))
    store.gate.clear()
    cache = KeyCache(store.lookup)
    waiting = [asyncio.create_task(cache.get("acme", "a")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    store.gate.set()
    answers = await asyncio.gather(*waiting[1:])
    assert answers == [record("a")] * 19
    assert store.asked == [("acme", "a")]


async def test_a_change_of_a_tenants_keys_is_seen_by_the_next_request() -> None:
    store = Store(("acme", "a"), ("other", "a"))
    cache = KeyCache(store.lookup)
    await cache.get("acme", "a")
    await cache.get("other", "a")
    del store.keys["acme", "a"]
    cache.forget("acme")
    assert await cache.get("acme", "a") is None
    assert await cache.get("other", "a") == record("a")
    assert store.asked == [("acme", "a"), ("other", "a"), ("acme", "a")]


async def test_a_revoked_key_is_asked_for_once_more_and_then_known_to_be_gone() -> None:
    store = Store(("acme", "a"))
    cache = KeyCache(store.lookup)
    await cache.get("acme", "a")
    del store.keys["acme", "a"]
    cache.forget("acme")
    assert [await cache.get("acme", "a") for _ in range(3)] == [None] * 3
    assert store.asked == [("acme", "a")] * 2
    store.is_lost = True
    assert await cache.get("acme", "a") is None


async def test_a_key_that_was_guessed_before_it_was_made_is_found_once_it_is() -> None:
    store = Store()
    cache = KeyCache(store.lookup)
    assert await cache.get("acme", "a") is None
    store.keys["acme", "a"] = record("a")
    cache.forget("acme")
    assert [await cache.get("acme", "a") for _ in range(3)] == [record("a")] * 3
    assert store.asked == [("acme", "a")] * 2


async def test_an_answer_read_before_a_change_is_not_kept_after_it() -> None:
    store = Store(("acme", "a"))
    store.gate.clear()
    cache = KeyCache(store.lookup)
    before = asyncio.create_task(cache.get("acme", "a"))
    await asyncio.sleep(0)  # its task is made
    await asyncio.sleep(0)  # and has read the record
    del store.keys["acme", "a"]
    cache.forget("acme")
    after = asyncio.create_task(cache.get("acme", "a"))
    store.gate.set()
    assert await before == record("a")
    assert await after is None
    assert await cache.get("acme", "a") is None


async def test_what_is_known_outlives_the_store_and_what_is_not_cannot_be_told() -> None:
    store = Store(("acme", "a"), ("acme", "b"))
    cache = KeyCache(store.lookup)
    await cache.get("acme", "a")
    store.is_lost = True
    assert await cache.get("acme", "a") == record("a")
    with pytest.raises(StoreUnavailable):
        await cache.get("acme", "b")
    store.is_lost = False
    assert await cache.get("acme", "b") == record("b")


async def test_guesses_cannot_push_real_keys_out() -> None:
    store = Store(("acme", "a"))
    cache = KeyCache(store.lookup, max_known=2, max_unknown=2)
    await cache.get("acme", "a")
    for guess in range(100):
        assert await cache.get("acme", f"guess{guess}") is None
    await cache.get("acme", "a")
    assert store.asked.count(("acme", "a")) == 1


async def test_the_keys_used_last_are_those_kept() -> None:
    store = Store(("acme", "a"), ("acme", "b"), ("acme", "c"))
    cache = KeyCache(store.lookup, max_known=2)
    for key_id in ("a", "b", "a", "c", "a"):
        await cache.get("acme", key_id)
    assert store.asked == [("acme", "a"), ("acme", "b"), ("acme", "c")]
