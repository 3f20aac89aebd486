"""Limits before a real Redis: what is counted by what, and what a client is told of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio
from multidict import CIMultiDict

from edge.client_edge.limits import Counting, NamedLimit, take_limits
from edge.context import Identity, ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError, fields_of
from edge.middleware import Chain, ProxyMiddleware, ProxyMiddlewareDef
from edge.telemetry.counters import Counters
from store.client import Client, connect
from store.embedded import RedisProcess
from store.guards import Guards
from store.limiter import Limiter
from store.model.limits import limit_part
from store.quota import bounds_s
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


@pytest_asyncio.fixture
async def taking(redis_url: str) -> AsyncIterator[Taking]:
    async with connect(redis_url, "data") as client:
        taking = Taking(client)
        yield taking
        await taking.guards.aclose()


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


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("ip", context(remote="192.0.2.1"), context(remote="192.0.2.2")),
        ("ip", context(remote="2001:db8:1:2::9"), context(remote="2001:db8:1:3::1")),
        ("key", context(key="one", remote="192.0.2.9"), context(key="two")),
        ("subject", context(key="one", remote="192.0.2.9"), context(key="two")),
        ({"header": "X-Team"}, context(("x-team", "a"), remote="192.0.2.9"), context(("X-Team", "b"))),
        ({"header": "X-Team"}, context(("X-Team", "a" * 5000)), context(("X-Team", "a" * 5001))),
        ({"header": "X-Team"}, context(), context(("X-Team", "b"))),
        *[
            ({"claim": "plan"}, context(key="one", claims=same), context(key="one", claims=other))
            for same, other in (
                ({"plan": "gold", "sub": "a"}, {"plan": "silver", "sub": "a"}),
                ({"plan": {"a": 1, "b": 2}}, {"plan": {"a": 1, "b": 3}}),
                ({"plan": ["a"]}, {"plan": ["b"]}),
                ({"plan": "x" * 5000}, {"plan": "x" * 5001}),
                ({"plan": True}, {"plan": None}),
                (None, {"plan": "gold"}),
            )
        ],
    ],
)
async def test_what_is_alike_is_counted_together_and_what_is_not_apart(
    taking: Taking, by: Any, same: ProxyContext, other: ProxyContext
) -> None:
    middleware = taking.middleware(one=once(by))
    assert await is_admitted(middleware, _again(same))
    assert not await is_admitted(middleware, _again(same))
    assert await is_admitted(middleware, _again(other))


def _again(ctx: ProxyContext) -> ProxyContext:
    fresh = ProxyContext().copy_for(ctx.request)
    if ctx.identity is not None:
        fresh.identity = ctx.identity
    return fresh


@pytest.mark.parametrize(
    ("one", "alike"),
    [({"a": 1, "b": [2]}, {"b": [2], "a": 1}), ("gold", "gold"), (None, None), ("", None)],
)
async def test_equal_claims_of_two_callers_are_counted_together(taking: Taking, one: Any, alike: Any) -> None:
    middleware = taking.middleware(one=once({"claim": "plan"}))
    assert await is_admitted(middleware, context(key="a", claims={"plan": one}))
    assert not await is_admitted(middleware, context(key="b", claims={"plan": alike}))


async def test_addresses_of_one_ipv6_subscriber_are_one(taking: Taking) -> None:
    middleware = taking.middleware(one=once("ip"))
    assert await is_admitted(middleware, context(remote="2001:db8:1:2::1"))
    assert not await is_admitted(middleware, context(remote="2001:db8:1:2:ffff::2"))


async def test_a_limit_by_route_counts_each_route_and_one_by_tenant_all_of_them(taking: Taking) -> None:
    for by, tenant, second in (("route", "acme", True), ("tenant", "other", False)):
        a, b = (taking.middleware(route=route, tenant=tenant, one=once(by)) for route in ("a", "b"))
        assert await is_admitted(a, context())
        assert await is_admitted(b, context()) is second


async def test_no_tenant_counts_against_another(taking: Taking) -> None:
    for tenant in ("acme", "other"):
        assert await is_admitted(taking.middleware(tenant=tenant, one=once("tenant")), context())


async def test_a_request_that_one_limit_refuses_consumes_nothing_of_the_others(taking: Taking) -> None:
    both = taking.middleware(wide={"rate": "2/h", "by": "tenant"}, narrow=once("ip"))
    assert await is_admitted(both, context())
    for _ in range(5):
        assert not await is_admitted(both, context())
    assert await is_admitted(both, context(remote="192.0.2.2"))


async def test_a_targets_answer_says_where_every_limit_stands(taking: Taking) -> None:
    middleware = taking.middleware(
        per_ip={"rate": "60/m", "by": "ip"}, all={"rate": "100/s", "burst": 5, "by": "tenant"}
    )
    assert (await run(middleware, context())).answer_fields == (
        ("RateLimit-Policy", '"per-ip";q=60;w=60, "all";q=100;w=1'),
        ("RateLimit", '"per-ip";r=59;t=1, "all";r=4;t=1'),
    )


async def test_a_refusal_says_where_every_limit_stands_and_when_to_come_back(taking: Taking) -> None:
    middleware = taking.middleware(slow={"rate": "60/h", "burst": 1, "by": "ip"})
    await run(middleware, context())
    refused = context()
    with pytest.raises(EdgeError) as caught:
        await run(middleware, refused)
    assert dict(refused.answer_fields) == {"RateLimit-Policy": '"slow";q=60;w=3600', "RateLimit": '"slow";r=0;t=60'}
    assert dict(fields_of(caught.value))["Retry-After"] == "60"


async def test_a_refusal_for_a_moment_still_says_a_whole_second(taking: Taking) -> None:
    middleware = taking.middleware(quick={"rate": "1000/s", "burst": 1, "by": "ip"})
    with pytest.raises(EdgeError) as caught:
        await asyncio.gather(*(run(middleware, context()) for _ in range(50)))
    assert dict(fields_of(caught.value))["Retry-After"] == "1"


async def test_an_answer_of_the_edge_to_a_failing_target_says_it_too(taking: Taking) -> None:
    middleware = taking.middleware(one={"rate": "60/m", "by": "ip"})
    failed = context()
    with pytest.raises(EdgeError, match="no_target"):
        await run(middleware, failed, EdgeError("no_target"))
    assert dict(failed.answer_fields)["RateLimit"] == '"one";r=59;t=1'


async def test_decisions_are_counted_by_who_made_them(taking: Taking) -> None:
    middleware = taking.middleware(one=once("ip"))
    for _ in range(3):
        await is_admitted(middleware, context())
    assert (taking.counters.limits_admitted["store"], taking.counters.limits_refused["store"]) == (1, 2)


@pytest.mark.parametrize(
    ("policy", "source", "statuses", "has_state"),
    [
        ("local", "local", [200, 429], True),
        ("open", "open", [200, 200], False),
        ("closed", "closed", [503, 503], False),
    ],
)
async def test_without_the_store_each_limit_does_what_it_declares(
    own_redis: RedisProcess, policy: str, source: str, statuses: list[int], has_state: bool
) -> None:
    async with connect(own_redis.url, "data") as client:
        taking = Taking(client)
        middleware = taking.middleware(one=once("ip", on_store_loss=policy))
        own_redis.stop()
        seen = []
        for _ in statuses:
            try:
                ctx = await run(middleware, context())
            except EdgeError as error:
                seen.append(error.status if error.retry_after_s else -1)
            else:
                seen.append(200)
                assert "RateLimit-Policy" in dict(ctx.answer_fields)
                assert ("RateLimit" in dict(ctx.answer_fields)) is has_state
        assert seen == statuses
        counters = taking.counters
        assert counters.limits_admitted[source] + counters.limits_refused[source] == len(statuses)


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
    refused = context()
    with pytest.raises(EdgeError) as caught:
        await run(middleware, refused)
    assert dict(refused.answer_fields)["RateLimit"] == '"busy";r=0'
    assert dict(fields_of(caught.value))["Retry-After"] == "1"
    first.run_deferred()
    last = await run(middleware, context())
    assert dict(last.answer_fields)["RateLimit"] == '"busy";r=0, "all";r=57;t=3'


async def test_who_is_refused_by_a_rate_leaves_the_place_it_had(taking: Taking) -> None:
    middleware = taking.middleware(busy={"concurrent": 2, "by": "tenant"}, one=once("ip"))
    assert await is_admitted(middleware, context())
    for _ in range(5):
        assert not await is_admitted(middleware, context())
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
        ({"header": "X-Cost"}, (("X-Cost", "1e9"),), None, 9),
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
        told = dict((await run(middleware, ctx)).answer_fields).get("RateLimit", "")
        assert (f";r={left};" in told) if left is not None else told == ""


async def test_a_request_that_costs_more_than_a_limit_ever_admits_is_refused(taking: Taking) -> None:
    middleware = taking.middleware(one={"rate": "10/h", "by": "tenant", "cost": {"header": "X-Cost"}})
    ctx = context()
    ctx.identity = Identity("who", fields=(("X-Cost", "11"),))
    with pytest.raises(EdgeError) as caught:
        await run(middleware, ctx)
    assert (caught.value.code, dict(fields_of(caught.value))["Retry-After"]) == ("rate_limited", "3600")


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
