from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from edge.ops import NodeView, start_ops
from store.setting_values import Address

VIEW = NodeView(
    is_ready=True,
    is_draining=False,
    is_degraded=False,
    samples={"portico_connections_total": 3},
    status={"node": "n1", "revision": 7},
)


@asynccontextmanager
async def ops_of(view: NodeView) -> AsyncIterator[ClientSession]:
    async def look() -> NodeView:
        return view

    runner, address = await start_ops(look, Address("127.0.0.1", 0))
    try:
        async with ClientSession(f"http://{address}") as session:
            yield session
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("view", "status", "word"),
    [
        (VIEW, 200, "ready"),
        (replace(VIEW, is_ready=False), 503, "starting"),
        (replace(VIEW, is_draining=True), 503, "draining"),
        (replace(VIEW, is_degraded=True), 200, "ready"),
    ],
)
async def test_readiness_follows_the_node_and_not_the_store(view: NodeView, status: int, word: str) -> None:
    async with ops_of(view) as session, session.get("/readyz") as answer:
        assert answer.status == status
        assert await answer.json() == {"status": word, "degraded": view.is_degraded}


async def test_a_node_is_alive_even_while_it_starts_and_drains() -> None:
    async with ops_of(replace(VIEW, is_ready=False, is_draining=True)) as session:
        async with session.get("/livez") as answer:
            assert answer.status == 200


async def test_metrics_are_prometheus_text() -> None:
    async with ops_of(VIEW) as session, session.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "\nportico_connections_total 3\n" in await answer.text()


async def test_status_is_what_the_node_says() -> None:
    async with ops_of(VIEW) as session, session.get("/status") as answer:
        assert await answer.json() == {"node": "n1", "revision": 7}


async def test_nothing_else_is_served() -> None:
    async with ops_of(VIEW) as session:
        async with session.get("/") as answer:
            assert answer.status == 404
        async with session.post("/readyz") as answer:
            assert answer.status == 405


async def test_an_address_in_use_is_an_os_error() -> None:
    async def look() -> NodeView:
        return VIEW

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await start_ops(look, Address("127.0.0.1", taken.getsockname()[1]))
