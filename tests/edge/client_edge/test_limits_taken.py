"""Limits before a real Redis: what is counted by what, and what a client is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.context import ProxyContext
from edge.errors import EdgeError, fields_of
from store.client import connect
from store.embedded import RedisProcess
from tests.edge.client_edge.taking import Taking, context, is_admitted, once, run


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
