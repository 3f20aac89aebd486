"""Redis goes, freezes, forgets connections, and comes back; and what goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from store.catalog import Change
from store.codec import TenantRecord
from store.embedded import RedisProcess
from store.errors import StoreUnavailable
from tests.fakes import timing
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import RunningOrigin, running_origin
from tests.fakes.waiting import until

MOST_S = 0.5
"""What any request may take without Redis: 50 ms twice, on a machine that is busy; connecting may take a second."""


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[RunningOrigin]:
    async with running_origin() as running:
        yield running


@pytest_asyncio.fixture
async def edges(own_redis: RedisProcess) -> AsyncIterator[list[RunningEdge]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_edge(own_redis.url, node=f"n{at}")) for at in range(2)]


def document(origin: RunningOrigin, **rest: Any) -> dict[str, Any]:
    def limit(on_store_loss: str) -> dict[str, Any]:
        return {"rate": "6000/m", "burst": 3, "by": "tenant", "on_store_loss": on_store_loss}

    kinds = ("local", "open", "closed")
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [origin.url]}},
        "auth": {"keys": {"type": "api_key"}},
        "limits": {kind: limit(kind) for kind in kinds},
        "routes": [
            {"name": "free", "path": "/status/*", "upstream": "app"},
            {"name": "keyed", "path": "/echo", "upstream": "app", "auth": ["keys"]},
            *(
                {"name": kind, "path": f"/bytes/{at}", "upstream": "app", "limits": [kind]}
                for at, kind in enumerate(kinds, 1)
            ),
        ],
        **rest,
    }


async def timed(edge: RunningEdge, path: str, **headers: str) -> tuple[int, float]:
    answer, took_s = await timing.timed(edge.get(path, **headers))
    return answer.status, took_s


@pytest.mark.fifty_ms
@pytest.mark.parametrize("fault", ["stop", "pause"])
@timing.steadily
async def test_without_redis_traffic_goes_on_and_limits_do_what_they_declare(
    edges: list[RunningEdge], own_redis: RedisProcess, origin: RunningOrigin, fault: str
) -> None:
    edge = edges[0]
    await edge.put(document(origin))
    known, unknown = await edge.put_key("acme"), await edge.put_key("acme")
    assert (await edge.get("/echo", X_API_Key=known.text)).status == 200
    await edge.put(document(origin, name="changed"))  # which costs nobody a key
    getattr(own_redis, fault)()
    try:
        outcomes: dict[str, list[int]] = {"local": [], "open": [], "closed": []}
        for _ in range(6):
            for at, kind in enumerate(outcomes, 1):
                status, took_s = await timed(edge, f"/bytes/{at}")
                outcomes[kind].append(status)
                assert took_s < MOST_S, kind
            assert (await timed(edge, "/status/200"))[0] == 200
            status, took_s = await timed(edge, "/echo", X_API_Key=known.text)
            assert (status, took_s < MOST_S) == (200, True)
            status, took_s = await timed(edge, "/echo", X_API_Key=unknown.text)
            assert (status, took_s < MOST_S) == (503, True)
        assert outcomes["open"] == [200] * 6
        assert outcomes["closed"] == [503] * 6
        assert outcomes["local"].count(200) >= 1
        assert set(outcomes["local"]) <= {200, 429}
        with pytest.raises(StoreUnavailable):
            await edge.put(document(origin, name="later"))
    finally:
        own_redis.start() if fault == "stop" else own_redis.resume()
    await until(lambda: edge.worker.watcher.store_error is None)
    async with timing.within(2):
        while (await edge.get("/echo", X_API_Key=unknown.text)).status != 200:
            pass
    await edge.put(document(origin, name="back"))


async def test_no_commit_is_lost_however_often_connections_are_killed(
    edges: list[RunningEdge], own_redis: RedisProcess, origin: RunningOrigin
) -> None:
    last = await edges[0].put(document(origin))
    async with redis.asyncio.Redis.from_url(own_redis.url) as raw:
        for at in range(1000):
            told = TenantRecord({**document(origin), "tenant": f"t{at % 7}", "name": str(at), "domains": []})
            last = (await edges[0].catalog.commit(Change(f"t{at % 7}", told), None)).revision
            if at % 50 == 25:
                for kind in ("pubsub", "normal"):
                    await raw.client_kill_filter(_type=kind, skipme=True)
    for edge in edges:
        async with timing.within(2):
            await edge.reached(last)
        assert edge.worker.tenancy.refused == {}


@pytest.mark.fifty_ms
@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_when_the_store_is_said_to_be_up_again_closed_limits_admit_again(
    edges: list[RunningEdge], own_redis: RedisProcess, origin: RunningOrigin, fault: str
) -> None:
    edge = edges[0]
    await edge.put(document(origin))
    getattr(own_redis, fault)()
    try:
        async with asyncio.timeout(5):
            while edge.worker.is_store_up:
                assert (await edge.get("/bytes/3")).status in (200, 429, 503)
        assert edge.worker.samples()["portico_store_up"] == 0
    finally:
        own_redis.start() if fault == "stop" else own_redis.resume()
    while not edge.worker.is_store_up:
        await edge.get("/bytes/3")
    assert (await edge.get("/bytes/3")).status in (200, 429)  # counted, and not refused for want of a store


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_redis_that_comes_back_with_its_data_is_caught_up_with(
    edges: list[RunningEdge], own_redis: RedisProcess, origin: RunningOrigin, end: str
) -> None:
    before = await edges[0].put(document(origin))
    await asyncio.gather(*(edge.reached(before) for edge in edges))
    getattr(own_redis, end)()
    await until(lambda: all(edge.worker.watcher.store_error for edge in edges))
    assert (await edges[1].get("/status/204")).status == 204
    own_redis.start()
    after = await edges[0].put(document(origin, name="after"))
    assert after > before
    for edge in edges:
        async with timing.within(2):
            await edge.reached(after)
        assert not edge.worker.watcher.is_degraded
