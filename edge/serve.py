"""The path of a request, read downward: head, route, chain and target, answer, and one line in the log, always.

Whoever adds a concern adds a middleware in `client_edge/` or a field of an entry, not a branch here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from edge.connection import ClientConnection
from edge.context import ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError, Fields
from edge.exchange import Exchange
from edge.fields import RouteFields, UnreadFields
from edge.head import read_target
from edge.headers import Received, TrustedProxies, new_identifiers
from edge.proxy import HTTPProxyHandler
from edge.repeated import KnownFields
from edge.router import DynamicRouter, Miss
from edge.transport import UpstreamConnection
from edge.tunnel import Tunnel

log = logging.getLogger("portico.edge")


class RouteEntry(Protocol):
    """What the compiler leaves in the router for each route."""

    handler: HTTPProxyHandler
    tenant: str
    route: str
    fields: RouteFields


@dataclass(slots=True)
class Served:
    """What became of one request, for the log and the counters.

    `error` is the edge's own answer, if it gave one; `is_client_gone` says that nobody was left to answer.
    """

    exchange: Exchange
    client: str
    started_s: float
    ctx: ProxyContext | None = None
    error: EdgeError | None = None
    is_client_gone: bool = False


class EdgeService:
    """Serves requests by what the router holds at the moment each of them is matched."""

    def __init__(
        self,
        router: DynamicRouter,
        trusted: TrustedProxies,
        observe: Callable[[Served], None],
        *,
        tunnel_idle_timeout_s: float,
    ) -> None:
        """`observe` is told of each request when it is over, whatever became of it; it must not raise or wait."""
        self._router = router
        self._fields = KnownFields(trusted)
        self._observe = observe
        self._tunnel_idle_timeout_s = tunnel_idle_timeout_s
        self._now_s = asyncio.get_running_loop().time

    async def serve(self, connection: ClientConnection, exchange: Exchange) -> None:
        """Answer one request; ConnectionError when the client is gone, and cancelled when it goes meanwhile."""
        received = Received(exchange.headers, exchange.remote, exchange.scheme, exchange.host)
        repeated = self._fields.of(exchange.raw_headers, received)
        request_id, traceparent = new_identifiers()
        exchange.request_id = request_id = repeated.origin.request_id or request_id
        served = Served(exchange, repeated.origin.client, self._now_s())
        try:
            host, path, query_string = read_target(exchange)
            found = self._router.match(host, path, exchange.method, exchange.headers, query_string)
            if isinstance(found, Miss):
                raise _refusal(found)
            entry: RouteEntry = found.entry
            connection.belong_to(entry.tenant)
            identifiers = request_id, repeated.origin.traceparent or traceparent
            fields = UnreadFields(repeated, exchange.headers, identifiers, entry.fields)
            request = ProxyRequest(exchange, path, query_string, fields)
            request.remote = served.client
            ctx = served.ctx = entry.handler.begin(request)
            ctx.tenant, ctx.route, ctx.request_id = entry.tenant, entry.route, request_id
            response = await entry.handler.handle(ctx)
            if response.upgraded is None:
                await exchange.respond(response, ctx.answer_fields)
            else:
                await self._run_tunnel(connection, exchange, response, ctx.answer_fields)
        except EdgeError as error:
            # Its traceback leads here, and so to itself: a body that was read would stay until the collector comes.
            served.error = error.with_traceback(None)
            await exchange.refuse(error, _added(served))
        except web.HTTPException as answer:  # a middleware's early answer, in the toolkit's manner
            response = ProxyResponse.of(answer.status, answer.headers, (answer.text or "").encode())
            await exchange.respond(response, _added(served))
        except (ConnectionError, asyncio.CancelledError):
            served.is_client_gone = True
            raise
        except Exception:
            log.exception("request %s failed", request_id)
            served.error = EdgeError("internal")
            await exchange.refuse(served.error, _added(served))
        finally:
            if served.ctx is not None:
                served.ctx.run_deferred()
            self._observe(served)

    async def _run_tunnel(
        self, connection: ClientConnection, exchange: Exchange, response: ProxyResponse, added: Fields
    ) -> None:
        """Pass the target's 101 on, then bytes both ways until one side ends."""
        upstream = response.upgraded
        assert isinstance(upstream, UpstreamConnection)
        tunnel = Tunnel(connection, upstream, self._tunnel_idle_timeout_s)
        try:
            exchange.switch_protocols(response, added)
            upstream.start_tunnel(tunnel)
            await connection.run_tunnel(tunnel)
        finally:
            tunnel.close()
            response.abort()
            exchange.bytes_sent += tunnel.bytes_from_upstream


def _added(served: Served) -> Fields:
    return () if served.ctx is None else served.ctx.answer_fields


def _refusal(miss: Miss) -> EdgeError:
    if miss.kind == "method":
        return EdgeError("method_not_allowed", headers=(("Allow", ", ".join(sorted(miss.allow))),))
    return EdgeError("unknown_host" if miss.kind == "host" else "no_route")
