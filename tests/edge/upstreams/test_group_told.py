"""What a group tells of its requests: numbers for the counters, target, attempts and time for the access log."""

from __future__ import annotations

from typing import get_args

import pytest

from edge.errors import EdgeError
from edge.telemetry.counters import RETRY_REASONS
from edge.upstreams.ejection import FAILURES_BEFORE_EJECTION
from store.model.upstreams import RetryReason
from tests.fakes.origins import HANG, READ_HEAD, RESET, Send, running_evil_origin
from tests.fakes.requests import incoming
from tests.fakes.upstreams import Running, context, hits, origins, refusing, running
from tests.fakes.waiting import until

OK = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
UNAVAILABLE = Send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
NO_RETRIES = dict.fromkeys(RETRY_REASONS, 0)


async def test_a_request_tells_its_target_and_how_long_the_head_of_the_answer_took() -> None:
    async with running_evil_origin(READ_HEAD, HANG) as silent, origins(1) as (origin,):
        async with running(origin.url) as upstream:
            ctx = context(incoming(raw_path="/delay/0.05"))
            assert (ctx.target, ctx.attempts, ctx.upstream_s) == ("", 0, None)
            await (await upstream.group.send(ctx)).load_content()
            assert (ctx.target, ctx.attempts) == (origin.url.removeprefix("http://"), 1)
            assert ctx.upstream_s is not None
            assert 0.04 < ctx.upstream_s < 5  # the loop's clock has milliseconds
        async with running(silent.url, response_timeout="20ms") as upstream:
            ctx = context(incoming())
            with pytest.raises(EdgeError):
                await upstream.group.send(ctx)
            assert (ctx.target, ctx.attempts, ctx.upstream_s) == (f"127.0.0.1:{silent.port}", 1, None)


async def test_a_request_that_no_target_could_take_tells_of_none() -> None:
    async with origins(1) as (origin,), running(origin.url, max_connections=1) as upstream:
        held = await upstream.send(incoming(raw_path="/bytes/9000000"))
        ctx = context(incoming())
        with pytest.raises(EdgeError):
            await upstream.group.send(ctx)
        assert (ctx.target, ctx.attempts, ctx.upstream_s) == ("", 0, None)
        held.abort()


async def test_the_last_target_and_all_attempts_are_told_and_each_retry_is_counted_by_its_reason() -> None:
    async with (
        refusing() as dead,
        running_evil_origin(READ_HEAD, RESET) as rude,
        running_evil_origin(READ_HEAD, UNAVAILABLE) as busy,
        origins(1) as (origin,),
    ):
        retry = {"attempts": 3, "on": ["connect", "reset", "503"]}
        async with running(dead, rude.url, busy.url, origin.url, retry=retry) as upstream:
            ctx = context(incoming())
            await (await upstream.group.send(ctx)).load_content()
            assert (ctx.target, ctx.attempts) == (origin.url.removeprefix("http://"), 4)
            counters = upstream.live.counters
            assert counters.retries == {**NO_RETRIES, "connect": 1, "reset": 1, "503": 1}
            assert counters.connects == {"made": 3, "failed": 1, "timeout": 0}
            assert hits(origin) == 1


async def test_a_time_of_a_target_that_was_given_up_is_not_told_for_the_one_that_failed_after_it() -> None:
    async with running_evil_origin(READ_HEAD, UNAVAILABLE) as busy, refusing() as dead:
        async with running(busy.url, dead, retry={"on": ["503"]}) as upstream:
            ctx = context(incoming())
            with pytest.raises(EdgeError):
                await upstream.group.send(ctx)
            assert (ctx.target, ctx.attempts, ctx.upstream_s) == (dead.removeprefix("http://"), 2, None)


async def test_a_stale_connection_is_an_attempt_and_a_retry_of_its_own_kind() -> None:
    async with running_evil_origin(READ_HEAD, OK, READ_HEAD, RESET, then=(READ_HEAD, OK)) as evil:
        async with running(evil.url, retry={"attempts": 0}) as upstream:
            await upstream.ask()
            ctx = context(incoming())
            await (await upstream.group.send(ctx)).load_content()
            assert ctx.attempts == 2
            assert upstream.live.counters.retries == {**NO_RETRIES, "stale": 1}


async def test_ejections_are_counted() -> None:
    async with refusing() as dead, origins(1) as (origin,), running(dead, origin.url) as upstream:
        while upstream.target(0).standing.failures_in_a_row < FAILURES_BEFORE_EJECTION:
            assert upstream.live.counters.ejections == 0
            await upstream.ask()
        assert upstream.live.counters.ejections == 1
        for _ in range(4):
            await upstream.ask()
        assert upstream.live.counters.ejections == 1


async def test_checks_are_counted_by_outcome_and_connections_are_given_back() -> None:
    health = {"path": "/healthz", "interval": "10ms"}
    async with origins(1) as (origin,):
        upstream = Running([origin.url], health=health)
        counters = upstream.live.counters
        await until(lambda: counters.checks["passed"] > 1)
        assert counters.checks["failed"] == 0
        origin.state.health_status = 500
        await until(lambda: counters.checks["failed"] > 1)
        upstream.group.close()
        await until(lambda: counters.connections == 0)


def test_every_reason_that_a_document_can_name_has_a_counter() -> None:
    for reason in get_args(RetryReason):
        assert reason in RETRY_REASONS
