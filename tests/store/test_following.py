"""The promise that no change is ever lost, whatever happens to a connection: the feed followed under fire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.catalog import KEEP, Catalog, Change, Changes
from store.client import Client, connect
from store.codec import TenantRecord
from store.embedded import RedisProcess
from store.errors import AlreadyExists, NotFound, StoreUnavailable
from store.feed import Feed
from store.secrets import ApiKeyRecord
from tests.fakes.timing import within

Known = dict[str, tuple[int, bytes]]
COMMITS = 1_000
TENANTS = 60


def apply(known: Known, changes: Changes) -> None:
    for item in changes.items:
        if item.payload is None:
            known.pop(item.tenant, None)
        else:
            known[item.tenant] = (item.doc_revision, item.payload)


async def catch_up(catalog: Catalog, known: Known, revision: int, limit: int) -> int:
    while True:
        changes = await catalog.changes_since(revision, limit)
        apply(known, changes)
        if changes.complete:
            return changes.revision
        revision = changes.items[-1].revision


class Follower:
    """What a worker does with configuration, without compiling it."""

    def __init__(self, client: Client, limit: int) -> None:
        self.known: Known = {}
        self.revision = 0
        self._client = client
        self._limit = limit
        self._moved = asyncio.Event()

    async def run(self) -> None:
        catalog = Catalog(self._client)
        async with aclosing(Feed(self._client).wake_ups()) as wake_ups:
            async for _ in wake_ups:
                try:
                    self.revision = await catch_up(catalog, self.known, self.revision, self._limit)
                except StoreUnavailable:
                    continue
                self._moved.set()

    async def reach(self, revision: int) -> None:
        while self.revision < revision:
            self._moved.clear()
            await self._moved.wait()


@asynccontextmanager
async def following(url: str, limits: list[int]) -> AsyncIterator[list[Follower]]:
    async with AsyncExitStack() as stack:
        followers = []
        for limit in limits:
            client = await stack.enter_async_context(connect(url, "feed"))
            follower = Follower(client, limit)
            task = asyncio.create_task(follower.run())
            stack.push_async_callback(ended, task)
            followers.append(follower)
        yield followers


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def a_change(chance: random.Random, n: int) -> Change:
    tenant = f"t{chance.randrange(TENANTS)}"
    kind = chance.random()
    if kind < 0.1:
        return Change(tenant, None)
    if kind < 0.2:
        return Change(tenant, KEEP, put_keys=(ApiKeyRecord(f"k{n}", "", b"h", n),))
    return Change(tenant, TenantRecord({"tenant": tenant, "name": f"n{n}", "domains": [f"{tenant}.test"]}))


async def insist(catalog: Catalog, change: Change) -> None:
    """Commit it as a patient operator would: again after every failure that is no refusal, until it is there."""
    while True:
        try:
            await catalog.commit(change, None)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        except (NotFound, AlreadyExists):
            return
        else:
            return


async def write_and_disturb(url: str, disturb: Callable[[], Awaitable[None]], every: int) -> None:
    chance = random.Random(42)
    numbers = iter(range(COMMITS))

    async with connect(url, "control") as client:
        catalog = Catalog(client)

        async def write() -> None:
            for n in numbers:
                if n % every == every // 2:
                    await disturb()
                await insist(catalog, a_change(chance, n))

        await asyncio.gather(*(write() for _ in range(4)))


async def everyone_agrees(url: str, followers: list[Follower]) -> None:
    async with connect(url, "control") as client:
        catalog = Catalog(client)
        head = await catalog.head()
        async with within(2):
            await asyncio.gather(*(follower.reach(head.revision) for follower in followers))
        truth = await whole(catalog)
    assert head.revision > COMMITS * 0.8
    assert 0 < len(truth) <= TENANTS
    for follower in followers:
        assert follower.revision == head.revision
        assert follower.known == truth


async def whole(catalog: Catalog) -> Known:
    page = await catalog.tenants(limit=1000)
    return {stored.tenant: (stored.revision, stored.payload) for stored in page.items}


async def test_no_change_is_lost_while_all_connections_are_killed_twenty_times(redis_url: str) -> None:
    kills = 0

    async def kill() -> None:
        nonlocal kills
        kills += 1
        with redis.Redis.from_url(redis_url) as raw:
            for kind in ("normal", "pubsub"):
                raw.client_kill_filter(_type=kind, skipme=True)

    async with following(redis_url, [500, 7, 1]) as followers:
        await write_and_disturb(redis_url, kill, every=COMMITS // 20)
        await everyone_agrees(redis_url, followers)
    assert kills == 20


async def test_no_change_is_lost_while_redis_is_stopped_and_started_with_its_data(own_redis: RedisProcess) -> None:
    async def restart() -> None:
        await asyncio.to_thread(own_redis.stop)
        await asyncio.to_thread(own_redis.start)

    async with following(own_redis.url, [500, 7]) as followers:
        await write_and_disturb(own_redis.url, restart, every=COMMITS // 3)
        await everyone_agrees(own_redis.url, followers)


async def test_no_change_is_lost_when_no_message_is_ever_delivered(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], categories=["+@all"], reset_channels=True)
    deaf_url = redis_url.replace("127.", "deaf:x@127.")
    async with following(deaf_url, [500]) as followers:
        async with connect(redis_url, "control") as client:
            await Catalog(client).commit(Change("acme", TenantRecord({"tenant": "acme"})), 0)
        async with within(2):
            await followers[0].reach(1)


steps = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(["put", "put", "put", "key", "drop"])), min_size=1, max_size=25
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, limit=st.integers(1, 6), data=st.data())
def test_from_any_point_the_changes_since_lead_to_the_same_end(
    redis_server: RedisProcess, steps: list[tuple[str, str]], limit: int, data: st.DataObject
) -> None:
    asyncio.run(follow_from_anywhere(redis_server.url, steps, limit, data))


async def follow_from_anywhere(url: str, steps: list[tuple[str, str]], limit: int, data: st.DataObject) -> None:
    async with connect(url, "control") as client:
        await client.ask("FLUSHALL")
        catalog = Catalog(client)
        snapshots: dict[int, Known] = {0: {}}
        for n, (tenant, kind) in enumerate(steps):
            try:
                commit = await catalog.commit(the_change(tenant, kind, n), None)
            except NotFound:
                continue
            snapshots[commit.revision] = await whole(catalog)
        start = data.draw(st.sampled_from(sorted(snapshots)))
        known = dict(snapshots[start])
        head = await catch_up(catalog, known, start, limit)
        assert head == max(snapshots)
        assert known == snapshots[head]


def the_change(tenant: str, kind: str, n: int) -> Change:
    record: Any = {"drop": None, "key": KEEP, "put": TenantRecord({"tenant": tenant, "name": str(n)})}[kind]
    return Change(tenant, record, put_keys=(ApiKeyRecord(str(n), "", b"h", n),) if kind == "key" else ())
