"""`HTTPProxyHandler`: what it makes of errors, and its two faces, the edge's and an application's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponseError, ClientSession, ClientTimeout, web
from multidict import CIMultiDict
from yarl import URL

from edge.context import ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError
from edge.middleware import MiddlewarePhase, ProxyMiddlewareDef
from edge.proxy import HTTPProxyHandler
from tests.fakes.origins import HANG, READ_HEAD, Send, refusing_port, running_evil_origin
from tests.fakes.requests import EmptyBody, incoming
from tests.fakes.web_apps import Ask, answering, app_of, proxied, serving, target


class FakeTransport:
    """Gives one answer, or raises one error; notes what it was given."""

    def __init__(self, outcome: ProxyResponse | Exception) -> None:
        self._outcome = outcome
        self.paths: list[str] = []

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        """Answer."""
        self.paths.append(ctx.request.path)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def begun(handler: HTTPProxyHandler, path: str = "/") -> ProxyContext:
    return handler.begin(ProxyRequest(incoming(), path, "", CIMultiDict()))


async def missing(request: web.Request) -> web.Response:
    """Answer 404."""
    return web.Response(status=404, reason="Nothing Here", text="the target's own words")


# -- The edge's face -----------------------------------------------------------------------------------------------


async def test_the_edges_handler_passes_a_targets_errors_through() -> None:
    answer = ProxyResponse.of(503)
    handler = HTTPProxyHandler(transport=FakeTransport(answer), raises_for_status=False)
    assert await handler.handle(begun(handler)) is answer


async def test_the_path_is_rewritten_before_the_middlewares_see_it() -> None:
    transport = FakeTransport(ProxyResponse.of(200))
    handler = HTTPProxyHandler(transport=transport, rewrite=lambda path: path + "/rewritten")

    @handler.client_edge
    def change(ctx: ProxyContext) -> None:
        ctx.request.path += "/changed"

    await handler.handle(begun(handler, "/a"))
    assert transport.paths == ["/a/rewritten/changed"]


async def test_an_answer_that_is_not_to_be_sent_gives_up_its_body() -> None:
    body = EmptyBody()
    handler = HTTPProxyHandler(transport=FakeTransport(ProxyResponse(200, CIMultiDict(), body)))

    @handler.target_edge
    async def refuse(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        raise EdgeError("upstream_protocol")

    with pytest.raises(EdgeError):
        await handler.handle(begun(handler))
    assert body.is_aborted


async def test_a_request_that_ends_without_answer_or_error_is_our_fault() -> None:
    handler = HTTPProxyHandler(transport=FakeTransport(EdgeError("upstream_connect")))

    @handler.proxy
    async def swallow(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        ctx.error = None

    with pytest.raises(EdgeError, match="internal"):
        await handler.handle(begun(handler))


async def test_with_a_transport_of_its_own_a_handler_can_raise_for_status_too() -> None:
    seen: list[ClientResponseError] = []
    handler = HTTPProxyHandler(transport=FakeTransport(ProxyResponse.of(418)), error_handler=seen.append)
    with pytest.raises(web.HTTPInternalServerError):
        await handler.handle(begun(handler))
    assert [error.status for error in seen] == [418]
    assert str(seen[0].request_info.url) == "http://shop.acme.com/"


async def test_requests_under_way_keep_the_chain_they_began_with() -> None:
    handler = HTTPProxyHandler(transport=FakeTransport(ProxyResponse.of(200)))
    seen: list[str] = []

    @handler.client_edge
    async def add_another(ctx: ProxyContext) -> None:
        handler.add_middleware(ProxyMiddlewareDef(MiddlewarePhase.PROXY, lambda _: seen.append("new")))

    await handler.handle(begun(handler))
    assert seen == []
    await handler.handle(begun(handler))
    assert seen == ["new"]


def test_options_that_would_be_ignored_are_refused() -> None:
    ctx, transport = ProxyContext(url="http://127.0.0.1"), FakeTransport(ProxyResponse.of(200))
    with pytest.raises(ValueError, match="two names"):
        HTTPProxyHandler(ctx, ctx=ctx)
    with pytest.raises(ValueError, match="a transport has its own"):
        HTTPProxyHandler(ctx, transport=transport, request_options={"max_redirects": 1})


# -- An application's face: errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [None, "http://127.0.0.1"])
async def test_a_handler_without_a_target_is_a_mistake_that_is_named(
    url: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    handler = HTTPProxyHandler(context=None if url is None else ProxyContext())
    async with serving(app_of(handler)) as proxy, ClientSession() as client:
        assert (await Ask(client, proxy)("GET", "/"))[0] == 500
    assert "needs a ProxyContext" in caplog.text


async def test_an_upstreams_error_is_passed_on_if_it_is_not_to_raise() -> None:
    async with target(missing) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        async with proxied(HTTPProxyHandler(ctx, raises_for_status=False), [ctx]) as proxy:
            assert await Ask(client, proxy)("GET", "/") == (404, "the target's own words")


async def test_an_error_handler_may_be_a_coroutine_and_may_leave_the_rest_to_the_default() -> None:
    seen: list[int] = []

    async def note(error: ClientResponseError) -> None:
        seen.append(error.status)

    async with target(missing) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        async with proxied(HTTPProxyHandler(ctx, error_handler=note), [ctx]) as proxy:
            status, text = await Ask(client, proxy)("GET", "/")
    assert (status, json.loads(text)) == (500, {"status": 404, "message": "Nothing Here"})
    assert seen == [404]


async def test_a_middleware_sees_the_upstreams_error_and_may_let_it_pass_after_all() -> None:
    async with target(missing) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        handler = HTTPProxyHandler(context)

        @handler.client_edge
        async def forgive(ctx: ProxyContext) -> AsyncIterator[None]:
            yield
            assert isinstance(ctx.error, web.HTTPInternalServerError)
            assert ctx.response.status == 404
            ctx.error = None

        async with proxied(handler, [context]) as proxy:
            assert await Ask(client, proxy)("GET", "/") == (404, "the target's own words")


async def test_a_target_that_refuses_is_a_502_and_one_that_is_silent_a_504() -> None:
    with refusing_port() as port:
        async with running_evil_origin(READ_HEAD, HANG) as silent, ClientSession() as client:
            refused = ProxyContext(url=URL.build(scheme="http", host="127.0.0.1", port=port))
            slow = ProxyContext(
                url=silent.url, session_factory=lambda: ClientSession(timeout=ClientTimeout(sock_read=0.1))
            )
            for ctx, status, code in ((refused, 502, "upstream_connect"), (slow, 504, "upstream_timeout")):
                async with proxied(HTTPProxyHandler(ctx), [ctx]) as proxy, client.get(proxy) as answer:
                    assert (answer.status, answer.content_type) == (status, "application/json")
                    assert (await answer.json())["error"] == code


@pytest.mark.parametrize(("raises", "status"), [(True, 500), (False, 502)])
async def test_an_unreadable_answer_is_the_targets_fault(raises: bool, status: int) -> None:
    async with running_evil_origin(READ_HEAD, Send(b"SSH-2.0\r\n\r\n")) as origin, ClientSession() as client:
        ctx = ProxyContext(url=origin.url)
        async with proxied(HTTPProxyHandler(ctx, raises_for_status=raises), [ctx]) as proxy:
            assert (await Ask(client, proxy)("GET", "/"))[0] == status


async def test_the_applications_own_middlewares_see_our_errors_as_http_exceptions() -> None:
    seen: list[int] = []

    @web.middleware
    async def note(request: web.Request, handler: object) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[operator,no-any-return]
        except web.HTTPException as answer:
            seen.append(answer.status)
            raise

    with refusing_port() as port:
        ctx = ProxyContext(url=f"http://127.0.0.1:{port}")
        app = web.Application(middlewares=[note])
        app.router.add_get("/", HTTPProxyHandler(ctx))
        async with serving(app) as proxy, ClientSession() as client:
            assert (await Ask(client, proxy)("GET", "/"))[0] == 502
        await ctx.close_session()
    assert seen == [502]


async def test_a_body_that_a_middleware_finds_too_large_is_a_413_that_closes() -> None:
    async with target(answering("x")) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        handler = HTTPProxyHandler(context)

        @handler.client_edge
        async def read(ctx: ProxyContext) -> None:
            await ctx.request.load_content(max_bytes=3)

        async with proxied(handler, [context]) as proxy:
            async with client.post(proxy, data=b"1234") as answer:
                assert (answer.status, (await answer.json())["error"]) == (413, "body_too_large")
                assert answer.headers["Connection"] == "close"
            async with client.post(proxy, data=b"123") as answer:
                assert answer.status == 200


async def test_what_is_deferred_runs_whatever_becomes_of_the_request() -> None:
    over = asyncio.Event()
    with refusing_port() as port:
        context = ProxyContext(url=f"http://127.0.0.1:{port}")
        handler = HTTPProxyHandler(context)

        @handler.client_edge
        def count(ctx: ProxyContext) -> None:
            ctx.defer(over.set)

        async with proxied(handler, [context]) as proxy, ClientSession() as client:
            assert (await Ask(client, proxy)("GET", "/"))[0] == 502
    assert over.is_set()
