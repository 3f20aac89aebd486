"""Quotas, places, costs and limits in shadow, before a real Redis."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

import pytest

from edge.context import Identity, ProxyContext
from edge.errors import EdgeError, fields_of
from edge.middleware import ProxyMiddleware
from store.client import connect
from store.embedded import RedisProcess
from store.quota import bounds_s
from tests.edge.client_edge.taking import Taking, context, is_admitted, once, run
from tests.fakes.waiting import until


async def test_a_quota_is_counted_by_windows_and_says_when_the_next_begins(taking: Taking) -> None:
    middleware = taking.middleware(month={"quota": "2/month", "by": "ip"})
    fields = dict((await run(middleware, context())).answer_fields)
    assert fields["RateLimit-Policy"] == '"month";q=2;w=2592000'
    _, end_s = bounds_s("month", int(time.time()))
    left, reset_s = re.fullmatch(r'"month";r=(\d+);t=(\d+)', fields["RateLimit"]).groups()  # type: ignore[union-attr]
    assert (left, abs(int(reset_s) - (end_s - time.time())) < 5) == ("1", True)
    assert await is_admitted(middleware, context())
    with pytest.raises(EdgeError) as caught:
        await run(middleware, context())
    assert caught.value.retry_after_s == pytest.approx(end_s - time.time(), abs=5)


async def test_so_many_requests_are_under_way_at_once_and_who_is_over_leaves_a_place(taking: Taking) -> None:
    middleware = taking.middleware(busy={"concurrent": 2, "by": "tenant"}, all={"rate": "60/m", "by": "ip"})
    first = await run(middleware, context(), keep=True)
    assert first.answer_fields == (
        ("RateLimit-Policy", '"busy";q=2;qu="concurrent-requests", "all";q=60;w=60'),
        ("RateLimit", '"busy";r=1, "all";r=59;t=1'),
    )
    await run(middleware, context(), keep=True)
    third = context()
    with pytest.raises(EdgeError) as caught:
        await run(middleware, third)
    assert dict(third.answer_fields)["RateLimit"] == '"busy";r=0, "all";r=58;t=2'
    assert dict(fields_of(caught.value))["Retry-After"] == "1"
    first.run_deferred()
    last = await run(middleware, context())
    assert dict(last.answer_fields)["RateLimit"] == '"busy";r=0, "all";r=57;t=3'


async def refused(middleware: ProxyMiddleware, ctx: ProxyContext) -> ProxyContext:
    """Have a request refused whose answer is still on its way to the client."""
    with pytest.raises(EdgeError, match="rate_limited"):
        await run(middleware, ctx, keep=True)
    return ctx


async def test_who_is_refused_by_a_rate_leaves_the_place_it_had_at_once_and_once(taking: Taking) -> None:
    middleware = taking.middleware(busy={"concurrent": 2, "by": "tenant"}, one=once("ip"))
    assert await is_admitted(middleware, context())
    answered = await refused(middleware, context())
    assert taking.guards.running == 0
    assert dict(answered.answer_fields)["RateLimit"] == '"busy";r=2, "one";r=0;t=3600'
    await run(middleware, context(remote="192.0.2.2"), keep=True)
    answered.run_deferred()
    assert taking.guards.running == 1


async def test_who_is_known_to_be_refused_by_a_rate_takes_no_place_of_others(taking: Taking) -> None:
    middleware = taking.middleware(busy={"concurrent": 1, "by": "tenant"}, one=once("ip"))
    assert await is_admitted(middleware, context())
    await refused(middleware, context())
    await run(middleware, context(remote="192.0.2.2"), keep=True)  # has the only place
    for _ in range(5):
        answered = await refused(middleware, context())
        assert dict(answered.answer_fields)["RateLimit"] == '"busy";r=0, "one";r=0;t=3600'
    assert taking.guards.running == 1


async def test_who_is_refused_a_place_is_told_where_its_rates_stand_if_that_is_known_and_they_are_not_counted(
    taking: Taking,
) -> None:
    await is_admitted(taking.middleware(tenant="other", one=once("ip")), context())  # Redis knows the script
    month = {"quota": "9/month", "by": "tenant"}
    middleware = taking.middleware(busy={"concurrent": 1, "by": "tenant"}, all={"rate": "9/h", "by": "ip"}, month=month)
    first = await run(middleware, context(), keep=True)
    for remote, known in (("192.0.2.1", '"all";r=8;t=400, '), ("192.0.2.2", "")):
        for _ in range(3):
            told = dict((await refused(middleware, context(remote=remote))).answer_fields)["RateLimit"]
            assert told.startswith(f'"busy";r=0, {known}"month";r=8;t=')
    first.run_deferred()
    last = await run(middleware, context())
    assert dict(last.answer_fields)["RateLimit"].startswith('"busy";r=0, "all";r=7;t=800, "month";r=7;t=')
    await run(middleware, context(remote="192.0.2.9"), keep=True)
    told = dict((await refused(middleware, context())).answer_fields)["RateLimit"]
    assert told.startswith('"busy";r=0, "all";r=7;t=800, "month";r=')


async def test_without_redis_who_is_refused_a_place_is_told_what_is_counted_here(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client:
        middleware = Taking(client).middleware(busy={"concurrent": 1, "by": "tenant"}, all={"rate": "9/h", "by": "ip"})
        own_redis.stop()
        await run(middleware, context(), keep=True)
        told = dict((await refused(middleware, context())).answer_fields)["RateLimit"]
        assert told == '"busy";r=0, "all";r=8;t=400'


async def test_of_several_places_all_are_left_when_the_last_is_refused(taking: Taking) -> None:
    middleware = taking.middleware(wide={"concurrent": 9, "by": "tenant"}, one={"concurrent": 1, "by": "ip"})
    first = await run(middleware, context(), keep=True)
    answered = await refused(middleware, context())
    assert dict(answered.answer_fields)["RateLimit"] == '"wide";r=8, "one";r=0'
    assert taking.guards.running == 2
    first.run_deferred()
    assert taking.guards.running == 0


async def test_who_costs_more_than_a_limit_ever_admits_takes_no_place(taking: Taking) -> None:
    middleware = taking.middleware(
        busy={"concurrent": 1, "by": "tenant"}, one={"rate": "10/h", "by": "tenant", "cost": {"header": "X-Cost"}}
    )
    ctx = context()
    ctx.identity = Identity("who", fields=(("X-Cost", "11"),))
    await refused(middleware, ctx)
    assert (taking.guards.running, taking.guards.calls) == (0, 0)


async def test_a_request_that_is_cancelled_while_it_waits_for_a_rate_leaves_its_place(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client:
        taking = Taking(client)
        middleware = taking.middleware(busy={"concurrent": 2, "by": "tenant"}, all={"rate": "60/m", "by": "ip"})
        assert await is_admitted(middleware, context())
        await until(lambda: not taking.guards._tasks and not taking.guards._trimming)
        waiting = asyncio.create_task(run(middleware, context(remote="192.0.2.9"), keep=True))
        while not taking.guards.running:  # noqa: ASYNC110 - each turn, so that the rate has not been asked for yet
            await asyncio.sleep(0)
        own_redis.pause()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        own_redis.resume()
        assert taking.guards.running == 0


async def test_a_request_that_is_cancelled_while_it_waits_for_a_place_has_none(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client:
        taking = Taking(client)
        middleware = taking.middleware(busy={"concurrent": 2, "by": "tenant"})
        assert await is_admitted(middleware, context())
        own_redis.pause()
        waiting = asyncio.create_task(run(middleware, context(remote="192.0.2.9")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        own_redis.resume()
        await taking.guards.aclose()
        assert taking.guards.running == 0


@pytest.mark.parametrize(
    ("cost", "fields", "claims", "left"),
    [
        (3, (), None, 7),
        ({"header": "X-Cost"}, (("x-cost", "4"),), None, 6),
        ({"header": "X-Cost"}, (("X-Cost", "0"),), None, None),
        ({"header": "X-Cost"}, (("X-Cost", "-4"),), None, 9),
        ({"header": "X-Cost"}, (("X-Cost", "1.5"),), None, 8),
        ({"header": "X-Cost"}, (), None, 9),
        ({"claim": "cost"}, (), {"cost": 5}, 5),
        ({"claim": "cost"}, (), {"cost": "many"}, 9),
        ({"claim": "cost"}, (), None, 9),
    ],
)
async def test_a_request_costs_what_is_declared_or_what_a_trusted_service_says(
    taking: Taking, cost: Any, fields: tuple[tuple[str, str], ...], claims: dict[str, Any] | None, left: int | None
) -> None:
    for limit in ({"rate": "10/h", "by": "tenant"}, {"quota": "10/month", "by": "tenant"}):
        middleware = taking.middleware(**cast("Any", {next(iter(limit)): {**limit, "cost": cost}}))
        ctx = context(("X-Cost", "9"))  # a client has no say
        ctx.identity = Identity("who", claims=claims, fields=fields)
        answered = dict((await run(middleware, ctx)).answer_fields)
        assert answered["RateLimit-Policy"].startswith(f'"{next(iter(limit))}";q=10;w=')  # also where nothing is taken
        told = answered.get("RateLimit", "")
        assert (f";r={left};" in told) if left is not None else told == ""


async def test_a_request_that_costs_more_than_a_limit_ever_admits_is_refused(taking: Taking) -> None:
    all_of_them = taking.middleware(all={"rate": "9/h", "by": "ip"})
    for _ in range(2):
        assert await is_admitted(all_of_them, context())
    one: dict[str, Any] = {"rate": "10/h", "by": "tenant", "cost": {"header": "X-Cost"}}
    for others, policy, state in (
        ({}, "", ""),
        ({"all": {"rate": "9/h", "by": "ip"}}, ', "all";q=9;w=3600', ', "all";r=7;t=800'),
    ):
        middleware = taking.middleware(**cast("Any", {"one": one, **others}))
        ctx = context()
        ctx.identity = Identity("who", fields=(("X-Cost", "11"),))
        with pytest.raises(EdgeError) as caught:
            await run(middleware, ctx)
        assert (caught.value.code, dict(fields_of(caught.value))["Retry-After"]) == ("rate_limited", "3600")
        assert dict(ctx.answer_fields) == {
            "RateLimit-Policy": f'"one";q=10;w=3600{policy}',
            "RateLimit": f'"one";r=0{state}',
        }
    assert taking.counters.limits_refused["store"] == 2


async def test_a_limit_by_a_header_that_a_trusted_service_sets_counts_by_what_it_says(taking: Taking) -> None:
    middleware = taking.middleware(one=once({"header": "X-Role"}))
    votes = []
    for forged in ("a", "b", "c"):
        ctx = context(("X-Role", forged))
        ctx.identity = Identity("who", fields=(("x-role", "admin"),))
        votes.append(await is_admitted(middleware, ctx))
    assert votes == [True, False, False]


async def test_a_limit_in_shadow_counts_and_reports_and_refuses_nobody(taking: Taking) -> None:
    middleware = taking.middleware(
        all={"rate": "100/h", "by": "tenant"},
        strict=once("ip", shadow=True),
        month={"quota": "2/month", "by": "ip", "shadow": True},
        busy={"concurrent": 1, "by": "tenant", "shadow": True},
    )
    seen = [(await run(middleware, context(), keep=True)).shadow_refused for _ in range(3)]
    assert seen == [(), ("busy", "strict"), ("busy", "strict", "month")]
    assert taking.counters.limits_admitted["store"] == 3
    assert taking.counters.limits_refused["store"] == 0
    assert taking.counters.limits_shadow_refused["store"] == 5
    assert dict((await run(middleware, context())).answer_fields)["RateLimit-Policy"] == '"all";q=100;w=3600'


async def test_who_is_refused_is_not_counted_in_shadow(taking: Taking) -> None:
    middleware = taking.middleware(one=once("ip"), month={"quota": "1/month", "by": "tenant", "shadow": True})
    assert await is_admitted(middleware, context())
    for _ in range(3):
        assert not await is_admitted(middleware, context())
    assert taking.counters.limits_shadow_refused["store"] == 0
