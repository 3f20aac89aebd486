"""Which keys were used: told now and then and at the end, in bounded calls, and never at a request's cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from edge.client_edge.key_usage import AT_ONCE, KeyUsage
from store.embedded import RedisProcess
from store.errors import StoreUnavailable
from tests.fakes.edges import running_edge
from tests.fakes.origins import RunningOrigin
from tests.fakes.waiting import until


class Told:
    """What the store was told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, list[str]]] = []
        self.is_lost = False

    async def note_used(self, uses: Mapping[str, Sequence[str]]) -> None:
        if self.is_lost:
            raise StoreUnavailable("down")
        self.calls.append({tenant: list(ids) for tenant, ids in uses.items()})


def document(origin: RunningOrigin) -> dict[str, object]:
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [origin.url]}},
        "auth": {"keys": {"type": "api_key"}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "auth": ["keys"]}],
    }


async def test_what_was_used_is_told_once_however_often_it_was() -> None:
    told = Told()
    usage = KeyUsage(told.note_used)
    for tenant, key_id in (("acme", "b"), ("other", "a"), ("acme", "a"), ("acme", "b")):
        usage.note(tenant, key_id)
    await usage.flush()
    await usage.flush()
    assert told.calls == [{"acme": ["a", "b"], "other": ["a"]}]


async def test_it_is_told_now_and_then_and_the_last_of_it_at_the_end() -> None:
    told = Told()
    usage = KeyUsage(told.note_used, interval_s=0.01)
    usage.start()
    usage.note("acme", "a")
    await until(lambda: told.calls, 5)
    slow = KeyUsage(told.note_used)
    slow.start()
    slow.note("acme", "last")
    await usage.aclose()
    await slow.aclose()
    assert told.calls[-1] == {"acme": ["last"]}


async def test_without_the_store_it_is_dropped_and_the_next_is_told() -> None:
    told = Told()
    usage = KeyUsage(told.note_used, interval_s=0.01)
    usage.start()
    told.is_lost = True
    usage.note("acme", "dropped")
    await until(lambda: not usage._noted, 5)
    told.is_lost = False
    usage.note("acme", "kept")
    await until(lambda: told.calls, 5)
    assert told.calls[0] == {"acme": ["kept"]}
    await usage.aclose()


async def test_a_store_that_never_answers_does_not_keep_the_worker_from_ending() -> None:
    async def hang(uses: object) -> None:
        await asyncio.Event().wait()

    usage = KeyUsage(hang)
    usage.note("acme", "a")
    async with asyncio.timeout(5):
        await usage.aclose()


async def test_what_is_noted_is_bounded_and_so_is_a_call() -> None:
    told = Told()
    usage = KeyUsage(told.note_used, max_noted=AT_ONCE + 5)
    for number in range(2 * AT_ONCE):
        usage.note("acme", f"{number:06}")
    await usage.flush()
    assert [len(call["acme"]) for call in told.calls] == [AT_ONCE, 5]


async def test_a_key_that_let_a_request_pass_is_noted_when_the_worker_ends_and_a_wrong_one_is_not(
    own_redis: RedisProcess, origin: RunningOrigin
) -> None:
    async with running_edge(own_redis.url) as edge:
        await edge.put(document(origin))
        used, unused, expired = [await edge.put_key("acme", expires_at_ms=at_ms) for at_ms in (None, None, 1)]
        assert (await edge.get("/echo", X_API_Key=used.text)).status == 200
        assert (await edge.get("/echo", X_API_Key=expired.text)).status == 401
        assert (await edge.get("/echo", X_API_Key=f"{unused.text[:-1]}!")).status == 401
    async with running_edge(own_redis.url) as edge:
        assert set(await edge.catalog.last_used("acme", [used.id, unused.id, expired.id])) == {used.id}
