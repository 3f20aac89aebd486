"""The path of a change, end to end: committed to Redis, heard by workers, served by the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from store import keys
from store.catalog import KEEP, Change
from store.codec import TenantRecord
from store.errors import StoreUnavailable
from store.feed import Feed
from store.fleet import Fleet
from store.secrets import new_api_key
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import RunningOrigin, running_origin
from tests.fakes.waiting import until


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[RunningOrigin]:
    async with running_origin() as running:
        yield running


@pytest_asyncio.fixture
async def edges(redis_url: str) -> AsyncIterator[list[RunningEdge]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_edge(redis_url, node=f"node{at}")) for at in range(3)]


def document(tenant: str, origin: RunningOrigin, status: int = 200) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "domains": [{"host": f"{tenant}.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [origin.url]}},
        "routes": [
            {
                "name": "all",
                "path": "/*",
                "upstream": "app",
                "rewrite": {"regex": "^/.*", "to": f"/status/{status}"},
            }
        ],
    }


async def test_a_committed_change_is_served_by_every_worker(edges: list[RunningEdge], origin: RunningOrigin) -> None:
    for status in (200, 201, 202, 418):
        revision = await edges[0].put(document("acme", origin, status))
        await asyncio.gather(*(edge.reached(revision) for edge in edges))
        assert {(await edge.get("/", "acme.test")).status for edge in edges} == {status}
    await edges[0].delete("acme")
    for edge in edges:
        await edge.reached(revision + 1)
        assert (await edge.get("/", "acme.test")).status == 421


async def test_the_fleet_acknowledges_a_change(edges: list[RunningEdge], origin: RunningOrigin) -> None:
    fleet = Fleet(edges[0].worker.fleet._client)
    revision = await edges[0].put(document("acme", origin))
    state = await fleet.wait(revision, 2.0, "acme")
    assert (state.applied, state.workers, state.lagging, state.refused) == (3, 3, (), ())


async def test_a_request_under_way_ends_as_it_began_whatever_changes(
    edges: list[RunningEdge], origin: RunningOrigin
) -> None:
    edge = edges[0]
    slow = document("acme", origin)
    slow["routes"][0]["rewrite"] = {"regex": "^/.*", "to": "/delay/0.3"}
    await edge.put(slow)
    asking = asyncio.create_task(edge.get("/", "acme.test"))
    await until(lambda: any(path.startswith("/delay") for path in origin.state.hits))
    await edge.delete("acme")
    assert (await edge.get("/", "acme.test")).status == 421
    assert (await asking).status == 200


async def test_a_document_made_unreadable_in_redis_stops_its_own_tenant_only(
    edges: list[RunningEdge], origin: RunningOrigin, redis_url: str
) -> None:
    await edges[0].put(document("acme", origin, 201))
    await edges[0].put(document("other", origin, 201))
    async with redis.asyncio.Redis.from_url(redis_url) as raw:
        await raw.hset(keys.documents(), "acme", b"\x00" * 8 + b"rubbish")
        revision = await raw.incr(keys.revision())
        await raw.zadd(keys.changes(), {"acme": revision})
    last = await edges[0].put(document("other", origin, 202))
    for edge in edges:
        await edge.reached(last)
        assert (await edge.get("/", "acme.test")).status == 201
        assert (await edge.get("/", "other.test")).status == 202
    reports = await edges[0].worker.fleet.workers()
    await asyncio.gather(*(edge.worker.fleet.wait(last, 2.0) for edge in edges))
    reports = await edges[0].worker.fleet.workers()
    for report in reports:
        assert [(each.tenant, each.revision) for each in report.refused] == [("acme", revision)]
        assert "not a record" in report.refused[0].reason


async def test_an_emptied_store_leaves_every_worker_as_it_was(
    edges: list[RunningEdge], origin: RunningOrigin, redis_url: str
) -> None:
    revision = await edges[0].put(document("acme", origin, 201))
    await asyncio.gather(*(edge.reached(revision) for edge in edges))
    async with redis.asyncio.Redis.from_url(redis_url) as raw:
        await raw.flushall()
    await until(lambda: all(edge.worker.watcher.alarm for edge in edges))
    for edge in edges:
        assert (await edge.get("/", "acme.test")).status == 201
        assert edge.worker.watcher.alarm == "the store is empty"


async def test_a_key_that_an_emptied_store_does_not_know_is_no_wrong_key(
    edges: list[RunningEdge], origin: RunningOrigin, redis_url: str
) -> None:
    edge = edges[0]
    told = document("acme", origin)
    told["routes"][0]["auth"], told["auth"] = ["keys"], {"keys": {"type": "api_key"}}
    await edge.put(told)
    key = await edge.put_key("acme")
    async with redis.asyncio.Redis.from_url(redis_url) as raw:
        await raw.flushall()
    await until(lambda: bool(edge.worker.watcher.alarm))
    assert (await edge.get("/", "acme.test", X_API_Key=key.text)).status == 503


async def test_a_key_asked_for_before_a_worker_knows_that_the_store_was_emptied_is_no_wrong_key_either(
    redis_url: str, origin: RunningOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.assembly.Feed", partial(Feed, poll_s=60.0))  # so that it does not know
    async with running_edge(redis_url) as edge, redis.asyncio.Redis.from_url(redis_url) as raw:
        told = document("acme", origin)
        told["routes"][0]["auth"], told["auth"] = ["keys"], {"keys": {"type": "api_key"}}
        await edge.put(told)
        seen, key = await edge.put_key("acme"), await edge.put_key("acme")
        assert (await edge.get("/", "acme.test", X_API_Key=seen.text)).status == 200
        assert (await edge.get("/", "acme.test", X_API_Key=new_api_key().text)).status == 401
        await raw.flushall()
        assert (await edge.get("/", "acme.test", X_API_Key=key.text)).status == 503
        assert edge.worker.watcher.alarm is None
        assert (await edge.get("/", "acme.test", X_API_Key=seen.text)).status == 200
        await raw.publish(keys.tick_channel(), "look")
        await until(lambda: bool(edge.worker.watcher.alarm))
        assert (await edge.get("/", "acme.test", X_API_Key=key.text)).status == 503


async def test_a_revoked_key_is_refused_by_every_worker_that_acknowledged(
    edges: list[RunningEdge], origin: RunningOrigin
) -> None:
    told = document("acme", origin)
    told["routes"][0]["auth"] = ["keys"]
    told["auth"] = {"keys": {"type": "api_key"}}
    await edges[0].put(told)
    key = await edges[0].put_key("acme")
    for edge in edges:
        assert (await edge.get("/", "acme.test", X_API_Key=key.text)).status == 200
    commit = await edges[0].catalog.commit(Change("acme", KEEP, drop_keys=(key.id,)), None)
    state = await edges[0].worker.fleet.wait(commit.revision, 2.0)
    assert (state.applied, state.lagging) == (3, ())
    for edge in edges:
        assert (await edge.get("/", "acme.test", X_API_Key=key.text)).status == 401


async def test_an_unverified_domain_is_not_served(edges: list[RunningEdge], origin: RunningOrigin) -> None:
    told = document("acme", origin)
    told["domains"] = ["acme.test"]
    commit = await edges[0].catalog.commit(Change("acme", TenantRecord(told)), None)
    await edges[0].reached(commit.revision)
    assert (await edges[0].get("/", "acme.test")).status == 421


async def test_a_thousand_tenants_are_there_at_the_start_and_cost_no_compiling(
    redis_url: str, origin: RunningOrigin, edges: list[RunningEdge]
) -> None:
    catalog = edges[0].catalog
    told = document("acme", origin)

    async def commit(at: int) -> None:
        mine = {**told, "tenant": f"t{at}", "domains": [{"host": f"t{at}.test", "verified_by": "operator"}]}
        for tries_left in reversed(range(5)):  # it is the same however often, and a busy machine may need it
            try:
                await catalog.commit(Change(f"t{at}", TenantRecord(mine)), None)
                return
            except StoreUnavailable:
                if not tries_left:
                    raise

    for at in range(0, 1000, 10):
        await asyncio.gather(*(commit(at + offset) for offset in range(10)))
    async with running_edge(redis_url) as late:
        assert len(late.worker.tenancy) == 1000
        assert (await late.get("/", "t999.test")).status == 200
        assert (await late.get("/", "t0.test")).status == 200
