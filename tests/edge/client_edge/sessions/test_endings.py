"""A session that ends at one worker is over at the others: at once where they hear of it, and after a gap they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
import redis.asyncio

from edge.client_edge.sessions.endings import heeded
from edge.client_edge.sessions.known import KnownSessions
from store import keys
from store.client import Client, connect
from store.endings import Endings
from store.errors import StoreUnavailable
from store.sealing import Sealer
from store.sessions import Kept, Sessions
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.openid import RunningProvider
from tests.fakes.origins import RunningOrigin
from tests.fakes.visitors import LOGOUT, SECRETS, Visitor, document, operators
from tests.fakes.waiting import until

ANN = Kept("ann", {})
SEALER = Sealer([b"k" * 32])
WELL_WITHIN_S = 20.0  # of the minute that a worker would take to ask by itself


@pytest_asyncio.fixture
async def other_edge(redis_url: str, provider: RunningProvider) -> AsyncIterator[RunningEdge]:
    """A second worker of the same installation."""
    async with running_edge(redis_url, SECRETS, **{**operators(provider), "node": "other"}) as running:
        yield running


@pytest_asyncio.fixture
async def data(redis_url: str) -> AsyncIterator[Client]:
    async with connect(redis_url, "data") as opened:
        await opened.ping()
        yield opened


class Doubting(KnownSessions):
    """Sessions that count how often all of them were doubted."""

    doubted = 0

    def doubt(self) -> None:
        self.doubted += 1
        super().doubt()


async def subscribers(client: Client) -> int:
    _, count = await client.ask("PUBSUB", "NUMSUB", keys.ended_sessions())
    return int(count)


async def test_who_logs_out_at_one_worker_is_logged_out_at_the_others_and_nobody_else_is(
    edge: RunningEdge, other_edge: RunningEdge, origin: RunningOrigin, data: Client
) -> None:
    await other_edge.reached(await edge.put(document(origin.url)))
    ann, bob = Visitor(edge), Visitor(edge)
    await ann.log_in()
    await bob.log_in("bob")
    theirs = [Visitor(other_edge, cookies=dict(visitor.cookies)) for visitor in (ann, bob)]
    async with asyncio.timeout(WELL_WITHIN_S):
        await until(lambda: _all_listen(data, 2))
    assert [(await visitor.get("/echo")).status for visitor in theirs] == [200, 200]
    head = other_edge.worker.watcher.position
    assert (await ann.ask("POST", LOGOUT, **{"Sec-Fetch-Site": "same-origin"})).status == 303
    await until(lambda: _is_out(theirs[0]), WELL_WITHIN_S)
    assert (await theirs[1].get("/echo")).status == 200
    assert other_edge.worker.watcher.position == head  # a logout is no revision


async def _all_listen(client: Client, count: int) -> bool:
    return await subscribers(client) >= count


async def _is_out(visitor: Visitor) -> bool:
    return (await visitor.get("/echo")).status == 401


async def test_who_may_have_missed_an_ending_asks_again(redis_url: str, data: Client) -> None:
    sessions = Sessions(data, SEALER)
    known = Doubting(sessions.get)
    await sessions.put("acme", "a", ANN, 60)
    async with connect(redis_url, "feed") as feed, heeded(Endings(feed), known):
        await until(lambda: known.doubted == 2)  # before it listened, and once it did
        await known.get("acme", "a", 60)
        assert known.known("acme", "a", 60) == ANN
        async with redis.asyncio.Redis.from_url(redis_url) as raw, raw.pipeline(transaction=True) as pipe:
            pipe.delete(keys.session("acme", "a"))  # as if the message had been lost with the connection
            pipe.client_kill_filter(_type="pubsub")
            await pipe.execute()
        await until(lambda: known.doubted == 3)
        assert known.known("acme", "a", 60) is None
        assert await known.get("acme", "a", 60) is None
    await until(lambda: _nobody_listens(data))


async def _nobody_listens(client: Client) -> bool:
    return await subscribers(client) == 0


async def test_a_doubt_takes_no_grace_away() -> None:
    is_lost = False

    async def lookup(*_: object) -> Kept:
        if is_lost:
            raise StoreUnavailable("down")
        return ANN

    known = KnownSessions(lookup)
    await known.get("acme", "a", 60)
    known.doubt()
    is_lost = True
    assert known.known("acme", "a", 60) is None
    assert await known.get("acme", "a", 60) == ANN
