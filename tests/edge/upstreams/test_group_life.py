"""What a group leaves behind when its requests, its checks and itself come to their ends."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from edge.errors import EdgeError
from tests.fakes.origins import HANG, READ_HEAD, Send, running_app, running_evil_origin
from tests.fakes.requests import incoming
from tests.fakes.upstreams import Running, origins, running
from tests.fakes.waiting import until

OK = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))


async def test_a_request_is_in_flight_until_its_body_is_over_and_is_given_back_once() -> None:
    async with origins(1) as (origin,), running(origin.url) as upstream:
        response = await upstream.send(incoming(raw_path="/bytes/9000000"))
        assert upstream.target(0).in_flight == 1
        response.abort()
        response.abort()
        assert upstream.target(0).in_flight == 0


async def test_a_swap_keeps_the_connections_and_the_last_group_to_go_closes_them() -> None:
    async with running_evil_origin(*OK, *OK, HANG) as evil:
        before = Running([evil.url])
        assert await before.ask() == (200, b"a")
        after = Running([evil.url], before.live, response_timeout="1s")
        before.group.close()
        assert await after.ask() == (200, b"a")
        assert len(evil.connections) == 1
        after.group.close()
        assert len(after.live) == 0
        async with asyncio.timeout(5):
            await evil.connections[0].over.wait()


async def test_when_every_target_answers_for_a_broken_gateway_the_last_one_is_heard() -> None:
    def broken(text: str) -> web.Application:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=503, text=text)

        app = web.Application()
        app.router.add_get("/", answer)
        return app

    async with running_app(broken("first")) as one, running_app(broken("last")) as other:
        urls = [f"http://127.0.0.1:{port}" for port in (one, other)]
        async with running(*urls, retry={"on": ["503"]}) as upstream:
            assert await upstream.ask() == (503, b"last")
            assert [upstream.target(at).in_flight for at in (0, 1)] == [0, 0]


async def test_a_target_that_checks_find_sick_takes_nothing_until_they_find_it_well() -> None:
    health = {"path": "/healthz", "interval": "10ms", "healthy_after": 1, "unhealthy_after": 2}
    async with origins(1) as (origin,), running(origin.url, health=health) as upstream:
        origin.state.health_status = 503
        await until(lambda: not upstream.target(0).is_healthy)
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert (caught.value.status, caught.value.code) == (503, "no_target")
        origin.state.health_status = 200
        await until(lambda: upstream.target(0).is_healthy)
        assert (await upstream.ask())[0] == 200


async def test_a_group_that_is_closed_checks_nothing_more() -> None:
    before = asyncio.all_tasks()
    async with origins(1) as (origin,):
        async with running(origin.url, health={"path": "/healthz", "interval": "10ms"}):
            await until(lambda: origin.state.hits["/healthz"] > 1)
            checks = {task for task in asyncio.all_tasks() - before if "HealthMonitor" in repr(task)}
            assert len(checks) == 1
        await asyncio.wait_for(asyncio.gather(*checks, return_exceptions=True), 5)
