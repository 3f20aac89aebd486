"""Limits taken as a route's requests take them: a limiter before a real Redis, requests, and what becomes of them."""

from __future__ import annotations

from typing import Any

from multidict import CIMultiDict

from edge.client_edge.limits import Counting, NamedLimit, take_limits
from edge.context import Identity, ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError
from edge.middleware import Chain, ProxyMiddleware, ProxyMiddlewareDef
from edge.telemetry.counters import Counters
from store.client import Client
from store.guards import Guards
from store.limiter import Limiter
from store.model.limits import limit_part
from tests.fakes.requests import FakeIncoming, incoming


class Taking:
    """A limiter and what it counts."""

    def __init__(self, client: Client) -> None:
        self.limiter = Limiter(client, lambda: 1)
        self.guards = Guards(client, "test/0/1", lambda: 1)
        self.counters = Counters()

    def middleware(self, *, route: str = "r", tenant: str = "acme", **limits: dict[str, Any]) -> ProxyMiddleware:
        named = [
            NamedLimit(name.replace("_", "-"), limit_part(raw).model_validate(raw)) for name, raw in limits.items()
        ]
        return take_limits(tenant, route, named, Counting(self.limiter, self.guards, self.counters))


def context(
    *fields: tuple[str, str], remote: str = "192.0.2.1", key: str | None = None, claims: dict[str, Any] | None = None
) -> ProxyContext:
    plain = incoming(headers=[("Host", "shop.test"), *fields])
    request = FakeIncoming("GET", "/", plain.headers, plain.content, remote=remote)
    ctx = ProxyContext().copy_for(ProxyRequest(request, "/", "", CIMultiDict(plain.headers)))
    if key is not None:
        ctx.identity = Identity(key, key, claims=claims)
    return ctx


async def run(
    middleware: ProxyMiddleware, ctx: ProxyContext, error: EdgeError | None = None, *, keep: bool = False
) -> ProxyContext:
    """Run a request through; the target answers 200, or fails with `error`; `keep`: it is not over yet."""

    async def send(ctx: ProxyContext) -> None:
        if error is not None:
            raise error
        ctx.response = ProxyResponse.of(200)

    try:
        await Chain([ProxyMiddlewareDef(2, middleware)]).run(ctx, send)
    finally:
        if not keep:
            ctx.run_deferred()
    return ctx


async def is_admitted(middleware: ProxyMiddleware, ctx: ProxyContext) -> bool:
    try:
        await run(middleware, ctx)
    except EdgeError as error:
        if error.code != "rate_limited":
            raise
        return False
    return True


def once(by: Any, **fields: Any) -> dict[str, Any]:
    return {"rate": "1/h", "by": by, **fields}
