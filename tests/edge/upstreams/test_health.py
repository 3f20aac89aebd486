from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from edge.pool import Address, ConnectionPool
from edge.upstreams.health import Health, HealthMonitor, after_check, host_field, is_answering
from store.model import HealthCheck
from tests.fakes.origins import HANG, READ_HEAD, RESET, Send, refusing_port, running_app, running_evil_origin

UP, DOWN = Health(True), Health(False)


def settings(**changed: Any) -> HealthCheck:
    return HealthCheck.model_validate({"path": "/healthz", "interval": "10ms", "timeout": "10s", **changed})


@pytest.mark.parametrize(
    ("before", "outcomes", "after"),
    [
        (UP, "+", UP),
        (UP, "-", Health(True, 1)),
        (UP, "--", Health(True, 2)),
        (UP, "---", DOWN),
        (UP, "--+", UP),
        (UP, "--+--", Health(True, 2)),
        (DOWN, "-", DOWN),
        (DOWN, "+", Health(False, 1)),
        (DOWN, "++", UP),
        (DOWN, "+-", DOWN),
        (DOWN, "+-+", Health(False, 1)),
        (UP, "---++", UP),
    ],
)
def test_enough_outcomes_in_a_row_turn_the_verdict(before: Health, outcomes: str, after: Health) -> None:
    rules = settings(healthy_after=2, unhealthy_after=3)
    health = before
    for outcome in outcomes:
        health = after_check(health, rules, is_passed=outcome == "+")
    assert health == after


def pool_to(port: int, *, is_allowed: bool = True) -> ConnectionPool:
    return ConnectionPool(Address("127.0.0.1", port), connect_timeout_s=1.0, allow=lambda _: is_allowed)


Check = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def running_check(check: Check) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", check)
    async with running_app(app) as port:
        yield port


@pytest.mark.parametrize(
    ("status", "is_passed"),
    [(200, True), (204, True), (302, True), (399, True), (400, False), (404, False), (503, False)],
)
async def test_an_answer_below_400_is_a_pass(status: int, is_passed: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with running_check(answer) as port:
        assert await is_answering(pool_to(port), settings()) is is_passed


async def test_a_check_asks_for_its_path_once_and_follows_no_redirect() -> None:
    asked: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.raw_path, request.host))
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with running_check(answer) as port:
        await is_answering(pool_to(port), settings(path="/health/z?deep=1"))
        assert asked == [("GET", "/health/z?deep=1", f"127.0.0.1:{port}")]


async def test_a_targets_own_path_goes_before_that_of_its_checks() -> None:
    asked = asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.StreamResponse:
        if not asked.done():
            asked.set_result(request.raw_path)
        return web.Response()

    async with running_check(answer) as port:
        monitor = HealthMonitor("http://target", pool_to(port), settings(), "/app")
        assert await asked == "/app/healthz"
        monitor.stop()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address("a.test", 80), "a.test"),
        (Address("a.test", 443, is_tls=True), "a.test"),
        (Address("a.test", 443), "a.test:443"),
        (Address("a.test", 80, is_tls=True), "a.test:80"),
        (Address("10.0.0.5", 9000), "10.0.0.5:9000"),
        (Address("fd00::5", 9000), "[fd00::5]:9000"),
    ],
)
def test_a_check_names_its_target_as_urls_do(address: Address, expected: str) -> None:
    assert host_field(address) == expected


async def test_a_target_that_resets_or_says_nonsense_does_not_pass() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil:
        assert not await is_answering(pool_to(evil.port), settings())
    async with running_evil_origin(READ_HEAD, Send(b"nonsense\r\n\r\n")) as evil:
        assert not await is_answering(pool_to(evil.port), settings())


async def test_a_target_that_hangs_does_not_pass_and_its_connection_is_closed() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as evil:
        assert not await is_answering(pool_to(evil.port), settings(timeout="50ms"))
        async with asyncio.timeout(20):
            await evil.connections[0].over.wait()


async def test_a_target_that_refuses_does_not_pass() -> None:
    with refusing_port() as port:
        assert not await is_answering(pool_to(port), settings())


async def test_the_egress_filter_holds_for_checks_too() -> None:
    async with running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as evil:
        assert not await is_answering(pool_to(evil.port, is_allowed=False), settings())
        assert not evil.connections


class Switch:
    """A health path that answers what it is told; `checked` is set by every check."""

    def __init__(self) -> None:
        self.status = 200
        self.checks = 0
        self.checked = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.checks += 1
        self.checked.set()
        return web.Response(status=self.status)

    async def next_check(self) -> None:
        self.checked.clear()
        await self.checked.wait()


async def test_a_monitor_follows_its_target_down_and_up_again() -> None:
    switch = Switch()
    async with running_check(switch.answer) as port:
        monitor = HealthMonitor("http://target", pool_to(port), settings())
        try:
            async with asyncio.timeout(5):
                await switch.next_check()
                assert monitor.health.is_healthy
                switch.status = 503
                while monitor.health.is_healthy:
                    await switch.next_check()
                switch.status = 200
                while not monitor.health.is_healthy:
                    await switch.next_check()
        finally:
            monitor.stop()


async def test_a_stopped_monitor_asks_nothing_more() -> None:
    switch = Switch()
    async with running_check(switch.answer) as port:
        monitor = HealthMonitor("http://target", pool_to(port), settings())
        await switch.next_check()
        monitor.stop()
        monitor.stop()
        with pytest.raises(asyncio.CancelledError):
            await monitor._task
        checks = switch.checks
        await asyncio.sleep(0.05)  # five intervals in which nothing may happen: there is no event for that
        assert switch.checks == checks


async def test_a_monitor_that_is_stopped_in_the_middle_of_a_check_leaves_no_connection() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as evil:
        monitor = HealthMonitor("http://target", pool_to(evil.port), settings(timeout="30s"))
        connection = await evil.connected(1)
        monitor.stop()
        async with asyncio.timeout(20):
            await connection.over.wait()


async def test_a_check_that_fails_in_an_unforeseen_way_is_a_failed_check_and_the_next_one_follows() -> None:
    class Broken(ConnectionPool):
        tries = 0

        async def connect(self) -> Any:
            self.tries += 1
            raise UnicodeError("a resolver that cannot encode the name")

    pool = Broken(Address("127.0.0.1", 1), connect_timeout_s=1.0, allow=lambda _: True)
    monitor = HealthMonitor("http://target", pool, settings(unhealthy_after=2))
    try:
        async with asyncio.timeout(5):
            while monitor.health.is_healthy:  # its verdict is no event
                assert not monitor._task.done(), "the monitor died"
                await asyncio.sleep(0.005)
    finally:
        monitor.stop()
    assert pool.tries >= 2
