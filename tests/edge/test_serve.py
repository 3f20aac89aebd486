"""The path of a request with middlewares that misbehave: every request is answered once and noted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from edge.compiler import Entry
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.fields import RouteFields
from edge.headers import TrustedProxies
from edge.message import ProxyResponse
from edge.middleware import MiddlewarePhase, ProxyMiddlewareDef
from edge.proxy import HTTPProxyHandler
from edge.router import DomainTable, DynamicRouter, TableRow
from edge.serve import EdgeService, Served
from edge.server import EdgeServer
from edge.tables import UNCONDITIONAL
from edge.telemetry.counters import UpstreamCounters
from edge.transport import UpstreamConnection
from store.model import PathPattern
from tests.fakes.edges import Answer
from tests.fakes.requests import EmptyBody
from tests.fakes.waiting import until


class Hello:
    """A transport whose target always says hello."""

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        return ProxyResponse.of(200, {"Content-Type": "text/plain", "Content-Language": "theirs"}, b"hello")


@asynccontextmanager
async def serving(middleware: Callable[[ProxyContext], Any]) -> AsyncIterator[tuple[int, list[Served]]]:
    handler = HTTPProxyHandler(
        middlewares=[ProxyMiddlewareDef(MiddlewarePhase.CLIENT_EDGE, middleware)], transport=Hello()
    )
    router = DynamicRouter()
    row = TableRow(
        PathPattern.parse("/*"), None, UNCONDITIONAL, 0, Entry(handler, "acme", "all", RouteFields("acme", "all"), 1)
    )
    router.swap("acme", {"shop.test": DomainTable([row])})
    seen: list[Served] = []
    service = EdgeService(router, TrustedProxies(), seen.append, tunnel_idle_timeout_s=1.0)
    server = EdgeServer(service.serve)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], seen
    finally:
        listening.close()
        await server.drain(0.1)


async def ask(port: int, host: str = "shop.test") -> Answer:
    return Answer.parse(await ask_raw(port, host))


async def ask_raw(port: int, host: str = "shop.test") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return data


def teapot(ctx: ProxyContext) -> None:
    raise web.HTTPForbidden(text="no entry")


def bug(ctx: ProxyContext) -> None:
    raise KeyError("secret-value")


def full(ctx: ProxyContext) -> None:
    raise EdgeError("overloaded")


def nothing(ctx: ProxyContext) -> None:
    return None


@pytest.mark.parametrize(
    ("middleware", "status", "body"),
    [(nothing, 200, "hello"), (teapot, 403, "no entry"), (full, 503, "overloaded"), (bug, 500, "internal")],
)
async def test_whatever_a_middleware_does_the_client_gets_one_answer(
    middleware: Callable[[ProxyContext], Any], status: int, body: str
) -> None:
    async with serving(middleware) as (port, seen):
        answer = await ask(port)
    assert answer.status == status
    assert body in answer.body.decode()
    assert "secret-value" not in answer.body.decode()
    assert len(seen) == 1
    assert answer.headers["x-request-id"] == seen[0].exchange.request_id
    assert seen[0].exchange.status == status


@pytest.mark.parametrize("then", [nothing, teapot, full, bug])
async def test_what_the_edge_adds_to_an_answer_is_on_every_one_in_the_place_of_the_targets_own(
    then: Callable[[ProxyContext], Any],
) -> None:
    def limited(ctx: ProxyContext) -> None:
        ctx.answer_fields = (("RateLimit", '"one";r=1;t=1'), ("Content-Language", "ours"))
        then(ctx)

    async with serving(limited) as (port, _):
        data = await ask_raw(port)
    assert data.count(b'\r\nRateLimit: "one";r=1;t=1\r\n') == 1
    assert data.count(b"\r\nContent-Language: ours\r\n") == 1
    assert b"theirs" not in data


async def test_what_was_deferred_is_called_whatever_becomes_of_the_request() -> None:
    called: list[str] = []

    def defer(ctx: ProxyContext) -> None:
        ctx.defer(lambda: called.append(ctx.tenant))
        raise EdgeError("overloaded")

    async with serving(defer) as (port, _):
        assert (await ask(port)).status == 503
    assert called == ["acme"]


async def test_a_client_that_goes_ends_its_request_and_is_noted() -> None:
    waiting = asyncio.Event()
    called: list[str] = []

    async def hang(ctx: ProxyContext) -> None:
        ctx.defer(lambda: called.append("over"))
        waiting.set()
        await asyncio.Event().wait()

    async with serving(hang) as (port, seen):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        await asyncio.wait_for(waiting.wait(), 5)
        writer.transport.abort()
        await until(lambda: seen)
    assert called == ["over"]
    assert seen[0].is_client_gone
    assert seen[0].exchange.status == 0


async def test_an_unknown_host_is_noted_without_a_context() -> None:
    async with serving(nothing) as (port, seen):
        answer = await ask(port, "other.test")
    assert (answer.status, json.loads(answer.body)["error"]) == (421, "unknown_host")
    assert seen[0].ctx is None
    assert seen[0].error is not None


async def test_a_client_that_is_gone_when_its_target_switches_protocols_leaves_no_connection_behind() -> None:
    body = EmptyBody()

    def switch(ctx: ProxyContext) -> None:
        response = ProxyResponse(101, CIMultiDict(), body)
        loop = asyncio.get_running_loop()
        response.upgraded = UpstreamConnection(loop, lambda _: None, UpstreamCounters())
        ctx.response = response
        assert isinstance(ctx.request.in_req, Exchange)
        ctx.request.in_req._sink.abort()  # the client goes at the very last moment

    async with serving(switch) as (port, seen):
        with pytest.raises(ConnectionResetError):
            await ask_raw(port)
        await until(lambda: bool(seen))
    assert seen[0].is_client_gone
    assert body.is_aborted
