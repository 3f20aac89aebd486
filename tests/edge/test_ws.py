"""`WsProxyHandler`: a client's WebSocket and a target's, joined over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType, WSServerHandshakeError, web
from yarl import URL

from edge import ProxyContext, Rewrite, WsProxyHandler, configure_contexts
from tests.fakes.origins import READ_HEAD, RESET, Send, refusing_port, running_evil_origin
from tests.fakes.timing import steadily
from tests.fakes.web_apps import answering, app_of, serving, target

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


class Target:
    """A WebSocket target: what each of its sockets did, and with which code it was closed."""

    def __init__(self, talk: Talk, options: dict[str, Any]) -> None:
        self._talk = talk
        self._options = options
        self.requests: list[web.Request] = []
        self.close_codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Accept and talk."""
        self.requests.append(request)
        ws = web.WebSocketResponse(**self._options)
        await ws.prepare(request)
        try:
            await self._talk(ws)
        finally:
            self.close_codes.put_nowait(ws.close_code)
        return ws


async def echo(ws: web.WebSocketResponse) -> None:
    """Send every message back."""
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)


@asynccontextmanager
async def proxy_before(url: URL | str, **options: Any) -> AsyncIterator[URL]:
    """Serve a WebSocket proxy to a target."""
    ctx = ProxyContext(url=url)
    app = app_of(WsProxyHandler(ctx, **options))
    configure_contexts(app, [ctx])
    async with serving(app) as proxy:
        yield proxy


@asynccontextmanager
async def connected(
    talk: Talk, *, target_options: dict[str, Any] | None = None, client: dict[str, Any] | None = None, **proxy: Any
) -> AsyncIterator[tuple[ClientWebSocketResponse, Target]]:
    """Connect a client to a target through the proxy."""
    server = Target(talk, target_options or {})
    async with (
        target(server.serve) as url,
        proxy_before(url, **proxy) as proxy_url,
        ClientSession() as session,
        session.ws_connect(proxy_url / "chat", **(client or {})) as ws,
    ):
        yield ws, server


# -- Messages ------------------------------------------------------------------------------------------------------


async def test_text_and_bytes_pass_both_ways() -> None:
    async with connected(echo) as (ws, _):
        await ws.send_str("é")
        assert await ws.receive_str() == "é"
        await ws.send_bytes(bytes(1024 * 1024))
        assert await ws.receive_bytes() == bytes(1024 * 1024)


async def test_a_target_may_speak_first_and_alone() -> None:
    async def count(ws: web.WebSocketResponse) -> None:
        for number in range(100):
            await ws.send_str(str(number))
        await ws.close()

    async with connected(count) as (ws, _):
        assert [message.data async for message in ws] == [str(number) for number in range(100)]


async def test_pings_and_pongs_pass_through_to_the_other_end() -> None:
    pinged = asyncio.Event()

    async def answer_pings_by_hand(ws: web.WebSocketResponse) -> None:
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.PING, b"are you there?")
        pinged.set()
        await ws.pong(b"I am")
        await ws.receive()

    target_options = {"autoping": False}
    async with connected(answer_pings_by_hand, target_options=target_options, client={"autoping": False}) as (ws, _):
        await ws.ping(b"are you there?")
        await pinged.wait()
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"I am")


# -- Handshakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "chosen"), [(["v2", "v1"], "v1"), (["v2"], "v2"), (["v3"], None)], ids=["first offered", "known", "none"]
)
async def test_the_target_chooses_among_the_clients_subprotocols(known: list[str], chosen: str | None) -> None:
    client = {"protocols": ("v1", "v2")}
    async with connected(echo, target_options={"protocols": known}, client=client) as (ws, server):
        assert ws.protocol == chosen
        assert server.requests[0].headers["Sec-WebSocket-Protocol"] == "v1,v2"


async def test_the_handshakes_path_query_and_fields_reach_the_target() -> None:
    server = Target(echo, {})
    async with (
        target(server.serve) as url,
        proxy_before(url, rewrite=Rewrite("/ws", "/")) as proxy,
        ClientSession() as session,
        session.ws_connect(
            proxy.join(URL("/ws/a%2Fb?x=1&x=2", encoded=True)), headers={"Cookie": "a=1", "Origin": "o"}
        ),
    ):
        request = server.requests[0]
    assert request.raw_path == "/a%2Fb?x=1&x=2"
    assert (request.headers["Cookie"], request.headers["Origin"]) == ("a=1", "o")
    assert (request.headers["Host"], request.headers["X-Forwarded-For"]) == (f"127.0.0.1:{url.port}", "127.0.0.1")


@pytest.mark.parametrize("case", ["refused", "reset", "not a WebSocket", "forbidden"])
async def test_without_a_target_the_clients_upgrade_is_not_accepted(case: str) -> None:
    @asynccontextmanager
    async def bad_target() -> AsyncIterator[URL | str]:
        if case == "refused":
            with refusing_port() as port:
                yield f"http://127.0.0.1:{port}"
        elif case == "not a WebSocket":
            async with target(answering("hello")) as url:
                yield url
        else:
            step = RESET if case == "reset" else Send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            async with running_evil_origin(READ_HEAD, step) as evil:
                yield evil.url

    async with bad_target() as url, proxy_before(url) as proxy, ClientSession() as session:
        with pytest.raises(WSServerHandshakeError) as raised:
            await session.ws_connect(proxy)
        assert raised.value.status == 502


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 426),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x" * 22 + "=="}, 400),
    ],
)
async def test_what_is_no_handshake_never_reaches_the_target(headers: dict[str, str], status: int) -> None:
    async with running_evil_origin() as origin, proxy_before(origin.url) as proxy, ClientSession() as session:
        async with session.get(proxy, headers=headers) as answer:
            assert answer.status == status
        assert origin.connections == []


# -- Closing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4321])
async def test_a_close_code_passes_to_the_target(code: int) -> None:
    async with connected(echo) as (ws, server):
        await ws.close(code=code, message=b"why")
        assert await server.close_codes.get() == code
        assert ws.close_code == code


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4321])
async def test_a_close_code_passes_to_the_client(code: int) -> None:
    async def close(ws: web.WebSocketResponse) -> None:
        await ws.close(code=code, message=b"why")

    async with connected(close, client={"autoclose": False}) as (ws, _):
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, "why")


async def test_a_client_that_is_cut_off_goes_away_for_the_target() -> None:
    async with connected(echo) as (ws, server):
        await ws.send_str("hello")
        await ws.receive()
        ws._response.close()  # without a close frame
        assert await server.close_codes.get() == WSCloseCode.GOING_AWAY


async def test_a_target_that_is_cut_off_is_a_bad_gateway_for_the_client() -> None:
    async def cut(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        assert ws._req is not None
        assert ws._req.transport is not None
        ws._req.transport.abort()

    async with connected(cut, client={"autoclose": False}) as (ws, _):
        await ws.send_str("cut")
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.BAD_GATEWAY)


async def test_a_message_that_is_too_big_closes_both_sides() -> None:
    async with connected(echo, request_options={"max_msg_size": 1000}, client={"autoclose": False}) as (ws, server):
        await ws.send_bytes(bytes(1001))
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.MESSAGE_TOO_BIG)
        assert await server.close_codes.get() == WSCloseCode.GOING_AWAY


async def test_silence_on_both_sides_ends_the_tunnel() -> None:
    async with connected(echo, receive_timeout=0.1, client={"autoclose": False}) as (ws, server):
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        await ws.close()
        assert await server.close_codes.get() == WSCloseCode.GOING_AWAY


@steadily
async def test_one_side_that_speaks_keeps_the_tunnel_open() -> None:
    async def tick(ws: web.WebSocketResponse) -> None:
        for _ in range(6):
            await ws.send_str("tick")
            await asyncio.sleep(0.1)
        await ws.close(code=4000)

    async with connected(tick, receive_timeout=0.3) as (ws, _):
        assert [message.data async for message in ws] == ["tick"] * 6
        assert ws.close_code == 4000


# -- Custom tunnels ------------------------------------------------------------------------------------------------


async def test_a_custom_tunnel_has_both_sockets_and_they_are_closed_after_it() -> None:
    seen: list[object] = []

    async def shout(ctx: ProxyContext) -> None:
        assert ctx.ws_source is not None
        assert ctx.ws_target is not None
        ctx.defer(lambda: seen.append("deferred"))
        await ctx.ws_target.send_str((await ctx.ws_source.receive_str()).upper())
        await ctx.ws_source.send_str(await ctx.ws_target.receive_str())

    async with connected(echo, proxy_tunnel=shout) as (ws, server):
        await ws.send_str("hello")
        assert await ws.receive_str() == "HELLO"
        assert (await ws.receive()).type is WSMsgType.CLOSE
        assert await server.close_codes.get() == WSCloseCode.OK
    assert seen == ["deferred"]


@pytest.mark.parametrize(
    ("fails_by", "code"), [("waiting", WSCloseCode.GOING_AWAY), ("raising", WSCloseCode.INTERNAL_ERROR)]
)
async def test_a_custom_tunnel_that_fails_closes_both_sockets(fails_by: str, code: int) -> None:
    async def fail(ctx: ProxyContext) -> None:
        assert ctx.ws_target is not None
        if fails_by == "raising":
            raise LookupError("no such room")
        await ctx.ws_target.receive()

    async with connected(echo, proxy_tunnel=fail, receive_timeout=0.1) as (ws, server):
        assert await server.close_codes.get() == code
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, code)


@pytest.mark.parametrize("name", ["url", "headers", "protocols", "timeout", "autoping"])
def test_options_that_the_handler_decides_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        WsProxyHandler(ProxyContext(url="http://127.0.0.1"), request_options={name: None})
