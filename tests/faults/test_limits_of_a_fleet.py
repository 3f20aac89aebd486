"""Limits of other kinds than rates before two nodes of two workers: never over, and given back in the end.

Rates are in `tests/faults/test_the_bound_of_limits.py`. The limits are `closed` without Redis, as on a busy machine one
of its answers may come too late: that is a 503 here, and no place or unit that a worker admits by itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web

from loadtest.node import Node, put_tenant, running_node
from store import keys
from store.catalog import Catalog
from store.client import Client, connect
from store.embedded import RedisProcess
from store.fleet import Fleet
from store.meter import US_PER_S
from tests.fakes.origins import running_app
from tests.fakes.steady_load import SteadyLoad
from tests.fakes.verdicts import to_acme

REQUEST = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
SECONDS = 8.0
MOST = 5
QUOTA, MINUTE_S, HOUR_S = 500, 60.0, 3600.0
LONGEST_S = 0.2


@dataclass
class Target:
    """An upstream that notes how much is under way in it; each request takes as long as its query says, in seconds."""

    port: int = 0
    running: int = 0
    most_at_once: int = 0
    ended: int = 0
    minutes: Counter[int] = field(default_factory=Counter)

    async def serve(self, request: web.Request) -> web.Response:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.minutes[int(time.time() // MINUTE_S)] += 1
        try:
            await asyncio.sleep(float(request.query.get("s", "0")))
        finally:
            self.running -= 1
            self.ended += 1
        return web.Response(text="ok")


@asynccontextmanager
async def running_target() -> AsyncIterator[Target]:
    target, app = Target(), web.Application()
    app.router.add_get("/{tail:.*}", target.serve)
    async with running_app(app) as target.port:
        yield target


@asynccontextmanager
async def running_fleet(redis_url: str, client: Client, document: dict[str, Any]) -> AsyncIterator[list[Node]]:
    """Run two nodes of two workers each, all of which serve a document."""
    async with running_node(redis_url, PORTICO_NODE="one") as one, running_node(redis_url, PORTICO_NODE="two") as two:
        revision = await put_tenant(Catalog(client), document)
        state = await Fleet(client).wait(revision, 10.0)
        assert (state.applied, state.workers) == (4, 4)
        yield [one, two]


async def of_different_length(session: ClientSession, ports: list[int], seconds: float, told: Counter[int]) -> None:
    """Ask one after another for so long, some longer and some shorter; TimeoutError when there is no answer."""
    chance, end_s = random.Random(), time.monotonic() + seconds
    while time.monotonic() < end_s:
        url = f"http://127.0.0.1:{chance.choice(ports)}/?s={chance.choice((0.0, 0.01, LONGEST_S))}"
        async with asyncio.timeout(5.0), session.get(url, headers={"Host": "shop.test"}) as answer:
            await answer.read()
            told[answer.status] += 1


async def test_four_workers_have_never_more_under_way_at_a_target_than_may_be(own_redis: RedisProcess) -> None:
    async with running_target() as target, connect(own_redis.url, "control") as client, ClientSession() as session:
        document = {
            **to_acme(f"http://127.0.0.1:{target.port}", limits=["busy"]),
            "limits": {"busy": {"concurrent": MOST, "by": "tenant", "on_store_loss": "closed"}},
        }
        async with running_fleet(own_redis.url, client, document) as nodes:
            told, ports = Counter[int](), [node.port for node in nodes]
            await asyncio.gather(*(of_different_length(session, ports, SECONDS, told) for _ in range(4 * MOST)))
        assert target.most_at_once == MOST
        assert {200, 429} <= set(told) <= {200, 429, 503}
        assert told[503] < sum(told.values()) / 100
        assert told[200] > MOST * SECONDS / LONGEST_S / 2


async def test_four_workers_admit_a_quota_and_not_one_more_in_a_minute(own_redis: RedisProcess) -> None:
    async with running_target() as target, connect(own_redis.url, "control") as client:
        document = {
            **to_acme(f"http://127.0.0.1:{target.port}", limits=["all"]),
            "limits": {"all": {"quota": f"{QUOTA}/minute", "by": "tenant", "on_store_loss": "closed"}},
        }
        async with running_fleet(own_redis.url, client, document) as nodes:
            if (left_s := MINUTE_S - time.time() % MINUTE_S) < 1.0:
                await asyncio.sleep(left_s)  # so that the first minute has its whole quota, too
            load = SteadyLoad([node.port for node in nodes], REQUEST, 2.5 * QUOTA / SECONDS * 2)
            await load.run(SECONDS)
        assert {200, 429} <= set(load.answers) <= {200, 429, 503}
        assert target.ended == load.answers[200]
        # One that is admitted at the end of a minute may arrive in the next; two borders cannot be in so short a time.
        assert target.ended <= QUOTA * len(target.minutes)
        assert max(target.minutes.values()) >= QUOTA * 0.99
        assert len(target.minutes) <= 2


@pytest.mark.parametrize(
    ("limit", "is_exact"),
    [({"quota": "1000000/hour"}, True), ({"rate": "1/h", "burst": 100_000}, False)],
    ids=["a quota", "a rate, as far as nobody could have more for it"],
)
async def test_a_worker_that_is_told_to_end_gives_back_what_it_took_ahead(
    own_redis: RedisProcess, limit: dict[str, Any], *, is_exact: bool
) -> None:
    async with running_target() as target, connect(own_redis.url, "control") as client:
        document = {
            **to_acme(f"http://127.0.0.1:{target.port}", limits=["all"]),
            "limits": {"all": {**limit, "by": "tenant", "on_store_loss": "closed"}},
        }
        async with running_fleet(own_redis.url, client, document) as nodes:
            load = SteadyLoad([node.port for node in nodes], REQUEST, 800.0)
            await load.run(1.5)
            before = await used(client, limit)
            assert before > target.ended  # or there would be nothing to give back
            for node in nodes:
                assert await node.stop() == 0
            assert load.answers[200] == target.ended
            after = await used(client, limit)
            assert after == target.ended if is_exact else target.ended <= after < before


async def used(client: Client, limit: dict[str, Any]) -> int:
    """Tell what Redis counts of the tenant's limit: of so slow a rate, what comes back meanwhile is part of a unit."""
    kept = str(await client.ask("GET", keys.limit("acme", "all", "")), "ascii").split()
    return int(kept[0]) if "quota" in limit else round((int(kept[0]) / US_PER_S - time.time()) / HOUR_S)
