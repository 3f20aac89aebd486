"""GET /v1/tenants/{tenant}/limits: what is counted, of one's own tenant alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
import redis

from store import keys
from store.catalog import Catalog, Change
from store.client import connect
from store.codec import TenantRecord
from store.decisions import Take
from store.limiter import Limiter
from store.model import PLANS
from tests.tenants.plane import Plane

PATH = "/v1/tenants/acme/limits"
LIMITS = {"a": {"rate": "10/h", "by": "ip"}, "b": {"rate": "10/h", "by": "ip"}}


@pytest_asyncio.fixture
async def limiter(plane: Plane) -> AsyncIterator[Limiter]:
    async with connect(plane.redis_url, "data") as client:
        yield Limiter(client, lambda: 1)


async def use(limiter: Limiter, name: str, key: str, times: int = 1, tenant: str = "acme") -> None:
    for _ in range(times):
        assert (await limiter.take(tenant, [Take(name, key, 10, 3600, 10)])).source == "store"
    await limiter.aclose()


async def test_pages_hold_no_more_than_asked_for_and_lead_to_every_count(plane: Plane, limiter: Limiter) -> None:
    await plane.put("acme", limits=LIMITS)
    await plane.put("beta", limits=LIMITS)
    for n in range(12):
        await use(limiter, "a", f"192.0.2.{n}", times=1 + n % 3)
        await use(limiter, "a", f"192.0.2.{n}", tenant="beta")
    for limit in (1, 5, 200):
        found: dict[str, int] = {}
        cursor, pages = "", 0
        while cursor is not None:
            page = (await plane.get(PATH, params={"limit": str(limit), "cursor": cursor})).body
            assert len(page["items"]) <= limit
            shares = [one["used"] / one["most"] for one in page["items"]]
            assert shares == sorted(shares, reverse=True)
            assert [one["name"] for one in page["limits"]] == ["a", "b"]
            found |= {one["key"]: one["used"] for one in page["items"]}
            cursor, pages = page["cursor"], pages + 1
        assert found == {f"192.0.2.{n}": 1 + n % 3 for n in range(12)}
        assert pages >= 12 // limit


async def test_a_tenants_token_sees_its_own_counts_and_of_others_nothing(plane: Plane, limiter: Limiter) -> None:
    for tenant in ("acme", "beta"):
        await plane.put(tenant, limits=LIMITS)
        await use(limiter, "a", f"of-{tenant}", tenant=tenant)
    own, other = await plane.token_of("acme"), await plane.token_of("beta")
    assert [one["key"] for one in (await plane.get(PATH, token=own)).body["items"]] == ["of-acme"]
    refused = await plane.get(PATH, token=other)
    assert (refused.status, refused.body["detail"]) == (404, "there is no tenant 'acme'")
    hostile = await plane.get("/v1/tenants/beta/limits", token=other, params={"name": "*}:*", "key": "*"})
    assert (hostile.status, hostile.body["items"]) == (200, [])


async def test_the_limits_of_a_plan_are_told_under_the_names_they_are_counted_by(
    plane: Plane, limiter: Limiter, catalog: Catalog
) -> None:
    plans = {"plans": {"default": {"limits": {"all": {"rate": "10/h", "by": "tenant"}}}, "gold": {}}}
    await catalog.commit(Change(PLANS, TenantRecord(plans)), None)
    await plane.put("acme", limits=LIMITS)
    await use(limiter, "@all", "", times=3)
    page = (await plane.get(PATH, params={"name": "@all"})).body
    assert [one["name"] for one in page["limits"]] == ["@all"]
    assert [(one["name"], one["used"], one["in_force"]) for one in page["items"]] == [("@all", 3, True)]
    await plane.put("acme", limits=LIMITS, plan="gold")
    page = (await plane.get(PATH)).body
    assert [one["name"] for one in page["limits"]] == ["a", "b"]
    assert [(one["name"], one["in_force"]) for one in page["items"]] == [("@all", False)]
    plane.overwrite(PLANS, b"garbage")
    assert (await plane.get(PATH)).status == 200


async def test_where_nothing_is_counted_any_more_nothing_is_shown(plane: Plane, limiter: Limiter) -> None:
    await plane.put("acme", limits=LIMITS)
    await use(limiter, "a", "back")
    with redis.Redis.from_url(plane.redis_url) as raw:
        raw.set(keys.limit("acme", "a", "back"), "1000000 0 1")  # at rest since 1970
        raw.hset(keys.places("acme", "b", ""), "n/0/1", "2 1000000")  # of a worker that is gone
    assert (await plane.get(PATH)).body["items"] == []


async def test_a_document_that_cannot_be_read_is_said_to_be(acme: Plane) -> None:
    acme.overwrite("acme", b"garbage")
    refused = await acme.get(PATH)
    assert (refused.status, refused.body["code"]) == (500, "record_unreadable")


async def test_a_query_that_is_wrong_is_refused(acme: Plane) -> None:
    for query in ("cursor=x", "cursor=1.2", "limit=0", "limit=201", "nmae=a", f"name={'x' * 65}", f"key={'x' * 1025}"):
        assert (await acme.get(f"{PATH}?{query}")).status == 400, query
