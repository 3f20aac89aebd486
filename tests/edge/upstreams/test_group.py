"""An upstream of real targets on loopback: which one is asked, and what is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from edge.errors import EdgeError
from edge.upstreams.egress import EgressFilter
from edge.upstreams.ejection import FAILURES_BEFORE_EJECTION, Standing
from edge.upstreams.group import SplitTransport, cookie
from edge.upstreams.live import LiveTargets
from tests.fakes.origins import HANG, READ_HEAD, RESET, Send, running_app, running_evil_origin
from tests.fakes.requests import incoming
from tests.fakes.upstreams import Running, context, hits, origins, refusing, running, sick

CUT_SHORT = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), RESET)


# -- which target ------------------------------------------------------------------------------------------------------


async def test_requests_are_shared_by_weight() -> None:
    async with origins(2) as (one, other), running({"url": one.url, "weight": 3}, other.url) as upstream:
        for _ in range(8):
            assert (await upstream.ask())[0] == 200
        assert (hits(one), hits(other)) == (6, 2)


async def test_a_target_of_weight_0_gets_nothing() -> None:
    async with origins(2) as (one, other), running(one.url, {"url": other.url, "weight": 0}) as upstream:
        for _ in range(4):
            await upstream.ask()
        assert (hits(one), hits(other)) == (4, 0)


@pytest.mark.parametrize(
    ("by", "fields"),
    [
        ("ip", []),
        ({"header": "X-User"}, [("X-User", "ann")]),
        ({"cookie": "sid"}, [("Cookie", "a=b; sid=ann; c=d")]),
    ],
)
async def test_a_hash_keeps_a_client_at_its_target(by: Any, fields: list[tuple[str, str]]) -> None:
    async with origins(3) as three, running(*(each.url for each in three), balance={"hash": by}) as upstream:
        for _ in range(6):
            await upstream.ask(incoming(headers=[("Host", "shop.test"), *fields]))
        assert sorted(hits(each) for each in three) == [0, 0, 6]


async def test_a_hash_spreads_clients() -> None:
    async with origins(2) as two, running(*(each.url for each in two), balance={"hash": {"header": "X-User"}}) as app:
        for number in range(40):
            await app.ask(incoming(headers=[("Host", "shop.test"), ("X-User", f"user-{number}")]))
        assert all(hits(each) > 5 for each in two)


async def test_least_requests_avoids_a_target_that_is_busy() -> None:
    async with origins(2) as two, running(*(each.url for each in two), balance="least_requests") as upstream:
        upstream.target(0).in_flight += 5
        for _ in range(4):
            await upstream.ask()
        assert [hits(each) for each in two] == [0, 4]


async def test_a_targets_own_path_goes_before_the_requests_whichever_target_it_is() -> None:
    async with origins(1) as (origin,), refusing() as dead, running(f"{dead}/wrong", f"{origin.url}/echo/base") as app:
        status, body = await app.ask(incoming(raw_path="/v1/a?b=c"))
        assert status == 200
        assert b'"path": "/echo/base/v1/a?b=c"' in body


async def test_the_requests_own_path_is_as_it_was_once_it_has_been_sent() -> None:
    async with origins(1) as (origin,), refusing() as dead, running(f"{origin.url}/echo") as good:
        ctx = context(incoming(raw_path="/v1/a"))
        (await good.group.send(ctx)).abort()
        assert ctx.request.path == "/v1/a"
        async with running(f"{dead}/gone") as gone:
            with pytest.raises(EdgeError):
                await gone.group.send(ctx)
        assert ctx.request.path == "/v1/a"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sid=1", "1"),
        ("a=b; sid=1", "1"),
        ("a=b;\xa0sid=1", None),
        ("sid=", ""),
        ("xsid=1", None),
        ("", None),
        ("sid", ""),
        ("sid=1; sid=2", "1"),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(field: str, value: str | None) -> None:
    assert cookie(field, "sid") == value


# -- none left ---------------------------------------------------------------------------------------------------------


async def test_no_usable_target_is_a_503_that_says_when_to_come_back() -> None:
    async with origins(1) as (origin,), running({"url": origin.url, "weight": 0}) as upstream:
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert (caught.value.code, caught.value.status) == ("no_target", 503)
        assert caught.value.retry_after_s


async def test_targets_found_sick_by_checks_get_nothing_even_when_all_are() -> None:
    health = {"path": "/healthz", "interval": "1h"}
    async with origins(2) as (one, other), running(one.url, other.url, health=health) as upstream:
        sick(upstream.target(0))
        for _ in range(4):
            await upstream.ask(incoming(raw_path="/echo"))
        assert (one.state.hits["/echo"], other.state.hits["/echo"]) == (0, 4)
        sick(upstream.target(1))
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert caught.value.code == "no_target"


# -- how many at once --------------------------------------------------------------------------------------------------


async def test_more_than_max_connections_are_refused_until_one_is_over() -> None:
    async with origins(1) as (origin,), running(origin.url, max_connections=2) as upstream:
        first, second = await upstream.send(incoming(raw_path="/bytes/9000000")), await upstream.send()
        with pytest.raises(EdgeError) as caught:
            await upstream.send()
        assert caught.value.status == 503
        assert caught.value.retry_after_s
        first.abort()
        assert (await upstream.ask())[0] == 200
        second.abort()


async def test_the_bound_holds_across_a_swap() -> None:
    async with origins(1) as (origin,), running(origin.url, max_connections=1) as before:
        response = await before.send(incoming(raw_path="/bytes/9000000"))
        after = Running([origin.url], before.live, max_connections=1)
        before.group.close()
        with pytest.raises(EdgeError) as caught:
            await after.send()
        assert caught.value.status == 503
        response.abort()
        assert (await after.ask())[0] == 200
        after.group.close()


async def test_what_a_request_takes_is_given_back_however_it_ends() -> None:
    async with origins(1) as (origin,), running_evil_origin(*CUT_SHORT) as evil, refusing() as dead:
        async with running(origin.url) as good, running(evil.url) as cut, running(dead) as gone:
            await good.ask()
            (await good.send(incoming(raw_path="/bytes/9000000"))).abort()
            with pytest.raises(EdgeError):
                await cut.ask()
            with pytest.raises(EdgeError):
                await gone.ask()
            cancelled = asyncio.create_task(good.ask(incoming(raw_path="/delay/30")))
            while not origin.state.hits["/delay/30"]:  # noqa: ASYNC110  # the origin counts, and tells nobody
                await asyncio.sleep(0.001)
            assert good.target(0).in_flight == 1
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert [each.target(0).in_flight for each in (good, cut, gone)] == [0, 0, 0]


async def test_a_client_that_goes_while_a_connection_is_made_leaves_nothing_behind() -> None:
    async with running_evil_origin(HANG) as evil:  # takes the connection, and never says a word of TLS
        async with running(f"https://127.0.0.1:{evil.port}") as upstream:
            asking = asyncio.create_task(upstream.send())
            connection = await evil.connected(1)
            assert upstream.target(0).in_flight == 1
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert upstream.target(0).in_flight == upstream.target(0).upstream.in_flight == 0
            assert upstream.target(0).standing == Standing()
            await connection.over.wait()


async def test_an_upgraded_connection_is_in_flight_until_its_end() -> None:
    switch = Send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    wish = [("Host", "shop.test"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    async with running_evil_origin(READ_HEAD, switch, HANG) as evil, running(evil.url) as upstream:
        response = await upstream.send(incoming(headers=wish))
        assert response.status == 101
        assert upstream.target(0).in_flight == 1
        response.abort()
        assert upstream.target(0).in_flight == 0


async def test_of_many_that_come_at_once_only_as_many_as_the_bound_are_sent() -> None:
    arrived, is_full = 0, asyncio.Event()

    async def answer_when_full(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived == 8:
            is_full.set()
        await is_full.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer_when_full)
    async with running_app(app) as port, running(f"http://127.0.0.1:{port}", max_connections=8) as upstream:
        asked = await asyncio.gather(*(upstream.ask() for _ in range(100)), return_exceptions=True)
        refused = [each for each in asked if isinstance(each, EdgeError) and each.code == "overloaded"]
        assert (len(refused), arrived) == (92, 8)
        assert upstream.target(0).in_flight == 0


async def test_a_client_that_goes_is_not_the_targets_fault() -> None:
    async with origins(1) as (origin,), running(origin.url) as upstream:
        for _ in range(FAILURES_BEFORE_EJECTION + 1):
            (await upstream.send(incoming(raw_path="/bytes/9000000"))).abort()
        assert upstream.target(0).standing == Standing()


@pytest.mark.parametrize("error", [EdgeError("body_too_large"), ValueError("bad chunk")])
async def test_a_body_that_cannot_be_read_is_the_clients_fault(error: Exception) -> None:
    async with origins(1) as (origin,), running(origin.url) as upstream:
        for _ in range(FAILURES_BEFORE_EJECTION + 1):
            with pytest.raises(EdgeError) as caught:
                await upstream.ask(incoming("POST", "/upload", body=[b"half", error]))
            assert caught.value.fault == "client"
        assert upstream.target(0).standing == Standing()
        assert upstream.target(0).in_flight == 0


async def test_a_target_that_answers_to_the_end_has_its_failures_forgotten() -> None:
    async with origins(1) as (origin,), running(origin.url) as upstream:
        upstream.target(0).standing = Standing(4)
        response = await upstream.send()
        assert upstream.target(0).standing == Standing(4)
        await response.load_content()
        assert upstream.target(0).standing == Standing()


# -- the rest ----------------------------------------------------------------------------------------------------------


async def test_a_group_that_is_closed_lets_its_requests_end() -> None:
    async with origins(1) as (origin,), running(origin.url) as upstream:
        response = await upstream.send(incoming(raw_path="/bytes/3000000"))
        upstream.group.close()
        upstream.group.close()
        assert len(upstream.live) == 0
        assert len(await response.load_content(4_000_000)) == 3_000_000


async def test_a_target_inside_is_not_reached() -> None:
    async with origins(1) as (origin,):
        upstream = Running([origin.url], LiveTargets(EgressFilter().allows))
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert caught.value.code == "upstream_connect"
        assert hits(origin) == 0
        upstream.group.close()


@pytest.mark.parametrize(
    ("weights", "chances", "expected"),
    [
        ((95, 5), [0.0, 0.9499, 0.95, 0.9999], "aabb"),
        ((0, 1), [0.0, 0.9999], "bb"),
        ((1, 0), [0.0, 0.9999], "aa"),
    ],
)
async def test_a_split_gives_each_upstream_its_share(
    weights: tuple[int, int], chances: list[float], expected: str
) -> None:
    async with origins(2) as (one, other), running(one.url) as a, running(other.url) as b:
        draws = iter(chances)
        split = SplitTransport([(a.group, weights[0]), (b.group, weights[1])], lambda: next(draws))
        order = ""
        for _ in chances:
            before = hits(one)
            await (await split.send(context(incoming()))).load_content()
            order += "a" if hits(one) > before else "b"
        assert order == expected
