"""Redis fails over under load, with units out that workers took ahead: who is served, and how much is admitted.

What a Redis knows that takes over may be older than what workers were given: store/README.md says what that costs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from loadtest.node import put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess
from store.fleet import Fleet
from tests.fakes.listening import listening
from tests.fakes.redis_modes import ReplicaProcess, SentinelProcess
from tests.fakes.steady_load import SteadyLoad
from tests.fakes.verdicts import to_acme
from tests.faults.test_the_bound_of_limits import LATE_S, recording_origin

SECONDS, FAULT_AT_S = 7.0, 2.0
RATE, BURST, OFFERED = 100, 50, 400.0
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
LAG_S = 0.5
ON_ITS_WAY_S = 0.1
"""By so much at most a replica that is in step is behind."""


@dataclass
class Stores:
    """A Redis and one that takes over from it, when `fail_over` is called; it says how far, in seconds, it is behind.

    `url` leads to the one that is in charge.
    """

    url: str
    fail_over: Callable[[], Awaitable[float]]


@asynccontextmanager
async def by_sentinel(first: RedisProcess, folder: Path) -> AsyncIterator[Stores]:
    """Have a Sentinel promote the replica, which is in step but for what was on its way."""
    with ReplicaProcess(folder / "replica", first), SentinelProcess(folder / "sentinel", first, replicas=1) as sentinel:

        async def fail_over() -> float:
            await asyncio.to_thread(first.kill)
            return ON_ITS_WAY_S

        yield Stores(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", fail_over)


@asynccontextmanager
async def by_an_older_one(first: RedisProcess, folder: Path) -> AsyncIterator[Stores]:
    """Have all go to a replica that has heard nothing for a while, by the same address."""
    with ReplicaProcess(folder / "replica", first) as replica:
        ports = [first.port]

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", ports[-1])
            async with asyncio.TaskGroup() as both:
                both.create_task(carry(reader, back))
                both.create_task(carry(there, writer))

        async def fail_over() -> float:
            behind_since_s = time.monotonic()
            with redis.Redis.from_url(replica.url) as raw:
                raw.replicaof("NO", "ONE")
            await asyncio.sleep(LAG_S)
            ports.append(replica.port)
            await asyncio.to_thread(first.kill)
            return time.monotonic() - behind_since_s

        async with listening(lead) as port:
            yield Stores(f"redis://127.0.0.1:{port}/0", fail_over)


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("stores", "on_store_loss", "outage"),
    [(by_sentinel, "local", BURST), (by_sentinel, "closed", 0), (by_an_older_one, "closed", 0)],
    ids=["by Sentinel, local", "by Sentinel, closed", "by an older one, closed"],
)
async def test_after_a_failover_everybody_is_answered_and_no_more_is_admitted_than_the_new_redis_did_not_know(
    own_redis: RedisProcess,
    tmp_path: Path,
    stores: Callable[[RedisProcess, Path], AbstractAsyncContextManager[Stores]],
    on_store_loss: str,
    outage: int,
) -> None:
    arrived_s: list[float] = []
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        kept, port = await enter(stores(own_redis, tmp_path)), await enter(recording_origin(arrived_s))
        node = await enter(running_node(kept.url, workers=4))
        client = await enter(connect(kept.url, "control"))
        limit = {"rate": f"{RATE}/s", "burst": BURST, "by": "tenant", "on_store_loss": on_store_loss}
        document = {**to_acme(f"http://127.0.0.1:{port}", limits=["all"]), "limits": {"all": limit}}
        state = await Fleet(client).wait(await put_tenant(Catalog(client), document), 10.0)
        assert (state.applied, state.workers) == (4, 4)
        load = SteadyLoad([node.port], REQUEST, OFFERED)
        loading = asyncio.create_task(load.run(SECONDS))
        await asyncio.sleep(FAULT_AT_S)
        lag_s = await kept.fail_over()
        await loading
    lasted_s = arrived_s[-1] - arrived_s[0] + LATE_S
    assert (load.offered, set(load.answers) - {200, 429, 503}) == (sum(load.answers.values()), set())
    assert load.answers[200] == len(arrived_s)
    assert len(arrived_s) <= BURST + RATE * lasted_s + outage + RATE * lag_s
    assert sum(at > arrived_s[-1] - 1.0 for at in arrived_s) > RATE / 10  # and it goes on, when what is owed is paid
