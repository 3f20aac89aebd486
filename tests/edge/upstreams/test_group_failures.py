"""An upstream whose targets fail: which request is sent again, and which target is left alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from edge.errors import EdgeError
from edge.upstreams.ejection import FAILURES_BEFORE_EJECTION, Standing
from edge.upstreams.live import LiveTarget
from tests.fakes.origins import HANG, READ_HEAD, RESET, Send, running_app, running_evil_origin
from tests.fakes.requests import FakeIncoming, incoming
from tests.fakes.upstreams import Running, context, hits, origins, refusing, running, sick

OK_THEN_RESET = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), READ_HEAD, RESET)
CUT_SHORT = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), RESET)


# -- another target ----------------------------------------------------------------------------------------------------


async def test_a_target_that_refuses_is_passed_over_whatever_the_method() -> None:
    async with origins(1) as (origin,), refusing() as dead, running(dead, origin.url) as upstream:
        assert (await upstream.ask(incoming("POST", "/echo", body=[b"pay once"])))[0] == 200
        assert origin.state.hits["/echo"] == 1


async def test_an_idempotent_request_that_is_reset_goes_to_another_target() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil, origins(1) as (origin,):
        async with running(evil.url, origin.url) as upstream:
            assert (await upstream.ask())[0] == 200


@pytest.mark.parametrize("request_", [incoming("POST"), incoming("PATCH"), incoming("PUT", body=[b"streamed"])])
async def test_a_request_that_cannot_be_repeated_safely_is_not(request_: FakeIncoming) -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil, origins(1) as (origin,):
        async with running(evil.url, origin.url) as upstream:
            with pytest.raises(EdgeError) as caught:
                await upstream.ask(request_)
            assert (caught.value.code, caught.value.status) == ("upstream_reset", 502)
            assert hits(origin) == 0


async def test_a_declared_empty_body_is_no_body() -> None:
    request = FakeIncoming(
        "DELETE", "/echo", incoming().headers, incoming().content, body_exists=True, content_length=0
    )
    async with running_evil_origin(READ_HEAD, RESET) as evil, origins(1) as (origin,):
        async with running(evil.url, origin.url) as upstream:
            assert (await upstream.ask(request))[0] == 200


async def test_a_body_that_is_held_in_memory_is_sent_again_whole() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil, origins(1) as (origin,):
        async with running(evil.url, origin.url) as upstream:
            ctx = context(incoming("PUT", "/echo", body=[b"", b"unread"]))
            ctx.request.content = b"held"
            response = await upstream.group.send(ctx)
            assert b'"body": "held"' in await response.load_content()


async def test_a_target_that_cannot_be_connected_to_in_time_is_passed_over() -> None:
    async with running_evil_origin(HANG) as silent, origins(1) as (origin,):
        tls = f"https://127.0.0.1:{silent.port}"
        async with running(tls, origin.url, connect_timeout="50ms") as upstream:
            assert (await upstream.ask(incoming("POST", "/echo", body=[b"once"])))[0] == 200
        async with running(tls, connect_timeout="50ms", retry={"attempts": 0}) as alone:
            with pytest.raises(EdgeError) as caught:
                await alone.ask()
            assert (caught.value.code, caught.value.status) == ("upstream_timeout", 504)


async def test_a_target_that_does_not_answer_in_time_is_not_asked_again_elsewhere() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as silent, origins(1) as (origin,):
        async with running(silent.url, origin.url, response_timeout="50ms", retry={"attempts": 5}) as upstream:
            with pytest.raises(EdgeError) as caught:
                await upstream.ask()
            assert (caught.value.code, caught.value.status) == ("upstream_timeout", 504)
            assert hits(origin) == 0
            assert upstream.target(0).standing.failures_in_a_row == 1


async def test_a_target_that_stops_in_the_middle_of_its_body_is_cut_off_and_to_blame() -> None:
    begun = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    async with running_evil_origin(READ_HEAD, begun, HANG) as slow, running(slow.url, idle_timeout="50ms") as upstream:
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert caught.value.code == "upstream_timeout"
        assert upstream.target(0).standing.failures_in_a_row == 1
        assert upstream.target(0).in_flight == 0
        await slow.connections[0].over.wait()


async def test_an_answer_that_is_given_up_for_another_targets_is_no_longer_in_flight() -> None:
    async with origins(2) as (one, other), running(one.url, other.url, retry={"on": ["503"]}) as upstream:
        response = await upstream.send(incoming(raw_path="/status/503"))
        assert (upstream.target(0).in_flight, upstream.target(1).in_flight) == (0, 1)
        response.abort()
        assert upstream.target(1).in_flight == 0
        assert [upstream.target(at).standing.failures_in_a_row for at in (0, 1)] == [1, 1]


async def test_a_status_is_retried_only_where_that_was_asked_for() -> None:
    async with origins(2) as (one, other), running(one.url, other.url) as upstream:
        assert (await upstream.ask(incoming(raw_path="/status/503")))[0] == 503
        assert hits(one) + hits(other) == 1
    async with origins(2) as (one, other), running(one.url, other.url, retry={"on": ["503"]}) as upstream:
        assert (await upstream.ask(incoming(raw_path="/status/503")))[0] == 503
        assert (hits(one), hits(other)) == (1, 1)


async def test_attempts_are_bounded_and_the_last_failure_is_told() -> None:
    async with refusing() as a, refusing() as b, refusing() as c, origins(1) as (origin,):
        async with running(a, b, c, origin.url, retry={"attempts": 2}) as upstream:
            with pytest.raises(EdgeError) as caught:
                await upstream.ask()
            assert caught.value.code == "upstream_connect"
            assert hits(origin) == 0


async def test_an_idle_connection_that_the_target_had_closed_costs_the_client_nothing() -> None:
    answer = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"), HANG)
    async with running_evil_origin(*OK_THEN_RESET, then=answer) as evil:
        async with running(evil.url, retry={"attempts": 0}) as upstream:
            assert await upstream.ask() == (200, b"ok")
            assert await upstream.ask() == (200, b"again")
            assert len(evil.connections) == 2
            assert upstream.target(0).standing.failures_in_a_row == 0


async def test_after_one_idle_connection_the_others_are_not_trusted_either() -> None:
    connections = 0

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        await reader.read(1)  # a second request ends it
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, running(url, retry={"attempts": 0}) as upstream:
        responses = [await upstream.send(), await upstream.send()]
        assert [await response.load_content() for response in responses] == [b"1", b"2"]
        assert upstream.target(0).pool.idle_count == 2
        assert await upstream.ask() == (200, b"3")


async def test_a_post_on_an_idle_connection_that_was_closed_is_not_sent_twice() -> None:
    async with running_evil_origin(*OK_THEN_RESET) as evil, running(evil.url) as upstream:
        await upstream.ask()
        with pytest.raises(EdgeError) as caught:
            await upstream.ask(incoming("POST"))
        assert caught.value.code == "upstream_reset"
        assert len(evil.connections) == 1


async def test_when_everything_is_reset_retries_stay_within_their_budget() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil, running(evil.url, retry={"attempts": 5}) as upstream:
        for _ in range(50):
            with pytest.raises(EdgeError):
                await upstream.ask()
        assert 50 < len(evil.connections) <= 50 + 3 + 10


# -- standing ----------------------------------------------------------------------------------------------------------


async def test_a_target_that_keeps_refusing_is_ejected_and_no_longer_asked() -> None:
    async with origins(1) as (origin,), refusing() as dead, running(dead, origin.url) as upstream:
        while not is_ejected(upstream.target(0)):
            assert (await upstream.ask())[0] == 200
        assert upstream.target(0).standing.ejections == 1
        before = hits(origin)
        for _ in range(4):
            await upstream.ask()
        assert hits(origin) == before + 4


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_target_that_keeps_answering_for_a_broken_gateway_is_ejected(status: int) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/", broken)
    async with running_app(app) as port, origins(1) as (origin,):
        async with running(f"http://127.0.0.1:{port}", origin.url) as upstream:
            seen = Counter([(await upstream.ask())[0] for _ in range(30)])
            assert seen == {status: FAILURES_BEFORE_EJECTION, 200: 30 - FAILURES_BEFORE_EJECTION}


async def test_a_500_is_the_applications_and_ejects_nobody() -> None:
    async with origins(2) as (one, other), running(one.url, other.url) as upstream:
        for _ in range(20):
            await upstream.ask(incoming(raw_path="/status/500"))
        assert (hits(one), hits(other)) == (10, 10)


async def test_a_target_that_keeps_breaking_off_in_the_middle_is_ejected() -> None:
    async with running_evil_origin(*CUT_SHORT) as evil, origins(1) as (origin,):
        async with running(evil.url, origin.url) as upstream:
            failed = 0
            for _ in range(30):
                try:
                    await upstream.ask()
                except EdgeError:
                    failed += 1
            assert failed == FAILURES_BEFORE_EJECTION
            assert is_ejected(upstream.target(0))


async def test_the_last_target_that_can_be_used_is_never_ejected() -> None:
    async with origins(1) as (spare,), refusing() as dead:
        async with running(dead, {"url": spare.url, "weight": 0}) as upstream:
            await fail(upstream, 3 * FAILURES_BEFORE_EJECTION)
            assert not is_ejected(upstream.target(0))


async def test_a_target_beside_a_sick_one_is_not_ejected_either() -> None:
    health = {"path": "/healthz", "interval": "1h"}
    async with origins(1) as (origin,), refusing() as dead, running(dead, origin.url, health=health) as upstream:
        sick(upstream.target(1))
        await fail(upstream, 3 * FAILURES_BEFORE_EJECTION)
        assert not is_ejected(upstream.target(0))


async def test_an_ejection_outlives_a_swap() -> None:
    async with origins(1) as (origin,), refusing() as dead, running(dead, origin.url) as before:
        while not is_ejected(before.target(0)):
            await before.ask()
        after = Running([dead, origin.url], before.live)
        before.group.close()
        assert is_ejected(after.target(0))
        after.group.close()


async def fail(upstream: Running, times: int) -> None:
    for _ in range(times):
        with pytest.raises(EdgeError) as caught:
            await upstream.ask()
        assert caught.value.code == "upstream_connect"


def is_ejected(target: LiveTarget) -> bool:
    return target.standing.is_ejected(asyncio.get_running_loop().time())


async def test_an_ejected_target_is_better_than_none() -> None:
    health = {"path": "/healthz", "interval": "1h"}
    async with origins(2) as (one, other), running(one.url, other.url, health=health) as upstream:
        upstream.target(0).standing = Standing(5, 1, asyncio.get_running_loop().time() + 60)
        assert {(await upstream.ask(incoming(raw_path="/echo")))[0] for _ in range(4)} == {200}
        assert one.state.hits["/echo"] == 0
        sick(upstream.target(1))
        assert (await upstream.ask(incoming(raw_path="/echo")))[0] == 200
        assert one.state.hits["/echo"] == 1


async def test_an_ejection_is_logged_with_the_targets_name(caplog: pytest.LogCaptureFixture) -> None:
    async with origins(1) as (origin,), refusing() as dead, running(dead, origin.url) as upstream:
        while not is_ejected(upstream.target(0)):
            await upstream.ask()
    assert [each.getMessage() for each in caplog.records if "eject" in each.getMessage()] == [
        f"tenant acme, upstream app: target {dead} is ejected for 10 s after 5 failures in a row"
    ]
