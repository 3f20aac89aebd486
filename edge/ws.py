"""`WsProxyHandler`: a WebSocket to the client and one to the target, joined message by message.

The target is connected first: a client's upgrade is accepted only when there is somebody to talk to, in the subprotocol
that the target chose. Pings, pongs and close codes pass through (RFC 6455 sections 5.5 and 7.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import ClientError, ClientWebSocketResponse, ClientWSTimeout, WSCloseCode, WSMessage, WSMsgType, web

from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.headers import BLANKS, members_of
from edge.rewrite import Rewrite
from edge.session import upstream_error
from edge.web_face import ClientWatch, context_for, http_exception, mark_as_coroutine_function

ProxyTunnel = Callable[[ProxyContext], Awaitable[None]]
Socket = web.WebSocketResponse | ClientWebSocketResponse

CLOSE_TIMEOUT_S = 10.0
DEFAULT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_RESERVED_OPTIONS = ("url", "method", "headers", "protocols", "timeout", "autoclose", "autoping")
_HANDSHAKE_FIELDS = (
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
)


class WsProxyHandler:
    """Proxies WebSockets to the target of its context; a handler for any `aiohttp.web.Application`.

    `proxy_tunnel` is awaited with the context in the place of our own tunnel: `ctx.ws_source` is the client's socket,
    `ctx.ws_target` the target's, and both are closed when it returns. `receive_timeout`, in seconds, bounds silence:
    our tunnel ends when neither side has sent anything for so long, a custom one gets a TimeoutError from the target's
    `receive`; None waits for ever. `request_options` are keyword arguments of `ClientSession.ws_connect`.
    """

    def __init__(
        self,
        context: ProxyContext | None = None,
        proxy_tunnel: ProxyTunnel | None = None,
        receive_timeout: float | None = 30,
        rewrite: Rewrite | None = None,
        request_options: Mapping[str, Any] | None = None,
    ) -> None:
        """ValueError when `request_options` name what the handler itself decides."""
        self._options = dict(request_options or {})
        reserved = [name for name in _RESERVED_OPTIONS if name in self._options]
        if reserved:
            raise ValueError(f"request_options cannot hold {', '.join(reserved)}: the handler decides them")
        self.context = context
        self._proxy_tunnel = proxy_tunnel
        self._receive_timeout_s = receive_timeout
        self._rewrite = rewrite
        mark_as_coroutine_function(self)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer an application's request: 426 or 400 when it is no handshake, 502 or 504 without a target."""
        _check_handshake(request)
        ctx = context_for(self.context, request)
        if self._rewrite is not None:
            ctx.request.path = self._rewrite.execute(ctx.request.path)
        try:
            with ClientWatch(request):
                target = ctx.ws_target = await self._connect(ctx)
            return await self._join(request, ctx, target)
        except EdgeError as error:
            raise http_exception(error) from error
        finally:
            ctx.run_deferred()

    async def _join(
        self, request: web.Request, ctx: ProxyContext, target: ClientWebSocketResponse
    ) -> web.StreamResponse:
        """Accept the client's upgrade and run the tunnel; both sockets are closed on return."""
        source = ctx.ws_source = self._client_socket(target.protocol)
        code = WSCloseCode.INTERNAL_ERROR
        try:
            await source.prepare(request)
            if self._proxy_tunnel is not None:
                await self._proxy_tunnel(ctx)
            else:
                await MessageTunnel(source, target, self._receive_timeout_s).run()
            code = WSCloseCode.OK
        except TimeoutError:
            code = WSCloseCode.GOING_AWAY
        except asyncio.CancelledError:
            code = WSCloseCode.GOING_AWAY
            raise
        finally:
            await close_all((source, target), code)
        return source

    async def _connect(self, ctx: ProxyContext) -> ClientWebSocketResponse:
        """Shake hands with the target, offering the client's subprotocols; EdgeError when it will not."""
        request = ctx.request
        offered = list(members_of(request.headers, "Sec-WebSocket-Protocol"))
        for name in _HANDSHAKE_FIELDS:
            request.headers.popall(name, None)
        is_custom = self._proxy_tunnel is not None
        try:
            target: ClientWebSocketResponse = await ctx.session.ws_connect(
                request.url,
                headers=request.headers,
                protocols=offered,
                timeout=ClientWSTimeout(
                    ws_receive=self._receive_timeout_s if is_custom else None, ws_close=CLOSE_TIMEOUT_S
                ),
                autoclose=is_custom,
                autoping=is_custom,
                **self._options,
            )
            return target
        except (ClientError, TimeoutError, OSError) as error:
            raise upstream_error(error) from error

    def _client_socket(self, protocol: str | None) -> web.WebSocketResponse:
        # A custom tunnel deals in messages alone; ours passes the control frames on.
        is_custom = self._proxy_tunnel is not None
        return web.WebSocketResponse(
            protocols=() if protocol is None else (protocol,),
            timeout=CLOSE_TIMEOUT_S,
            autoclose=is_custom,
            autoping=is_custom,
            compress=False,
            max_msg_size=self._options.get("max_msg_size", DEFAULT_MAX_MESSAGE_BYTES),
        )


class MessageTunnel:
    """Joins two open sockets until one of them closes, or both are silent for too long."""

    __slots__ = ("_client", "_idle_timeout_s", "_last_message_at_s", "_now", "_target")

    def __init__(self, client: Socket, target: Socket, idle_timeout_s: float | None) -> None:
        self._client = client
        self._target = target
        self._idle_timeout_s = idle_timeout_s
        self._now = asyncio.get_running_loop().time
        self._last_message_at_s = self._now()

    async def run(self) -> None:
        """Pass messages both ways until either socket is closed, and close the other as it was closed."""
        pumps = {
            asyncio.create_task(self._pump(self._client, self._target, WSCloseCode.GOING_AWAY)),
            asyncio.create_task(self._pump(self._target, self._client, WSCloseCode.BAD_GATEWAY)),
        }
        try:
            pending = pumps
            while pending:
                done, pending = await asyncio.wait(pending, timeout=self._time_left_s())
                if not done and self._time_left_s() == 0:
                    await close_all((self._client, self._target), WSCloseCode.GOING_AWAY)
                for pump in done:
                    pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _time_left_s(self) -> float | None:
        if self._idle_timeout_s is None:
            return None
        return max(0.0, self._last_message_at_s + self._idle_timeout_s - self._now())

    async def _pump(self, source: Socket, sink: Socket, code_when_lost: WSCloseCode) -> None:
        """Pass on what one socket sends until it closes; then close the other with its code, or the given one."""
        try:
            while await self._pass_on(await source.receive(), source, sink, code_when_lost):
                self._last_message_at_s = self._now()
        except ConnectionError:
            return  # the sink is gone, and the pump that reads it closes the source

    async def _pass_on(self, message: WSMessage, source: Socket, sink: Socket, code_when_lost: WSCloseCode) -> bool:
        kind = message.type
        if kind is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif kind is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif kind is WSMsgType.PING:
            await sink.ping(message.data)
        elif kind is WSMsgType.PONG:
            await sink.pong(message.data)
        elif kind is WSMsgType.CLOSE:
            code = message.data or WSCloseCode.OK  # a close frame may come without a code, never be sent without
            await sink.close(code=code, message=(message.extra or "").encode())
            await source.close(code=code)
            return False
        else:
            if kind is not WSMsgType.CLOSING:  # which says that the other pump is closing this socket
                await sink.close(code=code_when_lost)
            return False
        return True


async def close_all(sockets: Iterable[Socket | None], code: int) -> None:
    """Close what is open; idempotent, and the ends' failures to say goodbye are nobody's concern."""
    await asyncio.gather(*(socket.close(code=code) for socket in sockets if socket is not None), return_exceptions=True)


def _check_handshake(request: web.Request) -> None:
    """Refuse what is no WebSocket handshake before the target hears of it (RFC 6455 section 4.2.1)."""
    if request.headers.get("Upgrade", "").strip(BLANKS).lower() != "websocket":
        raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    if not web.WebSocketResponse().can_prepare(request):
        raise web.HTTPBadRequest(text="not a WebSocket handshake")
