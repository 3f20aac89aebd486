"""No limit is ever exceeded: eight workers of two nodes, ten times what is allowed, and what may happen meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from loadtest.node import Node, put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess
from store.fleet import Fleet
from tests.fakes.origins import running_app
from tests.fakes.steady_load import SteadyLoad
from tests.fakes.timing import Stopwatch

SECONDS = 30.0
RATE, BURST, OFFERED = 100, 20, 1000.0
MOST = BURST + RATE * int(SECONDS)
LATE_S = 0.1
"""What is admitted is counted where it arrives, and the first of all may be later on its way than the last."""
CLOCK_AHEAD = Path(__file__).parents[1] / "fakes" / "clock_ahead"

Fault = Callable[[list[Node], RedisProcess], Awaitable[None]]


@asynccontextmanager
async def recording_origin(arrived_s: list[float]) -> AsyncIterator[int]:
    """Run an upstream that notes when each request reached it."""

    async def note(_: web.Request) -> web.Response:
        arrived_s.append(time.monotonic())
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/{tail:.*}", note)
    async with running_app(app) as port:
        yield port


async def nothing(nodes: list[Node], store: RedisProcess) -> None:
    """Leave everything as it is."""


async def kill_workers(nodes: list[Node], store: RedisProcess) -> None:
    """Kill a worker every five seconds, of one node and the other in turn."""
    for turn in range(5):
        await asyncio.sleep(5)
        node = nodes[turn % 2]
        os.kill((await node.worker_pids())[turn % 4], signal.SIGKILL)


async def restart_redis(nodes: list[Node], store: RedisProcess) -> None:
    """Stop Redis in the middle, and start it again with its data."""
    await asyncio.sleep(SECONDS / 2)
    await asyncio.to_thread(store.stop)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(store.start)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("fault", "clock"),
    [(nothing, {}), (kill_workers, {}), (restart_redis, {}), (nothing, {"PYTHONPATH": str(CLOCK_AHEAD)})],
    ids=["all is well", "a worker is killed every five seconds", "Redis is restarted", "clocks are an hour apart"],
)
async def test_eight_workers_of_two_nodes_admit_what_is_allowed_and_hardly_less(
    own_redis: RedisProcess, fault: Fault, clock: dict[str, str]
) -> None:
    arrived_s: list[float] = []
    async with (
        recording_origin(arrived_s) as port,
        running_node(own_redis.url, workers=4, PORTICO_NODE="one") as one,
        running_node(own_redis.url, workers=4, PORTICO_NODE="two", **clock) as two,
        connect(own_redis.url, "control") as client,
    ):
        revision = await put_tenant(Catalog(client), document(port))
        nodes = [one, two]
        state = await Fleet(client).wait(revision, 10.0)
        assert (state.applied, state.workers) == (8, 8)
        started_at_ms = {worker.node: worker.started_at_ms for worker in await Fleet(client).workers()}
        assert (started_at_ms["two"] - started_at_ms["one"] > 3_000_000) is bool(clock)
        request = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        load = SteadyLoad([node.port for node in nodes], request, OFFERED)
        watch = Stopwatch()
        await asyncio.gather(load.run(SECONDS), fault(nodes, own_redis))
        least = 0.95 * (MOST - RATE * watch.missed_s)  # while the machine stood still, nobody asked
    within = sum(at < arrived_s[0] + SECONDS - LATE_S for at in arrived_s)
    assert load.offered >= 0.95 * OFFERED * SECONDS
    assert least <= within <= MOST, f"{within} of {load.offered}, answered {dict(load.answers)}"


def document(port: int) -> dict[str, object]:
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [f"http://127.0.0.1:{port}"]}},
        "limits": {"all": {"rate": f"{RATE}/s", "burst": BURST, "by": "tenant"}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "limits": ["all"]}],
    }
