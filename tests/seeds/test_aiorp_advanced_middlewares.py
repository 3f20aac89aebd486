"""The samples of `seeds/aiorp-advanced.txt` about middlewares: phases, order, concurrency, state."""

# The document prints, and so do its samples here.
# ruff: noqa: T201

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientSession, web

from edge import HTTPProxyHandler, MiddlewarePhase, ProxyContext, ProxyMiddlewareDef, ProxyResponse
from tests.fakes.web_apps import proxied, target


async def hello(request: web.Request) -> web.Response:
    """Answer with the path that arrived."""
    return web.Response(text=f"hello from {request.raw_path}", headers={"X-Target": "yes"})


# -- Middleware execution order ------------------------------------------------------------------------------------


async def test_a_middleware_is_added_with_the_phase_it_runs_in(capsys: pytest.CaptureFixture[str]) -> None:
    def my_middleware(ctx: ProxyContext) -> Iterator[None]:
        print("before")
        yield
        print("after", ctx.response.status)

    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=ctx)
        http_handler.add_middleware(ProxyMiddlewareDef(phase=MiddlewarePhase.CLIENT_EDGE, middleware=my_middleware))
        async with proxied(http_handler, [ctx]) as proxy, client.get(proxy / "a") as answer:
            assert await answer.text() == "hello from /a"
    assert capsys.readouterr().out == "before\nafter 200\n"


async def test_a_middleware_is_added_with_a_decorator(capsys: pytest.CaptureFixture[str]) -> None:
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)

        @http_handler.client_edge
        def my_middleware(ctx: ProxyContext) -> Iterator[None]:
            print("I execute at the client edge before the proxy request")
            yield
            print("I execute at the client edge after the proxy request")

        async with proxied(http_handler, [context]) as proxy, client.get(proxy / "a") as answer:
            assert answer.status == 200
    assert capsys.readouterr().out == (
        "I execute at the client edge before the proxy request\nI execute at the client edge after the proxy request\n"
    )


# -- Middleware phases ---------------------------------------------------------------------------------------------


async def test_the_named_phases_nest_with_the_client_edge_outermost() -> None:
    seen: list[str] = []
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)

        @http_handler.target_edge
        async def at_the_target(ctx: ProxyContext) -> AsyncIterator[None]:
            seen.append("target edge, before")
            yield
            seen.append("target edge, after")

        @http_handler.proxy
        async def between(ctx: ProxyContext) -> AsyncIterator[None]:
            seen.append("proxy, before")
            yield
            seen.append("proxy, after")

        @http_handler.client_edge
        async def at_the_client(ctx: ProxyContext) -> AsyncIterator[None]:
            seen.append("client edge, before")
            yield
            seen.append("client edge, after")

        async with proxied(http_handler, [context]) as proxy, client.get(proxy / "a") as answer:
            assert answer.status == 200
    assert seen == [
        "client edge, before",
        "proxy, before",
        "target edge, before",
        "target edge, after",
        "proxy, after",
        "client edge, after",
    ]


async def test_phases_are_numbers_and_there_can_be_more_than_three() -> None:
    seen: list[str] = []

    def mid_a(ctx: ProxyContext) -> Iterator[None]:
        seen.append("a")
        yield
        seen.append("after a")

    async def mid_b(ctx: ProxyContext) -> AsyncIterator[None]:
        seen.append("b")
        yield
        seen.append("after b")

    async def mid_c(ctx: ProxyContext) -> None:
        seen.append("c")

    def mid_d(ctx: ProxyContext) -> None:
        seen.append("d")

    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=ctx)
        # Added in another order than the sample's, which must not matter.
        http_handler.add_middleware(ProxyMiddlewareDef(phase=1000, middleware=mid_d))
        http_handler.add_middleware(ProxyMiddlewareDef(phase=0, middleware=mid_a))
        http_handler.add_middleware(ProxyMiddlewareDef(phase=500, middleware=mid_c))
        http_handler.add_middleware(ProxyMiddlewareDef(phase=300, middleware=mid_b))
        async with proxied(http_handler, [ctx]) as proxy, client.get(proxy / "a") as answer:
            assert answer.status == 200
    assert seen == ["a", "b", "c", "d", "after b", "after a"]


@pytest.mark.parametrize("phase", [-1, 1001])
def test_a_phase_outside_zero_to_a_thousand_is_refused(phase: int) -> None:
    with pytest.raises(ValueError, match="0 to 1000"):
        ProxyMiddlewareDef(phase=phase, middleware=print)


# -- Asynchronous execution ----------------------------------------------------------------------------------------


async def test_middlewares_of_one_phase_run_concurrently() -> None:
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)
        # Each waits for the other, before and after: one after the other they would wait for ever.
        before, after = asyncio.Barrier(2), asyncio.Barrier(2)

        @http_handler.client_edge
        async def one(ctx: ProxyContext) -> AsyncIterator[None]:
            await before.wait()
            yield
            await after.wait()

        @http_handler.client_edge
        async def other(ctx: ProxyContext) -> AsyncIterator[None]:
            await before.wait()
            yield
            await after.wait()

        async with proxied(http_handler, [context]) as proxy, client.get(proxy / "a") as answer:
            assert await answer.text() == "hello from /a"


async def test_a_failing_client_edge_leaves_every_other_action_undone() -> None:
    seen: list[str] = []
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)

        @http_handler.client_edge
        async def authenticate(ctx: ProxyContext) -> None:
            raise web.HTTPUnauthorized(text="who are you?")

        @http_handler.proxy
        async def log(ctx: ProxyContext) -> None:
            seen.append("proxy")

        async with proxied(http_handler, [context]) as proxy, client.get(proxy / "a") as answer:
            assert (answer.status, await answer.text()) == (401, "who are you?")
    assert seen == []


# -- Proxy request state -------------------------------------------------------------------------------------------


async def test_each_request_has_a_copy_of_the_state_for_all_its_phases(capsys: pytest.CaptureFixture[str]) -> None:
    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(url=url, state={"resource_name": "target-A"})

        http_handler = HTTPProxyHandler(ctx=ctx)

        @http_handler.client_edge
        def log_resource(ctx: ProxyContext) -> None:
            assert "custom_key" not in ctx.state
            print(ctx.state["resource_name"])
            ctx.state["custom_key"] = 123

        @http_handler.target_edge
        def log_custom_value(ctx: ProxyContext) -> None:
            print(ctx.state["resource_name"])
            print(ctx.state["custom_key"])

        async with proxied(http_handler, [ctx]) as proxy:
            for _ in range(2):
                async with client.get(proxy / "a") as answer:
                    assert answer.status == 200
    assert capsys.readouterr().out == "target-A\ntarget-A\n123\n" * 2
    assert ctx.state == {"resource_name": "target-A"}


# -- What the document says in prose -------------------------------------------------------------------------------


async def test_a_middleware_may_change_the_request_and_the_response() -> None:
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)

        @http_handler.proxy
        async def change(ctx: ProxyContext) -> AsyncIterator[None]:
            ctx.request.params["added"] = "1"
            yield
            ctx.response.headers["X-Changed"] = "yes"
            ctx.response.content = (await ctx.response.load_content()).upper()

        async with proxied(http_handler, [context]) as proxy, client.get((proxy / "a").with_query(b=2)) as answer:
            assert await answer.text() == "HELLO FROM /A?B=2&ADDED=1"
            assert (answer.headers["X-Changed"], answer.headers["X-Target"]) == ("yes", "yes")


async def test_a_middleware_may_answer_early_by_setting_the_response() -> None:
    async with target(hello) as url, ClientSession() as client:
        context = ProxyContext(url=url)
        http_handler = HTTPProxyHandler(ctx=context)

        @http_handler.client_edge
        async def from_cache(ctx: ProxyContext) -> None:
            ctx.response = ProxyResponse.of(200, {"Content-Type": "text/plain"}, b"from the cache")

        async with proxied(http_handler, [context]) as proxy, client.get(proxy / "a") as answer:
            assert (answer.status, await answer.text()) == (200, "from the cache")
