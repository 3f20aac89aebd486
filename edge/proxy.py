"""`HTTPProxyHandler`: one request through its phases to one target and back.

The edge calls `begin` and `handle`, with a transport of its own; an `aiohttp.web.Application` calls the handler itself.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol, TypeVar

from aiohttp import ClientResponse, ClientResponseError, RequestInfo, web
from multidict import CIMultiDictProxy

from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest, ProxyResponse
from edge.middleware import Chain, MiddlewarePhase, ProxyMiddleware, ProxyMiddlewareDef
from edge.rewrite import PathRewrite, Rewrite
from edge.session import SessionTransport
from edge.web_face import (
    ClientWatch,
    client_is_gone,
    context_for,
    http_exception,
    mark_as_coroutine_function,
    send_answer,
)

M = TypeVar("M", bound=ProxyMiddleware)
ErrorHandler = Callable[[ClientResponseError], Awaitable[None] | None]


class Transport(Protocol):
    """A way to a target, or to one of several."""

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        """Send `ctx.request` and give the answer when its head is here; EdgeError when there is none."""


class HTTPProxyHandler:
    """Proxies requests to the target of its context; a handler for any `aiohttp.web.Application`.

    `context` (or `ctx`) names the target. `rewrite` changes the path before the middlewares see it. `request_options`
    are keyword arguments of `ClientSession.request` (ValueError when they name method, url, headers, params or data).
    An upstream's answer of 400 and above raises: `error_handler` is called with the ClientResponseError and raises what
    it likes; by default, or when it returns, it is an HTTPInternalServerError "External API Error". With
    `raises_for_status=False` such an answer is passed on like any other. `transport` replaces the context's session.
    """

    def __init__(  # noqa: PLR0913  # the documents this implements name every one of them
        self,
        context: ProxyContext | None = None,
        rewrite: Rewrite | PathRewrite | None = None,
        request_options: Mapping[str, Any] | None = None,
        middlewares: Iterable[ProxyMiddlewareDef] | None = None,
        error_handler: ErrorHandler | None = None,
        *,
        ctx: ProxyContext | None = None,
        transport: Transport | None = None,
        raises_for_status: bool = True,
    ) -> None:
        if context is not None and ctx is not None:
            raise ValueError("context and ctx are two names of one thing; give one")
        if transport is not None and request_options:
            raise ValueError("request_options are for the context's session; a transport has its own")
        self.context = context or ctx
        self._rewrite = rewrite.execute if isinstance(rewrite, Rewrite) else rewrite
        self._transport: Transport = transport or SessionTransport(request_options)
        self._error_handler = error_handler
        self._raises_for_status = raises_for_status
        self._passes_on = transport is not None and not raises_for_status
        self._middlewares = tuple(middlewares or ())
        self._chain = Chain(self._middlewares)
        mark_as_coroutine_function(self)

    def add_middleware(self, middleware_def: ProxyMiddlewareDef) -> None:
        """Add a middleware, after those that its phase has; requests under way keep the chain they began with."""
        self._middlewares = (*self._middlewares, middleware_def)
        self._chain = Chain(self._middlewares)

    def client_edge(self, middleware: M) -> M:
        """Add a middleware, as a decorator: first before the request goes, last after the answer came."""
        return self._add(MiddlewarePhase.CLIENT_EDGE, middleware)

    def proxy(self, middleware: M) -> M:
        """Add a middleware, as a decorator: between the client's edge and the target's."""
        return self._add(MiddlewarePhase.PROXY, middleware)

    def target_edge(self, middleware: M) -> M:
        """Add a middleware, as a decorator: last before the request goes, first after the answer came."""
        return self._add(MiddlewarePhase.TARGET_EDGE, middleware)

    def begin(self, request: ProxyRequest) -> ProxyContext:
        """Make the context of one request; the caller owes it `run_deferred`."""
        return (self.context or _NO_TARGET).copy_for(request)

    async def handle(self, ctx: ProxyContext) -> ProxyResponse:
        """Run the phases around the transport; the answer's body is then the caller's to read out or to abort.

        Raises what the phases raise in the end: EdgeError, `web.HTTPException`, or a middleware's own.
        """
        if self._rewrite is not None:
            ctx.request.path = self._rewrite(ctx.request.path)
        if self._passes_on and self._chain.is_empty:
            ctx.response = response = await self._transport.send(ctx)
            return response
        try:
            await self._chain.run(ctx, self._send)
            if not ctx.has_response:
                raise EdgeError("internal", "a middleware took the error away and set no response")
        except BaseException:
            if ctx.has_response:
                ctx.response.abort()
            raise
        return ctx.response

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer an application's request; ValueError when there is no context with a target's URL."""
        ctx = context_for(self.context, request)
        try:
            with ClientWatch(request):
                return await send_answer(request, await self.handle(ctx))
        except EdgeError as error:
            raise http_exception(error, ctx.request_id) from error
        except ConnectionError:
            return client_is_gone()
        finally:
            ctx.run_deferred()

    def _add(self, phase: MiddlewarePhase, middleware: M) -> M:
        self.add_middleware(ProxyMiddlewareDef(phase, middleware))
        return middleware

    async def _send(self, ctx: ProxyContext) -> None:
        try:
            response = await self._transport.send(ctx)
        except ClientResponseError as error:
            if not self._raises_for_status:
                raise EdgeError("upstream_protocol", f"{type(error).__name__}: {error.message}") from error
            await self._raise_for(error)
        ctx.response = response
        if self._raises_for_status and response.status >= 400:
            await self._raise_for(_as_client_error(ctx.request, response))

    async def _raise_for(self, error: ClientResponseError) -> NoReturn:
        if self._error_handler is not None:
            outcome = self._error_handler(error)
            if inspect.isawaitable(outcome):
                await outcome
        raise web.HTTPInternalServerError(
            reason="External API Error",
            content_type="application/json",
            text=json.dumps({"status": error.status, "message": error.message}),
        ) from error


_NO_TARGET = ProxyContext()


def _as_client_error(request: ProxyRequest, response: ProxyResponse) -> ClientResponseError:
    """Make the exception that aiohttp's own raise_for_status would raise for this answer."""
    resp = response.in_resp
    headers = CIMultiDictProxy(response.headers)
    if isinstance(resp, ClientResponse):
        return ClientResponseError(
            resp.request_info, resp.history, status=resp.status, message=resp.reason or "", headers=headers
        )
    info = RequestInfo(request.url, request.method, CIMultiDictProxy(request.headers), request.url)
    return ClientResponseError(info, (), status=response.status, message=response.reason or "", headers=headers)
