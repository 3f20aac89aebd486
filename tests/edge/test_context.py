"""What one request's phases share, and what all requests of a handler do."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar, DummyCookieJar, web
from multidict import CIMultiDict

from edge.context import Identity, ProxyContext, ProxyRequest, ProxyResponse, configure_contexts
from tests.fakes.requests import EmptyBody, incoming
from tests.fakes.web_apps import serving


def begun(ctx: ProxyContext | None = None) -> ProxyContext:
    return (ctx or ProxyContext()).copy_for(ProxyRequest(incoming(), "/", "", CIMultiDict()))


def test_a_context_outside_of_a_request_has_neither_request_nor_response() -> None:
    ctx = ProxyContext()
    with pytest.raises(ValueError, match="request"):
        _ = ctx.request
    with pytest.raises(ValueError, match="response"):
        _ = ctx.response
    assert not ctx.has_response


def test_a_target_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme and a host"):
        ProxyContext(url="/just/a/path")


def test_state_is_a_dictionary_of_each_requests_own() -> None:
    ctx = ProxyContext(state={"a": 1})
    one, other = begun(ctx), begun(ctx)
    one.state["a"] = 2
    assert (ctx.state, other.state) == ({"a": 1}, {"a": 1})
    assert begun(ProxyContext()).state == {}


def test_a_response_that_is_replaced_gives_up_its_body() -> None:
    ctx = begun()
    body = EmptyBody()
    ctx.response = ProxyResponse(200, CIMultiDict(), body)
    ctx.response = ctx.response
    ctx.response = ProxyResponse(203, CIMultiDict(), body)
    assert not body.is_aborted
    ctx.response = ProxyResponse.of(500)
    assert body.is_aborted


def test_who_calls_is_told_to_the_target() -> None:
    ctx = begun()
    ctx.identity = Identity("user\r\n42")
    assert ctx.request.headers.getall("X-Portico-Subject") == ["user%0D%0A42"]
    ctx.identity = Identity("other")
    assert ctx.request.headers.getall("X-Portico-Subject") == ["other"]
    ctx.identity = None
    assert "X-Portico-Subject" not in ctx.request.headers


def test_what_is_deferred_runs_once_in_reverse_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    ctx = begun()
    ran: list[object] = []
    ctx.defer(lambda: ran.append("first"))
    ctx.defer(lambda: ran.append(1 // 0))
    ctx.defer(lambda: ran.append("last"))
    ctx.run_deferred()
    ctx.run_deferred()
    assert ran == ["last", "first"]
    assert "ZeroDivisionError" in caplog.text
    begun().run_deferred()


async def test_one_session_serves_the_context_and_all_its_copies() -> None:
    ctx = ProxyContext(url="http://127.0.0.1")
    one, other = begun(ctx), begun(ctx)
    assert one.session is other.session is ctx.session
    await ctx.close_session()
    await ctx.close_session()
    assert not other.session.closed
    await other.close_session()


async def test_a_session_keeps_no_cookies_unless_its_factory_gave_it_some() -> None:
    async def filled() -> ClientSession:
        jar = CookieJar(unsafe=True)
        jar.update_cookies({"to-the-target": "1"})
        return ClientSession(cookie_jar=jar)

    plain, with_cookies = ProxyContext(), await filled()
    kept = ProxyContext(session_factory=lambda: with_cookies)
    assert isinstance(plain.session.cookie_jar, DummyCookieJar)
    assert len(list(kept.session.cookie_jar)) == 1
    await plain.close_session()
    await kept.close_session()


async def test_configured_contexts_have_a_session_for_as_long_as_the_application_runs() -> None:
    app, ctx = web.Application(), ProxyContext()
    configure_contexts(app, [ctx])
    async with serving(app):
        session = ctx.session
        assert not session.closed
    assert session.closed


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        (None, None),
        ({}, None),
        ({"plan": None}, None),
        ({"plan": ""}, ""),
        ({"plan": "gold"}, "gold"),
        ({"plan": 7}, "7"),
        ({"plan": False}, "false"),
        ({"plan": ["é", 1]}, '["é",1]'),
        ({"plan": {"b": 1, "a": {"d": 2, "c": 3}}}, '{"a":{"c":3,"d":2},"b":1}'),
    ],
)
def test_a_claim_is_told_as_text_and_equal_ones_alike(claims: dict[str, Any] | None, told: str | None) -> None:
    assert Identity("u1", claims=claims).claim("plan") == told
