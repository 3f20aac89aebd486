"""Every code sample of `seeds/aiorp-advanced.txt`, run as the document shows it, against real servers on loopback."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import ClientResponseError, ClientSession, TCPConnector, web
from aiohttp.web import HTTPInternalServerError
from yarl import URL

from edge import HTTPProxyHandler, ProxyContext, Rewrite
from tests.fakes.web_apps import app_of, proxied, serving, target


async def hello(request: web.Request) -> web.Response:
    """Answer with the path that arrived."""
    return web.Response(text=f"hello from {request.raw_path}", headers={"X-Target": "yes"})


async def not_found(request: web.Request) -> web.Response:
    """Answer as an external API does that does not have it."""
    return web.Response(status=404, reason="Nothing Here", text="the target's own words")


# -- Additional request options ------------------------------------------------------------------------------------


async def test_request_options_are_used_for_the_session_request() -> None:
    async def redirecting(request: web.Request) -> web.Response:
        hop = int(request.query["hop"])
        if hop == 0:
            return web.Response(text="arrived")
        raise web.HTTPFound(f"/?hop={hop - 1}")

    async with target(redirecting) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        handler = HTTPProxyHandler(
            context=ctx,
            request_options={
                "max_redirects": 5,
                "read_until_eof": False,
            },
        )
        async with proxied(handler, [ctx]) as proxy:
            async with client.get(proxy.with_query(hop=4), allow_redirects=False) as answer:
                assert (answer.status, await answer.text()) == (200, "arrived")
            async with client.get(proxy.with_query(hop=5), allow_redirects=False) as answer:
                # aiohttp raises TooManyRedirects, which is a ClientResponseError like any other.
                assert answer.status == 500


@pytest.mark.parametrize("name", ["method", "url", "headers", "params", "data"])
def test_request_options_that_belong_to_the_request_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        HTTPProxyHandler(context=ProxyContext(url="http://127.0.0.1"), request_options={name: None})


# -- Custom error handling -----------------------------------------------------------------------------------------


async def test_by_default_an_upstream_error_raises_external_api_error_with_status_and_message() -> None:
    async with target(not_found) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        handler = HTTPProxyHandler(context=ctx)
        async with proxied(handler, [ctx]) as proxy, client.get(proxy / "missing") as answer:
            assert (answer.status, answer.reason) == (500, "External API Error")
            assert answer.content_type == "application/json"
            assert await answer.json() == {"status": 404, "message": "Nothing Here"}


async def test_a_custom_error_handler_raises_in_the_place_of_the_default() -> None:
    def my_error_handler(err: ClientResponseError) -> None:
        raise HTTPInternalServerError(
            reason="My reason is better",
            content_type="application/json",
            text=json.dumps(
                {
                    "status": err.status,
                    "message": err.message,
                }
            ),
        )

    async with target(not_found) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        handler = HTTPProxyHandler(
            context=ctx,
            error_handler=my_error_handler,
        )
        async with proxied(handler, [ctx]) as proxy, client.get(proxy / "missing") as answer:
            assert (answer.status, answer.reason) == (500, "My reason is better")
            assert await answer.json() == {"status": 404, "message": "Nothing Here"}


# -- Custom session factory ----------------------------------------------------------------------------------------


async def test_a_custom_session_factory_makes_one_session_on_the_first_request() -> None:
    made: list[ClientSession] = []

    def my_session_factory() -> ClientSession:
        # The sample returns the session; the list is how the test sees it.
        made.append(
            ClientSession(
                connector=TCPConnector(
                    limit=50,
                )
            )
        )
        return made[-1]

    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(
            url=url,
            session_factory=my_session_factory,
        )
        app = app_of(HTTPProxyHandler(context=ctx))
        async with serving(app) as proxy:
            assert made == []
            answers = await asyncio.gather(*(client.get(proxy / str(i)) for i in range(10)))
            assert [await answer.text() for answer in answers] == [f"hello from /{i}" for i in range(10)]
        assert len(made) == 1
        assert isinstance(made[0].connector, TCPConnector)
        assert made[0].connector.limit == 50
        assert ctx.session is made[0]
        await ctx.close_session()


async def test_the_default_session_factory_makes_a_client_session() -> None:
    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        async with proxied(HTTPProxyHandler(context=ctx), [ctx]) as proxy, client.get(proxy / "a") as answer:
            assert await answer.text() == "hello from /a"
            assert isinstance(ctx.session, ClientSession)


# -- Path rewriting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/mytarget/users?a=1", "/users?a=1"),
        ("/mytarget", "/"),
        ("/mytarget/mytarget", "/mytarget"),
        ("/mytargets", "/mytargets"),
        ("/other/mytarget", "/other/mytarget"),
    ],
)
async def test_a_rewrite_replaces_a_leading_path_prefix(path: str, arrives: str) -> None:
    async with target(hello) as url, ClientSession() as client:
        ctx = ProxyContext(url=url)
        rewrite = Rewrite(rfrom="/mytarget", rto="/")
        handler = HTTPProxyHandler(context=ctx, rewrite=rewrite)
        async with proxied(handler, [ctx]) as proxy, client.get(proxy.join(URL(path))) as answer:
            assert await answer.text() == f"hello from {arrives}"
